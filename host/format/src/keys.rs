//! From one secret to every key of a repository.
//!
//! Owned here: the keyring, the derivations and their context strings, ids of blobs. Refused here: how a keyring is
//! wrapped (`slot`) and how objects are sealed (`container`). Called by every codec of the room and by the engine.

use std::fmt;
use std::sync::Arc;

use credenza_model::{ChunkId, ObjectId, RepositoryId};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{BlobKind, Error, ObjectKind, Result, Suite};

/// The secrets of a repository: one for what never changes (ids, cutting), one per epoch for what is sealed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Keyring {
    secret: [u8; 32],
    epochs: Vec<Epoch>,
}

/// The secret under which packs and documents are sealed from one `key rotate` to the next.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
struct Epoch {
    number: u32,
    secret: [u8; 32],
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} epochs)", self.epochs.len())
    }
}

impl Keyring {
    /// A new keyring with epoch 0.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn generate() -> Result<Self> {
        Ok(Self { secret: random()?, epochs: vec![Epoch { number: 0, secret: random()? }] })
    }

    /// The keyring that everybody has: that of a repository in plain text, whose ids and tags find corruption and hide nothing.
    #[must_use]
    pub fn public() -> Self {
        Self { secret: [0; 32], epochs: vec![Epoch { number: 0, secret: [0; 32] }] }
    }

    /// The keys of a repository under this keyring.
    #[must_use]
    pub fn keys(&self, repository: RepositoryId, suite: Suite) -> Keys {
        let derive = |context: &str| bound_key(context, &self.secret, repository);
        Keys(Arc::new(Derived {
            repository,
            suite,
            data_id: derive("credenza v1 id of data chunks"),
            meta_id: derive("credenza v1 id of metadata chunks"),
            chunker: derive("credenza v1 gear table of the chunker"),
            node: derive("credenza v1 boundaries of tree nodes"),
            writer: derive("credenza v1 id of a writer"),
            config: derive("credenza v1 authentication of the config"),
            epochs: self.epochs.iter().map(|epoch| (epoch.number, epoch.secret)).collect(),
        }))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.secret.to_vec();
        out.extend_from_slice(&(self.epochs.len() as u32).to_le_bytes());
        for epoch in &self.epochs {
            out.extend_from_slice(&epoch.number.to_le_bytes());
            out.extend_from_slice(&epoch.secret);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = crate::wire::Fields::new("a keyring", bytes);
        let secret = fields.array()?;
        let count = fields.u32()?;
        if count == 0 || fields.remaining() as u64 != u64::from(count) * 36 {
            return Err(fields.malformed(format!("{count} epochs do not fit its length")));
        }
        let epochs = (0..count)
            .map(|_| Ok(Epoch { number: fields.u32()?, secret: fields.array()? }))
            .collect::<Result<Vec<_>>>()?;
        if !epochs.is_sorted_by(|a, b| a.number < b.number) {
            return Err(fields.malformed("its epochs are not in order"));
        }
        Ok(Self { secret, epochs })
    }
}

/// The derived keys of one repository; cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Derived>);

struct Derived {
    repository: RepositoryId,
    suite: Suite,
    data_id: [u8; 32],
    meta_id: [u8; 32],
    chunker: [u8; 32],
    node: [u8; 32],
    writer: [u8; 32],
    config: [u8; 32],
    epochs: Vec<(u32, [u8; 32])>,
}

impl Drop for Derived {
    fn drop(&mut self) {
        for key in [
            &mut self.data_id,
            &mut self.meta_id,
            &mut self.chunker,
            &mut self.node,
            &mut self.writer,
            &mut self.config,
        ] {
            key.zeroize();
        }
        self.epochs.zeroize();
    }
}

/// 256 random 64-bit words, one per byte value, from the chunker's key: where contents are cut tells nothing without it.
#[derive(Clone, PartialEq, Eq)]
pub struct GearTable(pub(crate) Box<[u64; 256]>);

