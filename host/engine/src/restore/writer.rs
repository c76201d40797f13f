//! Restore writer: verified bytes become entries of the destination, and what becomes of each is counted.
//!
//! Owned here: how many entries are compared and written at once, their metadata, the report. Refused here: how an entry stands to what is
//! there (`compare`), how one is written (`entry_writer`), in which order (`plan`). Called by `plan` and `restore::run`.
//!
//! A destination that is not local is first taken for empty: an entry is created on the condition that nothing is there, which costs no request.
//! The first that meets something has every later one looked for before its content is fetched.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use credenza_connect::{Destination, DestinationInfo, Error as ConnectError, ability};
use credenza_model::{ChunkRef, Entry, EntryKind, Key, Record};
use futures_util::{StreamExt, TryStreamExt};

use super::compare::{Alike, Comparer, HARD_LINK, Verdict};
use super::entry_writer::EntryWriter;
use super::ground::Ground;
use super::scope::Scope;
use super::work::{ChunkWindows, Item, Lost, NotRestored, Window, Written, refused, writing};
use super::{Overwrite, RestoreOptions, RestoreReport};
use crate::blobs::{BlobLoader, Fetched};
use crate::liveness::{Absences, Liveness, Row};
use crate::poison::lock_unpoisoned;
use crate::repository::Repository;
use crate::view::never_read;
use crate::walk::LostNode;
use crate::{Conflict, Damage, DamageKind, Error, Event, Listener, Result, RunContext, Standing, Stop, task};

/// Entries being written at once where each waits for a network.
const REMOTE_WRITES_IN_FLIGHT: usize = 32;
/// Entries that a thread writes one after the other where none waits: a local file takes some 50 µs, a hand-over to another thread 5.
const LOCAL_GROUP_ENTRIES: usize = 64;
/// Names of lost attributes that are told apart; a renamed key is one of its own.
const UNRESTORED_NAMES_MAX: usize = 1000;
/// What stands for all others.
const UNLISTED: &str = "others";
/// Entries whose metadata is set in one call.
const METADATA_BATCH: usize = 512;

pub(super) struct RestoreWriter<'a> {
    entry_writer: EntryWriter,
    comparer: Arc<Comparer>,
    listener: &'a dyn Listener,
    options: &'a RestoreOptions,
    report: Mutex<RestoreReport>,
    /// Of contents that were given to the destination.
    row: Mutex<Row>,
    cores: usize,
    ground: Mutex<Ground>,
    /// Whether entries are looked for before their content is fetched.
    is_looking: AtomicBool,
    /// What was written and is still to be read again; at most a batch.
    unverified: Mutex<Vec<Record>>,
}

/// Entries of a group, and what became of each.
type Group = Vec<(Item, Result<Written, NotRestored>)>;

impl<'a> RestoreWriter<'a> {
    pub(super) fn new(
        (destination, info): (Arc<dyn Destination>, DestinationInfo),
        (repository, loader): (&Repository, &Arc<BlobLoader>),
        namespace: &str,
        options: &'a RestoreOptions,
        run: &'a RunContext,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let written = options.versions.then(Arc::default);
        let liveness = Liveness::begin("destination", repository.clock());
        let row = Mutex::new(liveness.row());
        let is_looking =
            !options.versions && (info.has(ability::LOCAL) || options.dry_run || options.overwrite != Overwrite::No);
        // Others make folders at the same time.
        let is_looking = is_looking || options.share.is_some() && info.namespace == ability::TREE;
        let is_same = |name: &str| namespace == name && info.namespace == name;
        let (has_own_names, has_etags) = (is_same(ability::TREE), is_same(ability::FLAT));
        let entry_writer = EntryWriter {
            destination,
            info: Arc::new(info),
            overwrite: options.overwrite == Overwrite::Always,
            events: Arc::clone(&run.events),
            // A failure that ends the run ends no other run of the caller's.
            stop: run.stop.child(),
            liveness,
            written,
            is_writable: Arc::default(),
        };
        let comparer = Arc::new(Comparer {
            entry_writer: entry_writer.clone(),
            keys: repository.keys().clone(),
            loader: Arc::clone(loader),
            overwrite: options.overwrite,
            has_own_names,
            has_etags,
            presumed: 0.into(),
            reused: 0.into(),
        });
        Self {
            entry_writer,
            comparer,
            listener: &*run.events,
            options,
            report: Mutex::default(),
            row,
            cores,
            ground: Mutex::default(),
            is_looking: is_looking.into(),
            unverified: Mutex::default(),
        }
    }

