//! When a job is due: civil times in a zone, a span, or a line of cron; each moved by the job's own part of the jitter.
//!
//! Owned here: the times. A time that a clock change leaves out comes as much later; one that it brings twice comes the first time. Refused here: whether a
//! run happens (`scheduler`). Called by `scheduler`, `file` and whoever prints a plan.
//!
//! All is computed from the calendar: there is no state, and the same machine has the same times after each start.

use std::fmt::{self, Display};
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

/// Shortest span between runs.
pub(super) const EVERY_MIN: Duration = Duration::from_secs(10);
/// Due times that are counted one by one; of more it is said that there were at least so many.
pub const COUNTED_MAX: u32 = 1000;
/// Days that hold each day of the week, whatever a zone leaves out.
const DAYS: i32 = 9;

/// When a job is due. Two are equal where they mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    times: Times,
    zone: TimeZone,
    /// How much later than that.
    offset: SignedDuration,
}

/// What a schedule was written as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Times {
    /// Times of days.
    At(Vec<At>),
    /// Each time so much has passed since 1970.
    Every(Duration),
    /// A line of cron.
    Cron(Box<Cron>),
}

/// A time on some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    /// From Monday.
    days: [bool; 7],
    time: Time,
}

impl Schedule {
    pub(super) const fn new(times: Times, zone: TimeZone, offset: SignedDuration) -> Self {
        Self { times, zone, offset }
    }

    /// The zone that its times are meant in.
    #[must_use]
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The times without zone and jitter.
    pub(super) const fn times(&self) -> &Times {
        &self.times
    }

    /// How much later than written it is due.
    pub(super) const fn offset(&self) -> SignedDuration {
        self.offset
    }

    /// The first due time after a moment; `None` where none ever comes.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let written = moment.checked_sub(self.offset).ok()?;
        let next = match &self.times {
            Times::At(times) => times.iter().filter_map(|at| self.civil(at, written, 1)).min(),
            Times::Every(span) => multiple(written, *span, 1),
            Times::Cron(cron) => {
                let next = cron.find_next_occurrence(&written.to_zoned(self.zone.clone()), false).ok();
                next.map(|next| next.timestamp())
            }
        };
        next?.checked_add(self.offset).ok()
    }

    /// The last due time up to a moment.
    #[must_use]
    pub fn newest_until(&self, moment: Timestamp) -> Option<Timestamp> {
        let written = moment.checked_sub(self.offset).ok()?;
        let newest = match &self.times {
            Times::At(times) => times.iter().filter_map(|at| self.civil(at, written, -1)).max(),
            Times::Every(span) => multiple(written, *span, 0),
            Times::Cron(cron) => {
                let before = cron.find_previous_occurrence(&written.to_zoned(self.zone.clone()), true).ok();
                before.map(|before| before.timestamp())
            }
        };
        newest?.checked_add(self.offset).ok()
    }

    /// How many due times lie behind one moment and up to another, [`COUNTED_MAX`] at most.
    #[must_use]
    pub fn count(&self, after: Timestamp, until: Timestamp) -> u32 {
        let mut count = 0;
        let mut moment = after;
        while let Some(next) = self.next_after(moment).filter(|next| *next <= until && count < COUNTED_MAX) {
            count += 1;
            moment = next;
        }
        count
    }

    /// The nearest time of a day behind a moment (`direction` 1), or up to it (-1).
    fn civil(&self, at: &At, moment: Timestamp, direction: i32) -> Option<Timestamp> {
        let today = moment.to_zoned(self.zone.clone()).date();
        // A day before, because a clock change may carry the time of one day into the next.
        (-1..DAYS).find_map(|days| {
            let date = today.checked_add(Span::new().try_days(days * direction).ok()?).ok()?;
            if !at.is_on(date.weekday()) {
                return None;
            }
            let due = date.to_datetime(at.time).to_zoned(self.zone.clone()).ok()?.timestamp();
            let fits = if direction > 0 { due > moment } else { due <= moment };
            fits.then_some(due)
        })
    }
}

/// The last multiple of a span since 1970 up to a moment, and so many more.
fn multiple(moment: Timestamp, span: Duration, more: i64) -> Option<Timestamp> {
    let span = i64::try_from(span.as_secs()).ok().filter(|span| *span > 0)?;
    let whole = moment.as_second().div_euclid(span).checked_add(more)?;
    Timestamp::from_second(whole.checked_mul(span)?).ok()
}

