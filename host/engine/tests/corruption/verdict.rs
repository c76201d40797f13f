//! Who names an injury, and what is left to restore.

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_connect::memory::{MemoryDestination, MemoryStore};
use credenza_engine::audit::{self, AuditOptions};
use credenza_engine::check::{self, CheckOptions, Finding, Sample};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::{DamageKind, Error, Repository, RunContext};
use credenza_model::{SnapshotId, StoreKey};

use crate::common::{Files, as_asked, key_file};
use crate::injury::{Injury, kind};
use crate::subject::{Objects, Subject};

/// Who is the first to name an injury to the holder of a key, in the order of what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Witness {
    Open,
    Check,
    ReadData,
    /// Check counts it among what interrupted runs leave.
    Leftover,
    Nobody,
}

/// What came of one injury.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) witness: Witness,
    /// Whether an audit names it, without a key.
    pub(crate) audited: bool,
    /// Whether it takes the heads that an earlier audit found.
    pub(crate) remembered: bool,
    /// Snapshots that restore whole.
    pub(crate) snapshots: usize,
    /// Files of all snapshots that restore.
    pub(crate) files: usize,
}

/// Inflicts an injury and asks everybody.
///
/// # Errors
/// What must never be: wrong bytes restored, a loss that no message tells, a finding about what is not injured.
pub(crate) async fn judge(subject: &Subject, injury: &Injury) -> Result<Verdict, String> {
    let mut objects = subject.objects.clone();
    injury.inflict(&mut objects);
    let store = subject.store(&objects).await;
    let case = Case { subject, injury, objects };
    let audited = case.audit(&store, false).await?;
    let remembered = !audited && case.audit(&store, true).await?;
    let audited = audited || remembered;
    let repository = match Repository::open(as_asked(Arc::new(store)), &key_file(), None).await {
        Ok(repository) => repository,
        Err(refusal) => {
            let witness = case.refused(&refusal)?;
            return Ok(Verdict { witness, audited, remembered, snapshots: 0, files: 0 });
        }
    };
    let opened_despite = case.told_at_opening(&repository)?;
    let witness = if opened_despite { Witness::Open } else { case.check(&repository).await? };
    let (snapshots, files) = case.restore(&repository).await?;
    Ok(Verdict { witness, audited, remembered, snapshots, files })
}

struct Case<'a> {
    subject: &'a Subject,
    injury: &'a Injury,
    objects: Objects,
}

