//! [`Retry`] before a destination.
//!
//! A write whose answer was lost may have published the entry, so that the next try finds what it wrote itself: where the remote states a
//! checksum of it, and it is that of the last bytes, which were all, the entry is written once more upon itself.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{Entry, Key};

use super::{Patience, Retry, Tries, retried};
use crate::{
    Body, ByteRange, Check, Destination, DestinationInfo, ErrorClass, Payload, Result, Scanner, Verifier, Writer,
};

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized + 'static> Destination for Retry<T> {
    async fn info(&self) -> Result<DestinationInfo> {
        retried(&self.patience, || self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        retried(&self.patience, || self.inner.stat(key)).await
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let inner = retried(&self.patience, || self.inner.create(entry, overwrite)).await?;
        let destination = Arc::clone(&self.inner);
        let (patience, entry) = (self.patience.clone(), entry.clone());
        let (in_parts, may_be_published) = (false, false);
        Ok(inner.map(|inner| {
            Box::new(RetryWriter { inner, destination, patience, entry, in_parts, may_be_published }) as _
        }))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        retried(&self.patience, || self.inner.set_metadata(entries)).await
    }

    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Result<Option<Body>> {
        retried(&self.patience, || self.inner.read(key, range, fresh)).await
    }

    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        retried(&self.patience, || self.inner.scan()).await
    }

    async fn remove(&self, found: &Entry) -> Result<()> {
        retried(&self.patience, || self.inner.remove(found)).await
    }

    async fn keep(&self, entry: &Entry) -> Result<bool> {
        retried(&self.patience, || self.inner.keep(entry)).await
    }

    async fn sync(&self) -> Result<()> {
        // An error is reported once: a second call would not see it.
        self.inner.sync().await
    }
}

struct RetryWriter<T: ?Sized> {
    inner: Box<dyn Writer>,
    destination: Arc<T>,
    patience: Patience,
    entry: Entry,
    /// Whether there were bytes before the last.
    in_parts: bool,
    /// Whether an answer to `finish` was lost, by this call of it or an earlier one.
    may_be_published: bool,
}

impl<T: Destination + ?Sized> RetryWriter<T> {
    /// Whether what is there under the key has the bytes that were all.
    async fn is_published(&mut self, whole: &Payload) -> bool {
        let (destination, key) = (&self.destination, &self.entry.key);
        let found = retried(&self.patience, || destination.stat(key)).await;
        let stated = found.ok().flatten().map(|found| found.checksums).unwrap_or_default();
        !self.in_parts && Verifier::verdict(&stated, whole) == Some(true)
    }

    /// Begins the entry again, as one that may be replaced.
    async fn begin_upon_itself(&mut self) -> Result<()> {
        let begun = retried(&self.patience, || self.destination.create(&self.entry, true)).await?;
        if let Some(writer) = begun {
            std::mem::replace(&mut self.inner, writer).abort().await;
        }
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Destination + ?Sized + 'static> Writer for RetryWriter<T> {
    fn part_bytes(&self) -> Option<u64> {
        self.inner.part_bytes()
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        self.in_parts = true;
        let mut tries = Tries::new(&self.patience);
        loop {
            match self.inner.write(part.clone()).await {
                Err(error) => tries.pause_after(error).await?,
                written => return written,
            }
        }
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        let mut tries = Tries::new(&self.patience);
        loop {
            match self.inner.finish(last.clone()).await {
                Err(error) if error.is_transient() => {
                    self.may_be_published = true;
                    tries.pause_after(error).await?;
                }
                Err(error) if error.class == ErrorClass::Precondition && self.may_be_published => {
                    if !self.is_published(&last).await {
                        return Err(error);
                    }
                    self.begin_upon_itself().await?;
                    self.may_be_published = false;
                }
                finished => return finished,
            }
        }
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
