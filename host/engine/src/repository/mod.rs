//! A repository that is open: its store, its config and its keys.
//!
//! Owned here: creating, opening, the small objects (config, key slots, index segments, snapshots, condemned records,
//! records of removal), and a writer's place in its chain. Refused here: packs (`blobs`, `write::stow`). Called by every command of the engine.

mod chain;
mod create;
mod open;
mod removal;
mod snapshots;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::{ErrorClass, Store, StoredObject};
use credenza_format::{BlobIndex, Condemned, Config, Hex, IndexSegment, Keys, ObjectKind, TreeRoot, open_document};
use credenza_model::limits::DOCUMENT_BYTES_MAX;
use credenza_model::{ObjectId, StoreKey};
use futures_util::{StreamExt, TryStreamExt};
use zeroize::Zeroizing;

pub(crate) use chain::Chain;
pub use create::{CreateOptions, Created};
pub use snapshots::{SnapshotHandle, SnapshotName, Snapshots};

use crate::blobs::BlobLoader;
use crate::walk::Records;
use crate::{Damage, DamageKind, Error, Result};

/// Small objects read at once.
const DOCUMENTS_IN_FLIGHT: usize = 16;
/// Keys asked of a listing at once.
pub(crate) const LIST_PAGE: usize = 1000;

/// What opens the keys of a repository.
#[derive(Clone)]
pub enum Secret {
    /// Nothing: the repository is created in plain text, or is opened as one.
    None,
    /// A passphrase, exact bytes.
    Passphrase(Zeroizing<Vec<u8>>),
    /// The content of a key file.
    KeyFile(Zeroizing<Vec<u8>>),
}

/// A repository, opened.
pub struct Repository {
    store: Arc<dyn Store>,
    /// The store without a cache before it.
    bare: Arc<dyn Store>,
    config: Config,
    keys: Keys,
}

impl Repository {
    /// The config.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn bare_store(&self) -> &Arc<dyn Store> {
        &self.bare
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn loader(&self, index: Arc<BlobIndex>) -> Arc<BlobLoader> {
        self.loader_from(&self.store, index)
    }

    /// A loader that reads from one of the two stores.
    pub(crate) fn loader_from(&self, store: &Arc<dyn Store>, index: Arc<BlobIndex>) -> Arc<BlobLoader> {
        Arc::new(BlobLoader::new(Arc::clone(store), Arc::clone(&self.bare), self.keys.clone(), index))
    }

    /// The records of a snapshot whose keys begin with `prefix`, in key order.
    ///
    /// # Errors
    /// When the index cannot be loaded.
    pub async fn records(&self, snapshot: &SnapshotHandle, prefix: &[u8]) -> Result<Records> {
        let index = Arc::new(self.load_index().await?);
        Ok(self.walk(&self.loader(index), &snapshot.snapshot.tree, prefix))
    }

    pub(crate) fn walk(&self, loader: &Arc<BlobLoader>, root: &TreeRoot, prefix: &[u8]) -> Records {
        Records::new(Arc::clone(loader), root, prefix.to_vec())
    }

    /// Who writes: stable for a user on a machine, and telling nothing of them to anyone without the keys.
    pub(crate) fn writer(&self, host: &str, user: &str) -> Hex<[u8; 16]> {
        self.keys.writer_id(host, user)
    }

    /// Every index segment, with packs left out that a collector has condemned.
    pub(crate) async fn load_index(&self) -> Result<BlobIndex> {
        let condemned = self.condemned().await?;
        let segments = self.segments(&self.store).await?;
        let mut index = BlobIndex::new();
        for (key, segment) in segments {
            let segment = segment?;
            let packs = segment.packs.into_iter().filter(|pack| !condemned.contains(&pack.id)).collect();
            index
                .add(&IndexSegment { packs, ..segment })
                .map_err(|cause| Damage::new(&key, DamageKind::Invalid, cause.to_string()))?;
        }
        Ok(index)
    }

    /// Index segments that no other segment supersedes, each or its damage.
    pub(crate) async fn segments(
        &self,
        store: &Arc<dyn Store>,
    ) -> Result<Vec<(StoreKey, Result<IndexSegment, Damage>)>> {
        let objects = self.documents(store, ObjectKind::Index).await?;
        let mut segments: Vec<(ObjectId, StoreKey, Result<IndexSegment, Damage>)> = objects
            .into_iter()
            .map(|document| {
                let segment = document.body.and_then(|body| {
                    IndexSegment::decode(&body)
                        .map_err(|cause| Damage::new(&document.key, DamageKind::Invalid, cause.to_string()))
                });
                (document.id, document.key, segment)
            })
            .collect();
        let superseded: HashSet<ObjectId> = segments
            .iter()
            .filter_map(|(_, _, segment)| segment.as_ref().ok())
            .flat_map(|segment| segment.supersedes.iter().copied())
            .collect();
        segments.retain(|(id, _, _)| !superseded.contains(id));
        Ok(segments.into_iter().map(|(_, key, segment)| (key, segment)).collect())
    }

