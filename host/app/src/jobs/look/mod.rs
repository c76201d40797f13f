//! One look at all jobs: what their runs and promises have come to since the last one, who is to be told, and the telling.
//!
//! Owned here: when a promise is measured, what a run means for the state of its job, tries of notices and the waits between them. Refused here: what a change
//! is (`notify`), and the wait until the next look (`daemon`). Called after each run and when the last look said so.
//!
//! A promise is measured after each run of its job, when by what was measured last it would be at risk or broken, and once a day, which finds what somebody
//! deleted. So no repository is opened for nothing. One that cannot be asked is *not known*, which is no alarm; when by what was known last the promise would
//! be at risk or broken, it is one. It is asked again after [`UNKNOWN_AGAIN`].
//!
//! A notice that is not taken waits from [`AGAIN`] to [`AGAIN_MAX`], and what comes after it for the same one who hears waits with it, so that the order
//! stays; after [`GIVEN_UP`] it is given up, which is put on record. Bound: that of `book`.

pub mod book;
mod digest;
#[cfg(test)]
mod ear;
#[cfg(test)]
mod month;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod weeks;
#[cfg(test)]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use credenza_model::{SnapshotId, Timestamp};

use super::error::JobsError;
use super::file::{Job, JobsFile, Work};
use super::guard::{self, Suspect};
use super::log::{Past, Record};
use super::needs::{self, Copy, Measured};
use super::notify::change::Found;
use super::notify::{CarryError, Notice, Section, Subject, Target, Word, carry};
use super::outcome::{Ending, Step};
use super::promise::{self, Kept, Standing};
use super::replicate::alarm::{self, CopyState};
use super::replicate::silence::{Silence, silence};
use super::run::{self, Cause, Runner};
use super::schedule::{instant, later, timestamp};
use super::sections::replicate::{Replicate, To};
use crate::error::Error;
use crate::open::StoreUse;
use book::{Asked, Book, Known, Waiting};

/// What was measured is true for a day, unless a run or the clock says otherwise.
const DAY: Duration = Duration::from_hours(24);
/// What a repository held counts for so long after it answered last: it is asked once a day, and one that does not answer then has another day.
const HELD: Duration = Duration::from_hours(48);
/// A repository that could not be asked is asked again.
const UNKNOWN_AGAIN: Duration = Duration::from_mins(15);
/// A repository that says nothing for so long is not waited for.
const MEASURE_TIMEOUT: Duration = Duration::from_mins(2);
/// The wait after the first try of a notice; it doubles.
const AGAIN: Duration = Duration::from_secs(30);
/// The longest wait between tries.
const AGAIN_MAX: Duration = Duration::from_hours(1);
/// A notice that was not taken for so long has nobody who hears.
const GIVEN_UP: Duration = Duration::from_hours(72);
/// Whether somebody has looked at what is suspect is asked again.
const SUSPECT_AGAIN: Duration = Duration::from_hours(1);
/// A promise with numbers that is not kept is measured again.
const NEEDS_AGAIN: Duration = Duration::from_hours(1);
/// And not sooner than that, where the clocks of store and machine go apart.
const CHANGE_WAIT: Duration = Duration::from_mins(1);
/// Another process looks; it will not take long.
const BUSY_WAIT: Duration = Duration::from_mins(1);
/// Runs that are looked back at.
const PAST_MAX: usize = 1000;
/// And where nothing is known.
const PAST_MAX_FIRST: usize = 10_000;

