//! From any crate's error to what a person needs: what failed, why, one hint, and one exit code.
//!
//! Owned here: the exit codes and the mapping. Refused here: printing (`report`).

use credenza_app::jobs::{HookError, JobsError, Problem};
use credenza_app::passphrase::{PassphraseError, Weakness};
use credenza_app::patterns::PatternsError;
use credenza_app::remove::RemovalError;
use credenza_app::secret::SecretError;
use credenza_app::signing::SigningError;
use credenza_app::users::UsersError;
use credenza_app::{
    ChoiceError, ComponentFault, ConfigurationError, Connectors, ConnectorsError, Error as AppError, Expected,
    HomeError, InvalidSnapshotName, KeepError, KnownRepository, LocationError, LoginError, Meant, MistakenError,
    NoLogin, PathListError, PlaceError, PlaceLabel, REPOSITORY_ID, Swapped, suggestion,
};
use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_engine::Error as EngineError;
use credenza_format::{Error as FormatError, InvalidRecipientKey};
use credenza_model::SnapshotId;
use credenza_sandbox::{ConfigureError, RegistryError};

use credenza_app::shell::{label_word, shell_word};
use credenza_serve::Error as ServeError;
use credenza_web::Error as WebError;

/// How the program ends. The numbers are promised to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// Done, but some entries could not be read or written.
    Incomplete = 3,
    NoRepository = 10,
    /// Locked, or refused by a concurrent change.
    Conflict = 11,
    WrongPassphrase = 12,
    DamageFound = 20,
    ContractBroken = 21,
    Interrupted = 130,
}

