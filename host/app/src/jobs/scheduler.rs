//! Which job runs now: a state machine that is told what happened and says what to do. It knows no clock, no task and no file, so that weeks are
//! simulated in milliseconds.
//!
//! Owned here: what is due, what was missed, single flight for each repository, tries and the wait between them, and parked repositories. Refused here:
//! runs (`run`) and their record (`log`). Called by `daemon`.
//!
//! - One run at a time in each repository, and beside it one that verifies and one of each policy that carries copies from it; what comes due meanwhile waits, and several due
//!   times of one job make one run.
//! - A source that fails is tried again as often as its job says. A repository that fails is *parked*: one run tries it with growing waits, until it
//!   answers; all others of that repository wait, and none of them is tried in vain. Where that job is paused or backs up elsewhere by now, another
//!   one that waits takes its place.
//! - What was due while nothing ran is made up for by one run. A clock that is set back repeats nothing, unless it goes back by more than the job's
//!   whole period.
//!
//! Bound: a few words a job.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::file::{Missed, Retry, Work};
use super::outcome::Ending;
use super::schedule::Schedule;

/// A run that begins so much after its time was not on time, and is said to be made up for.
const LATE: SignedDuration = SignedDuration::from_mins(5);
/// How long one waits for a run of another process, which takes no try.
const BUSY_WAIT: Duration = Duration::from_mins(1);

/// What the machine knows of a job.
#[derive(Debug, Clone)]
pub struct Rules {
    /// When it is due.
    pub schedule: Schedule,
    /// Where it works: those of one lane with the same one do not run together, but for policies, which only read there and have targets of their own.
    pub repository: String,
    /// What it does there.
    pub lane: Lane,
    /// What becomes of missed runs.
    pub missed: Missed,
    /// How it is tried again.
    pub retry: Retry,
}

/// What a run does in its repository. Reading it again takes hours and is in nobody's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// It adds and removes.
    Backup,
    /// It reads.
    Verify,
    /// It reads, and writes to others.
    Replicate,
    /// It mirrors: each by itself.
    Mirror,
}

impl From<Work<'_>> for Rules {
    fn from(work: Work<'_>) -> Self {
        let (missed, retry) = work.retries();
        let lane = match work {
            Work::Job(_) => Lane::Backup,
            Work::Verify(_) => Lane::Verify,
            Work::Replicate(_) => Lane::Replicate,
            Work::Mirror(_) => Lane::Mirror,
        };
        // A mirror adds little to its repository, and much to its targets.
        let place = if lane == Lane::Mirror { work.name() } else { work.repository() };
        Self { schedule: work.schedule().clone(), repository: place.to_owned(), lane, missed, retry }
    }
}

impl Rules {
    fn place(&self, job: &str) -> Place {
        let policy = (self.lane == Lane::Replicate).then(|| job.to_owned());
        (self.repository.clone(), self.lane, policy)
    }
}

/// What one run at a time has: a repository, a lane there, and in that of copies the policy.
type Place = (String, Lane, Option<String>);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A run begins.
    Start(Start),
    /// Due times pass without a run, and that is to be recorded.
    Skip {
        /// The job.
        job: String,
        /// The last of them.
        due: Timestamp,
        /// How many.
        count: u32,
        /// Why.
        why: Skipped,
    },
}

/// A run that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The job.
    pub job: String,
    /// The due time that it is for.
    pub due: Timestamp,
    /// Due times before that passed without a run, which this one makes up for.
    pub missed: u32,
    /// Tries of this run that failed before.
    pub tries: u32,
    /// Whether it begins much later than it was due.
    pub is_late: bool,
}

/// Why a run does not take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// The job is paused.
    Paused,
    /// Nothing ran at its time, and the job does not make up for that.
    Missed,
}

/// All jobs of a file.
#[derive(Debug, Default)]
pub struct Scheduler {
    jobs: BTreeMap<String, Tracked>,
    /// Which job works at each place.
    running: BTreeMap<Place, String>,
    /// By repository: which job tries it, and when again.
    parked: BTreeMap<String, Parked>,
    paused: BTreeSet<String>,
}

#[derive(Debug)]
struct Tracked {
    rules: Rules,
    /// The last due time that a run stood for, or that was left out.
    served: Timestamp,
    pending: Option<Pending>,
}

