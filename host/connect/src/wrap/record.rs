//! Writes down every call, for tests that count what goes out.
//!
//! Memory: one [`Call`] for each, without bound; not for production.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, Key, StoreKey, Timestamp};

use super::call;
use crate::{
    Batch, Body, ByteRange, Check, Destination, DestinationInfo, Error, Opened, Page, Payload, PutOptions, Result,
    ScanOptions, Scanner, Source, SourceDocument, SourceInfo, Store, StoreInfo, Stored, StoredObject, Writer,
};

/// A call that was made, whether it succeeded or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// One of [`call`](super::call).
    pub name: &'static str,
    /// What it was about, as a person would read it; empty where there is no key, the first of several.
    pub key: String,
    /// Bytes sent, or announced by the body that came back.
    pub bytes: u64,
}

/// A connector whose calls are written down; the log is shared by clones.
#[derive(Debug)]
pub struct Record<T: ?Sized> {
    inner: Arc<T>,
    log: Log,
}

impl<T: ?Sized> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), log: self.log.clone() }
    }
}

impl<T: ?Sized> Record<T> {
    /// Wraps a connector.
    #[must_use]
    pub fn new(inner: Arc<T>) -> Self {
        Self { inner, log: Log::default() }
    }

    /// All calls so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.log.lock().clone()
    }

    /// How many calls of that name were made.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.log.lock().iter().filter(|call| call.name == name).count()
    }

    /// Begins a new log.
    pub fn clear(&self) {
        self.log.lock().clear();
    }
}

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<Call>>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: &'static str, key: impl ToString, bytes: u64) {
        self.lock().push(Call { name, key: key.to_string(), bytes });
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Store + ?Sized> Store for Record<T> {
    async fn info(&self) -> Result<StoreInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.log.add(call::PUT, key, data.length());
        self.inner.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let body = self.inner.get(key, range, version).await;
        self.log.add(call::GET, key, body.as_ref().ok().and_then(|body| body.length).unwrap_or(0));
        body
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.log.add(call::STAT, key, 0);
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.log.add(call::LIST, prefix, 0);
        self.inner.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.log.add(call::DELETE, keys.first().map(ToString::to_string).unwrap_or_default(), 0);
        self.inner.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.log.add(call::RETAIN, key, 0);
        self.inner.retain(key, version, until).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Source + ?Sized> Source for Record<T> {
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
        self.log.add(call::SCAN, Key::new(options.prefix.clone()), 0);
        let inner = self.inner.scan(options).await?;
        Ok(Box::new(Recorded { inner, key: String::new(), log: self.log.clone() }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let opened = self.inner.read(entry, range, if_match).await;
        self.log.add(call::READ, &entry.key, opened.as_ref().ok().and_then(|opened| opened.body.length).unwrap_or(0));
        opened
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        self.log.add(call::DESCRIBE, first_key(entries), 0);
        self.inner.describe(entries).await
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        self.inner.documents().await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized> Destination for Record<T> {
    async fn info(&self) -> Result<DestinationInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        self.log.add(call::STAT, key, 0);
        self.inner.stat(key).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        self.log.add(call::CREATE, &entry.key, 0);
        let inner = self.inner.create(entry, overwrite).await?;
        let recorded = |inner| Recorded { inner, key: entry.key.to_string(), log: self.log.clone() };
        Ok(inner.map(|inner| Box::new(recorded(inner)) as _))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        self.log.add(call::SET_METADATA, first_key(entries), 0);
        self.inner.set_metadata(entries).await
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Result<Option<Body>> {
        self.log.add(call::READ, key, 0);
        self.inner.read(key, range, fresh).await
    }

    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        self.log.add(call::SCAN, "", 0);
        let recorded = |inner| Recorded { inner, key: String::new(), log: self.log.clone() };
        Ok(self.inner.scan().await?.map(|inner| Box::new(recorded(inner)) as _))
    }

    async fn remove(&self, found: &Entry) -> Result<()> {
        self.log.add(call::REMOVE, &found.key, 0);
        self.inner.remove(found).await
    }

    async fn keep(&self, entry: &Entry) -> Result<bool> {
        self.inner.keep(entry).await
    }

    async fn sync(&self) -> Result<()> {
        self.log.add(call::SYNC, "", 0);
        self.inner.sync().await
    }
}

fn first_key(entries: &[Entry]) -> String {
    entries.first().map(|entry| entry.key.to_string()).unwrap_or_default()
}

/// A scanner or writer that writes in the same log.
struct Recorded<T: ?Sized> {
    inner: Box<T>,
    key: String,
    log: Log,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scanner for Recorded<dyn Scanner> {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        self.log.add(call::NEXT, &self.key, 0);
        self.inner.next(max).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Writer for Recorded<dyn Writer> {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        self.log.add(call::WRITE, &self.key, part.length());
        self.inner.write(part).await
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        self.log.add(call::FINISH, &self.key, last.length());
        self.inner.finish(last).await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
