//! Sides: a cut and the target's listing as a plan walks them side by side, each in the order of keys.
//!
//! Owned here: what of them counts under which key. Refused here: what follows from it (`join`). Called by `join`.
//!
//! Bound: a window of leaves a cut, a page of a listing, and the versions of one key where they count; a listing that comes in no order is sorted on disk
//! (`listing`).

use async_trait::async_trait;
use credenza_connect::file::escape::key_of_path;
use credenza_connect::{Batch, Batches, DestinationInfo, Found, ScanOptions, Scanner, ability};
use credenza_model::{AttributeValue, Entry, EntryKind, Key, Record};

use super::Target;
use super::marker::{self, is_marker};
use crate::listing::{PAGE_ENTRIES, SortedScan};
use crate::restore::AttributeMapping;
use crate::walk::Records;
use crate::{Error, Result};

/// What the names begin with that are not their keys.
const ESCAPED: &[u8] = b"%~";
/// What an entry that was found bears while it is compared, where its name there is not its key.
const NAME: &str = "mirror.name";

/// What counts under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// What is there.
    Current,
    /// All versions and delete markers, the newest first.
    Versions,
}

impl Kept {
    fn takes(self, entry: &Entry) -> bool {
        (self == Self::Versions || entry.is_current()) && !entry.key.as_bytes().is_empty() && !is_marker(&entry.key)
    }
}

/// The records of a cut, as the target is to have them.
pub(super) struct Side {
    records: Records,
    mapping: AttributeMapping,
    kept: Kept,
    next: Option<Record>,
    has_ended: bool,
    /// Those that would have another name there, and so another place in the order; the first of them.
    pub(super) unnamed: Vec<Key>,
}

impl Side {
    pub(super) const fn new(records: Records, mapping: AttributeMapping, kept: Kept) -> Self {
        Self { records, mapping, kept, next: None, has_ended: false, unnamed: Vec::new() }
    }

    /// The key that comes next.
    pub(super) async fn key(&mut self) -> Result<Option<Key>> {
        self.fill().await?;
        Ok(self.next.as_ref().map(|record| record.entry.key.clone()))
    }

    /// All that counts of a key that is not before the one asked for last.
    pub(super) async fn all(&mut self, key: &Key) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        while let Some(record) = self.at(key).await? {
            all.push(record);
        }
        Ok(all)
    }

    /// The next record of a key that is not before the one asked for last.
    pub(super) async fn at(&mut self, key: &Key) -> Result<Option<Record>> {
        loop {
            self.fill().await?;
            match &self.next {
                Some(next) if next.entry.key < *key => self.next = None,
                Some(next) if next.entry.key == *key => return Ok(self.next.take()),
                _ => return Ok(None),
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        while self.next.is_none() && !self.has_ended {
            let Some(record) = self.records.next().await? else {
                self.has_ended = true;
                return Ok(());
            };
            self.next = self.mapped(record);
        }
        Ok(())
    }

    fn mapped(&mut self, record: Record) -> Option<Record> {
        let key = record.entry.key.clone();
        if !self.kept.takes(&record.entry) {
            return None;
        }
        let (entry, _) = self.mapping.apply(record.entry)?;
        if entry.key != key {
            self.unnamed.push(key);
            return None;
        }
        Some(Record { entry, ..record })
    }
}

/// What is there, under the keys that it stands for.
pub(super) struct Listing {
    kept: Kept,
    batches: Option<Batches>,
    page: std::vec::IntoIter<Found>,
    next: Option<Entry>,
}

impl Listing {
    pub(super) async fn open(target: &Target, info: &DestinationInfo, kept: Kept) -> Result<Self> {
        let empty = Self { kept, batches: None, page: Vec::new().into_iter(), next: None };
        if marker::is_absent(target, &info.namespace).await? {
            return Ok(empty);
        }
        let failed = Error::connector("listing the target");
        let source = target.listing.info().await.map_err(Error::connector("opening the target"))?;
        let scanner = target.listing.scan(&ScanOptions::default()).await.map_err(failed)?;
        let has_names = info.namespace == ability::TREE && info.has(ability::POSIX_ATTRIBUTES);
        let scanner: Box<dyn Scanner> = match (has_names, source.has(ability::ORDERED_SCAN)) {
            (false, true) => scanner,
            (false, false) => Box::new(SortedScan::of(scanner).await?),
            (true, _) => Box::new(SortedScan::of(Box::new(Named(scanner))).await?),
        };
        Ok(Self { batches: Some(Batches::new(scanner)), ..empty })
    }

    /// The key that comes next.
    pub(super) async fn key(&mut self) -> Result<Option<Key>> {
        self.fill().await?;
        Ok(self.next.as_ref().map(|entry| entry.key.clone()))
    }

    /// All that counts of the key that comes next, if it is that one.
    pub(super) async fn all(&mut self, key: &Key) -> Result<Vec<Entry>> {
        let mut all = Vec::new();
        loop {
            self.fill().await?;
            match self.next.take_if(|entry| entry.key == *key) {
                Some(entry) => all.push(entry),
                None => return Ok(all),
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        while self.next.is_none() {
            match self.page.next() {
                Some(Found::Entry(entry)) => {
                    self.next = self.kept.takes(&entry).then_some(entry);
                }
                // Whatever it is, it is no object of the mirror's.
                Some(Found::Skipped(skipped)) => self.next = Some(Entry::new(skipped.key, EntryKind::Other)),
                None => {
                    let Some(batches) = &mut self.batches else { return Ok(()) };
                    let page = batches.next(PAGE_ENTRIES).await.map_err(Error::connector("listing the target"))?;
                    match page {
                        Some(page) => self.page = page.into_iter(),
                        None => self.batches = None,
                    }
                }
            }
        }
        Ok(())
    }
}

/// A listing of a folder, in which names stand for keys.
struct Named(Box<dyn Scanner>);

#[async_trait]
impl Scanner for Named {
    async fn next(&mut self, max: usize) -> credenza_connect::Result<Batch> {
        let mut batch = self.0.next(max).await?;
        for found in &mut batch.found {
            if let Found::Entry(entry) = found
                && entry.key.as_bytes().split(|byte| *byte == b'/').any(|name| name.starts_with(ESCAPED))
                && let Some(key) = key_of_path(entry.key.as_bytes())
            {
                let name = AttributeValue::Blob(entry.key.as_bytes().to_vec());
                entry.attributes.push((NAME.to_owned(), name));
                entry.key = Key::new(key);
            }
        }
        Ok(batch)
    }
}

/// The name that something has there; that of an object is its key.
pub(super) fn name_of(found: &Entry) -> Key {
    match found.attribute(NAME) {
        Some(AttributeValue::Blob(name)) => Key::new(name.as_slice()),
        _ => found.key.clone(),
    }
}
