//! What can be wrong with an object of a repository, or with what is to be put into one.
//!
//! Owned here: one error for every codec of the crate but key slots and the config, which a person meets before anything is
//! unlocked. The engine adds which command met it and what that means.

use credenza_model::{ChunkId, Key, ObjectId, RepositoryId};

use crate::ObjectKind;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an object cannot be sealed, opened, encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are too few for a header or begin with something else.
    #[error("not an object of a credenza repository: the header is missing or damaged")]
    NotAnObject,
    /// A later program wrote this, or a field was damaged.
    #[error("{what} {found} is not known to this program: the object is damaged or was written by a newer credenza")]
    Unknown {
        /// What carries the number.
        what: &'static str,
        /// The number.
        found: u32,
    },
    /// The format provides for it, this program does not.
    #[error("{what} cannot be read by this version of credenza: use a newer one")]
    Unsupported {
        /// What is provided for.
        what: &'static str,
    },
    /// The object stands where another kind belongs.
    #[error("expected a {expected} but this object says that it is a {found}: objects were swapped in the store")]
    WrongKind {
        /// The kind that belongs there.
        expected: ObjectKind,
        /// The kind that the header states.
        found: ObjectKind,
    },
    /// The object belongs to another repository.
    #[error("the object belongs to repository {found}, not to {expected}: it was copied here from elsewhere")]
    WrongRepository {
        /// The repository that is open.
        expected: RepositoryId,
        /// The repository that the header states.
        found: RepositoryId,
    },
    /// The object is stored under the name of another.
    #[error("the object under the name {expected} says that it is {found}: objects were swapped in the store")]
    WrongObject {
        /// The id in the name.
        expected: ObjectId,
        /// The id in the header.
        found: ObjectId,
    },
    /// The keyring has no such epoch.
    #[error(
        "object {object} is sealed under key epoch {epoch}, which the key slot does not hold: unlock with a slot written after the last key rotation"
    )]
    MissingEpoch {
        /// The object.
        object: ObjectId,
        /// The epoch that its header names.
        epoch: u32,
    },
    /// The keyring is a writer's, and the object is for readers.
    #[error("{kind} {object} cannot be opened with keys that may add and not read")]
    NoAccess {
        /// What it is.
        kind: ObjectKind,
        /// The object.
        object: ObjectId,
    },
    /// The keyring is a writer's, and only a full one can do that.
    #[error("keys that may add and not read cannot {doing}")]
    WriterKeyring {
        /// What was asked of it.
        doing: &'static str,
    },
    /// The key does not fit: the header was changed, or somebody without the key made the object.
    #[error("object {object} was not sealed with the key of this repository, or its header is damaged")]
    ForeignKey {
        /// The object.
        object: ObjectId,
    },
    /// A segment fails its authentication: changed, moved, cut off or from another object.
    #[error("segment {segment} of object {object} is damaged: its authentication tag does not fit")]
    Unauthentic {
        /// The object.
        object: ObjectId,
        /// Counted from 0.
        segment: u32,
    },
    /// The checksum that an object ends in is not that of its bytes.
    #[error("the checksum at its end does not fit its bytes: it was damaged or changed in the store")]
    Checksum,
    /// No object has this size, or the range lies outside of it.
    #[error("an object of {object_bytes} bytes has no {wanted}: it is truncated or extended")]
    Geometry {
        /// Size of the object.
        object_bytes: u64,
        /// What was looked for.
        wanted: String,
    },
    /// Authentic or not, the content breaks the rules of the format.
    #[error("{what} is malformed: {problem}")]
    Malformed {
        /// Which structure.
        what: &'static str,
        /// Which rule.
        problem: String,
    },
    /// More of a pack is hurt than its parity makes good.
    #[error("{hurt} segments of the pack are hurt, and {shards} shards of its parity are whole")]
    BeyondParity {
        /// Segments that are hurt.
        hurt: usize,
        /// Shards that are whole, counted up to as many.
        shards: usize,
    },
    /// A limit of the format is exceeded.
    #[error("{what} takes {bytes} bytes and may take {bytes_max} at most")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A pack holds as much as a pack may.
    #[error("the pack is full: close it and open the next")]
    PackFull,
    /// Compressed bytes that do not give what was promised.
    #[error("compressed bytes do not inflate to the {expected_bytes} bytes promised: {problem}")]
    Inflate {
        /// The length that was promised.
        expected_bytes: u32,
        /// What happened instead.
        problem: String,
    },
    /// The compressor failed.
    #[error("cannot compress at level {level}: {problem}")]
    Compress {
        /// The level asked for.
        level: i32,
        /// What it said.
        problem: String,
    },
    /// The plaintext is not the one that the id names.
    #[error("the bytes kept for chunk {blob} are not the bytes of that chunk")]
    WrongBlob {
        /// The id that was asked for.
        blob: ChunkId,
    },
    /// A blob of a pack cannot be had.
    #[error("chunk {blob} in pack {pack} cannot be read: {cause}")]
    Blob {
        /// The pack.
        pack: ObjectId,
        /// The blob.
        blob: ChunkId,
        /// Why.
        #[source]
        cause: Box<Error>,
    },
    /// Records came in the wrong order.
    #[error("`{key}` comes after `{previous}`: keys must increase, and equal keys need versions with different ids")]
    Order {
        /// The record before.
        previous: Key,
        /// The record that breaks the order.
        key: Key,
    },
    /// A record breaks the rules of the model.
    #[error("the record of `{key}` cannot be kept: {problem}")]
    Record {
        /// Its key.
        key: Key,
        /// Which rule.
        problem: String,
    },
    /// A signature that does not fit what it signs.
    #[error("the signature does not fit what it signs: one of them is damaged or forged")]
    BadSignature,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes, without which nothing can be sealed: {problem}")]
    Random {
        /// What the system said.
        problem: String,
    },
    /// The part of the index that is too long for memory cannot be kept on disk.
    #[error("{doing} the part of the index that is kept on disk while the command runs: {problem}")]
    Scratch {
        /// "reading", "writing" or "opening".
        doing: &'static str,
        /// What the system said.
        problem: String,
    },
}