    /// What ends the run early: the caller's wish, or a failure.
    pub(super) const fn stop(&self) -> &Stop {
        &self.entry_writer.stop
    }

    /// Whether entries are looked for before their content is fetched; what was sifted before that is to be sifted again.
    pub(super) fn is_looking(&self) -> bool {
        self.is_looking.load(Relaxed)
    }

    /// Whether what was to be replaced is to stay if it has changed since.
    pub(super) const fn may_spare(&self) -> bool {
        !matches!(self.options.overwrite, Overwrite::Always | Overwrite::IfChanged)
    }

    /// Whether every version of a key is written, one after the other, not the current one alone.
    pub(super) const fn is_replaying(&self) -> bool {
        self.options.versions
    }

    pub(super) fn into_report(self) -> RestoreReport {
        let (presumed, reused) = (self.comparer.presumed.load(Relaxed), self.comparer.reused.load(Relaxed));
        let report = self.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        RestoreReport { presumed, reused, ..report }
    }

    /// Whether what is said of what is there is what a restore would say.
    pub(super) fn describes(&self, entry: &Entry, there: &Entry) -> bool {
        self.comparer.describes(entry, there)
    }

    /// Whether a name at the destination is one key's alone.
    pub(super) fn has_own_names(&self) -> bool {
        self.comparer.has_own_names
    }

    /// The record as the destination is to have it, if at all.
    pub(super) fn map(&self, scope: &Scope, record: Record) -> Option<Record> {
        let (entry, lost) = scope.map(record.entry)?;
        count(&mut lock_unpoisoned(&self.report).unrestored, lost);
        Some(Record { entry, ..record })
    }

    /// Makes entries without content, parents before children, and returns the folders that get their metadata when nothing more is written in them.
    pub(super) async fn begin(&self, records: Vec<Record>) -> Result<Vec<Entry>> {
        let mut folders = Vec::new();
        let mut others = Vec::new();
        for record in records {
            let is_folder = record.entry.kind == EntryKind::Directory;
            let entry = record.entry.clone();
            let done = match self.verdict(&record).await {
                Ok(Verdict::Identical) => {
                    self.count(&entry, Standing::Identical, 0);
                    if is_folder { Some(entry) } else { None }
                }
                Ok(Verdict::Attributes) => {
                    self.count(&entry, Standing::Attributes, 0);
                    Some(entry)
                }
                Ok(Verdict::Left(conflict)) => self.account(entry, Err(NotRestored::Left(conflict)))?,
                Ok(verdict) if self.options.dry_run => {
                    let standing = if verdict == Verdict::New { Standing::New } else { Standing::Changed };
                    self.count(&entry, standing, 0);
                    Some(entry)
                }
                Ok(verdict) => self.make(entry, verdict == Verdict::Changed).await?,
                Err(failure) => self.account(entry, Err(failure))?,
            };
            match done {
                Some(entry) if is_folder => folders.push(entry),
                Some(entry) => others.push(entry),
                None if is_folder => lock_unpoisoned(&self.ground).block(&record.entry.key),
                None => {}
            }
        }
        self.complete(others).await?;
        Ok(folders)
    }

    async fn make(&self, entry: Entry, replaces: bool) -> Result<Option<Entry>> {
        let made = self.entry_writer.make(&entry, replaces).await.map(|()| Written::whole(0));
        lock_unpoisoned(&self.report).replaced += u64::from(replaces && made.is_ok());
        let made = self.account(entry, made)?;
        if let Some(folder) = made.as_ref().filter(|entry| entry.kind == EntryKind::Directory) {
            lock_unpoisoned(&self.ground).made(&folder.key);
        }
        Ok(made)
    }

    /// What is to become of an entry. Nothing is looked for in a folder that the run has made.
    async fn verdict(&self, record: &Record) -> Result<Verdict, NotRestored> {
        match self.foreseen(&record.entry.key) {
            Some(verdict) => Ok(verdict),
            None => self.comparer.judge(record).await,
        }
    }

