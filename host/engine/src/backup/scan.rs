//! Scan: the listing of the source, in one piece or in ranges of keys side by side.
//!
//! Owned here: which of the two, and what the snapshot says of the order. Refused here: how ranges are listed (`ranges`). Called by the
//! line in `backup`.
//!
//! Ranges need the keys of a parent, so that a first backup lists in one piece: it waits for its reads anyway. They also need a listing
//! that a run has seen whole and in one piece with keys that ascend strictly, told by the same connector; after [`RANGED_RUNS_MAX`] runs in
//! ranges it is to be seen again.

use std::sync::Arc;

use credenza_connect::{ScanOptions, Scanner, Source, SourceInfo};
use credenza_format::{OrderedListing, Provenance};

use super::join::Parent;
use super::ranges::{Ranges, SHAPE};
use crate::repository::SnapshotHandle;
use crate::{Error, Result};

/// Bounds for how long a server could hide keys whose listings contradict each other in a way that ranges cannot see.
const RANGED_RUNS_MAX: u32 = 15;

/// A listing that has begun.
pub(super) struct Scan {
    pub(super) scanner: Box<dyn Scanner>,
    /// What is known of the listing if its keys ascend strictly to the end.
    pub(super) if_ordered: Option<OrderedListing>,
}

impl Scan {
    /// Begins to list; `known` is what earlier runs found.
    pub(super) async fn begin(
        source: &Arc<dyn Source>,
        info: &SourceInfo,
        known: Option<OrderedListing>,
        parent: Option<&Parent>,
    ) -> Result<Self> {
        if let (Some(known), Some(parent)) = (known, parent)
            && let Some(ranges) = Ranges::begin(Arc::clone(source), parent.records(), SHAPE).await
        {
            let if_ordered = Some(OrderedListing { ranged_runs: known.ranged_runs.saturating_add(1) });
            return Ok(Self { scanner: Box::new(ranges), if_ordered });
        }
        let scanner = source.scan(&ScanOptions::default()).await.map_err(Error::connector("listing the source"))?;
        Ok(Self { scanner, if_ordered: is_flat(info).then(OrderedListing::default) })
    }
}

/// What the parent knows of the order of the listing, if this run may rely on it.
pub(super) fn known_order(
    parent: Option<&SnapshotHandle>,
    info: &SourceInfo,
    connector: &Provenance,
) -> Option<OrderedListing> {
    let parent = &parent.filter(|parent| is_flat(info) && parent.snapshot.connector == *connector)?.snapshot;
    parent.listing.filter(|listing| listing.ranged_runs < RANGED_RUNS_MAX)
}

fn is_flat(info: &SourceInfo) -> bool {
    info.namespace == "flat"
}