/// The part of the jitter that is a job's on a machine: always the same, and spread evenly over machines and jobs.
pub(super) fn jitter(host: &str, job: &str, most: Duration) -> SignedDuration {
    let digest = blake3::hash(format!("{host}\0{job}").as_bytes());
    let number = digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let seconds = number.checked_rem(most.as_secs().saturating_add(1)).unwrap_or(0);
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
}

impl At {
    /// Understands `02:30` and `mon-fri 02:30`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let remedy = "write 02:30, or with days before it: mon-fri 02:30";
        let (days, time) = match text.trim().rsplit_once(' ') {
            None => ([true; 7], text.trim()),
            Some((days, time)) => (parse_days(days.trim()).map_err(|why| format!("{why}: {remedy}"))?, time),
        };
        let parsed = time.split_once(':').and_then(|(hour, minute)| {
            let number = |digits: &str| digits.parse::<i8>().ok().filter(|_| digits.len() == 2);
            Time::new(number(hour)?, number(minute)?, 0, 0).ok()
        });
        let time = parsed.ok_or_else(|| format!("there is no such time of day: {remedy}"))?;
        Ok(Self { days, time })
    }

    fn is_on(&self, day: Weekday) -> bool {
        is_on(self.days, day)
    }
}

/// Whether a day is one of them.
pub(super) fn is_on(days: [bool; 7], day: Weekday) -> bool {
    let place = usize::try_from(day.to_monday_zero_offset()).unwrap_or(0);
    days.get(place).copied().unwrap_or(false)
}

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `mon-fri`, `sat,sun`, `fri-mon`.
pub(super) fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let place = |name: &str| {
        let name = name.to_ascii_lowercase();
        DAY_NAMES.iter().position(|day| *day == name).ok_or_else(|| format!("`{name}` is no day of the week"))
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (place(first.trim())?, place(last.trim())?);
        let length = (last + 7 - first) % 7 + 1;
        for (day, is_on) in days.iter_mut().enumerate() {
            *is_on |= (day + 7 - first) % 7 < length;
        }
    }
    Ok(days)
}

/// Understands the five fields of cron.
pub(super) fn parse_cron(text: &str) -> Result<Times, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| {
        format!(
            "{}: write minute, hour, day, month and day of the week, such as 30 2 * * *",
            error.to_string().replace(": ", ", ")
        )
    })?;
    Ok(Times::Cron(Box::new(cron)))
}

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days.contains(&false) {
            let on = DAY_NAMES.iter().zip(self.days).filter(|(_, is_on)| *is_on).map(|(name, _)| *name);
            write!(f, "{} ", on.collect::<Vec<_>>().join(","))?;
        }
        write!(f, "{:02}:{:02}", self.time.hour(), self.time.minute())
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.times {
            Times::At(times) => write!(f, "at {}", times.iter().map(At::to_string).collect::<Vec<_>>().join(" and ")),
            Times::Every(span) => write!(f, "every {}", super::span::shown(*span)),
            Times::Cron(cron) => write!(f, "cron {}", cron.as_str()),
        }
    }
}

/// A time as schedules have it.
#[must_use]
pub fn instant(time: credenza_model::Timestamp) -> Timestamp {
    let nanoseconds = i32::try_from(time.nanoseconds).unwrap_or(0);
    Timestamp::new(time.seconds, nanoseconds).unwrap_or(Timestamp::MAX)
}

