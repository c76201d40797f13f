//! Scan and join: the sorted listing of the source against the sorted records of the parent snapshot.
//!
//! Owned here: which entries are unchanged and keep the content they have, which must be read, and what is excluded.
//! Refused here: reading contents (`load`). Called by the line in `backup`.
//!
//! Bound: one page of the listing and one window of the parent's leaves; more where `ranges` look ahead.

use std::sync::Arc;

use credenza_connect::{Batches, Found, Scanner, SourceInfo, ability};
use credenza_model::{Content, Entry, EntryKind, EntryStatus, Key, Record, SkippedEntry};
use tokio::sync::Mutex;

use super::exclude::Sieve;
use super::load::{Planned, complete};
use super::ranges;
use crate::blobs::BlobLoader;
use crate::listing::PAGE_ENTRIES;
use crate::walk::{KeyedRecords, Records};
use crate::write::{Deduplicator, claim};
use crate::{Error, Result};

/// Pages in a row that may hold nothing but the entry before them: a server that repeats a page's last key does so once.
const PAGES_REPEATED_MAX: usize = 8;
/// What a folder knows of its files: no listing leaves it to a read.
const OF_THE_FOLDER: &str = "posix.";
/// How much a sparse file takes (`connect`, `file/attributes.rs`).
const SPARSE: &str = "posix.sparse";

/// What a listing tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// All that there is to say.
    All,
    /// All that its folder knows; what else is known of it comes of a read.
    Lean,
    /// Anything of it.
    Part,
}

/// What the listing gave next.
pub(crate) enum Step {
    Batch(Vec<Planned>),
    End(Ending),
}

/// How a listing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Whole, its keys ascend strictly.
    Ascending,
    /// Whole, some entries were reported twice.
    Repeating,
    /// A key came that does not follow the one before, or ranges do not fit together: the listing must be sorted first.
    OutOfOrder,
}

/// An older snapshot, or a part of one, that unchanged entries are taken from.
pub(crate) struct Parent {
    records: Arc<Mutex<KeyedRecords>>,
    loader: Arc<BlobLoader>,
}

impl Parent {
    pub(crate) fn new(records: Records, loader: Arc<BlobLoader>) -> Self {
        Self { records: Arc::new(Mutex::new(KeyedRecords::new(records))), loader }
    }

    /// Its records, for who looks at them before they are taken.
    pub(crate) fn records(&self) -> Arc<Mutex<KeyedRecords>> {
        Arc::clone(&self.records)
    }
}

pub(crate) struct Join {
    batches: Batches,
    /// What was to be backed up and was not listed, once the listing has ended.
    missing: Option<std::vec::IntoIter<SkippedEntry>>,
    parents: Vec<Parent>,
    sieve: Sieve,
    /// Absent in a dry run, where nothing is kept.
    dedup: Option<Arc<Deduplicator>>,
    told: Told,
    /// What is said of unchanged entries is read again.
    refreshes: bool,
    previous: Option<Previous>,
    pages_repeated: usize,
    repeats: bool,
}

struct Previous {
    key: Key,
    version: Option<String>,
    fingerprint: Option<String>,
}

impl Join {
    pub(crate) fn new(
        scanner: Box<dyn Scanner>,
        info: &SourceInfo,
        parents: Vec<Parent>,
        sieve: Sieve,
        dedup: Option<Arc<Deduplicator>>,
    ) -> Self {
        let told = if info.has(ability::COMPLETE_SCAN) { Told::All } else { Told::Part };
        let (refreshes, previous, pages_repeated, repeats) = (false, None, 0, false);
        let (batches, missing) = (Batches::new(scanner), None);
        Self { batches, missing, parents, sieve, dedup, told, refreshes, previous, pages_repeated, repeats }
    }

    /// With what is said of unchanged entries read again, unless the listing tells it all.
    pub(crate) fn refreshing(self, refreshes: bool) -> Self {
        Self { refreshes: refreshes && self.told != Told::All, ..self }
    }

