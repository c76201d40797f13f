//! One object, as far as it can be verified without a key: its name, its header, its size, its checksum, its signature.
//!
//! Bound: a piece of [`PIECE_BYTES`] an object, a whole text document, a whole parity object (at most [`PARITY_BYTES_MAX`]; a twentieth of a pack at 5 %).

use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::{ByteRange, ErrorClass, Store, StoredObject};
use credenza_format::{
    Config, Error as FormatError, HEADER_BYTES, Header, Inspected, Inspector, KeySlot, ObjectKind, PARITY_BYTES_MAX,
    Removal, config_key, inspect_parity, original_key, parity_pack, plain_length, removal_key, slot_key,
};
use credenza_model::{ObjectId, RepositoryId, SnapshotId, StoreKey};

use crate::repository::Stated;
use crate::repository::{PROBES, fetch, fetch_up_to};
use crate::{Damage, DamageKind, Error, Result};

/// Bytes of an object read in one request.
pub(super) const PIECE_BYTES: u64 = 4 * 1024 * 1024;

/// What an object contributes to the whole.
pub(super) enum Fact {
    /// Nothing beyond itself, or it was deleted since it was listed.
    Nothing,
    Snapshot(Stated),
    Removal(Removal),
}

/// Examines the objects of one repository.
pub(super) struct Examiner {
    pub(super) store: Arc<dyn Store>,
    pub(super) repository: RepositoryId,
    /// Read headers and snapshots only.
    pub(super) quick: bool,
}

impl Examiner {
    /// Everything about one object; the inner error is what is wrong with it.
    pub(super) async fn examine(&self, object: &StoredObject) -> Result<Result<Fact, Damage>> {
        let key = &object.key;
        match ObjectKind::parse(key) {
            Some((kind, id)) if self.quick && kind != ObjectKind::Snapshot => self.glance(object, kind, id).await,
            Some((kind, id)) => self.sealed(object, kind, id).await,
            None => match parity_pack(key) {
                Some(pack) => self.parity(key, pack).await,
                None => self.text(key).await,
            },
        }
    }

    /// Reads all of a sealed object.
    async fn sealed(&self, object: &StoredObject, kind: ObjectKind, id: ObjectId) -> Result<Result<Fact, Damage>> {
        let mut inspector = Inspector::new(object.size);
        let mut offset = 0;
        while offset < object.size {
            let piece = match self.piece(object, offset, PIECE_BYTES.min(object.size - offset)).await? {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(Ok(Fact::Nothing)),
                Err(damage) => return Ok(Err(damage)),
            };
            offset += piece.len() as u64;
            let worked = tokio::task::spawn_blocking(move || {
                inspector.update(&piece);
                inspector
            });
            inspector = worked.await.map_err(Error::worker("audit"))?;
        }
        let inspected = inspector.finish().map_err(|cause| damaged(&object.key, &cause));
        Ok(inspected.and_then(|inspected| {
            self.named(&object.key, &inspected.header, kind, id)?;
            Ok(fact(id, &inspected))
        }))
    }

