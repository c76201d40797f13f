//! What a connector may write to the log: one budget for all its instances, because a pool of them floods as well as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::limits::LOG_BYTES_MAX;

/// The budget; when it ends it says how many lines did not fit.
pub(crate) struct LogBudget {
    connector: Arc<str>,
    bytes: AtomicUsize,
    suppressed: AtomicU64,
}

impl LogBudget {
    pub(crate) fn new(connector: Arc<str>) -> Self {
        Self { connector, bytes: AtomicUsize::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether a line of that length may still be written; what does not fit is counted.
    pub(crate) fn admits(&self, length: usize) -> bool {
        let spent = |bytes: usize| bytes.checked_add(length).filter(|bytes| *bytes <= LOG_BYTES_MAX);
        let fits = self.bytes.fetch_update(Relaxed, Relaxed, spent).is_ok();
        if !fits {
            self.suppressed.fetch_add(1, Relaxed);
        }
        fits
    }
}

impl Drop for LogBudget {
    fn drop(&mut self) {
        let suppressed = *self.suppressed.get_mut();
        if suppressed > 0 {
            tracing::warn!(connector = %self.connector, "… {suppressed} lines suppressed");
        }
    }
}
