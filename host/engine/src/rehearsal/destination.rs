//! A destination that is looked at and not written to.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::wrap::{Tallied, Tally};
use credenza_connect::{
    Body, ByteRange, Check, Destination, DestinationInfo, Payload, Result as Answer, Scanner, Writer,
};
use credenza_model::{Entry, EntryKind, Key};
use tokio::sync::OnceCell;

/// Bytes of the parts in which connectors for buckets send an object, unless they are told otherwise.
const PART_BYTES: u64 = 8 * 1024 * 1024;

/// Looks for real; what would be written is counted.
pub(super) struct Unwritten {
    inner: Arc<dyn Destination>,
    tally: Arc<Tally>,
    nowhere: OnceCell<Tallied<Nowhere>>,
}

impl Unwritten {
    pub(super) fn new(inner: Arc<dyn Destination>, tally: Arc<Tally>) -> Self {
        Self { inner, tally, nowhere: OnceCell::new() }
    }

    /// What is written to instead; in parts where the destination is a bucket.
    async fn nowhere(&self) -> Answer<&Tallied<Nowhere>> {
        let made = || async {
            let part_bytes = (self.inner.info().await?.namespace == "flat").then_some(PART_BYTES);
            Ok(Tallied::new(Arc::new(Nowhere { part_bytes }), Arc::clone(&self.tally)))
        };
        self.nowhere.get_or_try_init(made).await
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
        self.nowhere().await?.create(entry, overwrite).await
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Answer<Vec<Answer<Vec<String>>>> {
        self.nowhere().await?.set_metadata(entries).await
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Answer<Option<Body>> {
        self.inner.read(key, range, fresh).await
    }

    async fn scan(&self) -> Answer<Option<Box<dyn Scanner>>> {
        self.inner.scan().await
    }

    async fn remove(&self, found: &Entry) -> Answer<()> {
        self.nowhere().await?.remove(found).await
    }

    async fn keep(&self, _: &Entry) -> Answer<bool> {
        Ok(true)
    }

    async fn sync(&self) -> Answer<()> {
        Ok(())
    }
}

/// Takes everything and keeps nothing.
struct Nowhere {
    part_bytes: Option<u64>,
}

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
        Ok((entry.kind == EntryKind::File && !is_deleted)
            .then(|| Box::new(Nowhere { part_bytes: self.part_bytes }) as _))
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
        self.part_bytes
    }

    async fn write(&mut self, _: Payload) -> Answer<()> {
        Ok(())
    }

    async fn finish(&mut self, _: Payload) -> Answer<Vec<String>> {
        Ok(Vec::new())
    }

    async fn abort(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use credenza_connect::wrap::Spent;

    use super::*;

    /// What it costs to write two parts and a last one.
    async fn written(part_bytes: Option<u64>) -> Spent {
        let tally = Arc::new(Tally::default());
        let nowhere = Tallied::new(Arc::new(Nowhere { part_bytes }), Arc::clone(&tally));
        let entry = Entry::new(Key::from("large"), EntryKind::File);
        let mut writer = nowhere.create(&entry, true).await.unwrap().unwrap();
        writer.write(Payload::from(vec![7; 10])).await.unwrap();
        writer.write(Payload::from(vec![7; 10])).await.unwrap();
        writer.finish(Payload::from(vec![7; 5])).await.unwrap();
        tally.spent()
    }

    #[tokio::test]
    async fn an_object_in_parts_is_begun_sent_and_completed() {
        assert_eq!(written(Some(10)).await, Spent { put: 5, bytes_up: 25, ..Spent::default() });
        assert_eq!(written(None).await, Spent { put: 1, bytes_up: 25, ..Spent::default() });
    }
}
