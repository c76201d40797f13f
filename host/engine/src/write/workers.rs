//! Workers: the threads that work for a run. Whoever gives a piece of work up leaves a thread behind; the run does not end before that is done.
//!
//! Owned here: who is at work. Refused here: what is done. Called by `packs`, whose packs all of them fill.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::{Error, Result};

/// More than there are threads that block.
const PLACES: u32 = 1 << 16;

/// Counts who is at work.
pub(crate) struct Workers(Arc<Semaphore>);

/// Somebody at work, until it is dropped.
pub(crate) struct Busy(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Workers {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PLACES as usize)))
    }

    /// Takes a place, for work that is done elsewhere.
    ///
    /// # Errors
    /// [`Error::PacksClosed`] once the workers is dismissed.
    pub(crate) async fn join(&self) -> Result<Busy> {
        Arc::clone(&self.0).acquire_owned().await.map(Busy).map_err(|_| Error::PacksClosed)
    }

    /// Begins work on a thread that may block.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(crate) async fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let place = self.join().await?;
        Ok(tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        }))
    }

    /// Does work on a thread that may block. `stage` names it should it panic.
    ///
    /// # Errors
    /// The work's own, and as [`join`](Self::join).
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        stage: &'static str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.begin(work).await?.await.map_err(Error::worker(stage))?
    }

    /// Waits until nobody is at work. Whoever comes meanwhile waits in turn.
    pub(super) async fn idle(&self) {
        // A workers that was dismissed is idle.
        let _ = self.0.acquire_many(PLACES).await;
    }

    /// Waits until nobody is at work, and lets nobody come any more.
    pub(super) async fn dismiss(&self) {
        let all = self.0.acquire_many(PLACES).await;
        self.0.close();
        drop(all);
    }
}
