//! What is whole and has no right to be there, or should have something before it: an older state shows by what was written since.
//!
//! Owned here: which findings about chains are damage to someone with a key. Refused here: the chains themselves (`repository::chains`).
//! Memory: some 200 bytes a snapshot, live or removed.

use std::collections::BTreeSet;

use credenza_format::Removal;
use credenza_model::SnapshotId;

use crate::DamageKind;
use crate::findings::Findings;
use crate::repository::SnapshotHandle;
use crate::repository::{Chains, Trust};

/// Finds snapshots that miss the one before them; returns how many are on record as removed and there. That is no damage: an
/// interrupted removal leaves it. Nor are two in one place of a chain: runs of one writer that end at the same time leave them.
pub(super) fn judge(snapshots: &[SnapshotHandle], removals: &[Removal], findings: &mut Findings<'_>) -> u64 {
    let mut chains = Chains::default();
    snapshots.iter().for_each(|handle| chains.add(handle.into()));
    removals.iter().for_each(|removal| chains.add_removal(removal.clone()));
    let mut replayed = 0;
    for (damage, _) in chains.judge(&Trust(&[]), &[]) {
        match damage.kind {
            DamageKind::Replayed => replayed += 1,
            DamageKind::Fork => {}
            _ => findings.add(damage, None),
        }
    }
    replayed
}

/// How many of these snapshots are gone without a record of it.
pub(super) fn without_record(gone: &BTreeSet<SnapshotId>, removals: &[Removal]) -> u64 {
    let removed: BTreeSet<SnapshotId> =
        removals.iter().flat_map(|removal| &removal.snapshots).map(|removed| removed.snapshot).collect();
    gone.difference(&removed).count() as u64
}