/// A run that is wanted.
#[derive(Debug, Clone)]
struct Pending {
    due: Timestamp,
    missed: u32,
    tries: u32,
    not_before: Timestamp,
}

#[derive(Debug)]
struct Parked {
    job: String,
    tries: u32,
    until: Timestamp,
}

impl Scheduler {
    /// The jobs of a file. `served` says for which due time each has run last; one that is not known there begins now.
    #[must_use]
    pub fn new<'a>(
        jobs: impl IntoIterator<Item = (&'a str, Rules)>,
        served: &BTreeMap<String, Timestamp>,
        now: Timestamp,
    ) -> Self {
        let tracked = |(name, rules): (&str, Rules)| {
            let served = served.get(name).copied().unwrap_or(now);
            (name.to_owned(), Tracked { rules, served, pending: None })
        };
        Self { jobs: jobs.into_iter().map(tracked).collect(), ..Self::default() }
    }

    /// Takes another version of the file: what a job has behind it stays, unless its times are others now. Runs that are under way go on.
    pub fn replace<'a>(&mut self, jobs: impl IntoIterator<Item = (&'a str, Rules)>, now: Timestamp) {
        let mut before = std::mem::take(&mut self.jobs);
        for (name, rules) in jobs {
            let tracked = match before.remove(name) {
                Some(old) if old.rules.schedule == rules.schedule => Tracked { rules, ..old },
                _ => Tracked { rules, served: now, pending: None },
            };
            self.jobs.insert(name.to_owned(), tracked);
        }
        self.hand_over_parked();
    }

    /// Which jobs are paused.
    pub fn pause(&mut self, paused: BTreeSet<String>) {
        self.paused = paused;
    }

    /// A job is wanted besides its schedule, because something has changed. What waits already stands for that too.
    pub fn want(&mut self, job: &str, now: Timestamp) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.pending.get_or_insert(Pending { due: now, missed: 0, tries: 0, not_before: now });
        }
    }

    /// What is to be done now. Each start is taken for done: the caller owes an [`ended`](Self::ended).
    pub fn tick(&mut self, now: Timestamp) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for (name, job) in &mut self.jobs {
            job.follow_clock(now);
            decisions.extend(job.come_due(name, self.paused.contains(name), now));
        }
        self.hand_over_parked();
        for parked in self.parked.values_mut() {
            let retry = self.jobs.get(&parked.job).map(|job| job.rules.retry);
            parked.until = parked.until.min(later(now, retry.map_or(BUSY_WAIT, |retry| retry.wait_max)));
        }
        decisions.extend(self.starts(now).into_iter().map(Decision::Start));
        decisions
    }

    /// A run has ended.
    pub fn ended(&mut self, start: &Start, ending: Ending, now: Timestamp) {
        let ran_in =
            self.running.iter().find(|(_, job)| **job == start.job).map(|((repository, ..), _)| repository.clone());
        self.running.retain(|_, job| *job != start.job);
        let Some(job) = self.jobs.get_mut(&start.job) else { return };
        // Another version of the file may name another repository meanwhile.
        let (repository, retry) = (ran_in.unwrap_or_else(|| job.rules.repository.clone()), job.rules.retry);
        let tries = start.tries.saturating_add(1);
        let again = |tries, wait| Pending { due: start.due, missed: start.missed, tries, not_before: later(now, wait) };
        match ending {
            Ending::Unreachable => {
                let wait = retry.wait_after(tries);
                // What came due meanwhile is the same run.
                let pending = job.pending.take().map_or(again(tries, wait), |newer| Pending {
                    missed: start.missed.saturating_add(newer.missed).saturating_add(1),
                    ..Pending { due: newer.due, ..again(tries, wait) }
                });
                job.pending = Some(pending);
                self.parked.insert(repository, Parked { job: start.job.clone(), tries, until: later(now, wait) });
                return;
            }
            Ending::Busy => {
                let until = later(now, BUSY_WAIT);
                let pending = job.pending.get_or_insert_with(|| again(start.tries, BUSY_WAIT));
                pending.not_before = until;
                if let Some(parked) = self.parked.get_mut(&repository) {
                    parked.until = until;
                }
                return;
            }
            Ending::Failed if tries < retry.tries => {
                job.pending.get_or_insert_with(|| again(tries, retry.wait_after(tries)));
            }
            // Whoever starts next finds it due, and nobody knows whether the repository answers.
            Ending::Interrupted => return,
            _ => {}
        }
        self.parked.remove(&repository);
    }

    /// When there may be something to do again; `None` where nothing ever is until a run ends.
    #[must_use]
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let dues = self.jobs.values().filter_map(|job| job.rules.schedule.next_after(job.served.max(now)));
        let pending = self.jobs.iter().filter_map(|(name, job)| {
            let pending = job.pending.as_ref()?;
            let is_free = !self.running.contains_key(&job.rules.place(name)) && !self.paused.contains(name);
            let parked = self.parked.get(&job.rules.repository);
            match parked {
                _ if !is_free => None,
                Some(parked) if parked.job == *name => Some(parked.until),
                Some(_) => None,
                None => Some(pending.not_before),
            }
        });
        dues.chain(pending).min()
    }

    /// Whether a run waits for a job that is paused, which somebody may resume at any time.
    #[must_use]
    pub fn waits_for_resumption(&self) -> bool {
        self.paused.iter().any(|name| self.jobs.get(name).is_some_and(|job| job.pending.is_some()))
    }

    /// Which jobs run.
    #[must_use]
    pub fn running(&self) -> Vec<&str> {
        self.running.values().map(String::as_str).collect()
    }

    /// Which repository is waited for, by which job, after how many tries.
    pub fn parked(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        self.parked.iter().map(|(repository, parked)| (&**repository, &*parked.job, parked.tries))
    }

    /// No repository stays parked for a job that will not try it: the one that is due the longest tries it instead, when the wait is over. Where none
    /// waits, it is parked no more.
    fn hand_over_parked(&mut self) {
        let Self { jobs, running, parked, paused } = self;
        parked.retain(|repository, parked| {
            let waits = |name: &String, job: &Tracked| {
                let pending = job.pending.as_ref().filter(|_| job.rules.repository == *repository)?;
                (!paused.contains(name)).then_some(pending.due)
            };
            let is_tried = running.iter().any(|((place, ..), job)| place == repository && *job == parked.job)
                || jobs.get(&parked.job).is_some_and(|job| waits(&parked.job, job).is_some());
            if is_tried {
                return true;
            }
            let waiting = jobs.iter().filter_map(|(name, job)| Some((waits(name, job)?, name)));
            let Some((_, next)) = waiting.min() else { return false };
            parked.job = next.clone();
            true
        });
    }

    /// The runs that can begin, the longest due first.
    fn starts(&mut self, now: Timestamp) -> Vec<Start> {
        let mut wanted: Vec<(Timestamp, String)> = Vec::new();
        for (name, job) in &self.jobs {
            let Some(pending) = job.pending.as_ref().filter(|_| !self.paused.contains(name)) else { continue };
            let is_time = match self.parked.get(&job.rules.repository) {
                Some(parked) => parked.job == *name && parked.until <= now,
                None => pending.not_before <= now,
            };
            if is_time {
                wanted.push((pending.due, name.clone()));
            }
        }
        wanted.sort();
        let mut starts = Vec::new();
        for (due, name) in wanted {
            let Some(job) = self.jobs.get_mut(&name) else { continue };
            if self.running.contains_key(&job.rules.place(&name)) {
                continue;
            }
            let Some(Pending { missed, tries, .. }) = job.pending.take() else { continue };
            self.running.insert(job.rules.place(&name), name.clone());
            let is_late = now.duration_since(due) > LATE;
            starts.push(Start { job: name, due, missed, tries, is_late });
        }
        starts
    }
}

