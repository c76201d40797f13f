//! Key slots: each wraps the keyring for one passphrase, key file, recipient or recovery code, so that these are added, changed and
//! revoked by one small object.
//!
//! A text document (`lines`) whose seal is the repository's signature, a commitment to the wrapping key and the wrapped keyring. Owned here: the slot and its
//! wrapping (`wrap`), the cost of passphrases (`kdf`), recovery codes (`recovery`), keys of recipients (`identity`,
//! `hybrid`).

mod error;
mod hybrid;
mod identity;
mod kdf;
mod recovery;
#[cfg(test)]
mod tests;
mod wrap;

use credenza_model::{ObjectId, RepositoryId, Timestamp};
use serde::{Deserialize, Serialize};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

pub use error::SlotError;
pub use identity::{Identity, InvalidRecipientKey, Recipient, RecipientKind};
pub use kdf::KdfParams;
pub use recovery::{InvalidRecoveryCode, RecoveryCode};
pub(crate) use wrap::stretch;

use crate::keys::random;
use crate::lines::{self, LinesError};
use crate::{Access, Hex, Keyring, Keys};

const TITLE: &str = "credenza key";
const VERSION: u32 = 1;
const SEAL: &str = "wrapped";
/// Fewest bytes of a key file: one of 32 random bytes cannot be guessed.
pub const KEY_FILE_BYTES_MIN: usize = 32;
/// Longest label.
const LABEL_BYTES_MAX: usize = 1024;

/// What sort of secret opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotKind {
    /// A passphrase.
    Passphrase,
    /// The content of a file.
    KeyFile,
    /// A recipient's secret key.
    Recipient,
    /// A recipient's hybrid secret key.
    HybridRecipient,
    /// A recovery code.
    Recovery,
}

impl std::fmt::Display for SlotKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "passphrase",
            Self::KeyFile => "key file",
            Self::Recipient => "recipient's secret key",
            Self::HybridRecipient => "recipient's hybrid key",
            Self::Recovery => "recovery code",
        })
    }
}

/// What opens a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Lock {
    Passphrase { argon2id: KdfParams, salt: Hex<[u8; 32]> },
    KeyFile { salt: Hex<[u8; 32]> },
    Recipient { recipient: Hex<[u8; 32]>, ephemeral: Hex<[u8; 32]> },
    HybridRecipient { recipient: Hex<Vec<u8>>, ephemeral: Hex<[u8; 32]>, ciphertext: Hex<Vec<u8>> },
    Recovery { salt: Hex<[u8; 32]> },
}

impl Lock {
    fn kind(&self) -> SlotKind {
        match self {
            Self::Passphrase { .. } => SlotKind::Passphrase,
            Self::KeyFile { .. } => SlotKind::KeyFile,
            Self::Recipient { .. } => SlotKind::Recipient,
            Self::HybridRecipient { .. } => SlotKind::HybridRecipient,
            Self::Recovery { .. } => SlotKind::Recovery,
        }
    }