/// What a look tells while it goes on.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// Something has changed.
    Changed(&'a Notice),
    /// One who hears took a notice.
    Taken(&'a Notice, &'a str),
    /// One who hears did not; it is tried again then, or given up.
    NotTaken(&'a Notice, &'a str, &'a CarryError, Option<Timestamp>),
    /// What is kept of jobs cannot be read or written.
    Fault(&'a JobsError),
}

/// Hears what a look tells.
pub trait Hears: Send + Sync {
    /// Something is told.
    fn told(&self, told: Told<'_>);
}

/// What a look needs.
pub struct Look<'a> {
    /// The program, the record, the time, and what ends it early.
    pub runner: Runner<'a>,
    /// The jobs.
    pub jobs: &'a JobsFile,
    /// Who hears of it.
    pub hears: Arc<dyn Hears>,
}

/// What a look has come to.
#[derive(Debug, Default)]
pub struct Looked {
    /// When there may be something to do again, whatever runs until then.
    pub again_at: Option<Timestamp>,
    /// What is known and could not be written: the next look is to go by it.
    pub unwritten: Option<Box<Book>>,
}

impl Look<'_> {
    /// Looks at all that is due. `unwritten` is what the look before could not write.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn at_all(&self, unwritten: Option<Box<Book>>) -> Result<Looked, JobsError> {
        let state = self.runner.state;
        let Ok(_held) = state.be_looking() else {
            return Ok(Looked { again_at: Some(later(self.now(), BUSY_WAIT)), unwritten });
        };
        let mut looking = Looking {
            look: self,
            book: unwritten.map_or_else(|| Book::read(&state.notices()), |book| *book),
            is_written: true,
        };
        looking.forget();
        let past = looking.runs()?;
        let copies_at = looking.copies(&past);
        looking.digests();
        looking.keep();
        looking.deliver().await;
        let due: Vec<&Job> = self.jobs.jobs.values().filter(|job| looking.is_due(job)).collect();
        for job in due {
            looking.measure(job).await;
            looking.keep();
            looking.deliver().await;
        }
        if looking.are_needs_due() {
            looking.measure_needs().await;
            looking.keep();
            looking.deliver().await;
        }
        let again_at = looking.again_at().into_iter().chain(copies_at).min();
        let unwritten = (!looking.is_written).then(|| Box::new(looking.book));
        Ok(Looked { again_at, unwritten })
    }

    fn now(&self) -> Timestamp {
        self.runner.clock.now().wall
    }
}

/// Sends a notice to each who hears of a section, once, and says what came of it. Nothing of it is kept.
///
/// # Errors
/// What the first said that did not take it; the others are told all the same.
pub async fn test(look: &Look<'_>, section: &Section) -> Result<(), CarryError> {
    let at = look.now();
    let text = "This is a test: whoever reads it hears of the backups of this machine.".to_owned();
    let notice = Notice { id: format!("test-{}", at.seconds), at, word: Word::Test, subject: None, text };
    let mut failed = Ok(());
    for to in &section.to {
        match carry(&look.jobs.notify, section, to, &notice, at).await {
            Ok(()) => look.hears.told(Told::Taken(&notice, &to.shown())),
            Err(error) => {
                look.hears.told(Told::NotTaken(&notice, &to.shown(), &error, None));
                failed = failed.and(Err(error));
            }
        }
    }
    failed
}

/// A look under way.
struct Looking<'a> {
    look: &'a Look<'a>,
    book: Book,
    is_written: bool,
}