    /// Reads the header of a sealed object alone.
    async fn glance(&self, object: &StoredObject, kind: ObjectKind, id: ObjectId) -> Result<Result<Fact, Damage>> {
        let bytes = match self.piece(object, 0, object.size.min(HEADER_BYTES as u64)).await? {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Ok(Fact::Nothing)),
            Err(damage) => return Ok(Err(damage)),
        };
        let header = plain_length(object.size).and_then(|_| Header::decode(&bytes));
        let header = header.map_err(|cause| damaged(&object.key, &cause));
        Ok(header.and_then(|header| {
            self.named(&object.key, &header, kind, id)?;
            Ok(Fact::Nothing)
        }))
    }

    /// The parity of a pack, by the hashes in it. It proves nothing of the pack, and is passed over where headers alone are read.
    async fn parity(&self, key: &StoreKey, pack: ObjectId) -> Result<Result<Fact, Damage>> {
        if self.quick {
            return Ok(Ok(Fact::Nothing));
        }
        let Some(bytes) = fetch_up_to(&*self.store, key, PARITY_BYTES_MAX).await? else { return Ok(Ok(Fact::Nothing)) };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(damage) => return Ok(Err(damage)),
        };
        let inspected = tokio::task::spawn_blocking(move || inspect_parity(&bytes)).await;
        let inspected = inspected.map_err(Error::worker("audit"))?.map_err(|cause| damaged(key, &cause));
        Ok(inspected.and_then(|head| {
            self.same_repository(key, head.repository())?;
            match head.pack() == pack {
                true => Ok(Fact::Nothing),
                false => {
                    let detail = format!("it says that it is the parity of pack {}: objects were swapped", head.pack());
                    Err(Damage::new(key, DamageKind::Invalid, detail))
                }
            }
        }))
    }

    async fn text(&self, key: &StoreKey) -> Result<Result<Fact, Damage>> {
        // A store that cannot delete keeps what `create` tried it with.
        if key.as_str().starts_with(PROBES) {
            return Ok(Ok(Fact::Nothing));
        }
        // A second copy is what its document is.
        let document = original_key(key).unwrap_or_else(|| key.clone());
        let Some(bytes) = fetch(&*self.store, key).await? else { return Ok(Ok(Fact::Nothing)) };
        Ok(bytes.and_then(|bytes| self.document(key, &document, &bytes)))
    }

    /// A text document or its copy: its checksum, its own name for itself, its repository.
    fn document(&self, key: &StoreKey, document: &StoreKey, bytes: &[u8]) -> Result<Fact, Damage> {
        let corrupt = |cause: String| Damage::new(key, DamageKind::Corrupt, cause);
        let (own_name, repository, fact) = if *document == config_key() {
            let config = Config::decode(bytes).map_err(|cause| corrupt(cause.to_string()))?;
            (config_key(), config.repository(), Fact::Nothing)
        } else if document.as_str().starts_with("key/") {
            let slot = KeySlot::decode(bytes).map_err(|cause| corrupt(cause.to_string()))?;
            (slot_key(slot.id()), slot.repository(), Fact::Nothing)
        } else {
            let removal = Removal::decode(bytes).map_err(|cause| damaged(key, &cause))?.claim().clone();
            (removal_key(removal.id), removal.repository, Fact::Removal(removal))
        };
        self.same_repository(key, repository)?;
        if own_name != *document {
            return Err(Damage::new(key, DamageKind::Invalid, format!("it says that it is `{own_name}`")));
        }
        Ok(fact)
    }

    fn named(&self, key: &StoreKey, header: &Header, kind: ObjectKind, id: ObjectId) -> Result<(), Damage> {
        self.same_repository(key, header.repository())?;
        if (header.kind(), header.object()) == (kind, id) {
            return Ok(());
        }
        let own_name = header.kind().store_key(header.object());
        Err(Damage::new(key, DamageKind::Invalid, format!("it says that it is `{own_name}`: objects were swapped")))
    }

    fn same_repository(&self, key: &StoreKey, found: RepositoryId) -> Result<(), Damage> {
        if found == self.repository {
            return Ok(());
        }
        let detail = format!("it belongs to repository {found}, and this one is {}", self.repository);
        Err(Damage::new(key, DamageKind::Foreign, detail))
    }

    /// A stretch of an object; `None` when it is gone.
    async fn piece(&self, object: &StoredObject, offset: u64, length: u64) -> Result<Result<Option<Bytes>, Damage>> {
        let (key, range) = (&object.key, ByteRange { offset, length: Some(length) });
        let size = |detail: String| Damage::new(key, DamageKind::Size, detail);
        match async { self.store.get(key, Some(range), None).await?.read_all(length).await }.await {
            Ok(piece) if piece.len() as u64 == length => Ok(Ok(Some(piece))),
            Ok(_) => Ok(Err(size(format!("it ends before the {} bytes that it is listed with", object.size)))),
            Err(cause) if cause.class == ErrorClass::NotFound => Ok(Ok(None)),
            Err(cause) if cause.class == ErrorClass::Corrupt => Ok(Err(Damage::of_answer(key, cause))),
            Err(cause) => Err(Error::connector(format!("reading `{key}` of the repository"))(cause)),
        }
    }
}

fn fact(id: ObjectId, inspected: &Inspected) -> Fact {
    inspected.statement.map_or(Fact::Nothing, |statement| {
        Fact::Snapshot(Stated {
            snapshot: SnapshotId::new(*id.as_bytes()),
            link: statement.link,
            signer: statement.signer,
            digest: inspected.sha256,
        })
    })
}

fn damaged(key: &StoreKey, cause: &FormatError) -> Damage {
    let kind = match cause {
        FormatError::Geometry { .. } => DamageKind::Size,
        FormatError::Malformed { .. } | FormatError::Unknown { .. } => DamageKind::Invalid,
        _ => DamageKind::Corrupt,
    };
    Damage::new(key, kind, cause.to_string())
}
