//! What can go wrong in a run, with the names, ids and sizes that a person needs.

use credenza_connect::wrap::OVER_BUDGET;
use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_format::{Hex, SlotError, SlotKind};
use credenza_model::{ChunkId, ObjectId, RepositoryId, SnapshotId, StoreKey, Timestamp};

/// The result of the engine's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Texts that a message repeats.
const QUOTED_MAX: usize = 5;

/// What is backed up, as the side of a run that answers or does not.
pub(crate) const SOURCE: &str = "source";

/// A run that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A connector failed in a way that the run cannot survive.
    #[error("{doing} failed: {cause}")]
    Connector {
        /// What was being done, and to what: "reading `data/0a/…` of the repository".
        doing: String,
        /// The connector's own account.
        cause: ConnectError,
    },
    /// What is backed up failed in a way that its backup cannot survive; the repository is none the worse, nor are other sources.
    #[error("{doing} failed: {cause}")]
    Source {
        /// What was being done.
        doing: String,
        /// The connector's own account.
        cause: ConnectError,
    },
    /// There is no repository at the location.
    #[error("there is no repository in {place}")]
    NoRepository {
        /// The store.
        place: String,
    },
    /// There is one already.
    #[error("there is a repository in {place} already")]
    RepositoryExists {
        /// The store.
        place: String,
    },
    /// There is no config, and there are objects that only a repository has: it was one.
    #[error("{place} holds no `config`, but `{example}`: it is what is left of a repository")]
    Remains {
        /// The store.
        place: String,
        /// One of them.
        example: StoreKey,
    },
    /// The secret given opens no key of the repository.
    #[error("the {secret} opens no key of the repository ({slots} of its keys open with one{})", and_damaged(damaged))]
    WrongSecret {
        /// What was given.
        secret: SlotKind,
        /// How many key slots were tried.
        slots: usize,
        /// Names of those that are damaged, so that nobody knows what would open them.
        damaged: Vec<String>,
    },
    /// More would have to be spent on a passphrase than anybody's own slots cost.
    #[error(
        "the passphrase opens none of the {tried} key slots that were tried, and trying the {left} others would cost more than is spent on a repository that is not unlocked yet: somebody may have put them there for that"
    )]
    TooCostly {
        /// Slots that were tried.
        tried: usize,
        /// Slots that were not.
        left: usize,
    },
    /// A snapshot was removed before what it needs could be kept.
    #[error("snapshot {snapshot} was removed before what it needs could be kept")]
    Unpinned {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The secret is right and its slot was left behind by a rotation.
    #[error("key slot `{label}` ({slot}) was written before the keys were rotated and does not know the new ones")]
    StaleSlot {
        /// The slot.
        slot: ObjectId,
        /// Its label.
        label: String,
    },
    /// The keys are a writer's and that needs a reader's.
    #[error("these keys may add and not read: a {what} is beyond them")]
    NoAccess {
        /// What was to be opened or made, in the singular, without an article.
        what: &'static str,
    },
    /// The repository is in plain text.
    #[error("the repository is in plain text and has no keys")]
    NoKeys,
    /// No key slot, or more than one, has the id.
    #[error("{reason}")]
    NoSlot {
        /// The sentence for a person.
        reason: String,
    },
    /// Without this key slot nobody could read the repository.
    #[error("key slot {slot} is the last that gives full access: without it nobody can read the repository")]
    LastSlot {
        /// The slot, described.
        slot: String,
    },
    /// A passphrase is to be changed, and something else opened the repository.
    #[error("the repository was not opened with a passphrase, so there is none to change")]
    NotByPassphrase,
    /// A rotation would leave key slots behind that open nothing.
    #[error("these key slots cannot be renewed without their secrets: {slots}")]
    SlotsNotRenewable {
        /// The slots, described.
        slots: String,
    },
    /// Somebody else changed the same thing meanwhile.
    #[error("{what} was changed by somebody else at the same time")]
    ConcurrentChange {
        /// What.
        what: &'static str,
    },
    /// A key slot cannot be made.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The repository is encrypted and no secret was given.
    #[error("the repository is encrypted and no passphrase or other secret was given")]
    SecretMissing,
    /// A secret was given and the repository is in plain text.
    #[error(
        "a secret was given, and the repository is in plain text: either none is needed, or somebody who can write to the store put another config in place of the real one"
    )]
    NotEncrypted,
    /// An object of the repository is not what it must be.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// A repository of a format that this build does not know.
    #[error("the repository cannot be read by this version: {reason}")]
    Unsupported {
        /// What is unknown.
        reason: String,
    },
    /// Something could not be encoded: a bug or an absurd input.
    #[error("{doing} failed: {cause}")]
    Encode {
        /// What was being encoded.
        doing: String,
        /// Why that was impossible.
        cause: String,
    },
    /// A text that can be no tag.
    #[error("a tag of {bytes} bytes is none: it has 1 to {bytes_max}")]
    InvalidTag {
        /// How long it is.
        bytes: usize,
        /// How long a tag may be.
        bytes_max: usize,
    },
    /// A codec refused what the engine gave it.
    #[error(transparent)]
    Format(#[from] credenza_format::Error),
    /// A restore was to be of what patterns include, and they include nothing.
    #[error("nothing in snapshot {snapshot} matches {}", quoted(patterns))]
    NothingIncluded {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The patterns, as they were written.
        patterns: Vec<String>,
    },
    /// No snapshot, or more than one, has the name.
    #[error("{reason}")]
    NoSnapshot {
        /// The sentence for a person.
        reason: String,
    },
    /// A source that many processes cannot share.
    #[error("{source_name} cannot be backed up in shards: {reason}")]
    Unshardable {
        /// The source's identity.
        source_name: String,
        /// Why.
        reason: String,
    },
    /// No group of parts, or more than one, is meant.
    #[error("nothing is merged: {reason}")]
    NoGroup {
        /// The sentence for a person.
        reason: String,
    },
    /// Parts of a group are not there.
    #[error("nothing is merged: of the {of} parts of group {group} {} are not there: {}", missing.len(), numbers(missing))]
    PartsMissing {
        /// The group.
        group: Hex<[u8; 16]>,
        /// The numbers of those that are not there, from 0.
        missing: Vec<u32>,
        /// How many there are to be.
        of: u32,
    },
    /// A part does not begin where the one before ends, or does not end where the source does.
    #[error(
        "nothing is merged: part {number} of {of} of group {group} does not meet the parts beside it, because the source or its newest snapshot changed while they began"
    )]
    PartsApart {
        /// The group.
        group: Hex<[u8; 16]>,
        /// The number of the part, from 0.
        number: u32,
        /// How many there are.
        of: u32,
    },
    /// A snapshot that may be newer than the one that is meant cannot be read, and an older one was not asked for.
    #[error("a snapshot cannot be read, and nothing proves that it is not the newest: {damage}")]
    NewestUnreadable {
        /// What is wrong with it.
        damage: Damage,
    },
    /// Which snapshot is the newest hangs on a date after now, and an older one was not asked for.
    #[error(
        "nobody can tell which snapshot is the newest: {snapshot} is dated {dated}, and by the clock of this machine it is {now}"
    )]
    NewestAhead {
        /// The one that is dated after now, of several the last.
        snapshot: SnapshotId,
        /// When it was made, by the clock of the store at that time, to the second.
        dated: Timestamp,
        /// What is now, to the second.
        now: Timestamp,
    },
    /// The key is not in the snapshot.
    #[error("snapshot {snapshot} holds nothing at or under `{key}`")]
    NoEntry {
        /// The snapshot's id.
        snapshot: String,
        /// The key asked for.
        key: String,
    },
    /// What was asked for cannot be written out.
    #[error("the archive cannot be written: {reason}")]
    Output {
        /// What the system says.
        reason: String,
        /// Whether the reader has simply gone.
        is_closed: bool,
    },
    /// A pattern can match nothing.
    #[error(transparent)]
    Pattern(#[from] credenza_connect::InvalidPattern),
    /// Versions can only be replayed where every version is kept.
    #[error("{destination} does not keep versions, so that each would replace the one before")]
    NoHistory {
        /// Where they were to be written.
        destination: String,
    },
    /// A destination does not give back what it holds.
    #[error("{destination} cannot be {action}")]
    NotReadable {
        /// Where it was to be read.
        destination: String,
        /// What for, as the rest of a sentence.
        action: &'static str,
    },
    /// More would have been removed than anybody is likely to mean.
    #[error(
        "{extra} of the {all} entries in {destination} are not in the snapshot and would be removed; nothing was done"
    )]
    MuchExtra {
        /// Where they are.
        destination: String,
        /// Those that are not in the snapshot.
        extra: u64,
        /// All that are there.
        all: u64,
    },
    /// A concurrent prune took data that this run relied on.
    #[error(
        "{packs} packs that this backup relied on were condemned by a prune that ran at the same time; nothing was committed and nothing is lost"
    )]
    Conflict {
        /// How many packs.
        packs: usize,
    },
    /// Snapshots of an encrypted repository would be readable by anyone in the other.
    #[error("the snapshots are encrypted where they are, and {place} is a repository in plain text")]
    PlaintextTarget {
        /// The store of the repository in plain text.
        place: String,
    },
    /// A replica takes snapshots from its origin alone.
    #[error("this repository is a replica of {origin}: {what} is for its replication to do; nothing was done")]
    IsReplica {
        /// The origin.
        origin: RepositoryId,
        /// What was refused, as in "removing snapshots".
        what: &'static str,
    },
    /// Another run carries the same snapshot and has not committed it yet.
    #[error(
        "another run carries snapshot {snapshot} to the same repository at this moment; what was carried before stays"
    )]
    CarriedByOther {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Several processes were to carry snapshots together, and the keys of the repositories differ.
    #[error(
        "several processes cannot carry snapshots together to a repository with other keys, where all that is carried is encrypted anew and the trees are made again; nothing was carried"
    )]
    KeysDiffer,
    /// Snapshots of one repository were to go to the replica of another.
    #[error(
        "the target is a replica of repository {origin}, and these snapshots are from {other}; nothing was carried"
    )]
    ReplicaOfAnother {
        /// Its origin.
        origin: RepositoryId,
        /// Where the snapshots are from.
        other: RepositoryId,
    },
    /// A replica was promoted: it is on its own.
    #[error("it was a replica of repository {origin} and was promoted at {at}: it takes nothing from there since")]
    Promoted {
        /// What was its origin.
        origin: RepositoryId,
        /// When, by the clock of the machine that did it.
        at: Timestamp,
    },
    /// A repository that is no replica was to be promoted.
    #[error("repository {repository} is no replica: it takes backups already")]
    NoReplica {
        /// The repository.
        repository: RepositoryId,
    },
    /// A repository with snapshots of its own was to become a replica.
    #[error(
        "the target cannot be a replica of {origin}: {snapshots} of its snapshots are its own, and a replica takes no backups; nothing was changed"
    )]
    OwnSnapshots {
        /// Which was to be its origin.
        origin: RepositoryId,
        /// How many snapshots it has that the origin lacks.
        snapshots: u64,
    },
    /// A repository was to be a replica of itself.
    #[error("origin and target are one repository, {repository}")]
    OwnReplica {
        /// The repository.
        repository: RepositoryId,
    },
    /// Two repositories cannot have the same ids for the same content.
    #[error("a repository in plain text and an encrypted one cannot be alike")]
    NotAlike,
    /// The run took longer than collectors leave its data alone.
    #[error(
        "the run has taken longer than {days} days, by the clock of this machine: what others do no longer waits for it; nothing was committed or deleted"
    )]
    LeaseExpired {
        /// How many days a run may take.
        days: u64,
    },
    /// Others changed the repository faster than it could be read.
    #[error("{what} changed each time that it was read: too much else is at work in this repository")]
    Contended {
        /// What was being read.
        what: String,
    },
    /// One listing of the store leaves out what is there.
    #[error(
        "two listings of `{folder}` in the store disagree: `{key}` is there, and one of them leaves it out; nothing was deleted"
    )]
    ListingsDisagree {
        /// What was listed.
        folder: String,
        /// What was left out.
        key: StoreKey,
    },
    /// Snapshots are gone without a record of their removal: whoever deletes by what is left might take the last that their data hangs on.
    #[error("{0}; nothing was deleted")]
    MissingSnapshots(Damage),
    /// The store may list late what was written, so that nobody can tell what is needed.
    #[error("{place} does not promise to list what was written at once, so that nothing can be deleted there safely")]
    LateListings {
        /// The store.
        place: String,
    },
    /// The store cannot lock objects as the repository is to.
    #[error("the store cannot lock objects against deletion: {reason}")]
    NoLock {
        /// Why not.
        reason: String,
    },
    /// A source broke its contract.
    #[error("the source broke its contract: {what}")]
    Contract {
        /// What it did.
        what: String,
    },
    /// One side has gone silent, so that it is not a matter of single entries.
    #[error("the {side} has answered nothing for {seconds} s; {doing} failed: {cause}")]
    Unanswered {
        /// "source", "destination", "repository" or "replica".
        side: &'static str,
        /// For how long.
        seconds: u64,
        /// The last call that was given up.
        doing: String,
        /// Its error.
        cause: ConnectError,
    },
    /// One side answers and does nothing that it is asked for, so that it is not a matter of single entries.
    #[error(
        "the last {entries} entries failed one after the other at the {side}, over {seconds} s, and none succeeded; {doing} failed: {cause}"
    )]
    Fruitless {
        /// "source" or "destination".
        side: &'static str,
        /// How many failed in a row.
        entries: u32,
        /// Since the first of them failed.
        seconds: u32,
        /// The last call that was given up.
        doing: String,
        /// Its error.
        cause: Box<ConnectError>,
    },
    /// The run was asked to end before it was done.
    #[error("interrupted")]
    Cancelled,
    /// Work went on after the last pack of a run was closed.
    #[error("work went on after the last pack of the run was closed; nothing was committed")]
    PacksClosed,
    /// The snapshot would lack chunks.
    #[error(
        "{chunks} chunks that the snapshot needs, {example} among them, are in no pack that the index describes; nothing was committed"
    )]
    Unkept {
        /// How many.
        chunks: u64,
        /// One of them.
        example: ChunkId,
    },
    /// A worker thread ended by a panic.
    #[error("a worker of stage `{stage}` ended early: {reason}")]
    Worker {
        /// The stage.
        stage: &'static str,
        /// The panic's text.
        reason: String,
    },
}

