//! Locks that a panicked worker may have left poisoned.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, whoever held it before.
pub(crate) fn lock_unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a worker panicked; its run fails by the join error, and no state here outlives the run.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