impl Case<'_> {
    /// What keeps a repository from being opened is named, or said to be gone.
    fn refused(&self, refusal: &Error) -> Result<Witness, String> {
        let text = refusal.to_string();
        let named = self.injury.injured().any(|key| text.contains(key.as_str()));
        let is_missed = matches!(refusal, Error::NoRepository { .. } | Error::WrongSecret { slots: 0, .. });
        match named || is_missed && self.injury.injured().any(|key| !self.objects.contains_key(key)) {
            true => Ok(Witness::Open),
            false => Err(format!("it is not opened for another reason: {text}")),
        }
    }

    /// Whether opening named the injury and went on: by a copy.
    fn told_at_opening(&self, repository: &Repository) -> Result<bool, String> {
        match repository.opened_despite() {
            [] => Ok(false),
            damages if damages.iter().all(|damage| self.injury.injured().any(|key| key.as_str() == damage.object)) => {
                Ok(true)
            }
            damages => Err(format!("nothing is wrong with that: {damages:?}")),
        }
    }

    async fn check(&self, repository: &Repository) -> Result<Witness, String> {
        let mut last = Witness::Nobody;
        for (witness, read_data) in [(Witness::Check, false), (Witness::ReadData, true)] {
            let options = CheckOptions { read_data: read_data.then_some(Sample::All), ..CheckOptions::default() };
            let report = check::run(repository, &options, &RunContext::default())
                .await
                .map_err(|cause| format!("check: {cause}"))?;
            if self.names(&report.findings)? {
                return Ok(witness);
            }
            let leftovers = report.ownerless_usages + report.removed_snapshots + report.lacking_copies;
            if leftovers > 0 || report.config_is_behind {
                last = Witness::Leftover;
            }
        }
        Ok(last)
    }

    async fn audit(&self, store: &MemoryStore, remembers: bool) -> Result<bool, String> {
        let remembered = if remembers { self.subject.heads.clone() } else { Vec::new() };
        let options = AuditOptions { remembered, ..AuditOptions::default() };
        let report = audit::run(Arc::new(store.clone()), &options, &RunContext::default()).await;
        self.names(&report.map_err(|cause| format!("audit: {cause}"))?.findings)
    }

    /// Whether findings name each injured object that is there, or what misses one that is not; none may be about anything else.
    fn names(&self, findings: &[Finding]) -> Result<bool, String> {
        let named: BTreeSet<&str> = findings.iter().map(|finding| finding.damage.object.as_str()).collect();
        let invented = findings.iter().find(|finding| self.is_invented(finding));
        match invented {
            Some(finding) => Err(format!("nothing is wrong with that: {}", finding.damage)),
            None => Ok(!findings.is_empty()
                && self.injury.injured().all(|key| match self.objects.contains_key(key) {
                    true => named.contains(key.as_str()) || self.is_hidden(key, &named) || is_orphan(key, &named),
                    false => true,
                })),
        }
    }

    /// A pack whose index segment is named is not known to be one before the index is rebuilt.
    fn is_hidden(&self, key: &StoreKey, named: &BTreeSet<&str>) -> bool {
        let segment = self.injury.injured().any(|other| kind(other) == "index" && named.contains(other.as_str()));
        matches!(kind(key), "data" | "meta") && segment
    }

    /// Of what is whole, only a snapshot may be named, for the link before it in its writer's chain.
    fn is_invented(&self, finding: &Finding) -> bool {
        let whole = self.objects.keys().find(|key| key.as_str() == finding.damage.object);
        let injured = whole.is_some_and(|key| self.injury.injured().any(|injured| injured == key));
        whole.is_some() && !injured && finding.damage.kind != DamageKind::MissingLink
    }

    /// How many snapshots and files restore.
    async fn restore(&self, repository: &Repository) -> Result<(usize, usize), String> {
        let (mut whole, mut right) = (0, 0);
        for (snapshot, files) in &self.subject.snapshots {
            let restored = restored(repository, *snapshot, files).await?;
            whole += usize::from(restored == files.len());
            right += restored;
        }
        Ok((whole, right))
    }
}

/// A copy that was put back without its document makes the document a lost one.
fn is_orphan(key: &StoreKey, named: &BTreeSet<&str>) -> bool {
    key.as_str().strip_prefix("copy/").is_some_and(|document| named.contains(document))
}

/// How many files of a snapshot restore; what does not is reported, and none is wrong.
async fn restored(repository: &Repository, id: SnapshotId, files: &Files) -> Result<usize, String> {
    let listed = repository.snapshots().await.map_err(|cause| format!("listing: {cause}"))?.whole;
    let Some(handle) = listed.iter().find(|handle| handle.snapshot.id == id) else { return Ok(0) };
    let destination = MemoryDestination::new();
    let run = restore::run(
        repository,
        handle,
        Arc::new(destination.clone()),
        &RestoreOptions::default(),
        &RunContext::default(),
    )
    .await;
    let restored = destination.restored();
    for (key, found) in &restored {
        if files.get(&key.to_string()) != Some(&found.bytes) {
            return Err(format!("`{key}` of {id} was restored with wrong bytes"));
        }
    }
    let reported = run.as_ref().map_or(true, |report| report.damaged > 0);
    match restored.len() == files.len() || reported {
        true => Ok(restored.len()),
        false => Err(format!("{} of {} files of {id} came back, and nothing was said", restored.len(), files.len())),
    }
}
