//! Somewhere to restore to, in memory: holds any key, publishes at `finish`, with or without history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use credenza_model::{Entry, EntryKind, Key};

use super::lock;
use crate::{Check, Destination, DestinationInfo, Error, ErrorClass, Payload, Result, Writer, ability};

/// What was restored under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The entry as it was created, replaced by the one given to `set_metadata`.
    pub entry: Entry,
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether `set_metadata` came.
    pub has_metadata: bool,
}

/// Somewhere to restore to; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryDestination {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<Key, Restored>,
    /// All that was ever published, oldest first; kept only with history.
    published: Option<Vec<(Entry, Bytes)>>,
}

impl MemoryDestination {
    /// An empty destination.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty destination that keeps every version.
    #[must_use]
    pub fn with_history() -> Self {
        let content = Content { published: Some(Vec::new()), ..Content::default() };
        Self { content: Arc::new(Mutex::new(content)) }
    }

    /// All that is there, in byte order.
    #[must_use]
    pub fn restored(&self) -> BTreeMap<Key, Restored> {
        lock(&self.content).objects.clone()
    }

    /// All that was ever published, oldest first; nothing without history.
    #[must_use]
    pub fn published(&self) -> Vec<(Entry, Bytes)> {
        lock(&self.content).published.clone().unwrap_or_default()
    }
}

impl Content {
    fn publish(&mut self, entry: &Entry, bytes: &Bytes) {
        if let Some(published) = &mut self.published {
            published.push((entry.clone(), bytes.clone()));
        }
    }
}

fn exists(key: &Key) -> Error {
    Error::new(ErrorClass::Precondition, "memory.exists", format!("`{key}` exists already"))
}

#[async_trait]
impl Destination for MemoryDestination {
    async fn info(&self) -> Result<DestinationInfo> {
        let has_history = lock(&self.content).published.is_some();
        let mut traits = vec![ability::ATOMIC_FINISH, ability::SYMLINKS, ability::RAW_NAMES, ability::REMOVAL];
        traits.extend(has_history.then_some(ability::HISTORY));
        Ok(DestinationInfo {
            identity: "memory:".to_owned(),
            namespace: ability::FLAT.to_owned(),
            traits: traits.into_iter().map(str::to_owned).collect(),
        })
    }

    async fn check(&self) -> Vec<Check> {
        vec![Check { name: "reach memory".to_owned(), outcome: Ok("works".to_owned()) }]
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(lock(&self.content).objects.get(key).map(|restored| restored.entry.clone()))
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let mut content = lock(&self.content);
        let is_file = entry.kind == EntryKind::File;
        if !overwrite && entry.kind != EntryKind::Directory && content.objects.contains_key(&entry.key) {
            return Err(exists(&entry.key));
        }
        if entry.version.as_ref().is_some_and(|version| version.deleted) {
            content.objects.remove(&entry.key);
            content.publish(entry, &Bytes::new());
            return Ok(None);
        }
        if !is_file {
            let restored = Restored { entry: entry.clone(), bytes: Bytes::new(), has_metadata: false };
            content.objects.insert(entry.key.clone(), restored);
            return Ok(None);
        }
        let content = Arc::clone(&self.content);
        Ok(Some(Box::new(MemoryWriter { content, entry: entry.clone(), overwrite, bytes: BytesMut::new() })))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        let mut content = lock(&self.content);
        let mut set = |entry: &Entry| match content.objects.get_mut(&entry.key) {
            Some(restored) => {
                restored.entry = Entry { size: restored.entry.size, ..entry.clone() };
                restored.has_metadata = true;
                Ok(Vec::new())
            }
            None => Err(Error::new(
                ErrorClass::NotFound,
                "memory.not-found",
                format!("there is no object `{}` to describe", entry.key),
            )),
        };
        Ok(entries.iter().map(&mut set).collect())
    }
}

struct MemoryWriter {
    content: Arc<Mutex<Content>>,
    entry: Entry,
    overwrite: bool,
    bytes: BytesMut,
}

#[async_trait]
impl Writer for MemoryWriter {
    fn part_bytes(&self) -> Option<u64> {
        None
    }

    async fn write(&mut self, part: Payload) -> Result<()> {
        part.pieces().iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        Ok(())
    }

    async fn finish(&mut self, last: Payload) -> Result<Vec<String>> {
        let mut content = lock(&self.content);
        if !self.overwrite && content.objects.contains_key(&self.entry.key) {
            return Err(exists(&self.entry.key));
        }
        // It may be called again where its answer is lost.
        let mut bytes = self.bytes.clone();
        last.pieces().iter().for_each(|piece| bytes.extend_from_slice(piece));
        let bytes = bytes.freeze();
        let entry = Entry { size: Some(bytes.len() as u64), ..self.entry.clone() };
        content.publish(&entry, &bytes);
        content.objects.insert(entry.key.clone(), Restored { entry, bytes, has_metadata: false });
        Ok(Vec::new())
    }

    async fn abort(self: Box<Self>) {}
}