impl Keys {
    /// The repository.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.0.repository
    }

    /// The suite that new objects are sealed with.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.0.suite
    }

    /// The epoch that new objects are sealed under.
    #[must_use]
    pub fn current_epoch(&self) -> u32 {
        self.0.epochs.last().map_or(0, |(number, _)| *number)
    }

    /// The id of a blob: keyed BLAKE3 of its plaintext, with one key for data and one for nodes and lists.
    #[must_use]
    pub fn blob_id(&self, kind: BlobKind, plaintext: &[u8]) -> ChunkId {
        let key = if kind == BlobKind::Data { &self.0.data_id } else { &self.0.meta_id };
        ChunkId::new(*blake3::keyed_hash(key, plaintext).as_bytes())
    }

    /// The secret gear table of the chunker.
    #[must_use]
    pub fn gear(&self) -> GearTable {
        let mut stream = blake3::Hasher::new_keyed(&self.0.chunker).finalize_xof();
        let mut table = Box::new([0; 256]);
        for word in table.iter_mut() {
            let mut bytes = [0; 8];
            stream.fill(&mut bytes);
            *word = u64::from_le_bytes(bytes);
        }
        GearTable(table)
    }

    /// Who writes: the same for a user on a machine, and telling nothing of them to anyone without the keys.
    #[must_use]
    pub fn writer_id(&self, host: &str, user: &str) -> ObjectId {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.writer);
        hasher.update(&(host.len() as u64).to_le_bytes()).update(host.as_bytes()).update(user.as_bytes());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        ObjectId::new(id)
    }

    /// A number drawn from a key and the level of the tree it stands on, uniform over all `u32`.
    pub(crate) fn node_draw(&self, level: u8, key: &[u8]) -> u32 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0.node);
        hasher.update(&[level]).update(key);
        let mut bytes = [0; 4];
        hasher.finalize_xof().fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub(crate) fn config_mac(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0.config, bytes)
    }

    /// The key of one object: from the epoch's secret, bound to repository, kind, object and the object's own salt.
    pub(crate) fn object_key(
        &self,
        kind: ObjectKind,
        epoch: u32,
        object: ObjectId,
        salt: &[u8; 32],
    ) -> Result<[u8; 32]> {
        let found = self.0.epochs.iter().find(|(number, _)| *number == epoch);
        let (_, secret) = found.ok_or(Error::MissingEpoch { object, epoch })?;
        let mut hasher = blake3::Hasher::new_derive_key("credenza v1 key of a sealed object");
        hasher
            .update(secret)
            .update(self.0.repository.as_bytes())
            .update(&[kind as u8])
            .update(object.as_bytes())
            .update(salt);
        Ok(*hasher.finalize().as_bytes())
    }
}

/// What a header shows of an object's key: whoever opens with another key notices at once (key commitment).
pub(crate) fn commitment(object_key: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key("credenza v1 commitment to the key of a sealed object", object_key)
}

fn bound_key(context: &str, secret: &[u8; 32], repository: RepositoryId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(secret).update(repository.as_bytes());
    *hasher.finalize().as_bytes()
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| Error::Random { problem: cause.to_string() })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_reads_back_what_was_encoded() {
        let keyring = Keyring::generate().unwrap();
        assert_eq!(Keyring::decode(&keyring.encode()).unwrap(), keyring);
        assert!(Keyring::decode(&keyring.encode()[1..]).is_err());
    }

    #[test]
    fn ids_differ_between_repositories_kinds_and_keyrings() {
        let keyring = Keyring::generate().unwrap();
        let here = keyring.keys(RepositoryId::new([1; 16]), Suite::Plain);
        let there = keyring.keys(RepositoryId::new([2; 16]), Suite::Plain);
        let ids = [
            here.blob_id(BlobKind::Data, b"x"),
            here.blob_id(BlobKind::Node, b"x"),
            there.blob_id(BlobKind::Data, b"x"),
            Keyring::public().keys(RepositoryId::new([1; 16]), Suite::Plain).blob_id(BlobKind::Data, b"x"),
        ];
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
    }
}
