//! The clauses that several sections of the file of the jobs may have: a name, when something is due, what becomes of missed runs, tries, limits, and which
//! snapshots are kept.
//!
//! Owned here: what their values mean, and that a section goes before the defaults. Refused here: what else a section says (`sections`).

use std::time::Duration;

use credenza_format::Policy;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::limits::{self, Limit, Limits, Window};
use super::reader::Part;
use super::schedule::{self, At, EVERY_MIN, Schedule, Times};
use super::span::{parse_range, parse_span};
use crate::environment;

/// Longest name of a job, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The keys that say when something is due.
pub(super) const WAYS: [&str; 3] = ["at", "every", "cron"];

/// What becomes of runs that were due while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// One run makes up for all.
    Once,
    /// They are left out.
    Skip,
}

/// How a run that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// In all.
    pub tries: u32,
    /// Before the second try.
    pub wait: Duration,
    /// It doubles up to here.
    pub wait_max: Duration,
}

impl Retry {
    pub(super) const DEFAULT: Self = Self { tries: 3, wait: Duration::from_mins(1), wait_max: Duration::from_hours(1) };

    /// The wait after so many tries that failed, from 1.
    #[must_use]
    pub fn wait_after(&self, tries: u32) -> Duration {
        let doubled = 1_u32.checked_shl(tries.saturating_sub(1).min(31)).unwrap_or(u32::MAX);
        self.wait.saturating_mul(doubled).min(self.wait_max)
    }
}

pub(super) fn require_name(name: &str, part: &Part<'_>, remedy: &str) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_plain) || name.starts_with(['.', '-']) {
        part.problem("", "that is no name for what runs by itself", remedy);
    }
}

/// What a job says itself, or the defaults say.
pub(super) fn own_or_default<'t, T>(
    part: &Part<'t>,
    defaults: Option<&Part<'t>>,
    key: &str,
    read: impl Fn(&Part<'t>) -> Option<T>,
) -> Option<T> {
    if part.has(key) { read(part) } else { read(defaults?) }
}

/// What becomes of runs that were due while nothing ran.
pub(super) fn missed_of(part: &Part<'_>, defaults: Option<&Part<'_>>) -> Missed {
    own_or_default(part, defaults, "missed", |part| part.parsed("missed", missed)).unwrap_or(Missed::Once)
}

/// How a run that failed is tried again.
pub(super) fn retry_of(part: &Part<'_>, defaults: Option<&Part<'_>>) -> Retry {
    own_or_default(part, defaults, "retry", retry).unwrap_or(Retry::DEFAULT)
}

/// Bytes a second by the time of day.
pub(super) fn limits_of(part: &Part<'_>, defaults: Option<&Part<'_>>) -> Limits {
    own_or_default(part, defaults, "limits", limits).unwrap_or_default()
}

fn missed(text: &str) -> Result<Missed, String> {
    match text {
        "once" => Ok(Missed::Once),
        "skip" => Ok(Missed::Skip),
        _ => Err("it is no such word: write once or skip".to_owned()),
    }
}

fn limits(part: &Part<'_>) -> Option<Limits> {
    part.has("limits").then(|| {
        let limit = |part: &Part<'_>| Limit {
            window: part.parsed("at", Window::parse),
            up: part.parsed("up", limits::parse_rate).flatten(),
            down: part.parsed("down", limits::parse_rate).flatten(),
        };
        Limits(part.parts("limits").iter().map(limit).collect())
    })
}

fn retry(part: &Part<'_>) -> Option<Retry> {
    let part = part.part("retry")?;
    let (wait, wait_max) = part.parsed("wait", parse_range).unwrap_or((Retry::DEFAULT.wait, Retry::DEFAULT.wait_max));
    Some(Retry { tries: part.count("tries", 1..=20).unwrap_or(Retry::DEFAULT.tries), wait, wait_max })
}

pub(super) fn schedule(name: &str, part: &Part<'_>, defaults: Option<&Part<'_>>, now: Timestamp) -> Option<Schedule> {
    let given: Vec<&str> = WAYS.into_iter().filter(|way| part.has(way)).collect();
    let times = match given.as_slice() {
        ["at"] => at(part),
        ["every"] => part.parsed("every", |text| match parse_span(text)? {
            span if span < EVERY_MIN => Err("it is less than 10 s: write 10s or more".to_owned()),
            span => Ok(Times::Every(span)),
        }),
        ["cron"] => part.parsed("cron", schedule::parse_cron),
        [_, second, ..] => {
            part.problem(second, "there are two schedules", "keep one of at, every and cron");
            None
        }
        _ => {
            part.problem(
                "",
                "nothing says when it is due",
                "add one of: at = \"02:30\", every = \"1h\", cron = \"30 2 * * *\"",
            );
            None
        }
    };
    let schedule = timed(name, times?, part, defaults);
    if schedule.next_after(now).is_none() {
        let key = given.first().copied().unwrap_or_default();
        part.problem(key, "that never comes", "look at day and month: the 30th of February is none");
        return None;
    }
    Some(schedule)
}

/// Times in their zone, moved by the part of the jitter that is a job's own.
pub(super) fn timed(name: &str, times: Times, part: &Part<'_>, defaults: Option<&Part<'_>>) -> Schedule {
    let zone = own_or_default(part, defaults, "zone", zone_of);
    let jitter = own_or_default(part, defaults, "jitter", |part| part.parsed("jitter", parse_span));
    let offset = schedule::jitter(&environment::host_name(), name, jitter.unwrap_or_default());
    Schedule::new(times, zone.unwrap_or_else(TimeZone::system), offset)
}

fn zone_of(part: &Part<'_>) -> Option<TimeZone> {
    part.parsed("zone", |text| {
        TimeZone::get(text)
            .map_err(|_| "this machine knows no such zone: write one such as Europe/Paris or UTC".to_owned())
    })
}

/// The zone of what is no job's.
pub(super) fn zone(defaults: Option<&Part<'_>>) -> TimeZone {
    defaults.filter(|part| part.has("zone")).and_then(zone_of).unwrap_or_else(TimeZone::system)
}

fn at(part: &Part<'_>) -> Option<Times> {
    let texts = part.texts("at");
    if texts.is_empty() {
        part.problem("at", "it names no time", "write a time such as \"02:30\"");
    }
    let times: Option<Vec<At>> = texts.into_iter().map(|text| part.understood("at", text, At::parse(text))).collect();
    times.filter(|times| !times.is_empty()).map(Times::At)
}

pub(super) fn keep(part: &Part<'_>) -> Option<Policy> {
    let part = part.part("keep")?;
    let count = |key: &str| part.count(key, 0..=u32::MAX).unwrap_or(0);
    let policy = Policy {
        last: count("last"),
        hourly: count("hourly"),
        daily: count("daily"),
        weekly: count("weekly"),
        monthly: count("monthly"),
        yearly: count("yearly"),
        within_seconds: part.parsed("within", parse_span).map(|span| span.as_secs()),
        tags: part.texts("tags").into_iter().map(str::to_owned).collect(),
        ..Policy::default()
    };
    if policy.is_empty() {
        part.problem("", "it keeps nothing", "write how many: keep = { last = 3, daily = 14 }");
        return None;
    }
    Some(policy)
}
