//! Parity: made again from packs that are whole, where it is gone or damaged.
//!
//! Owned here: which. What is damaged of a pack that is replaced goes with it. Bound: one pack and its parity.

use std::collections::HashSet;

use credenza_format::{PackOrdinal, PackRecord, parity_key, parity_pack};
use credenza_model::{ObjectId, StoreKey};

use super::Mend;
use super::salvage::Salvaged;
use super::survey::Survey;
use crate::Result;
use crate::check;
use crate::repository::Repository;

/// Packs whose parity is to be made again.
pub(super) struct Parities(Vec<PackRecord>);

impl Parities {
    pub(super) fn find(repository: &Repository, survey: &Survey, salvaged: &Salvaged) -> Result<Self> {
        if repository.config().parity.is_none() {
            return Ok(Self(Vec::new()));
        }
        let names = survey.findings.iter().filter_map(|finding| StoreKey::new(finding.damage.object.clone()).ok());
        let hurt: HashSet<ObjectId> = names.filter_map(|name| parity_pack(&name)).collect();
        let replaced: HashSet<ObjectId> = salvaged.packs.iter().map(|pack| pack.id).collect();
        let ordinals: HashSet<PackOrdinal> =
            hurt.difference(&replaced).filter_map(|pack| survey.index.ordinal(pack)).collect();
        let mut packs = check::described(&survey.index, &ordinals.into_iter().collect::<Vec<_>>())?;
        // Their run may have been cut off before it.
        packs.extend(survey.found.iter().filter(|pack| !replaced.contains(&pack.id)).cloned());
        packs.sort_unstable_by_key(|pack| pack.id);
        packs.dedup_by_key(|pack| pack.id);
        Ok(Self(packs))
    }

    pub(super) fn mends(&self) -> impl Iterator<Item = Mend> + '_ {
        self.0.iter().map(|pack| Mend::Restored { object: parity_key(pack.id) })
    }

    /// The packs.
    pub(super) fn packs(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.0.iter().map(|pack| pack.id)
    }

    /// Puts them; of a pack that turns out not to be whole there is none to put.
    pub(super) async fn write(&mut self, repository: &Repository) -> Result<()> {
        let mut written = Vec::new();
        for pack in self.0.drain(..) {
            if repository.renew_parity(&pack).await? {
                written.push(pack);
            }
        }
        self.0 = written;
        Ok(())
    }
}
