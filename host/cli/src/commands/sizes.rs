//! Days, shares and samples of data as a person writes them: `30d`, `5%`; with sizes and times of `credenza_app::units`.

use std::time::Duration;

pub(super) use credenza_app::units::{Moment, parse_moment, parse_size, parse_span};
use credenza_engine::check::{Budget, Sample, Turn};
use credenza_format::ParityRate;

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

/// A part of the data: `all`, a share such as `5%`, an amount such as `10GiB`, `older-than:30d`, or `oldest:20GiB`.
pub(super) fn parse_sample(text: &str) -> Result<Sample, String> {
    if text == "all" {
        return Ok(Sample::All);
    }
    if let Some(span) = text.strip_prefix("older-than:") {
        return parse_span(span).map(|seconds| Sample::OlderThan(Duration::from_secs(seconds)));
    }
    if let Some(size) = text.strip_prefix("oldest:") {
        let budget = Budget { bytes: Some(parse_size(size)?), requests: None };
        return Ok(Sample::Turn(Turn { within: Duration::ZERO, interval: Duration::ZERO, budget }));
    }
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent));
            percent.map(Sample::Percent).ok_or_else(|| "write a share from 1% to 100%".to_owned())
        }
        None => parse_size(text).map(Sample::Bytes).map_err(|_| {
            "write a share (5%), an amount (10GiB), an age (older-than:30d) or what waits the longest (oldest:20GiB)"
                .to_owned()
        }),
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
    fn samples_read_as_people_write_them() {
        assert_eq!(parse_sample("all"), Ok(Sample::All));
        assert_eq!(parse_sample("5%"), Ok(Sample::Percent(5)));
        assert_eq!(parse_sample("10GiB"), Ok(Sample::Bytes(10 << 30)));
        assert_eq!(parse_sample("older-than:30d"), Ok(Sample::OlderThan(Duration::from_secs(30 * 86_400))));
        let Ok(Sample::Turn(turn)) = parse_sample("oldest:20GiB") else { panic!() };
        assert_eq!(turn.budget, Budget { bytes: Some(20 << 30), requests: None });
        for nonsense in ["", "oldest:", "oldest:all", "0%", "101%", "5 %", "older-than:", "older-than:30", "some"] {
            assert!(parse_sample(nonsense).is_err(), "{nonsense}");
        }
    }
}
