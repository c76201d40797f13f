//! What takes long to measure, and was measured last: whoever looks waits a while for it, and where it takes longer sees what was known before.
//!
//! Owned here: that each thing is measured by one at a time, and that this goes on when nobody waits for it any more. Refused here: what is measured, and how
//! long it may take (`pages`). Bound: what was found last of each thing that was looked at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use credenza_engine::Clock;
use credenza_model::Timestamp;

/// What was found of things, by name.
pub(crate) struct Measured<T> {
    clock: Arc<dyn Clock>,
    slots: Mutex<BTreeMap<String, Arc<Slot<T>>>>,
}

struct Slot<T> {
    /// Held by who measures.
    under_way: Arc<tokio::sync::Mutex<()>>,
    last: Mutex<Option<Found<T>>>,
}

/// What was found, and when.
pub(crate) struct Found<T> {
    /// When measuring began: what has changed since may have been missed.
    pub(crate) began: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) what: Arc<T>,
}

impl<T> Slot<T> {
    fn last(&self) -> Option<Found<T>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Clone for Found<T> {
    fn clone(&self) -> Self {
        Self { began: self.began, at: self.at, what: Arc::clone(&self.what) }
    }
}

/// What whoever looks gets.
pub(crate) struct Looked<T> {
    /// What was found last; nothing where nothing ever was.
    pub(crate) last: Option<Found<T>>,
    /// Whether measuring goes on, so that the next look has more.
    pub(crate) goes_on: bool,
    /// Whether the last was found while whoever looks waited. It is not where measuring goes on, or failed.
    pub(crate) is_new: bool,
}

impl<T: Send + Sync + 'static> Measured<T> {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, slots: Mutex::default() }
    }

    /// Has something measured on a thread of its own, where nobody does it already, and waits for that for a while.
    pub(crate) async fn look(
        &self,
        name: &str,
        patience: Duration,
        measure: impl FnOnce() -> T + Send + 'static,
    ) -> Looked<T> {
        let slot = self.slot(name);
        let before = slot.last();
        if let Ok(held) = Arc::clone(&slot.under_way).try_lock_owned() {
            let (slot, clock) = (Arc::clone(&slot), Arc::clone(&self.clock));
            tokio::task::spawn_blocking(move || {
                let began = clock.now().wall;
                let what = Arc::new(measure());
                let found = Found { began, at: clock.now().wall, what };
                *slot.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                drop(held);
            });
        }
        let goes_on = tokio::time::timeout(patience, slot.under_way.lock()).await.is_err();
        let last = slot.last();
        let is_same = |last: &Found<T>| before.as_ref().is_some_and(|before| Arc::ptr_eq(&before.what, &last.what));
        let is_new = last.as_ref().is_some_and(|last| !is_same(last));
        Looked { last, goes_on, is_new }
    }

    fn slot(&self, name: &str) -> Arc<Slot<T>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Slot { under_way: Arc::default(), last: Mutex::new(None) });
        Arc::clone(slots.entry(name.to_owned()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use credenza_engine::SystemClock;

    use super::*;

    /// Long enough for any machine.
    const PATIENCE: Duration = Duration::from_mins(5);

    #[tokio::test(flavor = "multi_thread")]
    async fn who_does_not_wait_sees_what_was_found_last_and_nothing_is_measured_twice_at_once() {
        let measured = Measured::new(Arc::new(SystemClock));
        let (goes_on, waits) = channel();
        let slow = move || {
            waits.recv().unwrap();
            1
        };
        let first = measured.look("a", Duration::ZERO, slow).await;
        assert!(first.goes_on && first.last.is_none());
        let second = measured.look("a", Duration::ZERO, || panic!("it is measured already")).await;
        assert!(second.goes_on && second.last.is_none());
        goes_on.send(()).unwrap();
        let whole = measured.look("a", PATIENCE, || 1).await;
        assert_eq!((whole.goes_on, whole.last.map(|found| *found.what)), (false, Some(1)));
        let (_held, never) = channel::<()>();
        let later = measured.look("a", Duration::ZERO, move || never.recv().map_or(3, |()| 2)).await;
        assert_eq!((later.goes_on, later.last.map(|found| *found.what)), (true, Some(1)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_found_before_a_measure_that_fails_is_not_new() {
        let measured = Measured::new(Arc::new(SystemClock));
        let first = measured.look("a", PATIENCE, || 1).await;
        assert!(!first.goes_on && first.is_new);
        let failed = measured.look("a", PATIENCE, || panic!("for the test")).await;
        assert_eq!((failed.goes_on, failed.is_new), (false, false));
        assert_eq!(failed.last.map(|found| *found.what), Some(1));
        assert!(measured.look("a", PATIENCE, || 1).await.is_new, "also where it is as it was");
    }
}
