//! One run of a policy of replication: to each target that this machine carries to, what it lacks, newest first; then its retention, and its proof.
//!
//! ```text
//! unchanged since the last run? > snapshots of both > what the target lacks > carry, newest first > its own retention > reclaim > prove > on record
//! ```
//!
//! A target that fails, or is slow, keeps no other from its copies: [`TARGETS_AT_ONCE`] go on at once, and are told in the order of the file. Where neither side has changed
//! since a run found all in order, nothing more is asked (`memory`). Nothing is ever written to the origin, for which it is enough to be read. A run that ends early,
//! however it ends, leaves a valid prefix, and the next goes on.
//!
//! What one trusts a copy for must not go with the origin: where more snapshots vanished there since the last run than `guard.vanish_max`, nothing is removed
//! at the target, and that is said at each run until somebody says that it is meant.
//!
//! Owned here: the order, what a failure of one target means for the others, and how the run ended. Refused here: what is selected
//! (`credenza_engine::copies`), carrying (`credenza_engine::sync`), when it runs (`scheduler`), what goes on at once (`aside`).
//!
//! Bound: what `sync`, `gc` and `check` state, for [`TARGETS_AT_ONCE`] targets.

pub(super) mod alarm;
mod memory;
mod plan;
pub(super) mod silence;
mod status;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::sync::{Mutex, PoisonError};

use credenza_engine::copies::{self, Extent, Meant, Prove, Selection, lag, read_new, seen, select, vanished};
use credenza_engine::drill::DrillOptions;
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::latest::last_drill;
use credenza_engine::replica::{self, KeepOptions, Retreat, Role};
use credenza_engine::retention::{self, Plan};
use credenza_engine::sync::{self, Order, SyncOptions, SyncReport};
use credenza_engine::tags::TagEdits;
use credenza_engine::{
    Error as EngineError, Repository, RunContext, SnapshotFilter, SnapshotHandle, SnapshotName, Snapshots,
};
use credenza_format::{Digest, Policy, body_digest};
use credenza_model::SnapshotId;

pub use plan::{Planned, plan};
pub use status::{Status, TargetStatus, recorded, status};

use super::error::JobsError;
use super::lock::Held;
use super::outcome::{Ending, Replicated, Step};
use super::recording::{Cause, Heard, Occasion, Recording, aside};
use super::runner::Runner;
use super::sections::replicate::{Keep, Proving, Replicate, To};
use super::sections::verify::{DRILL_BYTES, DrillRule};
use super::verify::{self, is_cancelled};
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::cost::Bill;
use crate::environment;
use crate::error::Error;
use crate::open::StoreUse;
use crate::remove::{self, Removal};
use crate::repository::OpenRepository;
use crate::shell::shell_word;
use crate::{prune, signing};
use memory::{Memory, Seen, Settled};

/// Targets that are carried to at once.
const TARGETS_AT_ONCE: usize = 4;

/// A run under way, as far as all of its targets share it.
struct Whole<'a> {
    runner: &'a Runner<'a>,
    policy: &'a Replicate,
    /// What has vanished at the origin was meant to.
    is_vanishing_meant: bool,
    memory: Mutex<Memory>,
    /// What was spent at the targets.
    bill: Mutex<Bill>,
}

/// The origin, and how it looked when the run began.
struct Origin {
    open: OpenRepository,
    seen: Digest,
}

/// What a run does for one target.
struct Run<'w, 'r> {
    whole: &'w Whole<'w>,
    runner: &'w Runner<'w>,
    policy: &'w Replicate,
    recording: Recording<'r>,
}

/// Both sides of one copy, with their snapshots.
pub(super) struct Sides<'a> {
    pub(super) origin: &'a Repository,
    pub(super) there: &'a Snapshots,
    pub(super) target: &'a Repository,
    pub(super) here: &'a Snapshots,
}

/// Runs a policy to its end, to the targets that this machine carries to. `is_vanishing_meant` says that what has vanished at the origin was meant to.
///
/// # Errors
/// [`JobsError::Busy`] where it runs already. All else is an ending.
pub async fn run(
    runner: &Runner<'_>,
    policy: &Replicate,
    is_vanishing_meant: bool,
    occasion: &Occasion,
    heard: &dyn Heard,
) -> Result<Ending, JobsError> {
    let _held = runner.state.be_run(&policy.name)?;
    let work = async |runner: &Runner<'_>| {
        let mut recording = Recording::begin(&policy.name, occasion, (runner.state, runner.clock, runner.stop), heard);
        let memory = Mutex::new(Memory::read(runner.state.seen(&policy.name)));
        let whole = Whole { runner, policy, is_vanishing_meant, memory, bill: Mutex::default() };
        whole.to_all(&mut recording).await;
        recording.end(policy.retry)
    };
    Ok(runner.limited(&policy.limits, policy.schedule.zone(), work).await)
}