    /// Of a listing that leaves out what is known of unchanged files.
    pub(crate) fn lean(self, is_lean: bool) -> Self {
        let told = if is_lean && self.told == Told::All { Told::Lean } else { self.told };
        Self { told, ..self }
    }

    /// How many files were left out because of their size.
    pub(crate) const fn too_large(&self) -> u64 {
        self.sieve.too_large()
    }

    pub(crate) async fn next(&mut self) -> Result<Step> {
        if self.missing.is_some() {
            return Ok(self.end());
        }
        let page = match self.batches.next(PAGE_ENTRIES).await {
            Err(cause) if ranges::gives_up(&cause) => return Ok(Step::End(Ending::OutOfOrder)),
            page => page.map_err(Error::source("listing the source"))?,
        };
        let Some(page) = page else { return Ok(self.end()) };
        let mut batch = Vec::with_capacity(page.len());
        let mut repeated = 0;
        let reported = page.len();
        for found in page {
            match found {
                Found::Skipped(skipped) if self.sieve.holds_back(&skipped.key) => {}
                Found::Skipped(skipped) => batch.push(Planned::Skipped(skipped)),
                Found::Entry(entry) => match self.order(&entry) {
                    Order::Ascending if self.sieve.holds_back_entry(&entry) => {}
                    Order::Ascending => batch.push(self.plan(entry).await?),
                    Order::Repeated => repeated += 1,
                    Order::Broken => return Ok(Step::End(Ending::OutOfOrder)),
                },
            }
        }
        self.repeats |= repeated > 0;
        self.notice_standstill(repeated == reported)?;
        Ok(Step::Batch(batch))
    }

    /// What comes behind a listing that has ended: what it should have told, a page at a time, and the end.
    fn end(&mut self) -> Step {
        let missing = self.missing.get_or_insert_with(|| self.sieve.missing().into_iter());
        let page: Vec<Planned> = missing.take(PAGE_ENTRIES).map(Planned::Skipped).collect();
        match (page.is_empty(), self.repeats) {
            (false, _) => Step::Batch(page),
            (true, true) => Step::End(Ending::Repeating),
            (true, false) => Step::End(Ending::Ascending),
        }
    }

    /// A listing that does not get ahead never ends.
    fn notice_standstill(&mut self, repeated: bool) -> Result<()> {
        self.pages_repeated = if repeated { self.pages_repeated + 1 } else { 0 };
        match &self.previous {
            Some(previous) if self.pages_repeated > PAGES_REPEATED_MAX => {
                let key = &previous.key;
                Err(Error::Contract { what: format!("its listing tells `{key}` again and again and does not end") })
            }
            _ => Ok(()),
        }
    }

    fn order(&mut self, entry: &Entry) -> Order {
        let version = entry.version.as_ref().map(|version| version.id.clone());
        let order = match &self.previous {
            None => Order::Ascending,
            Some(previous) if entry.key > previous.key => Order::Ascending,
            Some(previous) if entry.key < previous.key => Order::Broken,
            // Some servers repeat the last keys of a page at the head of the next one.
            Some(previous) if version == previous.version && entry.fingerprint == previous.fingerprint => {
                Order::Repeated
            }
            Some(previous) if version.is_some() && version != previous.version => Order::Ascending,
            Some(_) => Order::Repeated,
        };
        if matches!(order, Order::Ascending) {
            self.previous = Some(Previous { key: entry.key.clone(), version, fingerprint: entry.fingerprint.clone() });
        }
        order
    }

    async fn plan(&mut self, entry: Entry) -> Result<Planned> {
        let has_content =
            entry.kind == EntryKind::File && !entry.version.as_ref().is_some_and(|version| version.deleted);
        if !has_content {
            return Ok(Planned::Keep(Box::new(Record { entry, content: Content::None, status: EntryStatus::Stable })));
        }
        for index in 0..self.parents.len() {
            if let Some(record) = self.unchanged(index, &entry).await? {
                let is_referenced = matches!(record.status, EntryStatus::Referenced(_));
                if is_referenced && self.refreshes {
                    return Ok(Planned::Read(entry));
                }
                let is_flawed = matches!(record.status, EntryStatus::Undescribed(_) | EntryStatus::Doubtful(_));
                let scanned = (self.refreshes || is_flawed).then(|| entry.clone());
                let record = Box::new(self.renew(record, entry));
                return Ok(match scanned {
                    Some(scanned) => Planned::Refresh { scanned, record },
                    None => Planned::Keep(record),
                });
            }
        }
        Ok(Planned::Read(entry))
    }

