//! Check: is everything that the snapshots promise there, and is every byte of it right.
//!
//! What does not fit together may be a writer or a collector at work between two listings: it is damage when a second look finds the
//! same. A pack that was moved and of which nothing is in need is none, whatever happened to it.
//!
//! A pack that the store fails to give is named, and does not keep the others from being checked while the store answers anything.
//!
//! What was found of the bytes of packs is put on record in the repository (`health`), and named by each check until the pack is read whole.
//! Where nothing can be put there, the check ends as it would, and says so.
//!
//! Owned here: the order of verification and what each finding affects. Refused here: mending. Reads the store itself,
//! never the cache. Called by `cli`.
//!
//! ```text
//! documents (config, keys, index, usage, intents, snapshots) > chains > packs by listing > trees > with --read-data the packs of a
//! sample, and those that are on record as damaged > the record
//! ```
//!
//! Bound: the index, one id per tree node and per pack, and a window of nodes or [`data::PIECE_BYTES`] of a pack.

mod chains;
mod data;
#[cfg(test)]
mod forged_tests;
mod sample;
mod structure;
#[cfg(test)]
mod tests;
mod turn;
mod users;

use std::collections::HashSet;
use std::sync::Arc;

use credenza_connect::Strays;
use credenza_format::{BlobIndex, Drill, Fact, ObjectKind, PackKind, PackOrdinal, PackState};
use credenza_model::{ObjectId, SnapshotId, StoreKey, Timestamp};

pub use self::sample::Sample;
pub use self::turn::{Behind, Budget, Turn};
pub use crate::findings::Finding;

pub(crate) use self::data::{PACKS_IN_FLIGHT, Reading, blobs_apart, described, verify};
pub(crate) use self::structure::{Packs, trees, undescribed};
pub(crate) use self::users::Users;
use crate::blobs::BlobLoader;
use crate::clock::lease_end;
use crate::findings::Findings;
use crate::health::Health;
use crate::latest::Latest;
use crate::liveness::Liveness;
use crate::notes;
use crate::repository::{DamagedSnapshot, Repository, SnapshotHandle, Spared};
use crate::view::View;
use crate::{Damage, Error, Event, Listener, NoEvents, Phase, Result, RunContext, Stop, json};

/// How often the repository is looked at before it counts as never at rest.
const LOOKS_MAX: usize = 8;

/// Parts of what is read, behind each of which it is put on record.
const PARTS_MAX: u64 = 16;
/// Bytes of such a part at least.
const PART_BYTES_MIN: u64 = 1 << 30;

/// How much to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Which packs to read and verify byte by byte; `None` for the structure alone.
    pub read_data: Option<Sample>,
    /// Packs are read one after the other: of a check that a budget ends, one at most was read in part, which is on no record.
    pub one_by_one: bool,
}

impl CheckOptions {
    /// The structure, and the packs of a sample.
    #[must_use]
    pub const fn reading(sample: Sample) -> Self {
        Self { read_data: Some(sample), one_by_one: false }
    }
}

/// What a check found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct CheckReport {
    /// Snapshots checked.
    pub snapshots: u64,
    /// Packs that are there.
    pub packs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What runs left that were interrupted, or have put so far that are at work.
    #[serde(flatten)]
    pub leftovers: Leftovers,
    /// Packs that were read and verified.
    pub packs_read: u64,
    /// Usage lists without a snapshot that no record says was removed: left by runs that ended before their commit; or the newest
    /// snapshot of a writer was lost, which an audit tells that remembers an earlier one.
    pub ownerless_usages: u64,
    /// Snapshots that are on record as removed and there: their removal was interrupted, or somebody put them back.
    pub removed_snapshots: u64,
    /// Text documents whose second copy is not there, or is an older one: their runs were interrupted, or the copy was lost. `repair` writes
    /// them.
    pub lacking_copies: u64,
    /// Whether the config names an older key epoch than the keys know: a rotation was interrupted, or somebody put an older config back.
    pub config_is_behind: bool,
    /// What lies beside the objects of the repository: harmless.
    #[serde(serialize_with = "json::strays")]
    pub strays: Strays,
    /// Bytes of the packs that were read.
    pub bytes_read: u64,
    /// Packs that are damaged, each of them a finding, and that are whole by their parity: `repair` writes what is needed of them again.
    pub packs_healed: u64,
    /// Where packs were read in turn, how far behind that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
    /// Packs that are there and were never read whole, by the record.
    pub packs_never_read: u64,
    /// When the pack was read whole that waits the longest for its next reading; nothing where none was ever read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_reading: Option<Timestamp>,
    /// Everything that is wrong, one finding per object and kind.
    #[serde(rename = "damages", serialize_with = "json::count")]
    pub findings: Vec<Finding>,
    /// Why what was found could not be put on record, so that later runs may not know of it.
    #[serde(rename = "recorded", serialize_with = "json::is_none")]
    pub unrecorded: Option<String>,
}

