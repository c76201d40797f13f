//! A store that takes nothing: what a run writes and removes is noted, and seen by this run alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use credenza_connect::wrap::{Spent, Tally};
use credenza_connect::{
    Body, ByteRange, Check, Error as ConnectError, ErrorClass, Page, Payload, PutOptions, Result as Answer, Store,
    StoreInfo, Stored, StoredObject,
};
use credenza_model::{StoreKey, Timestamp};

use super::KEPT_BYTES_MAX;
use crate::cached::CacheFolder;
use crate::clock::Clock;
use crate::poison::lock_unpoisoned;

/// What a run would have written and removed.
pub(super) struct Overlay {
    clock: Arc<dyn Clock>,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    written: BTreeMap<StoreKey, Written>,
    removed: HashSet<StoreKey>,
    kept_bytes: u64,
}

struct Written {
    size: u64,
    modified: Timestamp,
    /// Its bytes, unless it is a data pack or there is no room left.
    kept: Option<Payload>,
}

impl Overlay {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, noted: Mutex::default() }
    }

    fn put(&self, key: &StoreKey, data: Payload) -> Stored {
        let modified = self.clock.now().wall;
        let mut noted = lock_unpoisoned(&self.noted);
        let size = data.length();
        let is_read_again = !key.as_str().starts_with("data/") && !key.as_str().starts_with("parity/");
        let has_room = noted.kept_bytes.saturating_add(size) <= KEPT_BYTES_MAX;
        let kept = (is_read_again && has_room).then_some(data);
        noted.kept_bytes = noted.kept_bytes.saturating_add(kept.as_ref().map_or(0, Payload::length));
        noted.removed.remove(key);
        noted.written.insert(key.clone(), Written { size, modified, kept });
        Stored { modified: Some(modified), ..Stored::default() }
    }

    /// What became of an object: `None` where it is as the store has it.
    fn look<T>(&self, key: &StoreKey, of: impl FnOnce(&Written) -> Option<T>) -> Option<Answer<T>> {
        let noted = lock_unpoisoned(&self.noted);
        let gone = || ConnectError::new(ErrorClass::NotFound, "rehearsal.gone", format!("`{key}` is not there"));
        match noted.written.get(key) {
            Some(written) => Some(of(written).ok_or_else(gone)),
            None => noted.removed.contains(key).then(|| Err(gone())),
        }
    }

    fn remove(&self, keys: &[StoreKey]) {
        let mut noted = lock_unpoisoned(&self.noted);
        for key in keys {
            let written = noted.written.remove(key);
            let freed = written.and_then(|written| written.kept).map_or(0, |kept| kept.length());
            noted.kept_bytes = noted.kept_bytes.saturating_sub(freed);
            noted.removed.insert(key.clone());
        }
    }

    /// Lays over the objects of a page what was written between them and without what was removed.
    fn cover(&self, prefix: &str, objects: &mut Vec<StoredObject>, after: Option<&str>, up_to: Option<&str>) {
        let noted = lock_unpoisoned(&self.noted);
        objects.retain(|object| !noted.removed.contains(&object.key) && !noted.written.contains_key(&object.key));
        let within = noted.written.iter().filter(|(key, _)| {
            let key = key.as_str();
            key.starts_with(prefix) && after.is_none_or(|after| key > after) && up_to.is_none_or(|up_to| key <= up_to)
        });
        objects.extend(within.map(|(key, written)| described(key, written)));
        objects.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

fn described(key: &StoreKey, written: &Written) -> StoredObject {
    let (size, modified) = (written.size, Some(written.modified));
    StoredObject { key: key.clone(), size, modified, tag: None, version: None, retain_until: None }
}

/// A store of a repository as a rehearsed run sees it.
pub(super) struct Shadow {
    /// With the cache before it: what is read for the rehearsal need not be read twice.
    inner: Arc<dyn Store>,
    tally: Arc<Tally>,
    overlay: Arc<Overlay>,
    /// That of the store which the run would read; none where it would read the store itself.
    cache: Option<CacheFolder>,
}

impl Shadow {
    pub(super) fn new(
        inner: Arc<dyn Store>,
        (tally, overlay): (Arc<Tally>, Arc<Overlay>),
        cache: Option<CacheFolder>,
    ) -> Self {
        Self { inner, tally, overlay, cache }
    }

    fn count(&self, cost: Spent) {
        self.tally.add(cost);
    }

    /// Whether the run will find an object in the cache: it is there, or comes there now, which what is read whole does.
    fn is_cached(&self, key: &StoreKey, range: Option<ByteRange>) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.keeps(key) && (range.is_none() || cache.has(key)))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Shadow {
    async fn info(&self) -> Answer<StoreInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn put(&self, key: &StoreKey, data: Payload, _: &PutOptions) -> Answer<Stored> {
        self.count(Spent { put: 1, bytes_up: data.length(), ..Spent::default() });
        Ok(self.overlay.put(key, data))
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Answer<Body> {
        let is_cached = self.is_cached(key, range);
        let body = match self.overlay.look(key, |written| written.kept.clone()) {
            Some(kept) => kept.map(|kept| {
                let ByteRange { offset, length } = range.unwrap_or(ByteRange { offset: 0, length: None });
                Body::from_bytes(kept.slice(offset, length.unwrap_or(u64::MAX)).to_bytes())
            }),
            None => self.inner.get(key, range, version).await,
        };
        if !is_cached {
            let announced = body.as_ref().ok().and_then(|body| body.length);
            let bytes_down = announced.or(range.and_then(|range| range.length)).unwrap_or(0);
            self.count(Spent { get: 1, bytes_down, ..Spent::default() });
        }
        body
    }

    async fn stat(&self, key: &StoreKey) -> Answer<StoredObject> {
        self.count(Spent { head: 1, ..Spent::default() });
        match self.overlay.look(key, |written| Some(described(key, written))) {
            Some(noted) => noted,
            None => self.inner.stat(key).await,
        }
    }

    /// A cursor is that of the store behind the last key told so far.
    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Answer<Page> {
        self.count(Spent { list: 1, ..Spent::default() });
        let (after, cursor) = cursor.and_then(|cursor| cursor.split_once('\n')).unzip();
        let mut page = self.inner.list(prefix, cursor, max).await?;
        let last = page.objects.last().map(|object| object.key.as_str().to_owned());
        let up_to = page.next.as_ref().map(|_| last.or_else(|| after.map(str::to_owned)).unwrap_or_default());
        self.overlay.cover(prefix, &mut page.objects, after, up_to.as_deref());
        page.next = page.next.zip(up_to).map(|(next, up_to)| format!("{up_to}\n{next}"));
        Ok(page)
    }

    async fn delete(&self, keys: &[StoreKey]) -> Answer<Vec<Answer<()>>> {
        if !keys.is_empty() {
            self.count(Spent { delete: 1, ..Spent::default() });
        }
        self.overlay.remove(keys);
        Ok(keys.iter().map(|_| Ok(())).collect())
    }

    async fn retain(&self, _: &StoreKey, _: Option<&str>, _: Timestamp) -> Answer<()> {
        self.count(Spent { put: 1, ..Spent::default() });
        Ok(())
    }
}
