//! [`Free`] as a destination.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{Entry, Key};

use super::{Free, Freedom, Will};
use crate::wrap::call;
use crate::{
    Body, ByteRange, Check, Destination, DestinationInfo, Error, ErrorClass, Payload, Result, Scanner, Writer,
};

/// The attribute that cannot be given back.
const LOST: &str = "user.lost";

impl Will {
    fn lost(&self, mut names: Vec<String>) -> Vec<String> {
        if self.one_in(Freedom::LostAttributes, 4) {
            names.push(LOST.to_owned());
        }
        names
    }
}

/// A writer that takes freedoms, and holds the host to the size of its parts.
struct FreeWriter {
    inner: Box<dyn Writer>,
    will: Arc<Will>,
    part_bytes: Option<u64>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Writer for FreeWriter {
    fn part_bytes(&self) -> Option<u64> {
        self.part_bytes.or_else(|| self.inner.part_bytes())
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        self.will.stumble(call::WRITE)?;
        if self.part_bytes.is_some_and(|size| size != part.length()) {
            let message = format!("a part of {} bytes came", part.length());
            return Err(Error::new(ErrorClass::Internal, "free.part", message));
        }
        self.inner.write(part).await
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        self.will.stumble(call::FINISH)?;
        Ok(self.will.lost(self.inner.finish(last).await?))
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized> Destination for Free<T> {
    async fn info(&self) -> Result<DestinationInfo> {
        self.will.stumble("info")?;
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        self.will.stumble(call::STAT)?;
        self.inner.stat(key).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        self.will.stumble(call::CREATE)?;
        let Some(inner) = self.inner.create(entry, overwrite).await? else { return Ok(None) };
        let size = self.will.below(3000).saturating_add(1);
        let has_size = inner.part_bytes().is_none() && self.will.one_in(Freedom::PartSize, 2);
        let part_bytes = has_size.then_some(size);
        Ok(Some(Box::new(FreeWriter { inner, will: Arc::clone(&self.will), part_bytes })))
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Result<Option<Body>> {
        self.will.stumble(call::READ)?;
        self.inner.read(key, range, fresh).await
    }

    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        self.will.stumble(call::SCAN)?;
        self.inner.scan().await
    }

    async fn remove(&self, found: &Entry) -> Result<()> {
        self.will.stumble(call::REMOVE)?;
        self.inner.remove(found).await
    }

    async fn keep(&self, entry: &Entry) -> Result<bool> {
        self.inner.keep(entry).await
    }

    /// Bytes that were lost are not there when it is asked again: it is never a call to repeat.
    async fn sync(&self) -> Result<()> {
        self.inner.sync().await
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        self.will.stumble(call::SET_METADATA)?;
        let results = self.inner.set_metadata(entries).await?;
        Ok(results.into_iter().map(|result| result.map(|names| self.will.lost(names))).collect())
    }
}
