//! What a check or an audit finds: one finding per object and kind, told to the listener when it is new.
//!
//! Bound: what is damaged, not what is there.

use std::collections::{BTreeMap, BTreeSet};

use credenza_model::SnapshotId;
use serde::{Serialize, Serializer};

use crate::{Damage, DamageKind, Event, Listener};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub damage: Damage,
    /// The snapshots that rely on it.
    pub affects: BTreeSet<SnapshotId>,
}

/// As data: `object`, `kind`, `affects` and `detail`.
impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            object: &'a str,
            kind: DamageKind,
            affects: &'a BTreeSet<SnapshotId>,
            detail: &'a str,
        }
        let Damage { object, kind, detail, .. } = &self.damage;
        Line { object, kind: *kind, affects: &self.affects, detail }.serialize(serializer)
    }
}

/// Findings so far, one per object and kind.
pub(crate) struct Findings<'a> {
    listener: &'a dyn Listener,
    by_object: BTreeMap<(String, &'static str), Finding>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(listener: &'a dyn Listener) -> Self {
        Self { listener, by_object: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, damage: Damage, affected: impl IntoIterator<Item = SnapshotId>) {
        let slot = self.by_object.entry((damage.object.clone(), damage.kind.name()));
        let finding = slot.or_insert_with(|| {
            self.listener.on(Event::Damage(damage.clone()));
            Finding { damage, affects: BTreeSet::new() }
        });
        finding.affects.extend(affected);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.by_object.values()
    }

    pub(crate) fn into_list(self) -> Vec<Finding> {
        self.by_object.into_values().collect()
    }

    pub(crate) fn progress(&self, entries: u64, bytes: u64) {
        self.listener.on(Event::Progress { entries, bytes });
    }

    pub(crate) fn expect(&self, entries: u64, bytes: u64) {
        self.listener.on(Event::Expected { entries, bytes });
    }
}