    /// Requires that opening it neither exhausts the machine nor can only fail.
    fn check(&self) -> Result<(), SlotError> {
        match self {
            Self::Passphrase { argon2id, .. } => argon2id.check(),
            Self::HybridRecipient { recipient, ciphertext, .. } => {
                let fits = Recipient::new(RecipientKind::Hybrid, &recipient.0).is_some();
                match fits && ciphertext.0.len() == hybrid::CIPHERTEXT_BYTES {
                    true => Ok(()),
                    false => Err(malformed("its hybrid public key or its ciphertext is none")),
                }
            }
            Self::KeyFile { .. } | Self::Recipient { .. } | Self::Recovery { .. } => Ok(()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Description {
    id: ObjectId,
    repository: RepositoryId,
    label: String,
    created: Timestamp,
    #[serde(default)]
    access: Access,
    lock: Lock,
}

/// A slot that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewSlot<'a> {
    /// All secrets of the repository: they sign the slot, also one that gives less.
    pub keyring: &'a Keyring,
    /// What the slot gives of them.
    pub access: Access,
    /// The repository.
    pub repository: RepositoryId,
    /// What a person calls it.
    pub label: &'a str,
    /// When it is made.
    pub created: Timestamp,
}

/// A keyring wrapped for one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySlot {
    description: Description,
    /// The exact bytes that the seal covers.
    sealed: String,
    /// The repository's signature, of everything else.
    signature: [u8; 64],
    commitment: [u8; 32],
    wrapped: Vec<u8>,
}

impl KeySlot {
    /// Wraps a keyring for a passphrase: its exact bytes, not normalised, so that what was typed is what counts.
    ///
    /// # Errors
    /// [`SlotError::Cost`] for a cost outside its bounds, [`SlotError::Wrap`] when the system fails.
    pub fn seal_passphrase(new: &NewSlot<'_>, passphrase: &[u8], cost: KdfParams) -> Result<Self, SlotError> {
        let salt = Hex(random()?);
        let key = wrap::from_passphrase(new.repository, passphrase, cost, &salt.0)?;
        Self::seal(new, Lock::Passphrase { argon2id: cost, salt }, &key)
    }

    /// Unwraps the keyring with a passphrase.
    ///
    /// # Errors
    /// [`SlotError::WrongSecret`] when it is another one, and the other reasons of [`SlotError`].
    pub fn open_passphrase(&self, repository: RepositoryId, passphrase: &[u8]) -> Result<Keyring, SlotError> {
        let Lock::Passphrase { argon2id, salt } = &self.description.lock else { return Err(self.wrong_kind()) };
        self.check_repository(repository)?;
        self.open(&*wrap::from_passphrase(repository, passphrase, *argon2id, &salt.0)?)
    }

    /// Wraps a keyring for the content of a key file, at least [`KEY_FILE_BYTES_MIN`] random bytes.
    ///
    /// # Errors
    /// [`SlotError::WeakKeyFile`] for a short one, [`SlotError::Wrap`] when the system fails.
    pub fn seal_key_file(new: &NewSlot<'_>, key_file: &[u8]) -> Result<Self, SlotError> {
        if key_file.len() < KEY_FILE_BYTES_MIN {
            return Err(SlotError::WeakKeyFile { bytes: key_file.len() });
        }
        let salt = Hex(random()?);
        let key = wrap::from_key_file(new.repository, key_file, &salt.0);
        Self::seal(new, Lock::KeyFile { salt }, &key)
    }

    /// Unwraps the keyring with the content of a key file.
    ///
    /// # Errors
    /// As [`open_passphrase`](Self::open_passphrase).
    pub fn open_key_file(&self, repository: RepositoryId, key_file: &[u8]) -> Result<Keyring, SlotError> {
        let Lock::KeyFile { salt } = &self.description.lock else { return Err(self.wrong_kind()) };
        self.check_repository(repository)?;
        self.open(&wrap::from_key_file(repository, key_file, &salt.0))
    }

    /// Wraps a keyring for the recipient of a public key, whose secret half need not be at hand.
    ///
    /// # Errors
    /// [`SlotError::Malformed`] for a key that protects nothing, [`SlotError::Wrap`] when the system fails.
    pub fn seal_recipient(new: &NewSlot<'_>, recipient: &Recipient) -> Result<Self, SlotError> {
        let (lock, key) = match recipient.kind() {
            RecipientKind::X25519 => sealed_to_x25519(new.repository, recipient)?,
            RecipientKind::Hybrid => sealed_to_hybrid(new.repository, recipient)?,
        };
        Self::seal(new, lock, &key)
    }

    /// Unwraps the keyring with the recipient's secret key.
    ///
    /// # Errors
    /// As [`open_passphrase`](Self::open_passphrase).
    pub fn open_recipient(&self, repository: RepositoryId, identity: &Identity) -> Result<Keyring, SlotError> {
        let key = match (&self.description.lock, identity.kind()) {
            (Lock::Recipient { recipient, ephemeral }, RecipientKind::X25519) => {
                self.check_repository(repository)?;
                let shared = wrap::exchange(&StaticSecret::from(*identity.secret()), &ephemeral.0)?;
                wrap::from_exchange(repository, &shared, &recipient.0, &ephemeral.0)
            }
            (Lock::HybridRecipient { recipient, ephemeral, ciphertext }, RecipientKind::Hybrid) => {
                self.check_repository(repository)?;
                let shared = hybrid::decapsulate(identity.secret(), &ephemeral.0, &ciphertext.0)?;
                wrap::from_hybrid(repository, &shared, &recipient.0, &ephemeral.0, &ciphertext.0)
            }
            _ => return Err(self.wrong_kind()),
        };
        self.open(&key)
    }

    /// Wraps a keyring for a recovery code.
    ///
    /// # Errors
    /// [`SlotError::Wrap`] when the system fails.
    pub fn seal_recovery(new: &NewSlot<'_>, code: &RecoveryCode) -> Result<Self, SlotError> {
        let salt = Hex(random()?);
        let key = wrap::from_recovery(new.repository, code.as_bytes(), &salt.0);
        Self::seal(new, Lock::Recovery { salt }, &key)
    }

    /// Unwraps the keyring with a recovery code.
    ///
    /// # Errors
    /// As [`open_passphrase`](Self::open_passphrase).
    pub fn open_recovery(&self, repository: RepositoryId, code: &RecoveryCode) -> Result<Keyring, SlotError> {
        let Lock::Recovery { salt } = &self.description.lock else { return Err(self.wrong_kind()) };
        self.check_repository(repository)?;
        self.open(&wrap::from_recovery(repository, code.as_bytes(), &salt.0))
    }

    /// The slot as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let seal = [self.signature.as_slice(), &self.commitment, &self.wrapped].concat();
        lines::sealed(self.sealed.clone(), SEAL, Hex(seal))
    }

    /// Reads a slot; nothing but its checksum is proven before it is opened, or verified.
    ///
    /// # Errors
    /// [`SlotError::Malformed`], [`SlotError::Version`], or [`SlotError::Cost`] for a cost that could exhaust the machine.
    pub fn decode(bytes: &[u8]) -> Result<Self, SlotError> {
        let lines = lines::split(bytes, TITLE, VERSION, SEAL).map_err(|error| match error {
            LinesError::Version(found) => SlotError::Version { found },
            LinesError::Shape(problem) => malformed(problem),
        })?;
        let description: Description = lines::parse(&lines).map_err(malformed)?;
        description.lock.check()?;
        let seal: Hex<Vec<u8>> =
            serde_json::from_value(lines.seal.into()).map_err(|_| malformed("its seal is not hexadecimal"))?;
        let short = || malformed("its seal is too short");
        let (signature, rest) = seal.0.split_first_chunk().ok_or_else(short)?;
        let (commitment, wrapped) = rest.split_first_chunk().ok_or_else(short)?;
        let sealed = String::from_utf8_lossy(lines.sealed).into_owned();
        Ok(Self { description, sealed, signature: *signature, commitment: *commitment, wrapped: wrapped.to_vec() })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.description.id
    }

    /// The repository that it says it belongs to.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.description.repository
    }

