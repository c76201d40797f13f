//! The notation of time that WebDAV uses in documents and headers: RFC 9110 section 5.6.7.

use credenza_sdk::Timestamp;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_SECONDS: i64 = 86_400;

/// `Thu, 29 Feb 2024 12:34:56 GMT`.
pub(crate) fn parse_http(text: &str) -> Option<Timestamp> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().zip(1..).find_map(|(name, number)| (*name == month).then_some(number))?;
    let year = words.next()?.parse().ok()?;
    let seconds = seconds_of(year, month, day, words.next()?)?;
    (words.next() == Some("GMT")).then_some(Timestamp { seconds, nanoseconds: 0 })
}

fn numbers<const COUNT: usize>(text: &str, separator: char) -> Option<[i64; COUNT]> {
    let digits = |word: &str| !word.is_empty() && word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit());
    let words: Vec<&str> = text.split(separator).collect();
    let numbers: Option<Vec<i64>> = words.iter().map(|w| digits(w).then(|| w.parse().ok()).flatten()).collect();
    numbers?.try_into().ok()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_names_its_second() {
        let time = parse_http("Thu, 29 Feb 2024 12:34:56 GMT").unwrap();
        assert_eq!((time.seconds, time.nanoseconds), (1_709_210_096, 0));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "Thu, 29 Foo 2024 12:34:56 GMT", "Thu, 29 Feb 2024 12:34:56 CET", "29 Feb 2024"] {
            assert_eq!(parse_http(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_takes_anything(text in any::<String>()) {
            let _ = parse_http(&text);
        }
    }
}
