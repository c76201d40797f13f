//! Something to back up, in memory: flat like a bucket, ordered or not, with or without history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_model::{Attribute, Entry, EntryKind, Key, SkippedEntry, Timestamp};

use super::lock;
use super::store::ranged;
use crate::{
    Batch, Body, ByteRange, Check, Error, ErrorClass, Found, Opened, Result, ScanOptions, Scanner, Source,
    SourceDocument, SourceInfo, ability,
};

/// Entries and their bytes; clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    content: Arc<Mutex<Content>>,
    unordered: bool,
}

#[derive(Debug, Default)]
struct Content {
    /// Per key its versions, newest first; just one without history.
    objects: BTreeMap<Key, Vec<(Entry, Bytes)>>,
    skipped: BTreeMap<Key, String>,
    /// What only `describe` tells.
    costly: BTreeMap<Key, Vec<Attribute>>,
    documents: Vec<SourceDocument>,
    writes: u64,
    has_versions: bool,
    /// Its clock; with it, a scan may be as of a time.
    now: Option<Timestamp>,
}

impl MemorySource {
    /// An empty source whose scan is ordered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty source whose scan is in no useful order, and says so.
    #[must_use]
    pub fn unordered() -> Self {
        Self { unordered: true, ..Self::default() }
    }

    /// Writes an object, as a put to a bucket would: a new fingerprint, whatever was there is gone.
    pub fn put(&self, key: impl Into<Key>, bytes: impl Into<Bytes>) {
        self.insert(Entry::new(key.into(), EntryKind::File), bytes);
    }

    /// Puts in an entry of any kind; size, and unless it has one a fingerprint, are filled in for files.
    pub fn insert(&self, mut entry: Entry, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let mut content = lock(&self.content);
        content.complete(&mut entry, &bytes);
        content.objects.insert(entry.key.clone(), vec![(entry, bytes)]);
    }

    /// Puts in an entry before the older versions of its key; the source has history from now on.
    pub fn insert_version(&self, mut entry: Entry, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let mut content = lock(&self.content);
        content.has_versions = true;
        content.complete(&mut entry, &bytes);
        content.objects.entry(entry.key.clone()).or_default().insert(0, (entry, bytes));
    }

    /// Gives a key attributes that only [`describe`](Source::describe) tells; the listing is not complete from now on.
    pub fn set_costly(&self, key: impl Into<Key>, attributes: Vec<Attribute>) {
        lock(&self.content).costly.insert(key.into(), attributes);
    }

    /// Puts in a document about the source as a whole.
    pub fn set_document(&self, document: SourceDocument) {
        lock(&self.content).documents.push(document);
    }

    /// Sets the clock; from now on a scan may be as of a time, and passes over what was modified later.
    pub fn set_now(&self, now: Timestamp) {
        lock(&self.content).now = Some(now);
    }

    /// Reports `key` as skipped for that reason.
    pub fn skip(&self, key: impl Into<Key>, reason: impl Into<String>) {
        lock(&self.content).skipped.insert(key.into(), reason.into());
    }

    /// Removes a key with all its versions.
    pub fn remove(&self, key: &Key) {
        lock(&self.content).objects.remove(key);
    }
}

impl Content {
    fn complete(&mut self, entry: &mut Entry, bytes: &Bytes) {
        self.writes = self.writes.saturating_add(1);
        if entry.kind == EntryKind::File {
            entry.size = Some(bytes.len() as u64);
            entry.fingerprint.get_or_insert_with(|| format!("{:x}", self.writes));
        }
    }

    fn find(&self, wanted: &Entry) -> Option<&(Entry, Bytes)> {
        let versions = self.objects.get(&wanted.key)?;
        match &wanted.version {
            Some(version) => versions.iter().find(|(e, _)| e.version.as_ref().is_some_and(|v| v.id == version.id)),
            None => versions.first(),
        }
    }

