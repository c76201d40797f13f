//! [`Free`] as a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, Key, Timestamp};

use super::{Free, Freedom, Will};
use crate::wrap::call;
use crate::{
    Batch, ByteRange, Check, Error, Found, Opened, Result, ScanOptions, Scanner, Source, SourceDocument, SourceInfo,
    ability,
};

/// What a scan without `ordered-scan` is gathered by.
const GATHERED_AT_ONCE: usize = 1000;

impl Will {
    fn scanned(&self, found: Found) -> Found {
        let Found::Entry(mut entry) = found else { return found };
        if entry.size.is_some() && self.always(Freedom::NoSize) {
            entry.size = None;
        }
        if !entry.attributes.is_empty() && self.always(Freedom::ReadCompletes) {
            entry.attributes.clear();
        }
        Found::Entry(self.described(entry))
    }

    /// What neither a scan nor a read tells.
    fn described(&self, mut entry: Entry) -> Entry {
        if entry.fingerprint.is_some() && self.always(Freedom::NoFingerprint) {
            entry.fingerprint = None;
        }
        entry
    }

    /// All that was found, key by key in any order, some told twice. Versions of a key stay together.
    fn scattered(&self, found: Vec<Found>) -> Vec<Found> {
        let mut by_key: BTreeMap<Key, Vec<Found>> = BTreeMap::new();
        for one in found {
            by_key.entry(one.key().clone()).or_default().push(one);
        }
        let mut groups: Vec<Vec<Found>> = by_key.into_values().collect();
        let again: Vec<Vec<Found>> =
            groups.iter().filter(|group| group.len() == 1 && self.one_in(Freedom::RepeatedEntry, 8)).cloned().collect();
        groups.extend(again);
        if groups.len() > 1 && self.always(Freedom::AnyScanOrder) {
            // Fisher and Yates.
            for last in (1..groups.len()).rev() {
                groups.swap(last, usize::try_from(self.below(last as u64 + 1)).unwrap_or(0));
            }
        }
        groups.into_iter().flatten().collect()
    }
}

/// A scan that takes freedoms.
struct FreeScanner {
    inner: Box<dyn Scanner>,
    will: Arc<Will>,
    /// All there is, last first, where the order is free.
    gathered: Option<Vec<Found>>,
}

impl FreeScanner {
    async fn gather(&mut self) -> Result<()> {
        let is_free = self.will.allows(Freedom::AnyScanOrder) || self.will.allows(Freedom::RepeatedEntry);
        if !is_free || self.gathered.is_some() {
            return Ok(());
        }
        let mut all = Vec::new();
        loop {
            let batch = self.inner.next(GATHERED_AT_ONCE).await?;
            all.extend(batch.found);
            if !batch.more {
                break;
            }
        }
        let mut scattered = self.will.scattered(all);
        scattered.reverse();
        self.gathered = Some(scattered);
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scanner for FreeScanner {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        self.will.stumble(call::NEXT)?;
        self.gather().await?;
        if self.will.one_in(Freedom::EmptyPage, 4) {
            return Ok(Batch { found: Vec::new(), more: true });
        }
        let fewer = usize::try_from(self.will.below(5)).unwrap_or(0).saturating_add(1).min(max);
        let max = if self.will.one_in(Freedom::ShortPage, 2) { fewer } else { max };
        let batch = match &mut self.gathered {
            None => self.inner.next(max).await?,
            Some(rest) => {
                let mut found = rest.split_off(rest.len().saturating_sub(max));
                found.reverse();
                Batch { found, more: !rest.is_empty() }
            }
        };
        Ok(Batch { found: batch.found.into_iter().map(|found| self.will.scanned(found)).collect(), ..batch })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Source + ?Sized> Source for Free<T> {
    async fn info(&self) -> Result<SourceInfo> {
        self.will.stumble("info")?;
        let mut info = self.inner.info().await?;
        let ruled_out: [(Freedom, &[&str]); 4] = [
            (Freedom::AnyScanOrder, &[ability::ORDERED_SCAN, ability::START_AFTER]),
            (Freedom::RepeatedEntry, &[ability::ORDERED_SCAN, ability::START_AFTER]),
            (Freedom::NoFingerprint, &[ability::FINGERPRINTS]),
            (Freedom::ReadCompletes, &[ability::COMPLETE_SCAN]),
        ];
        self.will.claims(&mut info.traits, &ruled_out);
        Ok(info)
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        self.inner.now().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        self.will.stumble(call::SCAN)?;
        let inner = self.inner.scan(options).await?;
        Ok(Box::new(FreeScanner { inner, will: Arc::clone(&self.will), gathered: None }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        self.will.stumble(call::READ)?;
        let opened = self.inner.read(entry, range, if_match).await?;
        Ok(Opened { entry: self.will.described(opened.entry), body: self.will.pieces(opened.body) })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        self.will.stumble(call::DESCRIBE)?;
        self.inner.describe(entries).await
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        self.inner.documents().await
    }
}
