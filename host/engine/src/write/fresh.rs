//! Fresh: which chunks of a run are in its packs, so that each goes there once and none counts as kept before it is there.
//!
//! ```text
//! unknown ── begin ──> being packed ── done ──> packed ── describe ──> described
//!    ^                      │
//!    └─────── dropped ──────┘      whoever waits for it takes it over
//! ```
//!
//! Owned here: these states and the waiting. Refused here: packs (`packs`), index segments (`record`). Called by `dedup`.
//!
//! Bound: 33 bytes for each chunk that the run adds.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use credenza_model::ChunkId;

use crate::poison::lock_unpoisoned;

/// The chunks that a run adds.
#[derive(Default)]
pub(crate) struct Fresh {
    states: Mutex<HashMap<ChunkId, State>>,
    /// Some chunk is no longer being packed.
    settled: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Somebody is packing it at this moment, and may still fail.
    Pending,
    /// It is in a pack that the run flushes.
    Packed,
    /// An index segment in the store says where it is.
    Described,
}

/// What whoever has a chunk is to do.
pub(crate) enum Turn<'a> {
    /// Nothing: it is in a pack.
    Kept,
    /// Pack it.
    Mine(Packing<'a>),
}

/// Leave to pack one chunk. Dropped before it is done, it passes to whoever waits.
pub(crate) struct Packing<'a> {
    fresh: &'a Fresh,
    id: ChunkId,
}

impl Fresh {
    /// Asks whether a chunk is to be packed. Blocks while somebody else packs it: call it from a thread that may.
    pub(crate) fn begin(&self, id: ChunkId) -> Turn<'_> {
        let mut states = lock_unpoisoned(&self.states);
        loop {
            match self.turn(&mut states, id) {
                Some(turn) => return turn,
                None => states = self.settled.wait(states).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// As [`begin`](Self::begin), but `None` while the chunk is being packed: who has leave to pack several may not wait for another's.
    pub(crate) fn try_begin(&self, id: ChunkId) -> Option<Turn<'_>> {
        self.turn(&mut lock_unpoisoned(&self.states), id)
    }

    /// `None` while somebody else packs the chunk.
    fn turn(&self, states: &mut MutexGuard<'_, HashMap<ChunkId, State>>, id: ChunkId) -> Option<Turn<'_>> {
        match states.get(&id) {
            None => {
                states.insert(id, State::Pending);
                Some(Turn::Mine(Packing { fresh: self, id }))
            }
            Some(State::Pending) => None,
            Some(State::Packed | State::Described) => Some(Turn::Kept),
        }
    }

    /// Whether a chunk is in a pack. One that is being packed is not yet.
    pub(crate) fn holds(&self, id: &ChunkId) -> bool {
        lock_unpoisoned(&self.states).get(id).is_some_and(|state| *state != State::Pending)
    }

    /// Notes that the store knows where these chunks are. Those of which nothing is known are passed over.
    pub(crate) fn describe(&self, ids: impl Iterator<Item = ChunkId>) {
        let mut states = lock_unpoisoned(&self.states);
        for id in ids {
            states.entry(id).and_modify(|state| *state = State::Described);
        }
    }

    /// Chunks of which the store does not know where they are: how many, and one of them.
    pub(crate) fn undescribed(&self) -> Option<(u64, ChunkId)> {
        let states = lock_unpoisoned(&self.states);
        let mut without = states.iter().filter(|(_, state)| **state != State::Described).map(|(id, _)| *id);
        let first = without.next()?;
        Some((1 + without.count() as u64, first))
    }
}

impl Packing<'_> {
    /// The chunk is in a pack.
    pub(crate) fn done(self) {
        let mut states = lock_unpoisoned(&self.fresh.states);
        // The pack may be in the store by now, and described.
        states
            .entry(self.id)
            .and_modify(|state| *state = if *state == State::Pending { State::Packed } else { *state });
    }
}

impl Drop for Packing<'_> {
    fn drop(&mut self) {
        let mut states = lock_unpoisoned(&self.fresh.states);
        if states.get(&self.id) == Some(&State::Pending) {
            states.remove(&self.id);
        }
        drop(states);
        self.fresh.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ChunkId = ChunkId::new([1; 32]);

    /// What one thread does to the chunk, a step at a time.
    #[derive(Clone, Copy)]
    enum Role {
        /// Keeps it.
        Keeps,
        /// Gives it up between its turn and the pack.
        Fails,
        /// Describes it as soon as it is in a pack, as an upload does, which may be faster than whoever packed it.
        Describes,
    }

    /// Threads at work on the chunk, and how often it is in a pack.
    struct World<'a> {
        fresh: &'a Fresh,
        threads: Vec<(Role, Option<Packing<'a>>, usize)>,
        packed: usize,
    }

    impl World<'_> {
        /// Takes the next step of a thread; `false` when it has none, or waits.
        fn step(&mut self, thread: usize) -> bool {
            let (role, packing, step) = &mut self.threads[thread];
            match (*role, *step) {
                (Role::Describes, 0) if self.packed > 0 => self.fresh.describe([ID].into_iter()),
                (Role::Keeps | Role::Fails, 0) => match self.fresh.turn(&mut lock_unpoisoned(&self.fresh.states), ID) {
                    None => return false,
                    Some(Turn::Mine(mine)) => *packing = Some(mine),
                    Some(Turn::Kept) => {
                        assert_eq!(self.packed, 1, "it was taken for kept");
                        *step = 2;
                    }
                },
                (Role::Keeps, 1) => self.packed += 1,
                (Role::Fails, 1) => drop(packing.take()),
                (Role::Keeps, 2) if packing.is_some() => packing.take().unwrap().done(),
                _ => return false,
            }
            self.threads[thread].2 += 1;
            true
        }
    }