impl Looking<'_> {
    /// Drops what is known of what is not in the file any more.
    fn forget(&mut self) {
        let JobsFile { jobs, notify, promises, replicates, .. } = self.look.jobs;
        let runs_by_itself = |job: &String| self.look.jobs.works().any(|work| work.name() == job);
        let promised = |job: &String| jobs.get(job).is_some_and(|job| job.promise.is_some());
        let measured = |job: &String| jobs.get(job).is_some_and(is_measured);
        let Book { states, known, measure_at, runs, digests, waiting, .. } = &mut self.book;
        states.0.retain(|subject, _| match subject {
            Subject::Job { job } => runs_by_itself(job),
            Subject::Guard { job, .. } => jobs.contains_key(job),
            Subject::Promise { job, .. } => promised(job),
            Subject::Needs { promise, .. } => promises.iter().any(|needs| needs.name == *promise),
            Subject::Copy { policy, target } => {
                let is_promised = |to: &To| to.target == *target && to.is_here && to.rpo.is_some();
                replicates.get(policy).is_some_and(|policy| policy.targets.iter().any(is_promised))
            }
            Subject::Origin { policy } => replicates.get(policy).is_some_and(|policy| policy.silent.is_some()),
            Subject::Repository { repository } => jobs.values().any(|job| job.repository == *repository),
        });
        known.retain(|job, _| promised(job));
        measure_at.retain(|job, _| measured(job));
        runs.retain(|job, _| runs_by_itself(job));
        digests.retain(|name, _| notify.sections.iter().any(|section| section.name == *name));
        waiting.retain(|waiting| self.look.target(waiting).is_some());
    }

    /// Takes what runs have come to since the last look, in their order; all that is remembered of them, the newest first.
    fn runs(&mut self) -> Result<Vec<Past>, JobsError> {
        let now = self.look.now();
        let most = if self.book.runs.is_empty() { PAST_MAX_FIRST } else { PAST_MAX };
        let past = self.look.runner.state.log().past(None, most)?;
        for work in self.look.jobs.works() {
            let name = work.name();
            let ended: Vec<&Past> = past.iter().filter(|past| past.job == name && past.ending.is_some()).collect();
            let Some(newest) = ended.first() else { continue };
            let seen = self.book.runs.get(name);
            let new = seen.and_then(|seen| ended.iter().position(|past| past.began == *seen)).unwrap_or(1);
            for past in ended.iter().take(new).rev() {
                for found in of_run(work, past).into_iter().chain(of_guard(name, past)) {
                    self.observe(found, now);
                }
                if matches!(work, Work::Job(job) if is_measured(job)) {
                    self.book.measure_at.insert(name.to_owned(), now);
                }
            }
            // What a run has made may be what was missing.
            let is_bad = |subject: &Subject| matches!(subject, Subject::Needs { .. });
            if new > 0 && self.book.states.0.keys().any(is_bad) {
                self.book.needs_at = Some(now);
            }
            self.book.runs.insert(name.to_owned(), newest.began);
        }
        Ok(past)
    }

    /// Takes how far copies are behind, and whether their origins are silent; when that may be worse by the clock alone.
    fn copies(&mut self, past: &[Past]) -> Option<Timestamp> {
        let (now, jobs) = (self.look.now(), self.look.jobs);
        let mut next = Vec::new();
        for policy in jobs.replicates.values().filter(|policy| policy.is_here()) {
            for state in alarm::copies(policy, jobs, past, now) {
                next.extend(state.next);
                self.observe(of_copy(policy, &state), now);
            }
            if let Some(silence) = silence(policy, past) {
                self.observe(of_origin(policy, &silence), now);
            }
        }
        next.into_iter().min()
    }

    fn observe(&mut self, found: Found, now: Timestamp) {
        let Some(notice) = self.book.states.observe(found, now) else { return };
        self.look.hears.told(Told::Changed(&notice));
        for section in &self.look.jobs.notify.sections {
            if section.hears(notice.word) {
                self.post(section, &notice);
            }
        }
    }

    fn post(&mut self, section: &Section, notice: &Notice) {
        for to in &section.to {
            for gone in self.book.post(&section.name, &to.id(), notice) {
                self.look.record(&gone.notice, &to.shown(), Some("too many notices wait".to_owned()));
            }
        }
    }

    fn digests(&mut self) {
        let now = self.look.now();
        for section in &self.look.jobs.notify.sections {
            let Some(due) = section.digest.as_ref().and_then(|digest| digest.newest_until(instant(now))).map(timestamp)
            else {
                continue;
            };
            let last = self.book.digests.insert(section.name.clone(), due);
            // The first one is that of the next time: a summary of what nobody saw begin says little.
            let Some(last) = last.filter(|last| *last < due) else { continue };
            match digest::text(self.look.jobs, &self.look.runner.state.log(), &self.book, last) {
                Ok(text) => {
                    let id = format!("digest-{}-{}", section.name, due.seconds);
                    self.post(section, &Notice { id, at: now, word: Word::Digest, subject: None, text });
                }
                Err(error) => self.look.hears.told(Told::Fault(&error)),
            }
        }
    }

    /// Writes what is known; where that fails, it stays in memory.
    fn keep(&mut self) {
        let written = self.book.write(&self.look.runner.state.notices());
        self.is_written = written.is_ok();
        if let Err(error) = written {
            self.look.hears.told(Told::Fault(&error));
        }
    }

    fn is_due(&self, job: &Job) -> bool {
        let now = self.look.now();
        let at = self.book.measure_at.get(&job.name);
        // A clock that was set back must not keep a promise from being measured.
        is_measured(job) && at.is_none_or(|at| *at <= now || *at > later(now, DAY))
    }

    async fn measure(&mut self, job: &Job) {
        let stop = self.look.runner.stop;
        let measuring = tokio::time::timeout(MEASURE_TIMEOUT, self.look.asked(job));
        let measured = tokio::select! {
            measured = measuring => measured,
            () = stop.requested() => return,
        };
        let measured = match measured {
            Ok(measured) => measured.map_err(|error| Cause::App(error).to_string()),
            Err(_) => Err(format!("it did not answer within {} s", MEASURE_TIMEOUT.as_secs())),
        };
        if stop.is_requested() {
            return;
        }
        let now = self.look.now();
        let again = match measured {
            Ok((standings, suspects)) => {
                let again = self.measured(job, standings, now);
                let asked_again = match suspects {
                    Ok(suspects) => self.guarded(job, &suspects, now),
                    Err(error) => self.not_guarded(job, error, now),
                };
                asked_again.min(again)
            }
            Err(why) => self.not_measured(job, &why, now),
        };
        self.book.measure_at.insert(job.name.clone(), again);
    }

    /// Takes how a promise stands; when it is to be measured again.
    fn measured(&mut self, job: &Job, standings: Vec<Standing>, now: Timestamp) -> Timestamp {
        let mut again = later(now, DAY);
        let before = self.book.known.remove(&job.name).unwrap_or_default();
        for standing in standings {
            let Standing { source, snapshot, slack, kept, .. } = &standing;
            let waited = before.get(source).filter(|known| known.snapshot.is_none()).map(|known| known.time);
            // How old it is the store has said; the clock of this machine may be another.
            let promised = i64::try_from(job.promise.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
            let age = promised.saturating_sub(*slack);
            let made = Timestamp { seconds: now.seconds.saturating_sub(age), nanoseconds: 0 };
            let time = snapshot.map_or_else(|| waited.unwrap_or(now), |_| made);
            let known = Known { snapshot: *snapshot, time, unknown: None };
            if let (Some(_), Some(change)) = (snapshot, promise::next_change(job, known.time, now)) {
                again = again.min(change);
            }
            self.observe(of_promise(job, source, &known, *kept), now);
            self.book.known.entry(job.name.clone()).or_default().insert(source.clone(), known);
        }
        again
    }

    /// Takes which snapshots of a job's sources are suspect: somebody may have looked at them meanwhile. When that is to be asked again.
    fn guarded(&mut self, job: &Job, suspects: &[Suspect], now: Timestamp) -> Timestamp {
        let subject = |source: &str| Subject::Guard { job: job.name.clone(), source: source.to_owned() };
        for suspect in suspects {
            let found = suspected(&job.name, &suspect.source, suspect.snapshot, &suspect.reason);
            self.observe(found, now);
        }
        let is_of_job = |subject: &&Subject| matches!(subject, Subject::Guard { job: of, .. } if *of == job.name);
        let bad: Vec<Subject> = self.book.states.0.keys().filter(is_of_job).cloned().collect();
        let is_suspect = |found: &Subject| suspects.iter().any(|suspect| subject(&suspect.source) == *found);
        let (still, cleared): (Vec<Subject>, Vec<Subject>) = bad.into_iter().partition(is_suspect);
        for subject in cleared {
            let text = format!("Each suspect snapshot of {subject} is looked at or gone.");
            self.observe(Found { subject, word: None, text }, now);
        }
        later(now, if still.is_empty() { DAY } else { SUSPECT_AGAIN })
    }

    /// What is suspect cannot be told: what was known of it stays. When it is to be asked again.
    fn not_guarded(&self, job: &Job, error: Error, now: Timestamp) -> Timestamp {
        let source = std::io::Error::other(Cause::App(error).to_string());
        let (path, doing) = (job.repository.clone().into(), "asked which snapshots are suspect");
        self.look.hears.told(Told::Fault(&JobsError::State { path, doing, source }));
        later(now, SUSPECT_AGAIN)
    }

    /// What is known of a promise that cannot be measured becomes worse by the clock alone, and never better.
    fn not_measured(&mut self, job: &Job, why: &str, now: Timestamp) -> Timestamp {
        let mut known = self.book.known.remove(&job.name).unwrap_or_default();
        for source in run::sources(self.look.runner.app, job).unwrap_or_default() {
            known.entry(source).or_insert(Known { snapshot: None, time: now, unknown: None });
        }
        let mut again = later(now, UNKNOWN_AGAIN);
        for (source, known) in &mut known {
            let since = known.unknown.as_ref().map_or(now, |(since, _)| *since);
            known.unknown = Some((since, why.to_owned()));
            again = again.min(promise::next_change(job, known.time, now).unwrap_or(again));
            let kept = promise::judge_at(job, known.time, now);
            if kept != Kept::Kept {
                self.observe(of_promise(job, source, known, kept), now);
            }
        }
        self.book.known.insert(job.name.clone(), known);
        again
    }

    fn are_needs_due(&self) -> bool {
        let now = self.look.now();
        let is_time = self.book.needs_at.is_none_or(|at| at <= now || at > later(now, DAY));
        !self.look.jobs.promises.is_empty() && is_time
    }

    /// Measures promises with numbers. What a repository held that cannot be asked now is taken for held for another day, and grows older.
    async fn measure_needs(&mut self) {
        let asked = tokio::select! {
            asked = needs::ask(&self.look.runner, self.look.jobs) => asked,
            () = self.look.runner.stop.requested() => return,
        };
        let now = self.look.now();
        let Ok(mut found) = asked else {
            self.book.needs_at = Some(later(now, UNKNOWN_AGAIN));
            return;
        };
        let mut again = later(now, if found.unknown.is_empty() { DAY } else { UNKNOWN_AGAIN });
        for (repository, _) in &found.unknown {
            let Some(at) = self.book.copies_at.get(repository).copied() else { continue };
            let passed = u64::try_from(now.seconds.saturating_sub(at.seconds)).unwrap_or(0);
            if passed > HELD.as_secs() {
                continue;
            }
            for (source, copies) in &self.book.copies {
                let held = copies.iter().filter(|copy| copy.repository == *repository);
                let older = held.map(|copy| copy.older_by(passed));
                found.copies.entry(source.clone()).or_default().extend(older);
            }
        }
        for copy in found.copies.values().flatten() {
            if !found.unknown.iter().any(|(repository, _)| *repository == copy.repository) {
                self.book.copies_at.insert(copy.repository.clone(), now);
            }
        }
        // Where all copies of a source are gone, it is one still: a promise by a pattern is about it.
        found.remember(self.book.copies.keys());
        for needs in &self.look.jobs.promises {
            let sources = needs::sources(self.look.runner.app, needs, &found).unwrap_or_default();
            for source in sources {
                let copies = found.copies.get(&source).map_or(&[][..], Vec::as_slice);
                let measured = needs::judge(needs, &source, copies);
                if measured.kept != Kept::Kept {
                    again = again.min(later(now, NEEDS_AGAIN));
                }
                if let Some(change) = needs::next_change(needs, copies) {
                    again = again.min(later(now, change.max(CHANGE_WAIT)));
                }
                self.observe(of_needs(&measured, &found.unknown), now);
            }
        }
        // Of what cannot be asked the last that was known stays.
        let unknown = |copy: &Copy| found.unknown.iter().any(|(repository, _)| *repository == copy.repository);
        let before = std::mem::take(&mut self.book.copies);
        let mut copies: BTreeMap<String, Vec<Copy>> = before
            .into_iter()
            .map(|(source, copies)| (source, copies.into_iter().filter(|copy| unknown(copy)).collect()))
            .collect();
        for (source, held) in &found.copies {
            copies.entry(source.clone()).or_default().extend(held.iter().filter(|copy| !unknown(copy)).cloned());
        }
        self.book.copies = copies;
        let unknown = found.unknown.into_iter().map(|(repository, _)| repository).collect();
        self.book.asked = Some(Asked { at: now, unknown, wants: needs::Wants::of(self.look.jobs) });
        self.book.needs_at = Some(again);
    }

    /// Sends what waits and is due, for each who hears in its order.
    async fn deliver(&mut self) {
        let mut resting: BTreeSet<(String, String)> = BTreeSet::new();
        let mut place = 0;
        while let Some(waiting) = self.book.waiting.get(place).cloned() {
            let channel = (waiting.section.clone(), waiting.to.clone());
            let now = self.look.now();
            let Some((section, to)) = self.look.target(&waiting) else {
                self.book.waiting.remove(place);
                continue;
            };
            let is_time = waiting.not_before <= now || waiting.not_before > later(now, AGAIN_MAX);
            if resting.contains(&channel) || !is_time {
                resting.insert(channel);
                place += 1;
                continue;
            }
            let carried = tokio::select! {
                carried = carry(&self.look.jobs.notify, section, to, &waiting.notice, now) => carried,
                () = self.look.runner.stop.requested() => return,
            };
            match carried {
                Ok(()) => {
                    self.book.waiting.remove(place);
                    self.look.hears.told(Told::Taken(&waiting.notice, &to.shown()));
                    self.look.record(&waiting.notice, &to.shown(), None);
                }
                Err(error) => {
                    resting.insert(channel);
                    place += usize::from(!self.not_taken(place, &waiting, (to, &error)));
                }
            }
            self.keep();
        }
    }

    /// Has a notice wait for another try, or gives it up; whether it is given up.
    fn not_taken(&mut self, place: usize, waiting: &Waiting, (to, error): (&Target, &CarryError)) -> bool {
        let (now, shown) = (self.look.now(), to.shown());
        let age = now.seconds.saturating_sub(waiting.notice.at.seconds);
        let is_given_up = age >= i64::try_from(GIVEN_UP.as_secs()).unwrap_or(i64::MAX);
        if is_given_up {
            self.book.waiting.remove(place);
            self.look.hears.told(Told::NotTaken(&waiting.notice, &shown, error, None));
            self.look.record(&waiting.notice, &shown, Some(error.to_string()));
        } else if let Some(waiting) = self.book.waiting.get_mut(place) {
            let doubled = AGAIN.saturating_mul(1_u32.checked_shl(waiting.tries.min(31)).unwrap_or(u32::MAX));
            waiting.tries = waiting.tries.saturating_add(1);
            waiting.not_before = later(now, doubled.min(AGAIN_MAX));
            self.look.hears.told(Told::NotTaken(&waiting.notice, &shown, error, Some(waiting.not_before)));
        }
        is_given_up
    }

    /// When there may be something to do again.
    fn again_at(&self) -> Option<Timestamp> {
        let now = self.look.now();
        let mut channels = BTreeSet::new();
        let heads = self.book.waiting.iter().filter(|waiting| channels.insert((&waiting.section, &waiting.to)));
        let heads = heads.map(|waiting| waiting.not_before);
        let digests = self.look.jobs.notify.sections.iter().filter_map(|section| section.digest.as_ref());
        let digests = digests.filter_map(|digest| digest.next_after(instant(now))).map(timestamp);
        let needs = self.book.needs_at.filter(|_| !self.look.jobs.promises.is_empty());
        heads.chain(digests).chain(self.book.measure_at.values().copied()).chain(needs).min()
    }
}

