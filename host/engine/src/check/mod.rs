//! Check: is everything that the snapshots promise there, and is every byte of it right.
//!
//! Owned here: the order of verification and what each finding affects. Refused here: mending. Reads the store itself,
//! never the cache. Called by `cli`.
//!
//! ```text
//! documents (config, keys, index, usage, intents, snapshots) > packs by listing > trees > with --read-data every pack
//! ```
//!
//! Bound: the index, one id per tree node and per pack, and a window of nodes or [`data::PIECE_BYTES`] of a pack.

mod data;
mod structure;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credenza_format::ObjectKind;
use credenza_model::SnapshotId;

use crate::repository::{Repository, SnapshotHandle};
use crate::{Damage, Event, Listener, Phase, Result};

/// How much to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Read and verify every byte of every pack, not only the structure.
    pub read_data: bool,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What.
    pub damage: Damage,
    /// The snapshots that rely on it.
    pub affects: BTreeSet<SnapshotId>,
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// Everything that is wrong, one finding per object and kind.
    pub findings: Vec<Finding>,
    /// Snapshots checked.
    pub snapshots: u64,
    /// Packs checked.
    pub packs: u64,
    /// Packs that no index names: left by interrupted runs, harmless.
    pub unreferenced_packs: u64,
    /// Bytes of packs that were read and verified.
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
        unreferenced_packs: packs.unreferenced,
        ..CheckReport::default()
    };
    if options.read_data {
        listener.on(Event::Phase(Phase::CheckingData));
        report.bytes_read = data::verify(repository, &index, &packs.present, &users, &mut findings).await?;
    }
    report.findings = findings.into_list();
    Ok(report)
}

/// Findings so far, one per object and kind.
struct Findings<'a> {
    listener: &'a dyn Listener,
    by_object: BTreeMap<(String, &'static str), Finding>,
}

impl<'a> Findings<'a> {
    fn new(listener: &'a dyn Listener) -> Self {
        Self { listener, by_object: BTreeMap::new() }
    }

    fn add(&mut self, damage: Damage, affected: impl IntoIterator<Item = SnapshotId>) {
        let slot = self.by_object.entry((damage.object.clone(), damage.kind.name()));
        let finding = slot.or_insert_with(|| {
            self.listener.on(Event::Damage(damage.clone()));
            Finding { damage, affects: BTreeSet::new() }
        });
        finding.affects.extend(affected);
    }

    fn into_list(self) -> Vec<Finding> {
        self.by_object.into_values().collect()
    }

    fn progress(&self, entries: u64, bytes: u64) {
        self.listener.on(Event::Progress { entries, bytes });
    }

    fn expect(&self, entries: u64, bytes: u64) {
        self.listener.on(Event::Expected { entries, bytes });
    }
}

fn ids(snapshots: &[SnapshotHandle]) -> impl Iterator<Item = SnapshotId> + '_ {
    snapshots.iter().map(|handle| handle.snapshot.id)
}

fn kind_of(key: &credenza_model::StoreKey) -> Option<ObjectKind> {
    ObjectKind::parse(key).map(|(kind, _)| kind)
}
