//! Somewhere to keep a repository.

use async_trait::async_trait;
use credenza_model::{StoreKey, Timestamp};

use crate::{Body, ByteRange, Check, Payload, Result, Strays};

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreInfo {
    /// Stable identity, for messages and the cache.
    pub identity: String,
    /// Claims, probed before anything relies on them: `if-absent`, `if-match`, `ranged-get`, `ordered-list`, `list-after-write`, `flat-list`, `versions`, `retention`.
    pub traits: Vec<String>,
    /// Largest object.
    pub object_bytes_max: Option<u64>,
    /// What cannot be relied on here, as far as it is known by now: a sentence each, for a person.
    pub caveats: Vec<String>,
}

impl StoreInfo {
    /// Whether a trait is claimed.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.traits.iter().any(|t| t == name)
    }
}

/// An object as a listing or a stat describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name.
    pub key: StoreKey,
    /// Its size in bytes.
    pub size: u64,
    /// When the store says it was written, by the store's clock.
    pub modified: Option<Timestamp>,
    /// Serves `if_match`.
    pub tag: Option<String>,
    /// Only in a stat: the version that a plain get reads now.
    pub version: Option<String>,
    /// Only in a stat: until when that version is locked.
    pub retain_until: Option<Timestamp>,
}

/// A piece of a listing. `next` alone says whether the listing goes on: a page may be short or empty before the end, and full at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// In byte order of their keys, each behind all those of the pages before.
    pub objects: Vec<StoredObject>,
    /// Where the next page begins, opaque; `None` is the end. At most [`CURSOR_BYTES_MAX`](crate::CURSOR_BYTES_MAX) bytes.
    pub next: Option<String>,
    /// What was passed over because no object can be what it is or be called as it is; each is reported by one page of a listing.
    pub strays: Strays,
}

/// What a put left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Serves `if_match`.
    pub tag: Option<String>,
    /// Serves `get`: reads what was written, whatever was written over it later.
    pub version: Option<String>,
    /// When it was written, by the store's clock.
    pub modified: Option<Timestamp>,
}

/// Conditions and options of a put.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// Fail with `Precondition` if the key exists.
    pub if_absent: bool,
    /// Fail with `Precondition` unless the object has this tag.
    pub if_match: Option<String>,
    /// Keep the object undeletable until then.
    pub retain_until: Option<Timestamp>,
    /// `data`, `meta`, `index` …: the first segment of the key, for storage classes.
    pub hint: String,
}

/// Somewhere to keep a repository.
#[async_trait]
pub trait Store: Send + Sync {
    /// Identity and claims.
    ///
    /// # Errors
    /// When the store cannot be reached or is wrongly configured.
    async fn info(&self) -> Result<StoreInfo>;

    /// Reaches, authenticates, lists, writes, reads and deletes one.
    async fn check(&self) -> Vec<Check>;

    /// Writes a whole object or nothing: a reader never sees a part of it, also after a crash.
    ///
    /// # Errors
    /// The cause, by class.
    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored>;

    /// A whole object or a range of it. A range that reaches past the end yields what there is; one that begins past the end is an error.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorClass::NotFound) when there is no such object; else the cause, by class.
    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body>;

    /// Size and time of an object.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorClass::NotFound) when there is no such object; else the cause, by class.
    async fn stat(&self, key: &StoreKey) -> Result<StoredObject>;

    /// A page of the objects whose key starts with `prefix`: the first one, or the one that `cursor` begins. At most `max` objects, which is at
    /// least 1. Whoever wants them all asks [`Pages`](crate::Pages), which knows where a listing ends.
    ///
    /// # Errors
    /// The cause, by class. A missing bucket or folder is an error, not an empty page.
    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page>;

    /// Deletes; what is not there counts as deleted. One result per key.
    ///
    /// # Errors
    /// When the whole call fails.
    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>>;

    /// Keeps an object that exists (the version named, else the one that a plain get reads) undeletable until then, at least: a lock that ends later stays as it is.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorClass::NotFound) when there is no such object, [`Unsupported`](crate::ErrorClass::Unsupported) without the trait `retention`; else the cause, by class.
    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()>;
}