    async fn unchanged(&mut self, parent: usize, entry: &Entry) -> Result<Option<Record>> {
        let Some(parent) = self.parents.get_mut(parent) else { return Ok(None) };
        let mut records = parent.records.lock().await;
        let records = match records.seek(&entry.key).await {
            Ok(records) => records,
            // What a damaged parent does not tell is read again, which mends what it lost.
            Err(Error::Damage(_)) => return Ok(None),
            Err(cause) => return Err(cause),
        };
        let Some(record) = records.iter().find(|record| same_content(record, entry)).cloned() else {
            return Ok(None);
        };
        let whole = match &self.dedup {
            Some(dedup) => claim(dedup, &parent.loader, &record.content).await?,
            None => true,
        };
        Ok(whole.then_some(record))
    }

    /// The parent's record with what the listing says now. How much a sparse file takes stays as it was told when it was read: file systems move it without a
    /// write, as they defragment or trim, and the tree of what nobody has changed is the same.
    fn renew(&self, record: Record, scanned: Entry) -> Record {
        let mut known = record.entry;
        let taken = known.attribute(SPARSE).cloned();
        if self.told == Told::Lean {
            known.attributes.retain(|(name, _)| !name.starts_with(OF_THE_FOLDER));
        }
        let mut entry = if self.told == Told::All { scanned } else { overlay(known, scanned) };
        let now = entry.attributes.iter_mut().find(|(name, _)| name == SPARSE);
        if let (Some(taken), Some((_, now))) = (taken, now) {
            *now = taken;
        }
        Record { entry, ..record }
    }
}

enum Order {
    Ascending,
    Repeated,
    Broken,
}

fn same_content(record: &Record, entry: &Entry) -> bool {
    let old = &record.entry;
    let is_known = match record.status {
        EntryStatus::Stable | EntryStatus::Undescribed(_) | EntryStatus::Doubtful(_) => record.content != Content::None,
        EntryStatus::Referenced(_) => true,
        EntryStatus::Changed | EntryStatus::Vanished | EntryStatus::Unreadable(_) => false,
    };
    let version = |entry: &Entry| entry.version.as_ref().map(|version| version.id.clone());
    is_known
        && entry.fingerprint.is_some()
        && old.fingerprint == entry.fingerprint
        && old.size == entry.size
        && old.kind == entry.kind
        && old.modified == entry.modified
        && version(old) == version(entry)
}

/// What a read once reported, with what the listing tells today laid over it.
fn overlay(known: Entry, scanned: Entry) -> Entry {
    let mut attributes = known.attributes;
    complete(&mut attributes, scanned.attributes);
    let checksums = if scanned.checksums.is_empty() { known.checksums } else { scanned.checksums };
    Entry { attributes, checksums, ..scanned }
}

#[cfg(test)]
mod tests {
    use credenza_connect::{Batch, Patterns, ScanOptions};
    use credenza_model::AttributeValue;

    use super::*;

    /// Tells the same page for ever.
    struct Endless(Vec<Found>);

    #[async_trait::async_trait]
    impl Scanner for Endless {
        async fn next(&mut self, _: usize) -> credenza_connect::Result<Batch> {
            Ok(Batch { found: self.0.clone(), more: true })
        }
    }

    fn page(keys: impl IntoIterator<Item = String>) -> Box<Endless> {
        let entry = |key: String| Found::Entry(Entry::new(Key::new(key.into_bytes()), EntryKind::File));
        Box::new(Endless(keys.into_iter().map(entry).collect()))
    }

    fn sieve(excludes: &[&str]) -> Sieve {
        let excludes = Patterns::new(excludes).unwrap();
        Sieve::new(&ScanOptions { excludes, ..ScanOptions::default() }, None)
    }

