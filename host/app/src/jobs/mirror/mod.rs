//! One run of a mirror: a cut of its source, the guard, and each target made to be that cut.
//!
//! The cut is a snapshot in the repository of the policy, with the tag `mirror:NAME`; where nothing has changed, the last one is taken. A suspect cut, and any
//! after it, is mirrored nowhere until somebody has acknowledged it; so is one that comes after a suspect snapshot of the same source, whoever has made that:
//! what it has destroyed the cut no longer shows. A target that fails keeps no other from being mirrored.
//!
//! Owned here: the order, which cut is meant, and how the run ended. Refused here: what is done at a target (`engine::mirror`), when it runs (`scheduler`).

pub mod circles;
mod places;
mod status;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::Arc;

use credenza_connect::Patterns;
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::flags::Flags;
use credenza_engine::mirror::{self, Deletes, Held, MARKER, MirrorOptions, MirrorReport, Target};
use credenza_engine::{
    Error as EngineError, Left, RunContext, SnapshotFilter, SnapshotHandle, SnapshotName, Snapshots,
};
use credenza_model::SnapshotId;

use super::error::JobsError;
use super::guard;
use super::outcome::{Ending, Mirrored, Step};
use super::recording::{Cause, Heard, Occasion, Recording};
use super::runner::Runner;
use super::sections::mirror::{Mirror, PREFIX, Route};
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::cost::Bill;
use crate::error::{Error, Result};
use crate::open::{DestinationUse, StoreUse};
use crate::patterns::PatternList;
use crate::repository::OpenRepository;
use crate::signing;
use circles::circle;
use places::{OpenTarget, place};
pub use status::{Standing, TargetStatus, status};

/// What somebody wants of one run.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// This cut, instead of a new one.
    pub to: Option<SnapshotName>,
    /// Only this target, as it is written.
    pub target: Option<String>,
    /// Replace what somebody else has put or changed there.
    pub overwrite: bool,
    /// Remove also where that is much.
    pub force: bool,
}

/// The name that runs of a mirror have, whether it is written with what all of them begin with or not.
#[must_use]
pub fn whole_name(name: &str) -> String {
    if name.starts_with(PREFIX) { name.to_owned() } else { format!("{PREFIX}{name}") }
}

/// Runs a mirror to its end; `all` are those of its file.
///
/// # Errors
/// [`JobsError::Busy`] where it runs already. All else is an ending.
pub async fn run(
    runner: &Runner<'_>,
    (mirror, all): (&Mirror, &[Route]),
    (occasion, wish): (&Occasion, &Wish),
    heard: &dyn Heard,
) -> Result<Ending, JobsError> {
    let _held = runner.state.be_run(&mirror.name)?;
    let work = async |runner: &Runner<'_>| {
        let recording = Recording::begin(&mirror.name, occasion, (runner.state, runner.clock, runner.stop), heard);
        let mut run = Run { runner, mirror, wish, recording, judged: BTreeSet::new(), bill: Bill::default() };
        run.all(all).await;
        run.recording.end(mirror.retry)
    };
    Ok(runner.limited(&mirror.limits, mirror.schedule.zone(), work).await)
}

/// What a run would do at each target with the newest cut, or the one that is wished; nothing is written.
///
/// # Errors
/// When the repository or a target cannot be read, or there is no such cut.
pub async fn plan(app: &App, mirror: &Mirror, wish: &Wish, run: &RunContext) -> Result<Vec<(String, MirrorReport)>> {
    let open = open(app, mirror, StoreUse::Read).await?;
    let cuts = cuts(&open, mirror).await?;
    let cut = chosen(&cuts, wish)?;
    let mut plans = Vec::new();
    for word in targets(mirror, wish) {
        let target = OpenTarget::of(app, mirror, word, DestinationUse::Preview).await?.target();
        let options = MirrorOptions { dry_run: true, ..options(mirror, wish) };
        plans.push((word.clone(), mirror::run(&open.repository, cut, &target, &options, run).await?));
    }
    Ok(plans)
}

/// The cuts of a mirror, oldest first.
///
/// # Errors
/// When the repository cannot be opened and listed.
pub async fn list(app: &App, mirror: &Mirror) -> Result<Snapshots> {
    cuts(&open(app, mirror, StoreUse::Read).await?, mirror).await
}

