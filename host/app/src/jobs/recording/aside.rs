//! Aside: parts of one run that go on at once, and are told and put on record one after the other, as if they had.
//!
//! What a part does is kept until those before it have ended; only what the engine finds on its way is told at once. How far a part has come is told
//! while it is its turn, since there is one bar for all.
//!
//! Owned here: the order. Refused here: what the parts do (`replicate`), the record (`recording`). Called by `replicate`. Bound: the steps of the parts that wait, a few each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use credenza_engine::{Event, Listener};
use futures_util::StreamExt;

use super::super::outcome::Step;
use super::{Cause, Recording};

/// What a part has done, until it is told.
pub(super) struct Aside {
    turn: Turn,
    /// Each with its cause, where it is a failure.
    pub(super) steps: Mutex<Vec<(Step, Option<Cause>)>>,
}

/// The place of a part among the others, and whose turn it is.
#[derive(Clone)]
struct Turn {
    place: usize,
    now: Arc<AtomicUsize>,
}

impl Aside {
    /// What the engine tells of this part, as far as it is its turn.
    pub(super) fn events(&self, heard: Arc<dyn Listener>) -> Arc<dyn Listener> {
        Arc::new(InTurn { heard, turn: self.turn.clone() })
    }
}

struct InTurn {
    heard: Arc<dyn Listener>,
    turn: Turn,
}

impl Listener for InTurn {
    fn on(&self, event: Event) {
        let is_course = matches!(event, Event::Phase { .. } | Event::Expected { .. } | Event::Progress { .. });
        if !is_course || self.turn.now.load(Ordering::Relaxed) == self.turn.place {
            self.heard.on(event);
        }
    }

    fn shows_progress(&self) -> bool {
        self.heard.shows_progress()
    }
}

/// Does the parts of a run, so many of them at once, each on a record of its own, and takes these over in the order of the parts.
pub(in crate::jobs) async fn at_once<'a, P, F: Future<Output = Recording<'a>>>(
    most: usize,
    recording: &mut Recording<'a>,
    parts: impl IntoIterator<Item = P>,
    work: impl Fn(P, Recording<'a>) -> F,
) {
    let now = Arc::new(AtomicUsize::new(0));
    let aside = |place| Aside { turn: Turn { place, now: Arc::clone(&now) }, steps: Mutex::default() };
    let under_way: Vec<_> = parts
        .into_iter()
        .enumerate()
        .map(|(place, part)| {
            let done = work(part, recording.beside(aside(place)));
            async move { (place, done.await) }
        })
        .collect();
    let mut under_way = futures_util::stream::iter(under_way).buffer_unordered(most);
    let mut ended = BTreeMap::new();
    while let Some((place, part)) = under_way.next().await {
        ended.insert(place, part);
        while let Some(part) = ended.remove(&now.load(Ordering::Relaxed)) {
            recording.take(part);
            now.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use credenza_engine::NoEvents;

    use super::*;

    #[test]
    fn nobody_counts_for_a_bar_that_is_not_drawn() {
        let turn = Turn { place: 0, now: Arc::default() };
        assert!(!InTurn { heard: Arc::new(NoEvents), turn }.shows_progress());
    }
}