/// The snapshots that are meant, with the sources of the configuration in the place of their names.
///
/// # Errors
/// When the configuration cannot be read.
pub(super) fn meant(app: &App, policy: &Replicate) -> Result<Meant, Error> {
    let mut meant = policy.selection.clone();
    let mut sources = Vec::new();
    for pattern in std::mem::take(&mut meant.sources) {
        let Some(pattern) = pattern.strip_prefix('@') else {
            sources.push(pattern);
            continue;
        };
        let names = app.configuration()?.names(Kind::Source)?;
        for name in names.into_iter().filter(|name| credenza_engine::copies::fits(pattern, name)) {
            let word = format!("@{name}");
            sources.push(app.place(Kind::Source, OsStr::new(&word), Settings::new())?.text());
        }
        if sources.is_empty() {
            // A name that fits nothing means nothing, and not everything.
            sources.push(format!("@{pattern}"));
        }
    }
    meant.sources = sources;
    Ok(meant)
}

/// The policy by which a target keeps its snapshots; nothing where it keeps all.
///
/// # Errors
/// [`Error::NoPolicyAt`] where it is to be the same as that of an origin that has none.
fn policy_of(policy: &Replicate, to: &To, origin: &Repository) -> Result<Option<Policy>, Error> {
    let missing = || Error::NoPolicyAt { repository: policy.from.clone() };
    match &to.keep {
        Keep::All => Ok(None),
        Keep::By(policy) => Ok(Some(policy.clone())),
        Keep::Same => origin.config().policy.clone().map(Some).ok_or_else(missing),
    }
}

/// What the policy of a target makes of the snapshots that it has; nothing where it keeps all.
fn plan_of(policy: &Replicate, to: &To, origin: &Repository, here: &Snapshots) -> Result<Option<Plan>, Error> {
    let kept = policy_of(policy, to, origin)?;
    Ok(kept.map(|kept| retention::plan(here.clone(), &kept, &SnapshotFilter::default())))
}

/// What a target has and lacks.
///
/// # Errors
/// As [`meant`] and [`policy_of`].
pub(super) fn select_for(app: &App, policy: &Replicate, to: &To, sides: &Sides<'_>) -> Result<Selection, Error> {
    let kept = policy_of(policy, to, sides.origin)?;
    Ok(select(sides.there, sides.here, &meant(app, policy)?, kept.as_ref()))
}

/// The snapshots of a repository with the tags that they have now.
///
/// # Errors
/// When it cannot be read.
pub(super) async fn tagged(repository: &Repository) -> Result<Snapshots, Error> {
    Ok(TagEdits::load(repository).await?.apply(repository.snapshots().await?))
}

/// The options that carry these snapshots.
pub(super) fn carrying(handles: &[SnapshotHandle]) -> SyncOptions {
    let snapshots = handles.iter().map(|handle| SnapshotName(handle.snapshot.id.to_string())).collect();
    let (host, user) = (environment::host_name(), environment::user_name());
    SyncOptions { snapshots, host, user, order: Order::NewestFirst, ..SyncOptions::default() }
}

