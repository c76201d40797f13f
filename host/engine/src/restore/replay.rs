//! Replay: the versions of a key are written one after the other, oldest first, so that the destination's history becomes that of the
//! source.
//!
//! Owned here: their order. Refused here: which records (`restore::run`), what may be overwritten (`entry_writer`), writing them (`writer`).
//!
//! Bound: the records it is given.

use std::sync::Arc;

use credenza_model::Record;

use super::plan::Planner;
use super::writer::RestoreWriter;
use crate::Result;
use crate::blobs::BlobLoader;

/// Lays all records, which come in key order and newest first within a key. Each round holds the next version of every
/// key, so that keys go side by side and versions do not. A version that cannot be written leaves a hole, and is reported.
pub(super) async fn write_all(
    loader: &Arc<BlobLoader>,
    records: Vec<Record>,
    writer: &RestoreWriter<'_>,
) -> Result<()> {
    let mut histories = histories(records);
    while !histories.is_empty() {
        let round = histories.iter_mut().filter_map(Vec::pop).collect();
        Planner::new(Arc::clone(loader), round).write_all(writer).await?;
        histories.retain(|history| !history.is_empty());
    }
    writer.forget_written();
    Ok(())
}

/// The records of each key, the oldest last.
fn histories(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut histories: Vec<Vec<Record>> = Vec::new();
    for record in records {
        let same_key =
            |history: &&mut Vec<Record>| history.last().is_some_and(|last: &Record| last.entry.key == record.entry.key);
        match histories.last_mut().filter(same_key) {
            Some(history) => history.push(record),
            None => histories.push(vec![record]),
        }
    }
    histories
}
