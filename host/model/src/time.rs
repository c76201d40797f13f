//! Points in time with nanoseconds, and their RFC 3339 form.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::text::from_text;

/// Seconds since 1970-01-01T00:00:00Z, possibly negative, plus 0 to 999,999,999 nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// A text that is not an RFC 3339 time in UTC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time such as 2026-01-31T23:59:59Z")]
pub struct InvalidTime {
    /// What was given.
    pub text: String,
}

impl Timestamp {
    /// A time from the system's clock.
    #[must_use]
    pub fn from_system(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => {
                Self { seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX), nanoseconds: after.subsec_nanos() }
            }
            Err(before) => {
                let before: Duration = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self { seconds: -whole, nanoseconds: 0 },
                    nanos => Self { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanos },
                }
            }
        }
    }

    /// Year, month and day in UTC, by the Gregorian calendar.
    #[must_use]
    pub fn date(&self) -> (i64, i64, i64) {
        civil_from_days(self.seconds.div_euclid(86_400))
    }

    /// The first moment of a day in UTC, by its year, its month from 1 and its day from 1.
    #[must_use]
    pub fn of_date(year: i64, month: i64, day: i64) -> Self {
        Self { seconds: days_from_civil(year, month, day) * 86_400, nanoseconds: 0 }
    }

    /// Milliseconds since 1970, saturating.
    #[must_use]
    pub fn unix_millis(&self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanoseconds / 1_000_000))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC; the fraction is printed only when there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.seconds.div_euclid(86_400));
        let second = self.seconds.rem_euclid(86_400);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)?;
        if self.nanoseconds != 0 {
            let fraction = format!("{:09}", self.nanoseconds);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        parse(text).ok_or_else(|| InvalidTime { text: text.to_owned() })
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?.as_bytes();
    let (mut rest, is_negative) = text.strip_prefix(b"-").map_or((text, false), |rest| (rest, true));
    let year = number_before(b'-', &mut rest)?;
    let year = if is_negative { -year } else { year };
    let month = number_before(b'-', &mut rest)?;
    let day = number_before(b'T', &mut rest)?;
    let hour = number_before(b':', &mut rest)?;
    let minute = number_before(b':', &mut rest)?;
    let second_end = rest.iter().position(|byte| *byte == b'.').unwrap_or(rest.len());
    let (second, fraction) = rest.split_at_checked(second_end)?;
    let second = number(second)?;
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
        || year.abs() > 999_999
    {
        return None;
    }
    let fraction = fraction.strip_prefix(b".").unwrap_or_default();
    let missing_digits = u32::try_from(9_usize.checked_sub(fraction.len())?).ok()?;
    let fraction = if fraction.is_empty() { 0 } else { number(fraction)? };
    let nanoseconds = u32::try_from(fraction * 10_i64.pow(missing_digits)).ok()?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp { seconds, nanoseconds })
}

/// The number before a mark; what remains is behind it.
fn number_before(mark: u8, rest: &mut &[u8]) -> Option<i64> {
    let end = rest.iter().position(|byte| *byte == mark)?;
    let (digits, behind) = rest.split_at_checked(end)?;
    *rest = behind.get(1..)?;
    number(digits)
}

/// A number of one digit at least, without a sign.
fn number(digits: &[u8]) -> Option<i64> {
    let next = |number: i64, byte: &u8| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, next)).flatten()
}

/// Days since 1970-01-01 of a proleptic Gregorian date, counted in 400-year eras that begin in March, where a leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_rfc_3339_and_read_back() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
            (1_796_083_199, 1, "2026-11-30T23:59:59.000000001Z"),
            (1_796_083_199, 120_000_000, "2026-11-30T23:59:59.12Z"),
            (-62_198_755_200, 0, "-001-01-01T00:00:00Z"),
        ];
        for (seconds, nanoseconds, text) in cases {
            let time = Timestamp { seconds, nanoseconds };
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time));
        }
    }

    #[test]
    fn every_day_of_eight_centuries_survives_the_calendar() {
        for day in -146_097..146_097 {
            let (year, month, date) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, date), day);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.0000000001Z",
            "2026-01-01T00:00:00.+1Z",
            "2026-01-01T00:00:0:0Z",
            "2026-01-+1T00:00:00Z",
            "2026-01-01-01T00:00:00Z",
            "--26-01-01T00:00:00Z",
            "99999999999999999999-01-01T00:00:00Z",
            "1000000-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
