//! Locks: until when the store lets nobody delete what is put, and the store's time, from which that follows.
//!
//! Owned here: the rule of `FORMAT.md`, "Locks". Refused here: which objects a snapshot stands on (`write::hold`). Called by everything
//! that puts an object which must last.

use credenza_connect::{ErrorClass, Payload, PutOptions, Store, Stored};
use credenza_model::{ObjectId, StoreKey, Timestamp};

use super::{Repository, list, random_id};
use crate::{Error, Result};

/// Where objects are put to ask the store for its time.
pub(crate) const PROBES: &str = "probe/";
/// What such an object is, to the store: not worth the room that is kept for records of removal.
pub(super) const PROBE: &str = "probe";
const DAY_SECONDS: i64 = 86_400;

/// For how long a repository locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockRule {
    period_seconds: i64,
    /// Ends of locks are multiples of it.
    quantum_seconds: i64,
}

impl LockRule {
    /// Snapshots last for so many days.
    pub(crate) fn of_days(days: u32) -> Self {
        let days = i64::from(days);
        Self { period_seconds: days * DAY_SECONDS, quantum_seconds: (days / 8).max(1) * DAY_SECONDS }
    }

    /// How long everything must last that a snapshot stands on which is committed now.
    pub(crate) fn needed(self, now: Timestamp) -> Timestamp {
        let end = now.seconds.saturating_add(i64::from(now.nanoseconds > 0)).saturating_add(self.period_seconds);
        let past = end.rem_euclid(self.quantum_seconds);
        let rest = if past == 0 { 0 } else { self.quantum_seconds - past };
        Timestamp { seconds: end.saturating_add(rest), nanoseconds: 0 }
    }

    /// How long is locked what is put or extended now: a quantum longer, so that the next snapshots find it locked long enough.
    pub(crate) fn granted(self, now: Timestamp) -> Timestamp {
        let needed = self.needed(now);
        Timestamp { seconds: needed.seconds.saturating_add(self.quantum_seconds), ..needed }
    }
}

impl Repository {
    /// For how long this repository locks, if it does.
    pub(crate) fn lock_rule(&self) -> Option<LockRule> {
        self.config.retain_days.map(LockRule::of_days)
    }

    /// Until when what is put now is to be locked; nothing where the repository does not lock.
    ///
    /// # Errors
    /// When the store cannot be written, or has no clock.
    pub(crate) async fn lock_until(&self) -> Result<Option<Timestamp>> {
        match self.lock_rule() {
            Some(rule) => Ok(Some(rule.granted(self.lock_time().await?))),
            None => Ok(None),
        }
    }

    /// The store's time, without which nothing can be locked.
    ///
    /// # Errors
    /// [`Error::NoLock`] when the store has no clock.
    pub(crate) async fn lock_time(&self) -> Result<Timestamp> {
        self.store_time().await?.ok_or_else(|| Error::NoLock {
            reason: "it does not say when an object was written, and locks end by its clock".to_owned(),
        })
    }

    /// The store's time, as [`store_time`].
    pub(crate) async fn store_time(&self) -> Result<Option<Timestamp>> {
        store_time(&*self.bare).await
    }

    /// The store's time. One that is full cannot be asked by a probe; what it holds says what time it has [reached](Self::time_reached).
    pub(crate) async fn time(&self) -> Result<Option<Timestamp>> {
        match self.store_time().await {
            Err(cause) if cause.is_full() => self.time_reached().await,
            asked => asked,
        }
    }

    /// A time that the store has reached for certain, told without writing to it: that of the newest object, as far as this machine's clock has
    /// reached it too, because a store whose clock was ahead once may hold objects from a time that is still to come.
    pub(crate) async fn time_reached(&self) -> Result<Option<Timestamp>> {
        let mut newest = None;
        for prefix in ["snapshot/", "intent/", "index/"] {
            let listed = list(&*self.store, prefix).await?;
            newest = newest.max(listed.iter().filter_map(|object| object.modified).max());
        }
        Ok(newest.map(|newest| newest.min(self.clock.now().wall)))
    }
}

/// The store's time: when it says that an object was written which was put just now. The machine's clock is never asked.
pub(super) async fn store_time(store: &dyn Store) -> Result<Option<Timestamp>> {
    let key = probe_key()?;
    let doing = || Error::connector("asking the store for its time");
    let options = PutOptions { if_absent: true, hint: PROBE.to_owned(), ..PutOptions::default() };
    let put = match store.put(&key, Payload::from(b"credenza".to_vec()), &options).await {
        // On a name drawn at random only an earlier try of the same can have arrived.
        Err(cause) if cause.class == ErrorClass::Precondition => Stored::default(),
        put => put.map_err(doing())?,
    };
    let modified = match put.modified {
        Some(modified) => Ok(Some(modified)),
        None => store.stat(&key).await.map(|probe| probe.modified).map_err(doing()),
    };
    // One that stays behind expires.
    let _ = store.delete(std::slice::from_ref(&key)).await;
    modified
}

pub(super) fn probe_key() -> Result<StoreKey> {
    let id = ObjectId::new(random_id()?);
    StoreKey::new(format!("{PROBES}{id}"))
        .map_err(|cause| Error::Encode { doing: "naming a probe".into(), cause: cause.to_string() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    #[test]
    fn ends_of_locks_are_whole_quanta() {
        let month = LockRule::of_days(30);
        let day = |days: i64| at(days * DAY_SECONDS);
        assert_eq!(month.quantum_seconds, 3 * DAY_SECONDS);
        assert_eq!((month.needed(day(0)), month.granted(day(0))), (day(30), day(33)));
        assert_eq!(month.needed(Timestamp { seconds: 0, nanoseconds: 1 }), day(33));
        assert_eq!(LockRule::of_days(1).granted(at(1)), day(3));
    }

    proptest! {
        #[test]
        fn what_is_granted_covers_every_snapshot_of_the_next_quantum(days in 1..10_000_u32, now in 0..1_i64 << 40, later: u32) {
            let rule = LockRule::of_days(days);
            let later = at(now + i64::from(later) % (rule.quantum_seconds + 1));
            prop_assert!(rule.needed(later) <= rule.granted(at(now)));
            prop_assert!(rule.needed(later).seconds - later.seconds >= i64::from(days) * DAY_SECONDS);
        }
    }
}