impl<'a> Look<'a> {
    /// What the repository of a job says of its promise, and of what is suspect of its sources, which may not be told where the promise is.
    async fn asked(&self, job: &Job) -> Result<(Vec<Standing>, Result<Vec<Suspect>, Error>), Error> {
        let open = self.runner.open(job, StoreUse::Write).await?;
        let standings = promise::measure_in(&open, self.runner.app, job).await?;
        if job.guard.is_none() {
            return Ok((standings, Ok(Vec::new())));
        }
        let sources = run::sources(self.runner.app, job)?;
        let of_job = |suspects: Vec<Suspect>| -> Vec<Suspect> {
            suspects.into_iter().filter(|suspect| sources.contains(&suspect.source)).collect()
        };
        Ok((standings, guard::all_suspects(&open.repository).await.map(of_job)))
    }

    /// Whom a notice is for, where the file still names them.
    fn target(&self, waiting: &Waiting) -> Option<(&'a Section, &'a Target)> {
        let section = self.jobs.notify.sections.iter().find(|section| section.name == waiting.section)?;
        Some((section, section.to.iter().find(|to| to.id() == waiting.to)?))
    }

    fn record(&self, notice: &Notice, to: &str, failed: Option<String>) {
        let record = Record::Told { at: self.now(), to: to.to_owned(), notice: notice.clone(), failed };
        if let Err(error) = self.runner.state.log().add(&record) {
            self.hears.told(Told::Fault(&error));
        }
    }
}

