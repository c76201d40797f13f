//! Gaps: with leave, what writers committed and nobody has any more is put on record as removed. Until then collectors stop at the gap in
//! its chain, because what was left out of a listing looks the same.
//!
//! Only what no damaged snapshot may fill is a gap. Bound: some 200 bytes a snapshot, live or removed.

use credenza_format::{RemovedSnapshot, SigningKey};
use credenza_model::StoreKey;

use super::Mend;
use super::survey::Survey;
use crate::Result;
use crate::findings::Finding;
use crate::repository::Chains;
use crate::repository::{Repository, TwoCopies};
use crate::{DamageKind, Error};

/// What is missing, and the snapshots that miss it.
pub(super) struct Gaps {
    missing: Vec<RemovedSnapshot>,
    after: Vec<StoreKey>,
}

impl Gaps {
    /// The gaps that will be there once what is ruined is dropped.
    pub(super) async fn find(repository: &Repository, survey: &Survey) -> Result<Self> {
        let is_kept = |finding: &Finding| {
            let object = &finding.damage.object;
            object.starts_with("snapshot/")
                && finding.damage.kind != DamageKind::MissingLink
                && !survey.ruined.iter().any(|(_, key)| key.as_str() == object)
        };
        if survey.findings.iter().any(is_kept) {
            return Ok(Self { missing: Vec::new(), after: Vec::new() });
        }
        let mut chains = Chains::default();
        survey.snapshots.iter().for_each(|handle| chains.add(handle.into()));
        let removals = repository.removals().await?.into_iter().filter_map(TwoCopies::into_best);
        removals.filter_map(Result::ok).for_each(|removal| chains.add_removal(removal));
        let named = chains.gaps().into_iter().map(|(damage, _)| StoreKey::new(damage.object));
        let after = named
            .collect::<Result<_, _>>()
            .map_err(|cause| Error::Encode { doing: "naming a snapshot".to_owned(), cause: cause.to_string() })?;
        Ok(Self { missing: chains.missing(), after })
    }

    /// What [`record`](Self::record) does.
    pub(super) fn mends(&self) -> impl Iterator<Item = Mend> + '_ {
        self.after.iter().map(|after| Mend::Recorded { after: after.clone() })
    }

    pub(super) async fn record(&self, repository: &Repository, signing_key: Option<&SigningKey>) -> Result<()> {
        repository.record_removed(&self.missing, signing_key).await
    }
}
