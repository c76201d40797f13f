//! Check: is everything that the snapshots promise there, and is every byte of it right.
//!
//! Owned here: the order of verification and what each finding affects. Refused here: mending. Reads the store itself,
//! never the cache. Called by `cli`.
//!
//! ```text
//! documents (config, keys, index, usage, intents, snapshots) > packs by listing > trees > with --read-data the packs of a sample
//! ```
//!
//! Bound: the index, one id per tree node and per pack, and a window of nodes or [`data::PIECE_BYTES`] of a pack.

mod data;
mod journal;
mod sample;
mod structure;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use credenza_format::{BlobIndex, ObjectKind, PackOrdinal};
use credenza_model::{ObjectId, SnapshotId};

pub use self::sample::Sample;
pub use crate::findings::Finding;

use self::journal::Readings;
use crate::findings::Findings;
use crate::repository::{Repository, SnapshotHandle};
use crate::{Event, Listener, Phase, Result};

/// How much to verify.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Which packs to read and verify byte by byte; `None` for the structure alone.
    pub read_data: Option<Sample>,
    /// The folder that remembers when packs were read, for [`Sample::OlderThan`]; without it nothing is remembered.
    pub journal: Option<PathBuf>,
}

impl CheckOptions {
    /// The structure, and the packs of a sample.
    #[must_use]
    pub fn reading(sample: Sample) -> Self {
        Self { read_data: Some(sample), journal: None }
    }
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// Everything that is wrong, one finding per object and kind.
    pub findings: Vec<Finding>,
    /// Snapshots checked.
    pub snapshots: u64,
    /// Packs that are there.
    pub packs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packs that no index names: left by interrupted runs, harmless.
    pub unreferenced_packs: u64,
    /// Packs that were read and verified.
    pub packs_read: u64,
    /// Bytes of them.
    pub bytes_read: u64,
}

/// Checks a repository.
///
/// # Errors
/// When the store cannot be read; damage is what the report is for.
pub async fn run(repository: &Repository, options: &CheckOptions, listener: &dyn Listener) -> Result<CheckReport> {
    listener.on(Event::Phase(Phase::CheckingStructure));
    let mut findings = Findings::new(listener);
    let store = repository.bare_store();
    let read = repository.read_index(store).await?;
    read.damaged.into_iter().for_each(|damage| findings.add(damage, None));
    let mut index = read.index;
    let snapshots = repository.snapshots_in(store).await?;
    snapshots.damaged.into_iter().for_each(|damage| {
        let owner = damage.object.strip_prefix("snapshot/").and_then(|id| id.parse().ok());
        findings.add(damage, owner);
    });
    let users = structure::usages(repository, &snapshots.whole, &mut findings).await?;
    structure::small_objects(repository, &mut findings).await?;
    let packs = structure::packs(repository, &mut index, &users, &mut findings).await?;
    let index = Arc::new(index);
    structure::trees(repository, &index, &snapshots.whole, &mut findings).await?;
    let mut report = CheckReport {
        snapshots: snapshots.whole.len() as u64,
        packs: packs.present.len() as u64,
        bytes: packs.present.iter().filter_map(|pack| index.pack(*pack)).map(|pack| pack.size).sum(),
        unreferenced_packs: packs.unreferenced,
        ..CheckReport::default()
    };
    if let Some(sample) = options.read_data {
        listener.on(Event::Phase(Phase::CheckingData));
        let readings = Readings::open(repository, options.journal.as_deref()).await?;
        let chosen = sample.choose(&index, &packs.present, &readings)?;
        let reading = data::verify(repository, &index, &chosen, &users, &mut findings).await?;
        (report.packs_read, report.bytes_read) = (chosen.len() as u64, reading.bytes);
        readings.remember(&reading.whole, &ids_of(&index, &packs.present)).await;
    }
    report.findings = findings.into_list();
    Ok(report)
}

fn ids_of(index: &BlobIndex, packs: &[PackOrdinal]) -> HashSet<ObjectId> {
    packs.iter().filter_map(|pack| index.pack(*pack)).map(|pack| pack.id).collect()
}

fn ids(snapshots: &[SnapshotHandle]) -> impl Iterator<Item = SnapshotId> + '_ {
    snapshots.iter().map(|handle| handle.snapshot.id)
}

fn kind_of(key: &credenza_model::StoreKey) -> Option<ObjectKind> {
    ObjectKind::parse(key).map(|(kind, _)| kind)
}