impl Whole<'_> {
    /// Carries to each target that this machine carries to.
    async fn to_all(&self, recording: &mut Recording<'_>) {
        let origin = tokio::select! {
            origin = self.origin() => origin,
            () = self.runner.stop.requested() => Err(EngineError::Cancelled.into()),
        };
        let origin = match origin {
            Ok(origin) => origin,
            Err(error) => return failed(recording, "opening the origin", Ending::Unreachable, error),
        };
        let (targets, from) = (self.policy.targets.iter().filter(|to| to.is_here), &origin);
        aside::at_once(TARGETS_AT_ONCE, recording, targets, |to, recording| {
            let mut run = Run { whole: self, runner: self.runner, policy: self.policy, recording };
            async move {
                let carried = match run.runner.stop.is_requested() {
                    true => Err(EngineError::Cancelled.into()),
                    false => run.carry_to(to, from).await,
                };
                if let Err(error) = carried {
                    run.failed(&doing(to), Ending::Failed, error);
                }
                run.recording
            }
        })
        .await;
        let bill = std::mem::take(&mut *self.bill.lock().unwrap_or_else(PoisonError::into_inner));
        recording.did(Step::Spent { bill: origin.open.store.billed(bill) });
    }

    async fn origin(&self) -> Result<Origin, Error> {
        let open = self.runner.open_named(&self.policy.from, StoreUse::Read).await?;
        let seen = seen(&open.repository, Extent::Snapshots).await?;
        Ok(Origin { open, seen })
    }

    /// What is remembered of a target.
    fn known(&self, target: &str) -> Seen {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).of(target)
    }

    /// Remembers what was seen of it.
    fn keep(&self, target: &str, seen: Seen) -> Result<(), JobsError> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).keep(target, seen)
    }
}

impl Run<'_, '_> {
    fn failed(&mut self, doing: &str, ending: Ending, error: Error) {
        failed(&mut self.recording, doing, ending, error);
    }

    fn context(&self) -> RunContext {
        RunContext { events: self.recording.events(), stop: self.runner.stop.clone() }
    }

    /// Holds the place of the one run that carries to a target; nothing where another does, which is said.
    fn hold(&mut self, to: &To) -> Result<Option<Held>, Error> {
        let place = self.runner.app.place(Kind::Repository, OsStr::new(&to.target), Settings::new())?;
        match self.runner.state.be_replicating(&place.text()) {
            Ok(held) => Ok(Some(held)),
            Err(busy) => {
                self.recording.failed(&doing(to), Ending::Busy, Cause::Jobs(busy));
                Ok(None)
            }
        }
    }

    async fn carry_to(&mut self, to: &To, origin: &Origin) -> Result<(), Error> {
        let Some(_held) = self.hold(to)? else { return Ok(()) };
        let opening = self.runner.open_named(&to.target, StoreUse::Write);
        let target = tokio::select! {
            open = opening => open?,
            () = self.runner.stop.requested() => return Err(EngineError::Cancelled.into()),
        };
        self.runner.app.require_encryption(&target, false)?;
        let repository = &origin.open.repository;
        if repository.config().repository == target.repository.config().repository {
            return Err(Error::SameRepository { place: target.place.label() });
        }
        // What others may not remove from a replica, its policy may.
        let repository = replica::in_charge(repository, &target.repository)?;
        let target = OpenRepository { repository, ..target };
        let done = self.unless_settled(to, origin, &target).await;
        let mut bill = self.whole.bill.lock().unwrap_or_else(PoisonError::into_inner);
        *bill = target.store.billed(std::mem::take(&mut *bill));
        done
    }

    /// Does all of it, unless neither side has changed since a run found that there was nothing left to do.
    async fn unless_settled(&mut self, to: &To, origin: &Origin, target: &OpenRepository) -> Result<(), Error> {
        let rules = self.rules(to, &origin.open)?;
        let known = self.whole.known(&to.target);
        let now = self.runner.clock.now().wall;
        let settled = known.settled.as_ref().filter(|settled| settled.holds(&origin.seen, &rules, now));
        if let Some(settled) = settled.filter(|_| !self.whole.is_vanishing_meant)
            && seen(&target.repository, Extent::Everything).await.is_ok_and(|now| now == settled.target)
        {
            self.tell_lock(to, &origin.open.repository, target);
            self.recording.did(settled.step(&to.target));
            return Ok(());
        }
        // What is about to change is not taken for settled again, should both sides be put back.
        self.remember(to, Seen { settled: None, ..known });
        let Some((target_seen, step)) = self.between(to, &origin.open, target).await? else { return Ok(()) };
        let drilled = match to.prove {
            Proving::Drill(_) => last_drill(&target.repository).await?.map(|drill| drill.at),
            Proving::List | Proving::Audit => None,
        };
        if let Some(settled) = Settled::of((origin.seen, target_seen), rules, &step, now, (to.prove, drilled)) {
            let seen = self.whole.known(&to.target);
            self.remember(to, Seen { settled: Some(settled), ..seen });
        }
        Ok(())
    }

