//! Bytes a second by the time of day.
//!
//! Owned here: which limit holds when. Refused here: holding it (`credenza_connect::Rate`). Called by `file` and `run`.

use std::num::NonZeroU64;

use credenza_connect::{Rate, Rates};
use jiff::civil::Time;
use jiff::{Timestamp, tz::TimeZone};

use super::schedule;
use crate::units;

/// The limits of a job; the first that fits the time holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(pub(super) Vec<Limit>);

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// When it holds; always without one.
    pub(super) window: Option<Window>,
    pub(super) up: Option<NonZeroU64>,
    pub(super) down: Option<NonZeroU64>,
}

/// A part of the day on some days of the week; one whose end is before its begin goes on into the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    days: [bool; 7],
    from: Time,
    to: Time,
}

impl Limits {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may pass at a time: towards remote places, and from them.
    #[must_use]
    pub fn at(&self, now: Timestamp, zone: &TimeZone) -> (Option<NonZeroU64>, Option<NonZeroU64>) {
        let fits = |limit: &&Limit| limit.window.is_none_or(|window| window.holds(now, zone));
        self.0.iter().find(fits).map_or((None, None), |limit| (limit.up, limit.down))
    }

    /// Bounds that hold what may pass at a time, and can be [moved](Self::hold) with it.
    #[must_use]
    pub fn rates(&self, now: Timestamp, zone: &TimeZone) -> Rates {
        let (up, down) = self.at(now, zone);
        Rates { upload: Rate::adjustable(up), download: Rate::adjustable(down) }
    }

    /// Moves bounds to what may pass now.
    pub fn hold(&self, rates: &Rates, now: Timestamp, zone: &TimeZone) {
        let (up, down) = self.at(now, zone);
        rates.upload.set(up);
        rates.download.set(down);
    }
}

impl Window {
    /// Understands `08-19`, `08:30-19:00` and `mon-fri 08-19`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let remedy = "write hours, such as 08-19, with days before them if not every day is meant: mon-fri 08-19";
        let (days, hours) = match text.trim().rsplit_once(' ') {
            None => ([true; 7], text.trim()),
            Some((days, hours)) => (schedule::parse_days(days).map_err(|why| format!("{why}: {remedy}"))?, hours),
        };
        let time = |text: &str| {
            let (hour, minute) = text.split_once(':').unwrap_or((text, "00"));
            let number = |digits: &str| digits.parse::<i8>().ok().filter(|_| digits.len() == 2);
            Time::new(number(hour)? % 24, number(minute)?, 0, 0).ok().filter(|_| number(hour) <= Some(24))
        };
        let parsed = hours.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        let (from, to) = parsed.ok_or_else(|| format!("there are no such hours: {remedy}"))?;
        Ok(Self { days, from, to })
    }

    fn holds(&self, now: Timestamp, zone: &TimeZone) -> bool {
        let now = now.to_zoned(zone.clone());
        let (time, today) = (now.time(), now.date().weekday());
        let is_on = |day| schedule::is_on(self.days, day);
        if self.from < self.to {
            return is_on(today) && (self.from..self.to).contains(&time);
        }
        // Over midnight: the hours before it are of this day, those after it of the day before.
        time >= self.from && is_on(today) || time < self.to && is_on(today.previous())
    }
}

/// Bytes a second, or none for `unlimited`.
pub(super) fn parse_rate(text: &str) -> Result<Option<NonZeroU64>, String> {
    if text == "unlimited" {
        return Ok(None);
    }
    let said = |_| "it is no rate: write such as 20MB/s, 1KiB/s at least, or unlimited".to_owned();
    units::parse_rate(text).map(Some).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(limits: &Limits, time: &str) -> Option<u64> {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        limits.at(time.parse().unwrap(), &zone).0.map(NonZeroU64::get)
    }

    fn limit(window: Option<&str>, up: &str) -> Limit {
        Limit { window: window.map(|text| Window::parse(text).unwrap()), up: parse_rate(up).unwrap(), down: None }
    }

    #[test]
    fn the_first_limit_that_fits_the_local_time_holds() {
        let limits = Limits(vec![limit(Some("mon-fri 08-19"), "20MB/s"), limit(None, "unlimited")]);
        // A Friday in winter, an hour ahead of UTC.
        assert_eq!(at(&limits, "2027-01-01T06:59:59Z"), None);
        assert_eq!(at(&limits, "2027-01-01T07:00:00Z"), Some(20_000_000));
        assert_eq!(at(&limits, "2027-01-01T17:59:59Z"), Some(20_000_000));
        assert_eq!(at(&limits, "2027-01-01T18:00:00Z"), None);
        assert_eq!(at(&limits, "2027-01-02T12:00:00Z"), None, "a Saturday");
    }

    #[test]
    fn hours_over_midnight_are_of_the_day_on_which_they_begin() {
        let limits = Limits(vec![limit(Some("fri 22:30-06"), "1MB/s")]);
        assert_eq!(at(&limits, "2027-01-01T21:30:00Z"), Some(1_000_000));
        assert_eq!(at(&limits, "2027-01-02T04:59:00Z"), Some(1_000_000));
        assert_eq!(at(&limits, "2027-01-02T05:00:00Z"), None);
        assert_eq!(at(&limits, "2027-01-02T21:30:00Z"), None);
        for wrong in ["", "8-19", "08", "mon", "someday 08-19", "25-26"] {
            assert!(Window::parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse_rate("fast").is_err());
    }

    #[test]
    fn bounds_move_with_the_time_of_day_while_bytes_pass() {
        let limits = Limits(vec![limit(Some("08-19"), "2KiB/s")]);
        let [night, day] = ["2027-01-01T03:00:00Z", "2027-01-01T12:00:00Z"].map(|text| text.parse().unwrap());
        let rates = limits.rates(night, &TimeZone::UTC);
        assert!(rates.are_bounded(), "so that what passes can be bounded later");
        assert_eq!(rates.upload.piece_bytes(1 << 20), 1 << 20);
        limits.hold(&rates, day, &TimeZone::UTC);
        assert_eq!(rates.upload.piece_bytes(1 << 20), 512);
        limits.hold(&rates, night, &TimeZone::UTC);
        assert_eq!(rates.upload.turn(1 << 20), None);
    }
}
