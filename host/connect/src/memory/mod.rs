//! Connectors over memory, for tests of everything that stands on a connector.
//!
//! Each is a cheap handle to shared content: a test keeps a clone and changes what the engine is working on. Refused
//! here: faults (`wrap::fault`) and counting (`wrap::record`). Memory: all that was put in.

mod destination;
mod source;
mod store;

pub use destination::{MemoryDestination, Restored};
pub use source::MemorySource;
pub use store::MemoryStore;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a panic of another test thread while it held the lock does not matter to plain content.
fn lock<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}
