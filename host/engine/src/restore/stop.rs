//! Stop: the wish that a restore ends early, and cleanly.
//!
//! What is being written is given up between two parts, so that no half of it stays at the destination. Owned here: the wish. Refused here:
//! heeding it (`scribe`). Called by `cli`, which makes it, and by the layer, when one failure ends the whole run.

use std::sync::Arc;

use tokio::sync::watch;

/// A wish that can be made once and is seen by all clones.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Makes the wish.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the wish is made.
    pub(super) async fn requested(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(|is_requested| *is_requested).await;
    }
}
