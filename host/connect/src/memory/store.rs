//! A repository in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{StoreKey, Timestamp};

use super::lock;
use crate::paging::key_of;
use crate::{
    Body, ByteRange, Check, Error, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored,
    StoredObject, ability,
};

/// A repository in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
    ignores_conditions: bool,
    keeps_versions: bool,
    /// Most objects of a page, whatever is asked for; 0 is no bound.
    page_objects: usize,
}

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<StoreKey, Object>,
    /// Where versions are kept, every one that was put and not destroyed, by its name and its tag, which is its version too.
    versions: BTreeMap<(StoreKey, String), Version>,
    clock: Option<Timestamp>,
    puts: u64,
}

/// A version, and until when it is locked.
#[derive(Debug)]
struct Version {
    object: Object,
    retain_until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    modified: Timestamp,
    tag: String,
}

impl MemoryStore {
    /// An empty store on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that claims no conditions and, like some providers, silently ignores them.
    #[must_use]
    pub fn ignoring_conditions() -> Self {
        Self { ignores_conditions: true, ..Self::default() }
    }

    /// An empty store that keeps every version and can lock them, as a bucket with Object Lock does: a put adds a version, a delete only
    /// hides the object.
    #[must_use]
    pub fn versioned() -> Self {
        Self { keeps_versions: true, ..Self::default() }
    }

    /// The same store, whose pages hold at most that many objects, as a server may have it.
    #[must_use]
    pub fn with_pages_of(self, objects: usize) -> Self {
        Self { page_objects: objects, ..self }
    }

    /// Destroys every version whose lock has ended, or that never had one, whether hidden or not: what somebody with every right can do.
    pub fn destroy_unlocked(&self) {
        let mut content = lock(&self.content);
        let now = content.now();
        content.versions.retain(|_, version| version.retain_until.is_some_and(|until| until > now));
        let Content { objects, versions, .. } = &mut *content;
        objects.retain(|key, object| versions.contains_key(&(key.clone(), object.tag.clone())));
    }

    /// Puts in place of whatever is there or is not the newest version of each object that is left: what its owner does afterwards.
    pub fn reveal(&self) {
        let mut content = lock(&self.content);
        let Content { objects, versions, .. } = &mut *content;
        // Tags count the puts in hexadecimal, so the longer one is the newer.
        let newer = |one: &Object, other: &Object| (one.tag.len(), &one.tag) > (other.tag.len(), &other.tag);
        objects.clear();
        for ((key, _), version) in versions.iter() {
            let found = objects.entry(key.clone()).or_insert_with(|| version.object.clone());
            if newer(&version.object, found) {
                *found = version.object.clone();
            }
        }
    }

    /// Stops the store's clock at `time`; what is put from now on was written then.
    pub fn set_clock(&self, time: Timestamp) {
        lock(&self.content).clock = Some(time);
    }

    /// All names in byte order.
    #[must_use]
    pub fn keys(&self) -> Vec<StoreKey> {
        lock(&self.content).objects.keys().cloned().collect()
    }

    /// The bytes of an object.
    #[must_use]
    pub fn bytes(&self, key: &StoreKey) -> Option<Bytes> {
        lock(&self.content).objects.get(key).map(|object| object.bytes.clone())
    }

    /// Replaces the bytes of an object behind everyone's back, its time and tag unchanged; `None` removes it.
    pub fn tamper(&self, key: &StoreKey, bytes: Option<Bytes>) {
        let mut content = lock(&self.content);
        match bytes {
            None => drop(content.objects.remove(key)),
            Some(bytes) => {
                if let Some(object) = content.objects.get_mut(key) {
                    object.bytes = bytes;
                }
            }
        }
    }
}

impl Content {
    #[expect(clippy::disallowed_methods, reason = "the clock of the store, unless a test sets it")]
    fn now(&self) -> Timestamp {
        self.clock.unwrap_or_else(|| Timestamp::from_system(SystemTime::now()))
    }

    fn object(&self, key: &StoreKey) -> Result<&Object> {
        self.objects
            .get(key)
            .ok_or_else(|| Error::new(ErrorClass::NotFound, "memory.not-found", format!("there is no object `{key}`")))
    }

    /// One version of an object, the current one unless it is named.
    fn version(&mut self, key: &StoreKey, version: Option<&str>) -> Result<&mut Version> {
        let tag = match version {
            Some(version) => version.to_owned(),
            None => self.object(key)?.tag.clone(),
        };
        let missing = || format!("there is no version `{tag}` of the object `{key}`");
        self.versions
            .get_mut(&(key.clone(), tag.clone()))
            .ok_or_else(|| Error::new(ErrorClass::NotFound, "memory.not-found", missing()))
    }

    fn verify(&self, key: &StoreKey, options: &PutOptions) -> Result<()> {
        let existing = self.objects.get(key);
        let matches = options.if_match.as_ref().is_none_or(|tag| existing.is_some_and(|object| object.tag == *tag));
        if matches && !(options.if_absent && existing.is_some()) {
            return Ok(());
        }
        Err(Error::new(
            ErrorClass::Precondition,
            "memory.precondition",
            format!("`{key}` is not in the state that the put asked for"),
        ))
    }
}

