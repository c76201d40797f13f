//! Measuring promises and guards at the repositories: when that is due, what the answers come to, and what is known where there is none.
//!
//! A promise is measured after each run of its job, when by what was measured last it would be at risk or broken, and once a day, which finds what somebody
//! deleted. So no repository is opened for nothing. One that cannot be asked is *not known*, which is no alarm; when by what was known last the promise would
//! be at risk or broken, it is one. It is asked again after [`UNKNOWN_AGAIN`].
//!
//! Owned here: that. Refused here: what a promise is (`promise`, `needs`), what is said of it (`found`). Called by the look.

use std::collections::BTreeMap;
use std::time::Duration;

use credenza_model::Timestamp;

use super::super::error::JobsError;
use super::super::file::Job;
use super::super::guard::{self, Suspect};
use super::super::needs::{self, Copy};
use super::super::notify::Subject;
use super::super::notify::change::Found;
use super::super::promise::{self, Kept, Standing};
use super::super::recording::Cause;
use super::super::run;
use super::super::schedule::later;
use super::book::{Asked, HELD, Known};
use super::found::{of_needs, of_promise, suspected};
use super::{Look, Looking, Told, is_measured};
use crate::error::Error;
use crate::open::StoreUse;

/// What was measured is true for a day, unless a run or the clock says otherwise.
const DAY: Duration = Duration::from_hours(24);
/// A repository that could not be asked is asked again.
const UNKNOWN_AGAIN: Duration = Duration::from_mins(15);
/// A repository that says nothing for so long is not waited for.
const MEASURE_TIMEOUT: Duration = Duration::from_mins(2);
/// Whether somebody has looked at what is suspect is asked again.
const SUSPECT_AGAIN: Duration = Duration::from_hours(1);
/// A promise with numbers that is not kept is measured again.
const NEEDS_AGAIN: Duration = Duration::from_hours(1);
/// And not sooner than that, where the clocks of store and machine go apart.
const CHANGE_WAIT: Duration = Duration::from_mins(1);

impl Looking<'_> {
    pub(super) fn is_due(&self, job: &Job) -> bool {
        let now = self.look.now();
        let at = self.book.measure_at.get(&job.name);
        // A clock that was set back must not keep a promise from being measured.
        is_measured(job) && at.is_none_or(|at| *at <= now || *at > later(now, DAY))
    }

    pub(super) async fn measure(&mut self, job: &Job) {
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

    pub(super) fn are_needs_due(&self) -> bool {
        let now = self.look.now();
        let is_time = self.book.needs_at.is_none_or(|at| at <= now || at > later(now, DAY));
        !self.look.jobs.promises.is_empty() && is_time
    }

    /// Measures promises with numbers. What a repository held that cannot be asked now is taken for held for another day, and grows older.
    pub(super) async fn measure_needs(&mut self) {
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
}

impl Look<'_> {
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
}
