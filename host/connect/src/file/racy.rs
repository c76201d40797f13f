//! Times that prove nothing: a file that was changed about when an earlier run read it may have been changed once more without its times
//! moving, as git calls racy.
//!
//! Times of the kernel lag behind by a tick, those of coarse file systems by up to two seconds. The change time alone is judged: it
//! moves with the other, and nobody can set it to an hour that is to come. Called by the walk.

use std::time::Duration;

use credenza_model::Timestamp;

/// The clock that files are stamped with ticks at least a hundred times a second (time(7)).
const TICK: Duration = Duration::from_millis(10);
/// FAT counts in steps of two seconds, older file systems in seconds; neither tells a part of one.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// When an earlier run began.
pub(super) struct Racy {
    since: Timestamp,
    since_coarse: Timestamp,
    whole_seconds: bool,
}

impl Racy {
    /// With `whole_seconds`, a time that has no part of one proves nothing, however old it is.
    pub(super) fn since(began: Timestamp, whole_seconds: bool) -> Self {
        Self { since: before(began, TICK), since_coarse: before(began, COARSE_TICK), whole_seconds }
    }

    /// Whether a file that was changed then may have changed again, unseen, since the run began.
    pub(super) fn holds(&self, changed: Timestamp) -> bool {
        match changed.nanoseconds {
            0 => self.whole_seconds || changed >= self.since_coarse,
            _ => changed >= self.since,
        }
    }
}

fn before(time: Timestamp, span: Duration) -> Timestamp {
    let (seconds, part) = (i64::try_from(span.as_secs()).unwrap_or(i64::MAX), span.subsec_nanos());
    let seconds = time.seconds.saturating_sub(seconds);
    match time.nanoseconds.checked_sub(part) {
        Some(nanoseconds) => Timestamp { seconds, nanoseconds },
        None => Timestamp { seconds: seconds.saturating_sub(1), nanoseconds: time.nanoseconds + 1_000_000_000 - part },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_within_a_tick_of_the_run_proves_nothing_and_an_older_one_does() {
        let began = Timestamp { seconds: 1000, nanoseconds: 5_000_000 };
        let cases = [
            (1000, 5_000_001, true),
            (1000, 1, true),
            (999, 996_000_000, true),
            (999, 994_999_999, false),
            (999, 0, true),
            (998, 0, false),
            (998, 5_000_000, false),
            (2000, 0, true),
        ];
        for (seconds, nanoseconds, expected) in cases {
            let changed = Timestamp { seconds, nanoseconds };
            assert_eq!(Racy::since(began, false).holds(changed), expected, "{changed:?}");
            assert_eq!(Racy::since(began, true).holds(changed), expected || nanoseconds == 0, "{changed:?}");
        }
    }
}
