//! Join: the cut, the cuts before it and the target's listing side by side in the order of keys, and what follows from them.
//!
//! Owned here: the walk, the lists of what is to be done, and how long what is gone stays. Refused here: the verdict on a key (`judge`), acting on it (`mirror`).
//!
//! Bound: a window of leaves a cut, a page of a listing; one that comes in no order is sorted on disk (`listing`).

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::file::escape::key_of_path;
use credenza_connect::{Batch, Batches, DestinationInfo, Found, ScanOptions, Scanner, ability};
use credenza_format::TreeRoot;
use credenza_model::{Entry, EntryKind, Key, Record, SnapshotId};

use super::judge::{Ground, Verdict};
use super::marker::{self, Marker, is_marker};
use super::{Deletes, MirrorOptions, MirrorReport, Target, age};
use crate::blobs::BlobLoader;
use crate::key_list::KeyWriter;
use crate::listing::{PAGE_ENTRIES, SortedScan};
use crate::repository::{Repository, SnapshotHandle};
use crate::restore::AttributeMapping;
use crate::walk::Records;
use crate::{Error, Result};

/// What the names begin with that are not their keys.
const ESCAPED: &[u8] = b"%~";

/// The cuts that a plan is made of.
pub(super) struct Cuts<'a> {
    repository: &'a Repository,
    loader: Arc<BlobLoader>,
    cut: &'a SnapshotHandle,
    /// The one that the target was when it was whole.
    base: Option<TreeRoot>,
    /// Those that it was on its way to.
    towards: Vec<TreeRoot>,
    /// Those of the source that are kept, the newest first; of those in a row that hold the same, the first that was made.
    past: Vec<SnapshotHandle>,
    known: Option<&'a Marker>,
}

impl<'a> Cuts<'a> {
    /// Finds those that a marker names.
    pub(super) async fn of(
        repository: &'a Repository,
        cut: &'a SnapshotHandle,
        known: Option<&'a Marker>,
    ) -> Result<Self> {
        let identity = &cut.snapshot.source.identity;
        let listed = repository.snapshots().await?;
        let root = |id: &SnapshotId| {
            listed.whole.iter().find(|handle| handle.snapshot.id == *id).map(|handle| handle.snapshot.tree)
        };
        let base = known.and_then(|known| known.cut).as_ref().and_then(root);
        let towards = known.map_or_else(Vec::new, |known| known.towards.iter().filter_map(root).collect());
        let mut past: Vec<SnapshotHandle> =
            listed.whole.iter().filter(|handle| handle.snapshot.source.identity == *identity).cloned().collect();
        let same = |handle: &SnapshotHandle| (handle.snapshot.tree, is_torn(handle), handle.snapshot.tags.clone());
        past.dedup_by_key(|handle| same(handle));
        past.reverse();
        let loader = repository.loader_going_on(Arc::new(repository.readable_index().await?));
        Ok(Self { repository, loader, cut, base, towards, past, known })
    }

    fn walk(&self, root: &TreeRoot, mapping: AttributeMapping) -> Side {
        let records = self.repository.walk(&self.loader, root, b"");
        Side { records, mapping, next: None, has_ended: false, unnamed: Vec::new() }
    }

    /// Whether no cut of so much time has a key, and one before has it. That a cut has it not says nothing where not all could be read.
    async fn is_long_gone(&self, key: &Key, span: std::time::Duration) -> Result<bool> {
        let now = self.repository.clock().now().wall;
        let mut is_old = false;
        for handle in &self.past {
            if self.record(handle, key).await?.is_some() {
                return Ok(is_old);
            }
            is_old |= !is_torn(handle) && age(now, handle.snapshot.started) >= span;
        }
        Ok(false)
    }

