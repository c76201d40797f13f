//! Restore writer: verified bytes become entries of the destination, and what becomes of each is counted.
//!
//! Owned here: how many entries are written at once, their metadata, the report. Refused here: how one entry is written
//! (`entry_writer`), in which order (`plan`). Called by `plan` and `restore::run`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use credenza_connect::{Destination, DestinationInfo, Error as ConnectError};
use credenza_model::{Entry, EntryKind, Key, Record};
use futures_util::{StreamExt, TryStreamExt};

use super::above::Lost;
use super::entry_writer::{ChunkWindows, EntryWriter, NotRestored, Written, refused, writing};
use super::mapping::AttributeMapping;
use super::plan::{Item, Window};
use super::{RestoreOptions, RestoreReport};
use crate::blobs::Fetched;
use crate::clock::Clock;
use crate::liveness::{Absences, Liveness, Row};
use crate::poison::lock_unpoisoned;
use crate::walk::LostNode;
use crate::{Damage, DamageKind, Error, Event, Listener, Result, RunContext, Stop, task};

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

pub(crate) struct RestoreWriter<'a> {
    entry_writer: EntryWriter,
    listener: &'a dyn Listener,
    report: Mutex<RestoreReport>,
    /// Of contents that were given to the destination.
    row: Mutex<Row>,
    cores: usize,
}

/// Entries of a group, and what became of each.
type Group = Vec<(Entry, Result<Written, NotRestored>)>;

impl<'a> RestoreWriter<'a> {
    pub(crate) fn new(
        (destination, info): (Arc<dyn Destination>, DestinationInfo),
        clock: &Arc<dyn Clock>,
        options: &RestoreOptions,
        run: &'a RunContext,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let written = options.versions.then(Arc::default);
        let liveness = Liveness::begin("destination", clock);
        let row = Mutex::new(liveness.row());
        let entry_writer = EntryWriter {
            destination,
            info: Arc::new(info),
            overwrite: options.overwrite,
            stop: run.stop.clone(),
            liveness,
            written,
        };
        Self { entry_writer, listener: &*run.events, report: Mutex::default(), row, cores }
    }

    /// What ends the run early.
    pub(crate) const fn stop(&self) -> &Stop {
        &self.entry_writer.stop
    }

