//! [`Retry`] before a destination.

use async_trait::async_trait;
use credenza_model::{Entry, Key};

use super::{Retry, RetryPolicy, Tries, retried};
use crate::{Check, Destination, DestinationInfo, Payload, Result, Writer};

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized + 'static> Destination for Retry<T> {
    async fn info(&self) -> Result<DestinationInfo> {
        retried(self.policy, || self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        retried(self.policy, || self.inner.stat(key)).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let inner = retried(self.policy, || self.inner.create(entry, overwrite)).await?;
        Ok(inner.map(|inner| Box::new(RetryWriter { inner, policy: self.policy }) as _))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        retried(self.policy, || self.inner.set_metadata(entries)).await
    }
}

struct RetryWriter {
    inner: Box<dyn Writer>,
    policy: RetryPolicy,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Writer for RetryWriter {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        let mut tries = Tries::new(self.policy);
        loop {
            match self.inner.write(part.clone()).await {
                Err(error) => tries.pause_after(error).await?,
                written => return written,
            }
        }
    }

    /// Not tried again: the writer is used up by its first try.
    async fn finish(self: Box<Self>) -> Result<Vec<String>> {
        self.inner.finish().await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