    /// Whether the content of an entry is certain to be asked for: nothing is there in its place, and it is no further name of a file, which may be whole by then.
    pub(super) fn will_fetch(&self, record: &Record) -> bool {
        let is_new = self.foreseen(&record.entry.key) == Some(Verdict::New);
        is_new && !self.options.dry_run && never_read(record).is_none() && record.entry.attribute(HARD_LINK).is_none()
    }

    fn foreseen(&self, key: &Key) -> Option<Verdict> {
        let ground = lock_unpoisoned(&self.ground);
        if ground.blocks(key) {
            return Some(Verdict::Left(Conflict::Below));
        }
        (!self.is_looking.load(Relaxed) || ground.is_fresh_for(key)).then_some(Verdict::New)
    }

    /// Counts the entries of a window that need no content, sets what is said of them, and returns the others.
    pub(super) async fn sift(&self, items: Vec<Item>) -> Result<Vec<Item>> {
        let (mut to_write, mut to_describe, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            match self.foreseen(&item.record.entry.key) {
                // What was never read says so when it is to be written.
                _ if never_read(&item.record).is_some() => {
                    self.settle(item, Ok(Verdict::New), &mut to_write, &mut to_describe)?
                }
                Some(verdict) => self.settle(item, Ok(verdict), &mut to_write, &mut to_describe)?,
                None => unknown.push(item),
            }
        }
        let (group, in_flight) = self.pace();
        let groups = grouped(unknown, group).map(|items| judge_group(Arc::clone(&self.comparer), items));
        let mut judged = futures_util::stream::iter(groups).buffered(in_flight);
        while let Some(group) = judged.next().await {
            for (item, verdict) in group? {
                self.settle(item, verdict, &mut to_write, &mut to_describe)?;
            }
        }
        self.complete(to_describe).await?;
        if !to_write.is_empty() && !self.options.dry_run {
            self.entry_writer.demand_writable().await?;
        }
        Ok(to_write)
    }

    fn settle(
        &self,
        item: Item,
        verdict: Result<Verdict, NotRestored>,
        to_write: &mut Vec<Item>,
        to_describe: &mut Vec<Entry>,
    ) -> Result<()> {
        let (entry, bytes) = (&item.record.entry, item.record.content.bytes());
        if let Some(reason) = never_read(&item.record).filter(|_| self.options.dry_run) {
            return self.fail(entry, NotRestored::Unread(reason));
        }
        match verdict {
            Ok(Verdict::Identical) => self.count(entry, Standing::Identical, bytes),
            Ok(Verdict::Attributes) => {
                self.count(entry, Standing::Attributes, bytes);
                to_describe.push(entry.clone());
            }
            Ok(Verdict::Left(conflict)) => self.fail(entry, NotRestored::Left(conflict))?,
            Ok(Verdict::New) if self.options.dry_run => self.count(entry, Standing::New, bytes),
            Ok(Verdict::Changed) if self.options.dry_run => self.count(entry, Standing::Changed, bytes),
            Ok(Verdict::New) => to_write.push(item),
            Ok(Verdict::Changed) => to_write.push(Item { replaces: true, ..item }),
            Err(failure) => self.fail(entry, failure)?,
        }
        Ok(())
    }

    /// The chunks that the file which is to be replaced has.
    pub(super) async fn reuse(&self, key: &Key, refs: &[ChunkRef], offset: u64) -> Fetched {
        self.comparer.reuse(key, refs, offset).await
    }

    /// Entries in a group, and groups at once.
    fn pace(&self) -> (usize, usize) {
        match self.entry_writer.info.has(ability::LOCAL) {
            true => (LOCAL_GROUP_ENTRIES, self.cores),
            false => (1, REMOTE_WRITES_IN_FLIGHT),
        }
    }

    /// What is there now under a key.
    pub(super) async fn look(&self, key: &Key) -> Result<Result<Option<Entry>, ConnectError>> {
        self.entry_writer.look(key).await
    }