    /// By what the work for a target is done: the same rules, and the same repositories, lead to the same.
    fn rules(&self, to: &To, origin: &OpenRepository) -> Result<Digest, Error> {
        let meant = meant(self.runner.app, self.policy)?;
        let kept = policy_of(self.policy, to, &origin.repository)?;
        let text = format!("{meant:?} {kept:?} {to:?} {:?}", self.policy.vanish_max);
        Ok(body_digest(text.as_bytes()))
    }

    /// Carries, removes and proves. How the target looked before it was found to lack nothing and to be proven, with what is on record of that; nothing where it is not so.
    async fn between(
        &mut self,
        to: &To,
        origin: &OpenRepository,
        target: &OpenRepository,
    ) -> Result<Option<(Digest, Step)>, Error> {
        let began = self.runner.clock.now().wall;
        if let Some(went_back) = self.runner.app.replica_went_back(target).await? {
            self.recording.worsen(Ending::Damaged, || format!("{went_back}; what it had lost is carried again"));
        }
        let there = tagged(&origin.repository).await?;
        let here = tagged(&target.repository).await?;
        let sides = Sides { origin: &origin.repository, there: &there, target: &target.repository, here: &here };
        let selection = select_for(self.runner.app, self.policy, to, &sides)?;
        let Some(retreats) = self.lost_at_origin(to, (&origin.repository, &there), &target.repository).await? else {
            return Ok(None);
        };
        let report = self.carry(&selection, origin, target).await?;
        if let Some(heads) = &report.heads {
            self.runner.app.remember_heads(target, heads);
        }
        self.tell_lock(to, &origin.repository, target);
        // Before it is looked at again: what changes from here on is looked at by the next run. Another may have carried what was missing, or removed what was there.
        // Whose keys may list single folders alone remembers nothing.
        let target_seen = seen(&target.repository, Extent::Everything).await.ok();
        let mut after = tagged(&target.repository).await?;
        let sides = Sides { origin: &origin.repository, there: &there, target: &target.repository, here: &after };
        let left = select_for(self.runner.app, self.policy, to, &sides)?;
        let still = (left.missing.as_slice(), left.shared.as_slice());
        let lag = lag(sides.origin, sides.target, still, &self.context()).await?;
        let seconds = self.runner.clock.now().wall.seconds.saturating_sub(began.seconds);
        let step = Step::Replicated(Replicated {
            target: to.target.clone(),
            copied: report.copied.len() as u64,
            bytes: report.chunk_bytes,
            lacking: left.missing.len() as u64,
            lag_bytes: lag.bytes,
            seconds: u64::try_from(seconds).unwrap_or(0),
            newest_there: left.newest_there,
            newest_here: left.newest_here,
            behind_since: left.behind_since,
        });
        self.recording.did(step.clone());
        if report.failed > 0 {
            let (failed, from) = (report.failed, shell_word(&self.policy.from));
            self.recording.worsen(Ending::Damaged, || {
                format!("{failed} snapshots could not be carried, since something that they need is damaged: see credenza at {from} check")
            });
        }
        let is_replica = report.heads.is_some() || self.keep_heads(to, (&origin.repository, &there), target).await;
        let known = self.whole.known(&to.target);
        let may_remove = self.look_at_origin(to, &known, (&there, &retreats))?;
        if may_remove && is_replica {
            let removed = self.prune(to, origin, target).await?;
            after.whole.retain(|handle| !removed.contains(&handle.snapshot.id));
        }
        let is_locked = self.lock_longer(to, origin, target, &after).await;
        let is_proven = self.prove(to, target, &after, known).await?;
        let is_whole = self.tell_damaged(&there) && report.failed == 0 && left.missing.is_empty();
        let is_settled = is_locked && is_proven && may_remove && is_replica && is_whole;
        Ok(target_seen.filter(|_| is_settled).map(|seen| (seen, step)))
    }

    /// Says which snapshots of the origin cannot be read, so that nobody knows whether they are meant. Whether all can.
    fn tell_damaged(&mut self, there: &Snapshots) -> bool {
        if let Some(first) = there.damaged.first() {
            let (damaged, from) = (there.damaged.len(), shell_word(&self.policy.from));
            self.recording.worsen(Ending::Damaged, || {
                format!("{damaged} snapshots of the origin are damaged and were not carried ({}): see credenza at {from} check", first.damage)
            });
        }
        there.damaged.is_empty()
    }