    /// Everything the options name that comes after `after`, in order.
    fn found(&self, options: &ScanOptions) -> Vec<Found> {
        let wanted = |key: &Key| {
            key.as_bytes().starts_with(&options.prefix)
                && options.start_after.as_ref().is_none_or(|after| key.as_bytes() > after.as_slice())
        };
        let mut found: Vec<(Key, Found)> = Vec::new();
        for (key, versions) in self.objects.iter().filter(|(key, _)| wanted(key)) {
            if options.one_level
                && let Some(folder) = folder_below(key.as_bytes(), options.prefix.len())
            {
                let folder = Key::new(folder);
                if wanted(&folder) && found.last().is_none_or(|(last, _)| *last != folder) {
                    found.push((folder.clone(), Found::Entry(Entry::new(folder, EntryKind::Directory))));
                }
                continue;
            }
            let then =
                versions.iter().filter(|(entry, _)| options.as_of.is_none_or(|then| entry.modified <= Some(then)));
            found.extend(then.map(|(entry, _)| (key.clone(), Found::Entry(entry.clone()))));
        }
        let skipped = self.skipped.iter().filter(|(key, _)| wanted(key));
        found.extend(skipped.map(|(key, reason)| {
            (key.clone(), Found::Skipped(SkippedEntry { key: key.clone(), reason: reason.clone() }))
        }));
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.into_iter().map(|(_, found)| found).collect()
    }
}

/// The folder directly below a prefix of that length in which the key lies, if it lies deeper.
fn folder_below(key: &[u8], prefix_bytes: usize) -> Option<Vec<u8>> {
    let rest = key.get(prefix_bytes..)?;
    let end = rest.iter().position(|byte| *byte == b'/')?.checked_add(1)?;
    (end < rest.len()).then(|| key.get(..prefix_bytes.saturating_add(end)).map(<[u8]>::to_vec))?
}

#[async_trait]
impl Source for MemorySource {
    async fn info(&self) -> Result<SourceInfo> {
        let content = lock(&self.content);
        let (has_versions, is_complete) = (content.has_versions, content.costly.is_empty());
        let mut traits = vec![ability::FINGERPRINTS, ability::RANGED_READ];
        traits.extend(is_complete.then_some(ability::COMPLETE_SCAN));
        traits.extend([ability::ORDERED_SCAN, ability::START_AFTER].into_iter().filter(|_| !self.unordered));
        traits.extend(has_versions.then_some(ability::VERSIONS));
        Ok(SourceInfo {
            identity: "memory:".to_owned(),
            namespace: ability::FLAT.to_owned(),
            traits: traits.into_iter().map(str::to_owned).collect(),
        })
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        Ok(lock(&self.content).now)
    }

    async fn check(&self) -> Vec<Check> {
        vec![Check { name: "reach memory".to_owned(), outcome: Ok("works".to_owned()) }]
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let mut found = lock(&self.content).found(options);
        if !self.unordered {
            // Taken from the end.
            found.reverse();
        }
        Ok(Box::new(MemoryScanner { found }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let content = lock(&self.content);
        let Some((now, bytes)) = content.find(entry) else {
            return Err(Error::new(
                ErrorClass::NotFound,
                "memory.not-found",
                format!("there is no object `{}`", entry.key),
            ));
        };
        if if_match.is_some_and(|wanted| now.fingerprint.as_deref() != Some(wanted)) {
            return Err(Error::new(
                ErrorClass::Precondition,
                "memory.changed",
                format!("`{}` was changed since it was listed", entry.key),
            ));
        }
        Ok(Opened { entry: now.clone(), body: Body::from_bytes(ranged(bytes, range, &entry.key)?) })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        let content = lock(&self.content);
        let costly = |entry: &Entry| content.costly.get(&entry.key).cloned().unwrap_or_default();
        Ok(entries.iter().map(|entry| Ok(costly(entry))).collect())
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        Ok(lock(&self.content).documents.clone())
    }
}

/// What was there when the scan began, last first.
struct MemoryScanner {
    found: Vec<Found>,
}

#[async_trait]
impl Scanner for MemoryScanner {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let mut found = self.found.split_off(self.found.len().saturating_sub(max.max(1)));
        found.reverse();
        Ok(Batch { found, more: !self.found.is_empty() })
    }
}
