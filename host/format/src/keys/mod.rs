//! Every key of a repository, as it follows from a keyring.
//!
//! Owned here: derivations, with their context strings, and what the holder of a keyring may open. `CRYPTO.md` says why each is as
//! it is. Refused here: passphrases (`slot`) and ciphers (`suite`).

mod gear;
mod keyring;
mod sign;

use std::sync::Arc;

use credenza_model::{ChunkId, RepositoryId};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use gear::GearTable;
pub use keyring::{Access, Keyring};
use keyring::{Epoch, Secrets, WriterEpoch};

use crate::{Error, Hex, ObjectKind, Result, Suite};

const DATA_BLOB_CONTEXT: &str = "credenza v1 2026-11-24 chunk id: data";
const META_BLOB_CONTEXT: &str = "credenza v1 2026-11-24 chunk id: metadata";
const GEAR_CONTEXT: &str = "credenza v1 2026-11-24 gear table";
const BOUNDARY_CONTEXT: &str = "credenza v1 2026-11-24 tree node boundary";
const OBJECT_CONTEXT: &str = "credenza v1 2026-11-24 object key";
const EXCHANGED_CONTEXT: &str = "credenza v1 2026-11-24 object key: sealed to the repository";
const COMMITMENT_CONTEXT: &str = "credenza v1 2026-11-24 object key commitment";

/// Why a keyring leads to no key of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// It has no such epoch.
    Epoch,
    /// It is a writer's, and the object is for readers.
    Access,
    /// The public key in the header is one of the few that give every secret the same result.
    Exchange,
}

type ObjectKey = Zeroizing<[u8; 32]>;

impl Keyring {
    /// The keys of one repository.
    #[must_use]
    pub fn keys(&self, repository: RepositoryId) -> Keys {
        let from_content = |context| derive(context, &[&self.content]);
        let (writer, signer) = match &self.secrets {
            Secrets::Full { secret, .. } => {
                (*keyring::writer_key(repository, secret), sign::public_key(repository, secret))
            }
            Secrets::Writer { writer, signer, .. } => (*writer, *signer),
        };
        Keys(Arc::new(Derived {
            repository,
            data_blob: *from_content(DATA_BLOB_CONTEXT),
            meta_blob: *from_content(META_BLOB_CONTEXT),
            gear: *from_content(GEAR_CONTEXT),
            boundary: *from_content(BOUNDARY_CONTEXT),
            writer,
            signer,
            keyring: self.clone(),
        }))
    }
}

/// Every key that a keyring leads to, cheap to clone, wiped when the last clone is dropped.
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
    writer: [u8; 32],
    /// Public: verifies the repository's signatures.
    signer: [u8; 32],
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

    /// The keyring that they follow from.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// The public key that verifies what the repository itself has signed: the same through all epochs, for readers and writers alike.
    #[must_use]
    pub fn owner(&self) -> Hex<[u8; 32]> {
        Hex(self.0.signer)
    }

    /// Whether objects of this kind can be opened: writers add packs, usage lists and snapshots that they cannot open again.
    #[must_use]
    pub fn can_open(&self, kind: ObjectKind) -> bool {
        self.0.keyring.access() == Access::Full || !kind.is_hidden_from_writers()
    }

    /// The id of a chunk of content: keyed BLAKE3 of its plaintext.
    pub(crate) fn content_id(&self, plaintext: &[u8]) -> ChunkId {
        ChunkId::new(*blake3::keyed_hash(&self.0.data_blob, plaintext).as_bytes())
    }

    /// The id of a chunk of metadata: the same under another key.
    pub(crate) fn metadata_id(&self, plaintext: &[u8]) -> ChunkId {
        ChunkId::new(*blake3::keyed_hash(&self.0.meta_blob, plaintext).as_bytes())
    }

    /// The secret table that cut points follow from.
    #[must_use]
    pub fn gear(&self) -> GearTable {
        GearTable::new(&self.0.gear)
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

    /// The repository's signature of the first two lines of a text document.
    pub(crate) fn sign_text(&self, text: &[u8]) -> Result<[u8; 64]> {
        match &self.0.keyring.secrets {
            Secrets::Full { secret, .. } => Ok(sign::sign(self.0.repository, secret, text)),
            Secrets::Writer { .. } => Err(Error::WriterKeyring { doing: "sign for the repository" }),
        }
    }

    /// Whether the repository's own key signed the first two lines of a text document.
    pub(crate) fn verify_text(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        sign::verify(&self.0.signer, text, signature)
    }

    /// The key of an object with keying 0. `identity` is the part of the header that makes the object unique: all of it before the
    /// commitment.
    pub(crate) fn object_key(&self, kind: ObjectKind, epoch: u32, identity: &[u8]) -> Result<ObjectKey, NoKey> {
        let kind_key = match &self.0.keyring.secrets {
            Secrets::Full { secret, epochs } => {
                keyring::kind_key(self.0.repository, secret, find_epoch(epochs, epoch)?, kind)
            }
            Secrets::Writer { epochs, .. } => {
                let epoch = epochs.iter().find(|known| known.number == epoch).ok_or(NoKey::Epoch)?;
                Zeroizing::new(*writer_kind_key(epoch, kind).ok_or(NoKey::Access)?)
            }
        };
        Ok(derive(OBJECT_CONTEXT, &[kind_key.as_slice(), identity]))
    }

    /// Whether equal content has equal ids under both: repositories created like one another, or two without encryption.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        // Derived ids would show as much to whoever holds both keyrings; no outsider measures this comparison.
        self.0.keyring.content == other.0.keyring.content
    }

    /// [`Keyring::generate_like`] of the keyring behind these keys.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn generate_like(&self) -> Result<Keyring> {
        self.0.keyring.generate_like()
    }

    /// The key of a new object that is sealed to the repository: `ephemeral` is used for it alone and forgotten, its public key is
    /// the salt in `identity`.
    pub(crate) fn sealing_key(&self, ephemeral: &[u8; 32], identity: &[u8]) -> Result<ObjectKey, NoKey> {
        let Secrets::Writer { epochs, .. } = &self.0.keyring.secrets else { return Err(NoKey::Access) };
        let recipient = epochs.last().ok_or(NoKey::Epoch)?.recipient;
        exchange(&StaticSecret::from(*ephemeral), &recipient, &recipient, identity)
    }

    /// The key of an object with keying 1, which readers alone come to: `ephemeral` is the public key in its salt.
    pub(crate) fn opening_key(&self, epoch: u32, ephemeral: &[u8; 32], identity: &[u8]) -> Result<ObjectKey, NoKey> {
        let Secrets::Full { secret, epochs } = &self.0.keyring.secrets else { return Err(NoKey::Access) };
        let own = keyring::exchange_secret(self.0.repository, secret, find_epoch(epochs, epoch)?);
        exchange(&own, ephemeral, &PublicKey::from(&own).to_bytes(), identity)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("repository", &self.0.repository).finish_non_exhaustive()
    }
}

