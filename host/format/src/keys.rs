//! The keyring that key slots wrap, and every key that follows from it.
//!
//! Owned here: derivations, with their context strings. `CRYPTO.md` says why each is as it is. Refused here: passphrases (`slot`) and
//! ciphers (`suite`).

use std::sync::Arc;

use credenza_model::{ChunkId, RepositoryId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::wire::{Fields, length_u32};
use crate::{BlobKind, Error, Hex, ObjectKind, Result, Suite};

const DATA_BLOB_CONTEXT: &str = "credenza v1 2026-11-24 chunk id: data";
const META_BLOB_CONTEXT: &str = "credenza v1 2026-11-24 chunk id: metadata";
const GEAR_CONTEXT: &str = "credenza v1 2026-11-24 gear table";
const BOUNDARY_CONTEXT: &str = "credenza v1 2026-11-24 tree node boundary";
const CONFIG_CONTEXT: &str = "credenza v1 2026-11-24 config mac";
const WRITER_CONTEXT: &str = "credenza v1 2026-11-24 writer id";
const OBJECT_CONTEXT: &str = "credenza v1 2026-11-24 object key";
const COMMITMENT_CONTEXT: &str = "credenza v1 2026-11-24 object key commitment";

/// Version of the keyring's encoding.
const KEYRING_VERSION: u8 = 1;
/// Most epochs of a keyring: one rotation a day for a century would not reach it.
const EPOCHS_MAX: usize = 65_536;

/// One generation of the keys that seal objects.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
struct Epoch {
    number: u32,
    secret: [u8; 32],
}

/// The secrets of a repository, as key slots wrap them.
///
/// `secret` is this repository's own; `content` decides chunk ids and cut points and is shared by repositories that are created like
/// one another, so that equal content has equal ids in both.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Keyring {
    #[zeroize(skip)]
    pub(crate) suite: Suite,
    pub(crate) secret: [u8; 32],
    pub(crate) content: [u8; 32],
    epochs: Vec<Epoch>,
}

impl Keyring {
    /// Random secrets, one epoch, and the preferred suite of this machine.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn generate() -> Result<Self> {
        let epochs = vec![Epoch { number: 0, secret: random()? }];
        Ok(Self { suite: Suite::preferred(), secret: random()?, content: random()?, epochs })
    }

    /// Random secrets for another repository that gives equal content the same ids and cut points as this one.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn generate_like(&self) -> Result<Self> {
        let mut keyring = Self::generate()?;
        keyring.content = self.content;
        Ok(keyring)
    }

    /// The keyring of every repository without encryption: all secrets are zero, so ids and tags find corruption and hide nothing.
    #[must_use]
    pub fn public() -> Self {
        let epochs = vec![Epoch { number: 0, secret: [0; 32] }];
        Self { suite: Suite::Plain, secret: [0; 32], content: [0; 32], epochs }
    }

    /// Opens a new epoch, under which everything is sealed from now on; what is sealed already stays readable.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes; [`Error::TooLarge`] when there are too many epochs.
    pub fn rotate(&mut self) -> Result<()> {
        if self.epochs.len() >= EPOCHS_MAX {
            return Err(Error::TooLarge {
                what: "the keyring",
                bytes: EPOCHS_MAX as u64,
                bytes_max: EPOCHS_MAX as u64,
            });
        }
        let number = self.current_epoch().saturating_add(1);
        self.epochs.push(Epoch { number, secret: random()? });
        Ok(())
    }

    /// The keys of one repository.
    #[must_use]
    pub fn keys(&self, repository: RepositoryId) -> Keys {
        let from_content = |context| derive(context, &[&self.content]);
        Keys(Arc::new(Derived {
            repository,
            data_blob: *from_content(DATA_BLOB_CONTEXT),
            meta_blob: *from_content(META_BLOB_CONTEXT),
            gear: *from_content(GEAR_CONTEXT),
            boundary: *from_content(BOUNDARY_CONTEXT),
            config: *derive(CONFIG_CONTEXT, &[repository.as_bytes(), &self.secret]),
            writer: *derive(WRITER_CONTEXT, &[repository.as_bytes(), &self.secret]),
            keyring: self.clone(),
        }))
    }

    fn current_epoch(&self) -> u32 {
        self.epochs.last().map_or(0, |epoch| epoch.number)
    }

    /// The bytes that a key slot wraps.
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(Vec::with_capacity(70 + self.epochs.len() * 36));
        out.extend([KEYRING_VERSION, self.suite as u8]);
        out.extend(length_u32("the keyring", self.epochs.len())?.to_le_bytes());
        out.extend(self.secret);
        out.extend(self.content);
        for epoch in &self.epochs {
            out.extend(epoch.number.to_le_bytes());
            out.extend(epoch.secret);
        }
        Ok(out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new("the keyring", bytes);
        let version = fields.u8()?;
        if version != KEYRING_VERSION {
            return Err(Error::Unknown { what: "keyring version", found: u32::from(version) });
        }
        let suite = Suite::decode(fields.u8()?)?;
        let count = fields.u32()?;
        if count == 0 || count as usize > EPOCHS_MAX {
            return Err(fields.malformed("its number of epochs is out of range"));
        }
        let mut keyring = Self { suite, secret: fields.array()?, content: fields.array()?, epochs: Vec::new() };
        for _ in 0..count {
            let epoch = Epoch { number: fields.u32()?, secret: fields.array()? };
            if keyring.epochs.last().is_some_and(|last| last.number >= epoch.number) {
                return Err(fields.malformed("its epochs are not in order"));
            }
            keyring.epochs.push(epoch);
        }
        fields.end()?;
        Ok(keyring)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("suite", &self.suite)
            .field("epochs", &self.epochs.len())
            .finish_non_exhaustive()
    }
}