/// What belongs to no snapshot: runs left it that were interrupted, or have put it and are at work. Harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Leftovers {
    /// Packs that no index segment describes and no snapshot uses.
    #[serde(rename = "unreferenced_packs")]
    pub packs: u64,
    /// Bytes of them.
    #[serde(rename = "unreferenced_bytes")]
    pub bytes: u64,
    /// Announcements of runs.
    pub intents: u64,
    /// From when on a collection frees all of it, by the store's clock; nothing where there is nothing, or the store has no clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_from: Option<Timestamp>,
}

impl Leftovers {
    fn add(&mut self, modified: Option<Timestamp>) {
        self.freed_from = self.freed_from.max(modified.map(lease_end));
    }
}

/// Checks a repository.
///
/// # Errors
/// When the store cannot be read, and [`Error::Cancelled`] when it was to stop; damage is what the report is for.
pub async fn run(repository: &Repository, options: &CheckOptions, run: &RunContext) -> Result<CheckReport> {
    verified(&repository.alone(), options, &*run.events, &run.stop).await
}

async fn verified(
    repository: &Repository,
    options: &CheckOptions,
    listener: &dyn Listener,
    stop: &Stop,
) -> Result<CheckReport> {
    listener.on(Event::Phase { phase: Phase::CheckingStructure });
    let mut findings = Findings::new(listener);
    let Look { index, snapshots, users, packs, health, ownerless_usages, removed_snapshots, lacking_copies, leftovers } =
        stop.unless(Box::pin(look(repository, &mut findings))).await??;
    let mut health = health;
    let index = Arc::new(index);
    let liveness = Liveness::begin("repository", repository.clock());
    let store = Arc::clone(repository.bare_store());
    let loader = BlobLoader::new(repository.clone(), store, Arc::clone(&index)).going_on(&liveness);
    stop.unless(Box::pin(structure::trees(Arc::new(loader), &snapshots, &mut findings))).await??;
    let mut healed = add_healed(repository, &users, &mut findings);
    let mut report = CheckReport {
        snapshots: snapshots.len() as u64,
        packs: packs.present.len() as u64,
        bytes: packs.present.iter().filter_map(|pack| index.pack(*pack)).map(|pack| pack.size).sum(),
        leftovers,
        ownerless_usages,
        removed_snapshots,
        lacking_copies,
        config_is_behind: repository.config().epoch < repository.keys().current_epoch(),
        strays: packs.strays.clone(),
        ..CheckReport::default()
    };
    let mut whole = Vec::new();
    if let Some(sample) = options.read_data {
        listener.on(Event::Phase { phase: Phase::CheckingData });
        let now = repository.clock().now().wall;
        let chosen = sample.choose(&index, &packs.present, (&health, repository.config().parity), now)?;
        report.behind = chosen.behind;
        let chosen = chosen.packs;
        let mut reading = Reading::default();
        let heeding = stop.heeding();
        let found = (&mut findings, &mut reading, &mut health);
        let work = Box::pin(read((repository, &liveness, options.one_by_one), &index, &chosen, &users, found));
        if let Err(ended) = stop.unless(work).await.flatten() {
            // Days of reading are not to be lost with the rest: what was read whole and what was damaged stays known.
            let damages = findings.iter().map(|finding| &finding.damage);
            let _ = health.record(repository, damages, &reading.whole).await;
            return Err(ended);
        }
        drop(heeding);
        (report.packs_read, report.bytes_read) = (chosen.len() as u64, reading.bytes);
        healed.extend(reading.healed);
        heal_unread(repository, &index, &findings, &mut healed).await?;
        add_healed(repository, &users, &mut findings);
        if reading.vanished {
            look(repository, &mut findings).await?;
        }
        whole = reading.whole;
    }
    add_remembered(&health, (&index, &users), &whole, &mut findings)?;
    let damages = findings.iter().map(|finding| &finding.damage);
    report.unrecorded = health.record(repository, damages, &whole).await.err().map(|cause| cause.to_string());
    let present = packs.present.iter().filter_map(|pack| index.pack(*pack));
    let (never, read): (Vec<_>, Vec<_>) =
        present.map(|pack| health.read_at(&pack.id)).partition(|reading| reading.is_none());
    (report.packs_never_read, report.oldest_reading) = (never.len() as u64, read.into_iter().flatten().min());
    report.packs_healed = healed.len() as u64;
    report.findings = findings.into_list();
    Ok(report)
}

