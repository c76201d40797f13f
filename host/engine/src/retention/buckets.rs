//! Hours, days, weeks, months and years of the store's time, in UTC, and how many of each still count.

use credenza_format::Policy;
use credenza_model::Timestamp;

use super::{Reason, Until};

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

    /// Whether the span that a time lies in is over.
    pub(super) fn is_over(self, time: Timestamp, now: Timestamp) -> bool {
        self.of(time) < self.of(now)
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

impl Bucket {
    /// When the span of a number begins.
    fn begin(self, number: i64) -> Timestamp {
        let of_days = |days: i64| Timestamp { seconds: days.saturating_mul(86_400), nanoseconds: 0 };
        match self {
            Self::Hour => Timestamp { seconds: number.saturating_mul(3600), nanoseconds: 0 },
            Self::Day => of_days(number),
            Self::Week => of_days(number.saturating_mul(7) - 3),
            // Months of a year go from 1 to 12.
            Self::Month => Timestamp::of_date((number - 1).div_euclid(12), (number - 1).rem_euclid(12) + 1, 1),
            Self::Year => Timestamp::of_date(number, 1, 1),
        }
    }
}

/// How many spans of each kind still count, and the last one that did.
pub(super) struct Counts([Count; 5]);

struct Count {
    bucket: Bucket,
    left: u32,
    /// The newest span that counted, and the last one that did.
    first: Option<i64>,
    span: Option<i64>,
    /// Whether nothing but snapshots with errors was found in it.
    is_flawed: bool,
}

impl Counts {
    pub(super) fn new(policy: &Policy) -> Self {
        let count = |bucket, left| Count { bucket, left, first: None, span: None, is_flawed: false };
        Self([
            count(Bucket::Hour, policy.hourly),
            count(Bucket::Day, policy.daily),
            count(Bucket::Week, policy.weekly),
            count(Bucket::Month, policy.monthly),
            count(Bucket::Year, policy.yearly),
        ])
    }

    /// The spans for which this snapshot is kept: as the newest of all, or as the newest without errors behind some with. Times must come
    /// newest first. With each the earliest end of that, by what is now.
    pub(super) fn take(&mut self, time: Timestamp, has_errors: bool, now: Timestamp) -> Vec<(Reason, Until)> {
        let taken = self.0.iter_mut().filter_map(|count| Some((count.take(time, has_errors)?, count.until(now))));
        taken.collect()
    }
}

impl Count {
    fn take(&mut self, time: Timestamp, has_errors: bool) -> Option<Reason> {
        let span = self.bucket.of(time);
        if self.left > 0 && self.span != Some(span) {
            (self.left, self.span, self.is_flawed) = (self.left - 1, Some(span), has_errors);
            self.first.get_or_insert(span);
            return Some(Reason::Newest(self.bucket));
        }
        let is_first_whole = self.span == Some(span) && self.is_flawed && !has_errors;
        self.is_flawed &= !is_first_whole;
        is_first_whole.then_some(Reason::Whole(self.bucket))
    }

    /// The earliest end of what the last span keeps: when as many newer spans have begun as there is room for. In a span that is not over, a newer
    /// snapshot takes the place.
    fn until(&self, now: Timestamp) -> Until {
        let (Some(first), Some(span)) = (self.first, self.span) else { return Until::default() };
        if span >= self.bucket.of(now) {
            return Until::newer(1);
        }
        Until::time(self.bucket.begin(first.saturating_add(i64::from(self.left) + 1)))
    }
}