    pub(crate) fn into_report(self) -> RestoreReport {
        self.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The record as the destination is to have it, if at all.
    pub(crate) fn map(&self, mapping: AttributeMapping, record: Record) -> Option<Record> {
        let (entry, lost) = mapping.apply(record.entry)?;
        count(&mut lock_unpoisoned(&self.report).unrestored, lost);
        Some(Record { entry, ..record })
    }

    /// Makes entries without content, parents before children, and returns those that were made.
    pub(crate) async fn begin(&self, records: Vec<Record>) -> Result<Vec<Entry>> {
        let mut folders = Vec::new();
        let mut others = Vec::new();
        for record in records {
            let made = self.entry_writer.make(&record.entry).await.map(|()| Written::whole(0));
            let Some(entry) = self.account(record.entry, made)? else { continue };
            if entry.kind == EntryKind::Directory { folders.push(entry) } else { others.push(entry) }
        }
        self.complete(others).await?;
        Ok(folders)
    }

    /// What is there now under a key.
    pub(crate) async fn look(&self, key: &Key) -> Result<Result<Option<Entry>, ConnectError>> {
        let doing = || format!("looking for `{key}` at the destination");
        let stat = || self.entry_writer.destination.stat(key);
        self.entry_writer.liveness.call(&mut Absences::default(), doing, stat, || self.entry_writer.probe(key)).await
    }

    /// Makes the folders above what was asked for; they are no part of it and not counted, unless they fail.
    pub(crate) async fn make_above(&self, records: impl Iterator<Item = Record>) -> Result<Vec<Entry>> {
        let mut made = Vec::new();
        for Record { entry, .. } in records.filter(|record| record.entry.kind == EntryKind::Directory) {
            match self.entry_writer.make(&entry).await {
                Ok(()) => made.push(entry),
                Err(failure) => self.fail(&entry, failure)?,
            }
        }
        Ok(made)
    }

    /// Counts and reports folders above that cannot become what they were.
    pub(crate) fn lose_above(&self, lost: Vec<Lost>) -> Result<()> {
        lost.into_iter()
            .try_for_each(|Lost { key, failure }| self.fail(&Entry::new(key, EntryKind::Directory), failure))
    }

    /// Writes the entries of a window, many at once, then sets their metadata: a further name of a file is made there, when
    /// the file itself is whole.
    pub(crate) async fn write(&self, window: Window) -> Result<()> {
        let Window { items, fetched } = window;
        let fetched = Arc::new(fetched);
        let (group, in_flight) = match self.entry_writer.info.has("local") {
            true => (LOCAL_GROUP_ENTRIES, self.cores),
            false => (1, REMOTE_WRITES_IN_FLIGHT),
        };
        let groups =
            grouped(items, group).map(|items| write_group(self.entry_writer.clone(), items, Arc::clone(&fetched)));
        let mut groups = futures_util::stream::iter(groups).buffered(in_flight);
        let mut written = Vec::new();
        let mut ended = Ok(());
        while let Some(group) = groups.next().await {
            match group.and_then(|group| self.account_all(group)) {
                Ok(entries) => written.extend(entries),
                // What else is being written is given up in good order before the run ends.
                Err(cause) => {
                    self.entry_writer.stop.request();
                    ended = ended.and(Err(cause));
                }
            }
        }
        ended?;
        let batches = grouped(written, METADATA_BATCH).map(|batch| self.set_metadata(batch));
        futures_util::stream::iter(batches).buffered(self.cores).try_collect().await
    }

    /// Writes one large content as its chunks come.
    pub(crate) async fn write_stream(&self, record: &Record, chunks: ChunkWindows<'_>) -> Result<()> {
        let outcome = self.entry_writer.write_stream(record, chunks).await;
        self.follow_row(&record.entry, &outcome)?;
        match self.account(record.entry.clone(), outcome)? {
            Some(entry) => self.complete(vec![entry]).await,
            None => Ok(()),
        }
    }

    /// Sets metadata of entries nothing more is written to, in the order given.
    pub(crate) async fn complete(&self, entries: Vec<Entry>) -> Result<()> {
        for batch in grouped(entries, METADATA_BATCH) {
            self.set_metadata(batch).await?;
        }
        Ok(())
    }

    async fn set_metadata(&self, mut batch: Vec<Entry>) -> Result<()> {
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

    /// Counts and reports what became of the entries of a group; those that metadata is to be set on.
    fn account_all(&self, group: Group) -> Result<Vec<Entry>> {
        let mut written = Vec::new();
        for (entry, outcome) in group {
            self.follow_row(&entry, &outcome)?;
            // A delete marker has nothing that metadata could be set on.
            written.extend(self.account(entry, outcome)?.filter(|entry| !is_marker(entry)));
        }
        Ok(written)
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

    /// Nothing more will come of the keys that were written.
    pub(crate) fn forget_written(&self) {
        if let Some(written) = &self.entry_writer.written {
            lock_unpoisoned(written).clear();
        }
    }

    /// Counts and reports entries that nobody can name any longer.
    pub(crate) fn lose(&self, lost: LostNode) {
        let LostNode { last_key, entries, damage } = lost;
        count_lost(&mut lock_unpoisoned(&self.report), &damage, entries);
        let reason = format!("it and up to {entries} entries before it are lost: {damage}");
        self.listener.on(Event::EntryFailed { key: last_key, reason });
        self.listener.on(Event::Damage(damage));
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
            NotRestored::Refused(reason) | NotRestored::Failing(ConnectError { message: reason, .. }) => {
                lock_unpoisoned(&self.report).failed += 1;
                self.listener.on(Event::EntryFailed { key: entry.key.clone(), reason });
            }
        }
        Ok(())
    }
}

/// Writes a group of entries on a thread of the pool, one after the other.
async fn write_group(entry_writer: EntryWriter, items: Vec<Item>, fetched: Arc<Fetched>) -> Result<Group> {
    let work = async move {
        let mut written = Vec::with_capacity(items.len());
        for item in items {
            let outcome = entry_writer.write_item(&item, &fetched).await;
            written.push((item.record.entry, outcome));
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
