//! Where a listing ends, and that one which gets no further does.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::sync::Mutex;

use async_trait::async_trait;
use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_connect::{
    Batch, Batches, Body, ByteRange, Check, Error, ErrorClass, Found, Page, Pages, Payload, PutOptions, Result,
    ScanOptions, Scanner, Source, Store, StoreInfo, Stored, StoredObject,
};
use credenza_model::{StoreKey, Timestamp};

fn key(text: &str) -> StoreKey {
    StoreKey::new(text).unwrap()
}

fn page(keys: &[&str], next: Option<&str>) -> Page {
    let object = |name: &&str| StoredObject {
        key: key(name),
        size: 0,
        modified: None,
        tag: None,
        version: None,
        retain_until: None,
    };
    Page { objects: keys.iter().map(object).collect(), next: next.map(str::to_owned), ..Page::default() }
}

/// Tells what a function makes of a cursor, and does nothing else.
struct Scripted<F>(F);

#[async_trait]
impl<F: Fn(Option<&str>) -> Page + Send + Sync> Store for Scripted<F> {
    async fn info(&self) -> Result<StoreInfo> {
        Ok(StoreInfo::default())
    }
    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }
    async fn put(&self, _: &StoreKey, _: Payload, _: &PutOptions) -> Result<Stored> {
        Err(nothing())
    }
    async fn get(&self, _: &StoreKey, _: Option<ByteRange>, _: Option<&str>) -> Result<Body> {
        Err(nothing())
    }
    async fn stat(&self, _: &StoreKey) -> Result<StoredObject> {
        Err(nothing())
    }
    async fn list(&self, _: &str, cursor: Option<&str>, _: usize) -> Result<Page> {
        Ok((self.0)(cursor))
    }
    async fn delete(&self, _: &[StoreKey]) -> Result<Vec<Result<()>>> {
        Err(nothing())
    }
    async fn retain(&self, _: &StoreKey, _: Option<&str>, _: Timestamp) -> Result<()> {
        Err(nothing())
    }
}

fn nothing() -> Error {
    Error::new(ErrorClass::Unsupported, "told", "nothing but a listing")
}

async fn keys(store: &dyn Store, prefix: &str) -> Result<Vec<String>> {
    let all = Pages::new(store, prefix).of(10).collect().await?;
    Ok(all.into_iter().map(|object| object.key.to_string()).collect())
}

#[tokio::test]
async fn a_short_page_is_not_the_end_of_a_listing() {
    let store = MemoryStore::new().with_pages_of(2);
    let names = ["d/a", "d/b", "d/c", "d/d", "d/e"];
    for name in names {
        store.put(&key(name), Payload::default(), &PutOptions::default()).await.unwrap();
    }
    assert_eq!(keys(&store, "d/").await.unwrap(), names);
    assert!(keys(&store, "e/").await.unwrap().is_empty());
}

#[tokio::test]
async fn an_empty_page_is_not_the_end_of_a_listing_and_a_full_one_may_be() {
    let pages = Scripted(|cursor: Option<&str>| match cursor {
        None => page(&[], Some("1")),
        Some("1") => page(&["a"], Some("2")),
        Some("2") => page(&[], Some("3")),
        _ => page(&["b", "c", "d", "e", "f", "g", "h", "i", "j", "k"], None),
    });
    assert_eq!(keys(&pages, "").await.unwrap().len(), 11);
}

#[tokio::test]
async fn a_listing_that_gets_no_further_is_broken_off() {
    let same = Scripted(|_: Option<&str>| page(&[], Some("again")));
    let circle = Scripted(|cursor: Option<&str>| {
        let step: u32 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        page(&[], Some(&if step == 40 { 7 } else { step + 1 }.to_string()))
    });
    let endless = Scripted(|cursor: Option<&str>| {
        let step: u64 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        page(&[], Some(&(step + 1).to_string()))
    });
    for store in [&same as &dyn Store, &circle, &endless] {
        let error = keys(store, "").await.unwrap_err();
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Internal, "listing.standstill"), "{error}");
    }
}

#[tokio::test]
async fn pages_that_do_not_fit_together_are_not_trusted() {
    let long = "c".repeat(10_000);
    let after = |second: Page| {
        move |cursor: Option<&str>| if cursor.is_none() { page(&["d/c"], Some("1")) } else { second.clone() }
    };
    for second in [page(&["d/c"], None), page(&["d/b"], None), page(&["d/e", "d/d"], None), page(&["e/a"], None)] {
        let error = keys(&Scripted(after(second)), "d/").await.unwrap_err();
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Corrupt, "store.listing"), "{error}");
    }
    let eleven = page(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"], None);
    for first in [eleven, page(&["a"], Some(&long))] {
        let error = keys(&Scripted(move |_: Option<&str>| first.clone()), "").await.unwrap_err();
        assert_eq!(error.reason, "store.listing", "{error}");
    }
}

/// Tells a page, and nothing in between.
struct Pausing(Mutex<Vec<Batch>>);

#[async_trait]
impl Scanner for Pausing {
    async fn next(&mut self, _: usize) -> Result<Batch> {
        Ok(self.0.lock().unwrap().pop().unwrap_or(Batch { found: Vec::new(), more: true }))
    }
}

#[tokio::test]
async fn an_empty_batch_is_not_the_end_of_a_walk() {
    let source = MemorySource::new();
    source.put("a", "x");
    let found: Vec<Found> = source.scan(&ScanOptions::default()).await.unwrap().next(9).await.unwrap().found;
    let idle = || Batch { found: Vec::new(), more: true };
    let reported = |more| Batch { found: found.clone(), more };
    let mut batches =
        Batches::new(Box::new(Pausing(Mutex::new(vec![reported(false), idle(), reported(true), idle(), idle()]))));
    assert_eq!(batches.next(9).await.unwrap().as_ref(), Some(&found));
    assert_eq!(batches.next(9).await.unwrap().as_ref(), Some(&found));
    assert_eq!(batches.next(9).await.unwrap(), None, "the second one was the last");
    let mut endless = Batches::new(Box::new(Pausing(Mutex::default())));
    assert_eq!(endless.next(9).await.unwrap_err().reason, "listing.standstill");
}
