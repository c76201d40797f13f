//! Scan: the listing of the source, in one piece, in ranges of keys side by side, or by prefixes side by side.
//!
//! Owned here: which of them, and what the snapshot says of the order. Refused here: how ranges (`ranges`) and prefixes (`prefixes`) are listed. Called by the
//! line in `backup`.
//!
//! Ranges need the keys of a parent, so that a first backup lists in one piece: it waits for its reads anyway. They also need a listing
//! that a run has seen whole and in one piece with keys that ascend strictly, told by the same connector; after [`RANGED_RUNS_MAX`] runs in
//! ranges it is to be seen again.

use std::sync::Arc;

use credenza_connect::{ScanOptions, Scanner, Source, SourceInfo, ability};
use credenza_format::{OrderedListing, Provenance};

use super::join::Parent;
use super::prefixes::Prefixes;
use super::ranges::{Ranges, Shape};
use crate::repository::SnapshotHandle;
use crate::shards::Within;
use crate::share::KeyRange;
use crate::{Error, Result};

/// Bounds for how many snapshots a server could hide keys whose listings contradict each other in a way that ranges cannot see.
const RANGED_RUNS_MAX: u32 = 15;

/// A listing that has begun.
pub(super) struct Scan {
    pub(super) scanner: Box<dyn Scanner>,
    /// What is known of the listing if its keys ascend strictly to the end.
    pub(super) if_ordered: Option<OrderedListing>,
}

impl Scan {
    /// Begins to list what `whole` names; in ranges if there is a snapshot to trust, the parent with those records.
    pub(super) async fn begin(
        source: &Arc<dyn Source>,
        info: &SourceInfo,
        whole: &ScanOptions,
        trusted: Option<&Trusted>,
        parent: Option<&Parent>,
    ) -> Result<Self> {
        if let (Some(trusted), Some(parent)) = (trusted, parent)
            && let Some(scanner) = side_by_side(source, info, whole, trusted, parent).await?
        {
            let ranged_runs = trusted.listing.ranged_runs.saturating_add(1);
            return Ok(Self { scanner, if_ordered: Some(OrderedListing { ranged_runs }) });
        }
        let scanner = source.scan(whole).await.map_err(Error::source("listing the source"))?;
        Ok(Self { scanner, if_ordered: is_flat(info).then(OrderedListing::default) })
    }

    /// Begins to list a range of keys, in one piece: others list the rest meanwhile.
    pub(super) async fn within(source: &Arc<dyn Source>, whole: &ScanOptions, range: KeyRange) -> Result<Self> {
        let scanner = source.scan(whole).await.map_err(Error::source("listing the source"))?;
        Ok(Self { scanner: Box::new(Within::new(scanner, range)), if_ordered: None })
    }
}

/// The listing in pieces, where there are some. A remote that cannot begin behind a key would list all before it for each range.
async fn side_by_side(
    source: &Arc<dyn Source>,
    info: &SourceInfo,
    whole: &ScanOptions,
    trusted: &Trusted,
    parent: &Parent,
) -> Result<Option<Box<dyn Scanner>>> {
    let (source, whole) = (Arc::clone(source), whole.clone());
    if info.has(ability::START_AFTER) {
        let ranges = Ranges::begin(source, whole, parent.records(), Shape::of(trusted.entries)).await;
        return Ok(ranges.map(|ranges| Box::new(ranges) as Box<dyn Scanner>));
    }
    let prefixes = Prefixes::begin(source, whole, trusted.entries).await;
    let prefixes = prefixes.map_err(Error::connector("listing the source"))?;
    Ok(prefixes.map(|prefixes| Box::new(prefixes) as Box<dyn Scanner>))
}

/// What a parent says of the listing that this run may rely on.
pub(super) struct Trusted {
    listing: OrderedListing,
    entries: u64,
}

impl Trusted {
    pub(super) fn find(parent: Option<&SnapshotHandle>, info: &SourceInfo, connector: &Provenance) -> Option<Self> {
        let parent = &parent.filter(|parent| is_flat(info) && parent.snapshot.connector == *connector)?.snapshot;
        let listing = parent.listing.filter(|listing| listing.ranged_runs < RANGED_RUNS_MAX)?;
        Some(Self { listing, entries: parent.statistics.entries })
    }
}

fn is_flat(info: &SourceInfo) -> bool {
    info.namespace == ability::FLAT
}
