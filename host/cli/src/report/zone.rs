//! Times and sizes as a person reads them.

use std::fmt::{self, Display};

use credenza_model::Timestamp;
use indicatif::HumanBytes;
use jiff::tz::TimeZone;

/// The zone that times are shown in.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// That of this machine, or UTC where that is wished.
    pub(crate) fn new(utc: bool) -> Self {
        Self(if utc { TimeZone::UTC } else { TimeZone::system() })
    }

    /// To the second, with the name of the zone.
    pub(crate) fn seconds(&self, time: Timestamp) -> String {
        self.shown(time, "%Y-%m-%d %H:%M:%S %Z")
    }

    /// To the minute, with the name of the zone.
    pub(crate) fn minutes(&self, time: Timestamp) -> String {
        self.shown(time, "%Y-%m-%d %H:%M %Z")
    }

    fn shown(&self, time: Timestamp, form: &str) -> String {
        let whole = Timestamp { nanoseconds: 0, ..time };
        // What lies beyond the year 9999 has no local time.
        jiff::Timestamp::from_second(time.seconds)
            .map_or_else(|_| whole.to_string(), |time| time.to_zoned(self.0.clone()).strftime(form).to_string())
    }
}

/// Bytes in KiB, MiB and so on, aligned by whoever shows it.
pub(crate) struct Bytes(pub(crate) u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HumanBytes(self.0).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_their_zone_and_by_its_name() {
        let time = Timestamp { seconds: 1_795_908_789, nanoseconds: 5 };
        assert_eq!(Zone::new(true).seconds(time), "2026-11-28 23:33:09 UTC");
        let berlin = Zone(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        assert_eq!(berlin.minutes(time), "2026-11-29 00:33 CET");
        let far = Timestamp { seconds: i64::MAX / 2, nanoseconds: 0 };
        assert_eq!(berlin.minutes(far), far.to_string());
    }

    #[test]
    fn sizes_are_binary_and_take_a_width() {
        assert_eq!(format!("[{:>10}]", Bytes(1536)), "[  1.50 KiB]");
    }
}