    /// Runs the threads in the order given, as far as it goes, and says who could go on.
    fn play(roles: &[Role], order: &[usize]) -> (Vec<usize>, usize, Option<(u64, ChunkId)>) {
        let fresh = Fresh::default();
        let threads = roles.iter().map(|role| (*role, None, 0)).collect();
        let mut world = World { fresh: &fresh, threads, packed: 0 };
        assert!(order.iter().all(|thread| world.step(*thread)));
        let (packed, undescribed) = (world.packed, fresh.undescribed());
        // Each is tried in a world of its own.
        let able = |thread: &usize| {
            let fresh = Fresh::default();
            let threads = roles.iter().map(|role| (*role, None, 0)).collect();
            let mut world = World { fresh: &fresh, threads, packed: 0 };
            order.iter().for_each(|thread| assert!(world.step(*thread)));
            world.step(*thread)
        };
        ((0..roles.len()).filter(able).collect(), packed, undescribed)
    }

    /// Every order of the steps of these threads; `end` sees how each ends. How many there are.
    fn orders(roles: &[Role], order: &mut Vec<usize>, end: &impl Fn(usize, Option<(u64, ChunkId)>)) -> usize {
        let (able, packed, undescribed) = play(roles, order);
        if able.is_empty() {
            end(packed, undescribed);
            return 1;
        }
        let mut count = 0;
        for thread in able {
            order.push(thread);
            count += orders(roles, order, end);
            order.pop();
        }
        count
    }

    #[test]
    fn in_every_order_of_steps_a_chunk_is_packed_once_and_kept_only_when_it_is() {
        use Role::{Describes, Fails, Keeps};
        let packed_once = |packed, _| assert_eq!(packed, 1);
        assert!(orders(&[Keeps, Keeps, Keeps], &mut Vec::new(), &packed_once) >= 6);
        assert!(orders(&[Keeps, Fails, Keeps, Fails], &mut Vec::new(), &packed_once) >= 24);
        let described = |packed, undescribed| assert_eq!((packed, undescribed), (1, None));
        assert!(orders(&[Keeps, Keeps, Fails, Describes], &mut Vec::new(), &described) >= 24);
    }

    #[test]
    fn nothing_of_a_chunk_that_all_gave_up_is_left() {
        let nothing = |packed, undescribed| assert_eq!((packed, undescribed), (0, None));
        assert!(orders(&[Role::Fails, Role::Fails], &mut Vec::new(), &nothing) >= 2);
    }
}