    /// What a person called it.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.description.label
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.description.created
    }

    /// What opens it.
    #[must_use]
    pub fn kind(&self) -> SlotKind {
        self.description.lock.kind()
    }

    /// What trying it costs; nothing to speak of but for a passphrase.
    #[must_use]
    pub fn work(&self) -> u64 {
        match &self.description.lock {
            Lock::Passphrase { argon2id, .. } => argon2id.work(),
            _ => 0,
        }
    }

    /// What it gives access to, as it says.
    #[must_use]
    pub fn access(&self) -> Access {
        self.description.access
    }

    /// Whom it was sealed to, if it was.
    #[must_use]
    pub fn recipient(&self) -> Option<Recipient> {
        match &self.description.lock {
            Lock::Recipient { recipient, .. } => Recipient::new(RecipientKind::X25519, &recipient.0),
            Lock::HybridRecipient { recipient, .. } => Recipient::new(RecipientKind::Hybrid, &recipient.0),
            _ => None,
        }
    }

    fn seal(new: &NewSlot<'_>, lock: Lock, key: &[u8; 32]) -> Result<Self, SlotError> {
        let NewSlot { keyring, access, repository, label, created } = *new;
        if label.len() > LABEL_BYTES_MAX {
            return Err(SlotError::LabelTooLong { bytes: label.len() });
        }
        let given = match access {
            Access::Full => keyring.encode()?,
            Access::Writer => keyring.for_writer(repository).encode()?,
        };
        let id = ObjectId::new(random()?);
        let description = Description { id, repository, label: label.to_owned(), created, access, lock };
        let sealed = lines::unsealed(TITLE, VERSION, &description).map_err(|error| malformed(error.to_string()))?;
        let wrapped = wrap::wrap(key, sealed.as_bytes(), &given)?;
        let unsigned = Self { description, sealed, signature: [0; 64], commitment: wrap::commitment(key), wrapped };
        let signature = keyring.keys(repository).sign_text(&unsigned.signed())?;
        Ok(Self { signature, ..unsigned })
    }

    /// What the repository's signature covers.
    fn signed(&self) -> Vec<u8> {
        [self.sealed.as_bytes(), &self.commitment, &self.wrapped].concat()
    }

    /// Requires that all of the slot is as somebody with the keys of the repository made it, whether or not its secret is at hand.
    ///
    /// # Errors
    /// [`SlotError::Forged`] when it is not.
    pub fn verify(&self, keys: &Keys) -> Result<(), SlotError> {
        let authentic = keys.repository() == self.repository() && keys.verify_text(&self.signed(), &self.signature);
        if authentic { Ok(()) } else { Err(SlotError::Forged { slot: self.id() }) }
    }

    fn open(&self, key: &[u8; 32]) -> Result<Keyring, SlotError> {
        let slot = self.id();
        // `blake3::Hash` compares in constant time.
        if blake3::Hash::from_bytes(wrap::commitment(key)) != blake3::Hash::from_bytes(self.commitment) {
            return Err(SlotError::WrongSecret { slot, label: self.label().to_owned() });
        }
        let keyring: Zeroizing<Vec<u8>> =
            wrap::unwrap(key, self.sealed.as_bytes(), &self.wrapped).ok_or(SlotError::Damaged { slot })?;
        let keyring = Keyring::decode(&keyring)?;
        self.verify(&keyring.keys(self.repository()))?;
        if keyring.access() == self.access() { Ok(keyring) } else { Err(SlotError::Damaged { slot }) }
    }

    fn wrong_kind(&self) -> SlotError {
        SlotError::WrongKind { slot: self.id(), kind: self.kind() }
    }

    fn check_repository(&self, expected: RepositoryId) -> Result<(), SlotError> {
        let found = self.repository();
        if found == expected { Ok(()) } else { Err(SlotError::WrongRepository { slot: self.id(), expected, found }) }
    }
}

