//! What a run knows of the locks of its own objects.
//!
//! Called by `dedup`, which puts them, and `hold`. Bound: some 50 bytes for each pack and index segment of the run.

use std::collections::HashMap;
use std::sync::Mutex;

use credenza_format::LockRecord;
use credenza_model::{ObjectId, Timestamp};

use crate::poison::lock_unpoisoned;

/// The locks of a run.
pub(super) struct RunLocks(Mutex<State>);

struct State {
    /// Until when what is put now is locked; nothing where the repository does not lock.
    until: Option<Timestamp>,
    /// Packs and index segments that were put so.
    objects: HashMap<ObjectId, Timestamp>,
    /// When the last intent was put, by the store's clock.
    announced_at: Option<Timestamp>,
}

impl RunLocks {
    pub(super) fn new(until: Option<Timestamp>) -> Self {
        Self(Mutex::new(State { until, objects: HashMap::new(), announced_at: None }))
    }

    /// Until when what is put now is locked.
    pub(super) fn now(&self) -> Option<Timestamp> {
        lock_unpoisoned(&self.0).until
    }

    /// Locks what is put from now on until then.
    pub(super) fn raise(&self, until: Timestamp) {
        let mut state = lock_unpoisoned(&self.0);
        state.until = state.until.max(Some(until));
    }

    /// Notes that an object is put with a lock that ends then.
    pub(super) fn note(&self, object: ObjectId, until: Option<Timestamp>) {
        if let Some(until) = until {
            lock_unpoisoned(&self.0).objects.insert(object, until);
        }
    }

    /// Until when an object of this run is locked.
    pub(super) fn until(&self, object: &ObjectId) -> Option<Timestamp> {
        lock_unpoisoned(&self.0).objects.get(object).copied()
    }

    /// What there is to record of some objects.
    pub(super) fn records(&self, objects: impl Iterator<Item = ObjectId>) -> Vec<LockRecord> {
        let state = lock_unpoisoned(&self.0);
        objects.filter_map(|object| Some(LockRecord { object, until: *state.objects.get(&object)? })).collect()
    }

    pub(super) fn note_announcement(&self, at: Option<Timestamp>) {
        lock_unpoisoned(&self.0).announced_at = at;
    }

    /// When the last intent was put, by the store's clock.
    pub(super) fn announced_at(&self) -> Option<Timestamp> {
        lock_unpoisoned(&self.0).announced_at
    }
}
