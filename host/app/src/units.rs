//! Bytes, bytes a second, spans and points of time as a person writes them: `10GiB`, `5MiB`, `30d`, `2026-01-31`.
//!
//! Owned here: what a text means. Refused here: what it is for (the programs). Called by `cli` and `web`.

use std::num::NonZeroU64;

use credenza_model::Timestamp;
use jiff::tz::TimeZone;

/// Fewest bytes a second: with less, servers give up on a request.
const RATE_MIN: u64 = 1024;

/// Bytes, with an optional unit: K, M, G, T of 1000 (`GB` too) or of 1024 (`GiB`).
///
/// # Errors
/// What to write instead.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "t" | "tb" => Some(1_000_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1_u64 << 40),
        _ => None,
    };
    let bytes = factor.and_then(|factor| number.checked_mul(factor));
    bytes.ok_or_else(|| "write a number and a unit such as MB or GiB".to_owned())
}

/// Bytes a second, at least 1024: a size, with or without `/s`.
///
/// # Errors
/// What to write instead.
pub fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = parse_size(text.strip_suffix("/s").unwrap_or(text))?;
    NonZeroU64::new(bytes)
        .filter(|_| bytes >= RATE_MIN)
        .ok_or_else(|| format!("write at least {RATE_MIN} bytes a second, such as 500KiB; a bare number is bytes"))
}

/// A number and what stands behind it.
///
/// # Errors
/// When it begins with none.
pub fn split(text: &str) -> Result<(u64, &str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Ok((number.parse().map_err(|_| "it begins with no number, or a very large one".to_owned())?, unit))
}

/// Seconds of a span: a number and h, d, w, m (30 days) or y (365 days).
///
/// # Errors
/// What to write instead.
pub fn parse_span(text: &str) -> Result<u64, String> {
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
pub enum Moment {
    /// Then.
    At(Timestamp),
    /// So many seconds ago.
    Ago(u64),
}

impl Moment {
    /// The time that it is, by what is now.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
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
///
/// # Errors
/// What to write instead.
pub fn parse_moment(text: &str) -> Result<Moment, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates_read_as_people_write_them() {
        assert_eq!(parse_size("10GiB"), Ok(10 << 30));
        assert_eq!(parse_size("5mb"), Ok(5_000_000));
        assert_eq!(parse_size("0"), Ok(0));
        for nonsense in ["", "GiB", "10 GiB", "1.5GB", "99999999999999999999", "9999999999TiB"] {
            assert!(parse_size(nonsense).is_err() && parse_rate(nonsense).is_err(), "{nonsense}");
        }
        assert_eq!(parse_rate("5MiB").map(NonZeroU64::get), Ok(5 << 20));
        assert_eq!(parse_rate("500kb/s").map(NonZeroU64::get), Ok(500_000));
        for slow in ["0", "500", "1023"] {
            assert!(parse_rate(slow).unwrap_err().contains("at least 1024"), "{slow}");
        }
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
}
