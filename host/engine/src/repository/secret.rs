//! What opens the keys of a repository, and what a new key slot is made for.
//!
//! Owned here: which codec of a slot belongs to which secret. Refused here: where a secret comes from (`cli`), which slots are tried
//! (`open`).

use credenza_format::{
    Identity, KdfParams, KeySlot, Keyring, NewSlot, Recipient, RecipientKind, RecoveryCode, SlotError, SlotKind,
    normal_passphrase,
};
use credenza_model::RepositoryId;
use zeroize::Zeroizing;

/// What opens the keys of a repository.
#[derive(Clone)]
pub enum Secret {
    /// Nothing: the repository is created in plain text, or is opened as one.
    None,
    /// A passphrase, tried as it is and in its normal form.
    Passphrase(Zeroizing<Vec<u8>>),
    /// The content of a key file.
    KeyFile(Zeroizing<Vec<u8>>),
    /// A recipient's secret key.
    Identity(Identity),
    /// A recovery code.
    Recovery(RecoveryCode),
}

/// What a new key slot will open with.
#[derive(Clone)]
pub enum SlotLock {
    /// A passphrase, which is wrapped for in its normal form ([`normal_passphrase`]).
    Passphrase(Zeroizing<Vec<u8>>),
    /// The content of a key file.
    KeyFile(Zeroizing<Vec<u8>>),
    /// The secret half of a recipient's key, which need not be at hand.
    Recipient(Recipient),
    /// A recovery code.
    Recovery(RecoveryCode),
}

impl Secret {
    /// The lock that this secret opens; none for no secret.
    #[must_use]
    pub fn lock(&self) -> Option<SlotLock> {
        match self {
            Self::None => None,
            Self::Passphrase(passphrase) => Some(SlotLock::Passphrase(passphrase.clone())),
            Self::KeyFile(content) => Some(SlotLock::KeyFile(content.clone())),
            Self::Identity(identity) => Some(SlotLock::Recipient(identity.recipient())),
            Self::Recovery(code) => Some(SlotLock::Recovery(code.clone())),
        }
    }

    /// Which slots it may open; none for no secret.
    pub(super) fn kind(&self) -> Option<SlotKind> {
        match self {
            Self::None => None,
            Self::Passphrase(_) => Some(SlotKind::Passphrase),
            Self::KeyFile(_) => Some(SlotKind::KeyFile),
            Self::Identity(identity) => Some(match identity.kind() {
                RecipientKind::X25519 => SlotKind::Recipient,
                RecipientKind::Hybrid => SlotKind::HybridRecipient,
            }),
            Self::Recovery(_) => Some(SlotKind::Recovery),
        }
    }

    /// Tries a slot. A passphrase costs some 0.1 s of CPU and 64 MiB on purpose: call it from a thread that may block.
    pub(super) fn open(&self, slot: &KeySlot, repository: RepositoryId) -> Result<Keyring, SlotError> {
        match self {
            Self::None => Err(SlotError::WrongKind { slot: slot.id(), kind: slot.kind() }),
            Self::Passphrase(passphrase) => open_passphrase(slot, repository, passphrase),
            Self::KeyFile(content) => slot.open_key_file(repository, content),
            Self::Identity(identity) => slot.open_recipient(repository, identity),
            Self::Recovery(code) => slot.open_recovery(repository, code),
        }
    }
}

/// As it was given, else as the same text is written elsewhere.
fn open_passphrase(slot: &KeySlot, repository: RepositoryId, passphrase: &[u8]) -> Result<Keyring, SlotError> {
    match (slot.open_passphrase(repository, passphrase), normal_passphrase(passphrase)) {
        (Err(SlotError::WrongSecret { .. }), Some(normal)) => slot.open_passphrase(repository, &normal),
        (opened, _) => opened,
    }
}

impl SlotLock {
    /// Makes a slot. As costly for a passphrase as opening.
    pub(super) fn seal(&self, new: &NewSlot<'_>) -> Result<KeySlot, SlotError> {
        match self {
            Self::Passphrase(given) => {
                let normal = normal_passphrase(given);
                KeySlot::seal_passphrase(new, normal.as_ref().unwrap_or(given), KdfParams::default())
            }
            Self::KeyFile(content) => KeySlot::seal_key_file(new, content),
            Self::Recipient(recipient) => KeySlot::seal_recipient(new, recipient),
            Self::Recovery(code) => KeySlot::seal_recovery(new, code),
        }
    }
}