/// A command that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// One sentence without a full stop.
    pub(crate) what: String,
    pub(crate) why: Option<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure without a special exit code.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, what: what.into(), why: None, hint: None }
    }

    /// A command line that cannot be meant.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(what).exit(Exit::Usage)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new("interrupted; what was complete before is kept").exit(Exit::Interrupted)
    }

    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The same, with the repository that it is about in the commands that it suggests, if one is known: `at`, its word, and settings before it.
    pub(crate) fn of_repository(self, at: Option<&str>) -> Self {
        let named = |hint: String| at.map_or_else(|| hint.clone(), |at| hint.replace("at REPOSITORY", at));
        Self { hint: self.hint.map(named), ..self }
    }

    /// What an error says of itself, and why.
    pub(crate) fn of(error: &dyn std::error::Error) -> Self {
        let failure = Self::new(error.to_string());
        match error.source() {
            Some(why) => failure.because(why.to_string()),
            None => failure,
        }
    }

    /// A failed call of a connector.
    pub(crate) fn of_connector(doing: impl std::fmt::Display, cause: &ConnectError) -> Self {
        let failure = Self::new(format!("{doing} failed")).because(cause.message.clone());
        match connector_hint(cause) {
            (exit, Some(hint)) => failure.exit(exit).hint(hint),
            (exit, None) => failure.exit(exit),
        }
    }

    /// A hook that did not do its work.
    pub(crate) fn of_hook(error: &HookError) -> Self {
        let said = Self::of(error);
        match error {
            HookError::Start { .. } => said.hint("see what the jobs lack: credenza jobs check"),
            HookError::Failed { .. } => said.hint("see all that it printed: credenza jobs history -n 1 --json"),
            HookError::TimedOut { .. } => said.hint("if it needs more time, give it more: timeout = \"1h\""),
            HookError::Stopped { .. } => said.exit(Exit::Interrupted),
        }
    }

    /// Jobs that cannot be read, are not meant so, or run already.
    pub(crate) fn of_jobs(error: &JobsError) -> Self {
        let said = Self::of(error);
        match error {
            JobsError::NoFile { path } => said.exit(Exit::Usage).hint(format!(
                "write one at {}, or name another with --jobs FILE; the guide has an example: docs/guide/run-by-itself.md",
                path.display()
            )),
            JobsError::NoFolder => said.exit(Exit::Usage).hint("set HOME, or CREDENZA_CONFIG and CREDENZA_STATE"),
            JobsError::Syntax { .. } | JobsError::Invalid { .. } => {
                said.exit(Exit::Usage).hint("correct the file; then: credenza jobs check")
            }
            JobsError::UnknownJob { near, .. } => said.exit(Exit::Usage).hint(match near {
                Some(near) => format!("did you mean `{near}`? All of them: credenza jobs list"),
                None => "see which there are: credenza jobs list".to_owned(),
            }),
            JobsError::Daemon { .. } => said.exit(Exit::Conflict).hint("one is enough; see what it does: credenza jobs list"),
            JobsError::Busy { .. } => said.exit(Exit::Conflict).hint("run it again when that has ended"),
            JobsError::Read { .. } | JobsError::TooLarge { .. } | JobsError::State { .. } => said,
        }
    }

    /// A login that did not come about.
    fn of_login(self, error: LoginError) -> Self {
        match error {
            LoginError::Settings(_) => self.exit(Exit::Usage),
            LoginError::None { connector } => self
                .exit(Exit::Usage)
                .hint(format!("see what it takes: credenza connector inspect {}", shell_word(&connector))),
            LoginError::Unreachable { .. } => self.hint("nothing was changed; run it again when the server can be reached"),
            LoginError::Refused { settings, .. } => self.hint(format!("check the settings {}", settings.join(", "))),
            LoginError::Answer { .. } => self.exit(Exit::ContractBroken),
            LoginError::Denied | LoginError::Expired => self.hint("nothing was changed; run it again for another code"),
            LoginError::NoRefreshToken { .. } => {
                self.hint("the service gives one only to who asks for it: the `scope` of the manifest must say so, often as `offline_access`")
            }
        }
    }

    /// A registry that did not do what was asked of it.
    fn of_registry(self, server: &str, error: &RegistryError) -> Self {
        match error {
            RegistryError::Denied { is_known: false, .. } => self.hint(format!(
                "write NAME:PASSWORD into a file that only you can read, and name it with --login-file FILE; or: docker login {server}"
            )),
            RegistryError::Denied { is_known: true, .. } => {
                self.hint("see whether they are right, and whether they may do that in this repository")
            }
            RegistryError::Missing { .. } => self.hint("see how it is written, and which tags there are"),
            RegistryError::Exchange(_) | RegistryError::Status { .. } => {
                self.hint("see whether the address is right, and try again later")
            }
            RegistryError::Digest { .. } => {
                self.hint("the registry, or something before it, has changed it: do not use it, and tell its publisher")
            }
            RegistryError::NoTag => self.exit(Exit::Usage).hint("end the address with a tag, such as :1.0.0"),
            RegistryError::Unsafe { .. } | RegistryError::Layout { .. } => {
                self.hint("download the component in another way, and install the file")
            }
        }
    }

    /// The secret at hand is not the one that is wanted.
    fn of_secret(what: String, error: &EngineError) -> Self {
        let said = Self::new(what).exit(Exit::WrongPassphrase);
        match error {
            EngineError::WrongSecret { .. } => {
                said.hint("a passphrase in CREDENZA_PASSPHRASE goes before that of the configuration; see what opens it: credenza at REPOSITORY key list")
            }
            EngineError::TooCostly { .. } => said.hint(
                "look at them: credenza at REPOSITORY key list; delete from `key/` and `copy/key/` of the store those that nobody of yours has made, or open it with --key-file or --identity",
            ),
            EngineError::SecretMissing => said.hint(
                "set CREDENZA_PASSPHRASE, use --passphrase-file, --passphrase-cmd, --key-file or --identity, or run this on a terminal",
            ),
            EngineError::StaleSlot { .. } => said.hint("open it with another key and add this one again: credenza at REPOSITORY key add"),
            EngineError::NoAccess { .. } => said.hint("use a key with full access: credenza at REPOSITORY key list"),
            EngineError::NotEncrypted => said.hint("if it was created with --plaintext, give no passphrase; otherwise do not trust this store"),
            _ => said,
        }
    }

    /// A place cannot do what is asked of it, or should not without a second look.
    fn of_place(what: String, error: &EngineError) -> Self {
        let said = Self::new(what);
        match error {
            EngineError::NoHistory { .. } => said.hint("leave --versions out, or switch versioning on for the bucket that you restore to"),
            EngineError::NotReadable { .. } => said.exit(Exit::Usage).hint(
                "a bucket verifies each object by its checksum when it takes it, and what lies in it is not listed; restore to a folder for --verify and --delete",
            ),
            EngineError::MuchExtra { .. } => said.hint("look at them with --dry-run -v; if the folder and the snapshot are the right ones, add --force"),
            EngineError::NoLock { .. } => said.hint(
                "leave --retain out, or make a new bucket with Object Lock: it cannot be added by credenza",
            ),
            _ => said,
        }
    }

    /// What a store lists, or the snapshots in it, cannot be relied on.
    fn of_listing(what: String, error: &EngineError) -> Self {
        let said = Self::new(what);
        match error {
            EngineError::ListingsDisagree { .. } => said.exit(Exit::DamageFound).hint(
                "run it again; if it stays so, this store, or something before it, does not list what it holds: copy the repository to another (`sync`) and leave this one as it is",
            ),
            EngineError::MissingSnapshots(_) => said.exit(Exit::DamageFound).hint(
                "bring the snapshot back if a copy has it (`sync`); if it is gone for good, put that on record: credenza at REPOSITORY repair --drop-snapshots --apply",
            ),
            EngineError::LateListings { .. } => said.hint("backups and restores work there; to reclaim space, copy the repository to another store (`sync`)"),
            EngineError::NewestUnreadable { .. } => said.exit(Exit::DamageFound).hint(
                "take the newest that can be read with --or-older, or see how far it reaches: credenza at REPOSITORY check",
            ),
            EngineError::NewestAhead { snapshot, .. } => said.hint(format!(
                "if this machine's clock is behind, set it; if not, the store's was ahead when that snapshot was made: name the one that you want (credenza at REPOSITORY ls), take the newest of the others with --or-older, or remove that one: credenza at REPOSITORY rm {snapshot}"
            )),
            _ => said,
        }
    }

    /// A change of what opens a repository.
    fn of_slots(what: String, error: &EngineError) -> Self {
        match error {
            EngineError::NoSlot { .. } => Self::new(what).hint("list them: credenza at REPOSITORY key list"),
            EngineError::LastSlot { .. } => Self::new(what).hint("add another first: credenza at REPOSITORY key add"),
            EngineError::NotByPassphrase => {
                Self::new(what).hint("open it with the passphrase to change, or use `key add` and `key remove`")
            }
            EngineError::SlotsNotRenewable { .. } => Self::new(what).hint(
                "remove them with the rotation by --remove-others, and add them again afterwards with their secrets",
            ),
            _ => Self::new(what),
        }
    }
}