fn find_epoch(epochs: &[Epoch], number: u32) -> Result<&Epoch, NoKey> {
    epochs.iter().find(|known| known.number == number).ok_or(NoKey::Epoch)
}

fn writer_kind_key(epoch: &WriterEpoch, kind: ObjectKind) -> Option<&[u8; 32]> {
    match kind {
        ObjectKind::Index => Some(&epoch.index),
        ObjectKind::Intent => Some(&epoch.intent),
        ObjectKind::Condemned => Some(&epoch.condemned),
        // What writers seal to the repository.
        ObjectKind::DataPack
        | ObjectKind::MetaPack
        | ObjectKind::Usage
        | ObjectKind::Snapshot
        | ObjectKind::Note
        | ObjectKind::Connector => None,
    }
}

/// What both sides of an exchange come to. The ephemeral public key is bound as the salt of `identity`.
fn exchange(own: &StaticSecret, other: &[u8; 32], recipient: &[u8; 32], identity: &[u8]) -> Result<ObjectKey, NoKey> {
    let shared = own.diffie_hellman(&PublicKey::from(*other));
    if !shared.was_contributory() {
        return Err(NoKey::Exchange);
    }
    Ok(derive(EXCHANGED_CONTEXT, &[shared.as_bytes(), recipient, identity]))
}

/// The public key of an X25519 secret.
pub(crate) fn exchange_public_key(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlobKind;

    const REPOSITORY: RepositoryId = RepositoryId::new([1; 16]);

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
        assert!(a.is_like(&b) && !a.is_like(&Keyring::generate().unwrap().keys(REPOSITORY)));
        assert_ne!(a.sign_text(b"x").unwrap(), b.sign_text(b"x").unwrap());
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
        assert_eq!(keyring.keys(REPOSITORY).object_key(ObjectKind::Index, 2, b"same"), Err(NoKey::Epoch));
    }

    #[test]
    fn a_writer_deduplicates_and_signs_its_runs_like_a_reader() {
        let keyring = Keyring::generate().unwrap();
        let (reader, writer) = (keyring.keys(REPOSITORY), keyring.for_writer(REPOSITORY).keys(REPOSITORY));
        assert_eq!(reader.blob_id(BlobKind::Data, b"x"), writer.blob_id(BlobKind::Data, b"x"));
        assert_eq!(reader.gear().values(), writer.gear().values());
        assert_eq!(reader.boundary(1, b"k", b""), writer.boundary(1, b"k", b""));
        assert_eq!(reader.writer_id("host", "user"), writer.writer_id("host", "user"));
        for kind in ObjectKind::ALL {
            let same = reader.object_key(kind, 0, b"x") == writer.object_key(kind, 0, b"x");
            assert_eq!(same, writer.can_open(kind), "{kind}");
        }
    }

    #[test]
    fn a_writer_verifies_what_the_repository_signed_and_signs_nothing() {
        let keyring = Keyring::generate().unwrap();
        let (reader, writer) = (keyring.keys(REPOSITORY), keyring.for_writer(REPOSITORY).keys(REPOSITORY));
        let signature = reader.sign_text(b"config").unwrap();
        assert!(reader.verify_text(b"config", &signature) && writer.verify_text(b"config", &signature));
        assert!(!writer.verify_text(b"forged", &signature));
        assert!(matches!(writer.sign_text(b"forged"), Err(Error::WriterKeyring { .. })));
    }

    #[test]
    fn what_a_writer_seals_has_a_key_that_readers_alone_come_to() {
        let mut keyring = Keyring::generate().unwrap();
        keyring.rotate().unwrap();
        let (reader, writer) = (keyring.keys(REPOSITORY), keyring.for_writer(REPOSITORY).keys(REPOSITORY));
        let (secret, identity) = ([3; 32], b"identity");
        let public = exchange_public_key(&secret);
        let key = writer.sealing_key(&secret, identity).unwrap();
        assert_eq!(reader.opening_key(1, &public, identity), Ok(key.clone()));
        assert_ne!(reader.opening_key(0, &public, identity), Ok(key), "another epoch is another key");
        assert_eq!(writer.opening_key(1, &public, identity), Err(NoKey::Access));
        assert_eq!(reader.opening_key(1, &[0; 32], identity), Err(NoKey::Exchange));
    }
}
