//! Stop: the request that a run ends early, and in good order.
//!
//! | operation | between the request and the end |
//! |---|---|
//! | backup, sync | reading is dropped; packs on their way arrive, what was kept is put and described, so that the next run finds it |
//! | restore | what is being written is given up between two parts |
//! | gc, repair | reads are dropped, the writing request under way is answered, no other is sent (`heed`) |
//! | check | reading is dropped; which packs were read whole and what is damaged is put on record |
//! | audit | dropped where it stands: it reads |
//!
//! A run that has sent its snapshot finishes: what is left are a request or two. Owned here: the request, and whether anybody needs time to heed it. Refused
//! here: heeding it. Called by whoever starts runs, and by the restore writer, which ends its own part when one failure ends the run.
//!
//! Bound: one weak reference for each child that is alive, and as many again at most.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::watch;

use crate::poison::lock_unpoisoned;
use crate::{Error, Result};

/// A request that can be made once and is seen by all clones.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug)]
struct State {
    requested: watch::Sender<bool>,
    /// Runs that need time to end in good order.
    heeding: AtomicUsize,
    children: Mutex<Vec<Weak<State>>>,
}

impl Default for State {
    fn default() -> Self {
        Self { requested: watch::Sender::new(false), heeding: AtomicUsize::new(0), children: Mutex::default() }
    }
}

impl State {
    fn request(&self) {
        self.requested.send_replace(true);
        for child in self.children() {
            child.request();
        }
    }

    fn children(&self) -> Vec<Arc<Self>> {
        lock_unpoisoned(&self.children).iter().filter_map(Weak::upgrade).collect()
    }

    fn is_heeded(&self) -> bool {
        self.heeding.load(Ordering::Relaxed) > 0 || self.children().iter().any(|child| child.is_heeded())
    }
}

/// A run that would end in good order if it was asked to, until it is dropped.
pub struct Heeding<'a>(&'a AtomicUsize);

impl Drop for Heeding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stop {
    /// Makes the request, for all children too.
    pub fn request(&self) {
        self.0.request();
    }

    /// A request of its own, which is also made when this one is: one of several runs can be ended by it, or all.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::default();
        let mut children = lock_unpoisoned(&self.0.children);
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&child.0));
        drop(children);
        // Whoever made it before the child was known has not reported it.
        if self.is_requested() {
            child.request();
        }
        child
    }

    /// Whether a run is at work that ends in good order when it is given time; any other may be dropped where it stands.
    #[must_use]
    pub fn is_heeded(&self) -> bool {
        self.0.is_heeded()
    }

    /// Returns when the request is made.
    pub async fn requested(&self) {
        let mut requested = self.0.requested.subscribe();
        // The sender is in this request, so that it cannot go first.
        let _ = requested.wait_for(|is_requested| *is_requested).await;
    }

    /// Notes that a run needs time to end in good order, for as long as what is handed back is kept.
    #[must_use]
    pub fn heeding(&self) -> Heeding<'_> {
        self.0.heeding.fetch_add(1, Ordering::Relaxed);
        Heeding(&self.0.heeding)
    }

    /// Whether the request was made.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.requested.borrow()
    }

    /// # Errors
    /// `Cancelled` when the request was made.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_requested() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Work that may be dropped when the request is made.
    ///
    /// # Errors
    /// `Cancelled` when it was.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let mut requested = self.0.requested.subscribe();
        tokio::select! {
            biased;
            _ = requested.wait_for(|is_requested| *is_requested) => Err(Error::Cancelled),
            done = work => Ok(done),
        }
    }
}