    /// What the origin has lost since the last run; nothing where it cannot be remembered, which is said. It is remembered before anything is carried, since what
    /// is carried takes the place of what it is known by.
    async fn lost_at_origin(
        &mut self,
        to: &To,
        (origin, there): (&Repository, &Snapshots),
        target: &Repository,
    ) -> Result<Option<Vec<Retreat>>, Error> {
        if !matches!(replica::state(target), Some(Role::Replica { .. })) {
            return Ok(Some(Vec::new()));
        }
        let retreats = replica::retreats((origin, there), target, &[]).await?;
        if retreats.is_empty() || self.whole.is_vanishing_meant {
            return Ok(Some(retreats));
        }
        let seen = Seen { has_retreated: true, ..self.whole.known(&to.target) };
        let kept = self.whole.keep(&to.target, seen);
        match kept {
            Ok(()) => Ok(Some(retreats)),
            Err(error) => {
                self.recording.failed(&doing(to), Ending::Failed, Cause::Jobs(error));
                Ok(None)
            }
        }
    }

    /// Keeps the heads of the origin where nothing was carried that did so, which makes a replica of a target that is none yet; whether it is one now. One that
    /// has snapshots of its own is nobody's copy: nothing is removed there.
    async fn keep_heads(
        &mut self,
        to: &To,
        (origin, there): (&Repository, &Snapshots),
        target: &OpenRepository,
    ) -> bool {
        let kept = async {
            let signing_key = signing::provided(None, &target.place.settings)?;
            let options = KeepOptions { signing_key, ..KeepOptions::default() };
            Ok::<_, Error>(replica::keep_heads_of((origin, there), &target.repository, &options).await?)
        };
        match kept.await {
            Ok(heads) => {
                self.runner.app.remember_heads(target, &heads);
                true
            }
            Err(error) => {
                self.failed(&format!("keeping the heads of the origin in {}", to.target), Ending::Incomplete, error);
                false
            }
        }
    }

    /// Carries what is missing, the newest first, and what was said later of the tags of the others.
    async fn carry(
        &self,
        selection: &Selection,
        origin: &OpenRepository,
        target: &OpenRepository,
    ) -> Result<SyncReport, Error> {
        let Selection { missing, shared, .. } = selection;
        if missing.is_empty() && shared.is_empty() {
            // Without a name, all would be meant.
            return Ok(SyncReport::default());
        }
        let handles: Vec<SnapshotHandle> = missing.iter().chain(shared).cloned().collect();
        let signing_key = signing::provided(None, &target.place.settings)?;
        let options = SyncOptions { signing_key, ..carrying(&handles) };
        Ok(sync::run(&origin.repository, &target.repository, &options, &self.context()).await?)
    }

    /// Says where a target locks for a shorter time than asked, and what its retention keeps nothing of that it is to lock.
    fn tell_lock(&mut self, to: &To, origin: &Repository, target: &OpenRepository) {
        // Rules of its own were looked at when the file was read; those of the origin may be others by now.
        if let Ok(Some(kept)) = policy_of(self.policy, to, origin) {
            let is_kept = |class: &str| kept.counts().any(|(rule, _)| rule == class);
            let classes = to.locks.iter().map(|lock| lock.class.name());
            let spurned: Vec<&str> = classes.filter(|class| !is_kept(class)).collect();
            if !spurned.is_empty() {
                let (target, from, spurned) = (&to.target, &self.policy.from, spurned.join(", "));
                self.recording.worsen(Ending::Incomplete, || {
                    format!("{target} is to lock what the retention of {from} keeps as {spurned}, which is nothing: see credenza at {} policy, or ask for no such lock", shell_word(from))
                });
            }
        }
        let has = target.repository.config().retain_days.unwrap_or(0);
        if has == 0 && !to.locks.is_empty() {
            let target = &to.target;
            return self.recording.worsen(Ending::Incomplete, || {
                format!("{target} locks nothing, and what its retention keeps is to be locked: make another target with create --retain 30d, or ask for no lock")
            });
        }
        let Some(asked) = to.lock_days else { return };
        if has < asked {
            let target = &to.target;
            self.recording.worsen(Ending::Incomplete, || {
                let locks = if has == 0 { "locks nothing".to_owned() } else { format!("locks for {has} days") };
                format!("{target} {locks}, and {asked} days are asked for: make another target with create --retain {asked}d, or ask for less")
            });
        }
    }

