//! Somewhere to restore to, in memory: holds any key, publishes at `finish`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use credenza_model::{Entry, EntryKind, Key};

use super::lock;
use crate::{Check, Destination, DestinationInfo, Error, ErrorClass, Payload, Result, Writer};

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
    content: Arc<Mutex<BTreeMap<Key, Restored>>>,
}

impl MemoryDestination {
    /// An empty destination.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All that was published, in byte order.
    #[must_use]
    pub fn restored(&self) -> BTreeMap<Key, Restored> {
        lock(&self.content).clone()
    }
}

fn exists(key: &Key) -> Error {
    Error::new(ErrorClass::Precondition, "memory.exists", format!("`{key}` exists already"))
}

#[async_trait]
impl Destination for MemoryDestination {
    async fn info(&self) -> Result<DestinationInfo> {
        Ok(DestinationInfo {
            identity: "memory:".to_owned(),
            namespace: "flat".to_owned(),
            traits: ["atomic-finish", "symlinks", "raw-names"].map(str::to_owned).to_vec(),
            part_bytes: None,
            parts_max: None,
        })
    }

    async fn check(&self) -> Vec<Check> {
        vec![Check { name: "reach memory".to_owned(), outcome: Ok("works".to_owned()) }]
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(lock(&self.content).get(key).map(|restored| restored.entry.clone()))
    }

    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let mut content = lock(&self.content);
        let is_file = entry.kind == EntryKind::File;
        if !overwrite && entry.kind != EntryKind::Directory && content.contains_key(&entry.key) {
            return Err(exists(&entry.key));
        }
        if !is_file {
            let restored = Restored { entry: entry.clone(), bytes: Bytes::new(), has_metadata: false };
            content.insert(entry.key.clone(), restored);
            return Ok(None);
        }
        let content = Arc::clone(&self.content);
        Ok(Some(Box::new(MemoryWriter { content, entry: entry.clone(), overwrite, bytes: BytesMut::new() })))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        let mut content = lock(&self.content);
        let mut set = |entry: &Entry| match content.get_mut(&entry.key) {
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
    content: Arc<Mutex<BTreeMap<Key, Restored>>>,
    entry: Entry,
    overwrite: bool,
    bytes: BytesMut,
}

#[async_trait]
impl Writer for MemoryWriter {
    async fn write(&mut self, part: Payload) -> Result<()> {
        part.pieces().iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Option<String>> {
        let mut content = lock(&self.content);
        if !self.overwrite && content.contains_key(&self.entry.key) {
            return Err(exists(&self.entry.key));
        }
        let mut entry = self.entry;
        entry.size = Some(self.bytes.len() as u64);
        let fingerprint = format!("{:x}", self.bytes.len());
        content.insert(entry.key.clone(), Restored { entry, bytes: self.bytes.freeze(), has_metadata: false });
        Ok(Some(fingerprint))
    }

    async fn abort(self: Box<Self>) {}
}
