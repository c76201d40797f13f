//! What tests put in the place of folders and of the system's clock: stores with a clock and a weather of their own, as a bucket elsewhere has.
//!
//! Owned here: the seam, and such stores. Refused here: what happens to them and when (`jobs::look::month`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use credenza_connect::memory::MemoryStore;
use credenza_connect::{
    Body, ByteRange, Check, Error, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored,
    StoredObject,
};
use credenza_engine::{Clock, Moment};
use credenza_model::{StoreKey, Timestamp};
use tokio::sync::watch;

/// What becomes of calls of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// They are done.
    Fair,
    /// Nobody answers.
    Gone,
    /// Nothing is allowed any more.
    Denied,
    /// There is no room.
    Full,
    /// Each write takes so many seconds.
    Slow(u64),
    /// Nothing is answered until the weather is another.
    Frozen,
}

/// A store elsewhere.
pub(crate) struct Site {
    store: Mutex<MemoryStore>,
    weather: watch::Sender<Weather>,
    /// Seconds that its clock is ahead.
    skew: AtomicI64,
    /// Requests that came to it.
    asked: AtomicUsize,
}

impl Site {
    pub(crate) fn new(store: MemoryStore) -> Arc<Self> {
        let weather = watch::Sender::new(Weather::Fair);
        Arc::new(Self { store: Mutex::new(store), weather, skew: AtomicI64::new(0), asked: AtomicUsize::new(0) })
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Whether any came to it since then.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 0
    }

    /// Requests that came to it since this was last asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn set_skew(&self, seconds: i64) {
        self.skew.store(seconds, Ordering::SeqCst);
    }

    /// What it holds.
    pub(crate) fn held(&self) -> MemoryStore {
        self.store.lock().unwrap().clone()
    }

    /// Has it hold something else.
    pub(crate) fn hold(&self, store: MemoryStore) {
        *self.store.lock().unwrap() = store;
    }

    /// A copy of what it holds now, with its times.
    pub(crate) async fn copied(&self) -> MemoryStore {
        let (store, copy) = (self.held(), MemoryStore::new());
        for key in store.keys() {
            copy.set_clock(store.stat(&key).await.unwrap().modified.unwrap());
            let bytes = Payload::from(store.bytes(&key).unwrap());
            copy.put(&key, bytes, &PutOptions::default()).await.unwrap();
        }
        copy
    }
}

/// Stores elsewhere as one machine reaches them, and its clock.
#[derive(Clone)]
pub(crate) struct Simulated {
    pub(crate) millis: Arc<AtomicU64>,
    pub(crate) sites: Arc<BTreeMap<PathBuf, Arc<Site>>>,
    /// Those where its credential allows to read alone.
    pub(crate) only_read: Vec<PathBuf>,
}

impl Simulated {
    /// The store at a folder, where one is simulated.
    pub(crate) fn store(&self, folder: &Path) -> Option<Arc<dyn Store>> {
        let site = Arc::clone(self.sites.get(folder)?);
        let may_write = !self.only_read.iter().any(|read| read == folder);
        Some(Arc::new(Visit { site, millis: Arc::clone(&self.millis), may_write }))
    }
}

impl Clock for Simulated {
    fn now(&self) -> Moment {
        let millis = self.millis.load(Ordering::SeqCst);
        let wall = Timestamp { seconds: i64::try_from(millis / 1000).unwrap(), nanoseconds: 0 };
        Moment { monotonic: Duration::from_millis(millis), wall }
    }
}

struct Visit {
    site: Arc<Site>,
    millis: Arc<AtomicU64>,
    may_write: bool,
}

impl Visit {
    /// The store behind a call, or why it is not made.
    async fn reach(&self, is_write: bool) -> Result<MemoryStore> {
        self.site.asked.fetch_add(1, Ordering::SeqCst);
        let mut weather = self.site.weather.subscribe();
        let weather = *weather.wait_for(|weather| *weather != Weather::Frozen).await.unwrap();
        match weather {
            Weather::Frozen => unreachable!("it was waited for"),
            Weather::Gone => Err(Error::new(ErrorClass::Transient, "simulated.gone", "the server does not answer")),
            Weather::Full if is_write => {
                Err(Error::new(ErrorClass::Exhausted, "simulated.full", "the bucket is full, or its quota is spent"))
            }
            Weather::Denied => Err(denied()),
            _ if is_write && !self.may_write => Err(denied()),
            Weather::Slow(seconds) if is_write => {
                self.millis.fetch_add(seconds * 1000, Ordering::SeqCst);
                Ok(self.store())
            }
            _ => Ok(self.store()),
        }
    }

    fn store(&self) -> MemoryStore {
        let seconds = i64::try_from(self.millis.load(Ordering::SeqCst) / 1000).unwrap();
        let store = self.site.held();
        store.set_clock(Timestamp { seconds: seconds + self.site.skew.load(Ordering::SeqCst), nanoseconds: 0 });
        store
    }
}

fn denied() -> Error {
    Error::new(ErrorClass::Denied, "simulated.denied", "the credential does not allow that")
}

#[async_trait]
impl Store for Visit {
    async fn info(&self) -> Result<StoreInfo> {
        self.store().info().await
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        self.reach(true).await?.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        self.reach(false).await?.get(key, range, version).await
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.reach(false).await?.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.reach(false).await?.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        self.reach(true).await?.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.reach(true).await?.retain(key, version, until).await
    }
}
