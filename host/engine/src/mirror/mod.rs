//! Mirror: a place made to be what a snapshot holds, by what differs, with a marker that says which one it is.
//!
//! ```text
//! marker > plan (cut, cuts before, listing: side by side) > marker: in progress > new > changed > removed > marker: whole
//! ```
//!
//! A cut is a snapshot, so that each object is of one moment, what is there already costs no request, and a mirror of a source that somebody has poisoned
//! is rolled back by mirroring an older cut. What the target holds is told by its listing alone. What somebody else has put or changed there is found before
//! it is overwritten ([`judge`]); then nothing at all is done, unless that is wished.
//!
//! Owned here: the order, the marker, what is held back. Refused here: making the cut (`backup`), writing entries (`restore`), when it runs (`credenza_app::jobs`).
//! Called by `credenza_app::jobs::mirror`.
//!
//! Where versions count, each key of the target gets those that it lacks, in their order: what it has is compared with what the cut has ([`history`]).
//!
//! Bound: that of a restore, a window of leaves for each of at most [`TOWARDS_MAX`] + 2 cuts, a page of a listing; keys lie in files without a name.

mod cuts;
mod history;
mod join;
mod judge;
mod marker;
mod remove;
mod sides;

use std::sync::Arc;
use std::time::Duration;

use credenza_connect::{Destination, DestinationInfo, Source, ability};
use credenza_model::{SnapshotId, Timestamp};

use crate::key_list::KeyList;
use crate::repository::{Repository, SnapshotHandle};
use crate::restore::{self, EXTRA_PERCENT_MAX, Overwrite, RestoreOptions, RestoreReport};
use crate::{Error, Left, Result, RunContext};

use cuts::Cuts;
use join::Plan;
pub use marker::{MARKER, Marker, TOWARDS_MAX};
use remove::Removal;

/// Fewer objects are removed without a question, whatever share of all they are.
const REMOVALS_MIN: u64 = 20;

/// A place that is made to be what a snapshot holds.
#[derive(Clone)]
pub struct Target {
    /// It as a place to write to, with the right to remove.
    pub destination: Arc<dyn Destination>,
    /// The same place as something to list and read; with all versions where those count.
    pub listing: Arc<dyn Source>,
}

/// What becomes of what the source no longer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deletes {
    /// It stays.
    #[default]
    Keep,
    /// It goes when no cut of so much time has it.
    After(Duration),
    /// It goes with the cut that no longer has it.
    Now,
}

/// How a target is mirrored.
#[derive(Debug, Clone, Default)]
pub struct MirrorOptions {
    /// The policy, which the marker names.
    pub policy: String,
    /// The tag that the cuts of the policy bear: what they have may have been put at the target.
    pub tag: String,
    /// What becomes of what the source no longer has.
    pub deletes: Deletes,
    /// Older versions and delete markers of the cut are to be there as well; the target must keep them.
    pub versions: bool,
    /// Replace what somebody else has put or changed there, and take over the mirror of another policy.
    pub overwrite: bool,
    /// Remove also where that is more than [`EXTRA_PERCENT_MAX`] percent of what is there.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// The target is the mirror of another policy, repository or source.
    OtherMirror,
    /// Somebody else has changed what was to be overwritten.
    Foreign,
    /// Too much was to be removed.
    Removals,
}

/// What a mirror did, or would do.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct MirrorReport {
    /// The cut that the target is to be.
    pub cut: Option<SnapshotId>,
    /// The cut that it was, whole.
    pub was: Option<SnapshotId>,
    /// The target was left by a run that did not come to its end.
    pub resumed: bool,
    /// Why nothing was done.
    pub held: Option<Held>,
    /// Objects that are not there.
    pub new: u64,
    /// Of `new`, those that the target had and somebody removed.
    pub missing: u64,
    /// Objects that are there as an older cut has them.
    pub changed: u64,
    /// Keys of which only versions that are no more are to be written.
    pub past: u64,
    /// Objects that are there as the cut has them.
    pub same: u64,
    /// Objects of the cut that somebody else has put there or changed.
    pub foreign: Left,
    /// Objects that are there, are not in the cut, and are nobody's business here.
    pub extra: Left,
    /// Objects that the source no longer has and that are there still.
    pub kept: u64,
    /// Of `kept`, those that were to go, and stay because something of the source could not be read for the cut: they may be there still.
    pub withheld: u64,
    /// Objects that are to be removed.
    pub gone: u64,
    /// Of `gone`, those that were.
    pub removed: u64,
    /// Objects whose names the target cannot hold as they are.
    pub unnamed: Left,
    /// What was written, and what of it the target could not hold.
    pub written: RestoreReport,
}

impl MirrorReport {
    /// Objects of the cut that the target has not.
    #[must_use]
    pub fn lacking(&self) -> u64 {
        let RestoreReport { damaged, unread, failed, miswritten, left, .. } = &self.written;
        let left: u64 = left.values().map(|left| left.entries).sum();
        damaged + unread + failed + miswritten + left + self.unnamed.entries
    }