/// Every key of a repository, cheap to clone, wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Keys(Arc<Derived>);

#[derive(Zeroize, ZeroizeOnDrop)]
struct Derived {
    #[zeroize(skip)]
    repository: RepositoryId,
    keyring: Keyring,
    data_blob: [u8; 32],
    meta_blob: [u8; 32],
    gear: [u8; 32],
    boundary: [u8; 32],
    config: [u8; 32],
    writer: [u8; 32],
}

impl Keys {
    /// The repository that these keys belong to.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.0.repository
    }

    /// The suite that new objects are sealed with.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.0.keyring.suite
    }

    /// The epoch that new objects are sealed under.
    #[must_use]
    pub fn current_epoch(&self) -> u32 {
        self.0.keyring.current_epoch()
    }

    /// The id of a blob: keyed BLAKE3 of its plaintext, under one key for content and another for metadata.
    #[must_use]
    pub fn blob_id(&self, kind: BlobKind, plaintext: &[u8]) -> ChunkId {
        let key = match kind {
            BlobKind::Data => &self.0.data_blob,
            BlobKind::Node | BlobKind::List => &self.0.meta_blob,
        };
        ChunkId::new(*blake3::keyed_hash(key, plaintext).as_bytes())
    }

    /// The secret table that cut points follow from.
    ///
    /// The `fastcdc` crate's own seed is no key: it is XORed over a public table and three known boundaries reveal it. All 256 values
    /// of this one are independent.
    #[must_use]
    pub fn gear(&self) -> GearTable {
        let mut bytes = Zeroizing::new([0; 2048]);
        blake3::Hasher::new_keyed(&self.0.gear).finalize_xof().fill(bytes.as_mut_slice());
        let mut table = GearTable(Box::new([0; 256]));
        for (value, bytes) in table.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *value = u64::from_le_bytes(*bytes);
        }
        table
    }

    /// The id of who writes: the same for a user on a machine, and telling nothing of them to anyone without the keys.
    #[must_use]
    pub fn writer_id(&self, host: &str, user: &str) -> Hex<[u8; 16]> {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.writer);
        hasher.update(&(host.len() as u64).to_le_bytes()).update(host.as_bytes()).update(user.as_bytes());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Hex(id)
    }

    /// 64 bits that decide whether a tree node ends after the record of this key.
    pub(crate) fn boundary(&self, level: u8, key: &[u8], version_id: &[u8]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.boundary);
        hasher.update(&[level]).update(&(key.len() as u64).to_le_bytes()).update(key).update(version_id);
        let mut out = [0; 8];
        hasher.finalize_xof().fill(&mut out);
        u64::from_le_bytes(out)
    }

    /// The authentication code of the config.
    pub(crate) fn config_mac(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0.config, bytes)
    }

    /// The authentication code of a record of removal. Its title tells what it covers from a config.
    pub(crate) fn removal_mac(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0.config, bytes)
    }

    /// The key of one object; `None` when the keyring lacks the epoch. `identity` is the part of the header that makes the object
    /// unique: all of it before the commitment.
    pub(crate) fn object_key(&self, kind: ObjectKind, epoch: u32, identity: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let epoch = self.0.keyring.epochs.iter().find(|known| known.number == epoch)?;
        let number = epoch.number.to_le_bytes();
        let kind_key =
            derive(kind_context(kind), &[self.0.repository.as_bytes(), &self.0.keyring.secret, &number, &epoch.secret]);
        Some(derive(OBJECT_CONTEXT, &[kind_key.as_slice(), identity]))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("repository", &self.0.repository).finish_non_exhaustive()
    }
}