/// Reads packs, and puts what was found on record some times on the way: a process that is killed has not read for days in vain.
async fn read(
    (repository, liveness, one_by_one): (&Repository, &Arc<Liveness>, bool),
    index: &Arc<BlobIndex>,
    chosen: &[PackOrdinal],
    users: &Users,
    (findings, reading, health): (&mut Findings<'_>, &mut Reading, &mut Health),
) -> Result<()> {
    let size = |pack: &PackOrdinal| index.pack(*pack).map_or(0, |pack| pack.size);
    findings.expect(chosen.len() as u64, chosen.iter().map(size).sum());
    for (number, packs) in parts(chosen, size).into_iter().enumerate() {
        if number > 0 {
            let damages = findings.iter().map(|finding| &finding.damage);
            // The end of the run tries it again, and says where it cannot be done.
            let _ = health.record(repository, damages, &reading.whole).await;
        }
        let at_once = if one_by_one { 1 } else { PACKS_IN_FLIGHT };
        data::verify((repository, Some(liveness), at_once), index, packs, users, (findings, reading)).await?;
    }
    Ok(())
}

/// Cuts packs into parts behind each of which there is something worth a note: [`PARTS_MAX`] at most, of [`PART_BYTES_MIN`] at least but for the last.
fn parts(packs: &[PackOrdinal], size: impl Fn(&PackOrdinal) -> u64) -> Vec<&[PackOrdinal]> {
    let all: u64 = packs.iter().map(&size).sum();
    let enough = PART_BYTES_MIN.max(all.div_ceil(PARTS_MAX));
    let mut bytes = 0;
    packs
        .chunk_by(|pack, _| {
            bytes += size(pack);
            let goes_on = bytes < enough;
            bytes = if goes_on { bytes } else { 0 };
            goes_on
        })
        .collect()
}

/// What is on record of the reading of packs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Readings {
    /// Packs that the index names and that are in use.
    pub packs: u64,
    /// Of these, those that were never read whole.
    pub packs_never_read: u64,
    /// When the one was read whole that waits the longest; nothing where none was.
    pub oldest: Option<Timestamp>,
    /// Packs that are on record as damaged.
    pub packs_damaged: u64,
    /// When damage was found the last time, mended or not; nothing where none is on record. What is mended is forgotten some time after.
    pub damage_found: Option<Timestamp>,
}

/// What is on record of the reading of packs, and the [last drill](crate::latest::last_drill), by one read of the notes. No pack is looked for.
///
/// # Errors
/// When the store cannot be read, or with the keys of a writer.
pub async fn readings_and_drill(repository: &Repository) -> Result<(Readings, Option<Drill>)> {
    let index = repository.index_for_reading().await?;
    let (health, drill) = health_and_drill(repository).await?;
    Ok((readings_in(&health, &index), drill))
}

