//! Audit: what can be said of a repository by someone who has the store and no key.
//!
//! Owned here: the order of the examination and what the whole must have. Refused here: single objects (`object`), the chains of
//! snapshots (`chain`), whatever takes a key (`check`). Called by `cli`.
//!
//! ```text
//! config and a few headers (which repository?) > every listed object > records of removal > chains
//! ```
//!
//! Bound: a page of the listing, [`OBJECTS_IN_FLIGHT`] pieces of 4 MiB or documents, and some 200 bytes a snapshot.

mod object;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_connect::{Pages, Store, StoredObject, Strays};
use credenza_format::{
    Config, Header, KeySlot, ObjectKind, PublicKey, config_key, copy_key, is_object_name, original_key, parity_pack,
};
use credenza_model::{ObjectId, RepositoryId, SnapshotId, StoreKey};
use futures_util::StreamExt;

pub use crate::repository::Head;
use crate::repository::{Chains, Trust};
use object::{Examiner, Fact};

use crate::findings::{Finding, Findings};
use crate::repository::fetch;
use crate::{Damage, DamageKind, Error, Event, Listener, Phase, Result, RunContext, json};

/// Objects examined at once.
const OBJECTS_IN_FLIGHT: usize = 4;
/// Objects of a folder that say which repository this is.
const WITNESSES: usize = 2;
/// Where records of removal and their copies are.
const REMOVED: [&str; 2] = ["removed/", "copy/removed/"];

/// How an audit is done.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    /// Read headers and snapshots only, not every byte.
    pub quick: bool,
    /// Who may sign snapshots and records of removal; with none named, everybody, and nobody must.
    pub trusted: Vec<PublicKey>,
    /// Heads that earlier audits found.
    pub remembered: Vec<Head>,
}

/// What an audit found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AuditReport {
    /// The repository.
    pub repository: RepositoryId,
    /// The newest snapshot of each writer, to be remembered. As data each is a line of its own.
    #[serde(skip)]
    pub heads: Vec<Head>,
    /// Objects examined.
    pub objects: u64,
    /// Their bytes, by the listing.
    pub bytes: u64,
    /// Snapshots among them.
    pub snapshots: u64,
    /// Everything that is wrong, one finding per object and kind.
    #[serde(rename = "damages", serialize_with = "json::count")]
    pub findings: Vec<Finding>,
    /// Whether headers and snapshots were read only, not every byte.
    pub quick: bool,
    /// How many were named who may sign; with none, everybody may.
    pub trusted_signers: usize,
    /// What lies beside the objects of the repository: harmless.
    #[serde(serialize_with = "json::strays")]
    pub strays: Strays,
}

/// Audits the repository in a store.
///
/// # Errors
/// [`Error::NoRepository`] when there is none, or when the store cannot be read, and [`Error::Cancelled`] when it was to stop; damage is what the
/// report is for.
pub async fn run(store: Arc<dyn Store>, options: &AuditOptions, run: &RunContext) -> Result<AuditReport> {
    // It reads, and may be dropped wherever it stands.
    run.stop.unless(Box::pin(audited(store, options, &*run.events))).await?
}

async fn audited(store: Arc<dyn Store>, options: &AuditOptions, listener: &dyn Listener) -> Result<AuditReport> {
    listener.on(Event::Phase { phase: Phase::Auditing });
    let repository = identify(&*store).await?;
    let mut survey = Survey::new(Examiner { store, repository, quick: options.quick }, Findings::new(listener));
    survey.folder("", |key| !REMOVED.iter().any(|folder| key.as_str().starts_with(folder))).await?;
    // Last: what is removed during the audit is on record before it is gone.
    for folder in REMOVED {
        survey.folder(folder, |_| true).await?;
    }
    survey.find_lost_texts().await?;
    Ok(survey.conclude(options))
}

/// The repository that most of a few objects say they belong to, so that an exchanged config is named and not all else.
async fn identify(store: &dyn Store) -> Result<RepositoryId> {
    let mut claimed = None;
    for name in [config_key(), copy_key(&config_key())] {
        let Some(Ok(bytes)) = fetch(store, &name).await? else { continue };
        claimed = claimed.or(Config::decode(&bytes).ok());
    }
    let mut votes: Vec<RepositoryId> = claimed.map(|config| config.repository()).into_iter().collect();
    for folder in ["key/", "snapshot/", "index/"] {
        let listed = next_page(&mut Pages::new(store, folder), folder).await?.unwrap_or_default().into_iter();
        for object in listed.filter(|object| is_object_name(&object.key)).take(WITNESSES) {
            let Some(Ok(bytes)) = fetch(store, &object.key).await? else { continue };
            let slot = KeySlot::decode(&bytes).ok().map(|slot| slot.repository());
            votes.extend(slot.or_else(|| Header::decode(&bytes).ok().map(|header| header.repository())));
        }
    }
    // Of ids with as many votes the first counts, which is the config's.
    let most = votes.iter().rev().max_by_key(|id| votes.iter().filter(|other| other == id).count());
    match most {
        Some(repository) => Ok(*repository),
        None => {
            let place = store.info().await.map_err(Error::connector("opening the store"))?.identity;
            Err(Error::NoRepository { place })
        }
    }
}

