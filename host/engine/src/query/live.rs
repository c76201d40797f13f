//! Live diff: places as they are now beside each other or beside a snapshot, in key order, by what listings tell.
//!
//! No content is read. Equal fingerprints or digests prove equal bytes; where neither can be compared, as between a bucket and a
//! folder, entries of one size are taken for equal and counted. Of versions only the latest is compared.
//!
//! Called by `cli` and `web`. Bound: a page of a listing or a window of leaves a side; a listing without order is sorted on disk (`listing`).

use std::cmp::Ordering;
use std::collections::VecDeque;

use credenza_connect::{Batches, Found, ScanOptions, Scanner, Source, ability};
use credenza_model::{Entry, EntryKind, SkippedEntry};

use super::{Change, ChangeKind, below};
use crate::listing::{PAGE_ENTRIES, SortedScan};
use crate::repository::SnapshotHandle;
use crate::stated::{digests_agree, etags_agree};
use crate::view::View;
use crate::walk::Records;
use crate::{Error, Result};

/// What a comparison comes upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// An entry that differs.
    Change(Box<Change>),
    /// Something that a listing could not describe; all below it is unknown.
    Skipped(SkippedEntry),
}

/// One side of a comparison.
pub struct Side {
    entries: Entries,
    /// What is listed; fingerprints of one identity are of one kind.
    identity: String,
    /// Objects, whose fingerprints are ETags.
    is_flat: bool,
    /// Keys are compared without it.
    prefix: Vec<u8>,
    front: VecDeque<Found>,
    ended: bool,
}

enum Entries {
    Recorded(Box<Records>),
    Listed(Batches),
}

impl Side {
    /// What a source holds now.
    ///
    /// # Errors
    /// When it cannot be listed, or its listing cannot be sorted.
    pub async fn live(source: &dyn Source) -> Result<Self> {
        let info = source.info().await.map_err(Error::connector("opening a location"))?;
        let options = ScanOptions::default();
        let scanner: Box<dyn Scanner> = if info.has(ability::ORDERED_SCAN) {
            source.scan(&options).await.map_err(Error::connector("listing a location"))?
        } else {
            Box::new(SortedScan::collect(source, &options).await?)
        };
        let is_flat = info.namespace == ability::FLAT;
        Ok(Self::new(Entries::Listed(Batches::new(scanner)), info.identity, is_flat, Vec::new()))
    }

    fn new(entries: Entries, identity: String, is_flat: bool, prefix: Vec<u8>) -> Self {
        Self { entries, identity, is_flat, prefix, front: VecDeque::new(), ended: false }
    }

    /// Brings what comes next to the front.
    async fn fill(&mut self) -> Result<()> {
        while self.front.is_empty() && !self.ended {
            let page: Vec<Found> = match &mut self.entries {
                Entries::Recorded(records) => {
                    records.next_batch().await?.into_iter().map(|record| Found::Entry(record.entry)).collect()
                }
                Entries::Listed(batches) => {
                    let batch = batches.next(PAGE_ENTRIES).await.map_err(Error::connector("listing a location"))?;
                    batch.unwrap_or_default()
                }
            };
            self.ended = page.is_empty();
            let prefix = &self.prefix;
            self.front.extend(page.into_iter().filter(|found| is_wanted(found, prefix)));
        }
        Ok(())
    }

    /// The key in front, below the prefix.
    fn key(&self) -> Option<&[u8]> {
        self.front.front().map(|found| below(found.key(), &self.prefix))
    }
}

/// What lies under the prefix, and of versions what is there now.
fn is_wanted(found: &Found, prefix: &[u8]) -> bool {
    let is_latest = match found {
        Found::Entry(entry) => entry.is_current(),
        Found::Skipped(_) => true,
    };
    is_latest && found.key().is_under(prefix)
}

impl View {
    /// What lies at or under a key of a snapshot, as a side of a comparison.
    #[must_use]
    pub fn side(&self, handle: &SnapshotHandle, prefix: &[u8]) -> Side {
        let records = self.records(handle, prefix);
        let source = &handle.snapshot.source;
        let is_flat = source.namespace == ability::FLAT;
        Side::new(Entries::Recorded(Box::new(records)), source.identity.clone(), is_flat, prefix.to_vec())
    }
}

/// A stream of the differences between two sides.
pub struct LiveDiff {
    before: Side,
    after: Side,
    by_size: u64,
}

/// What is known of two entries of one key.
enum Verdict {
    Equal,
    /// Their sizes are equal, and nothing else can be compared.
    EqualBySize,
    Differs(ChangeKind),
}

impl LiveDiff {
    /// A comparison of two sides.
    #[must_use]
    pub fn new(before: Side, after: Side) -> Self {
        Self { before, after, by_size: 0 }
    }

    /// Files so far that are equal in size, and whose bytes could not be compared.
    #[must_use]
    pub const fn compared_by_size(&self) -> u64 {
        self.by_size
    }

    /// The next difference; `None` at the end.
    ///
    /// # Errors
    /// When a listing fails, or damage when a node of a snapshot is lost.
    pub async fn next(&mut self) -> Result<Option<Difference>> {
        loop {
            self.before.fill().await?;
            self.after.fill().await?;
            let order = match (self.before.key(), self.after.key()) {
                (Some(a), Some(b)) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(None),
            };
            let before = if order == Ordering::Greater { None } else { self.before.front.pop_front() };
            let after = if order == Ordering::Less { None } else { self.after.front.pop_front() };
            if let Some(difference) = self.compare(before, after) {
                return Ok(Some(difference));
            }
        }
    }

