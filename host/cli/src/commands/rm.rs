//! `rm`: snapshots that are named are removed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::{Choice, OpenRepository, SnapshotPath, remove};
use credenza_engine::{SnapshotHandle, SnapshotName};
use credenza_model::SnapshotId;
use serde::Serialize;

use super::Session;
use super::filters::Filters;
use super::newest::choose_surely;
use crate::failure::{Exit, Failure};

/// Digits of an id that are shown at least.
const DIGITS_MIN: usize = 8;

/// Remove snapshots. The space that they alone use comes back with `maintain`.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Snapshots: ids, their first digits, or `latest`, which is refused where it could be of several sources.
    #[arg(required = true, value_name = "SNAPSHOT")]
    snapshots: Vec<OsString>,

    #[command(flatten)]
    filters: Filters,

    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
}

/// One snapshot that is gone, or would be.
#[derive(Serialize)]
#[serde(tag = "type", rename = "removed")]
struct RemovedLine {
    id: SnapshotId,
    dry_run: bool,
    #[serde(skip)]
    digits: usize,
}

impl Display for RemovedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (did, id, digits) =
            (if self.dry_run { "would remove" } else { "removed" }, self.id.to_string(), self.digits);
        write!(f, "{did} snapshot {id:.digits$}")
    }
}

impl Rm {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let paths = self.snapshots.iter().map(|word| SnapshotPath::parse(word)).collect::<Result<Vec<_>, _>>()?;
        if let Some(path) = paths.iter().find(|path| path.key.is_some()) {
            let snapshot = &path.snapshot.0;
            return Err(Failure::usage("`rm` removes whole snapshots").hint(format!("write {snapshot} without a key")));
        }
        let open = match self.dry_run {
            true => session.open_for_reading().await?,
            false => session.open_for_writing().await?,
        };
        // All names are understood before the first snapshot goes.
        let mut snapshots = BTreeMap::new();
        for path in &paths {
            let name = match path.snapshot.is_latest() {
                true => {
                    let choice = Choice::among_all(&open.repository, &self.filters.filter(session)?).await?;
                    SnapshotName(choose_surely(&choice, &path.snapshot, session)?.snapshot.id.to_string())
                }
                false => path.snapshot.clone(),
            };
            let handle = open.repository.find_for_removal(&name).await?;
            snapshots.insert(handle.snapshot.id, handle);
        }
        // What was typed told them from all others.
        let typed = paths.iter().map(|path| path.snapshot.0.len()).max().unwrap_or_default();
        let digits = session.digits_shown(typed.max(DIGITS_MIN));
        if self.dry_run {
            let mut ids = snapshots.keys();
            ids.try_for_each(|id| session.reporter.result(&RemovedLine { id: *id, dry_run: true, digits }))?;
            return Ok(Exit::Done);
        }
        remove_all(&open, &snapshots.into_values().collect::<Vec<_>>(), digits, session).await
    }
}

/// Removes snapshots and prints each.
pub(super) async fn remove_all(
    open: &OpenRepository,
    snapshots: &[SnapshotHandle],
    digits: usize,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let signing_key = session.signing_key(&open.place)?;
    let removal = remove::remove_all(open, snapshots, signing_key.as_ref()).await?;
    removal.removed.iter().for_each(|id| session.reporter.done(&RemovedLine { id: *id, dry_run: false, digits }));
    removal.verdict?;
    Ok(Exit::Done)
}