async fn next_page(pages: &mut Pages<'_>, prefix: &str) -> Result<Option<Vec<StoredObject>>> {
    pages.next().await.map_err(Error::connector(format!("listing `{prefix}` of the repository")))
}

/// What was seen so far.
struct Survey<'a> {
    examiner: Examiner,
    findings: Findings<'a>,
    chains: Chains,
    snapshots: BTreeSet<ObjectId>,
    usages: BTreeSet<ObjectId>,
    /// Text documents that are there.
    texts: BTreeSet<StoreKey>,
    /// Those that have a copy.
    copied: BTreeSet<StoreKey>,
    objects: u64,
    bytes: u64,
    strays: Strays,
}

impl<'a> Survey<'a> {
    fn new(examiner: Examiner, findings: Findings<'a>) -> Self {
        Self {
            examiner,
            findings,
            chains: Chains::default(),
            snapshots: BTreeSet::new(),
            usages: BTreeSet::new(),
            texts: BTreeSet::new(),
            copied: BTreeSet::new(),
            objects: 0,
            bytes: 0,
            strays: Strays::default(),
        }
    }

    /// Examines the objects below a prefix, page by page.
    async fn folder(&mut self, prefix: &str, included: impl Fn(&StoreKey) -> bool) -> Result<()> {
        let store = Arc::clone(&self.examiner.store);
        let mut pages = Pages::new(&*store, prefix);
        while let Some(page) = next_page(&mut pages, prefix).await? {
            self.page(page.into_iter().filter(|object| included(&object.key)).collect()).await?;
        }
        // The listing of everything tells all that have no key.
        if prefix.is_empty() {
            self.strays.extend(pages.strays().clone());
        }
        Ok(())
    }

    async fn page(&mut self, page: Vec<StoredObject>) -> Result<()> {
        let examiner = &self.examiner;
        let (own, strays): (Vec<_>, Vec<_>) = page.iter().partition(|object| is_object_name(&object.key));
        strays.into_iter().for_each(|object| self.strays.add(object.key.as_str().as_bytes()));
        let examinations = own.into_iter().map(|object| async move { (object, examiner.examine(object).await) });
        let mut examined = futures_util::stream::iter(examinations).buffer_unordered(OBJECTS_IN_FLIGHT);
        while let Some((object, outcome)) = examined.next().await {
            self.objects += 1;
            self.bytes += object.size;
            let named = ObjectKind::parse(&object.key);
            match named {
                Some((ObjectKind::Snapshot, id)) => drop(self.snapshots.insert(id)),
                Some((ObjectKind::Usage, id)) => drop(self.usages.insert(id)),
                Some(_) => {}
                None if parity_pack(&object.key).is_some() => {}
                None => match original_key(&object.key) {
                    Some(document) => drop(self.copied.insert(document)),
                    None => drop(self.texts.insert(object.key.clone())),
                },
            }
            match outcome? {
                Ok(Fact::Nothing) => {}
                Ok(Fact::Snapshot(stated)) => self.chains.add(stated),
                Ok(Fact::Removal(removal)) => self.chains.add_removal(removal),
                Err(damage) => self.findings.add(damage, named.and_then(affected)),
            }
            self.findings.progress(1, object.size);
        }
        Ok(())
    }

    /// Finds text documents that are gone, whose copies are there: whoever removes one removes its copy first. The config has no folder that
    /// would show that it is missing, and neither of its copies need be there.
    async fn find_lost_texts(&mut self) -> Result<()> {
        let lost: Vec<StoreKey> = self.copied.difference(&self.texts).cloned().collect();
        for key in lost {
            // It may have been removed since its copy was listed.
            if fetch(&*self.examiner.store, &copy_key(&key)).await?.is_some() {
                let detail = "it is gone, and its copy is there";
                self.findings.add(Damage::new(&key, DamageKind::Missing, detail), None);
            }
        }
        if !self.texts.contains(&config_key()) {
            let detail = "the repository has lost its config";
            self.findings.add(Damage::new(&config_key(), DamageKind::Missing, detail), None);
        }
        Ok(())
    }

    fn conclude(mut self, options: &AuditOptions) -> AuditReport {
        let trust = Trust(&options.trusted);
        for (damage, snapshot) in self.chains.judge(&trust, &options.remembered) {
            self.findings.add(damage, snapshot);
        }
        for id in self.snapshots.difference(&self.usages) {
            let key = ObjectKind::Usage.store_key(*id);
            let detail = "the usage list of a snapshot is not in the store";
            self.findings.add(Damage::new(&key, DamageKind::Missing, detail), affected((ObjectKind::Usage, *id)));
        }
        AuditReport {
            repository: self.examiner.repository,
            findings: self.findings.into_list(),
            heads: self.chains.heads(&trust),
            objects: self.objects,
            bytes: self.bytes,
            snapshots: self.snapshots.len() as u64,
            strays: self.strays,
            quick: options.quick,
            trusted_signers: options.trusted.len(),
        }
    }
}

/// The snapshot that an object belongs to alone.
fn affected((kind, id): (ObjectKind, ObjectId)) -> Option<SnapshotId> {
    matches!(kind, ObjectKind::Snapshot | ObjectKind::Usage).then(|| SnapshotId::new(*id.as_bytes()))
}
