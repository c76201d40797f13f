//! Passes no more bytes a second into a store and out of it than a rate allows, for stores that are no remote places by themselves: a folder may
//! lie behind a network too. An object is put at once when its turn comes; what is got waits piece by piece.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{StoreKey, Timestamp};

use crate::{Body, ByteRange, Check, Page, Payload, PutOptions, Rates, Result, Store, StoreInfo, Stored, StoredObject};

/// A store behind a bound on bytes a second.
#[derive(Debug)]
pub struct Throttle<T: ?Sized> {
    inner: Arc<T>,
    rates: Rates,
}

impl<T: ?Sized> Throttle<T> {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: Arc<T>, rates: Rates) -> Self {
        Self { inner, rates }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Store + ?Sized> Store for Throttle<T> {
    async fn info(&self) -> Result<StoreInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.rates.upload.pass(data.length()).await;
        self.inner.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        Ok(self.rates.download.paced(self.inner.get(key, range, version).await?))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.inner.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.inner.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.inner.retain(key, version, until).await
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use tokio::time::Instant;

    use super::*;
    use crate::Rate;
    use crate::memory::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn what_is_put_and_what_is_got_take_their_time_each_in_its_direction() {
        let rate = |bytes| Rate::of(NonZeroU64::new(bytes).unwrap());
        let store = Throttle::new(Arc::new(MemoryStore::new()), Rates { upload: rate(10), download: rate(100) });
        let key = StoreKey::new("data/x").unwrap();
        let begin = Instant::now();
        for _ in 0..3 {
            store.put(&key, Payload::from(vec![0; 100]), &PutOptions::default()).await.unwrap();
        }
        assert_eq!(begin.elapsed().as_secs(), 20);
        let begin = Instant::now();
        for _ in 0..3 {
            store.get(&key, None, None).await.unwrap().read_all(100).await.unwrap();
        }
        assert_eq!(begin.elapsed().as_secs(), 2);
    }
}