    /// Packs named in a condemned record.
    pub(crate) async fn condemned(&self) -> Result<HashSet<ObjectId>> {
        let mut packs = HashSet::new();
        for document in self.documents(&self.store, ObjectKind::Condemned).await? {
            let key = document.key;
            let record = document.body.and_then(|body| {
                Condemned::decode(&body).map_err(|cause| Damage::new(&key, DamageKind::Invalid, cause.to_string()))
            })?;
            packs.extend(record.packs);
        }
        Ok(packs)
    }

    /// Lists one kind of small object and opens each.
    pub(crate) async fn documents(&self, store: &Arc<dyn Store>, kind: ObjectKind) -> Result<Vec<Document>> {
        self.documents_opened(store, kind, &|id, bytes| open_document(&self.keys, kind, id, bytes)).await
    }

    /// Lists one kind of small object and opens each by `open`.
    pub(crate) async fn documents_opened<T>(
        &self,
        store: &Arc<dyn Store>,
        kind: ObjectKind,
        open: &dyn Fn(ObjectId, Vec<u8>) -> Result<T, credenza_format::Error>,
    ) -> Result<Vec<Document<T>>> {
        let listed = list(&**store, &format!("{}/", kind.folder())).await?;
        self.open_listed(store, kind, open, listed).await
    }

    /// Opens small objects that were listed.
    async fn open_listed<T>(
        &self,
        store: &Arc<dyn Store>,
        kind: ObjectKind,
        open: &dyn Fn(ObjectId, Vec<u8>) -> Result<T, credenza_format::Error>,
        listed: Vec<StoredObject>,
    ) -> Result<Vec<Document<T>>> {
        let opened =
            futures_util::stream::iter(listed.into_iter().map(|object| self.document(store, kind, open, object)));
        let found: Vec<Option<Document<T>>> = opened.buffered(DOCUMENTS_IN_FLIGHT).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// One small object, opened; `None` when it was deleted since it was listed.
    async fn document<T>(
        &self,
        store: &Arc<dyn Store>,
        kind: ObjectKind,
        open: &dyn Fn(ObjectId, Vec<u8>) -> Result<T, credenza_format::Error>,
        object: StoredObject,
    ) -> Result<Option<Document<T>>> {
        let Some((_, id)) = ObjectKind::parse(&object.key).filter(|(found, _)| *found == kind) else {
            let damage =
                Damage::new(&object.key, DamageKind::Invalid, "its name is not that of an object of this kind");
            return Ok(Some(Document {
                id: ObjectId::new([0; 16]),
                key: object.key.clone(),
                object,
                body: Err(damage),
            }));
        };
        let open = |bytes: Bytes| {
            open(id, bytes.into()).map_err(|cause| Damage::new(&object.key, kind_of_damage(&cause), cause.to_string()))
        };
        let Some(bytes) = fetch(&**store, &object.key).await? else { return Ok(None) };
        let mut body = bytes.and_then(open);
        // What fails may be a rotten copy in the cache: only the store itself is believed when it comes to damage.
        if body.is_err() && !Arc::ptr_eq(store, &self.bare) {
            let Some(bytes) = fetch(&*self.bare, &object.key).await? else { return Ok(None) };
            body = bytes.and_then(open);
        }
        Ok(Some(Document { id, key: object.key.clone(), object, body }))
    }
}

/// A small object of the repository: what a listing says of it, and what is in it.
pub(crate) struct Document<T = Vec<u8>> {
    pub(crate) id: ObjectId,
    pub(crate) key: StoreKey,
    pub(crate) object: StoredObject,
    pub(crate) body: Result<T, Damage>,
}

/// What breaks the rules under a seal that holds was written so; all else was done to the object since.
fn kind_of_damage(cause: &credenza_format::Error) -> DamageKind {
    match cause {
        credenza_format::Error::Malformed { .. } => DamageKind::Invalid,
        _ => DamageKind::Corrupt,
    }
}

/// A small object whole; `None` when there is none, damage when it is larger than any may be.
pub(crate) async fn fetch(store: &dyn Store, key: &StoreKey) -> Result<Option<Result<Bytes, Damage>>> {
    let answer = async { store.get(key, None, None).await?.read_all(DOCUMENT_BYTES_MAX).await }.await;
    match answer {
        Ok(bytes) => Ok(Some(Ok(bytes))),
        Err(cause) if cause.class == ErrorClass::NotFound => Ok(None),
        Err(cause) if cause.class == ErrorClass::Corrupt => {
            Ok(Some(Err(Damage::new(key, DamageKind::Size, cause.message))))
        }
        Err(cause) => Err(Error::connector(format!("reading `{key}` of the repository"))(cause)),
    }
}

/// Every object whose name begins with `prefix`. Bound: some 150 bytes an object.
pub(crate) async fn list(store: &dyn Store, prefix: &str) -> Result<Vec<StoredObject>> {
    let mut all: Vec<StoredObject> = Vec::new();
    loop {
        let after = all.last().map(|object| object.key.clone());
        let page = store
            .list(prefix, after.as_ref(), LIST_PAGE)
            .await
            .map_err(Error::connector(format!("listing `{prefix}` of the repository")))?;
        let complete = page.len() < LIST_PAGE;
        all.extend(page);
        if complete {
            return Ok(all);
        }
    }
}

pub(crate) fn random_id<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::Encode { doing: "drawing a random id".into(), cause: cause.to_string() })?;
    Ok(bytes)
}
