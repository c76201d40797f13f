//! Check: is everything that the snapshots promise there, and is every byte of it right.
//!
//! Owned here: the order of verification and what each finding affects. Refused here: mending. Reads the store itself,
//! never the cache. Called by `cli`.
//!
//! ```text
//! documents (config, keys, index, usage, intents, snapshots) > chains > packs by listing > trees > with --read-data every pack
//! ```
//!
//! Bound: the index, one id per tree node and per pack, and a window of nodes or [`data::PIECE_BYTES`] of a pack.

mod chains;
mod data;
mod structure;

use std::sync::Arc;

use credenza_format::ObjectKind;
use credenza_model::SnapshotId;

pub use crate::findings::Finding;

use crate::findings::Findings;
use crate::repository::{Repository, SnapshotHandle};
use crate::{Event, Listener, Phase, Result};

/// How much to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Read and verify every byte of every pack, not only the structure.
    pub read_data: bool,
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
    /// Usage lists without a snapshot that no record says was removed: left by runs that ended before their commit; or the newest
    /// snapshot of a writer was lost, which an audit tells that remembers an earlier one.
    pub ownerless_usages: u64,
    /// Snapshots that are on record as removed and there: their removal was interrupted, or somebody put them back.
    pub removed_snapshots: u64,
    /// Whether the config names an older key epoch than the keys know: a rotation was interrupted, or somebody put an older config back.
    pub config_is_behind: bool,
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
    let structure::Usages { users, ownerless } = structure::usages(repository, &snapshots.whole, &mut findings).await?;
    let removals = structure::small_objects(repository, &mut findings).await?;
    let ownerless_usages = chains::without_record(&ownerless, &removals);
    let removed_snapshots = chains::judge(&snapshots.whole, &removals, &mut findings);
    let packs = structure::packs(repository, &mut index, &users, &mut findings).await?;
    let index = Arc::new(index);
    structure::trees(repository, &index, &snapshots.whole, &mut findings).await?;
    let mut report = CheckReport {
        snapshots: snapshots.whole.len() as u64,
        packs: packs.present.len() as u64,
        unreferenced_packs: packs.unreferenced,
        ownerless_usages,
        removed_snapshots,
        config_is_behind: repository.config().epoch < repository.keys().current_epoch(),
        ..CheckReport::default()
    };
    if options.read_data {
        listener.on(Event::Phase(Phase::CheckingData));
        report.bytes_read = data::verify(repository, &index, &packs.present, &users, &mut findings).await?;
    }
    report.findings = findings.into_list();
    Ok(report)
}

fn ids(snapshots: &[SnapshotHandle]) -> impl Iterator<Item = SnapshotId> + '_ {
    snapshots.iter().map(|handle| handle.snapshot.id)
}

fn kind_of(key: &credenza_model::StoreKey) -> Option<ObjectKind> {
    ObjectKind::parse(key).map(|(kind, _)| kind)
}