    /// Sets the metadata of folders in which nothing more is written, children before parents; of those that were there only where it differs now.
    pub(super) async fn close(&self, folders: Vec<Entry>) -> Result<()> {
        let mut differing = Vec::new();
        for folder in folders {
            let is_made = lock_unpoisoned(&self.ground).has_made(&folder.key);
            if !is_made && self.options.overwrite == Overwrite::Never {
                continue;
            }
            let is_told = || async {
                let found = self.look(&folder.key).await?.ok().flatten();
                Ok::<_, Error>(found.is_some_and(|found| self.comparer.describes(&folder, &found)))
            };
            if is_made || !self.is_looking.load(Relaxed) || !is_told().await? {
                differing.push(folder);
            }
        }
        self.complete(differing).await
    }

    /// Nothing more comes but what is behind `last`.
    pub(super) fn forget_before(&self, last: &Key) {
        lock_unpoisoned(&self.ground).forget_before(last);
    }

    /// Makes the folders above what was asked for; they are no part of it and not counted, unless they fail.
    pub(super) async fn make_above(&self, records: impl Iterator<Item = Record>) -> Result<Vec<Entry>> {
        let mut made = Vec::new();
        for Record { entry, .. } in records.filter(|record| record.entry.kind == EntryKind::Directory) {
            if self.options.dry_run {
                continue;
            }
            match self.entry_writer.make(&entry, false).await {
                Ok(()) => {
                    lock_unpoisoned(&self.ground).made(&entry.key);
                    made.push(entry);
                }
                Err(failure) => self.fail(&entry, failure)?,
            }
        }
        Ok(made)
    }

    /// Counts and reports folders above that cannot become what they were.
    pub(super) fn lose_above(&self, lost: Vec<Lost>) -> Result<()> {
        lost.into_iter().try_for_each(|Lost { key, failure }| {
            if let NotRestored::Left(_) = failure {
                lock_unpoisoned(&self.ground).block(&key);
            }
            self.fail(&Entry::new(key, EntryKind::Directory), failure)
        })
    }

    /// Writes the contents of a window, many at once; those that are written are to be [described](Self::describe).
    pub(super) async fn write(&self, window: Window) -> Result<Vec<Entry>> {
        let Window { items, fetched } = window;
        let fetched = Arc::new(fetched);
        let (group, in_flight) = self.pace();
        let groups =
            grouped(items, group).map(|items| write_group(self.entry_writer.clone(), items, Arc::clone(&fetched)));
        let mut groups = futures_util::stream::iter(groups).buffered(in_flight);
        let (mut written, mut met) = (Vec::new(), Vec::new());
        let mut ended = Ok(());
        while let Some(group) = groups.next().await {
            match group.and_then(|group| self.account_all(group, &mut met)) {
                Ok(entries) => written.extend(entries),
                // What else is being written is given up in good order before the run ends.
                Err(cause) => {
                    self.entry_writer.stop.request();
                    ended = ended.and(Err(cause));
                }
            }
        }
        ended?;
        self.compare_met(met).await?;
        Ok(written)
    }

    /// Sets the metadata of files, many at once: a further name of a file is made there, when the file itself is whole.
    pub(super) async fn describe(&self, written: Vec<Entry>) -> Result<()> {
        let batches = grouped(written, METADATA_BATCH).map(|batch| self.set_metadata(batch));
        futures_util::stream::iter(batches).buffered(self.cores).try_collect().await
    }

    /// Writes one large content as its chunks come.
    pub(super) async fn write_stream(&self, record: &Record, replaces: bool, chunks: ChunkWindows<'_>) -> Result<()> {
        let outcome = self.entry_writer.write_stream(record, replaces, chunks).await;
        self.follow_row(&record.entry, &outcome)?;
        let mut met = Vec::new();
        let item = Item { record: record.clone(), refs: Vec::new(), replaces };
        let written = self.account_content(item, outcome, &mut met)?;
        self.compare_met(met).await?;
        self.complete(written.into_iter().collect()).await
    }