/// The rest of the sentence about key slots that cannot be tried.
fn and_damaged(slots: &[String]) -> String {
    match slots {
        [] => String::new(),
        slots => format!("; `{}` is damaged and may be the one", slots.join("`, `")),
    }
}

/// Some numbers of parts, of more the first.
fn numbers(numbers: &[u32]) -> String {
    let named: Vec<String> = numbers.iter().take(QUOTED_MAX).map(u32::to_string).collect();
    let more = if numbers.len() > named.len() { " …" } else { "" };
    format!("{}{more}", named.join(", "))
}

impl Error {
    /// Whether the store or destination has no room left: what makes room may still be done.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Connector { cause, .. } if cause.class == ErrorClass::Exhausted)
    }

    /// Whether the store or destination refused a call to whoever asked.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Connector { cause, .. } if cause.class == ErrorClass::Denied)
    }

    /// Whether a call was not made because the run may spend no more.
    pub(crate) fn is_over_budget(&self) -> bool {
        matches!(self, Self::Connector { cause, .. } if cause.reason == OVER_BUDGET)
    }

    pub(crate) fn connector(doing: impl Into<String>) -> impl FnOnce(ConnectError) -> Self {
        let doing = doing.into();
        move |cause| Self::Connector { doing, cause }
    }

    pub(crate) fn source(doing: impl Into<String>) -> impl FnOnce(ConnectError) -> Self {
        let doing = doing.into();
        move |cause| Self::Source { doing, cause }
    }

    /// Whether a backup failed because of its source alone, so that one of another source may well succeed.
    #[must_use]
    pub fn is_of_source(&self) -> bool {
        match self {
            // No listing but that of a source is held against the contract here.
            Self::Source { .. } | Self::Contract { .. } => true,
            Self::Unanswered { side, .. } | Self::Fruitless { side, .. } => *side == SOURCE,
            _ => false,
        }
    }

    pub(crate) fn encode(doing: &str) -> impl Fn(credenza_format::Error) -> Self {
        move |cause| Self::Encode { doing: doing.to_owned(), cause: cause.to_string() }
    }

    pub(crate) fn worker(stage: &'static str) -> impl FnOnce(tokio::task::JoinError) -> Self {
        move |cause| Self::Worker { stage, reason: cause.to_string() }
    }
}

