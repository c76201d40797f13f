//! Key slots: the keyring, wrapped so that one secret opens it.
//!
//! A slot is a JSON document under `key/<id>`. Owned here: the kinds of slots, the derivation of their wrapping keys, and
//! how hard a passphrase must be to guess. Refused here: asking for it (`cli`). Called by the engine.

use argon2::{Algorithm, Argon2, Params, Version};
use credenza_model::{ObjectId, RepositoryId, StoreKey, Timestamp};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::keys::{Keyring, random};
use crate::names::slot_key;
use crate::{Error, Hex, Result};

const VERSION: u32 = 1;
/// Most memory that a slot may ask for, so that a hostile one cannot take the machine.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// Why a slot does not give the keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The secret is not the one of this slot, or somebody changed the slot; which of the two cannot be told.
    #[error("the secret does not open this key slot")]
    WrongSecret,
    /// The slot opens with another kind of secret.
    #[error("this key slot opens with another kind of secret")]
    OtherKind,
    /// The slot asks for more work than any may.
    #[error(
        "the key slot asks for {memory_kib} KiB of memory, {passes} passes and {lanes} lanes, more or less than a slot may"
    )]
    Cost {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// The slot is malformed.
    #[error(transparent)]
    Malformed(#[from] Error),
}

/// Cost of guessing a passphrase: Argon2id (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdfParams {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for KdfParams {
    /// RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes. It is the floor, too.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

impl KdfParams {
    fn checked(self) -> Result<Self, SlotError> {
        let floor = Self::default();
        let fits = (floor.memory_kib..=MEMORY_KIB_MAX).contains(&self.memory_kib)
            && (floor.passes..=PASSES_MAX).contains(&self.passes)
            && (1..=LANES_MAX).contains(&self.lanes);
        let Self { memory_kib, passes, lanes } = self;
        if fits { Ok(self) } else { Err(SlotError::Cost { memory_kib, passes, lanes }) }
    }
}

/// How the wrapping key of a slot is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Lock {
    /// Argon2id of a passphrase, exact bytes.
    Passphrase { kdf: KdfParams, salt: Hex<[u8; 32]> },
    /// BLAKE3 of the content of a key file with at least 32 bytes.
    KeyFile { salt: Hex<[u8; 32]> },
    /// X25519 to a recipient's public key: laid out, opened by later versions.
    Recipient { public: Hex<[u8; 32]>, ephemeral: Hex<[u8; 32]> },
    /// A recovery code of 160 random bits, derived like a key file: laid out, opened by later versions.
    Recovery { salt: Hex<[u8; 32]> },
}

/// A keyring under a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySlot {
    version: u32,
    id: ObjectId,
    #[serde(flatten)]
    lock: Lock,
    label: String,
    created: Timestamp,
    nonce: Hex<[u8; 12]>,
    wrapped: Hex<Vec<u8>>,
}