/// 256 random numbers that decide where content is cut.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct GearTable(Box<[u64; 256]>);

impl GearTable {
    pub(crate) fn values(&self) -> &[u64; 256] {
        &self.0
    }

    /// Every value doubled, for the step of two bytes at a time (FastCDC 2020, section 3.7).
    pub(crate) fn shifted(&self) -> Self {
        Self(Box::new(self.0.map(|value| value << 1)))
    }
}

impl std::fmt::Debug for GearTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GearTable(secret)")
    }
}

/// What proves, before anything is decrypted, that an object was sealed with this very key: AEADs alone do not commit to theirs
/// ("Partitioning Oracle Attacks", Len, Grubbs, Ristenpart, USENIX Security 2021).
pub(crate) fn commitment(object_key: &[u8; 32]) -> blake3::Hash {
    blake3::Hash::from_bytes(*derive(COMMITMENT_CONTEXT, &[object_key]))
}

/// BLAKE3's key derivation ("BLAKE3: one function, fast everywhere", section 2.3) over parts of fixed width.
pub(crate) fn derive(context: &str, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    let key = Zeroizing::new(*hasher.finalize().as_bytes());
    hasher.zeroize();
    key
}

/// Bytes from the system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(|error| Error::Random { problem: error.to_string() })?;
    Ok(out)
}

fn kind_context(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::DataPack => "credenza v1 2026-11-24 kind key: data pack",
        ObjectKind::MetaPack => "credenza v1 2026-11-24 kind key: metadata pack",
        ObjectKind::Index => "credenza v1 2026-11-24 kind key: index",
        ObjectKind::Usage => "credenza v1 2026-11-24 kind key: usage",
        ObjectKind::Intent => "credenza v1 2026-11-24 kind key: intent",
        ObjectKind::Snapshot => "credenza v1 2026-11-24 kind key: snapshot",
        ObjectKind::Condemned => "credenza v1 2026-11-24 kind key: condemned",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: RepositoryId = RepositoryId::new([1; 16]);

    #[test]
    fn a_keyring_reads_back_what_was_encoded() {
        let mut keyring = Keyring::generate().unwrap();
        keyring.rotate().unwrap();
        let bytes = keyring.encode().unwrap();
        assert!(Keyring::decode(&bytes).unwrap() == keyring);
        for length in 0..bytes.len() {
            assert!(Keyring::decode(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn content_and_metadata_have_different_ids() {
        let keys = Keyring::public().keys(REPOSITORY);
        assert_ne!(keys.blob_id(BlobKind::Data, b"x"), keys.blob_id(BlobKind::Node, b"x"));
    }

    #[test]
    fn repositories_alike_share_content_ids_and_nothing_else() {
        let first = Keyring::generate().unwrap();
        let second = first.generate_like().unwrap();
        let (a, b) = (first.keys(REPOSITORY), second.keys(REPOSITORY));
        assert_eq!(a.blob_id(BlobKind::Data, b"x"), b.blob_id(BlobKind::Data, b"x"));
        assert_eq!(a.gear().values(), b.gear().values());
        assert_ne!(a.config_mac(b"x"), b.config_mac(b"x"));
        assert_ne!(a.object_key(ObjectKind::Index, 0, b"x"), b.object_key(ObjectKind::Index, 0, b"x"));
    }

    #[test]
    fn every_kind_epoch_and_repository_has_keys_of_its_own() {
        let mut keyring = Keyring::generate().unwrap();
        keyring.rotate().unwrap();
        let mut seen = std::collections::HashSet::new();
        for keys in [keyring.keys(REPOSITORY), keyring.keys(RepositoryId::new([2; 16]))] {
            for (kind, epoch) in ObjectKind::ALL.into_iter().flat_map(|kind| [(kind, 0), (kind, 1)]) {
                assert!(seen.insert(*keys.object_key(kind, epoch, b"same").unwrap()));
            }
        }
        assert!(keyring.keys(REPOSITORY).object_key(ObjectKind::Index, 2, b"same").is_none());
    }
}
