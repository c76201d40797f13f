//! Times, spans of time and samples of data as a person writes them: `30d`, `5%`.

use std::time::Duration;

use credenza_engine::check::Sample;
use credenza_format::ParityRate;
use credenza_model::Timestamp;
use jiff::tz::TimeZone;

pub(super) use credenza_app::units::parse_size;
use credenza_app::units::split;

/// Seconds of a span: a number and h, d, w, m (30 days) or y (365 days).
pub(super) fn parse_span(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "h" => Some(3600),
        "d" => Some(86_400),
        "w" => Some(7 * 86_400),
        "m" => Some(30 * 86_400),
        "y" => Some(365 * 86_400),
        _ => None,
    };
    let seconds = factor.and_then(|factor| number.checked_mul(factor));
    seconds.ok_or_else(|| "write a number and h, d, w, m or y, for example 30d".to_owned())
}

/// A point in time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    /// So many seconds ago.
    Ago(u64),
}

impl Moment {
    /// The time that it is, by what is now.
    pub(super) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(seconds) => {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                Timestamp { seconds: now.seconds.saturating_sub(seconds), ..now }
            }
        }
    }
}

/// A time such as `2026-01-31T12:00:00Z`, a day (its begin, in the zone of this machine), or an age such as `7d`.
pub(super) fn parse_moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Moment::At(time));
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let begin = day.to_zoned(TimeZone::system()).map_err(|error| error.to_string())?;
        return Ok(Moment::At(Timestamp { seconds: begin.timestamp().as_second(), nanoseconds: 0 }));
    }
    let wrong = "write a day (2026-01-31), a time (2026-01-31T12:00:00Z) or an age (7d)";
    parse_span(text).map(Moment::Ago).map_err(|_| wrong.to_owned())
}

/// Whole days of a span, 1 to 36,500.
pub(super) fn parse_days(text: &str) -> Result<u32, String> {
    let seconds = parse_span(text)?;
    let days = u32::try_from(seconds / 86_400).ok().filter(|days| (1..=36_500).contains(days));
    days.filter(|_| seconds.is_multiple_of(86_400)).ok_or_else(|| "write whole days, 1d to 100y".to_owned())
}

/// A share of parity such as `5%`.
pub(super) fn parse_parity(text: &str) -> Result<ParityRate, String> {
    let percent = text.strip_suffix('%').and_then(|percent| percent.parse().ok());
    percent.and_then(ParityRate::of_percent).ok_or_else(|| "write a share from 1% to 50%".to_owned())
}

/// A part of the data: `all`, a share such as `5%`, an amount such as `10GiB`, or `older-than:30d`.
pub(super) fn parse_sample(text: &str) -> Result<Sample, String> {
    if text == "all" {
        return Ok(Sample::All);
    }
    if let Some(span) = text.strip_prefix("older-than:") {
        return parse_span(span).map(|seconds| Sample::OlderThan(Duration::from_secs(seconds)));
    }
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent));
            percent.map(Sample::Percent).ok_or_else(|| "write a share from 1% to 100%".to_owned())
        }
        None => parse_size(text)
            .map(Sample::Bytes)
            .map_err(|_| "write a share (5%), an amount (10GiB) or an age (older-than:30d)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        assert_eq!(parse_span("30d"), Ok(30 * 86_400));
        assert_eq!((parse_days("30d"), parse_days("2w"), parse_days("48h")), (Ok(30), Ok(14), Ok(2)));
        assert!(["0d", "36h", "101y"].iter().all(|text| parse_days(text).is_err()));
        assert!(parse_span("30").is_err() && parse_span("d").is_err());
    }

    #[test]
    fn times_read_as_people_write_them() {
        let now = Timestamp { seconds: 10 * 86_400, nanoseconds: 3 };
        assert_eq!(parse_moment("7d").unwrap().before(now), Timestamp { seconds: 3 * 86_400, ..now });
        let time = parse_moment("1970-01-02T00:00:05Z").unwrap();
        assert_eq!(time, Moment::At(Timestamp { seconds: 86_405, nanoseconds: 0 }));
        assert!(matches!(parse_moment("2026-01-31"), Ok(Moment::At(_))));
        for nonsense in ["", "yesterday", "2026-13-01", "7"] {
            assert!(parse_moment(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn samples_read_as_people_write_them() {
        assert_eq!(parse_sample("all"), Ok(Sample::All));
        assert_eq!(parse_sample("5%"), Ok(Sample::Percent(5)));
        assert_eq!(parse_sample("10GiB"), Ok(Sample::Bytes(10 << 30)));
        assert_eq!(parse_sample("older-than:30d"), Ok(Sample::OlderThan(Duration::from_secs(30 * 86_400))));
        for nonsense in ["", "0%", "101%", "5 %", "older-than:", "older-than:30", "some"] {
            assert!(parse_sample(nonsense).is_err(), "{nonsense}");
        }
    }
}
