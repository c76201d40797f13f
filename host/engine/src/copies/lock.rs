//! Lock: what a rule of a target's own retention keeps is locked for longer than all that the target stores.
//!
//! A snapshot is locked as the one of a month, or of another span, when that is over: until then a newer one takes its place. Its lock then ends so many days after
//! it came to the target. What it stands on is locked as long, where it lies by then, and what comes to stand below it later (a merged index, a new key slot) with the next run. One that is
//! damaged keeps no other from being locked, and is tried again.
//!
//! Owned here: which snapshots, and until when. Refused here: extending (`write::hold`), the rules (`retention`). Bound: the index, and a snapshot each.

use credenza_model::{ObjectId, Timestamp};

use crate::repository::{Repository, SnapshotHandle};
use crate::retention::{Bucket, Plan};
use crate::write::hold_until;
use crate::{Result, Stop};

const DAY_SECONDS: i64 = 86_400;

/// How long snapshots are to be locked that a rule keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassLock {
    /// The rule, by the span of which it keeps one.
    pub class: Bucket,
    /// Days.
    pub days: u32,
}

/// How the snapshots are locked that a rule keeps.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ClassLocked {
    /// The word of the rule, such as `monthly`.
    pub class: &'static str,
    /// For how many days they are to be locked.
    pub days_asked: u32,
    /// How many there are, of spans that are over.
    pub snapshots: u64,
    /// How many of them are locked for as long.
    pub locked: u64,
    /// The shortest lock of any of them, in days since it came; nothing where there is none.
    pub days: Option<u32>,
}

/// Locks what the rules keep as long as they say; how many snapshots were locked for less. `plan` is what the target's policy makes of its snapshots `now`.
///
/// # Errors
/// [`Error::NoLock`](crate::Error::NoLock) where the target does not lock; the first [`Error::Damage`](crate::Error::Damage) of a snapshot, when all else is locked; and when its
/// store cannot be read, or does not lock for longer.
pub async fn lock(
    target: &Repository,
    (plan, now): (&Plan, Timestamp),
    locks: &[ClassLock],
    stop: &Stop,
) -> Result<u64> {
    let until = |handle: &SnapshotHandle, days: u32| handle.stored.map(|stored| after(stored, days));
    let wanted = plan.decisions().filter_map(|decision| {
        let of = |class: Bucket| locks.iter().filter(move |lock| lock.class == class).map(|lock| lock.days);
        let days = decision.settled_spans(now).flat_map(of).max()?;
        Some((decision.snapshot.clone(), until(&decision.snapshot, days)?))
    });
    let wanted: Vec<(SnapshotHandle, Timestamp)> = wanted.filter(|(_, until)| *until > now).collect();
    hold_until(target, &wanted, stop).await
}

/// How long the snapshots are locked that the rules keep, by what is on record.
///
/// # Errors
/// When the store cannot be read.
pub async fn locked(
    target: &Repository,
    (plan, now): (&Plan, Timestamp),
    locks: &[ClassLock],
) -> Result<Vec<ClassLocked>> {
    let index = target.index_for_reading().await?;
    let all = target.config().retain_days.unwrap_or(0);
    let days = |handle: &SnapshotHandle| {
        let recorded = index.locked_until(&ObjectId::new(*handle.snapshot.id.as_bytes()));
        let seconds = recorded.zip(handle.stored).map(|(until, stored)| until.seconds.saturating_sub(stored.seconds));
        let days = seconds.and_then(|seconds| u32::try_from(seconds / DAY_SECONDS).ok());
        days.unwrap_or(0).max(all)
    };
    let of = |lock: &ClassLock| {
        let is_of = |class: Bucket| class == lock.class;
        let kept = plan.decisions().filter(|decision| decision.settled_spans(now).any(is_of));
        let found: Vec<u32> = kept.map(|decision| days(&decision.snapshot)).collect();
        ClassLocked {
            class: lock.class.name(),
            days_asked: lock.days,
            snapshots: found.len() as u64,
            locked: found.iter().filter(|days| **days >= lock.days).count() as u64,
            days: found.into_iter().min(),
        }
    };
    Ok(locks.iter().map(of).collect())
}

fn after(time: Timestamp, days: u32) -> Timestamp {
    let seconds =
        time.seconds.saturating_add(i64::from(time.nanoseconds > 0)).saturating_add(i64::from(days) * DAY_SECONDS);
    Timestamp { seconds, nanoseconds: 0 }
}
