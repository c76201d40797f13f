//! Records of several snapshots as one stream in the order of their keys, which `names` relies on.
//!
//! Bound: one record and one walk a snapshot.

use credenza_model::Record;

use super::Chosen;
use crate::Result;
use crate::view::View;
use crate::walk::Records;

/// A record, and the number of the snapshot that it is from.
pub(super) struct Taken {
    pub(super) record: Record,
    pub(super) from: usize,
}

/// The walks, and what comes next of each that has not ended.
pub(super) struct Merged {
    waiting: Vec<(usize, Records)>,
    next: Vec<(Taken, Records)>,
}

impl Merged {
    pub(super) fn new(view: &View, chosen: &[Chosen]) -> Self {
        let walk = |Chosen { snapshot, parts }: &Chosen| view.records_of(snapshot, parts);
        Self { waiting: chosen.iter().map(walk).enumerate().collect(), next: Vec::new() }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Taken>> {
        while let Some((from, mut records)) = self.waiting.pop() {
            if let Some(record) = records.next().await? {
                self.next.push((Taken { record, from }, records));
            }
        }
        let order = |(at, (taken, _)): &(usize, &(Taken, Records))| (taken.record.entry.key.clone(), taken.from, *at);
        let Some((at, _)) = self.next.iter().enumerate().min_by_key(order) else { return Ok(None) };
        let (taken, records) = self.next.swap_remove(at);
        self.waiting.push((taken.from, records));
        Ok(Some(taken))
    }
}
