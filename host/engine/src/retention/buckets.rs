//! Hours, days, weeks, months and years of the store's time, in UTC, and how many of each still count.

use credenza_format::Policy;
use credenza_model::Timestamp;

/// A span of the calendar of which one snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week from Monday on.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Bucket {
    /// The word of the policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// The number of the span that a time lies in.
    fn of(self, time: Timestamp) -> i64 {
        let days = time.seconds.div_euclid(86_400);
        let (year, month, _) = time.date();
        match self {
            Self::Hour => time.seconds.div_euclid(3600),
            Self::Day => days,
            // 1 January 1970 was a Thursday.
            Self::Week => (days + 3).div_euclid(7),
            Self::Month => year * 12 + month,
            Self::Year => year,
        }
    }
}

/// How many spans of each kind still count, and the last one that did.
pub(super) struct Counts([(Bucket, u32, Option<i64>); 5]);

impl Counts {
    pub(super) fn new(policy: &Policy) -> Self {
        Self([
            (Bucket::Hour, policy.hourly, None),
            (Bucket::Day, policy.daily, None),
            (Bucket::Week, policy.weekly, None),
            (Bucket::Month, policy.monthly, None),
            (Bucket::Year, policy.yearly, None),
        ])
    }

    /// The kinds of span whose newest snapshot this is; times must come newest first.
    pub(super) fn take(&mut self, time: Timestamp) -> Vec<Bucket> {
        let mut newest = Vec::new();
        for (bucket, left, previous) in &mut self.0 {
            let span = bucket.of(time);
            if *left > 0 && previous.replace(span) != Some(span) {
                *left -= 1;
                newest.push(*bucket);
            }
        }
        newest
    }
}
