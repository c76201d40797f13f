//! What a person does about an error of the engine.

use credenza_engine::Error as EngineError;
use credenza_format::Error as FormatError;

use super::{Exit, Failure, brief_id};

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
            EngineError::Remains { .. } => Self::new(what).exit(Exit::DamageFound).hint(
                "nothing was written; put `config` back from a copy of that repository, or as the bucket kept it (-o as_of=TIME), or choose another folder or prefix for a new one",
            ),
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
            EngineError::Unshardable { .. }
            | EngineError::NoGroup { .. }
            | EngineError::PartsMissing { .. }
            | EngineError::PartsApart { .. }
            | EngineError::KeysDiffer => Self::of_parts(what, &error),
            EngineError::NoSnapshot { .. }
            | EngineError::NoEntry { .. }
            | EngineError::NothingIncluded { .. }
            | EngineError::Unpinned { .. } => Self::of_choice(what, &error),
            EngineError::Unanswered { .. }
            | EngineError::Fruitless { .. }
            | EngineError::Unkept { .. }
            | EngineError::PacksClosed
            | EngineError::CarriedByOther { .. }
            | EngineError::LeaseExpired { .. }
            | EngineError::Format(_) => Self::of_end(what, &error),
            EngineError::Unsupported { .. } => Self::new(what).hint("use a newer version of credenza"),
            EngineError::Output { is_closed: true, .. } => Self::new(""),
            EngineError::Output { .. } => Self::new(what).hint("make room where it is written, or write it elsewhere: --output FILE"),
            EngineError::Pattern(_) | EngineError::InvalidTag { .. } => Self::new(what).exit(Exit::Usage),
            EngineError::Conflict { .. } => Self::new(what).exit(Exit::Conflict).hint("run the backup again"),
            EngineError::PlaintextTarget { .. } => Self::new(what)
                .exit(Exit::Usage)
                .hint("if whoever can read that repository may read these snapshots, add --allow-plaintext"),
            EngineError::NotAlike | EngineError::OwnReplica { .. } => Self::new(what).exit(Exit::Usage),
            EngineError::IsReplica { .. }
            | EngineError::ReplicaOfAnother { .. }
            | EngineError::Promoted { .. }
            | EngineError::NoReplica { .. }
            | EngineError::OwnSnapshots { .. } => Self::of_role(what, &error),
            EngineError::NoHistory { .. }
            | EngineError::NotReadable { .. }
            | EngineError::MuchExtra { .. }
            | EngineError::NoLock { .. } => Self::of_place(what, &error),
            EngineError::Contended { .. } => Self::new(what).exit(Exit::Conflict).hint("try again later"),
            EngineError::Contract { .. } => Self::new(what).exit(Exit::ContractBroken),
            EngineError::Cancelled => Self::interrupted(),
            EngineError::Encode { .. } | EngineError::Worker { .. } => Self::new(what),
        }
    }
}

impl Failure {
    /// Of what several processes share.
    fn of_parts(what: String, error: &EngineError) -> Self {
        match error {
            EngineError::Unshardable { .. } => Self::new(what)
                .exit(Exit::Usage)
                .hint("leave --shard out: one process backs it up"),
            EngineError::KeysDiffer => Self::new(what).exit(Exit::Usage).hint(
                "leave --shard out, or let each process carry the snapshots of another source: credenza at REPOSITORY sync to OTHER --source SOURCE",
            ),
            EngineError::NoGroup { .. } => {
                Self::new(what).exit(Exit::Usage).hint("see which groups wait: credenza at REPOSITORY merge --list")
            }
            EngineError::PartsMissing { missing, of, .. } => Self::new(what).exit(Exit::Conflict).hint(format!(
                "run what is missing, and then the merge again: the same `backup` with --shard {}/{of}",
                missing.first().copied().unwrap_or_default()
            )),
            EngineError::PartsApart { number, of, .. } => Self::new(what).exit(Exit::Conflict).hint(format!(
                "run that part again, which then begins and ends where the others do, and then the merge: the same `backup` with --shard {number}/{of}"
            )),
            _ => Self::new(what),
        }
    }

    /// Of what was meant and is not there.
    fn of_choice(what: String, error: &EngineError) -> Self {
        match error {
            EngineError::NoSnapshot { .. } => Self::new(what).hint("list the snapshots: credenza at REPOSITORY ls"),
            EngineError::NoEntry { snapshot, .. } => {
                Self::new(what).hint(format!("list what is in it: credenza at REPOSITORY ls {snapshot}"))
            }
            EngineError::NothingIncluded { snapshot, .. } => Self::new(what).hint(format!(
                "list what is in it: credenza at REPOSITORY ls -R {}; a pattern with a / begins at the source",
                brief_id(snapshot)
            )),
            EngineError::Unpinned { .. } => {
                Self::new(what).hint("see which snapshots there are: credenza at REPOSITORY ls")
            }
            _ => Self::new(what),
        }
    }

    /// Of a run that ended before it had done all.
    fn of_end(what: String, error: &EngineError) -> Self {
        match error {
            EngineError::Unanswered { .. } => Self::new(what).hint(
                "nothing was committed, and what was uploaded or restored stays; when it can be reached again, run the same command again",
            ),
            EngineError::Fruitless { .. } => Self::new(what).hint(
                "nothing was committed, and what was uploaded or restored stays; when it works again, run the same command again (a backup leaves out what --exclude names)",
            ),
            EngineError::Unkept { .. } | EngineError::PacksClosed => Self::new(what).hint(
                "this is a fault of credenza: please report it; then run the same command again, which uses what was uploaded",
            ),
            EngineError::CarriedByOther { .. } => {
                Self::new(what).exit(Exit::Conflict).hint("run it again when the other has ended")
            }
            EngineError::LeaseExpired { .. } => {
                Self::new(what).exit(Exit::Conflict).hint("run it again; what was uploaded lately is used")
            }
            EngineError::Format(FormatError::Scratch { .. }) => Self::new(what).hint(
                "a long index takes 52 bytes a chunk on disk while a command runs: set CREDENZA_CACHE or TMPDIR to a folder with room that can be written",
            ),
            _ => Self::new(what),
        }
    }
}