    /// Whether the mirror has put there what is there, although neither the cut that the target was nor one that it was on its way to has the key: it was there
    /// when the target was whole, and a cut of the policy until then has the key; or a cut of the source holds just that, so that nothing of anybody's is lost.
    async fn had(&self, key: &Key, found: &Entry, (ground, tag): (&Ground, &str)) -> Result<bool> {
        let Some(known) = self.known else { return Ok(false) };
        let until = known.cut_made.filter(|_| ground.is_settled(found));
        for handle in &self.past {
            let Some(record) = self.record(handle, key).await? else { continue };
            let snapshot = &handle.snapshot;
            let was_mirrored =
                until.is_some_and(|until| snapshot.started <= until) && snapshot.tags.iter().any(|own| own == tag);
            if was_mirrored || ground.is_surely(&record, found) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The verdict on what is there under a key that the cut has not which the target was, after the older cuts were asked.
    async fn reconsidered(
        &self,
        verdict: Verdict,
        (key, found): (&Key, &Entry),
        ground: &Ground,
        options: &MirrorOptions,
    ) -> Result<Verdict> {
        let is_ours = match verdict {
            // Where nothing is removed, it is not worth the reading of all cuts.
            Verdict::Extra if options.deletes == Deletes::Keep => ground.is_settled(found),
            Verdict::Extra | Verdict::Foreign => self.had(key, found, (ground, options.tag.as_str())).await?,
            _ => false,
        };
        Ok(match verdict {
            Verdict::Extra if is_ours => Verdict::Gone,
            Verdict::Foreign if is_ours => Verdict::Changed,
            _ => verdict,
        })
    }

    /// What a cut has under a key.
    async fn record(&self, handle: &SnapshotHandle, key: &Key) -> Result<Option<Record>> {
        let mut records = self.repository.walk(&self.loader, &handle.snapshot.tree, key.as_bytes());
        while let Some(record) = records.next().await? {
            if record.entry.key != *key {
                break;
            }
            if record.entry.is_current() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// Whether something of the source could not be read: a folder is lacking then with all that lies in it, as if it were gone.
const fn is_torn(handle: &SnapshotHandle) -> bool {
    handle.snapshot.statistics.errors > 0
}

/// What is to be done at a target.
pub(super) struct Plan {
    pub(super) new: KeyWriter,
    pub(super) changed: KeyWriter,
    pub(super) gone: KeyWriter,
    /// What is there.
    pub(super) listed: u64,
}

impl Plan {
    pub(super) const fn is_nothing(&self) -> bool {
        self.new.len() + self.changed.len() + self.gone.len() == 0
    }
}

/// Compares a target with a cut; nothing is changed.
pub(super) async fn plan(
    cuts: &Cuts<'_>,
    (target, info): (&Target, &DestinationInfo),
    options: &MirrorOptions,
    report: &mut MirrorReport,
) -> Result<Plan> {
    let namespace = &cuts.cut.snapshot.source.namespace;
    let mapping = AttributeMapping::between(namespace, &info.namespace);
    let is_bucket_in_folder = namespace == ability::FLAT && info.namespace == ability::TREE;
    let ground = Ground {
        settled: cuts.known.and_then(|known| known.settled),
        keeps_times: info.has(ability::POSIX_ATTRIBUTES),
        has_etags: namespace == ability::FLAT && info.namespace == ability::FLAT,
        is_lacking: cuts.known.is_some_and(|known| known.lacking > 0),
    };
    let mut wanted = cuts.walk(&cuts.cut.snapshot.tree, mapping);
    let mut base = cuts.base.as_ref().map(|root| cuts.walk(root, mapping));
    let mut towards: Vec<Side> = cuts.towards.iter().map(|root| cuts.walk(root, mapping)).collect();
    let mut listing = Listing::open(target, info).await?;
    let mut plan = Plan { new: KeyWriter::new(), changed: KeyWriter::new(), gone: KeyWriter::new(), listed: 0 };
    loop {
        let key = match (wanted.key().await?, listing.key().await?) {
            (None, None) => break,
            (Some(key), None) | (None, Some(key)) => key,
            (Some(a), Some(b)) => a.min(b),
        };
        let (record, found) = (wanted.at(&key).await?, listing.at(&key).await?);
        let base = match &mut base {
            Some(base) => base.at(&key).await?,
            None => None,
        };
        let mut others = Vec::with_capacity(towards.len());
        for side in &mut towards {
            others.push(side.at(&key).await?);
        }
        // A folder that keys imply is none of its own.
        let is_implied = record.is_none() && found.as_ref().is_some_and(|found| found.kind == EntryKind::Directory);
        if is_implied && is_bucket_in_folder {
            continue;
        }
        plan.listed += u64::from(found.is_some());
        let mut verdict = ground.judge(found.as_ref(), record.as_ref(), (base.as_ref(), &others));
        if let Some(found) = found.as_ref().filter(|_| base.is_none()) {
            verdict = cuts.reconsidered(verdict, (&key, found), &ground, options).await?;
        }
        take(&mut plan, (cuts, options), report, &key, verdict).await?;
    }
    wanted.unnamed.iter().for_each(|key| report.unnamed.add(key));
    report.gone = plan.gone.len();
    Ok(plan)
}

/// Notes what is to become of a key.
async fn take(
    plan: &mut Plan,
    (cuts, options): (&Cuts<'_>, &MirrorOptions),
    report: &mut MirrorReport,
    key: &Key,
    verdict: Verdict,
) -> Result<()> {
    match verdict {
        Verdict::Same => report.same += 1,
        Verdict::New | Verdict::Missing => {
            report.new += 1;
            report.missing += u64::from(verdict == Verdict::Missing);
            plan.new.add(key)?;
        }
        Verdict::Changed => {
            report.changed += 1;
            plan.changed.add(key)?;
        }
        Verdict::Foreign => {
            report.foreign.add(key);
            if options.overwrite {
                plan.changed.add(key)?;
            }
        }
        // Replacing what is in the way is one thing, removing what is not is another.
        Verdict::Extra => report.extra.add(key),
        Verdict::Gone => {
            let is_due = match options.deletes {
                Deletes::Keep => false,
                Deletes::Now => true,
                Deletes::After(span) => cuts.is_long_gone(key, span).await?,
            };
            if is_due && !is_torn(cuts.cut) {
                plan.gone.add(key)?;
            } else {
                report.kept += 1;
                report.withheld += u64::from(is_due);
            }
        }
    }
    Ok(())
}

/// The records of a cut, as the target is to have them.
struct Side {
    records: Records,
    mapping: AttributeMapping,
    next: Option<Record>,
    has_ended: bool,
    /// Those that would have another name there, and so another place in the order; the first of them.
    unnamed: Vec<Key>,
}

impl Side {
    /// The key that comes next.
    async fn key(&mut self) -> Result<Option<Key>> {
        self.fill().await?;
        Ok(self.next.as_ref().map(|record| record.entry.key.clone()))
    }

    /// The record of a key that is not before the one asked for last.
    async fn at(&mut self, key: &Key) -> Result<Option<Record>> {
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
        if !record.entry.is_current() || key.as_bytes().is_empty() || is_marker(&key) {
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
struct Listing {
    batches: Option<Batches>,
    page: std::vec::IntoIter<Found>,
    next: Option<Entry>,
}

impl Listing {
    async fn open(target: &Target, info: &DestinationInfo) -> Result<Self> {
        let empty = Self { batches: None, page: Vec::new().into_iter(), next: None };
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

    async fn key(&mut self) -> Result<Option<Key>> {
        self.fill().await?;
        Ok(self.next.as_ref().map(|entry| entry.key.clone()))
    }

    async fn at(&mut self, key: &Key) -> Result<Option<Entry>> {
        self.fill().await?;
        Ok(self.next.take_if(|entry| entry.key == *key))
    }

    async fn fill(&mut self) -> Result<()> {
        while self.next.is_none() {
            match self.page.next() {
                Some(Found::Entry(entry)) => {
                    let is_meant = entry.is_current() && !entry.key.as_bytes().is_empty() && !is_marker(&entry.key);
                    self.next = is_meant.then_some(entry);
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
                entry.key = Key::new(key);
            }
        }
        Ok(batch)
    }
}
