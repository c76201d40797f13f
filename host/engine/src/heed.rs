//! Heed: a store whose requests end with the run.
//!
//! Once the run is to end, a read is dropped, a writing request that is under way is answered (an upload of a pack is broken off with the others of its
//! run), and no other is sent. What is in the store then is what a crash at that moment would leave. Called by `gc` and `repair`, which are safe after a
//! crash wherever it comes.
//!
//! Owned here: that, and telling that the run was ended. Refused here: what the run leaves.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::{
    Body, ByteRange, Check, Error as ConnectError, ErrorClass, Page, Payload, PutOptions, Result as Answer, Store,
    StoreInfo, Stored, StoredObject,
};
use credenza_model::{StoreKey, Timestamp};

use crate::{Error, Result, Stop};

/// A store that sends nothing more once the run is to end.
pub(crate) struct Heed {
    inner: Arc<dyn Store>,
    stop: Stop,
}

impl Heed {
    pub(crate) const fn new(inner: Arc<dyn Store>, stop: Stop) -> Self {
        Self { inner, stop }
    }

    async fn read<T>(&self, request: impl Future<Output = Answer<T>>) -> Answer<T> {
        self.stop.unless(request).await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn write<T>(&self, request: impl Future<Output = Answer<T>>) -> Answer<T> {
        if self.stop.is_requested() { Err(stopped()) } else { request.await }
    }
}

/// Of a class that is no object's fault, so that nothing is taken for damaged.
fn stopped() -> ConnectError {
    ConnectError::new(ErrorClass::Internal, "stopped", "the run is to end")
}

/// What a run came to that was asked to end: whatever failed since, it failed for that.
pub(crate) fn end<T>(stop: &Stop, done: Result<T>) -> Result<T> {
    done.map_err(|cause| if stop.is_requested() { Error::Cancelled } else { cause })
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Heed {
    async fn info(&self) -> Answer<StoreInfo> {
        self.read(self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Answer<Stored> {
        self.write(self.inner.put(key, data, options)).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Answer<Body> {
        self.read(self.inner.get(key, range, version)).await
    }

    async fn stat(&self, key: &StoreKey) -> Answer<StoredObject> {
        self.read(self.inner.stat(key)).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Answer<Page> {
        self.read(self.inner.list(prefix, cursor, max)).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Answer<Vec<Answer<()>>> {
        self.write(self.inner.delete(keys)).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Answer<()> {
        self.write(self.inner.retain(key, version, until)).await
    }
}
