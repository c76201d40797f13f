//! Condemn: a record of what nobody needs, and the deletion of what nobody needs still, once the record is there.

use credenza_format::{Condemned, ObjectKind, seal_document};
use credenza_model::{ObjectId, StoreKey};

use super::mark::{Needs, View};
use super::{GcReport, delete};
use crate::Result;
use crate::clock::is_expired;
use crate::repository::{Repository, random_id};
use crate::write::put;

/// What would be condemned and deleted if nobody else were at work.
pub(super) fn foresee(view: &View, report: &mut GcReport) -> Result<()> {
    let needs = view.needs()?;
    let condemned = candidates(view, &needs);
    report.condemned = condemned.len() as u64;
    report.locked = count_locked(view, &needs);
    let unneeded = view.packs.iter().filter(|(pack, _)| {
        (condemned.contains(pack) || view.condemned.contains(pack)) && !view.must_stay(pack, &needs)
    });
    for (pack, object) in unneeded {
        report.deleted += 1;
        report.bytes_freed += object.size + view.parity.get(pack).map_or(0, |parity| parity.size);
    }
    report.kept = report.packs - report.deleted;
    report.connectors_deleted = idle_connectors(view).len() as u64;
    Ok(())
}

/// Puts the record of what nobody needs.
pub(super) async fn record(repository: &Repository, view: &mut View, report: &mut GcReport) -> Result<()> {
    let needs = view.needs()?;
    report.locked = count_locked(view, &needs);
    let packs = candidates(view, &needs);
    let connectors = idle_connectors(view);
    if packs.is_empty() && connectors.is_empty() {
        return Ok(());
    }
    report.condemned = packs.len() as u64;
    view.condemned.extend(packs.iter().chain(&connectors).copied());
    put_record(repository, packs, connectors).await
}

/// Escrowed connectors that no record names and nobody needs. A young one may belong to a run that is still at work.
fn idle_connectors(view: &View) -> Vec<ObjectId> {
    let idle = view.connectors.iter().filter(|(name, object)| {
        is_expired(object.modified, view.now) && !view.condemned.contains(name) && !view.needs_connector(name)
    });
    let mut names: Vec<ObjectId> = idle.map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

/// Puts a record that condemns packs and escrowed connectors.
pub(crate) async fn put_record(repository: &Repository, packs: Vec<ObjectId>, connectors: Vec<ObjectId>) -> Result<()> {
    let record = Condemned { packs, connectors, created: repository.clock().now().wall };
    let id = ObjectId::new(random_id()?);
    put(&**repository.store(), seal_document(repository.keys(), ObjectKind::Condemned, id, &record.encode()?)?, None)
        .await
        .map(drop)
}

/// How many packs stay for their locks alone.
fn count_locked(view: &View, needs: &Needs) -> u64 {
    view.packs.keys().filter(|pack| view.is_locked(pack) && !view.is_wanted(pack, needs)).count() as u64
}

/// Packs that no record names and nobody needs. One that no index segment describes may belong to a writer that is still
/// at work: it must have outlived the time that a run may take.
fn candidates(view: &View, needs: &Needs) -> Vec<ObjectId> {
    let unneeded = view.packs.iter().filter(|(pack, object)| {
        let ownerless = view.index.ordinal(pack).is_some() || is_expired(object.modified, view.now);
        ownerless && !view.condemned.contains(pack) && !view.must_stay(pack, needs)
    });
    let mut packs: Vec<ObjectId> = unneeded.map(|(pack, _)| *pack).collect();
    packs.sort_unstable();
    packs
}

/// Deletes condemned packs that are still not needed now that everybody can know of the record.
pub(super) async fn delete_unneeded(repository: &Repository, view: &mut View, report: &mut GcReport) -> Result<()> {
    let needs = view.needs()?;
    let condemned = view.packs.iter().filter(|(pack, _)| view.condemned.contains(pack));
    let (spared, doomed): (Vec<_>, Vec<_>) = condemned.partition(|(pack, _)| view.must_stay(pack, &needs));
    report.spared = spared.len() as u64;
    let doomed: Vec<(ObjectId, StoreKey, u64)> =
        doomed.into_iter().map(|(pack, object)| (*pack, object.key.clone(), object.size)).collect();
    // Parity first: whoever misses the pack is not to take it for one that was lost and can be healed.
    let parity: Vec<(StoreKey, u64)> = doomed
        .iter()
        .filter_map(|(pack, ..)| view.parity.get(pack))
        .map(|object| (object.key.clone(), object.size))
        .collect();
    let keys: Vec<StoreKey> = parity.iter().map(|(key, _)| key.clone()).collect();
    let results = delete(repository, &keys).await?;
    report.count(&results);
    report.bytes_freed +=
        parity.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|((_, size), _)| size).sum::<u64>();
    let keys: Vec<StoreKey> = doomed.iter().map(|(_, key, _)| key.clone()).collect();
    let results = delete(repository, &keys).await?;
    report.deleted = report.count(&results);
    for ((pack, _, size), result) in doomed.into_iter().zip(results) {
        if result.is_ok() {
            report.damaged_deleted += u64::from(view.damaged.contains(&pack));
            report.bytes_freed += size;
            view.packs.remove(&pack);
        }
    }
    report.kept = report.packs - report.deleted;
    delete_connectors(repository, view, report).await
}

/// The same of escrowed connectors.
async fn delete_connectors(repository: &Repository, view: &View, report: &mut GcReport) -> Result<()> {
    let condemned = view.connectors.iter().filter(|(name, _)| view.condemned.contains(name));
    let doomed: Vec<(StoreKey, u64)> = condemned
        .filter(|(name, _)| !view.needs_connector(name))
        .map(|(_, object)| (object.key.clone(), object.size))
        .collect();
    let keys: Vec<StoreKey> = doomed.iter().map(|(key, _)| key.clone()).collect();
    let results = delete(repository, &keys).await?;
    report.connectors_deleted = report.count(&results);
    let gone = doomed.iter().zip(&results).filter(|(_, result)| result.is_ok());
    report.bytes_freed += gone.map(|((_, size), _)| size).sum::<u64>();
    Ok(())
}