impl KeySlot {
    /// Wraps a keyring for a passphrase, taken as exact bytes.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn seal_passphrase(
        keyring: &Keyring,
        repository: RepositoryId,
        passphrase: &[u8],
        kdf: KdfParams,
        label: &str,
        created: Timestamp,
    ) -> Result<Self> {
        let lock = Lock::Passphrase { kdf, salt: Hex(random()?) };
        Self::seal(keyring, repository, lock, passphrase, label, created)
    }

    /// Wraps a keyring for the content of a key file of at least 32 random bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a shorter file, [`Error::Random`] when the system gives no random bytes.
    pub fn seal_key_file(
        keyring: &Keyring,
        repository: RepositoryId,
        content: &[u8],
        label: &str,
        created: Timestamp,
    ) -> Result<Self> {
        if content.len() < 32 {
            return Err(Error::Malformed {
                what: "the key file",
                problem: format!("it holds {} bytes; at least 32 random bytes are needed", content.len()),
            });
        }
        Self::seal(keyring, repository, Lock::KeyFile { salt: Hex(random()?) }, content, label, created)
    }

    fn seal(
        keyring: &Keyring,
        repository: RepositoryId,
        lock: Lock,
        secret: &[u8],
        label: &str,
        created: Timestamp,
    ) -> Result<Self> {
        let mut slot = Self {
            version: VERSION,
            id: ObjectId::new(random()?),
            lock,
            label: label.to_owned(),
            created,
            nonce: Hex(random()?),
            wrapped: Hex(Vec::new()),
        };
        let malformed = |problem: String| Error::Malformed { what: "a key slot", problem };
        let key = slot.wrapping_key(repository, secret).map_err(|cause| malformed(cause.to_string()))?;
        let mut wrapped = keyring.encode();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(slot.nonce.0),
            Aad::from(slot.associated(repository)),
            &mut wrapped,
        )
        .map_err(|_| malformed("it cannot be sealed".to_owned()))?;
        slot.wrapped = Hex(wrapped);
        Ok(slot)
    }

    /// Unwraps the keyring with a passphrase. Costs what [`KdfParams`] says.
    ///
    /// # Errors
    /// [`SlotError`].
    pub fn open_passphrase(&self, repository: RepositoryId, passphrase: &[u8]) -> Result<Keyring, SlotError> {
        match &self.lock {
            Lock::Passphrase { .. } => self.open(repository, passphrase),
            _ => Err(SlotError::OtherKind),
        }
    }

    /// Unwraps the keyring with the content of a key file.
    ///
    /// # Errors
    /// [`SlotError`].
    pub fn open_key_file(&self, repository: RepositoryId, content: &[u8]) -> Result<Keyring, SlotError> {
        match &self.lock {
            Lock::KeyFile { .. } => self.open(repository, content),
            _ => Err(SlotError::OtherKind),
        }
    }

    fn open(&self, repository: RepositoryId, secret: &[u8]) -> Result<Keyring, SlotError> {
        let key = self.wrapping_key(repository, secret)?;
        let mut wrapped = Zeroizing::new(self.wrapped.0.clone());
        let opened = key.open_in_place(
            Nonce::assume_unique_for_key(self.nonce.0),
            Aad::from(self.associated(repository)),
            &mut wrapped,
        );
        Ok(Keyring::decode(opened.map_err(|_| SlotError::WrongSecret)?)?)
    }

    /// Under what name the store keeps it.
    #[must_use]
    pub fn store_key(&self) -> StoreKey {
        slot_key(self.id)
    }

    /// The document.
    ///
    /// # Errors
    /// Never for a slot of this program; the encoder's word for it otherwise.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|cause| Error::Malformed { what: "a key slot", problem: cause.to_string() })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::Unknown`] for a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let slot: Self = serde_json::from_slice(bytes)
            .map_err(|cause| Error::Malformed { what: "a key slot", problem: cause.to_string() })?;
        if slot.version == VERSION {
            Ok(slot)
        } else {
            Err(Error::Unknown { what: "key slot version", found: slot.version })
        }
    }

    fn wrapping_key(&self, repository: RepositoryId, secret: &[u8]) -> Result<LessSafeKey, SlotError> {
        let stretched = match &self.lock {
            Lock::Passphrase { kdf, salt } => stretch(kdf.checked()?, &salt.0, secret)?,
            Lock::KeyFile { salt } => {
                let mut hasher = blake3::Hasher::new_derive_key("credenza v1 key file");
                hasher.update(&salt.0).update(secret);
                Zeroizing::new(*hasher.finalize().as_bytes())
            }
            Lock::Recipient { .. } | Lock::Recovery { .. } => return Err(SlotError::OtherKind),
        };
        let mut hasher = blake3::Hasher::new_derive_key("credenza v1 wrapping key of a key slot");
        hasher.update(&*stretched).update(repository.as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, hasher.finalize().as_bytes()).map_err(|_| SlotError::WrongSecret)?;
        Ok(LessSafeKey::new(key))
    }

    /// All that is clear in the slot, so that none of it can be changed unnoticed.
    fn associated(&self, repository: RepositoryId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("credenza v1 associated data of a key slot");
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        field(&self.version.to_le_bytes());
        field(repository.as_bytes());
        field(self.id.as_bytes());
        match &self.lock {
            Lock::Passphrase { kdf, salt } => {
                field(b"passphrase");
                [kdf.memory_kib, kdf.passes, kdf.lanes].iter().for_each(|number| field(&number.to_le_bytes()));
                field(&salt.0);
            }
            Lock::KeyFile { salt } => {
                field(b"key-file");
                field(&salt.0);
            }
            Lock::Recipient { public, ephemeral } => {
                field(b"recipient");
                field(&public.0);
                field(&ephemeral.0);
            }
            Lock::Recovery { salt } => {
                field(b"recovery");
                field(&salt.0);
            }
        }
        field(self.label.as_bytes());
        field(self.created.to_string().as_bytes());
        *hasher.finalize().as_bytes()
    }
}

fn stretch(kdf: KdfParams, salt: &[u8; 32], passphrase: &[u8]) -> Result<Zeroizing<[u8; 32]>, SlotError> {
    let KdfParams { memory_kib, passes, lanes } = kdf;
    let refused = |_| SlotError::Cost { memory_kib, passes, lanes };
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(refused)?;
    let mut out = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *out)
        .map_err(refused)?;
    Ok(out)
}

/// The passphrases that are tried first by anyone who guesses.
const COMMONEST: [&str; 24] = [
    "password",
    "passw0rd",
    "passphrase",
    "12345678",
    "123456789",
    "1234567890",
    "qwertyuiop",
    "qwerty123",
    "iloveyou",
    "letmein",
    "admin",
    "administrator",
    "welcome",
    "changeme",
    "secret",
    "backup",
    "credenza",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "trustno1",
    "superman",
    "dragon",
];

