//! A search that goes on for as long and to as many rows as a page may: what `find` and `history` have in common.

use std::cmp::Reverse;

use credenza_engine::query::{Finder, Found};
use credenza_engine::{Error as EngineError, SnapshotHandle, Snapshots};
use tokio::time::{Instant, timeout_at};

use super::problem::Problem;
use crate::site::Site;

/// What was found.
pub(super) struct Finding<T> {
    pub(super) rows: Vec<T>,
    /// Why there may be more.
    pub(super) partial: Option<String>,
}

/// The snapshots in the order in which they are searched.
pub(super) fn newest_first(snapshots: &Snapshots) -> Vec<SnapshotHandle> {
    let mut newest_first = snapshots.whole.clone();
    newest_first.sort_by_key(|handle| Reverse((handle.time(), handle.snapshot.sequence, handle.snapshot.id)));
    newest_first
}

/// Goes through a search; `full` says what is so where there is room for no more rows.
///
/// # Errors
/// As `failed` makes them of those of the engine.
pub(super) async fn rows<T>(
    site: &Site,
    mut finder: Finder,
    failed: impl Fn(EngineError) -> Problem,
    row: impl Fn(&Found) -> Option<T>,
    full: impl FnOnce(usize) -> String,
) -> Result<Finding<T>, Problem> {
    let mut rows = Vec::new();
    let until = Instant::now() + site.limits.search;
    let partial = loop {
        let Ok(found) = timeout_at(until, finder.next()).await else {
            let seconds = site.limits.search.as_secs();
            break Some(format!("The search was ended after {seconds} seconds: there may be more."));
        };
        match found.map_err(&failed)? {
            None => break None,
            Some(_) if rows.len() >= site.limits.rows => break Some(full(site.limits.rows)),
            Some(found) => rows.extend(row(&found)),
        }
    };
    Ok(Finding { rows, partial })
}
