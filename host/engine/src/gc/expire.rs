//! Expire: what dead writers left without a snapshot goes once no live one can own it, by the store's clock.

use credenza_format::{ObjectKind, document_id};
use credenza_model::StoreKey;

use super::mark::View;
use super::{GcReport, delete};
use crate::Result;
use crate::clock::is_expired;
use crate::repository::{PROBES, Repository, list};

/// Deletes intents, usage lists and probes that have outlived their lease, and parity whose pack is gone.
pub(super) async fn run(repository: &Repository, view: &View, report: &mut GcReport) -> Result<()> {
    let results = delete(repository, &view.expired).await?;
    report.intents_expired = report.count(&results);
    let results = delete(repository, &ownerless_usages(repository, view).await?).await?;
    report.usages_expired = report.count(&results);
    let results = delete(repository, &view.stray_parity()).await?;
    report.count(&results);
    let probes = list(&**repository.bare_store(), PROBES).await?;
    let old = probes.into_iter().filter(|probe| document_id(&probe.key).is_some());
    let old = old.filter(|probe| is_expired(probe.modified, view.now)).map(|probe| probe.key);
    let results = delete(repository, &old.collect::<Vec<_>>()).await?;
    report.count(&results);
    Ok(())
}

/// Usage lists without a snapshot. Each snapshot is asked for by its name: what a listing leaves out must not cost it its list.
async fn ownerless_usages(repository: &Repository, view: &View) -> Result<Vec<StoreKey>> {
    let mut ownerless = Vec::new();
    for usage in list(&**repository.bare_store(), "usage/").await? {
        let Some((_, id)) = ObjectKind::parse(&usage.key) else { continue };
        let may_go = is_expired(usage.modified, view.now) && !view.snapshots.contains(&id);
        if may_go && !repository.holds(&ObjectKind::Snapshot.store_key(id)).await? {
            ownerless.push(usage.key);
        }
    }
    Ok(ownerless)
}