/// By class, and by whether it is a place on this machine: the cause's own message already says what was refused there, and what the remote said.
fn connector_hint(cause: &ConnectError) -> (Exit, Option<&'static str>) {
    match cause.class {
        ErrorClass::Denied if is_local(cause) => (
            Exit::Failed,
            Some(
                "this is for the system to allow, no credentials help: see whose the folder is and who may write there (`ls -ld`), and whether the disk is mounted read-only (`findmnt -T`)",
            ),
        ),
        ErrorClass::Configuration if cause.reason == "stream.name" => (Exit::Usage, None),
        ErrorClass::Configuration if cause.reason.starts_with("stream.") => (Exit::Failed, None),
        ErrorClass::Configuration if is_local(cause) => (Exit::Failed, Some("correct the path")),
        ErrorClass::NotFound | ErrorClass::Precondition => (Exit::Failed, None),
        ErrorClass::Transient => {
            (Exit::Failed, Some("the same command may succeed later; nothing that was complete is lost"))
        }
        ErrorClass::Configuration => (
            Exit::Failed,
            Some("correct the location or its settings (`credenza repository|source|destination show NAME`)"),
        ),
        ErrorClass::Denied => (Exit::Failed, Some("give these credentials the right to do that, or use others")),
        ErrorClass::Unsupported if cause.reason == "egress.preview" => {
            (Exit::Failed, Some("that comes first, and only without --dry-run"))
        }
        ErrorClass::Unsupported => (Exit::Failed, None),
        ErrorClass::Corrupt => (
            Exit::Failed,
            Some(
                "something between here and the data answers wrongly; `credenza check` tells whether a repository is whole",
            ),
        ),
        ErrorClass::Exhausted => (Exit::Failed, Some("make room or raise the quota, then run the command again")),
        ErrorClass::Internal => (
            Exit::ContractBroken,
            Some("this is a fault of the connector: report it to its author, or use another version"),
        ),
    }
}

