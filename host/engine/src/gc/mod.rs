//! Gc: space that no snapshot needs goes back to the store, beside any number of writers and other collectors.
//!
//! ```text
//! 1 LIST condemned, index, intents, then snapshots, then packs      `mark`; all but the packs in two ways that must agree
//! 2 copy what is needed out of sparse, old and small packs          `repack`
//! 3 PUT the record of what nobody needs                             `condemn`
//! 4 LIST intents, then snapshots, then condemned again; spare what is needed after all
//! 5 DELETE the rest
//!   merge index segments and notes; delete what expired             `merge`, `expire`
//! ```
//!
//! What is on record as damaged (`health`) is named by each run until it is mended. Nothing is copied out of it, and of the chunks that are
//! needed in it every other copy is kept.
//!
//! Whatever speaks for something that a listing leaves out ends the run before anything is condemned or deleted: the other listing, the
//! chains of snapshots and their usage lists (`Repository::all_snapshots`), the index for packs.
//!
//! Owned here: that order. The index is read before the intents: a writer announces packs before the index describes them,
//! so that what is described and neither announced nor used is nobody's. Refused here: which snapshots go (`retention`,
//! `remove`). Called by `cli`.
//!
//! Requests for that caution: some 140 more listings than each folder once, some 70 of them before anything is condemned, 16 at a time; one for
//! each usage list without a snapshot; and one, once, for each record of removal.
//!
//! Writers that commit all the time never end a run: each look is at what was there when it began, and what came since stays.
//!
//! Bound: the index (as `repository::index` states it; once more while it is read again beside writers), two bits per blob, some 500 bytes per pack and per
//! snapshot; while repacking, what `write` holds and the descriptions of one batch of packs.

#[cfg(test)]
mod busy;
mod condemn;
mod expire;
#[cfg(test)]
mod full;
mod mark;
mod merge;
mod repack;

use std::sync::Arc;

use credenza_model::{ObjectId, StoreKey, Timestamp};

use crate::clock::Lease;
use crate::groups::Group;
use crate::health::Health;
use crate::latest::Latest;
use crate::repository::Repository;
use crate::tags::TagEdits;
use crate::{Damage, Error, Event, Listener, Phase, Result, RunContext, heed};
pub(crate) use condemn::put_record;
use mark::View;

/// Objects deleted in one call.
const DELETES_AT_ONCE: usize = 1000;

/// How to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Most bytes to copy while repacking; `None` for as many as there are.
    pub repack_bytes_max: Option<u64>,
}

/// What a collection did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct GcReport {
    /// Snapshots seen.
    pub snapshots: u64,
    /// Packs seen.
    pub packs: u64,
    /// Packs that are kept.
    pub kept: u64,
    /// Packs whose needed chunks were copied elsewhere.
    pub repacked: u64,
    /// Bytes copied for that, as they are stored.
    pub bytes_repacked: u64,
    /// The store had no room for copies: packs that are needed in part stay until the next run.
    pub full: bool,
    /// Packs condemned now.
    pub condemned: u64,
    /// Condemned packs that are needed after all.
    pub spared: u64,
    /// Packs that nobody needs and that are locked: they go when their locks have ended.
    pub locked: u64,
    /// Packs deleted.
    pub deleted: u64,
    /// Bytes of the packs deleted, and of their parity.
    pub bytes_freed: u64,
    /// Objects of any kind that the store refused to delete.
    pub refused: u64,
    /// Index segments that were merged into others.
    pub segments_merged: u64,
    /// Records of condemned packs that were merged into one.
    pub records_merged: u64,
    /// Notes of what was read and found damaged that were merged into one.
    pub notes_merged: u64,
    /// Intents of writers that died.
    pub intents_expired: u64,
    /// Usage lists without a snapshot.
    pub usages_expired: u64,
    /// Escrowed connectors deleted, which read no snapshot any more.
    pub connectors_deleted: u64,
    /// Packs on record as damaged that no snapshot needs and that are deleted.
    pub damaged_deleted: u64,
    /// Parts of backups that wait to be merged. What they need is kept until somebody merges or removes them.
    #[serde(rename = "groups_waiting", serialize_with = "crate::json::count")]
    pub waiting: Vec<Group>,
    /// What is damaged and was left as it is: by the record, or found now.
    #[serde(serialize_with = "crate::json::count")]
    pub damages: Vec<Damage>,
    /// Why what was found now could not be put on record.
    #[serde(rename = "recorded", serialize_with = "crate::json::is_none")]
    pub unrecorded: Option<String>,
}

/// Collects.
///
/// # Errors
/// [`Error::Damage`] when anything that says what is needed cannot be read, [`Error::ListingsDisagree`] and [`Error::MissingSnapshots`] when
/// something was left out, [`Error::LateListings`] where that cannot be known: then nothing is deleted. [`Error::Cancelled`] when it was to stop: what is
/// done stays, and the next run goes on.
pub async fn run(repository: &Repository, options: &GcOptions, run: &RunContext) -> Result<GcReport> {
    let _heeding = run.stop.heeding();
    let repository = repository.heeding(&run.stop);
    heed::end(&run.stop, Box::pin(collect(&repository, options, &*run.events)).await)
}

