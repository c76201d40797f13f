//! A store that lets a test do something before each call.

use async_trait::async_trait;
use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::call;
use credenza_connect::{
    Body, ByteRange, Check, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored, StoredObject,
};
use credenza_model::{StoreKey, Timestamp};

type Hook = dyn Fn(&'static str, &str, &MemoryStore) + Send + Sync;

/// A store in memory with a hook, which hears the name of the call, the first key or the prefix, and the store.
pub(crate) struct Hooked {
    store: MemoryStore,
    hook: Box<Hook>,
}

impl Hooked {
    pub(crate) fn new(
        store: &MemoryStore,
        hook: impl Fn(&'static str, &str, &MemoryStore) + Send + Sync + 'static,
    ) -> Self {
        Self { store: store.clone(), hook: Box::new(hook) }
    }

    fn before(&self, name: &'static str, key: &str) {
        (self.hook)(name, key, &self.store);
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Hooked {
    async fn info(&self) -> Result<StoreInfo> {
        self.store.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.store.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.before(call::PUT, key.as_str());
        self.store.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        self.before(call::GET, key.as_str());
        self.store.get(key, range, version).await
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.before(call::STAT, key.as_str());
        self.store.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.before(call::LIST, prefix);
        self.store.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.before(call::DELETE, keys.first().map_or("", StoreKey::as_str));
        self.store.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.before(call::RETAIN, key.as_str());
        self.store.retain(key, version, until).await
    }
}
