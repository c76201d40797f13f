//! Hours, days, weeks, months and years of the store's time, in UTC, and how many of each still count.

use credenza_format::Policy;
use credenza_model::Timestamp;

use super::Reason;

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
pub(super) struct Counts([Count; 5]);

struct Count {
    bucket: Bucket,
    left: u32,
    /// The last span that counted.
    span: Option<i64>,
    /// Whether nothing but snapshots with errors was found in it.
    is_flawed: bool,
}

impl Counts {
    pub(super) fn new(policy: &Policy) -> Self {
        let count = |bucket, left| Count { bucket, left, span: None, is_flawed: false };
        Self([
            count(Bucket::Hour, policy.hourly),
            count(Bucket::Day, policy.daily),
            count(Bucket::Week, policy.weekly),
            count(Bucket::Month, policy.monthly),
            count(Bucket::Year, policy.yearly),
        ])
    }

    /// The spans for which this snapshot is kept: as the newest of all, or as the newest without errors behind some with. Times must come
    /// newest first.
    pub(super) fn take(&mut self, time: Timestamp, has_errors: bool) -> Vec<Reason> {
        self.0.iter_mut().filter_map(|count| count.take(time, has_errors)).collect()
    }
}

impl Count {
    fn take(&mut self, time: Timestamp, has_errors: bool) -> Option<Reason> {
        let span = self.bucket.of(time);
        if self.left > 0 && self.span != Some(span) {
            (self.left, self.span, self.is_flawed) = (self.left - 1, Some(span), has_errors);
            return Some(Reason::Newest(self.bucket));
        }
        let is_first_whole = self.span == Some(span) && self.is_flawed && !has_errors;
        self.is_flawed &= !is_first_whole;
        is_first_whole.then_some(Reason::Whole(self.bucket))
    }
}