    /// Entries for which something was there after all: from now on all are looked for first.
    async fn compare_met(&self, met: Vec<Item>) -> Result<()> {
        if met.is_empty() {
            return Ok(());
        }
        if self.options.versions {
            return met
                .iter()
                .try_for_each(|item| self.fail(&item.record.entry, NotRestored::Left(Conflict::Uncompared)));
        }
        self.is_looking.store(true, Relaxed);
        let mut judged =
            futures_util::stream::iter(met.into_iter().map(|item| judge_group(Arc::clone(&self.comparer), vec![item])))
                .buffered(REMOTE_WRITES_IN_FLIGHT);
        let (mut to_write, mut to_describe) = (Vec::new(), Vec::new());
        while let Some(group) = judged.next().await {
            for (item, verdict) in group? {
                // What is there was there a moment ago, and nothing but what the user allows is replaced.
                let verdict = match verdict {
                    Ok(Verdict::New | Verdict::Changed) => Ok(Verdict::Left(Conflict::Changing)),
                    verdict => verdict,
                };
                self.settle(item, verdict, &mut to_write, &mut to_describe)?;
            }
        }
        self.complete(to_describe).await
    }

    /// Reads again what was written since the last time, from the medium where it can be, and counts what is not what was written.
    pub(super) async fn verify(&self) -> Result<()> {
        let written = std::mem::take(&mut *lock_unpoisoned(&self.unverified));
        if written.is_empty() {
            return Ok(());
        }
        self.entry_writer
            .destination
            .sync()
            .await
            .map_err(Error::connector("waiting until what was restored is durable"))?;
        let (group, in_flight) = self.pace();
        let groups = grouped(written, group).map(|records| read_group(Arc::clone(&self.comparer), records));
        let mut read = futures_util::stream::iter(groups).buffered(in_flight);
        while let Some(group) = self.stop().unless(read.next()).await? {
            for (record, alike) in group? {
                self.account_reading(&record.entry, alike)?;
            }
        }
        Ok(())
    }

    fn account_reading(&self, entry: &Entry, alike: Result<Alike, NotRestored>) -> Result<()> {
        let mut report = lock_unpoisoned(&self.report);
        report.verified += 1;
        let reason = match alike {
            Ok(Alike::Equal | Alike::Presumed) => return Ok(()),
            Ok(Alike::Differs) => {
                report.miswritten += 1;
                "what is read back of it is not what was written: the disk, its cable or the file system is at fault"
            }
            Ok(Alike::Torn) => {
                report.failed += 1;
                "it was restored, and somebody wrote to it before it was verified"
            }
            Ok(Alike::Unknown) => {
                report.failed += 1;
                "it was restored, and cannot be read back"
            }
            Err(failure) => {
                drop(report);
                return self.fail(entry, failure);
            }
        };
        drop(report);
        self.listener.on(Event::EntryFailed { key: entry.key.clone(), reason: reason.to_owned() });
        Ok(())
    }

    /// Sets metadata of entries nothing more is written to, in the order given.
    pub(super) async fn complete(&self, entries: Vec<Entry>) -> Result<()> {
        for batch in grouped(entries, METADATA_BATCH) {
            self.set_metadata(batch).await?;
        }
        Ok(())
    }

