//! What goes over a connector, counted as providers charge it: requests by class, and bytes each way.
//!
//! A call is one request, as with the connectors of this project: a listing is asked a page at a time and an object is written whole. What a connector
//! asks beyond that (a token, the tags of an object, a second question about a name) is not counted. Nearest to the connector, so that each try counts.
//!
//! Owned here: the counters, and asking whoever keeps a budget before each call. Refused here: prices, and what becomes of a run that may spend no more.
//! Called by whoever opens places, and by the engine's rehearsals. Bound: a few numbers a connector.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, Key, StoreKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Batch, Body, ByteRange, Check, Destination, DestinationInfo, Error, ErrorClass, Opened, Page, Payload, PutOptions,
    Result, ScanOptions, Scanner, Source, SourceDocument, SourceInfo, Store, StoreInfo, Stored, StoredObject, Writer,
};

/// The reason of the error of a call that a budget did not admit.
pub const OVER_BUDGET: &str = "budget";

/// Requests by class, and bytes of contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Pages of listings.
    pub list: u64,
    /// Objects or parts of them that are read.
    pub get: u64,
    /// Objects that are looked at and not read.
    pub head: u64,
    /// Objects or parts of them that are written, and locks that are extended.
    pub put: u64,
    /// Removals: of one object, or of up to a thousand where the provider takes so many in one request.
    pub delete: u64,
    /// Bytes sent.
    pub bytes_up: u64,
    /// Bytes received; of a range all that was asked for, even if not all of the answer was taken.
    pub bytes_down: u64,
}

impl Spent {
    /// Requests of every class.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        let Self { list, get, head, put, delete, .. } = *self;
        list.saturating_add(get).saturating_add(head).saturating_add(put).saturating_add(delete)
    }

    /// Bytes both ways.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes_up.saturating_add(self.bytes_down)
    }

    /// With what else was spent.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// Without what had been spent before.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            list: of(self.list, other.list),
            get: of(self.get, other.get),
            head: of(self.head, other.head),
            put: of(self.put, other.put),
            delete: of(self.delete, other.delete),
            bytes_up: of(self.bytes_up, other.bytes_up),
            bytes_down: of(self.bytes_down, other.bytes_down),
        }
    }
}

/// Asked before a call with what it will cost as far as that is known, and behind it with what is known only then, which is spent already; `false` keeps
/// a call from being made.
pub type Admit = Arc<dyn Fn(&Spent) -> bool + Send + Sync>;

/// What was spent on one connector, shared with whoever reports it.
#[derive(Default)]
pub struct Tally {
    spent: Mutex<Spent>,
    admit: Option<Admit>,
}

impl Tally {
    /// Counts, and makes no call that is not admitted.
    #[must_use]
    pub fn admitting(admit: Option<Admit>) -> Self {
        Self { spent: Mutex::default(), admit }
    }

    /// So far.
    #[must_use]
    pub fn spent(&self) -> Spent {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was spent.
    pub fn add(&self, cost: Spent) {
        if let Some(admit) = &self.admit {
            let _ = admit(&cost);
        }
        self.note(cost);
    }

    fn note(&self, cost: Spent) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        *spent = spent.plus(cost);
    }

    /// Spends before a call is made.
    ///
    /// # Errors
    /// [`OVER_BUDGET`], of a class that is no object's fault.
    fn spend(&self, cost: Spent) -> Result<()> {
        if self.admit.as_ref().is_some_and(|admit| !admit(&cost)) {
            return Err(Error::new(ErrorClass::Internal, OVER_BUDGET, "the budget of the run is spent"));
        }
        self.note(cost);
        Ok(())
    }

    fn received(&self, bytes: u64) {
        self.add(Spent { bytes_down: bytes, ..Spent::default() });
    }
}

/// A connector whose calls are counted.
pub struct Tallied<T: ?Sized> {
    inner: Arc<T>,
    tally: Arc<Tally>,
}

impl<T: ?Sized> Tallied<T> {
    /// Counts the calls of a connector there.
    #[must_use]
    pub fn new(inner: Arc<T>, tally: Arc<Tally>) -> Self {
        Self { inner, tally }
    }
}

fn get(range: Option<ByteRange>) -> Spent {
    let bytes_down = range.and_then(|range| range.length).unwrap_or(0);
    Spent { get: 1, bytes_down, ..Spent::default() }
}

