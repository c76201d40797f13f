//! A repository in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{StoreKey, Timestamp};

use super::lock;
use crate::{
    Body, ByteRange, Check, Error, ErrorClass, Payload, PutOptions, Result, Store, StoreInfo, Stored, StoredObject,
};

/// A repository in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
    ignores_conditions: bool,
}

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<StoreKey, Object>,
    clock: Option<Timestamp>,
    puts: u64,
}

#[derive(Debug)]
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
    fn object(&self, key: &StoreKey) -> Result<&Object> {
        self.objects
            .get(key)
            .ok_or_else(|| Error::new(ErrorClass::NotFound, "memory.not-found", format!("there is no object `{key}`")))
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
        }
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
        let conditions: &[&str] = if self.ignores_conditions { &[] } else { &["if-absent", "if-match"] };
        let traits = [conditions, &["ranged-get", "ordered-list", "list-after-write"]].concat();
        Ok(StoreInfo {
            identity: "memory:".to_owned(),
            traits: traits.into_iter().map(str::to_owned).collect(),
            object_bytes_max: None,
        })
    }

    async fn check(&self) -> Vec<Check> {
        vec![Check { name: "reach memory".to_owned(), outcome: Ok("works".to_owned()) }]
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        let mut content = lock(&self.content);
        if !self.ignores_conditions {
            content.verify(key, options)?;
        }
        content.puts = content.puts.saturating_add(1);
        let tag = format!("{:x}", content.puts);
        let modified = content.clock.unwrap_or_else(|| Timestamp::from_system(SystemTime::now()));
        content.objects.insert(key.clone(), Object { bytes: data.to_bytes(), modified, tag: tag.clone() });
        Ok(Stored { tag: Some(tag), version: None })
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, _version: Option<&str>) -> Result<Body> {
        let content = lock(&self.content);
        Ok(Body::from_bytes(ranged(&content.object(key)?.bytes, range, key)?))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        Ok(lock(&self.content).object(key)?.stored(key))
    }

    async fn list(&self, prefix: &str, start_after: Option<&StoreKey>, max: usize) -> Result<Vec<StoredObject>> {
        let from = start_after.map_or(Bound::Unbounded, Bound::Excluded);
        let content = lock(&self.content);
        let under = content.objects.range::<StoreKey, _>((from, Bound::Unbounded));
        let wanted = under.filter(|(key, _)| key.as_str().starts_with(prefix));
        Ok(wanted.take(max).map(|(key, object)| object.stored(key)).collect())
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        let mut content = lock(&self.content);
        keys.iter().for_each(|key| drop(content.objects.remove(key)));
        Ok(keys.iter().map(|_| Ok(())).collect())
    }
}