async fn health_and_drill(repository: &Repository) -> Result<(Health, Option<Drill>)> {
    let (mut health, mut latest) = (Health::default(), Latest::default());
    let now = repository.clock().now().wall;
    let take = |id, fact| match fact {
        Ok(Fact::Health { .. }) | Err(_) => health.take(id, fact),
        Ok(_) => latest.take(id, fact, now),
    };
    notes::read(repository, repository.bare_store(), take).await?;
    Ok((health, latest.into_drill()))
}

impl View {
    /// [The same](readings_and_drill), of the packs that this view knows.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer.
    pub async fn readings_and_drill(&self) -> Result<(Readings, Option<Drill>)> {
        let (health, drill) = health_and_drill(self.repository()).await?;
        Ok((readings_in(&health, self.loader().index()), drill))
    }
}

fn readings_in(health: &Health, index: &BlobIndex) -> Readings {
    let damaged = health.damaged_packs();
    let mut readings = Readings { damage_found: health.damage_found(), ..Readings::default() };
    for (ordinal, pack) in (0..).map(PackOrdinal).zip(index.packs()) {
        if pack.moved || index.state(ordinal) != PackState::Live {
            continue;
        }
        readings.packs += 1;
        readings.packs_damaged += u64::from(damaged.contains(&pack.id));
        match health.read_at(&pack.id) {
            None => readings.packs_never_read += 1,
            Some(read) => readings.oldest = Some(readings.oldest.map_or(read, |oldest| oldest.min(read))),
        }
    }
    readings
}

/// Tries the parity of packs that were not read, because a listing shows that they are not as they were.
async fn heal_unread(
    repository: &Repository,
    index: &BlobIndex,
    findings: &Findings<'_>,
    healed: &mut HashSet<ObjectId>,
) -> Result<()> {
    let damages: Vec<Damage> = findings.iter().map(|finding| finding.damage.clone()).collect();
    for damage in damages {
        let key = StoreKey::new(damage.object.clone()).ok();
        let id = key.as_ref().and_then(ObjectKind::parse).filter(|(kind, _)| PackKind::of(*kind).is_some());
        let pack = id.and_then(|(_, id)| index.pack(index.ordinal(&id)?));
        if let Some(pack) = pack.filter(|pack| !healed.contains(&pack.id))
            && repository.heal(&pack.into(), &damage).await?.is_some()
        {
            healed.insert(pack.id);
        }
    }
    Ok(())
}

/// Finds what is on record as damaged of packs that are needed or may be relied on, were not read whole now, and of which nothing else is found.
fn add_remembered(
    health: &Health,
    (index, users): (&BlobIndex, &Users),
    whole: &[ObjectId],
    findings: &mut Findings<'_>,
) -> Result<()> {
    let whole: HashSet<&ObjectId> = whole.iter().collect();
    let found: HashSet<String> = findings.iter().map(|finding| finding.damage.object.clone()).collect();
    let remembered: Vec<(ObjectId, Damage)> =
        health.damages().filter(|(pack, damage)| !whole.contains(pack) && !found.contains(&damage.object)).collect();
    let ordinals: Vec<PackOrdinal> = remembered.iter().filter_map(|(pack, _)| index.ordinal(pack)).collect();
    let mut there: HashSet<ObjectId> = HashSet::new();
    for pack in described(index, &ordinals)? {
        let is_gone = index.ordinal(&pack.id).is_none_or(|ordinal| index.state(ordinal) == PackState::Gone);
        if !is_gone && !users.has_replaced(index, &pack)? {
            there.insert(pack.id);
        }
    }
    let remembered = remembered.into_iter().filter(|(pack, _)| there.contains(pack));
    remembered.for_each(|(pack, damage)| findings.add(damage, users.affected(&pack)));
    Ok(())
}

/// Finds packs that were read by their parity.
pub(crate) fn add_healed(repository: &Repository, users: &Users, findings: &mut Findings<'_>) -> HashSet<ObjectId> {
    let healed = repository.take_healed_packs();
    let packs = healed.iter().map(|(pack, _)| *pack).collect();
    healed.into_iter().for_each(|(pack, damage)| findings.add(damage, users.affected(&pack)));
    add_spared(repository, users, findings);
    packs
}

