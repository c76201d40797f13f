//! What can be wrong with a key slot, or with what is to open one.

use credenza_model::{ObjectId, RepositoryId};

use super::{KEY_FILE_BYTES_MIN, LABEL_BYTES_MAX, SlotKind, VERSION};
use crate::Error;

/// Why a key slot cannot be opened or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The passphrase, key file or code is not this slot's.
    #[error("key slot `{label}` ({slot}) does not open with this secret")]
    WrongSecret {
        /// The slot.
        slot: ObjectId,
        /// Its label.
        label: String,
    },
    /// The slot opens with another sort of secret.
    #[error("key slot {slot} opens with a {kind}")]
    WrongKind {
        /// The slot.
        slot: ObjectId,
        /// What it opens with.
        kind: SlotKind,
    },
    /// The slot was made for another repository.
    #[error("key slot {slot} belongs to repository {found}, not to {expected}")]
    WrongRepository {
        /// The slot.
        slot: ObjectId,
        /// The repository that is open.
        expected: RepositoryId,
        /// The repository that the slot names.
        found: RepositoryId,
    },
    /// The secret fits and the rest was damaged or changed.
    #[error("key slot {slot} is damaged: restore it from another copy of the repository, or use another slot")]
    Damaged {
        /// The slot.
        slot: ObjectId,
    },
    /// The description of the slot, or what it wraps, is not from whoever has the keys of the repository.
    #[error("key slot {slot} was not made with the keys of this repository: somebody put it there")]
    Forged {
        /// The slot.
        slot: ObjectId,
    },
    /// Not a key slot, or a damaged one.
    #[error("this is not a key slot: {problem}")]
    Malformed {
        /// Which rule is broken.
        problem: String,
    },
    /// A later program made the slot.
    #[error("the key slot has format version {found} and this credenza reads version {VERSION}: use a newer one")]
    Version {
        /// What the slot says.
        found: String,
    },
    /// The cost of the passphrase is below the floor or beyond the ceiling.
    #[error("a passphrase cost of {memory_kib} KiB, {passes} passes and {lanes} lanes is not accepted: {problem}")]
    Cost {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
        /// Which bound is broken.
        problem: String,
    },
    /// The secret is too weak to be used without a costly derivation.
    #[error(
        "a key file needs at least {KEY_FILE_BYTES_MIN} random bytes and this one has {bytes}: make one with `head -c 64 /dev/urandom`"
    )]
    WeakKeyFile {
        /// What it has.
        bytes: usize,
    },
    /// The label is too long.
    #[error("a label may have {LABEL_BYTES_MAX} bytes and this one has {bytes}")]
    LabelTooLong {
        /// What it has.
        bytes: usize,
    },
    /// Wrapping failed for a reason of the machine.
    #[error("cannot wrap the keyring: {0}")]
    Wrap(#[from] Error),
}