    /// Whether the target is what the cut holds, and no more than was wished.
    #[must_use]
    pub fn is_whole(&self, deletes: Deletes) -> bool {
        let is_extra = deletes != Deletes::Keep && self.extra.entries > 0;
        let is_removed = self.removed == self.gone && self.withheld == 0;
        self.held.is_none() && self.lacking() == 0 && is_removed && !is_extra
    }
}

/// What the marker of a target says; nothing where there is none.
///
/// # Errors
/// When the target cannot be asked, or holds something else under that name.
pub async fn marker(target: &Target) -> Result<Option<Marker>> {
    Ok(marker::read(target).await?.map(|read| read.marker))
}

/// Makes a target what a cut holds.
///
/// # Errors
/// When the repository or the target cannot be read or written, or it was to stop: then the marker says that it is in progress, and the next run goes on.
pub async fn run(
    repository: &Repository,
    cut: &SnapshotHandle,
    target: &Target,
    options: &MirrorOptions,
    run: &RunContext,
) -> Result<MirrorReport> {
    let info = target.destination.info().await.map_err(Error::connector("opening the target"))?;
    if options.versions && !info.has(ability::HISTORY) {
        return Err(Error::NoHistory { destination: info.identity });
    }
    let read = marker::read(target).await?;
    let known = read.map(|read| read.settled_marker(info.has(ability::OWN_TIMES)));
    let mut report = MirrorReport { cut: Some(cut.snapshot.id), ..MirrorReport::default() };
    let own = Marker::begin(repository, cut, &options.policy, &info);
    if let Some(known) = known.as_ref() {
        report.was = known.cut;
        report.resumed = !known.towards.is_empty();
        if !known.is_of(&own) && !options.overwrite {
            report.held = Some(Held::OtherMirror);
            return Ok(report);
        }
    }
    let _heeding = run.stop.heeding();
    let cuts = Cuts::of(repository, cut, known.as_ref().filter(|known| known.is_of(&own))).await?;
    let mut plan = run.stop.unless(join::plan(&cuts, (target, &info), options, &mut report)).await??;
    report.held = held(&report, &plan, options);
    if report.held.is_some() || options.dry_run {
        return Ok(report);
    }
    let is_at_cut = known.as_ref().is_some_and(|known| known.is_of(&own) && known.is_at(cut.snapshot.id));
    if is_at_cut && plan.is_nothing() {
        return Ok(report);
    }
    if !plan.is_nothing() {
        let going = own.clone().going_on(known.clone(), cut.snapshot.id);
        marker::write(target, &going).await?;
        let work = Work { repository, cuts: &cuts, target, info: &info, options, run };
        work.carry_out(&mut plan, &mut report).await?;
    }
    let whole =
        Marker { cut: Some(cut.snapshot.id), lacking: report.lacking() + (report.gone - report.removed), ..own };
    marker::write(target, &whole).await?;
    Ok(report)
}

fn held(report: &MirrorReport, plan: &Plan, options: &MirrorOptions) -> Option<Held> {
    let is_much = plan.removals() > REMOVALS_MIN
        && plan.removals().saturating_mul(100) > plan.listed.saturating_mul(EXTRA_PERCENT_MAX);
    match () {
        () if report.foreign.entries > 0 && !options.overwrite => Some(Held::Foreign),
        () if is_much && !options.force => Some(Held::Removals),
        () => None,
    }
}

/// What is to be done, and where.
struct Work<'a> {
    repository: &'a Repository,
    cuts: &'a Cuts<'a>,
    target: &'a Target,
    info: &'a DestinationInfo,
    options: &'a MirrorOptions,
    run: &'a RunContext,
}

impl Work<'_> {
    /// Writes what is new, then what has changed, and removes what is gone when the rest is there.
    async fn carry_out(&self, plan: &mut Plan, report: &mut MirrorReport) -> Result<()> {
        // What is new is put on the condition that nothing is there.
        for (keys, overwrite) in [(plan.new.list()?, Overwrite::No), (plan.changed.list()?, Overwrite::Always)] {
            report.written.add(self.write(keys, overwrite).await?);
        }
        // What could not be written may be what is there under another name.
        if report.lacking() > report.written.unread + report.unnamed.entries {
            return Ok(());
        }
        let buried = self.write(plan.buried.list()?, Overwrite::Always).await?;
        if buried.is_whole() {
            report.removed += plan.buried.len();
        }
        report.written.add(buried);
        let removal = Removal { cuts: self.cuts, target: self.target, info: self.info, run: self.run };
        report.removed += self.run.stop.unless(removal.all(plan.gone.list()?)).await??;
        Ok(())
    }

    async fn write(&self, keys: KeyList, overwrite: Overwrite) -> Result<RestoreReport> {
        if keys.is_empty() {
            return Ok(RestoreReport::default());
        }
        let versions = self.options.versions;
        let options = RestoreOptions { overwrite, versions, only: Some(Arc::new(keys)), ..RestoreOptions::default() };
        restore::run(self.repository, self.cuts.cut, Arc::clone(&self.target.destination), &options, self.run).await
    }
}

/// How long ago that was; nothing for what is still to come.
fn age(now: Timestamp, then: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.seconds.saturating_sub(then.seconds)).unwrap_or(0))
}