    async fn set_metadata(&self, mut batch: Vec<Entry>) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        let mut absences = Absences::default();
        while let Some(first) = batch.first() {
            let asked = self.entry_writer.liveness.now();
            let results = match self.entry_writer.destination.set_metadata(&batch).await {
                Ok(results) => results,
                // What fails for all of them is the failure of each.
                Err(cause) if cause.is_transient() => vec![Err(cause); batch.len()],
                Err(cause) => return Err(Error::connector("setting metadata at the destination")(cause)),
            };
            let unanswered = results.iter().find_map(|result| result.as_ref().err().filter(|e| e.is_unanswered()));
            let is_again = match unanswered {
                Some(cause) => self.entry_writer.was_away(&mut absences, asked, cause, &first.key).await?,
                None => false,
            };
            let mut left = Vec::new();
            for (entry, result) in batch.into_iter().zip(results) {
                match result {
                    Ok(unrestored) => count(&mut lock_unpoisoned(&self.report).unrestored, unrestored),
                    Err(cause) if is_again && cause.is_unanswered() => left.push(entry),
                    Err(cause) => self.fail(&entry, refused(&entry, cause))?,
                }
            }
            batch = left;
        }
        Ok(())
    }

    /// Counts and reports what became of the entries of a group; those that metadata is to be set on. `met` gets those for which something is there.
    fn account_all(&self, group: Group, met: &mut Vec<Item>) -> Result<Vec<Entry>> {
        let mut written = Vec::new();
        for (item, outcome) in group {
            self.follow_row(&item.record.entry, &outcome)?;
            // A delete marker has nothing that metadata could be set on.
            written.extend(self.account_content(item, outcome, met)?.filter(|entry| !is_marker(entry)));
        }
        Ok(written)
    }

    fn account_content(
        &self,
        item: Item,
        outcome: Result<Written, NotRestored>,
        met: &mut Vec<Item>,
    ) -> Result<Option<Entry>> {
        let outcome = match outcome {
            Err(NotRestored::Exists) => {
                met.push(item);
                return Ok(None);
            }
            // A remote place that lets nothing be written would refuse each in turn.
            Err(NotRestored::Denied(cause)) if !self.has_done_anything() => {
                return Err(Error::Connector { doing: writing(&item.record.entry.key), cause });
            }
            outcome => outcome,
        };
        let Item { record, replaces, .. } = item;
        let to_verify = (self.options.verify && outcome.is_ok()).then(|| record.clone());
        let entry = self.account(record.entry, outcome)?;
        lock_unpoisoned(&self.report).replaced += u64::from(replaces && entry.is_some());
        lock_unpoisoned(&self.unverified).extend(to_verify);
        Ok(entry)
    }

    /// Ends the run when too many contents in a row could not be written.
    fn follow_row(&self, entry: &Entry, outcome: &Result<Written, NotRestored>) -> Result<()> {
        let outcome = match outcome {
            Ok(_) => Ok(()),
            Err(NotRestored::Failing(cause)) => Err(self.entry_writer.liveness.failed(cause.clone())),
            Err(_) => return Ok(()),
        };
        lock_unpoisoned(&self.row).take(outcome.as_ref().copied(), || writing(&entry.key))
    }

    /// Counts and reports what became of an entry; the entry, if it was written.
    fn account(&self, entry: Entry, outcome: Result<Written, NotRestored>) -> Result<Option<Entry>> {
        match outcome {
            Ok(Written { bytes, lost }) => {
                count(&mut lock_unpoisoned(&self.report).unrestored, lost);
                self.done(&entry, bytes);
                Ok(Some(entry))
            }
            Err(failure) => self.fail(&entry, failure).map(|()| None),
        }
    }

    /// Whether the place is known to be one that can be written: a folder was tried before.
    fn has_done_anything(&self) -> bool {
        let report = lock_unpoisoned(&self.report);
        self.entry_writer.info.has(ability::LOCAL) || report.entries + report.identical > 0
    }

    fn leave(&self, key: &Key, conflict: Conflict) {
        lock_unpoisoned(&self.report).left.entry(conflict).or_default().add(key);
        self.listener.on(Event::Left { key: key.clone(), conflict });
    }

    /// Nothing more will come of the keys that were written.
    pub(super) fn forget_written(&self) {
        if let Some(written) = &self.entry_writer.written {
            lock_unpoisoned(written).clear();
        }
    }

    /// Counts and reports entries that nobody can name any longer.
    pub(super) fn lose(&self, lost: LostNode) {
        let LostNode { last_key, entries, damage } = lost;
        count_lost(&mut lock_unpoisoned(&self.report), &damage, entries);
        let reason = format!("it and up to {entries} entries before it are lost: {damage}");
        self.listener.on(Event::EntryFailed { key: last_key, reason });
        self.listener.on(Event::Damage(damage));
    }

    /// Counts an entry for which nothing is written, or nothing in a trial.
    fn count(&self, entry: &Entry, standing: Standing, bytes: u64) {
        let mut report = lock_unpoisoned(&self.report);
        match standing {
            Standing::Identical => report.identical += 1,
            Standing::Attributes => report.attributes += 1,
            Standing::New | Standing::Changed => {
                report.entries += 1;
                report.bytes += bytes;
                report.replaced += u64::from(standing == Standing::Changed);
            }
            Standing::Extra => report.extra += 1,
        }
        drop(report);
        if self.options.dry_run {
            self.listener.on(Event::Compared { key: entry.key.clone(), standing, bytes });
        }
        self.listener.on(Event::Progress { entries: 1, bytes });
    }

    fn done(&self, entry: &Entry, bytes: u64) {
        let mut report = lock_unpoisoned(&self.report);
        report.entries += 1;
        report.bytes += bytes;
        drop(report);
        self.listener.on(Event::Progress { entries: 1, bytes: entry.size.unwrap_or(bytes) });
    }

    /// Counts and reports an entry that was not restored, unless the whole run must end.
    fn fail(&self, entry: &Entry, failure: NotRestored) -> Result<()> {
        match failure {
            NotRestored::Run(cause) => return Err(cause),
            NotRestored::Damage(damage) => {
                count_lost(&mut lock_unpoisoned(&self.report), &damage, 1);
                self.listener.on(Event::EntryFailed { key: entry.key.clone(), reason: damage.to_string() });
                self.listener.on(Event::Damage(damage));
            }
            NotRestored::Unread(reason) => {
                lock_unpoisoned(&self.report).unread += 1;
                self.listener.on(Event::EntryFailed { key: entry.key.clone(), reason });
            }
            NotRestored::Left(conflict) => self.leave(&entry.key, conflict),
            NotRestored::Exists => self.leave(&entry.key, Conflict::Uncompared),
            NotRestored::Refused(reason)
            | NotRestored::Denied(ConnectError { message: reason, .. })
            | NotRestored::Failing(ConnectError { message: reason, .. }) => {
                lock_unpoisoned(&self.report).failed += 1;
                self.listener.on(Event::EntryFailed { key: entry.key.clone(), reason });
            }
        }
        Ok(())
    }
}

