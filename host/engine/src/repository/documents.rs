//! Reading small objects: list a kind, open each.
//!
//! Bound: [`DOCUMENTS_IN_FLIGHT`] objects, of escrowed connectors one, beside what the caller keeps; a listing takes some 150 bytes an object.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::{ErrorClass, Pages, Store, StoredObject, Strays};
use credenza_format::{ObjectKind, open_document};
use credenza_model::limits::DOCUMENT_BYTES_MAX;
use credenza_model::{ObjectId, StoreKey};
use futures_util::{StreamExt, TryStreamExt};

use super::Repository;
use crate::{Damage, DamageKind, Error, Result};

/// Small objects read at once.
pub(crate) const DOCUMENTS_IN_FLIGHT: usize = 16;
/// Those that are merged, which may be larger, read at once.
const MERGED_IN_FLIGHT: usize = 4;
/// Listings, at each of which collectors had merged, after which a kind counts as never at rest.
const LISTINGS_MAX: usize = 16;

/// When a kind whose objects collectors merge counts as at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// When a second listing brings nothing new.
    Proven,
    /// Also when the first names just what an earlier run left in the cache: what a collector merges is no longer listed. What others added and a
    /// collector merged within this one listing may be missed. For who only adds: such chunks are stored once more.
    Known,
}

/// A small object of the repository: what a listing says of it, and what is in it.
pub(crate) struct Document<T = Vec<u8>> {
    pub(crate) id: ObjectId,
    pub(crate) key: StoreKey,
    pub(crate) object: StoredObject,
    pub(crate) body: Result<T, Damage>,
}

/// Opens what is under an id.
type Open<'a, T> = dyn Fn(ObjectId, Vec<u8>) -> Result<T, credenza_format::Error> + Sync + 'a;

/// Which objects are read, and how they are opened.
struct Wanted<'a, T> {
    store: &'a Arc<dyn Store>,
    kind: ObjectKind,
    open: &'a Open<'a, T>,
}

impl Repository {
    /// Lists one kind of small object and opens each; what was deleted since the listing is left out.
    pub(crate) async fn documents(&self, store: &Arc<dyn Store>, kind: ObjectKind) -> Result<Vec<Document>> {
        self.documents_opened(store, kind, &|id, bytes| open_document(&self.keys, kind, id, bytes)).await
    }