/// Whether the repository of a job is asked for more than runs say.
const fn is_measured(job: &Job) -> bool {
    job.promise.is_some() || job.guard.is_some()
}

/// What the guard of a run has found.
fn of_guard(job: &str, past: &Past) -> Vec<Found> {
    let suspect = |step: &Step| match step {
        Step::Suspect { source, snapshot, reason } => Some(suspected(job, source, *snapshot, reason)),
        _ => None,
    };
    past.steps.iter().filter_map(suspect).collect()
}

fn suspected(name: &str, source: &str, snapshot: SnapshotId, reason: &str) -> Found {
    let text = format!(
        "The snapshot {snapshot} of {source} is suspect: {reason}. Nothing of that source is removed until somebody has looked: credenza jobs acknowledge {snapshot} --job {name}"
    );
    let subject = Subject::Guard { job: name.to_owned(), source: source.to_owned() };
    Found { subject, word: Some(Word::Suspect), text }
}

/// Whether a suspect snapshot is all that makes a run incomplete.
fn is_suspect_alone(steps: &[Step]) -> bool {
    let is_incomplete = |step: &Step| match step {
        Step::BackedUp { errors, .. } | Step::Found { errors, .. } => *errors > 0,
        Step::Held { .. } | Step::Failed { .. } => true,
        _ => false,
    };
    steps.iter().any(|step| matches!(step, Step::Suspect { .. })) && !steps.iter().any(is_incomplete)
}

