//! A destination that is looked at and not written to.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::wrap::{Tallied, Tally};
use credenza_connect::{
    Body, ByteRange, Check, Destination, DestinationInfo, Payload, Result as Answer, Scanner, Writer,
};
use credenza_model::{Entry, EntryKind, Key};

/// Looks for real; what would be written is counted.
pub(super) struct Unwritten {
    inner: Arc<dyn Destination>,
    nowhere: Tallied<Nowhere>,
}

impl Unwritten {
    pub(super) fn new(inner: Arc<dyn Destination>, tally: Arc<Tally>) -> Self {
        Self { inner, nowhere: Tallied::new(Arc::new(Nowhere), tally) }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Destination for Unwritten {
    async fn info(&self) -> Answer<DestinationInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn stat(&self, key: &Key) -> Answer<Option<Entry>> {
        self.inner.stat(key).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Answer<Option<Box<dyn Writer>>> {
        self.nowhere.create(entry, overwrite).await
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Answer<Vec<Answer<Vec<String>>>> {
        self.nowhere.set_metadata(entries).await
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Answer<Option<Body>> {
        self.inner.read(key, range, fresh).await
    }

    async fn scan(&self) -> Answer<Option<Box<dyn Scanner>>> {
        self.inner.scan().await
    }

    async fn remove(&self, found: &Entry) -> Answer<()> {
        self.nowhere.remove(found).await
    }

    async fn keep(&self, _: &Entry) -> Answer<bool> {
        Ok(true)
    }

    async fn sync(&self) -> Answer<()> {
        Ok(())
    }
}

/// Takes everything and keeps nothing.
struct Nowhere;

#[async_trait]
impl Destination for Nowhere {
    async fn info(&self) -> Answer<DestinationInfo> {
        Ok(DestinationInfo::default())
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn stat(&self, _: &Key) -> Answer<Option<Entry>> {
        Ok(None)
    }

    async fn create(&self, entry: &Entry, _: bool) -> Answer<Option<Box<dyn Writer>>> {
        let is_deleted = entry.version.as_ref().is_some_and(|version| version.deleted);
        Ok((entry.kind == EntryKind::File && !is_deleted).then(|| Box::new(Nowhere) as _))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Answer<Vec<Answer<Vec<String>>>> {
        Ok(entries.iter().map(|_| Ok(Vec::new())).collect())
    }

    async fn remove(&self, _: &Entry) -> Answer<()> {
        Ok(())
    }
}

#[async_trait]
impl Writer for Nowhere {
    fn part_bytes(&self) -> Option<u64> {
        None
    }

    async fn write(&mut self, _: Payload) -> Answer<()> {
        Ok(())
    }

    async fn finish(&mut self, _: Payload) -> Answer<Vec<String>> {
        Ok(Vec::new())
    }

    async fn abort(self: Box<Self>) {}
}