/// Whether the connector for folders says it.
fn is_local(cause: &ConnectError) -> bool {
    cause.reason.starts_with(credenza_connect::file::REASONS)
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let what = error.to_string();
        match error {
            EngineError::Connector { doing, cause } | EngineError::Source { doing, cause } => {
                Self::of_connector(doing, &cause)
            }
            EngineError::NoRepository { .. } => {
                Self::new(what).exit(Exit::NoRepository).hint(
                    "make one: credenza at REPOSITORY create; or if one was deleted from a bucket that keeps versions, read it as it was: credenza -o as_of=TIME at REPOSITORY ls",
                )
            }
            EngineError::RepositoryExists { .. } => {
                Self::new(what).hint("use it as it is, or choose another folder or prefix for a new one")
            }
            EngineError::WrongSecret { .. }
            | EngineError::TooCostly { .. }
            | EngineError::SecretMissing
            | EngineError::StaleSlot { .. }
            | EngineError::NoAccess { .. }
            | EngineError::NotEncrypted
            | EngineError::Format(FormatError::NoAccess { .. } | FormatError::WriterKeyring { .. }) => {
                Self::of_secret(what, &error)
            }
            EngineError::NoSlot { .. }
            | EngineError::LastSlot { .. }
            | EngineError::NotByPassphrase
            | EngineError::SlotsNotRenewable { .. } => Self::of_slots(what, &error),
            EngineError::ConcurrentChange { .. } => {
                Self::new(what).exit(Exit::Conflict).hint("see what is there now, and run the command again")
            }
            EngineError::NoKeys | EngineError::Slot(_) => Self::new(what),
            EngineError::Damage(_) => Self::new(what)
                .exit(Exit::DamageFound)
                .hint("see how far it reaches: credenza at REPOSITORY check --read-data"),
            EngineError::ListingsDisagree { .. }
            | EngineError::MissingSnapshots(_)
            | EngineError::LateListings { .. }
            | EngineError::NewestUnreadable { .. }
            | EngineError::NewestAhead { .. } => Self::of_listing(what, &error),
            EngineError::Unsupported { .. } => Self::new(what).hint("use a newer version of credenza"),
            EngineError::NoSnapshot { .. } => Self::new(what).hint("list the snapshots: credenza at REPOSITORY ls"),
            EngineError::NoEntry { snapshot, .. } => {
                Self::new(what).hint(format!("list what is in it: credenza at REPOSITORY ls {snapshot}"))
            }
            EngineError::NothingIncluded { snapshot, .. } => Self::new(what).hint(format!(
                "list what is in it: credenza at REPOSITORY ls -R {}; a pattern with a / begins at the source",
                brief_id(&snapshot)
            )),
            EngineError::Output { is_closed: true, .. } => Self::new(""),
            EngineError::Output { .. } => Self::new(what).hint("make room where it is written, or write it elsewhere: --output FILE"),
            EngineError::Pattern(_) | EngineError::InvalidTag { .. } => Self::new(what).exit(Exit::Usage),
            EngineError::Conflict { .. } => Self::new(what).exit(Exit::Conflict).hint("run the backup again"),
            EngineError::PlaintextTarget { .. } => Self::new(what)
                .exit(Exit::Usage)
                .hint("if whoever can read that repository may read these snapshots, add --allow-plaintext"),
            EngineError::NotAlike => Self::new(what).exit(Exit::Usage),
            EngineError::LeaseExpired { .. } => {
                Self::new(what).exit(Exit::Conflict).hint("run it again; what was uploaded lately is used")
            }
            EngineError::NoHistory { .. }
            | EngineError::NotReadable { .. }
            | EngineError::MuchExtra { .. }
            | EngineError::NoLock { .. } => Self::of_place(what, &error),
            EngineError::Contended { .. } => Self::new(what).exit(Exit::Conflict).hint("try again later"),
            EngineError::Contract { .. } => Self::new(what).exit(Exit::ContractBroken),
            EngineError::Cancelled => Self::interrupted(),
            EngineError::Unanswered { .. } => Self::new(what).hint(
                "nothing was committed, and what was uploaded or restored stays; when it can be reached again, run the same command again",
            ),
            EngineError::Fruitless { .. } => Self::new(what).hint(
                "nothing was committed, and what was uploaded or restored stays; when it works again, run the same command again (a backup leaves out what --exclude names)",
            ),
            EngineError::Unkept { .. } | EngineError::PacksClosed => Self::new(what).hint(
                "this is a fault of credenza: please report it; run it again, what was uploaded is used then",
            ),
            EngineError::Format(_) | EngineError::Encode { .. } | EngineError::Worker { .. } => Self::new(what),
        }
    }
}

impl From<ConfigurationError> for Failure {
    fn from(error: ConfigurationError) -> Self {
        let failure = Self::new(error.to_string());
        if let Some(path) = error.broken_memory() {
            let path = shell_word(&path.to_string_lossy());
            return failure.hint(format!(
                "correct it with an editor; or move it away, and what is at each location is taken as it is at its next use: mv {path} {path}.broken"
            ));
        }
        match error {
            ConfigurationError::NoFolder => failure.hint("set CREDENZA_CONFIG to a folder"),
            ConfigurationError::File { path, source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                let path = shell_word(&path.to_string_lossy());
                failure.because(source.to_string()).hint(format!(
                    "a run with other rights may have made it, such as one by sudo; take it back: sudo chown $(id -u) {path}"
                ))
            }
            ConfigurationError::File { source, .. } => failure.because(source.to_string()),
            ConfigurationError::Name { .. } => failure.exit(Exit::Usage),
            ConfigurationError::Unknown { kind, name, similar } => failure.exit(Exit::Usage).hint(match similar {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => format!("add it: credenza {kind} add {name} LOCATION"),
            }),
            ConfigurationError::Exists { kind, name } => {
                failure.hint(format!("change it with `credenza {kind} set {name} …`, or remove it first"))
            }
            ConfigurationError::NotSet { kind, name, .. } => {
                failure.hint(format!("see what is set: credenza {kind} show {name}"))
            }
            ConfigurationError::TooLarge { .. }
            | ConfigurationError::Syntax { .. }
            | ConfigurationError::Shape { .. } => failure.hint("correct the file with an editor"),
        }
    }
}

