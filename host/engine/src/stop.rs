//! Stop: the wish that a run ends early, and cleanly.
//!
//! What is being written is given up between two parts, so that no half of it stays at the destination. Owned here: the wish. Refused here:
//! heeding it (`entry_writer`). Called by `cli`, which makes it, and by the restore writer, when one failure ends the whole run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::{Error, Result};

/// A wish that can be made once and is seen by all clones.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug)]
struct State {
    wish: watch::Sender<bool>,
    is_heeded: AtomicBool,
}

impl Default for State {
    fn default() -> Self {
        Self { wish: watch::Sender::new(false), is_heeded: AtomicBool::new(false) }
    }
}

impl Stop {
    /// Makes the wish.
    pub fn request(&self) {
        self.0.wish.send_replace(true);
    }

    /// Whether a run would end in good order now; any other may be dropped where it stands.
    #[must_use]
    pub fn is_heeded(&self) -> bool {
        self.0.is_heeded.load(Ordering::Relaxed)
    }

    pub(crate) fn heed(&self) {
        self.0.is_heeded.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.0.wish.borrow()
    }

    /// Work that may be dropped when the wish is made.
    ///
    /// # Errors
    /// `Cancelled` when it was.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let mut wish = self.0.wish.subscribe();
        tokio::select! {
            biased;
            _ = wish.wait_for(|is_requested| *is_requested) => Err(Error::Cancelled),
            done = work => Ok(done),
        }
    }
}
