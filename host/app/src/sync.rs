//! Snapshots carried from one open repository to another, and what it cost each.
//!
//! Owned here: which snapshots one side lacks, the key that the target's settings sign with, and requests by side and direction. Refused here: carrying
//! (`credenza_engine::sync`).

use std::collections::HashSet;
use std::path::Path;

use credenza_engine::sync::{self, SyncOptions, SyncReport};
use credenza_engine::{RunContext, SnapshotHandle};

use crate::error::Result;
use crate::repository::OpenRepository;
use crate::signing;

/// One of two repositories between which snapshots go.
pub struct Side {
    /// The repository.
    pub open: OpenRepository,
    requests_counted: u64,
}

impl Side {
    /// A side that nothing was carried from or to; what opening it cost belongs to the first direction.
    #[must_use]
    pub const fn new(open: OpenRepository) -> Self {
        Self { open, requests_counted: 0 }
    }

    /// Requests since this was last asked.
    fn requests(&mut self) -> u64 {
        let all = self.open.store.requests();
        all - std::mem::replace(&mut self.requests_counted, all)
    }
}

/// What went one way.
#[derive(Debug)]
pub struct Carried {
    /// Snapshots and bytes.
    pub report: SyncReport,
    /// Requests that went out to where the snapshots are from, retries included.
    pub requests_from: u64,
    /// Requests that went out to where they go.
    pub requests_to: u64,
}

/// The snapshots of the first side that the second does not have, oldest first, and how many it has of them: what [`carry`] would do.
///
/// # Errors
/// When a store cannot be read.
pub async fn missing(from: &OpenRepository, to: &OpenRepository) -> Result<(Vec<SnapshotHandle>, u64)> {
    let there: HashSet<_> = to.repository.snapshots().await?.whole.iter().map(|handle| handle.snapshot.id).collect();
    let here = from.repository.snapshots().await?.whole;
    let held = here.len();
    let missing: Vec<_> = here.into_iter().filter(|handle| !there.contains(&handle.snapshot.id)).collect();
    let present = held - missing.len();
    Ok((missing, present as u64))
}

/// Carries snapshots from the first side to the second, signed by `signing_key`, else by what the environment or the settings of the second
/// name.
///
/// # Errors
/// When the signing key cannot be read, a store cannot be reached, or encrypted snapshots would become readable without leave.
pub async fn carry(
    [from, to]: &mut [Side; 2],
    options: &SyncOptions,
    signing_key: Option<&Path>,
    context: &RunContext,
) -> Result<Carried> {
    let signing_key = signing::provided(signing_key, &to.open.place.settings)?;
    let options = SyncOptions { signing_key, ..options.clone() };
    let report = sync::run(&from.open.repository, &to.open.repository, &options, context).await?;
    Ok(Carried { report, requests_from: from.requests(), requests_to: to.requests() })
}
