//! One look at all jobs: what their runs and promises have come to since the last one, who is to be told, and the telling.
//!
//! Owned here: the order, tries of notices and the waits between them. What is asked of repositories is in `measure`, what is said of it in `found`. Refused here:
//! what a change is (`notify`), and the wait until the next look (`daemon`). Called after each run and when the last look said so.
//!
//! A notice that is not taken waits from [`AGAIN`] to [`AGAIN_MAX`], and what comes after it for the same one who hears waits with it, so that the order
//! stays; after [`GIVEN_UP`] it is given up, which is put on record. Bound: that of `book`.

pub mod book;
mod digest;
#[cfg(test)]
mod ear;
mod found;
mod measure;
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

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use credenza_model::Timestamp;

use super::error::JobsError;
use super::file::{Job, JobsFile, Work};
use super::log::{Past, Record};
use super::notify::change::Found;
use super::notify::{CarryError, Notice, Section, Subject, Target, Word, carry};
use super::remembered::remembered;
use super::replicate::alarm;
use super::replicate::silence::silence;
use super::runner::Runner;
use super::schedule::{instant, later, timestamp};
use super::sections::replicate::To;
use book::{Book, Waiting};
use found::{of_copy, of_guard, of_origin, of_run};

/// The wait after the first try of a notice; it doubles.
const AGAIN: Duration = Duration::from_secs(30);
/// The longest wait between tries.
const AGAIN_MAX: Duration = Duration::from_hours(1);
/// A notice that was not taken for so long has nobody who hears.
const GIVEN_UP: Duration = Duration::from_hours(72);
/// Another process looks; it will not take long.
const BUSY_WAIT: Duration = Duration::from_mins(1);
/// Runs that are looked back at, beside [those before](remembered) that are the last of their job.
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
        let past = remembered(&self.look.runner.state.log(), self.look.jobs, most)?;
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
            match digest::text(self.look.jobs, &self.look.runner.state.log(), &self.book, (last, due)) {
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