const LIST: Spent = Spent { list: 1, ..NOTHING };
const HEAD: Spent = Spent { head: 1, ..NOTHING };
const PUT: Spent = Spent { put: 1, ..NOTHING };
const DELETE: Spent = Spent { delete: 1, ..NOTHING };
const NOTHING: Spent = Spent { list: 0, get: 0, head: 0, put: 0, delete: 0, bytes_up: 0, bytes_down: 0 };

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Store + ?Sized> Store for Tallied<T> {
    async fn info(&self) -> Result<StoreInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.tally.spend(Spent { bytes_up: data.length(), ..PUT })?;
        self.inner.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let foreseen = get(range);
        self.tally.spend(foreseen)?;
        let body = self.inner.get(key, range, version).await?;
        if foreseen.bytes_down == 0 {
            self.tally.received(body.length.unwrap_or(0));
        }
        Ok(body)
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.tally.spend(HEAD)?;
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.tally.spend(LIST)?;
        self.inner.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        if !keys.is_empty() {
            self.tally.spend(DELETE)?;
        }
        self.inner.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.tally.spend(PUT)?;
        self.inner.retain(key, version, until).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Source + ?Sized> Source for Tallied<T> {
    async fn info(&self) -> Result<SourceInfo> {
        self.inner.info().await
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        self.inner.now().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let inner = self.inner.scan(options).await?;
        Ok(Box::new(TalliedScanner { inner, tally: Arc::clone(&self.tally) }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let size = range.and_then(|range| range.length).or(entry.size);
        self.tally.spend(Spent { get: 1, bytes_down: size.unwrap_or(0), ..Spent::default() })?;
        let opened = self.inner.read(entry, range, if_match).await?;
        if size.is_none() {
            self.tally.received(opened.body.length.unwrap_or(0));
        }
        Ok(opened)
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        self.inner.describe(entries).await
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        let documents = self.inner.documents().await?;
        self.tally.add(Spent { get: documents.len() as u64, ..Spent::default() });
        Ok(documents)
    }
}

struct TalliedScanner {
    inner: Box<dyn Scanner>,
    tally: Arc<Tally>,
}

#[async_trait]
impl Scanner for TalliedScanner {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        self.tally.spend(LIST)?;
        self.inner.next(max).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized> Destination for Tallied<T> {
    async fn info(&self) -> Result<DestinationInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        self.tally.spend(HEAD)?;
        self.inner.stat(key).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let writer = self.inner.create(entry, overwrite).await?;
        let tally = Arc::clone(&self.tally);
        if writer.is_none() {
            tally.add(PUT);
        }
        Ok(writer.map(|inner| Box::new(TalliedWriter { inner, tally, in_parts: false }) as _))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        self.inner.set_metadata(entries).await
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Result<Option<Body>> {
        let foreseen = get(range);
        self.tally.spend(foreseen)?;
        let body = self.inner.read(key, range, fresh).await?;
        if foreseen.bytes_down == 0 {
            self.tally.received(body.as_ref().and_then(|body| body.length).unwrap_or(0));
        }
        Ok(body)
    }

    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        let inner = self.inner.scan().await?;
        Ok(inner.map(|inner| Box::new(TalliedScanner { inner, tally: Arc::clone(&self.tally) }) as _))
    }

    async fn remove(&self, found: &Entry) -> Result<()> {
        self.tally.spend(DELETE)?;
        self.inner.remove(found).await
    }

    async fn keep(&self, entry: &Entry) -> Result<bool> {
        self.inner.keep(entry).await
    }

    async fn sync(&self) -> Result<()> {
        self.inner.sync().await
    }
}

/// An object of one part is one request; one of more is begun and completed, too.
struct TalliedWriter {
    inner: Box<dyn Writer>,
    tally: Arc<Tally>,
    in_parts: bool,
}

impl TalliedWriter {
    fn part(&self, bytes: u64) -> Result<()> {
        let frame = if self.in_parts || self.inner.part_bytes().is_none() { 0 } else { 1 };
        self.tally.spend(Spent { put: 1 + frame, bytes_up: bytes, ..Spent::default() })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Writer for TalliedWriter {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        match self.inner.part_bytes() {
            Some(_) => self.part(part.length())?,
            None => self.tally.spend(Spent { bytes_up: part.length(), ..Spent::default() })?,
        }
        self.in_parts = true;
        self.inner.write(part).await
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        let completes = u64::from(self.in_parts && self.inner.part_bytes().is_some());
        self.tally.spend(Spent { put: 1 + completes, bytes_up: last.length(), ..Spent::default() })?;
        self.inner.finish(last).await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::memory::MemoryStore;

    fn key(text: &str) -> StoreKey {
        StoreKey::new(text.to_owned()).unwrap()
    }

    async fn put(store: &Tallied<MemoryStore>, name: &str) -> Result<Stored> {
        store.put(&key(name), Payload::from(vec![7; 100]), &PutOptions::default()).await
    }

    #[tokio::test]
    async fn each_call_is_counted_in_its_class_with_its_bytes() {
        let tally = Arc::new(Tally::default());
        let store = Tallied::new(Arc::new(MemoryStore::new()), Arc::clone(&tally));
        put(&store, "data/a").await.unwrap();
        store.get(&key("data/a"), None, None).await.unwrap();
        store.get(&key("data/a"), Some(ByteRange { offset: 10, length: Some(5) }), None).await.unwrap();
        store.stat(&key("data/a")).await.unwrap();
        store.list("data/", None, 10).await.unwrap();
        store.delete(&[key("data/a"), key("data/b")]).await.unwrap();
        store.delete(&[]).await.unwrap();
        let expected = Spent { list: 1, get: 2, head: 1, put: 1, delete: 1, bytes_up: 100, bytes_down: 105 };
        assert_eq!(tally.spent(), expected);
        assert_eq!((expected.requests(), expected.bytes()), (6, 205));
    }

    #[tokio::test]
    async fn a_call_that_is_not_admitted_is_not_made() {
        let left = AtomicU64::new(2);
        let admit: Admit =
            Arc::new(move |cost| left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(cost.requests())).is_ok());
        let tally = Arc::new(Tally::admitting(Some(admit)));
        let inner = MemoryStore::new();
        let store = Tallied::new(Arc::new(inner.clone()), Arc::clone(&tally));
        put(&store, "data/a").await.unwrap();
        put(&store, "data/b").await.unwrap();
        let refused = put(&store, "data/c").await.unwrap_err();
        assert_eq!((refused.class, refused.reason.as_str()), (ErrorClass::Internal, OVER_BUDGET));
        assert_eq!((inner.keys().len(), tally.spent().put), (2, 2));
    }
}