/// Compares a group of entries on a thread of the pool, one after the other.
async fn judge_group(comparer: Arc<Comparer>, items: Vec<Item>) -> Result<Vec<(Item, Result<Verdict, NotRestored>)>> {
    let work = async move {
        let mut judged = Vec::with_capacity(items.len());
        for item in items {
            let verdict = comparer.judge(&item.record).await;
            judged.push((item, verdict));
        }
        judged
    };
    task::spawn(work).await.map_err(Error::worker("compare"))
}

/// Reads a group of entries again on a thread of the pool, one after the other.
async fn read_group(
    comparer: Arc<Comparer>,
    records: Vec<Record>,
) -> Result<Vec<(Record, Result<Alike, NotRestored>)>> {
    let work = async move {
        let mut read = Vec::with_capacity(records.len());
        for record in records {
            let alike = comparer.read(&record, true).await;
            read.push((record, alike));
        }
        read
    };
    task::spawn(work).await.map_err(Error::worker("verify"))
}

/// Writes a group of entries on a thread of the pool, one after the other.
async fn write_group(entry_writer: EntryWriter, items: Vec<Item>, fetched: Arc<Fetched>) -> Result<Group> {
    let work = async move {
        let mut written = Vec::with_capacity(items.len());
        for item in items {
            let outcome = entry_writer.write_item(&item, &fetched).await;
            written.push((item, outcome));
        }
        written
    };
    task::spawn(work).await.map_err(Error::worker("write"))
}

fn is_marker(entry: &Entry) -> bool {
    entry.version.as_ref().is_some_and(|version| version.deleted)
}

/// What comes, in groups of at most `size`.
fn grouped<T>(all: Vec<T>, size: usize) -> impl Iterator<Item = Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(move || {
        let group: Vec<T> = rest.by_ref().take(size).collect();
        (!group.is_empty()).then_some(group)
    })
}

/// What the store fails to give is not restored, and may be there all the same.
fn count_lost(report: &mut RestoreReport, damage: &Damage, entries: u64) {
    match damage.kind {
        DamageKind::Unreadable => report.failed += entries,
        _ => report.damaged += entries,
    }
}

fn count(unrestored: &mut BTreeMap<String, u64>, names: Vec<String>) {
    for name in names {
        let is_listed = unrestored.len() < UNRESTORED_NAMES_MAX || unrestored.contains_key(&name);
        let name = if is_listed { name } else { UNLISTED.to_owned() };
        *unrestored.entry(name).or_default() += 1;
    }
}