/// A time as the record has it.
#[must_use]
pub fn timestamp(instant: Timestamp) -> credenza_model::Timestamp {
    let nanoseconds = instant.as_nanosecond().rem_euclid(1_000_000_000);
    let seconds = i64::try_from(instant.as_nanosecond().div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    credenza_model::Timestamp { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
}

/// So much later, as the record has it.
pub(super) fn later(now: credenza_model::Timestamp, by: Duration) -> credenza_model::Timestamp {
    let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
    credenza_model::Timestamp { seconds: now.seconds.saturating_add(seconds), ..now }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        match name {
            "UTC" => TimeZone::UTC,
            // Whatever the machine of the test knows of zones.
            _ => TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
        }
    }

    fn at(texts: &[&str], zone_name: &str) -> Schedule {
        let times = texts.iter().map(|text| At::parse(text).unwrap()).collect();
        Schedule::new(Times::At(times), zone(zone_name), SignedDuration::ZERO)
    }

    fn cron(text: &str) -> Schedule {
        Schedule::new(parse_cron(text).unwrap(), zone("Paris"), SignedDuration::ZERO)
    }

    fn following(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
        let mut moment: Timestamp = from.parse().unwrap();
        let mut dues = Vec::new();
        for _ in 0..count {
            let next = schedule.next_after(moment).unwrap();
            assert_eq!(schedule.newest_until(next), Some(next), "{schedule}");
            moment = next;
            dues.push(next.to_string());
        }
        dues
    }

    #[test]
    fn a_time_that_a_clock_change_leaves_out_comes_later_and_one_that_comes_twice_comes_once() {
        let schedule = at(&["02:30"], "Paris");
        // The clocks go from 2 to 3 on the 28th of March 2027.
        let spring = following(&schedule, "2027-03-26T12:00:00Z", 3);
        assert_eq!(spring, ["2027-03-27T01:30:00Z", "2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z"]);
        // And back from 3 to 2 on the 31st of October.
        let autumn = following(&schedule, "2027-10-30T12:00:00Z", 2);
        assert_eq!(autumn, ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]);
    }

    #[test]
    fn a_line_of_cron_goes_through_clock_changes_as_a_time_does() {
        let schedule = cron("30 2 * * *");
        assert_eq!(following(&schedule, "2027-10-30T12:00:00Z", 2), ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]);
        let spring = following(&schedule, "2027-03-26T12:00:00Z", 3);
        assert_eq!((&*spring[0], &*spring[2]), ("2027-03-27T01:30:00Z", "2027-03-29T00:30:00Z"));
        assert!(spring[1].starts_with("2027-03-28T01:"), "{spring:?}");
    }

    #[test]
    fn days_of_the_week_are_single_in_lists_and_over_the_weekend() {
        let schedule = at(&["mon-fri 08:00", "sat,sun 10:00"], "UTC");
        // A Friday.
        let dues = following(&schedule, "2027-01-01T09:00:00Z", 3);
        assert_eq!(dues, ["2027-01-02T10:00:00Z", "2027-01-03T10:00:00Z", "2027-01-04T08:00:00Z"]);
        assert_eq!(parse_days("sat-mon").unwrap(), [true, false, false, false, false, true, true]);
        assert_eq!(At::parse("fri-mon 07:05").unwrap().to_string(), "mon,fri,sat,sun 07:05");
        for wrong in ["", "2:30", "24:00", "02:60", "02.30", "someday 02:30", "mon", "02:30 mon"] {
            assert!(At::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_span_is_counted_from_the_calendar_so_that_a_restart_changes_nothing() {
        let schedule =
            Schedule::new(Times::Every(Duration::from_hours(6)), TimeZone::UTC, SignedDuration::from_secs(90));
        let dues = following(&schedule, "2027-01-01T01:00:00Z", 3);
        assert_eq!(dues, ["2027-01-01T06:01:30Z", "2027-01-01T12:01:30Z", "2027-01-01T18:01:30Z"]);
        let [from, to] = ["2027-01-01T01:00:00Z", "2027-01-03T01:00:00Z"].map(|text| text.parse().unwrap());
        assert_eq!(schedule.count(from, to), 8);
    }

    #[test]
    fn jitter_is_the_same_each_time_and_differs_between_machines_and_jobs() {
        let most = Duration::from_mins(10);
        let of = |host: &str, job: &str| jitter(host, job, most).as_secs();
        assert_eq!(of("a", "shop"), of("a", "shop"));
        let spread: std::collections::BTreeSet<i64> = (0..50).map(|n| of(&format!("host{n}"), "shop")).collect();
        assert!(spread.len() > 25 && spread.iter().all(|seconds| (0..=600).contains(seconds)), "{spread:?}");
        assert_eq!(jitter("a", "b", Duration::ZERO), SignedDuration::ZERO);
    }

    #[test]
    fn a_line_of_cron_that_never_comes_has_no_next() {
        assert_eq!(cron("0 0 30 2 *").next_after(Timestamp::UNIX_EPOCH), None);
        for wrong in ["", "* * * *", "61 * * * *", "0 30 2 * * *", "x"] {
            assert!(parse_cron(wrong).is_err(), "{wrong}");
        }
    }
}