/// Whether its places can be had, and whether it leads in a circle.
pub(super) fn lacks(app: &App, mirror: &Mirror, all: &[Route]) -> Vec<(&'static str, Error)> {
    let via = via(app, mirror).and_then(|word| app.place(Kind::Repository, OsStr::new(&word), Settings::new()));
    let from = place(app, mirror, (Kind::Source, &mirror.from));
    let to = mirror.to.iter().map(|word| ("to", place(app, mirror, (Kind::Destination, word)).map(drop)));
    let mut lacks: Vec<(&'static str, Error)> = [("via", via.map(drop)), ("from", from.map(drop))]
        .into_iter()
        .chain(to)
        .filter_map(|(key, found)| Some((key, found.err()?)))
        .collect();
    if lacks.is_empty() {
        match circle(app, &mirror.route(), all) {
            Ok(None) => {}
            Ok(Some(circle)) => lacks.push(("to", circle.into())),
            Err(error) => lacks.push(("to", error)),
        }
    }
    lacks
}

fn via(app: &App, mirror: &Mirror) -> Result<String> {
    let word = app.repository_word(mirror.via.as_deref().map(OsStr::new), &app.configuration()?)?;
    Ok(word.to_string_lossy().into_owned())
}

async fn open(app: &App, mirror: &Mirror, purpose: StoreUse) -> Result<OpenRepository> {
    app.open_named(&via(app, mirror)?, purpose).await
}

/// The snapshots that this policy has made.
async fn cuts(open: &OpenRepository, mirror: &Mirror) -> Result<Snapshots> {
    Ok(cuts_of(&open.repository.snapshots().await?, mirror))
}

fn cuts_of(all: &Snapshots, mirror: &Mirror) -> Snapshots {
    all.clone().filtered(&SnapshotFilter { tags: vec![mirror.tag()], ..SnapshotFilter::default() })
}

fn chosen<'a>(cuts: &'a Snapshots, wish: &Wish) -> Result<&'a SnapshotHandle> {
    let name = wish.to.clone().unwrap_or_else(|| SnapshotName("latest".to_owned()));
    let id = cuts.find(&name)?.snapshot.id;
    let missing = || no_cut(&name.0);
    Ok(cuts.whole.iter().find(|handle| handle.snapshot.id == id).ok_or_else(missing)?)
}

fn no_cut(name: &str) -> EngineError {
    EngineError::NoSnapshot { reason: format!("there is no cut `{}`", name.escape_debug()) }
}

fn targets<'a>(mirror: &'a Mirror, wish: &'a Wish) -> impl Iterator<Item = &'a String> {
    mirror.to.iter().filter(|word| wish.target.as_ref().is_none_or(|wanted| wanted == *word))
}

fn options(mirror: &Mirror, wish: &Wish) -> MirrorOptions {
    MirrorOptions {
        policy: mirror.short_name().to_owned(),
        tag: mirror.tag(),
        deletes: mirror.deletes,
        versions: mirror.versions,
        overwrite: wish.overwrite,
        force: wish.force,
        dry_run: false,
    }
}

/// A run under way.
struct Run<'a> {
    runner: &'a Runner<'a>,
    mirror: &'a Mirror,
    wish: &'a Wish,
    recording: Recording<'a>,
    /// The snapshots that the guard has looked at.
    judged: BTreeSet<SnapshotId>,
    /// What was spent at the source and at the targets.
    bill: Bill,
}

