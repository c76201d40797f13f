//! A whole suite over a free store: the same tests, of a store that takes those freedoms which a test of something else does not see.
//!
//! Owned here: which those are, and the variable that asks for them. Called by what opens the repositories of tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Free, Freedom};
use crate::Store;
use crate::wrap::{Retry, RetryPolicy};

/// The seed of a free suite; without it stores are as they are.
const FREE_SUITE: &str = "CREDENZA_FREE_SUITE";
/// Freedoms that leave what is in a store, and what is said of it, as they are.
const QUIET: [Freedom; 9] = [
    Freedom::Transient,
    Freedom::AnyPieces,
    Freedom::ShortPage,
    Freedom::EmptyPage,
    Freedom::OddCursor,
    Freedom::NoTag,
    Freedom::OwnPrecondition,
    Freedom::RepeatedPut,
    Freedom::PartialDelete,
];
const PATIENT: RetryPolicy =
    RetryPolicy { pause_min: Duration::ZERO, pause_max: Duration::ZERO, tries_max: 50, time_max: Duration::MAX };

/// The store as it is, or with `CREDENZA_FREE_SUITE=N` taking freedoms by that seed: `cargo xtask test` runs the engine's suites over both.
#[must_use]
pub fn as_asked(store: Arc<dyn Store>) -> Arc<dyn Store> {
    let asked = std::env::var(FREE_SUITE).ok().and_then(|seed| seed.parse().ok());
    match asked {
        Some(seed) => quietly_free(store, seed),
        None => store,
    }
}

/// The same store, which takes freedoms by a seed.
#[must_use]
pub fn quietly_free(store: Arc<dyn Store>, seed: u64) -> Arc<dyn Store> {
    Arc::new(Retry::new(Arc::new(Free::<dyn Store>::taking(store, seed, &QUIET)), PATIENT))
}