impl Object {
    fn stored(&self, key: &StoreKey) -> StoredObject {
        StoredObject {
            key: key.clone(),
            size: self.bytes.len() as u64,
            modified: Some(self.modified),
            tag: Some(self.tag.clone()),
            version: None,
            retain_until: None,
        }
    }
}

impl MemoryStore {
    fn require_versions(&self, key: &StoreKey) -> Result<()> {
        if self.keeps_versions {
            return Ok(());
        }
        let message = format!("this store can neither lock `{key}` nor keep versions of it");
        Err(Error::new(ErrorClass::Unsupported, "memory.versions", message))
    }
}

/// The part of `bytes` that a range names.
///
/// # Errors
/// [`ErrorClass::Corrupt`] when it begins past the end.
pub(super) fn ranged(bytes: &Bytes, range: Option<ByteRange>, object: impl std::fmt::Display) -> Result<Bytes> {
    let Some(range) = range else { return Ok(bytes.clone()) };
    let start = usize::try_from(range.offset).unwrap_or(usize::MAX);
    if start > 0 && start >= bytes.len() {
        return Err(Error::new(
            ErrorClass::Corrupt,
            "memory.range",
            format!("`{object}` has {} bytes, so nothing can be read from byte {start}", bytes.len()),
        ));
    }
    let length = range.length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(usize::MAX));
    Ok(bytes.slice(start..start.saturating_add(length).min(bytes.len())))
}

#[async_trait]
impl Store for MemoryStore {
    async fn info(&self) -> Result<StoreInfo> {
        let conditions: &[&str] = if self.ignores_conditions { &[] } else { &[ability::IF_ABSENT, ability::IF_MATCH] };
        let versions: &[&str] = if self.keeps_versions { &[ability::VERSIONS, ability::RETENTION] } else { &[] };
        let traits = [
            conditions,
            versions,
            &[ability::RANGED_GET, ability::ORDERED_LIST, ability::LIST_AFTER_WRITE, ability::FLAT_LIST],
        ]
        .concat();
        Ok(StoreInfo {
            identity: "memory:".to_owned(),
            traits: traits.into_iter().map(str::to_owned).collect(),
            object_bytes_max: None,
            caveats: Vec::new(),
        })
    }

    async fn check(&self) -> Vec<Check> {
        vec![Check { name: "reach memory".to_owned(), outcome: Ok("works".to_owned()) }]
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        if options.retain_until.is_some() {
            self.require_versions(key)?;
        }
        let mut content = lock(&self.content);
        if !self.ignores_conditions {
            content.verify(key, options)?;
        }
        content.puts = content.puts.saturating_add(1);
        let (tag, modified) = (format!("{:x}", content.puts), content.now());
        let object = Object { bytes: data.to_bytes(), modified, tag: tag.clone() };
        content.objects.insert(key.clone(), object.clone());
        if self.keeps_versions {
            let version = Version { object, retain_until: options.retain_until };
            content.versions.insert((key.clone(), tag.clone()), version);
        }
        let version = self.keeps_versions.then(|| tag.clone());
        Ok(Stored { tag: Some(tag), version, modified: Some(modified) })
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let mut content = lock(&self.content);
        let bytes = match version {
            Some(version) => content.version(key, Some(version))?.object.bytes.clone(),
            None => content.object(key)?.bytes.clone(),
        };
        Ok(Body::from_bytes(ranged(&bytes, range, key)?))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        let mut content = lock(&self.content);
        let stored = content.object(key)?.stored(key);
        if !self.keeps_versions {
            return Ok(stored);
        }
        let retain_until = content.version(key, None)?.retain_until;
        Ok(StoredObject { version: stored.tag.clone(), retain_until, ..stored })
    }

    /// The cursor is the last key of the page.
    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        let from = key_of(cursor)?.map_or(Bound::Unbounded, Bound::Excluded);
        let content = lock(&self.content);
        let under = content.objects.range((from, Bound::Unbounded));
        let mut wanted = under.filter(|(key, _)| key.as_str().starts_with(prefix));
        let max = if self.page_objects == 0 { max } else { max.min(self.page_objects) };
        let objects: Vec<StoredObject> = wanted.by_ref().take(max).map(|(key, object)| object.stored(key)).collect();
        let next = objects.last().filter(|_| wanted.next().is_some()).map(|last| last.key.as_str().to_owned());
        Ok(Page { objects, next, ..Page::default() })
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        let mut content = lock(&self.content);
        keys.iter().for_each(|key| drop(content.objects.remove(key)));
        Ok(keys.iter().map(|_| Ok(())).collect())
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.require_versions(key)?;
        let mut content = lock(&self.content);
        let version = content.version(key, version)?;
        version.retain_until = version.retain_until.max(Some(until));
        Ok(())
    }
}
