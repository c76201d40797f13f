//! A good store with one flaw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::StoreBed;
use credenza_connect::memory::MemoryStore;
use credenza_connect::{
    Body, ByteRange, Check, Error, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored,
    StoredObject,
};
use credenza_model::{StoreKey, Timestamp};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFlaw {
    DropsTheLastOfAPage,
    RepeatsAKeyAtACursor,
    ListsOutOfOrder,
    ListsWrongSizes,
    TakesAPrefixForAFolder,
    GivesMoreThanAPage,
    ListsLate,
    ForgetsTheCursor,
    IgnoresIfAbsent,
    LooksAndThenPuts,
    IgnoresIfMatch,
    RangesAreOffByOne,
    FailsPastTheEnd,
    TellsStaleSizes,
    TruncatesLongBodies,
    TakesMissingForEmpty,
    TellsMissingAsDenied,
    DeletesTheFirstOnly,
    FailsToDeleteTheAbsent,
    KeepsWhatWasLonger,
    IgnoresLocks,
    ReadsTheLatestVersion,
    ClaimsTwice,
    LeavesTheSelfTest,
}

pub(crate) struct FlawedStore {
    inner: MemoryStore,
    flaw: StoreFlaw,
    sizes: Mutex<BTreeMap<StoreKey, StoredObject>>,
    late: Mutex<Vec<StoreKey>>,
}

pub(crate) struct StoreBedOf(pub(crate) StoreFlaw);

#[async_trait]
impl StoreBed for StoreBedOf {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        let inner = MemoryStore::versioned();
        Ok(Arc::new(FlawedStore { inner, flaw: self.0, sizes: Mutex::default(), late: Mutex::default() }))
    }
}

impl FlawedStore {
    fn has(&self, flaw: StoreFlaw) -> bool {
        self.flaw == flaw
    }
}

#[async_trait]
impl Store for FlawedStore {
    async fn info(&self) -> Result<StoreInfo> {
        let mut info = self.inner.info().await?;
        if self.has(StoreFlaw::ClaimsTwice) {
            info.traits.push("ordered-list".to_owned());
        }
        Ok(info)
    }

    async fn check(&self) -> Vec<Check> {
        if self.has(StoreFlaw::LeavesTheSelfTest) {
            let key = StoreKey::new("self-test").unwrap();
            self.inner.put(&key, Payload::default(), &PutOptions::default()).await.unwrap();
        }
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        let mut options = options.clone();
        let mut data = data;
        match self.flaw {
            StoreFlaw::IgnoresIfAbsent => options.if_absent = false,
            StoreFlaw::IgnoresIfMatch => options.if_match = None,
            StoreFlaw::IgnoresLocks => options.retain_until = None,
            StoreFlaw::LooksAndThenPuts if options.if_absent => {
                if self.inner.stat(key).await.is_ok() {
                    return Err(Error::new(ErrorClass::Precondition, "flawed.exists", "it is there"));
                }
                tokio::task::yield_now().await;
                options.if_absent = false;
            }
            StoreFlaw::KeepsWhatWasLonger => {
                let tail = self.inner.bytes(key).unwrap_or_default();
                let tail = tail.slice(tail.len().min(data.length() as usize)..);
                data = Payload::new([data.pieces(), &[tail]].concat());
            }
            StoreFlaw::ListsLate => self.late.lock().unwrap().push(key.clone()),
            _ => {}
        }
        self.inner.put(key, data, &options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let range = range.map(|range| match self.flaw {
            StoreFlaw::RangesAreOffByOne => ByteRange { length: range.length.map(|length| length + 1), ..range },
            _ => range,
        });
        let whole = self.inner.bytes(key).map_or(0, |bytes| bytes.len() as u64);
        let reaches_past =
            range.is_some_and(|range| range.length.is_some_and(|length| range.offset.saturating_add(length) > whole));
        if self.has(StoreFlaw::FailsPastTheEnd) && reaches_past && version.is_none() {
            return Err(Error::new(ErrorClass::Corrupt, "flawed.range", "there is less"));
        }
        let version = version.filter(|_| !self.has(StoreFlaw::ReadsTheLatestVersion));
        match (self.inner.get(key, range, version).await, self.flaw) {
            (Err(_), StoreFlaw::TakesMissingForEmpty) => Ok(Body::from_bytes(Bytes::new())),
            (Err(error), StoreFlaw::TellsMissingAsDenied) => Err(Error { class: ErrorClass::Denied, ..error }),
            (Ok(body), StoreFlaw::TruncatesLongBodies) => {
                let bytes = body.read_all(1 << 30).await?;
                Ok(Body::from_bytes(bytes.slice(..bytes.len().min(1 << 20))))
            }
            (answer, _) => answer,
        }
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        let found = self.inner.stat(key).await?;
        if self.has(StoreFlaw::TellsStaleSizes) {
            let mut sizes = self.sizes.lock().unwrap();
            return Ok(sizes.entry(key.clone()).or_insert(found).clone());
        }
        Ok(found)
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        let (prefix, max, cursor) = match self.flaw {
            StoreFlaw::TakesAPrefixForAFolder => {
                (prefix.rsplit_once('/').map_or("", |(folder, _)| folder), max, cursor)
            }
            StoreFlaw::GivesMoreThanAPage => (prefix, max + 1, cursor),
            StoreFlaw::ForgetsTheCursor => (prefix, max.max(2000), None),
            _ => (prefix, max, cursor),
        };
        let mut page = self.inner.list(prefix, cursor, max).await?;
        match self.flaw {
            StoreFlaw::DropsTheLastOfAPage if page.next.is_some() => drop(page.objects.pop()),
            StoreFlaw::RepeatsAKeyAtACursor => {
                let again = cursor.and_then(|cursor| StoreKey::new(cursor).ok());
                if let Some(again) = again {
                    page.objects.insert(0, self.inner.stat(&again).await?);
                    page.objects.truncate(max);
                }
            }
            StoreFlaw::ListsOutOfOrder => page.objects.reverse(),
            StoreFlaw::ListsWrongSizes => page.objects.iter_mut().for_each(|object| object.size += 1),
            StoreFlaw::ListsLate => {
                let late = std::mem::take(&mut *self.late.lock().unwrap());
                page.objects.retain(|object| !late.contains(&object.key));
            }
            _ => {}
        }
        Ok(page)
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        match self.flaw {
            StoreFlaw::DeletesTheFirstOnly => {
                self.inner.delete(&keys[..keys.len().min(1)]).await?;
                Ok(keys.iter().map(|_| Ok(())).collect())
            }
            StoreFlaw::FailsToDeleteTheAbsent => {
                let mut outcomes = Vec::new();
                for key in keys {
                    outcomes.push(self.inner.stat(key).await.map(drop));
                }
                self.inner.delete(keys).await?;
                Ok(outcomes)
            }
            _ => self.inner.delete(keys).await,
        }
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.inner.retain(key, version, until).await
    }
}