/// Finds what was read from a replica, where that was allowed.
fn add_spared(repository: &Repository, users: &Users, findings: &mut Findings<'_>) {
    for Spared { damage, .. } in repository.take_spared() {
        let key = StoreKey::new(damage.object.clone()).ok();
        let pack = key.as_ref().and_then(ObjectKind::parse).filter(|(kind, _)| PackKind::of(*kind).is_some());
        findings.add(damage, pack.into_iter().flat_map(|(_, pack)| users.affected(&pack)).collect::<Vec<_>>());
    }
}

/// What there is, without what is in packs.
pub(crate) struct Look {
    pub(crate) index: BlobIndex,
    /// Those that are whole, oldest first.
    pub(crate) snapshots: Vec<SnapshotHandle>,
    pub(crate) users: Users,
    pub(crate) packs: Packs,
    /// What is on record.
    pub(crate) health: Health,
    /// As [`CheckReport::leftovers`].
    pub(crate) leftovers: Leftovers,
    /// As [`CheckReport::ownerless_usages`].
    pub(crate) ownerless_usages: u64,
    /// As [`CheckReport::removed_snapshots`].
    pub(crate) removed_snapshots: u64,
    /// As [`CheckReport::lacking_copies`].
    pub(crate) lacking_copies: u64,
}

/// Looks until nothing is wrong, or the same twice: what does not fit together may be somebody at work between two listings.
pub(crate) async fn look(repository: &Repository, findings: &mut Findings<'_>) -> Result<Look> {
    let mut before = None;
    for _ in 0..LOOKS_MAX {
        let mut found = Findings::new(&NoEvents);
        let look = look_once(repository, &mut found).await?;
        let found = found.into_list();
        if found.is_empty() || before.as_ref() == Some(&found) {
            found.into_iter().for_each(|finding| findings.add(finding.damage, finding.affects));
            return Ok(look);
        }
        before = Some(found);
    }
    Err(Error::Contended { what: "what is wrong with the repository".to_owned() })
}

async fn look_once(repository: &Repository, findings: &mut Findings<'_>) -> Result<Look> {
    let store = repository.bare_store();
    let read = repository.read_index(store).await?;
    read.damaged.into_iter().for_each(|damage| findings.add(damage, None));
    let mut index = read.index;
    let snapshots = repository.snapshots_in(store).await?;
    snapshots.damaged.into_iter().for_each(|DamagedSnapshot { damage, .. }| {
        let owner = damage.object.strip_prefix("snapshot/").and_then(|id| id.parse().ok());
        findings.add(damage, owner);
    });
    let snapshots: Vec<SnapshotHandle> = snapshots.whole.into_iter().chain(snapshots.parts).collect();
    let structure::Usages { users, ownerless } = structure::usages(repository, &snapshots, findings).await?;
    let mut leftovers = structure::small_objects(repository, findings).await?;
    let health = Health::load(repository).await?;
    health.unreadable().iter().for_each(|damage| findings.add(damage.clone(), None));
    let structure::Texts { removals, lacking_copies } = structure::texts(repository, findings).await?;
    let ownerless_usages = chains::without_record(&ownerless, &removals);
    let removed_snapshots = chains::judge(&snapshots, &removals, findings);
    let packs = structure::packs(repository, &mut index, &users, findings).await?;
    let is_used = |key| ObjectKind::parse(key).is_some_and(|(_, pack)| users.of(&pack).is_some());
    for pack in packs.undescribed.iter().filter(|pack| !is_used(&pack.key)) {
        (leftovers.packs, leftovers.bytes) = (leftovers.packs + 1, leftovers.bytes.saturating_add(pack.size));
        leftovers.add(pack.modified);
    }
    Ok(Look { index, snapshots, users, packs, health, leftovers, ownerless_usages, removed_snapshots, lacking_copies })
}

fn ids(snapshots: &[SnapshotHandle]) -> impl Iterator<Item = SnapshotId> + '_ {
    snapshots.iter().map(|handle| handle.snapshot.id)
}

fn kind_of(key: &credenza_model::StoreKey) -> Option<ObjectKind> {
    ObjectKind::parse(key).map(|(kind, _)| kind)
}
