//! The two notations of time in protocols over HTTP: ISO 8601 in documents, RFC 9110 section 5.6.7 dates in headers.
//!
//! ```
//! use credenza_sdk::time;
//!
//! let modified = time::parse_http("Thu, 29 Feb 2024 12:34:56 GMT").unwrap();
//! assert_eq!(time::format_iso(modified), "2024-02-29T12:34:56Z");
//! ```

use crate::Timestamp;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const DAY_SECONDS: i64 = 86_400;
/// Years 0 to 9999.
const SECONDS: (i64, i64) = (-62_167_219_200, 253_402_300_799);

/// `2024-02-29T12:34:56.789Z`, with any number of digits after the point or none.
#[must_use]
pub fn parse_iso(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [year, month, day] = numbers(date, '-')?;
    let seconds = seconds_of(year, month, day, time)?;
    Some(Timestamp { seconds, nanoseconds: nanoseconds(fraction)? })
}

/// `Thu, 29 Feb 2024 12:34:56 GMT`.
#[must_use]
pub fn parse_http(text: &str) -> Option<Timestamp> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().zip(1..).find_map(|(name, number)| (*name == month).then_some(number))?;
    let year = words.next()?.parse().ok()?;
    let seconds = seconds_of(year, month, day, words.next()?)?;
    (words.next() == Some("GMT")).then_some(Timestamp { seconds, nanoseconds: 0 })
}

/// `2024-02-29T12:34:56Z`; years 0 to 9999, others at the nearer end.
#[must_use]
pub fn format_iso(time: Timestamp) -> String {
    let seconds = time.seconds.clamp(SECONDS.0, SECONDS.1);
    let (year, month, day) = date_of(seconds.div_euclid(DAY_SECONDS));
    let second = seconds.rem_euclid(DAY_SECONDS);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// `Thu, 29 Feb 2024 12:34:56 GMT`; years 0 to 9999, others at the nearer end.
#[must_use]
pub fn format_http(time: Timestamp) -> String {
    let seconds = time.seconds.clamp(SECONDS.0, SECONDS.1);
    let days = seconds.div_euclid(DAY_SECONDS);
    let (year, month, day) = date_of(days);
    let second = seconds.rem_euclid(DAY_SECONDS);
    // The first day of the epoch was a Thursday.
    let name =
        |names: &[&'static str], index: i64| usize::try_from(index).ok().and_then(|index| names.get(index).copied());
    let weekday = name(&DAYS, days.rem_euclid(7)).unwrap_or_default();
    let month = name(&MONTHS, month - 1).unwrap_or_default();
    format!("{weekday}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT", second / 3600, second / 60 % 60, second % 60)
}

fn numbers<const COUNT: usize>(text: &str, separator: char) -> Option<[i64; COUNT]> {
    let digits = |word: &str| !word.is_empty() && word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit());
    let words: Vec<&str> = text.split(separator).collect();
    let numbers: Option<Vec<i64>> = words.iter().map(|w| digits(w).then(|| w.parse().ok()).flatten()).collect();
    numbers?.try_into().ok()
}

fn nanoseconds(fraction: &str) -> Option<u32> {
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    fraction.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn seconds_of(year: i64, month: i64, day: i64, time: &str) -> Option<i64> {
    let [hour, minute, second] = numbers(time, ':')?;
    let plausible = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    plausible.then(|| days_of(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_of`], from the same source.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_notations_name_the_same_second() {
        let iso = parse_iso("2024-02-29T12:34:56.789Z").unwrap();
        assert_eq!((iso.seconds, iso.nanoseconds), (1_709_210_096, 789_000_000));
        assert_eq!(parse_http("Thu, 29 Feb 2024 12:34:56 GMT").unwrap().seconds, iso.seconds);
        assert_eq!(format_http(iso), "Thu, 29 Feb 2024 12:34:56 GMT");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "2024", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "x-y-zT:::Z"] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
        for text in ["", "Thu, 29 Foo 2024 12:34:56 GMT", "Thu, 29 Feb 2024 12:34:56 CET", "29 Feb 2024"] {
            assert_eq!(parse_http(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn formatting_and_parsing_are_a_pair(seconds in -62_167_219_200_i64..=253_402_300_799) {
            let time = Timestamp { seconds, nanoseconds: 0 };
            prop_assert_eq!(parse_iso(&format_iso(time)), Some(time));
            prop_assert_eq!(parse_http(&format_http(time)), Some(time));
        }

        #[test]
        fn parsing_takes_anything(text in any::<String>()) {
            let _ = (parse_iso(&text), parse_http(&text));
        }
    }
}