/// As many digits of an id as are shown where it is one of a few.
fn brief_id(id: &SnapshotId) -> String {
    id.to_string().chars().take(8).collect()
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        let said = Self::of(&error);
        match error {
            AppError::Engine(error) => error.into(),
            AppError::Repository { place, source } => {
                Self::from(*source).of_repository(Some(&format!("at {}", label_word(&place))))
            }
            AppError::NoRepository { place, known } => no_repository(said, &place, known.as_ref()),
            AppError::Occupied { place, .. } => said.hint(format!(
                "choose another folder or prefix, such as {}; if a repository is to lie among them, add --beside-others",
                shell_word(&format!("{}/backups", place.location.trim_end_matches('/')))
            )),
            AppError::Swapped(swapped) => {
                let way = way_to_accept(&swapped);
                said.exit(Exit::WrongPassphrase).hint(format!(
                    "somebody may have put it there to read what you back up: do not trust it unless you know better. If it was you who put it in the place of the other: {way}"
                ))
            }
            AppError::NotEncrypted { .. } => said
                .because("what is backed up could be read by whoever can read the location, and somebody may have put it there for that")
                .exit(Exit::WrongPassphrase)
                .hint("if it is meant, add --plaintext once, or set plaintext=true for the repository"),
            AppError::Configuration(error) => error.into(),
            AppError::Place(error) => error.into(),
            AppError::Mistaken(error) => error.into(),
            AppError::Location(error) => error.into(),
            AppError::Keep(KeepError::Unknown { setting, known }) => {
                let near = suggestion(&setting, known.iter().map(String::as_str));
                let hint = near.map_or_else(
                    || format!("known here: {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                said.exit(Exit::Usage).hint(hint)
            }
            AppError::Keep(_) => said.exit(Exit::Usage),
            AppError::Profile(error) => Self::usage(error.to_string()),
            AppError::Login(error) => error.into(),
            AppError::Home(error) => error.into(),
            AppError::SnapshotName(error) => error.into(),
            AppError::Choice(ChoiceError::NoneFits { .. }) => {
                said.hint("see which there are: credenza at REPOSITORY ls")
            }
            AppError::Choice(ChoiceError::ManySources { newest, .. }) => {
                let source = newest.first().map_or("SOURCE", |handle| &handle.snapshot.source.location);
                said.exit(Exit::Usage).hint(format!(
                    "add --source {}, or --host or --path; or name the snapshot by its id",
                    shell_word(source)
                ))
            }
            AppError::NotInSnapshot { snapshot, near: Some(near), .. } => {
                said.hint(format!("did you mean {}:{near}?", brief_id(&snapshot)))
            }
            AppError::NotInSnapshot { snapshot, .. } => {
                said.hint(format!("see what is in it: credenza at REPOSITORY ls {}", brief_id(&snapshot)))
            }
            AppError::FolderSetting { .. } => said.exit(Exit::Usage).hint(
                "a setting of the repository stands before the command: credenza -o KEY=VALUE at REPOSITORY …; one of another location behind it, as --source-option, --destination-option or --other-option",
            ),
            AppError::TrustedSigners(_) => said.exit(Exit::Usage),
            AppError::Connector { doing, cause } => Self::of_connector(doing, &cause),
            AppError::Connectors(error) => error.into(),
            AppError::Load { .. } => said.exit(Exit::ContractBroken),
            AppError::Configure(ConfigureError::Connector(cause)) => {
                Self::of_connector("looking at the settings", &cause)
            }
            AppError::Configure(error) => Self::usage(error.to_string()),
            AppError::Secret(error) => error.into(),
            AppError::Credential(_) => said.exit(Exit::Usage).hint("see what is set: credenza repository|source|destination show NAME"),
            AppError::Passphrase(error) => error.into(),
            AppError::Signing(error) => error.into(),
            AppError::Patterns(error) => error.into(),
            AppError::NoPolicy => said.exit(Exit::Usage).hint(
                "give rules such as --keep-daily 7 --keep-monthly 12, or keep some in the repository with `policy set`",
            ),
            AppError::ExcessivePlan(_) => said.hint("if it is meant, add --force"),
            AppError::Removal(error) => error.into(),
            AppError::Sandbox(_) | AppError::Ask { .. } => said,
        }
    }
}

/// A disk that is not there must not lead to a new repository.
fn no_repository(said: Failure, place: &PlaceLabel, known: Option<&KnownRepository>) -> Failure {
    let word = label_word(place);
    let said = said.exit(Exit::NoRepository);
    match known {
        None => said.hint(format!("make one: credenza at {word} create")),
        Some(known) => said.because(format!("this machine knows one there: {known}")).hint(format!(
            "see that its disk is mounted, or that it is the right server and bucket; only if it is gone for good, make a new one: credenza at {word} create"
        )),
    }
}

/// The command of somebody who has put another repository there.
fn way_to_accept(Swapped { place, expected, found }: &Swapped) -> String {
    let (word, id) = (label_word(place), &found.id);
    match (expected, &place.name) {
        (Expected::Pinned { .. }, Some(name)) => format!("credenza repository set {name} {REPOSITORY_ID} {id}"),
        (Expected::Pinned { .. }, None) => format!("credenza -o {REPOSITORY_ID}={id} at {word} ls"),
        (Expected::Known { takes_another: false, .. }, _) => format!("credenza repository forget {word}"),
        (Expected::Known { takes_another: true, .. }, _) => format!(
            "credenza repository forget {word}; if several take turns there, as disks do, take this one beside the others: credenza -o {REPOSITORY_ID}={id} at {word} ls"
        ),
    }
}

impl From<WebError> for Failure {
    fn from(error: WebError) -> Self {
        let said = Self::of(&error);
        match error {
            WebError::NotLoopback { address } => said.exit(Exit::Usage).hint(format!(
                "listen at this machine, `credenza ui --listen 127.0.0.1:{port}`, and forward the port from the other: ssh -L {port}:127.0.0.1:{port} HOST; or serve others by --host NAME with --tls-cert FILE --tls-key FILE or --behind-proxy",
                port = if address.port() == 0 { 8080 } else { address.port() }
            )),
            WebError::Bind { .. } => said.hint("let the system choose a port: credenza ui"),
            WebError::NoHost => said.exit(Exit::Usage).hint("name it, as browsers write it: --host backup.example.com"),
            WebError::NoUsers => said.hint("add the first: credenza ui user add NAME --role admin"),
            WebError::Users(error) => (*error).into(),
            WebError::Provider { .. } => said.exit(Exit::Usage).hint("give its issuer, as it names itself: --oidc-issuer https://…"),
            WebError::WeakProxySecret { .. } => said.hint("make one: head -c 32 /dev/urandom | base64 > FILE"),
            WebError::Pem { .. } | WebError::Tls { .. } => {
                said.hint("give PEM files of one server: --tls-cert with its chain, --tls-key with the private key")
            }
            WebError::Random(_) => said,
        }
    }
}

impl From<UsersError> for Failure {
    fn from(error: UsersError) -> Self {
        let said = Self::of(&error);
        match error {
            UsersError::File(error) => error.into(),
            UsersError::Name { .. } => said.exit(Exit::Usage),
            UsersError::Unknown { similar: Some(similar), .. } => said.exit(Exit::Usage).hint(format!("did you mean `{similar}`?")),
            UsersError::Unknown { similar: None, .. } => said.exit(Exit::Usage).hint("credenza ui user list"),
            UsersError::Exists { name } => said.hint(format!(
                "for another password: credenza ui user password {name}; for another role: credenza ui user role {name} ROLE"
            )),
            UsersError::Weak(_) => said.hint("take some words that nobody would guess together"),
            UsersError::Proof(_) => said,
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let said = Self::of(&error);
        match error {
            ServeError::Engine(error) => error.into(),
            ServeError::NoFolder { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
                said.hint(format!("mkdir -p {}", shell_word(&path.to_string_lossy())))
            }
            ServeError::NoFolder { .. } => said,
            ServeError::Occupied { path, .. } => said.hint(format!(
                "mount on another folder, or take away what is there: umount {}",
                shell_word(&path.to_string_lossy())
            )),
            ServeError::OverRepository { .. } => {
                said.because("who reads what is mounted would wait for the repository, and the repository for him")
                    .hint("mount on a folder elsewhere, such as one made by: mktemp -d")
            }
            ServeError::NoDevice => said.hint(
                "load the module of the kernel: modprobe fuse; a container needs --device /dev/fuse --cap-add SYS_ADMIN",
            ),
            ServeError::NoHelper => said.hint("install it, on Debian: apt-get install fuse3; or mount as root"),
            ServeError::Refused { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => said.hint(
                "a container needs --device /dev/fuse --cap-add SYS_ADMIN; users can use --allow-other only with user_allow_other in /etc/fuse.conf",
            ),
            ServeError::Refused { .. } | ServeError::BrokenOff { .. } => said,
        }
    }
}

impl From<JobsError> for Failure {
    fn from(error: JobsError) -> Self {
        Self::of_jobs(&error)
    }
}

/// Faults that were found while a file was used.
impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        let said = |problem: &Problem| format!("`{}`: {}; {}", problem.key, problem.what, problem.remedy);
        Self::usage(problems.iter().map(said).collect::<Vec<_>>().join("\n  "))
    }
}

impl From<PlaceError> for Failure {
    fn from(error: PlaceError) -> Self {
        let said = Self::of(&error);
        match error {
            PlaceError::Configuration(error) => error.into(),
            PlaceError::Location(error) => error.into(),
            PlaceError::Home(error) => error.into(),
            PlaceError::NoRepositoryNamed => said.exit(Exit::Usage).hint(
                "write `credenza at REPOSITORY …`, set CREDENZA_REPOSITORY, or choose a default: credenza repository default NAME",
            ),
            PlaceError::NoLocation { kind, name } => {
                said.hint(format!("credenza config {kind} set {name} location LOCATION"))
            }
            PlaceError::LocationIsName { .. } => said.hint("a configured location must be a folder or scheme://…"),
            PlaceError::RelativePath { kind, name, setting, value, .. } => said.exit(Exit::Usage).hint(format!(
                "write the whole path, or begin it with ~/; this does it from the folder that is meant: credenza config {kind} set {name} {setting} {}",
                value.escape_debug()
            )),
            PlaceError::ForeignCommand { open, .. } => {
                said.because("whoever can do that could run commands as you").hint(format!(
                    "look at what it says, then close it: chmod go-w {open}; where it belongs to somebody else: chown $(id -u) {open}",
                    open = open.display()
                ))
            }
            PlaceError::NotBoolean { .. } | PlaceError::Unresolved { .. } => said.exit(Exit::Usage),
        }
    }
}

impl From<NoLogin> for Failure {
    fn from(error: NoLogin) -> Self {
        let said = Self::of(&error);
        match error {
            NoLogin::Unknown { similar: Some(similar), .. } => {
                said.exit(Exit::Usage).hint(format!("did you mean `{similar}`?"))
            }
            NoLogin::Unknown { name, .. } => {
                let name = shell_word(&name);
                said.exit(Exit::Usage).hint(format!("make it first: credenza source add {name} LOCATION"))
            }
            NoLogin::Ambiguous { name, kinds } => {
                let kind = kinds.first().map_or("source", |kind| kind.name());
                said.exit(Exit::Usage).hint(format!("say which: credenza login {name} --kind {kind}"))
            }
            NoLogin::Folder { .. } => said.exit(Exit::Usage),
            NoLogin::Elsewhere { kind, name, setting } => said
                .exit(Exit::Usage)
                .hint(format!("let the configuration keep it: credenza config {kind} unset {name} {setting}")),
            NoLogin::Failed(error) => said.of_login(error),
        }
    }
}

impl From<MistakenError> for Failure {
    fn from(error: MistakenError) -> Self {
        let said = Self::of(&error);
        match error {
            MistakenError::Configuration(error) => error.into(),
            MistakenError::Location(error) => error.into(),
            MistakenError::Word { word, meant } => said.exit(Exit::Usage).hint(format!(
                "did you mean {}? A new folder of that name is {}",
                meant_word(&meant),
                shell_word(&format!("./{word}"))
            )),
        }
    }
}

/// How that is written which was meant.
fn meant_word(meant: &Meant) -> String {
    match meant {
        Meant::Scheme(scheme) => format!("a location such as {scheme}://…"),
        Meant::Name { name, kind } => format!("@{name}, the {kind} in the configuration"),
        Meant::Location { location, without_tls } => {
            let setting = if *without_tls { " with the setting use_tls=false" } else { "" };
            format!("{}{setting}", shell_word(location))
        }
    }
}

impl From<ConnectorsError> for Failure {
    fn from(error: ConnectorsError) -> Self {
        let said = Self::of(&error);
        match error {
            ConnectorsError::Lock(error) => Self::from(error),
            ConnectorsError::File { source, .. } => match source {
                ComponentFault::Manifest(_) | ComponentFault::Load(_) => said.exit(Exit::ContractBroken),
                ComponentFault::Signature | ComponentFault::Digest { .. } => {
                    said.hint("get it again from where its publisher offers it")
                }
                ComponentFault::File(_) => said,
            },
            ConnectorsError::Unknown { .. } => {
                said.hint(format!("see what there is: credenza connector list; {}", way_to_add()))
            }
            ConnectorsError::NothingServes { scheme, served } => {
                let near = suggestion(&scheme, served.iter().map(String::as_str));
                let way = way_to_add();
                said.hint(match (near, served.as_slice()) {
                    (Some(near), _) => format!("did you mean {near}://…? Else {way}"),
                    (None, []) => way,
                    (None, served) => format!("served here: {}://; for others, {way}", served.join("://, ")),
                })
            }
            ConnectorsError::Ambiguous { .. } => said.exit(Exit::Usage).hint("choose one with the setting connector=NAME"),
            ConnectorsError::Unpinned { path, .. } => {
                let path = shell_word(&path.to_string_lossy());
                said.exit(Exit::Usage).hint(format!(
                    "see what it asks for, and agree: credenza connector install {path}; or for one run: --connector {path} --allow-unpinned"
                ))
            }
            ConnectorsError::Changed { name, .. } => said.hint(format!(
                "somebody has changed the file: do not run it; remove it (credenza connector remove {name}) and install it from where it came"
            )),
            ConnectorsError::EmbeddedName { .. } => said
                .exit(Exit::Usage)
                .hint("to let this one go before it, say --override; what is part of the program comes back with `connector remove`"),
            ConnectorsError::Publisher { name, .. } => said.hint(format!(
                "ask the publisher whether the key has changed; if so, agree to it again: credenza connector remove {name}, then install it again"
            )),
            ConnectorsError::OtherName { .. } => said.exit(Exit::Usage).hint("a connector of another name is installed beside: credenza connector install"),
            ConnectorsError::NoDigest { .. } => said
                .exit(Exit::Usage)
                .hint("end it with #sha256= and the 64 digits that its publisher prints, so that it does not matter who sends it"),
            ConnectorsError::NotInEscrow { .. } => {
                said.hint("see which connector read a snapshot: credenza at REPOSITORY --json info SNAPSHOT")
            }
            ConnectorsError::Download { .. } => said.hint("download it in another way, and install the file"),
            ConnectorsError::Reference(_) => said.exit(Exit::Usage).hint("it is oci://SERVER/REPOSITORY:TAG, such as oci://ghcr.io/me/shop:1.0.0"),
            ConnectorsError::Registry { reference, source, .. } => said.of_registry(&reference.server, &source),
            ConnectorsError::NoLogin { .. } => said
                .exit(Exit::Usage)
                .hint("write NAME:PASSWORD into a file that only you can read, and name it with --login-file FILE"),
            ConnectorsError::LoginFile { .. } => said,
            ConnectorsError::Meanwhile { .. } => said.exit(Exit::Conflict).hint("do the same again, if it is still wanted"),
            ConnectorsError::Embedded(_) | ConnectorsError::Folder { .. } => said,
        }
    }
}

fn way_to_add() -> String {
    let bare = match Connectors::is_built_bare() {
        true => "; this credenza was built without any, see `cargo xtask guests`",
        false => "",
    };
    format!(
        "add one: credenza connector install FILE, or name one for one run: --connector FILE --allow-unpinned{bare}"
    )
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let said = Self::of(&error);
        match error {
            SecretError::Passphrase(error) => error.into(),
            SecretError::NoIdentity { .. } => said.hint("make one: credenza key generate FILE"),
            SecretError::RecoveryCode(_) => said.exit(Exit::WrongPassphrase).hint("type it as it is written down"),
            SecretError::Read { .. } | SecretError::Write { .. } => said,
        }
    }
}

