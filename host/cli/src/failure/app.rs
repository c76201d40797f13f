//! What a person does about an error of configuration, places, connectors and secrets.

use credenza_app::passphrase::{PassphraseError, Weakness};
use credenza_app::patterns::PatternsError;
use credenza_app::remove::RemovalError;
use credenza_app::secret::SecretError;
use credenza_app::shell::{label_word, shell_word};
use credenza_app::signing::SigningError;
use credenza_app::{
    ChoiceError, ComponentFault, ConfigurationError, Connectors, ConnectorsError, Error as AppError, Expected,
    HomeError, InvalidSnapshotName, KeepError, KnownRepository, LocationError, Meant, MistakenError, NoLogin,
    PathListError, PlaceError, PlaceLabel, REPOSITORY_ID, Swapped, suggestion,
};
use credenza_format::InvalidRecipientKey;
use credenza_sandbox::ConfigureError;

use super::{Exit, Failure, brief_id};

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
            AppError::Choice(error) => undecided(said, &error),
            AppError::NotInSnapshot { snapshot, near: Some(near), .. } => {
                said.hint(format!("did you mean {}:{near}?", brief_id(&snapshot)))
            }
            AppError::NotInSnapshot { snapshot, .. } => {
                said.hint(format!("see what is in it: credenza at REPOSITORY ls {}", brief_id(&snapshot)))
            }
            AppError::FolderSetting { .. } => said.exit(Exit::Usage).hint(
                "write a setting of the repository before `at`: credenza -o KEY=VALUE at REPOSITORY …; write one of another location behind the command: --source-option, --destination-option or --other-option KEY=VALUE",
            ),
            AppError::TrustedSigners(_) => said.exit(Exit::Usage),
            AppError::Prices(_) => said.hint("correct the file with an editor, or move it away: the program has a table of its own"),
            AppError::NoPrice { .. } => said
                .exit(Exit::Usage)
                .hint("bound requests or bytes instead, or write the price of the place into prices.toml in the folder of the configuration"),
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
            AppError::Bootstrap(error) => error.into(),
            AppError::NoPolicy => said.exit(Exit::Usage).hint(
                "give rules such as --keep-daily 7 --keep-monthly 12, or keep some in the repository with `policy set`",
            ),
            AppError::SameRepository { .. } => said.exit(Exit::Usage).hint("name another repository as the target"),
            AppError::NoPolicyAt { repository } => said.exit(Exit::Usage).hint(format!(
                "give it one: credenza at {} policy set --keep-daily 7; or write keep = \"all\", or its own rules, for the target",
                shell_word(&repository)
            )),
            AppError::ExcessivePlan(_) => said.hint("if it is meant, add --force"),
            AppError::Circle(_) => said.hint("take one of them out of the file, or name another target"),
            AppError::Acknowledge(_) => said.hint("see which are suspect: credenza jobs acknowledge"),
            AppError::Removal(error) => error.into(),
            AppError::Sandbox(_) | AppError::Ask { .. } => said,
        }
    }
}

/// Which snapshot is meant cannot be told.
fn undecided(said: Failure, error: &ChoiceError) -> Failure {
    match error {
        ChoiceError::NoneFits { .. } => said.hint("see which there are: credenza at REPOSITORY ls"),
        ChoiceError::ManySources { newest, .. } => {
            let source = newest.first().map_or("SOURCE", |handle| &handle.snapshot.source.location);
            said.exit(Exit::Usage).hint(format!(
                "add --source {}, or --host or --path; or name the snapshot by its id",
                shell_word(source)
            ))
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
            PlaceError::ForeignCommand { open, .. } => said.open_to_others(&open),
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
                .hint("to use this one in its place, add --override; `connector remove` brings back the one that is part of the program"),
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
