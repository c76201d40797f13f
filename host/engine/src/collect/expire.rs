//! Expire: what dead writers left without a snapshot goes once no live one can own it, by the store's clock.

use std::collections::HashSet;

use credenza_format::ObjectKind;
use credenza_model::{ObjectId, StoreKey};

use super::mark::View;
use super::{CollectReport, delete};
use crate::Result;
use crate::clock::is_expired;
use crate::repository::{PROBES, Repository, list};

/// Deletes intents, usage lists and probes that have outlived their lease.
pub(super) async fn run(repository: &Repository, view: &View, report: &mut CollectReport) -> Result<()> {
    let results = delete(repository, &view.expired).await?;
    report.intents_expired = report.count(&results);
    let results = delete(repository, &ownerless_usages(repository, view).await?).await?;
    report.usages_expired = report.count(&results);
    let probes = list(&**repository.bare_store(), PROBES).await?;
    let old = probes.into_iter().filter(|probe| is_expired(probe.modified, view.now)).map(|probe| probe.key);
    let results = delete(repository, &old.collect::<Vec<_>>()).await?;
    report.count(&results);
    Ok(())
}

/// Usage lists without a snapshot. They are listed before the snapshots, so that one whose snapshot is just put is not among them.
async fn ownerless_usages(repository: &Repository, view: &View) -> Result<Vec<StoreKey>> {
    let usages = list(&**repository.bare_store(), "usage/").await?;
    let snapshots = list(&**repository.bare_store(), "snapshot/").await?;
    let owned: HashSet<Option<ObjectId>> =
        snapshots.iter().map(|object| ObjectKind::parse(&object.key).map(|(_, id)| id)).collect();
    let ownerless = usages.into_iter().filter(|object| {
        let id = ObjectKind::parse(&object.key).map(|(_, id)| id);
        id.is_some() && !owned.contains(&id) && is_expired(object.modified, view.now)
    });
    Ok(ownerless.map(|object| object.key).collect())
}