impl Tracked {
    /// A clock that was ahead must not keep a job from running until it has caught up.
    fn follow_clock(&mut self, now: Timestamp) {
        let ahead = self.served.duration_since(now);
        if ahead > SignedDuration::ZERO {
            let period = self.rules.schedule.next_after(self.served).map(|next| next.duration_since(self.served));
            if period.is_some_and(|period| ahead >= period) {
                self.served = now;
            }
        }
        if let Some(pending) = &mut self.pending {
            pending.not_before = pending.not_before.min(later(now, self.rules.retry.wait_max.max(BUSY_WAIT)));
        }
    }

    /// Notes what has come due.
    fn come_due(&mut self, name: &str, is_paused: bool, now: Timestamp) -> Option<Decision> {
        let newest = self.rules.schedule.newest_until(now).filter(|newest| *newest > self.served)?;
        let count = self.rules.schedule.count(self.served, now).max(1);
        self.served = newest;
        let skip = |why| Some(Decision::Skip { job: name.to_owned(), due: newest, count, why });
        if is_paused {
            self.pending = None;
            return skip(Skipped::Paused);
        }
        let is_late = now.duration_since(newest) > LATE;
        if is_late && self.rules.missed == Missed::Skip && self.pending.is_none() {
            return skip(Skipped::Missed);
        }
        let missed = count.saturating_sub(1);
        self.pending = Some(match self.pending.take() {
            None => Pending { due: newest, missed, tries: 0, not_before: now },
            // One run stands for both.
            Some(older) => Pending { due: newest, missed: older.missed.saturating_add(count), ..older },
        });
        None
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use jiff::tz::TimeZone;

    use super::super::schedule::{At, Times};
    use super::*;

    fn at(time: &str) -> Schedule {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        Schedule::new(Times::At(vec![At::parse(time).unwrap()]), zone, SignedDuration::ZERO)
    }

    fn every(span: Duration) -> Schedule {
        Schedule::new(Times::Every(span), TimeZone::UTC, SignedDuration::ZERO)
    }

    fn rules(schedule: Schedule, repository: &str) -> Rules {
        let retry = Retry { tries: 3, wait: Duration::from_mins(1), wait_max: Duration::from_hours(1) };
        Rules { schedule, repository: repository.to_owned(), lane: Lane::Backup, missed: Missed::Once, retry }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn of(jobs: &[(&str, Rules)], now: &str) -> Scheduler {
        let named: Vec<(String, Rules)> =
            jobs.iter().map(|(name, rules)| ((*name).to_owned(), rules.clone())).collect();
        Scheduler::new(named.iter().map(|(name, rules)| (&**name, rules.clone())), &BTreeMap::new(), time(now))
    }

    fn started(decisions: Vec<Decision>) -> Vec<Start> {
        let start = |decision| match decision {
            Decision::Start(start) => Some(start),
            Decision::Skip { .. } => None,
        };
        decisions.into_iter().filter_map(start).collect()
    }

    fn names(decisions: Vec<Decision>) -> Vec<String> {
        started(decisions).into_iter().map(|start| start.job).collect()
    }

    #[test]
    fn a_verification_runs_beside_a_backup_and_waits_with_it_for_a_repository_that_is_gone() {
        let hourly = || every(Duration::from_hours(1));
        let verify = |name| Rules { lane: Lane::Verify, ..rules(hourly(), name) };
        let jobs = [("a", rules(hourly(), "r")), ("verify.r", verify("r")), ("verify.too", verify("r"))];
        let mut scheduler = of(&jobs, "2027-01-01T00:30:00Z");
        let mut starts = started(scheduler.tick(time("2027-01-01T01:00:00Z")));
        assert_eq!(starts.iter().map(|start| &*start.job).collect::<Vec<_>>(), ["a", "verify.r"]);
        let now = time("2027-01-01T01:01:00Z");
        scheduler.ended(&starts.pop().unwrap(), Ending::Unreachable, now);
        assert_eq!(scheduler.parked().next(), Some(("r", "verify.r", 1)));
        assert!(started(scheduler.tick(now)).is_empty(), "the other one waits, too");
        let starts = started(scheduler.tick(time("2027-01-01T01:03:00Z")));
        assert_eq!(starts.iter().map(|start| &*start.job).collect::<Vec<_>>(), ["verify.r"]);
        scheduler.ended(&starts[0], Ending::Done, time("2027-01-01T01:04:00Z"));
        let starts = started(scheduler.tick(time("2027-01-01T01:05:00Z")));
        assert_eq!(starts.iter().map(|start| &*start.job).collect::<Vec<_>>(), ["verify.too"]);
    }

    #[test]
    fn a_policy_whose_run_takes_long_holds_up_no_other_policy_of_its_origin() {
        let carry = || Rules { lane: Lane::Replicate, ..rules(every(Duration::from_hours(1)), "r") };
        let jobs = [("replicate.far", carry()), ("replicate.near", carry())];
        let mut scheduler = of(&jobs, "2027-01-01T00:30:00Z");
        let mut starts = started(scheduler.tick(time("2027-01-01T01:00:00Z")));
        assert_eq!(starts.iter().map(|start| &*start.job).collect::<Vec<_>>(), ["replicate.far", "replicate.near"]);
        let far = starts.remove(0);
        for hour in 1..5 {
            scheduler.ended(&starts.remove(0), Ending::Done, time(&format!("2027-01-01T0{hour}:20:00Z")));
            starts = started(scheduler.tick(time(&format!("2027-01-01T0{}:00:00Z", hour + 1))));
            assert_eq!(starts.iter().map(|start| &*start.job).collect::<Vec<_>>(), ["replicate.near"]);
        }
        scheduler.ended(&far, Ending::Done, time("2027-01-01T05:01:00Z"));
        let starts = started(scheduler.tick(time("2027-01-01T05:01:00Z")));
        assert_eq!((starts.len(), &*starts[0].job, starts[0].missed), (1, "replicate.far", 3));
    }

    #[test]
    fn a_run_begins_at_its_time_and_not_before() {
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        assert_eq!(scheduler.tick(time("2027-01-01T01:29:59Z")), []);
        assert_eq!(scheduler.next_wake(time("2027-01-01T01:29:59Z")), Some(time("2027-01-01T01:30:00Z")));
        let starts = started(scheduler.tick(time("2027-01-01T01:30:00Z")));
        assert_eq!((starts.len(), starts[0].missed, starts[0].is_late), (1, 0, false));
        assert_eq!(scheduler.tick(time("2027-01-01T01:30:01Z")), []);
    }

    #[test]
    fn while_a_run_waits_for_a_job_to_be_resumed_its_pause_is_looked_at() {
        let now = time("2027-01-01T12:00:00Z");
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T12:00:00Z");
        scheduler.pause(["a".to_owned()].into());
        assert!(!scheduler.waits_for_resumption(), "nothing is wanted");
        scheduler.want("a", now);
        assert!(scheduler.waits_for_resumption());
        scheduler.pause(BTreeSet::new());
        assert!(!scheduler.waits_for_resumption());
        assert_eq!(names(scheduler.tick(now)), ["a"]);
    }

    #[test]
    fn a_machine_that_slept_for_two_days_makes_up_for_it_once() {
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        let starts = started(scheduler.tick(time("2027-01-03T12:00:00Z")));
        assert_eq!(starts.len(), 1);
        assert_eq!((starts[0].due, starts[0].missed, starts[0].is_late), (time("2027-01-03T01:30:00Z"), 2, true));
        scheduler.ended(&starts[0], Ending::Done, time("2027-01-03T12:10:00Z"));
        assert_eq!(scheduler.tick(time("2027-01-03T12:10:00Z")), []);
    }

    #[test]
    fn a_job_that_does_not_make_up_says_what_it_left_out() {
        let skip = Rules { missed: Missed::Skip, ..rules(at("02:30"), "r") };
        let mut scheduler = of(&[("a", skip)], "2027-01-01T00:00:00Z");
        let decisions = scheduler.tick(time("2027-01-03T12:00:00Z"));
        let due = time("2027-01-03T01:30:00Z");
        assert_eq!(decisions, [Decision::Skip { job: "a".to_owned(), due, count: 3, why: Skipped::Missed }]);
        assert_eq!(names(scheduler.tick(time("2027-01-04T01:30:00Z"))), ["a"]);
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_nothing_and_stops_nothing() {
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        let start = started(scheduler.tick(time("2027-01-02T01:30:00Z"))).remove(0);
        scheduler.ended(&start, Ending::Done, time("2027-01-02T01:40:00Z"));
        // An hour back: the same time comes again.
        assert_eq!(scheduler.tick(time("2027-01-02T00:40:00Z")), []);
        assert_eq!(scheduler.tick(time("2027-01-02T01:35:00Z")), []);
        assert_eq!(names(scheduler.tick(time("2027-01-03T01:30:00Z"))), ["a"]);
        // A clock that was a year ahead for a moment.
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        let start = started(scheduler.tick(time("2028-01-01T12:00:00Z"))).remove(0);
        scheduler.ended(&start, Ending::Done, time("2028-01-01T12:00:00Z"));
        assert_eq!(scheduler.tick(time("2027-01-01T12:00:00Z")), []);
        assert_eq!(names(scheduler.tick(time("2027-01-02T01:30:00Z"))), ["a"]);
    }

    #[test]
    fn a_job_that_is_wanted_runs_at_once_or_after_the_run_that_is_under_way() {
        let now = "2027-01-01T12:00:00Z";
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], now);
        scheduler.want("b", time(now));
        scheduler.want("a", time(now));
        scheduler.want("a", time(now));
        let start = started(scheduler.tick(time(now))).remove(0);
        assert_eq!((start.due, start.missed), (time(now), 0));
        scheduler.want("a", time("2027-01-01T12:01:00Z"));
        assert_eq!(scheduler.tick(time("2027-01-01T12:01:00Z")), [], "one at a time");
        scheduler.ended(&start, Ending::Done, time("2027-01-01T12:05:00Z"));
        assert_eq!(names(scheduler.tick(time("2027-01-01T12:05:00Z"))), ["a"]);
        scheduler.pause(["a".to_owned()].into());
        scheduler.want("a", time("2027-01-01T13:00:00Z"));
        assert_eq!(scheduler.tick(time("2027-01-01T13:00:00Z")), [], "it rests");
    }

    #[test]
    fn a_clock_that_jumps_makes_no_run_twice_and_leaves_none_out() {
        let (hour, day) = (SignedDuration::from_hours(1), SignedDuration::from_hours(24));
        for jump in [hour, day, -hour, -day] {
            let mut scheduler = of(&[("a", rules(every(Duration::from_hours(6)), "r"))], "2027-01-01T00:00:00Z");
            let (mut now, mut dues) = (time("2027-01-01T00:00:00Z"), Vec::new());
            for minutes in 0..10 * 24 * 6 {
                if minutes == 5 * 24 * 6 {
                    now = now.checked_add(jump).unwrap();
                }
                for start in started(scheduler.tick(now)) {
                    dues.push(start.due);
                    scheduler.ended(&start, Ending::Done, now);
                }
                now = now.checked_add(SignedDuration::from_mins(10)).unwrap();
            }
            let mut distinct = dues.clone();
            distinct.dedup();
            // A clock that goes back by more than the period of the job has each time after where it lands twice, and both are meant.
            let repeated = if jump == -day { 3 } else { 0 };
            distinct.sort();
            distinct.dedup();
            assert_eq!(dues.len() - distinct.len(), repeated, "{jump}: {dues:?}");
            let last = dues.iter().max().unwrap();
            assert!(now.duration_since(*last) < hour * 7, "{jump}: it stands still since {last}");
        }
    }

    #[test]
    fn one_run_at_a_time_in_a_repository_and_due_times_meanwhile_make_one_more() {
        let minute = every(Duration::from_mins(1));
        let jobs =
            [("a", rules(minute.clone(), "r")), ("b", rules(minute.clone(), "r")), ("c", rules(minute, "other"))];
        let mut scheduler = of(&jobs, "2027-01-01T00:00:30Z");
        let starts = started(scheduler.tick(time("2027-01-01T00:01:00Z")));
        assert_eq!(starts.iter().map(|start| &*start.job).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(names(scheduler.tick(time("2027-01-01T00:05:00Z"))), Vec::<String>::new());
        scheduler.ended(&starts[0], Ending::Done, time("2027-01-01T00:05:10Z"));
        let next = started(scheduler.tick(time("2027-01-01T00:05:10Z")));
        assert_eq!((next.len(), &*next[0].job, next[0].missed), (1, "a", 3), "both are due for the same minute");
        scheduler.ended(&next[0], Ending::Done, time("2027-01-01T00:05:20Z"));
        let next = started(scheduler.tick(time("2027-01-01T00:05:20Z")));
        assert_eq!((next.len(), &*next[0].job, next[0].missed), (1, "b", 4));
    }

    #[test]
    fn a_source_that_fails_is_tried_as_often_as_its_job_says() {
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        let mut now = time("2027-01-01T01:30:00Z");
        let mut waits = Vec::new();
        while let Some(start) = started(scheduler.tick(now)).pop() {
            scheduler.ended(&start, Ending::Failed, now);
            let next = scheduler.next_wake(now).unwrap();
            waits.push(next.duration_since(now).as_secs());
            now = next;
            if waits.len() == 3 {
                break;
            }
        }
        assert_eq!(waits, [60, 120, 86_400 - 180]);
    }

    #[test]
    fn a_repository_that_is_gone_for_a_day_is_tried_by_one_run_and_all_run_once_when_it_is_back() {
        let hour = every(Duration::from_hours(1));
        let mut scheduler = of(&[("a", rules(hour.clone(), "r")), ("b", rules(hour, "r"))], "2027-01-01T00:30:00Z");
        let (back, end) = (time("2027-01-02T01:20:00Z"), time("2027-01-02T03:20:00Z"));
        let mut now = time("2027-01-01T00:30:00Z");
        let (mut tried, mut done) = (Vec::new(), Vec::new());
        while now < end {
            for start in started(scheduler.tick(now)) {
                let ending = if now < back { Ending::Unreachable } else { Ending::Done };
                let list = if now < back { &mut tried } else { &mut done };
                list.push(start.clone());
                scheduler.ended(&start, ending, now);
            }
            now = scheduler.next_wake(now).unwrap().max(later(now, Duration::from_secs(1)));
        }
        assert!(tried.iter().all(|start| start.job == "a"), "one run tries it: {tried:?}");
        assert!((24..36).contains(&tried.len()), "it waits an hour at most: {}", tried.len());
        let runs: Vec<&str> = done.iter().map(|start| &*start.job).collect();
        assert_eq!(runs, ["a", "b", "a", "b"], "made up for once, and on time afterwards");
        assert!(done[0].missed >= 23 && done[1].missed >= 23 && done[2].missed == 0, "{done:?}");
    }

    /// A repository that the job `a` has tried in vain, while `b` is due there too.
    fn parked() -> Scheduler {
        let mut scheduler =
            of(&[("a", rules(at("02:30"), "r")), ("b", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        let starts = started(scheduler.tick(time("2027-01-01T01:30:00Z")));
        assert_eq!((starts.len(), &*starts[0].job), (1, "a"));
        scheduler.ended(&starts[0], Ending::Unreachable, time("2027-01-01T01:30:00Z"));
        scheduler
    }

    #[test]
    fn a_repository_whose_job_is_paused_is_tried_by_another_when_the_wait_is_over() {
        let mut scheduler = parked();
        scheduler.pause(BTreeSet::from(["a".to_owned()]));
        assert_eq!(scheduler.tick(time("2027-01-01T01:30:30Z")), []);
        assert_eq!(scheduler.next_wake(time("2027-01-01T01:30:30Z")), Some(time("2027-01-01T01:31:00Z")));
        assert_eq!(names(scheduler.tick(time("2027-01-01T01:31:00Z"))), ["b"]);
        // None is left who would try it.
        let mut scheduler = parked();
        scheduler.pause(BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        scheduler.tick(time("2027-01-01T01:31:00Z"));
        assert_eq!(scheduler.parked().count(), 0);
    }

    #[test]
    fn a_repository_whose_job_backs_up_elsewhere_or_is_gone_is_tried_by_another() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let now = time("2027-01-01T01:31:00Z");
        let mut scheduler = parked();
        scheduler.replace([(&*a, rules(at("02:30"), "other")), (&*b, rules(at("02:30"), "r"))], now);
        assert_eq!(names(scheduler.tick(now)), ["a", "b"]);
        let mut scheduler = parked();
        scheduler.replace([(&*b, rules(at("02:30"), "r"))], now);
        assert_eq!(names(scheduler.tick(now)), ["b"]);
    }

    #[test]
    fn a_paused_job_says_what_passes_and_goes_on_when_it_is_resumed() {
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        scheduler.pause(BTreeSet::from(["a".to_owned()]));
        let decisions = scheduler.tick(time("2027-01-01T01:30:00Z"));
        assert!(matches!(&decisions[..], [Decision::Skip { why: Skipped::Paused, count: 1, .. }]), "{decisions:?}");
        scheduler.pause(BTreeSet::new());
        assert_eq!(scheduler.tick(time("2027-01-01T12:00:00Z")), []);
        assert_eq!(names(scheduler.tick(time("2027-01-02T01:30:00Z"))), ["a"]);
    }

    #[test]
    fn a_run_of_another_process_takes_no_try() {
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        let mut now = time("2027-01-01T01:30:00Z");
        for _ in 0..10 {
            let start = started(scheduler.tick(now)).remove(0);
            assert_eq!(start.tries, 0);
            scheduler.ended(&start, Ending::Busy, now);
            now = scheduler.next_wake(now).unwrap();
        }
        assert_eq!(now, time("2027-01-01T01:40:00Z"));
    }

    #[test]
    fn a_run_of_another_process_is_waited_for_in_a_parked_repository_too() {
        let mut scheduler = parked();
        let mut now = time("2027-01-01T01:31:00Z");
        for _ in 0..3 {
            let start = started(scheduler.tick(now)).remove(0);
            scheduler.ended(&start, Ending::Busy, now);
            assert_eq!(scheduler.tick(now), [], "it is not tried again at once");
            let next = scheduler.next_wake(now).unwrap();
            assert_eq!(next.duration_since(now), SignedDuration::from_mins(1));
            now = next;
        }
    }

    #[test]
    fn another_file_keeps_what_a_job_has_behind_it_and_begins_anew_where_its_times_change() {
        let mut scheduler =
            of(&[("a", rules(at("02:30"), "r")), ("b", rules(at("02:30"), "r"))], "2027-01-01T12:00:00Z");
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let now = time("2027-01-03T12:00:00Z");
        scheduler.replace([(&*a, rules(at("02:30"), "r")), (&*b, rules(at("04:00"), "r"))], now);
        let starts = started(scheduler.tick(now));
        assert_eq!((starts.len(), &*starts[0].job), (1, "a"), "what a missed is made up for, b begins anew");
    }

    #[test]
    fn an_interrupted_run_is_due_again_for_whoever_starts_next() {
        let mut scheduler = of(&[("a", rules(at("02:30"), "r"))], "2027-01-01T00:00:00Z");
        let start = started(scheduler.tick(time("2027-01-01T01:30:00Z"))).remove(0);
        scheduler.ended(&start, Ending::Interrupted, time("2027-01-01T01:31:00Z"));
        let rules = rules(at("02:30"), "r");
        let served = BTreeMap::from([("a".to_owned(), time("2026-12-31T01:30:00Z"))]);
        let mut next = Scheduler::new([("a", rules)], &served, time("2027-01-01T02:00:00Z"));
        assert_eq!(names(next.tick(time("2027-01-01T02:00:00Z"))), ["a"]);
    }

    /// Two weeks of three jobs: an outage of a day, a sleep of two, a clock change, and an hour in which the clock was wrong.
    #[test]
    fn two_weeks_go_by_and_each_run_comes_once_and_in_order() {
        let jobs = [
            ("home", rules(every(Duration::from_hours(6)), "disk")),
            ("mail", rules(at("03:15"), "cloud")),
            ("shop", rules(at("02:30"), "cloud")),
        ];
        let mut scheduler = of(&jobs, "2027-03-22T12:00:00Z");
        let [outage, outage_end, sleep, sleep_end, end] = [
            "2027-03-25T00:00:00Z",
            "2027-03-26T00:00:00Z",
            "2027-03-30T00:00:00Z",
            "2027-04-01T00:00:00Z",
            "2027-04-05T12:00:00Z",
        ]
        .map(time);
        let mut now = time("2027-03-22T12:00:00Z");
        let mut timeline = String::new();
        let mut good: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        while now < end {
            for start in started(scheduler.tick(now)) {
                let is_out = (outage..outage_end).contains(&now) && start.job != "home";
                let ending = if is_out { Ending::Unreachable } else { Ending::Done };
                if !is_out {
                    writeln!(timeline, "{now} {} for {} (+{} missed)", start.job, start.due, start.missed).unwrap();
                    good.entry(start.job.clone()).or_default().push(start.due);
                }
                scheduler.ended(&start, ending, now);
            }
            now = scheduler.next_wake(now).unwrap().max(later(now, Duration::from_secs(1)));
            if (sleep..sleep_end).contains(&now) {
                now = sleep_end;
            }
        }
        for (job, dues) in &good {
            assert!(dues.is_sorted_by(|a, b| a < b), "{job} ran twice for one time: {timeline}");
        }
        // 14 nights; two of them slept through, made up for by one run; the night of the outage is made up for late.
        assert_eq!((good["shop"].len(), good["mail"].len()), (13, 13), "{timeline}");
        // 55 times; nine of them slept through, made up for by one run.
        assert_eq!(good["home"].len(), 55 - 9 + 1, "{timeline}");
        assert!(timeline.contains("2027-03-28T01:30:00Z shop"), "the night of the clock change: {timeline}");
        println!("{timeline}");
    }
}