    /// Locks for longer what a rule of the retention keeps; whether it is locked as asked for.
    async fn lock_longer(
        &mut self,
        to: &To,
        origin: &OpenRepository,
        target: &OpenRepository,
        here: &Snapshots,
    ) -> bool {
        if to.locks.is_empty() || target.repository.config().retain_days.is_none() {
            return to.locks.is_empty();
        }
        match self.locked_longer(to, origin, target, here).await {
            Ok(()) => true,
            Err(error) => {
                let ending = match &error {
                    Error::Engine(EngineError::Damage(_)) => Ending::Damaged,
                    _ => Ending::Incomplete,
                };
                self.failed(&format!("locking snapshots in {} for longer", to.target), ending, error);
                false
            }
        }
    }

    async fn locked_longer(
        &self,
        to: &To,
        origin: &OpenRepository,
        target: &OpenRepository,
        here: &Snapshots,
    ) -> Result<(), Error> {
        let Some(plan) = plan_of(self.policy, to, &origin.repository, here)? else { return Ok(()) };
        copies::lock(&target.repository, (&plan, here.now), &to.locks, self.runner.stop).await?;
        Ok(())
    }

    /// Whether snapshots may be removed at a target: not where the origin was rolled back, or too many have vanished there, until it is said that this is
    /// meant.
    fn look_at_origin(
        &mut self,
        to: &To,
        seen: &Seen,
        (there, retreats): (&Snapshots, &[Retreat]),
    ) -> Result<bool, Error> {
        let has_retreated = (seen.has_retreated || !retreats.is_empty()) && !self.whole.is_vanishing_meant;
        if has_retreated {
            let (name, target) = (self.policy.short_name(), &to.target);
            let what = retreats.first().map_or_else(|| "the origin was rolled back".to_owned(), ToString::to_string);
            self.recording.worsen(Ending::Incomplete, || {
                format!("{what}: nothing is removed at {target}; where that is meant: credenza replicate run {name} --accept-vanished")
            });
        }
        let seen = &Seen { has_retreated, ..seen.clone() };
        self.remember(to, seen.clone());
        let Some(vanish_max) = self.policy.vanish_max else { return Ok(!has_retreated) };
        let gone = vanished(&seen.origin, there);
        let is_held = gone > usize::try_from(vanish_max).unwrap_or(usize::MAX) && !self.whole.is_vanishing_meant;
        let meant = meant(self.runner.app, self.policy)?;
        let is_meant = |handle: &&SnapshotHandle| meant.matches(handle);
        let mut origin: Vec<SnapshotId> =
            there.whole.iter().filter(is_meant).map(|handle| handle.snapshot.id).collect();
        if is_held {
            // What is gone stays gone until somebody has looked.
            origin.extend(&seen.origin);
            let target = to.target.clone();
            self.recording.did(Step::Vanished { target, gone: gone as u64, vanish_max });
            let (name, target) = (self.policy.short_name(), &to.target);
            self.recording.worsen(Ending::Incomplete, || {
                format!("{gone} snapshots are gone at the origin since the last run, and vanish_max is {vanish_max}: nothing is removed at {target}; where that is meant: credenza replicate run {name} --accept-vanished")
            });
        }
        let seen = Seen { origin: origin.into_iter().collect(), ..seen.clone() };
        self.remember(to, seen);
        Ok(!is_held && !has_retreated)
    }

    fn remember(&mut self, to: &To, seen: Seen) {
        if self.whole.known(&to.target) == seen {
            return;
        }
        let kept = self.whole.keep(&to.target, seen);
        if let Err(error) = kept {
            self.recording.failed("remembering what the origin has", Ending::Incomplete, Cause::Jobs(error));
        }
    }