    /// Lists one kind of small object and opens each by `open`.
    pub(crate) async fn documents_opened<T>(
        &self,
        store: &Arc<dyn Store>,
        kind: ObjectKind,
        open: &Open<'_, T>,
    ) -> Result<Vec<Document<T>>> {
        self.require_access(kind)?;
        let mut found = Vec::new();
        let listed = self.list_kind(store, kind).await?;
        let wanted = Wanted { store, kind, open };
        // Each of these may be as large as all others together.
        let in_flight = if kind == ObjectKind::Connector { 1 } else { DOCUMENTS_IN_FLIGHT };
        self.open_each(&wanted, listed, in_flight, |document| {
            found.push(document);
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// The objects of a kind; strays beside them are left out.
    async fn list_kind(&self, store: &Arc<dyn Store>, kind: ObjectKind) -> Result<Vec<(ObjectId, StoredObject)>> {
        let listed = self.list(&**store, &format!("{}/", kind.folder())).await?;
        let known = |object: StoredObject| match ObjectKind::parse(&object.key) {
            Some((found, id)) if found == kind => Some((id, object)),
            _ => None,
        };
        Ok(listed.into_iter().filter_map(known).collect())
    }

    fn require_access(&self, kind: ObjectKind) -> Result<()> {
        if self.keys.can_open(kind) { Ok(()) } else { Err(Error::NoAccess { what: kind.name() }) }
    }

    /// Opens each object of a kind whose objects collectors merge at any time: the merged one is put, then those that are in it are deleted.
    ///
    /// A listing is no picture of one moment: it may have passed the place of the merged object before that was put, and
    /// come to the others after they were deleted. So it is listed until a listing, begun after all was read, brings
    /// nothing new that a collector made: what writers add meanwhile asks for no other look, however many there are.
    /// `take` says whether others may have been merged into an object; its first error ends the reading.
    ///
    /// # Errors
    /// [`Error::Contended`] when collectors merge at each of [`LISTINGS_MAX`] listings, and what `take` fails with.
    pub(crate) async fn merged_documents(
        &self,
        store: &Arc<dyn Store>,
        kind: ObjectKind,
        rest: Rest,
        take: impl FnMut(Document) -> Result<bool>,
    ) -> Result<()> {
        let open = |id: ObjectId, bytes| open_document(&self.keys, kind, id, bytes);
        self.merged_documents_opened(store, kind, rest, &open, take).await
    }

    /// The same, each opened by `open`.
    pub(crate) async fn merged_documents_opened<T>(
        &self,
        store: &Arc<dyn Store>,
        kind: ObjectKind,
        rest: Rest,
        open: &Open<'_, T>,
        mut take: impl FnMut(Document<T>) -> Result<bool>,
    ) -> Result<()> {
        self.require_access(kind)?;
        let mut seen = HashSet::new();
        let cached = self.cache.as_ref().filter(|_| !Arc::ptr_eq(store, &self.bare));
        let known = match cached {
            Some(cached) => cached.ids(kind).await,
            None => HashSet::new(),
        };
        for round in 0..LISTINGS_MAX {
            let mut listed = self.list_kind(store, kind).await?;
            listed.retain(|(id, _)| seen.insert(*id));
            let is_as_known = self.fills_cache() || !known.is_empty() && seen == known;
            let is_known = rest == Rest::Known && is_as_known;
            // What is gone before it is read was merged.
            let (mut unread, mut is_merged) = (listed.len(), false);
            let note = |document: Document<T>| {
                unread = unread.saturating_sub(1);
                take(document).map(|of_others| is_merged |= of_others)
            };
            self.open_each(&Wanted { store, kind, open }, listed, MERGED_IN_FLIGHT, note).await?;
            let is_at_rest = is_known || round > 0 && !is_merged;
            if is_at_rest && unread == 0 {
                if let Some(cached) = cached {
                    let gone = known.difference(&seen).map(|id| kind.store_key(*id));
                    futures_util::future::join_all(gone.map(|key| async move { cached.forget(&key).await })).await;
                }
                return Ok(());
            }
        }
        Err(Error::Contended { what: format!("`{}/`", kind.folder()) })
    }

    async fn open_each<T>(
        &self,
        wanted: &Wanted<'_, T>,
        listed: Vec<(ObjectId, StoredObject)>,
        in_flight: usize,
        mut take: impl FnMut(Document<T>) -> Result<()>,
    ) -> Result<()> {
        let opened = futures_util::stream::iter(listed.into_iter().map(|listed| self.document(wanted, listed)));
        let mut opened = opened.buffered(in_flight);
        while let Some(document) = opened.try_next().await? {
            document.into_iter().try_for_each(&mut take)?;
        }
        Ok(())
    }

    /// One small object, opened; `None` when it was deleted since it was listed.
    async fn document<T>(
        &self,
        wanted: &Wanted<'_, T>,
        (id, object): (ObjectId, StoredObject),
    ) -> Result<Option<Document<T>>> {
        let body = self.opened(wanted.store, wanted.kind, wanted.open, id).await?;
        Ok(body.map(|body| Document { id, key: object.key.clone(), object, body }))
    }

    /// What is in one small object, or its damage; `None` when it is not there.
    pub(crate) async fn body(
        &self,
        store: &Arc<dyn Store>,
        kind: ObjectKind,
        id: ObjectId,
    ) -> Result<Option<Result<Vec<u8>, Damage>>> {
        self.require_access(kind)?;
        self.opened(store, kind, &|id, bytes| open_document(&self.keys, kind, id, bytes), id).await
    }

    async fn opened<T>(
        &self,
        store: &Arc<dyn Store>,
        kind: ObjectKind,
        open: &Open<'_, T>,
        id: ObjectId,
    ) -> Result<Option<Result<T, Damage>>> {
        let key = kind.store_key(id);
        let open = |bytes: Bytes| {
            open(id, bytes.into()).map_err(|cause| Damage::new(&key, kind_of_damage(&cause), cause.to_string()))
        };
        let Some(bytes) = fetch(&**store, &key).await? else { return Ok(None) };
        let mut body = bytes.and_then(open);
        // What fails may be a rotten copy in the cache: only the store itself is believed when it comes to damage.
        if body.is_err() && !Arc::ptr_eq(store, &self.bare) {
            let Some(bytes) = fetch(&*self.bare, &key).await? else { return Ok(None) };
            body = bytes.and_then(open);
        }
        Ok(Some(body))
    }

    /// Whether the store has an object.
    pub(crate) async fn holds(&self, key: &StoreKey) -> Result<bool> {
        match self.bare.stat(key).await {
            Ok(_) => Ok(true),
            Err(cause) if cause.class == ErrorClass::NotFound => Ok(false),
            Err(cause) => Err(Error::connector(format!("looking for `{key}` in the repository"))(cause)),
        }
    }

    /// Deletes one object that must not stay.
    pub(crate) async fn delete_own(&self, key: StoreKey) -> Result<()> {
        let failed = |cause| Error::connector(format!("deleting `{key}` of the repository"))(cause);
        let results = self.store.delete(std::slice::from_ref(&key)).await.map_err(failed)?;
        results.into_iter().try_for_each(|result| result.map_err(failed))
    }
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
    fetch_up_to(store, key, DOCUMENT_BYTES_MAX).await
}

/// The same for an object of which it is known that it is smaller.
pub(crate) async fn fetch_up_to(
    store: &dyn Store,
    key: &StoreKey,
    bytes_max: u64,
) -> Result<Option<Result<Bytes, Damage>>> {
    let answer = async { store.get(key, None, None).await?.read_all(bytes_max).await }.await;
    match answer {
        Ok(bytes) => Ok(Some(Ok(bytes))),
        Err(cause) if cause.class == ErrorClass::NotFound => Ok(None),
        Err(cause) if cause.class == ErrorClass::Corrupt => Ok(Some(Err(Damage::of_answer(key, cause)))),
        Err(cause) => Err(Error::connector(format!("reading `{key}` of the repository"))(cause)),
    }
}

/// Every object whose name begins with `prefix`, strays that have a key among them. Bound: some 150 bytes an object.
pub(crate) async fn list(store: &dyn Store, prefix: &str) -> Result<Vec<StoredObject>> {
    list_at_least(store, prefix, usize::MAX).await
}

/// The first objects whose name begins with `prefix`: all of them, or so many and the rest of a page.
pub(super) async fn list_at_least(store: &dyn Store, prefix: &str, count: usize) -> Result<Vec<StoredObject>> {
    gather(store, prefix, count).await.map(|(listed, _)| listed)
}

/// Every object of the store as [`list`] tells them, and the strays that have no key.
pub(super) async fn list_with_strays(store: &dyn Store) -> Result<(Vec<StoredObject>, Strays)> {
    gather(store, "", usize::MAX).await
}

async fn gather(store: &dyn Store, prefix: &str, count: usize) -> Result<(Vec<StoredObject>, Strays)> {
    let (mut pages, mut all) = (Pages::new(store, prefix), Vec::new());
    while all.len() < count {
        let page = pages.next().await.map_err(Error::connector(format!("listing `{prefix}` of the repository")))?;
        let Some(page) = page else { break };
        all.extend(page);
    }
    Ok((all, pages.strays().clone()))
}

#[cfg(test)]
mod tests {
    use credenza_connect::memory::{MemorySource, MemoryStore};

    use super::*;
    use crate::testing::{noise, repository, secret, snapshot};

    #[tokio::test]
    async fn what_is_not_taken_ends_the_reading() {
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        for number in 0..3 {
            let source = MemorySource::new();
            source.put(format!("key {number}").as_str(), noise(number, 5000));
            snapshot(&repository, &source).await;
        }
        assert!(repository.documents(repository.store(), ObjectKind::Index).await.unwrap().len() > 1);
        let mut taken = 0;
        let take = |_: Document| {
            taken += 1;
            Err(Error::Cancelled)
        };
        let read = repository.merged_documents(repository.store(), ObjectKind::Index, Rest::Proven, take).await;
        assert!(matches!(read, Err(Error::Cancelled)), "{read:?}");
        assert_eq!(taken, 1);
    }
}