    fn compare(&mut self, before: Option<Found>, after: Option<Found>) -> Option<Difference> {
        let change = |kind, before, after| Some(Difference::Change(Box::new(Change { kind, before, after })));
        match (before, after) {
            (Some(Found::Skipped(skipped)), _) | (_, Some(Found::Skipped(skipped))) => {
                Some(Difference::Skipped(skipped))
            }
            (Some(Found::Entry(old)), None) => change(ChangeKind::Removed, Some(old), None),
            (None, Some(Found::Entry(new))) => change(ChangeKind::Added, None, Some(new)),
            (Some(Found::Entry(old)), Some(Found::Entry(new))) => match self.judge(&old, &new) {
                Verdict::Equal => None,
                Verdict::EqualBySize => {
                    self.by_size += 1;
                    None
                }
                Verdict::Differs(kind) => change(kind, Some(old), Some(new)),
            },
            (None, None) => None,
        }
    }

    fn judge(&self, old: &Entry, new: &Entry) -> Verdict {
        let resized = old.size.zip(new.size).is_some_and(|(a, b)| a != b);
        if old.kind != new.kind || resized || old.link_target != new.link_target {
            return Verdict::Differs(ChangeKind::Content);
        }
        if old.kind != EntryKind::File {
            return Verdict::Equal;
        }
        if let Some(equal) = digests_agree(old, new) {
            return if equal { Verdict::Equal } else { Verdict::Differs(ChangeKind::Content) };
        }
        match old.fingerprint.as_deref().zip(new.fingerprint.as_deref()) {
            Some((a, b)) if self.before.identity == self.after.identity => match a == b {
                true => Verdict::Equal,
                false if old.modified == new.modified => Verdict::Differs(ChangeKind::Metadata),
                false => Verdict::Differs(ChangeKind::Content),
            },
            Some((a, b)) if self.before.is_flat && self.after.is_flat => match etags_agree(a, b) {
                Some(true) => Verdict::Equal,
                Some(false) => Verdict::Differs(ChangeKind::Content),
                None => Verdict::EqualBySize,
            },
            _ => Verdict::EqualBySize,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use credenza_connect::memory::{MemorySource, MemoryStore};
    use credenza_model::Key;

    use super::*;
    use crate::testing::{handle, repository, secret, snapshot};

    async fn differences(before: Side, after: Side) -> (Vec<String>, u64) {
        let mut diff = LiveDiff::new(before, after);
        let mut all = Vec::new();
        while let Some(difference) = diff.next().await.unwrap() {
            all.push(match difference {
                Difference::Change(change) => {
                    let Change { kind, before, after } = *change;
                    format!("{kind:?} {}", after.or(before).unwrap().key)
                }
                Difference::Skipped(skipped) => format!("skipped {}", skipped.key),
            });
        }
        (all, diff.compared_by_size())
    }

    fn filled(source: MemorySource) -> MemorySource {
        for key in ["a", "b/c", "b/d", "e"] {
            source.put(key, key.as_bytes().to_vec());
        }
        source
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_snapshot_is_compared_with_what_is_there_now() {
        for source in [filled(MemorySource::new()), filled(MemorySource::unordered())] {
            let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
            let handle = handle(&repository, snapshot(&repository, &source).await).await;
            let recorded = repository.view().await.unwrap().side(&handle, b"");
            assert_eq!(differences(recorded, Side::live(&source).await.unwrap()).await, (vec![], 0));
            source.put("b/c", b"x/y".to_vec());
            source.remove(&Key::from("e"));
            source.put("f", b"new".to_vec());
            source.skip("g", "no rights");
            let recorded = repository.view().await.unwrap().side(&handle, b"");
            let (found, _) = differences(recorded, Side::live(&source).await.unwrap()).await;
            assert_eq!(found, ["Metadata b/c", "Removed e", "Added f", "skipped g"]);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_places_are_compared_by_digest_etag_or_size() {
        let object = |etag: &str, bytes: &[u8]| {
            let mut entry = Entry::new(Key::from("key"), EntryKind::File);
            entry.fingerprint = Some(etag.to_owned());
            let source = MemorySource::new();
            source.insert(entry, bytes.to_vec());
            source
        };
        let (one, other) = ("0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff");
        let cases = [
            (object(one, b"x"), object(one, b"x"), &[][..], 0),
            (object(one, b"x"), object(other, b"y"), &["Content key"][..], 0),
            (object(one, b"x"), object("0123456789abcdef0123456789abcdef-2", b"x"), &[], 1),
            (object(one, b"x"), object(one, b"xx"), &["Content key"], 0),
        ];
        for (before, after, expected, by_size) in cases {
            let mut before = Side::live(&before).await.unwrap();
            before.identity = "elsewhere".to_owned();
            let found = differences(before, Side::live(&after).await.unwrap()).await;
            assert_eq!(found, (expected.iter().map(ToString::to_string).collect(), by_size));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_are_compared_below_the_part_of_the_snapshot() {
        let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
        let handle = handle(&repository, snapshot(&repository, &filled(MemorySource::new())).await).await;
        let part = MemorySource::new();
        part.put("c", b"b/c".to_vec());
        let recorded = repository.view().await.unwrap().side(&handle, b"b");
        let (found, _) = differences(recorded, Side::live(&part).await.unwrap()).await;
        assert_eq!(found, ["Metadata c", "Removed b/d"]);
    }
}