    async fn end_of(keys: &[&str], excludes: &[&str]) -> Result<Step> {
        let scanner = page(keys.iter().map(ToString::to_string));
        let mut join = Join::new(scanner, &SourceInfo::default(), Vec::new(), sieve(excludes), None);
        loop {
            match join.next().await? {
                Step::Batch(_) => {}
                end => return Ok(end),
            }
        }
    }

    #[tokio::test]
    async fn a_listing_that_never_gets_ahead_is_broken_off() {
        for excludes in [&[][..], &["a"]] {
            let stuck = end_of(&["a"], excludes).await;
            assert!(matches!(stuck, Err(Error::Contract { what }) if what.contains("`a` again and again")));
        }
        assert!(matches!(end_of(&["a", "b"], &[]).await, Ok(Step::End(Ending::OutOfOrder))));
    }

    #[tokio::test]
    async fn what_is_excluded_and_cannot_be_described_is_no_problem() {
        let skipped = |key: &str| Found::Skipped(SkippedEntry { key: key.into(), reason: "denied".to_owned() });
        let scanner = Box::new(Endless(vec![skipped("cache/"), skipped("cache/x"), skipped("other/")]));
        let mut join = Join::new(scanner, &SourceInfo::default(), Vec::new(), sieve(&["cache/"]), None);
        let Ok(Step::Batch(batch)) = join.next().await else { panic!("no batch") };
        assert!(matches!(&batch[..], [Planned::Skipped(skipped)] if skipped.key == "other/".into()), "{batch:?}");
    }

    #[test]
    fn what_a_folder_no_longer_says_of_a_file_is_not_taken_from_the_parent() {
        let entry = |names: &[&str]| {
            let attributes = names.iter().map(|name| ((*name).to_owned(), AttributeValue::Integer(1))).collect();
            Entry { attributes, ..Entry::new("a".into(), EntryKind::File) }
        };
        let (complete, lean) = (ability::COMPLETE_SCAN, ability::LEAN_SCAN);
        let cases: [(&[&str], bool, &[&str]); 3] = [
            (&[complete, lean], true, &["posix.mode", "xattr.user.colour"]),
            (&[complete, lean], false, &["posix.mode"]),
            (&[], false, &["posix.mode", "posix.sparse", "xattr.user.colour"]),
        ];
        for (traits, is_lean, expected) in cases {
            let traits = traits.iter().map(|name| (*name).to_owned()).collect();
            let info = SourceInfo { traits, ..SourceInfo::default() };
            let join = Join::new(page(Vec::new()), &info, Vec::new(), sieve(&[]), None).lean(is_lean);
            let known = entry(&["posix.mode", "posix.sparse", "xattr.user.colour"]);
            let record = Record { entry: known, content: Content::None, status: EntryStatus::Stable };
            let renewed = join.renew(record, entry(&["posix.mode"])).entry;
            assert_eq!(renewed, entry(expected), "{info:?}");
        }
    }

    #[test]
    fn how_much_an_unchanged_sparse_file_takes_stays_as_it_was_told_when_it_was_read() {
        let entry = |taken: Option<i64>| {
            let attributes = taken.map(|taken| (SPARSE.to_owned(), AttributeValue::Integer(taken)));
            Entry { attributes: attributes.into_iter().collect(), ..Entry::new("image".into(), EntryKind::File) }
        };
        for traits in [Vec::new(), vec![ability::COMPLETE_SCAN.to_owned()]] {
            let info = SourceInfo { traits, ..SourceInfo::default() };
            let join = Join::new(page(Vec::new()), &info, Vec::new(), sieve(&[]), None);
            let known = |taken| Record { entry: entry(taken), content: Content::None, status: EntryStatus::Stable };
            assert_eq!(
                join.renew(known(Some(4096)), entry(Some(8192))).entry,
                entry(Some(4096)),
                "it was defragmented"
            );
            assert_eq!(join.renew(known(None), entry(Some(8192))).entry, entry(Some(8192)));
        }
    }
}