    /// Removes at the target what its policy does not keep, and reclaims the space; what was removed.
    async fn prune(
        &mut self,
        to: &To,
        origin: &OpenRepository,
        target: &OpenRepository,
    ) -> Result<Vec<SnapshotId>, Error> {
        let Some(policy) = policy_of(self.policy, to, &origin.repository)? else { return Ok(Vec::new()) };
        let filter = SnapshotFilter::default();
        let meant = meant(self.runner.app, self.policy)?;
        let tags = TagEdits::load(&target.repository).await?;
        tags.require_whole()?;
        let removed_by = |plan: &prune::Plan| -> Vec<SnapshotHandle> {
            prune::removed(plan).into_iter().filter(|handle| meant.matches(&tags.applied(handle.clone()))).collect()
        };
        // The clock of the store is asked for by writing: only where there is something to remove.
        let rough = prune::plan(&target.repository, Some(policy.clone()), &filter, false).await?;
        if removed_by(&rough).is_empty() {
            return Ok(Vec::new());
        }
        let plan = prune::plan(&target.repository, Some(policy), &filter, true).await?;
        prune::require_usual(&plan)?;
        let removed = removed_by(&plan);
        // It may have been promoted while it was carried to.
        let is_replica = matches!(replica::state_now(&target.repository).await?, Some(Role::Replica { .. }));
        if removed.is_empty() || !is_replica {
            return Ok(Vec::new());
        }
        let kept = plan.decisions().count().saturating_sub(removed.len());
        let key = signing::provided(None, &target.place.settings)?;
        let Removal { removed: gone, verdict } = remove::remove_all(target, &removed, key.as_ref()).await?;
        verdict?;
        self.recording.did(Step::Pruned { kept, removed: removed.len() });
        let options = GcOptions { dry_run: false, repack_bytes_max: None };
        let report = gc::run(&target.repository, &options, &self.context()).await?;
        self.recording.did(Step::Maintained { bytes_freed: report.bytes_freed });
        Ok(gone)
    }

    /// Proves what the target has: each run asks it of all copies, and packs are read that never were.
    /// Whether all of them are proven.
    async fn prove(&mut self, to: &To, target: &OpenRepository, here: &Snapshots, seen: Seen) -> Result<bool, Error> {
        let meant = meant(self.runner.app, self.policy)?;
        let handles = copies_in(here, &meant);
        let proven = status::proven(&target.repository, to, &handles).await?;
        // Another machine that goes by the same policy may have removed meanwhile what cannot be proven.
        let now = if proven.unproven > 0 { Some(tagged(&target.repository).await?) } else { None };
        let (handles, mut proven) = match &now {
            None => (handles, proven),
            Some(now) => {
                let handles = copies_in(now, &meant);
                let proven = status::proven(&target.repository, to, &handles).await?;
                (handles, proven)
            }
        };
        let newest = handles.last().map(|handle| handle.snapshot.id);
        let (mut packs_read, mut damages) = (0, 0);
        if proven.unproven > 0 && to.prove.of_packs() == Prove::Read {
            let all: Vec<SnapshotHandle> = handles.iter().copied().cloned().collect();
            let proof = read_new(&target.repository, &all, &self.context()).await?;
            (packs_read, damages) = (proof.packs, proof.findings.len() as u64);
            proven = status::proven(&target.repository, to, &handles).await?;
        }
        let is_all = proven.unproven == 0 && damages == 0;
        // What is proven already is not told again.
        if newest.is_some() && (newest != seen.proven || !is_all) {
            let until = proven.until.and_then(SnapshotHandle::time);
            self.recording.did(Step::Proven { target: to.target.clone(), until, packs_read, damages });
            let proven = newest.filter(|_| is_all);
            self.remember(to, Seen { proven, ..self.whole.known(&to.target) });
        }
        if !is_all {
            let (unproven, target, word) = (proven.unproven, &to.target, shell_word(&to.target));
            self.recording.worsen(Ending::Damaged, || {
                format!("{unproven} copies in {target} are not proven, packs of them are missing or damaged: see credenza at {word} check")
            });
        }
        if let Proving::Drill(every) = to.prove {
            let rule = DrillRule { every, sample: DrillOptions { files: 5, folders: 1, bytes_max: DRILL_BYTES } };
            // Trials of two targets at once have a scratch folder each.
            let place = self.policy.targets.iter().position(|other| other.target == to.target).unwrap_or_default();
            let name = format!("{}.{place}", self.policy.name);
            verify::drill(self.runner, (&name, &rule), target, &mut self.recording).await?;
        }
        Ok(is_all)
    }
}

/// The snapshots of a target that are meant.
pub(super) fn copies_in<'a>(here: &'a Snapshots, meant: &Meant) -> Vec<&'a SnapshotHandle> {
    here.whole.iter().filter(|handle| meant.matches(handle)).collect()
}

fn failed(recording: &mut Recording<'_>, doing: &str, ending: Ending, error: Error) {
    let ending = if is_cancelled(&error) { Ending::Interrupted } else { ending };
    recording.failed(doing, ending, Cause::App(error));
}

fn doing(to: &To) -> String {
    format!("replicating to {}", to.target)
}
