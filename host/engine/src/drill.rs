//! Drill: a restore for trial. A few files and folders of the newest good snapshot are drawn at random, restored as any restore does, read again
//! and compared; what came of it is put on record.
//!
//! ```text
//! snapshots > draw one > walk its tree once, drawing > restore with verification > the record
//! ```
//!
//! What is drawn follows from a seed that is on record with the rest, and that nobody can foresee: who tampers with a store does not know what is
//! restored next. Nothing is drawn of which the snapshot never had the content.
//!
//! Owned here: what is drawn, and what counts as a fault of it. Refused here: the scratch folder and its removal (`app`), restoring (`restore`).
//!
//! Bound: what is drawn, the folders above one entry, and what a walk and a restore take.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use credenza_connect::Destination;
use credenza_format::{Drill, Hex};
use credenza_model::{EntryKind, Key, Record};

use crate::latest::record_drill;
use crate::parts::{Part, Parts};
use crate::repository::{Repository, SnapshotHandle, Snapshots, random_id};
use crate::restore::{self, RestoreOptions};
use crate::view::never_read;
use crate::{Result, RunContext};

/// Entries that a folder has at most for it to be drawn.
const FOLDER_ENTRIES_MAX: u64 = 10_000;

/// How much is restored for trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrillOptions {
    /// Files that are drawn.
    pub files: u32,
    /// Folders that are drawn, each with what lies in it.
    pub folders: u32,
    /// Bytes of content that are restored at most.
    pub bytes_max: u64,
}

/// Restores a part of the newest good snapshot for trial, and puts on record what came of it. Of several sources one is drawn. Nothing where there is
/// no snapshot.
///
/// # Errors
/// When the repository cannot be read, the destination not be used, the record not be written, or it was to stop. What is lost or came back
/// otherwise is counted in the drill.
pub async fn run(
    repository: &Repository,
    options: &DrillOptions,
    destination: Arc<dyn Destination>,
    run: &RunContext,
) -> Result<Option<Drill>> {
    let _heeding = run.stop.heeding();
    // What a replica has proves nothing of this repository.
    let repository = &repository.alone();
    let seed = random_id::<16>()?;
    let mut random = Random::of(&seed);
    let Some(snapshot) = draw_snapshot(&repository.snapshots().await?, &mut random) else { return Ok(None) };
    let sample = run.stop.unless(Box::pin(draw(repository, &snapshot, options, &mut random))).await??;
    let mut drill = Drill {
        at: repository.clock().now().wall,
        snapshot: snapshot.snapshot.id,
        seed: Hex(seed),
        files: sample.files.len() as u64,
        folders: sample.folders.len() as u64,
        entries: 0,
        bytes: 0,
        errors: 0,
        reason: None,
    };
    let parts: Parts =
        sample.files.into_iter().map(Part::Key).chain(sample.folders.into_iter().map(Part::Under)).collect();
    if !parts.as_slice().is_empty() {
        let options = RestoreOptions { parts, verify: true, no_sync: true, ..RestoreOptions::default() };
        let report = restore::run(repository, &snapshot, destination, &options, run).await?;
        let missing = report.parts_missing.len() as u64;
        let faults = [
            (report.damaged, "entries are lost"),
            (report.miswritten, "entries came back otherwise than they were"),
            (report.failed, "entries could not be restored"),
            (missing, "entries were listed and not found"),
        ];
        (drill.entries, drill.bytes) = (report.entries, report.bytes);
        drill.errors = faults.iter().map(|(count, _)| count).sum();
        let said = faults.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        drill.reason = (drill.errors > 0).then(|| said.collect::<Vec<_>>().join(", "));
    }
    if drill.entries == 0 && drill.errors == 0 {
        // What restored nothing proves nothing.
        drill.reason = Some("nothing was restored: the snapshot has no file that the sample may hold".to_owned());
    }
    drill.at = repository.clock().now().wall;
    record_drill(repository, drill.clone()).await?;
    Ok(Some(drill))
}

/// The newest snapshot of one of the sources in which nothing failed; where there is none such, the newest.
fn draw_snapshot(snapshots: &Snapshots, random: &mut Random) -> Option<SnapshotHandle> {
    let whole = snapshots.whole.iter().filter(|handle| handle.snapshot.statistics.errors == 0).cloned().collect();
    let good = Snapshots { whole, damaged: Vec::new(), ..snapshots.clone() };
    let newest = match good.newest_by_source() {
        newest if newest.is_empty() => snapshots.newest_by_source(),
        newest => newest,
    };
    let drawn = random.below(newest.len() as u64);
    newest.into_iter().nth(usize::try_from(drawn).ok()?).cloned()
}

