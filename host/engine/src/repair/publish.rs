//! Publish: the index says where chunks are now, and nobody relies any more on what is damaged.
//!
//! Bound: the descriptions of one segment, [`SEGMENT_BLOBS`] blobs or one pack.

use std::sync::Arc;

use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_format::{IndexSegment, ObjectKind, PackRecord, seal_document};
use credenza_model::{ObjectId, StoreKey};

use super::Mend;
use super::salvage::{Salvaged, was_moved};
use super::survey::Survey;
use crate::gc::{delete, put_record};
use crate::repository::{Repository, random_id};
use crate::write::{Deduplicator, put};
use crate::{Error, Result};

/// Blobs that one index segment describes: some 7 MB.
const SEGMENT_BLOBS: usize = 1 << 17;

/// What [`run`] does.
pub(super) fn foreseen(survey: &Survey, salvaged: &Salvaged) -> Vec<Mend> {
    let key = |pack: &PackRecord| pack.kind.object_kind().store_key(pack.id);
    let found = survey.found.iter().map(|pack| Mend::Described { pack: key(pack) });
    let replaced = fresh(survey, salvaged).map(|pack| {
        let (copied, lost) = salvaged.counts.get(&pack.id).copied().unwrap_or_default();
        Mend::Replaced { pack: key(pack), copied, lost }
    });
    let dropped = survey.ruined.iter().map(|(_, object)| Mend::Dropped { object: object.clone() });
    found.chain(replaced).chain(dropped).collect()
}

/// Damaged packs that are not yet known as such, or of which more can be copied now.
fn fresh<'a>(survey: &'a Survey, salvaged: &'a Salvaged) -> impl Iterator<Item = &'a PackRecord> {
    salvaged.packs.iter().filter(|pack| {
        let copies = salvaged.counts.get(&pack.id).is_some_and(|(copied, _)| *copied > 0);
        let is_known = was_moved(&survey.index, pack) && survey.condemned.contains(&pack.id);
        copies || !is_known
    })
}

/// Writes what mends, in the order of `repair`.
pub(super) async fn run(
    repository: &Repository,
    survey: &Survey,
    salvaged: &Salvaged,
    dedup: &Arc<Deduplicator>,
) -> Result<()> {
    // First: once packs are marked as moved, a list that names them is harder to tell.
    for rebuilt in survey.rebuilt.iter().filter(|rebuilt| rebuilt.exact) {
        rebuilt.put(repository).await?;
    }
    dedup.packs().close().await?;
    dedup.record().lease().check()?;
    let replaced: Vec<PackRecord> = fresh(survey, salvaged).cloned().collect();
    let found = survey.found.iter().filter(|pack| replaced.iter().all(|replaced| replaced.id != pack.id));
    let written = dedup.record().packs().into_iter().map(|(pack, _)| pack);
    let announced: Vec<ObjectId> = written.chain(found.clone().map(|pack| pack.id)).collect();
    if !announced.is_empty() {
        dedup.record().announce(announced, None).await?;
    }
    let moved = replaced.iter().map(|pack| PackRecord { moved: true, ..pack.clone() });
    let described: Vec<PackRecord> = found.cloned().chain(moved).collect();
    for batch in batches(described) {
        dedup.record().flush_index(batch).await?;
    }
    condemn(repository, survey, &replaced).await?;
    keep_rest(repository, survey).await?;
    drop_ruined(repository, survey).await
}

/// Condemns what is damaged. Where a record cannot be read, its collector may still be at work, so that nobody may rely on what it may
/// have named: any pack that neither a snapshot nor an intent names. That costs space until the next collection, and no data.
async fn condemn(repository: &Repository, survey: &Survey, replaced: &[PackRecord]) -> Result<()> {
    let mut packs: Vec<ObjectId> = replaced.iter().map(|pack| pack.id).collect();
    if survey.ruined.iter().any(|(kind, _)| *kind == ObjectKind::Condemned) {
        let is_named = |pack: &ObjectId| survey.users.of(pack).is_some() || survey.pinned.contains(pack);
        packs.extend(survey.index.packs().iter().map(|pack| pack.id).filter(|pack| !is_named(pack)));
    }
    packs.sort_unstable();
    packs.dedup();
    if packs.is_empty() { Ok(()) } else { put_record(repository, packs, Vec::new()).await }
}

/// Says once more, without the lies, what index segments say that are dropped for them.
async fn keep_rest(repository: &Repository, survey: &Survey) -> Result<()> {
    for (lying, segment) in &survey.rest {
        if segment.packs.is_empty() && segment.locks.is_empty() {
            continue;
        }
        let supersedes = segment.supersedes.iter().chain([lying]).copied().collect();
        let (id, segment) = (ObjectId::new(random_id()?), IndexSegment { supersedes, ..segment.clone() });
        let sealed = seal_document(repository.keys(), ObjectKind::Index, id, &segment.encode()?)?;
        put(&**repository.store(), sealed, None).await?;
    }
    Ok(())
}

async fn drop_ruined(repository: &Repository, survey: &Survey) -> Result<()> {
    let keys: Vec<StoreKey> = survey.ruined.iter().map(|(_, key)| key.clone()).collect();
    let results = delete(repository, &keys).await?;
    match results.into_iter().zip(&keys).find_map(|(result, key)| Some((result.err()?, key))) {
        None => Ok(()),
        Some((reason, key)) => {
            let cause = ConnectError::new(ErrorClass::Denied, "repair.refused", reason);
            Err(Error::connector(format!("deleting `{key}`, which cannot be read,"))(cause))
        }
    }
}

fn batches(packs: Vec<PackRecord>) -> Vec<Vec<PackRecord>> {
    let mut batches: Vec<Vec<PackRecord>> = Vec::new();
    let mut blobs = 0;
    for pack in packs {
        blobs += pack.blobs.len();
        match batches.last_mut() {
            Some(batch) if blobs <= SEGMENT_BLOBS => batch.push(pack),
            _ => {
                blobs = pack.blobs.len();
                batches.push(vec![pack]);
            }
        }
    }
    batches
}