/// What a run says of its job; nothing where it is tried again, or says nothing of what the next will do.
fn of_run(work: Work<'_>, past: &Past) -> Option<Found> {
    let (_, retry) = work.retries();
    let is_last_try = past.due.is_none() || past.tries.saturating_add(1) >= retry.tries;
    let word = match past.ending? {
        Ending::Done => None,
        // That is told by itself.
        Ending::Incomplete if is_suspect_alone(&past.steps) => return None,
        Ending::Incomplete => Some(Word::Incomplete),
        Ending::Damaged => Some(Word::Damage),
        Ending::Refused | Ending::Spent => Some(Word::Failed),
        Ending::Failed | Ending::Unreachable if is_last_try => Some(Word::Failed),
        Ending::Failed | Ending::Unreachable | Ending::Busy | Ending::Interrupted | Ending::Lost => return None,
    };
    let (name, began) = (work.name(), past.began);
    let not_done = match work {
        Work::Job(_) => "made no backup",
        Work::Verify(_) => "verified nothing",
        Work::Replicate(_) => "carried not all",
        Work::Mirror(_) => "mirrored nothing",
    };
    let why = past.reason.as_deref().unwrap_or("the log says no more");
    let next = format!("See what it did: credenza jobs history {name}");
    let text = match word {
        None => format!("The run of `{name}` that began at {began} did all that it should."),
        Some(Word::Incomplete) => format!("The run of `{name}` that began at {began} is incomplete: {why}. {next}"),
        Some(Word::Damage) => format!("The run of `{name}` that began at {began} found damage: {why}. {next}"),
        Some(_) => format!("The run of `{name}` that began at {began} {not_done}: {why}. {next}"),
    };
    Some(Found { subject: Subject::Job { job: name.to_owned() }, word, text })
}

