//! Spans of time as the file of the jobs has them: `90s`, `10m`, `26h`, `30d`, `2w`, and `1m..1h` between two of them.
//!
//! Called by `file`. A minute is `m` here, where `prune` on the command line has months.

use std::time::Duration;

use crate::units::split;

/// A year of days: nothing here is meant to wait longer.
const SPAN_MAX: Duration = Duration::from_hours(366 * 24);

/// A span from 1 s to a year.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let remedy = "write a number and s, m, h, d or w, such as 90s, 10m or 26h";
    let (number, unit) = split(text).map_err(|why| format!("{why}: {remedy}"))?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(format!("`{}` is no unit of time: {remedy}", unit.escape_debug())),
    };
    let span = number.checked_mul(factor).map(Duration::from_secs);
    span.filter(|span| (Duration::from_secs(1)..=SPAN_MAX).contains(span))
        .ok_or_else(|| "it is not between 1s and 366d".to_owned())
}

/// Two spans, of which the second is not shorter; one alone stands for both.
pub(super) fn parse_range(text: &str) -> Result<(Duration, Duration), String> {
    let Some((from, to)) = text.split_once("..") else { return parse_span(text).map(|span| (span, span)) };
    match (parse_span(from)?, parse_span(to)?) {
        (from, to) if from <= to => Ok((from, to)),
        _ => Err("the first span is longer than the second: write the shorter first, such as 1m..1h".to_owned()),
    }
}

/// A span as it is read back.
pub(super) fn shown(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(7 * 86_400, "w"), (86_400, "d"), (3600, "h"), (60, "m")];
    let whole = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them_and_are_shown_so() {
        for text in ["90s", "10m", "26h", "30d", "2w"] {
            assert_eq!(shown(parse_span(text).unwrap()), text);
        }
        let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
        assert_eq!(parse_range("1m..1h"), Ok((minute, hour)));
        assert_eq!(parse_range("1h"), Ok((hour, hour)));
        for wrong in ["", "h", "10", "10 m", "1y", "0s", "400d", "1h..1m", "1m..", "99999999999999999w"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }
}
