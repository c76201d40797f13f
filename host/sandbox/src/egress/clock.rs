//! The time of this machine, and the difference to a remote's that refuses a signed request: signatures are valid for some minutes only.

use std::time::SystemTime;

use credenza_model::Timestamp;

/// A remote whose clock is this far away may refuse signatures; AWS allows 15 minutes, others less.
const SKEW_SECONDS: u64 = 300;

/// The time of this machine, by which requests are signed.
#[expect(clippy::disallowed_methods, reason = "signatures and guests take the time that others see")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// A sentence with both clocks when they differ too much. The clock is never corrected silently.
pub(crate) fn skew(date: &str, now: SystemTime) -> Option<String> {
    let remote = parse_http_date(date)?;
    let local = Timestamp::from_system(now);
    if remote.seconds.abs_diff(local.seconds) <= SKEW_SECONDS {
        return None;
    }
    let local = Timestamp { nanoseconds: 0, ..local };
    Some(format!("this computer's clock says {local}, the server's says {remote}; set the clock that is wrong"))
}

/// The preferred form of RFC 9110 section 5.6.7, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? + 1;
    let (year, time) = (words.next()?, words.next()?);
    (words.next()? == "GMT").then(|| format!("{year}-{month:02}-{day}T{time}Z").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn only_a_large_difference_is_named_with_both_clocks() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(skew("Sun, 06 Nov 1994 08:49:37 GMT", now), None);
        let message = skew("Sun, 06 Nov 1994 09:49:37 GMT", now).unwrap();
        assert!(message.contains("1994-11-06T08:49:37Z") && message.contains("1994-11-06T09:49:37Z"), "{message}");
        assert_eq!(skew("yesterday", now), None);
    }
}