/// The first of some texts, each between backquotes.
fn quoted(texts: &[String]) -> String {
    let shown: Vec<String> = texts.iter().take(QUOTED_MAX).map(|text| format!("`{text}`")).collect();
    let more = if texts.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DamageKind {
    /// It is not there.
    Missing,
    /// It is there, and something was put over it since or hides it: reads go by its version and find it.
    Hidden,
    /// It is there, and the store fails to give it again and again, while it answers otherwise: nothing is known of its bytes.
    Unreadable,
    /// It has another size than recorded.
    Size,
    /// Its bytes fail authentication, or are not what their id promises.
    Corrupt,
    /// It is whole, but says something impossible.
    Invalid,
    /// It belongs to another repository, or to none.
    Foreign,
    /// What its writer committed before it is neither there as it was nor on record as removed.
    MissingLink,
    /// Its writer committed another snapshot in the same place of the chain.
    Fork,
    /// It was the newest of its writer, and the chain has lost it.
    Rollback,
    /// It is on record as removed and is there.
    Replayed,
    /// It bears no signature where one is demanded.
    Unsigned,
    /// Somebody signed it who is not trusted.
    Intruder,
}

impl DamageKind {
    const ALL: [Self; 13] = [
        Self::Missing,
        Self::Hidden,
        Self::Unreadable,
        Self::Size,
        Self::Corrupt,
        Self::Invalid,
        Self::Foreign,
        Self::MissingLink,
        Self::Fork,
        Self::Rollback,
        Self::Replayed,
        Self::Unsigned,
        Self::Intruder,
    ];

    /// The kind that [`name`](Self::name) calls so.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word for JSON and for a person.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Hidden => "hidden",
            Self::Unreadable => "unreadable",
            Self::Size => "size",
            Self::Corrupt => "corrupt",
            Self::Invalid => "invalid",
            Self::Foreign => "foreign",
            Self::MissingLink => "missing-link",
            Self::Fork => "fork",
            Self::Rollback => "rollback",
            Self::Replayed => "replayed",
            Self::Unsigned => "unsigned",
            Self::Intruder => "intruder",
        }
    }
}