impl From<PassphraseError> for Failure {
    fn from(error: PassphraseError) -> Self {
        let said = Self::of(&error);
        match error {
            PassphraseError::Weak(why) => {
                let way = if why == Weakness::NotText { "; random bytes are for --key-file" } else { "" };
                said.because(format!("{why}{way}"))
                    .hint("choose a longer one, for example six random words, or insist with --weak-passphrase")
            }
            _ => said,
        }
    }
}

impl From<SigningError> for Failure {
    fn from(error: SigningError) -> Self {
        let said = Self::of(&error);
        match error {
            SigningError::Exists { .. } => {
                said.hint("choose another file: whoever trusts the old key would not trust a new one")
            }
            _ => said,
        }
    }
}

impl From<PatternsError> for Failure {
    fn from(error: PatternsError) -> Self {
        let said = Self::of(&error);
        match error {
            PatternsError::Read { .. } => said,
            PatternsError::NotText { .. } => said
                .exit(Exit::Usage)
                .hint("save the file as UTF-8; names that are not text may stand in it as the bytes that they are"),
            PatternsError::Word(_) | PatternsError::Line { .. } | PatternsError::TooLarge { .. } => {
                said.exit(Exit::Usage)
            }
        }
    }
}

impl From<PathListError> for Failure {
    fn from(error: PathListError) -> Self {
        let said = Self::of(&error);
        match error {
            PathListError::Read { .. } => said,
            PathListError::TooLarge { .. } | PathListError::Empty { .. } => said.exit(Exit::Usage),
        }
    }
}

