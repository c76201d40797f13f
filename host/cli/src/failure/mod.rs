//! From any crate's error to what a person needs: what failed, why, one hint, and one exit code.
//!
//! Owned here: the exit codes and the mapping. Refused here: printing (`report`).

mod app;
mod engine;
mod faces;

use std::path::Path;

use credenza_app::LoginError;
use credenza_app::jobs::{HookError, JobsError};
use credenza_app::shell::shell_word;
use credenza_connect::wrap::OVER_BUDGET;
use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_engine::Error as EngineError;
use credenza_model::SnapshotId;
use credenza_sandbox::RegistryError;

/// How the program ends. The numbers are promised to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// Done, but some entries could not be read or written.
    Incomplete = 3,
    /// Ended early, in good order, because it may spend no more.
    BudgetSpent = 4,
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

    /// The same, with the two repositories between which snapshots go in the commands that it suggests.
    pub(crate) fn of_target(self, origin: &str, target: &str) -> Self {
        let named = |hint: String| {
            let hint =
                hint.replace("at TARGET", &format!("at {target}")).replace("from TARGET", &format!("from {target}"));
            hint.replace("to ORIGIN", &format!("to {origin}")).replace("at ORIGIN", &format!("at {origin}"))
        };
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

    /// A file with commands that others can change.
    fn open_to_others(self, open: &Path) -> Self {
        self.because("whoever can do that could run commands as you").hint(format!(
            "look at what it says, then close it: chmod go-w {open}; where it belongs to somebody else: chown $(id -u) {open}",
            open = open.display()
        ))
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
            JobsError::ForeignCommand { open, .. } => said.open_to_others(open),
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
                said.hint("an option such as --passphrase-file goes before CREDENZA_PASSPHRASE, and that before the configuration; see what opens it: credenza at REPOSITORY key list")
            }
            EngineError::TooCostly { .. } => said.hint(
                "see which keys there are: credenza at REPOSITORY key list; delete those that none of you has made from `key/` and `copy/key/` in the store, or open it with --key-file or --identity",
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
                "restore to a folder for --verify and --delete: what is in a bucket is neither listed nor read again, and the bucket verifies each object by its checksum when it takes it",
            ),
            EngineError::MuchExtra { .. } => said.hint("look at them with --dry-run -v; if the folder and the snapshot are the right ones, add --force"),
            EngineError::NoLock { .. } => said.hint(
                "leave --retain out, or make a new bucket with Object Lock: it cannot be added by credenza",
            ),
            _ => said,
        }
    }

    /// A replica takes snapshots from its origin alone.
    fn of_role(what: String, error: &EngineError) -> Self {
        let said = Self::new(what).exit(Exit::Conflict);
        match error {
            EngineError::IsReplica { .. } => said.hint(
                "do it at the origin; if that is lost for good, make this repository one of its own: credenza at REPOSITORY promote",
            ),
            EngineError::ReplicaOfAnother { .. } => said.hint(
                "carry them to a repository of their own; if the target's origin is lost for good, promote it first: credenza at TARGET promote",
            ),
            EngineError::Promoted { .. } => {
                said.hint("bring what it has got since to its old origin: credenza at ORIGIN sync from TARGET")
            }
            EngineError::OwnSnapshots { .. } => said.hint(
                "replicate to a repository without snapshots of its own; or bring these to the origin first: credenza at TARGET sync to ORIGIN",
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
                "take the newest that can be read with --or-older, or see how far it reaches: credenza at REPOSITORY check; if no copy has that snapshot any more, put that on record: credenza at REPOSITORY repair --drop-snapshots --apply",
            ),
            EngineError::NewestAhead { snapshot, .. } => said.hint(format!(
                "if this machine's clock is behind, set it; if not, the store's clock was ahead when that snapshot was made: take the newest of the others with --or-older, name the one that you want (see credenza at REPOSITORY ls), or remove it: credenza at REPOSITORY rm {snapshot}"
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
                "this machine refuses it, so that no credentials help: see who owns the folder and who may write there (`ls -ld`), and whether the disk is mounted read-only (`findmnt -T`)",
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
        ErrorClass::Internal if cause.reason == OVER_BUDGET => (Exit::BudgetSpent, None),
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

/// As many digits of an id as are shown where it is one of a few.
fn brief_id(id: &SnapshotId) -> String {
    id.to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use credenza_engine::Error as EngineError;

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