type Sealed = (Lock, Zeroizing<[u8; 32]>);

fn sealed_to_x25519(repository: RepositoryId, recipient: &Recipient) -> Result<Sealed, SlotError> {
    let recipient = *recipient.key().first_chunk().ok_or_else(|| malformed("its public key is too short"))?;
    let own = StaticSecret::from(random::<32>()?);
    let ephemeral = PublicKey::from(&own).to_bytes();
    let shared = wrap::exchange(&own, &recipient)?;
    let key = wrap::from_exchange(repository, &shared, &recipient, &ephemeral);
    Ok((Lock::Recipient { recipient: Hex(recipient), ephemeral: Hex(ephemeral) }, key))
}

fn sealed_to_hybrid(repository: RepositoryId, recipient: &Recipient) -> Result<Sealed, SlotError> {
    let hybrid::Encapsulated { ephemeral, ciphertext, shared } = hybrid::encapsulate(recipient.key())?;
    let key = wrap::from_hybrid(repository, &shared, recipient.key(), &ephemeral, &ciphertext);
    let recipient = Hex(recipient.key().to_vec());
    Ok((Lock::HybridRecipient { recipient, ephemeral: Hex(ephemeral), ciphertext: Hex(ciphertext) }, key))
}

fn malformed(problem: impl Into<String>) -> SlotError {
    SlotError::Malformed { problem: problem.into() }
}
