//! Relocation: a collector condemned packs that this run relies on, so their chunks are taken from elsewhere.
//!
//! A repack has published another place before it condemned; what has no other place is copied while it is there.
//! Called by `commit`, when the packs of the run are closed: what is copied goes into packs of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use credenza_format::{Bitmap, Usage};
use credenza_model::ObjectId;

use super::packs::PackWriter;
use super::usage::UsageMap;
use super::{Deduplicator, copy};
use crate::repository::Repository;
use crate::{Error, Result, Stop};

/// The same chunks without the condemned packs. What was copied is flushed, and not yet in the index.
///
/// # Errors
/// [`Error::Conflict`] when a chunk can no longer be had.
pub(super) async fn relocate(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    usage: &Usage,
    condemned: &HashSet<ObjectId>,
    stop: &Stop,
) -> Result<Usage> {
    let index = repository.index_for_writing().await?;
    let mut kept = UsageMap::default();
    let mut lost = HashMap::new();
    for used in &usage.packs {
        if condemned.contains(&used.pack) {
            let ordinal = index.ordinal(&used.pack).ok_or(Error::Conflict { packs: 1 })?;
            lost.insert(ordinal, &used.used);
        } else {
            kept.unite(used.pack, &used.used);
        }
    }
    let homeless = kept.rehouse(&index, &lost)?;
    let before: HashSet<ObjectId> = dedup.record().packs().into_iter().map(|(pack, _)| pack).collect();
    let packs = PackWriter::begin(Arc::clone(dedup.record()));
    let copied = stop.unless(copy(repository, &packs, &index, homeless)).await.flatten();
    if let Err(cause) = copied {
        packs.abandon().await;
        return Err(match cause {
            Error::Damage(_) => Error::Conflict { packs: lost.len() },
            other => other,
        });
    }
    packs.close().await?;
    for (pack, blobs) in dedup.record().packs().into_iter().filter(|(pack, _)| !before.contains(pack)) {
        kept.unite(pack, &Bitmap::full(blobs));
    }
    Ok(kept.to_usage())
}