/// What is to be said of a copy.
fn of_copy(policy: &Replicate, state: &CopyState) -> Found {
    let CopyState { target, since, kept, rpo, .. } = state;
    let (name, rpo) = (policy.short_name(), super::span::shown(*rpo));
    let since = since.map(|since| since.to_string()).unwrap_or_default();
    let next = format!("See how far it is: credenza replicate status {name}");
    let (word, text) = match kept {
        Kept::Kept => (None, format!("The copy of `{name}` in {target} is no longer behind than it may be.")),
        Kept::Risk => (
            Some(Word::PromiseAtRisk),
            format!("The copy of `{name}` in {target} is behind since {since}, and may be for {rpo}. {next}"),
        ),
        Kept::Broken => (
            Some(Word::CopyBehind),
            format!("The copy of `{name}` in {target} is behind since {since}, longer than {rpo}. {next}"),
        ),
    };
    Found { subject: Subject::Copy { policy: policy.name.clone(), target: target.clone() }, word, text }
}

/// What is to be said of an origin.
fn of_origin(policy: &Replicate, silence: &Silence) -> Found {
    let (name, from) = (policy.short_name(), &policy.from);
    let silent = policy.silent.map(super::span::shown).unwrap_or_default();
    let (word, text) = match silence.is_silent {
        false => (None, format!("There is a new snapshot in {from}, which `{name}` copies.")),
        true => (
            Some(Word::SourceSilent),
            format!(
                "The newest snapshot in {from} is of {}, longer ago than {silent}: the copies of `{name}` have nothing to follow. See what ran: credenza jobs list",
                silence.newest
            ),
        ),
    };
    Found { subject: Subject::Origin { policy: policy.name.clone() }, word, text }
}

