//! A connector behind a gate that every call passes: [`Limit`](super::Limit) and [`Permute`](super::Permute) are this, with a gate each.
//!
//! Owned here: which calls pass. Refused here: when they do (the gate). A self-test is no call of a run, and passes beside the gate.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, Key, StoreKey, Timestamp};

use crate::{
    Batch, Body, ByteRange, Check, Destination, DestinationInfo, Error, Opened, Page, Payload, PutOptions, Result,
    ScanOptions, Scanner, Source, SourceDocument, SourceInfo, Store, StoreInfo, Stored, StoredObject, Writer,
};

/// What calls wait for.
pub trait Gate: Send + Sync + 'static {
    /// Makes a call when its turn comes.
    fn call<R: Send>(&self, call: impl Future<Output = Result<R>> + Send) -> impl Future<Output = Result<R>> + Send;

    /// Gives up a writer; it need not wait, for what it frees may be waited for.
    fn abort(&self, abort: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
        abort
    }

    /// What becomes of a body that comes back.
    fn body(&self, body: Body) -> Body {
        body
    }
}

/// A connector behind a gate.
#[derive(Debug)]
pub struct Gated<T: ?Sized, G> {
    pub(super) inner: Arc<T>,
    pub(super) gate: Arc<G>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Store + ?Sized, G: Gate> Store for Gated<T, G> {
    async fn info(&self) -> Result<StoreInfo> {
        self.gate.call(self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.gate.call(self.inner.put(key, data, options)).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        self.gate.call(self.inner.get(key, range, version)).await.map(|body| self.gate.body(body))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.gate.call(self.inner.stat(key)).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.gate.call(self.inner.list(prefix, cursor, max)).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.gate.call(self.inner.delete(keys)).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.gate.call(self.inner.retain(key, version, until)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Source + ?Sized, G: Gate> Source for Gated<T, G> {
    async fn info(&self) -> Result<SourceInfo> {
        self.gate.call(self.inner.info()).await
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        self.gate.call(self.inner.now()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let inner = self.gate.call(self.inner.scan(options)).await?;
        Ok(Box::new(Behind { inner, gate: Arc::clone(&self.gate) }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let opened = self.gate.call(self.inner.read(entry, range, if_match)).await?;
        Ok(Opened { body: self.gate.body(opened.body), ..opened })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        self.gate.call(self.inner.describe(entries)).await
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        self.gate.call(self.inner.documents()).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized, G: Gate> Destination for Gated<T, G> {
    async fn info(&self) -> Result<DestinationInfo> {
        self.gate.call(self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        self.gate.call(self.inner.stat(key)).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let inner = self.gate.call(self.inner.create(entry, overwrite)).await?;
        Ok(inner.map(|inner| Box::new(Behind { inner, gate: Arc::clone(&self.gate) }) as _))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        self.gate.call(self.inner.set_metadata(entries)).await
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Result<Option<Body>> {
        let body = self.gate.call(self.inner.read(key, range, fresh)).await?;
        Ok(body.map(|body| self.gate.body(body)))
    }

    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        let inner = self.gate.call(self.inner.scan()).await?;
        Ok(inner.map(|inner| Box::new(Behind { inner, gate: Arc::clone(&self.gate) }) as _))
    }

    async fn remove(&self, found: &Entry) -> Result<()> {
        self.gate.call(self.inner.remove(found)).await
    }

    async fn keep(&self, entry: &Entry) -> Result<bool> {
        self.gate.call(self.inner.keep(entry)).await
    }

    async fn sync(&self) -> Result<()> {
        self.gate.call(self.inner.sync()).await
    }
}

/// A scanner or writer behind the same gate.
struct Behind<T: ?Sized, G> {
    inner: Box<T>,
    gate: Arc<G>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<G: Gate> Scanner for Behind<dyn Scanner, G> {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        self.gate.call(self.inner.next(max)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<G: Gate> Writer for Behind<dyn Writer, G> {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        self.gate.call(self.inner.write(part)).await
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        self.gate.call(self.inner.finish(last)).await
    }

    async fn abort(self: Box<Self>) {
        self.gate.abort(self.inner.abort()).await;
    }
}