/// Damage found in the repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("damage in `{object}` ({}): {detail}", kind.name())]
pub struct Damage {
    /// The object's name in the store.
    pub object: String,
    /// What kind of damage.
    pub kind: DamageKind,
    /// The chunk that is lost, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<ChunkId>,
    /// A sentence for a person.
    pub detail: String,
}

impl Damage {
    pub(crate) fn new(object: &StoreKey, kind: DamageKind, detail: impl Into<String>) -> Self {
        Self { object: object.to_string(), kind, chunk: None, detail: detail.into() }
    }

    /// What a store says itself that is wrong with an object: a disk lost some of it, or something else lies in its place; else it has another length.
    pub(crate) fn of_answer(object: &StoreKey, cause: ConnectError) -> Self {
        let kind = if cause.reason.starts_with("file.") { DamageKind::Corrupt } else { DamageKind::Size };
        Self::new(object, kind, cause.message)
    }

    pub(crate) fn of_chunk(object: impl ToString, kind: DamageKind, chunk: ChunkId, detail: impl Into<String>) -> Self {
        Self { object: object.to_string(), kind, chunk: Some(chunk), detail: detail.into() }
    }

    /// Whether it is of a chunk that no pack is known to hold.
    pub(crate) fn is_of_unknown_chunk(&self) -> bool {
        self.object == "index" && self.chunk.is_some()
    }
}