fn of_needs(measured: &Measured, unknown: &[(String, String)]) -> Found {
    let word = match measured.kept {
        Kept::Kept => None,
        Kept::Risk => Some(Word::PromiseAtRisk),
        Kept::Broken => Some(Word::PromiseBroken),
    };
    let Measured { promise, source, lacks, .. } = measured;
    let mut text = match word {
        None => format!("The promise `{promise}` for {source} is kept."),
        Some(Word::PromiseAtRisk) => format!("The promise `{promise}` for {source} is at risk: {}.", lacks.join("; ")),
        Some(_) => format!("The promise `{promise}` for {source} is broken: {}.", lacks.join("; ")),
    };
    for (repository, why) in unknown {
        text.push_str(&format!(" The repository {repository} cannot be asked: {why}."));
    }
    if word.is_some() {
        text.push_str(" See what there is: credenza promises");
    }
    let subject = Subject::Needs { promise: promise.clone(), source: source.clone() };
    Found { subject, word, text }
}

fn of_promise(job: &Job, source: &str, known: &Known, kept: Kept) -> Found {
    let word = match kept {
        Kept::Kept => None,
        Kept::Risk => Some(Word::PromiseAtRisk),
        Kept::Broken => Some(Word::PromiseBroken),
    };
    let name = &job.name;
    let state = match kept {
        Kept::Kept => "kept",
        Kept::Risk => "at risk",
        Kept::Broken => "broken",
    };
    let mut text = format!("The promise of `{name}` for {source} is {state}: ");
    match known.snapshot {
        Some(_) => text.push_str(&format!("its newest good snapshot is of {}", known.time)),
        None if known.unknown.is_some() => text.push_str(&format!("no snapshot is known since {}", known.time)),
        None => text.push_str("there is no good snapshot of it"),
    }
    let promised = job.promise.map(super::span::shown).unwrap_or_default();
    text.push_str(&format!(", and {promised} are promised."));
    if let Some((since, why)) = &known.unknown {
        text.push_str(&format!(" Since {since} the repository {} cannot be asked: {why}.", job.repository));
    }
    if word.is_some() {
        text.push_str(&format!(" See what ran: credenza jobs history {name}"));
    }
    Found { subject: Subject::Promise { job: name.clone(), source: source.to_owned() }, word, text }
}