/// Why a passphrase is too easy to guess, as a sentence; `None` when nothing speaks against it.
///
/// Whoever steals the repository can guess without limit, about ten times a second and core at the default cost.
#[must_use]
pub fn passphrase_weakness(passphrase: &str) -> Option<String> {
    let characters: Vec<char> = passphrase.chars().collect();
    if characters.len() < 10 {
        return Some(format!("it has {} characters; take at least 10, better four random words", characters.len()));
    }
    let distinct = characters.iter().collect::<std::collections::BTreeSet<_>>().len();
    if distinct < 5 {
        return Some(format!("it uses only {distinct} different characters"));
    }
    let steps =
        characters.windows(2).filter(|pair| matches!(pair, [a, b] if (*b as i64 - *a as i64).abs() <= 1)).count();
    if steps * 3 > characters.len() * 2 {
        return Some("it is a sequence or a repetition".to_owned());
    }
    let lower = passphrase.to_lowercase();
    let rest = COMMONEST.iter().filter(|word| lower.contains(**word)).map(|word| lower.len() - word.len()).min();
    rest.filter(|rest| *rest < 6).map(|_| "it is one of the commonest passwords with little added".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: RepositoryId = RepositoryId::new([1; 16]);
    const NOW: Timestamp = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };

    #[test]
    fn a_slot_opens_with_its_secret_in_its_repository_only() {
        let keyring = Keyring::generate().unwrap();
        let slot =
            KeySlot::seal_passphrase(&keyring, HERE, b"correct horse battery", KdfParams::default(), "first", NOW)
                .unwrap();
        let slot = KeySlot::decode(&slot.encode().unwrap()).unwrap();
        assert_eq!(slot.open_passphrase(HERE, b"correct horse battery").unwrap(), keyring);
        assert_eq!(slot.open_passphrase(HERE, b"correct horse batterY"), Err(SlotError::WrongSecret));
        assert_eq!(
            slot.open_passphrase(RepositoryId::new([2; 16]), b"correct horse battery"),
            Err(SlotError::WrongSecret)
        );
        assert_eq!(slot.open_key_file(HERE, b"correct horse battery"), Err(SlotError::OtherKind));
    }

    #[test]
    fn a_key_file_opens_its_slot_and_a_short_one_makes_none() {
        let keyring = Keyring::generate().unwrap();
        let slot = KeySlot::seal_key_file(&keyring, HERE, &[7; 32], "file", NOW).unwrap();
        assert_eq!(slot.open_key_file(HERE, &[7; 32]).unwrap(), keyring);
        assert!(KeySlot::seal_key_file(&keyring, HERE, &[7; 31], "file", NOW).is_err());
    }

    #[test]
    fn no_clear_field_of_a_slot_can_be_changed() {
        let keyring = Keyring::generate().unwrap();
        let slot = KeySlot::seal_key_file(&keyring, HERE, &[7; 32], "file", NOW).unwrap();
        let changed = [
            KeySlot { label: "other".into(), ..slot.clone() },
            KeySlot { id: ObjectId::new([0; 16]), ..slot.clone() },
            KeySlot { created: Timestamp::default(), ..slot.clone() },
        ];
        for slot in changed {
            assert_eq!(slot.open_key_file(HERE, &[7; 32]), Err(SlotError::WrongSecret));
        }
    }

    #[test]
    fn a_slot_that_asks_for_too_much_or_too_little_work_is_refused() {
        let keyring = Keyring::generate().unwrap();
        let slot = KeySlot::seal_passphrase(&keyring, HERE, b"x", KdfParams::default(), "", NOW).unwrap();
        for kdf in [
            KdfParams { memory_kib: u32::MAX, ..KdfParams::default() },
            KdfParams { memory_kib: 8, ..KdfParams::default() },
            KdfParams { passes: 1000, ..KdfParams::default() },
        ] {
            let lock = Lock::Passphrase { kdf, salt: Hex([0; 32]) };
            assert!(matches!(
                KeySlot { lock, ..slot.clone() }.open_passphrase(HERE, b"x"),
                Err(SlotError::Cost { .. })
            ));
        }
    }

    #[test]
    fn weak_passphrases_are_named_and_good_ones_pass() {
        for weak in ["", "short", "aaaaaaaaaaaaaa", "abcdefghijklmn", "password1234", "Passphrase1!"] {
            assert!(passphrase_weakness(weak).is_some(), "{weak}");
        }
        for good in ["correct horse battery staple", "gT7#kd92!mQx", "vier zufällige wörter hier"] {
            assert_eq!(passphrase_weakness(good), None, "{good}");
        }
    }
}