/// What was drawn.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sample {
    files: Vec<Key>,
    folders: Vec<Key>,
}

/// Draws from a snapshot in one walk over its tree.
async fn draw(
    repository: &Repository,
    snapshot: &SnapshotHandle,
    options: &DrillOptions,
    random: &mut Random,
) -> Result<Sample> {
    let index = Arc::new(repository.index_for_reading().await?);
    let loader = repository.loader_going_on(index);
    // What is lost of the tree is for `check` to name; a drill restores of the rest.
    let mut records = repository.walk(&loader, &snapshot.snapshot.tree, b"").salvaging();
    let mut draw = Draw::new(options);
    loop {
        let batch = records.next_batch().await?;
        records.take_lost();
        if batch.is_empty() {
            return Ok(draw.finish(random));
        }
        batch.iter().for_each(|record| draw.hear(record, random));
    }
}

/// A walk over a tree that is drawn from.
struct Draw {
    bytes_max: u64,
    files: Urn,
    folders: Urn,
    /// The folders that the walk is in, the outermost first.
    open: Vec<Folder>,
}

struct Folder {
    /// With the slash at its end.
    key: Vec<u8>,
    entries: u64,
    bytes: u64,
}

impl Draw {
    const fn new(options: &DrillOptions) -> Self {
        let DrillOptions { files, folders, bytes_max } = *options;
        Self { bytes_max, files: Urn::of(files), folders: Urn::of(folders), open: Vec::new() }
    }

    fn hear(&mut self, record: &Record, random: &mut Random) {
        let key = record.entry.key.as_bytes();
        while let Some(folder) = self.open.pop_if(|folder| !key.starts_with(&folder.key)) {
            self.close(folder, random);
        }
        let known = self.open.last().map_or(0, |folder| folder.key.len());
        for (slash, _) in key.iter().enumerate().skip(known).filter(|(_, byte)| **byte == b'/') {
            let key = key.iter().take(slash + 1).copied().collect();
            self.open.push(Folder { key, entries: 0, bytes: 0 });
        }
        if record.entry.kind != EntryKind::File || never_read(record).is_some() {
            return;
        }
        let bytes = record.entry.size.unwrap_or(0);
        for folder in &mut self.open {
            (folder.entries, folder.bytes) = (folder.entries + 1, folder.bytes.saturating_add(bytes));
        }
        if bytes <= self.bytes_max {
            self.files.add(&record.entry.key, bytes, random);
        }
    }

    fn close(&mut self, Folder { key, entries, bytes }: Folder, random: &mut Random) {
        if (1..=FOLDER_ENTRIES_MAX).contains(&entries) && bytes <= self.bytes_max {
            self.folders.add(&Key::new(key), bytes, random);
        }
    }

    /// What was drawn, as far as it fits into the bytes.
    fn finish(mut self, random: &mut Random) -> Sample {
        while let Some(folder) = self.open.pop() {
            self.close(folder, random);
        }
        let mut left = self.bytes_max;
        let mut fitting = |urn: Urn| {
            let fits = |(key, bytes): (Key, u64)| {
                left = left.checked_sub(bytes)?;
                Some(key)
            };
            let mut keys: Vec<Key> = urn.drawn.into_iter().filter_map(fits).collect();
            keys.sort();
            keys.dedup();
            keys
        };
        Sample { files: fitting(self.files), folders: fitting(self.folders) }
    }
}

/// A number of things drawn from many, each as likely as any other.
struct Urn {
    most: u32,
    seen: u64,
    drawn: Vec<(Key, u64)>,
}

impl Urn {
    const fn of(most: u32) -> Self {
        Self { most, seen: 0, drawn: Vec::new() }
    }

    fn add(&mut self, key: &Key, bytes: u64, random: &mut Random) {
        self.seen += 1;
        if self.drawn.len() < self.most as usize {
            self.drawn.push((key.clone(), bytes));
            return;
        }
        let place = usize::try_from(random.below(self.seen)).ok();
        if let Some(drawn) = place.and_then(|place| self.drawn.get_mut(place)) {
            *drawn = (key.clone(), bytes);
        }
    }
}

/// Numbers that follow from a seed.
struct Random(blake3::OutputReader);

impl Random {
    fn of(seed: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("credenza v1 2026-11-30 sample of a drill");
        hasher.update(seed);
        Self(hasher.finalize_xof())
    }

    /// A number below another; the bias of so small numbers against 2^64 is of no account.
    fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(end).unwrap_or(0)
    }
}