impl Run<'_> {
    async fn all(&mut self, all: &[Route]) {
        match circle(self.runner.app, &self.mirror.route(), all) {
            Ok(None) => {}
            Ok(Some(circle)) => return self.recording.failed("mirroring", Ending::Refused, Cause::App(circle.into())),
            Err(error) => return self.stopped("finding the places of the mirror", error),
        }
        let open = tokio::select! {
            open = open(self.runner.app, self.mirror, StoreUse::Write) => open,
            () = self.runner.stop.requested() => Err(EngineError::Cancelled.into()),
        };
        let open = match open.and_then(|open| self.runner.app.require_encryption(&open, false).map(|()| open)) {
            Ok(open) => open,
            Err(error) => return self.stopped("opening the repository", error),
        };
        if let Err(error) = self.in_repository(&open).await {
            self.stopped("mirroring", error);
        }
        self.recording.did(Step::Spent { bill: open.store.billed(std::mem::take(&mut self.bill)) });
    }

    async fn in_repository(&mut self, open: &OpenRepository) -> Result<()> {
        let made = match self.wish.to {
            Some(_) => None,
            None => match self.back_up(open).await? {
                Some(made) => Some(made),
                None => return Ok(()),
            },
        };
        let all = open.repository.snapshots().await?;
        let cuts = cuts_of(&all, self.mirror);
        let cut = match made {
            Some(made) => {
                let gone = || no_cut(&made.to_string());
                cuts.whole.iter().find(|handle| handle.snapshot.id == made).ok_or_else(gone)?
            }
            None => chosen(&cuts, self.wish)?,
        };
        for word in targets(self.mirror, self.wish).cloned().collect::<Vec<_>>() {
            if let Err(error) = self.mirror_to(&word, open, (&all, cut)).await {
                let ending = if is_cancelled(&error) { Ending::Interrupted } else { Ending::Failed };
                self.recording.failed(&format!("mirroring to {word}"), ending, Cause::App(error));
                if ending == Ending::Interrupted {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Makes a cut, or takes the last one where nothing has changed; nothing where there is none.
    async fn back_up(&mut self, open: &OpenRepository) -> Result<Option<SnapshotId>> {
        let place = place(self.runner.app, self.mirror, (Kind::Source, &self.mirror.from))?;
        let source = self.runner.app.source(&place, None).await?;
        let excludes: Patterns = PatternList::gather(&[format!("/{MARKER}").into()], &[])?.of(&place.location)?;
        let cuts = cuts(open, self.mirror).await?;
        let options = BackupOptions {
            location: place.text(),
            excludes,
            tags: vec![self.mirror.tag()],
            skip_unchanged: true,
            signing_key: signing::provided(None, &open.place.settings)?,
            ..source.backup_options()
        };
        let back_up = async |options: &BackupOptions| {
            backup::run(&open.repository, Arc::clone(&source.connector), options, &self.context()).await
        };
        let is_cut = |id| cuts.whole.iter().any(|handle| handle.snapshot.id == id);
        let mut done = back_up(&options).await;
        if done.as_ref().is_ok_and(|report| report.unchanged_since.is_some_and(|id| !is_cut(id))) {
            // The snapshot of a job, or of another policy.
            done = back_up(&BackupOptions { skip_unchanged: false, ..options }).await;
        }
        self.bill = source.billed(std::mem::take(&mut self.bill));
        let report = done?;
        let cut = report.snapshot.or(report.unchanged_since);
        if report.errors > 0 {
            let from = &self.mirror.from;
            let stays = if self.mirror.deletes == Deletes::Keep { "" } else { ", and nothing is removed at a target" };
            self.recording
                .worsen(Ending::Incomplete, || format!("{} entries of {from} could not be read{stays}", report.errors));
        }
        self.recording.did(Step::BackedUp {
            source: report.source,
            snapshot: report.snapshot,
            entries: report.entries,
            errors: report.errors,
            bytes_read: report.bytes_read,
            bytes_added: report.bytes_added,
        });
        Ok(cut)
    }

    async fn mirror_to(&mut self, word: &str, open: &OpenRepository, cut: (&Snapshots, &SnapshotHandle)) -> Result<()> {
        let target = OpenTarget::of(self.runner.app, self.mirror, word, DestinationUse::WriteHistory).await?;
        let done = self.mirror_at((word, &target.target()), open, cut).await;
        self.bill = target.billed(std::mem::take(&mut self.bill));
        done
    }

    async fn mirror_at(
        &mut self,
        (word, target): (&str, &Target),
        open: &OpenRepository,
        (all, cut): (&Snapshots, &SnapshotHandle),
    ) -> Result<()> {
        let at = mirror::marker(target).await?.and_then(|marker| marker.cut);
        let coming = coming(all, cut, at, self.wish.to.is_some());
        self.look_at(open, &coming).await?;
        let flags = Flags::load(&open.repository).await?;
        if let Some(suspect) = coming.iter().find(|handle| flags.suspicion(handle).is_some()) {
            let id = suspect.snapshot.id;
            let via = via(self.runner.app, self.mirror)?;
            self.recording.worsen(Ending::Incomplete, || {
                format!(
                    "the snapshot {id:.8} of {} is suspect, and nothing of it is mirrored: look at it, then say so with credenza at {} jobs acknowledge {id:.8}, or roll back with credenza mirror run {} --to CUT",
                    self.mirror.from,
                    crate::shell::shell_word(&via),
                    self.mirror.short_name(),
                    id = id.to_string(),
                )
            });
            return Ok(());
        }
        let options = options(self.mirror, self.wish);
        let report = mirror::run(&open.repository, cut, target, &options, &self.context()).await?;
        self.judge(word, &report);
        self.recording.did(step(word, cut, report));
        Ok(())
    }

    /// Has the guard look at each snapshot that is to come to a target, and at which nobody has looked.
    async fn look_at(&mut self, open: &OpenRepository, coming: &[&SnapshotHandle]) -> Result<()> {
        let flags = Flags::load(&open.repository).await?;
        for handle in coming.iter().filter(|handle| flags.of(handle).is_none()) {
            let snapshot = handle.snapshot.id;
            if !self.judged.insert(snapshot) {
                continue;
            }
            let reason = guard::examine(&open.repository, snapshot, &self.mirror.guard, &self.context()).await?;
            if let Some(reason) = reason {
                self.recording.did(Step::Suspect { source: self.mirror.from.clone(), snapshot, reason });
            }
        }
        Ok(())
    }

    /// What a report means for the run.
    fn judge(&mut self, word: &str, report: &MirrorReport) {
        let name = self.mirror.short_name();
        if let Some(held) = report.held {
            let why = why(held, report);
            return self.recording.worsen(Ending::Incomplete, || {
                let flag = if held == Held::Removals { "--force" } else { "--overwrite" };
                format!("nothing was done at {word}: {why}; if that is meant: credenza mirror run {name} {flag}")
            });
        }
        if report.written.damaged > 0 {
            let damaged = report.written.damaged;
            self.recording
                .worsen(Ending::Damaged, || format!("{damaged} objects of the cut are damaged in the repository"));
        }
        if !report.is_whole(self.mirror.deletes) {
            let (lacking, left) = (report.lacking(), report.gone - report.removed);
            let extra = named(&report.extra);
            let withheld = match report.withheld {
                0 => String::new(),
                withheld => format!(", {withheld} stay because something of the source could not be read for the cut"),
            };
            self.recording.worsen(Ending::Incomplete, || {
                format!("{word} is not all that the cut is: {lacking} objects are lacking, {left} could not be removed, {} are nobody's{extra}{withheld}", report.extra.entries)
            });
        }
    }

    fn context(&self) -> RunContext {
        RunContext { events: self.recording.events(), stop: self.runner.stop.clone() }
    }

    fn stopped(&mut self, doing: &str, error: Error) {
        let ending = match error.engine() {
            Some(EngineError::Cancelled) => Ending::Interrupted,
            Some(cause) if cause.is_of_source() => Ending::Failed,
            _ => Ending::Unreachable,
        };
        self.recording.failed(doing, ending, Cause::App(error));
    }
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error.engine(), Some(EngineError::Cancelled))
}

/// Why nothing was done, for a person.
#[must_use]
pub fn why(held: Held, report: &MirrorReport) -> String {
    match held {
        Held::OtherMirror => "it is the mirror of another policy, repository or source".to_owned(),
        Held::Foreign => {
            format!(
                "{} objects there were put or changed by somebody else{}",
                report.foreign.entries,
                named(&report.foreign)
            )
        }
        Held::Removals => format!("{} objects were to be removed, of all that are there more than half", report.gone),
    }
}

fn named(left: &Left) -> String {
    match left.examples.as_slice() {
        [] => String::new(),
        examples => format!(" ({})", examples.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")),
    }
}

fn step(word: &str, cut: &SnapshotHandle, report: MirrorReport) -> Step {
    Step::Mirrored(Mirrored {
        target: word.to_owned(),
        cut: cut.snapshot.id,
        cut_made: cut.snapshot.started,
        held: report.held,
        new: report.new,
        changed: report.changed,
        same: report.same,
        removed: report.removed,
        kept: report.kept,
        missing: report.missing,
        foreign: report.foreign.entries,
        extra: report.extra.entries,
        lacking: report.lacking(),
        bytes: report.written.bytes,
        lost: report.written.unrestored,
    })
}

/// The snapshots of its source that come to a target with a cut: that itself, and where it is not asked for by name those since the one that the target is,
/// cuts or not, since what one of them has destroyed the next no longer shows.
fn coming<'a>(
    all: &'a Snapshots,
    cut: &SnapshotHandle,
    at: Option<SnapshotId>,
    is_asked_for: bool,
) -> Vec<&'a SnapshotHandle> {
    let identity = &cut.snapshot.source.identity;
    let of_source: Vec<&SnapshotHandle> =
        all.whole.iter().filter(|handle| handle.snapshot.source.identity == *identity).collect();
    let place = |id: SnapshotId| of_source.iter().position(|handle| handle.snapshot.id == id);
    let Some(until) = place(cut.snapshot.id) else { return Vec::new() };
    let since = if is_asked_for { None } else { at.and_then(place) };
    of_source.get(since.map_or(until, |since| since + 1)..=until).unwrap_or_default().to_vec()
}