impl From<RemovalError> for Failure {
    fn from(error: RemovalError) -> Self {
        match &error {
            RemovalError::Unrecorded { place, reason, .. } => {
                Self::new(format!("{error}: `maintain`, `prune` and `audit` will miss them")).because(reason).hint(format!(
                    "put it on record as soon as there is room: credenza at {} repair --drop-snapshots --apply; then run this again if more was to go",
                    label_word(place)
                ))
            }
            RemovalError::Refused { reason, .. } => Self::new(error.to_string()).because(reason),
        }
    }
}

impl From<LocationError> for Failure {
    fn from(error: LocationError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<InvalidSnapshotName> for Failure {
    fn from(error: InvalidSnapshotName) -> Self {
        Self::usage(format!("{error} as `credenza ls` shows it"))
    }
}

impl From<InvalidRecipientKey> for Failure {
    fn from(error: InvalidRecipientKey) -> Self {
        Self::usage(error.to_string()).hint("make a key pair: credenza key generate FILE")
    }
}

/// Standard output that cannot be written: silent when the reader has simply gone, as in `credenza ls | head`.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(""),
            _ => Self::new("standard output cannot be written").because(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_for_credentials_where_a_folder_refuses() {
        let hint = |reason: &str| {
            let cause = ConnectError::new(ErrorClass::Denied, reason, "cannot write `/mnt/x`: permission denied");
            Failure::of_connector("writing", &cause).hint.unwrap()
        };
        assert!(hint("file.denied").contains("ls -ld") && !hint("file.denied").contains("give these credentials"));
        assert!(hint("s3.access-denied").contains("credentials"));
    }

    #[test]
    fn each_failure_that_scripts_tell_apart_has_its_exit_code() {
        let place = || "x".to_owned();
        let connector = |class| EngineError::Connector { doing: place(), cause: ConnectError::new(class, "r", "m") };
        let cases = [
            (EngineError::NoRepository { place: place() }, 10),
            (EngineError::Conflict { packs: 1 }, 11),
            (
                EngineError::WrongSecret {
                    secret: credenza_format::SlotKind::Passphrase,
                    slots: 1,
                    damaged: Vec::new(),
                },
                12,
            ),
            (EngineError::NoAccess { what: "snapshot" }, 12),
            (EngineError::ConcurrentChange { what: "the config" }, 11),
            (EngineError::SecretMissing, 12),
            (EngineError::Contract { what: place() }, 21),
            (connector(ErrorClass::Internal), 21),
            (connector(ErrorClass::Denied), 1),
            (EngineError::Cancelled, 130),
        ];
        for (error, code) in cases {
            let shown = error.to_string();
            assert_eq!(Failure::from(error).exit as i32, code, "{shown}");
        }
    }
}