async fn collect(repository: &Repository, options: &GcOptions, listener: &dyn Listener) -> Result<GcReport> {
    repository.require_reading("reclaiming space")?;
    if !options.dry_run {
        repository.require_charge("reclaiming space")?;
    }
    repository.require_prompt_listings().await?;
    listener.on(Event::Phase { phase: Phase::Collecting });
    let lease = Lease::begin(Arc::clone(repository.clock()));
    let now = if options.dry_run { repository.time_reached().await? } else { repository.time().await? };
    let now = now.unwrap_or(NEVER);
    let cautious = repository.cautious();
    let mut health = Health::load(&cautious).await?;
    // Before the snapshots are listed: what is said of one that is not listed then is said of one that is gone.
    let tags = if options.dry_run { TagEdits::default() } else { TagEdits::load(&cautious).await? };
    let latest = if options.dry_run { Latest::default() } else { Latest::load(&cautious).await? };
    let damaged = health.damaged_packs();
    let mut view = View::read(&cautious, now, &damaged).await?;
    let mut report = begun(&view);
    if options.dry_run {
        repack::foresee(repository, &view, options.repack_bytes_max, &mut report)?;
        condemn::foresee(&view, &mut report)?;
        report.name_remembered(&view, &health)?;
        return Ok(report);
    }
    match repack::run(repository, &mut view, options.repack_bytes_max, listener, &mut report).await {
        // What was copied is nobody's and expires; what was seen is out of date. Deleting makes the room that copying needs next time.
        Err(cause) if cause.is_full() => {
            view = View::read(&cautious, now, &damaged).await?;
            report = GcReport { full: true, damages: report.damages, ..begun(&view) };
        }
        repacked => repacked?,
    }
    report.unrecorded =
        health.record(repository, report.damages.iter(), &[]).await.err().map(|cause| cause.to_string());
    condemn::record(repository, &mut view, &mut report).await?;
    view.look_again(&cautious).await?;
    // What was seen at first counts only as long as a run may take.
    lease.check()?;
    condemn::delete_unneeded(repository, &mut view, &mut report).await?;
    merge::segments(repository, &view, &mut report).await?;
    merge::records(repository, &view, now, &mut report).await?;
    merge::notes(repository, &view, (&health, &tags, &latest), &mut report).await?;
    report.name_remembered(&view, &health)?;
    expire::run(repository, &view, &mut report).await?;
    Ok(report)
}

fn begun(view: &View) -> GcReport {
    let (snapshots, packs) = (view.snapshots.len() as u64, view.packs.len() as u64);
    GcReport { snapshots, packs, waiting: view.waiting.clone(), ..GcReport::default() }
}

/// A store without a clock: nothing ever expires.
const NEVER: Timestamp = Timestamp { seconds: i64::MIN, nanoseconds: 0 };

/// Deletes objects; one result for each: what the store refuses to delete is not the end of the run.
///
/// # Errors
/// When the store cannot be reached.
pub(crate) async fn delete(repository: &Repository, keys: &[StoreKey]) -> Result<Vec<Result<(), String>>> {
    use credenza_connect::ErrorClass::{Denied, Precondition, Unsupported};
    let mut results = Vec::with_capacity(keys.len());
    for batch in keys.chunks(DELETES_AT_ONCE) {
        match repository.store().delete(batch).await {
            Ok(answers) => results.extend(answers.into_iter().map(|answer| answer.map_err(|cause| cause.message))),
            Err(cause) if matches!(cause.class, Denied | Precondition | Unsupported) => {
                results.extend(batch.iter().map(|_| Err(cause.message.clone())));
            }
            Err(cause) => return Err(Error::connector("deleting from the repository")(cause)),
        }
    }
    Ok(results)
}

impl GcReport {
    /// Names what is on record as damaged and there, unless all that snapshots need of it is elsewhere; notes that cannot be read, too.
    fn name_remembered(&mut self, view: &View, health: &Health) -> Result<()> {
        self.damages.extend(health.unreadable().iter().cloned());
        if view.damaged.is_empty() {
            return Ok(());
        }
        let needs = view.needs()?;
        let was_moved = |pack: &ObjectId| {
            view.index.ordinal(pack).and_then(|pack| view.index.pack(pack)).is_some_and(|pack| pack.moved)
        };
        let is_there = |pack: &ObjectId| view.packs.contains_key(pack);
        let named = health.damages().filter(|(pack, damage)| {
            let is_new = self.damages.iter().all(|found| found.object != damage.object);
            is_new && is_there(pack) && (view.is_wanted(pack, &needs) || !was_moved(pack))
        });
        let named: Vec<Damage> = named.map(|(_, damage)| damage).collect();
        self.damages.extend(named);
        Ok(())
    }

    /// Counts the refusals among results and returns how many succeeded.
    fn count(&mut self, results: &[Result<(), String>]) -> u64 {
        let refused = results.iter().filter(|result| result.is_err()).count() as u64;
        self.refused += refused;
        results.len() as u64 - refused
    }
}
