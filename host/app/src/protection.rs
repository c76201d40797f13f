//! How well a source is protected: by the promise of its job, or else by the age of its newest good snapshot against its usual rhythm.
//!
//! Owned here: the measure and what it means. Refused here: reading snapshots (`engine`) and words (the program). Called by whoever shows it.

use std::time::Duration;

use credenza_model::Timestamp;

use crate::jobs::promise::{self, Kept, Promise};

/// Times of snapshots, of those before the newest, that say what is usual.
const USUAL_MAX: usize = 10;
/// Snapshots without which nothing is usual yet.
const USUAL_MIN: usize = 3;
/// Snapshots that come closer together make no rhythm: somebody may have made them by hand.
const USUAL_SPAN_MIN: Duration = Duration::from_hours(6);
/// How old the newest may become where nothing is usual yet.
const UNUSUAL_MAX: Duration = Duration::from_hours(7 * 24);

/// What a source is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// A promise: the newest good snapshot is never older.
    Promise(Duration),
    /// Nobody has promised anything. So much time is usual between two snapshots: half of the last ones came sooner.
    Usual(Duration),
    /// The same, and there are too few snapshots for anything to be usual.
    Nothing,
}

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// [`Kept`](Kept::Kept) is protected, [`Broken`](Kept::Broken) is not.
    pub kept: Kept,
    /// When its newest good snapshot was made.
    pub newest: Option<Timestamp>,
    /// Since when it is not protected; none of one that is, and of one that never was.
    pub broken_since: Option<Timestamp>,
    /// What it is measured by.
    pub by: Measure,
}

/// Judges by the times of the good snapshots, oldest first.
#[must_use]
pub fn judge(times: &[Timestamp], promise: Option<Promise>, now: Timestamp) -> Protection {
    let newest = times.last().copied();
    let (by, span) = match (promise, usual(times)) {
        (Some(promise), _) => (Measure::Promise(promise.age), promise),
        // The next is due after one span, late after two, and missing after four.
        (None, Some(usual)) => (Measure::Usual(usual), Promise::of(usual.saturating_mul(4))),
        (None, None) => (Measure::Nothing, Promise::of(UNUSUAL_MAX)),
    };
    let (slack, judged) = promise::judge(span, newest, now);
    let kept = match by {
        Measure::Usual(usual) if judged != Kept::Broken => {
            if age(newest, now) > usual.saturating_mul(2) {
                Kept::Risk
            } else {
                Kept::Kept
            }
        }
        _ => judged,
    };
    let broken_since = newest
        .filter(|_| kept == Kept::Broken)
        .map(|_| Timestamp { seconds: now.seconds.saturating_add(slack), nanoseconds: 0 });
    Protection { kept, newest, broken_since, by }
}

fn age(newest: Option<Timestamp>, now: Timestamp) -> Duration {
    let seconds = newest.map_or(i64::MAX, |newest| now.seconds.saturating_sub(newest.seconds));
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// The median of the last spans between two snapshots.
fn usual(times: &[Timestamp]) -> Option<Duration> {
    let recent = times.get(times.len().saturating_sub(USUAL_MAX + 1)..).filter(|recent| recent.len() >= USUAL_MIN)?;
    let spans = recent.iter().zip(recent.iter().skip(1)).map(|(a, b)| b.seconds.saturating_sub(a.seconds));
    let mut spans: Vec<u64> = spans.map(|span| u64::try_from(span).unwrap_or(0)).collect();
    spans.sort_unstable();
    spans.get(spans.len() / 2).map(|seconds| Duration::from_secs(*seconds).max(USUAL_SPAN_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn times(hours: &[i64]) -> Vec<Timestamp> {
        hours.iter().map(|hours| Timestamp { seconds: hours * HOUR, nanoseconds: 0 }).collect()
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp { seconds: hours * HOUR, nanoseconds: 0 }
    }

    #[test]
    fn a_source_is_measured_by_its_promise_where_there_is_one() {
        let promise = Some(Promise::of(Duration::from_hours(26)));
        let judged = |now| judge(&times(&[0, 24]), promise, at(now));
        assert_eq!((judged(25).kept, judged(47).kept, judged(51).kept), (Kept::Kept, Kept::Risk, Kept::Broken));
        assert_eq!((judged(47).broken_since, judged(60).broken_since), (None, Some(at(50))));
        let never = judge(&[], promise, at(9));
        assert_eq!((never.kept, never.newest, never.broken_since), (Kept::Broken, None, None));
    }

    #[test]
    fn without_a_promise_the_usual_rhythm_says_what_is_late() {
        let daily = times(&[0, 24, 48, 50, 72, 96]);
        let judged = |now| judge(&daily, None, at(now));
        assert_eq!(judged(97).by, Measure::Usual(Duration::from_hours(24)));
        assert_eq!((judged(144).kept, judged(145).kept, judged(193).kept), (Kept::Kept, Kept::Risk, Kept::Broken));
        assert_eq!(judged(193).broken_since, Some(at(192)));
        // A few by hand within a minute make no rhythm of seconds.
        let hasty: Vec<Timestamp> = (0..5).map(|seconds| Timestamp { seconds, nanoseconds: 0 }).collect();
        let judged = |now| judge(&hasty, None, at(now)).kept;
        assert_eq!((judged(12), judged(13), judged(25)), (Kept::Kept, Kept::Risk, Kept::Broken));
    }

    #[test]
    fn a_snapshot_alone_protects_for_a_week() {
        let one = times(&[0]);
        let judged = |now| judge(&one, None, at(now));
        assert_eq!(judged(1).by, Measure::Nothing);
        assert_eq!((judged(24).kept, judged(150).kept, judged(169).kept), (Kept::Kept, Kept::Risk, Kept::Broken));
        // A clock that is behind makes nothing old.
        assert_eq!(judged(-5).kept, Kept::Kept);
    }
}
