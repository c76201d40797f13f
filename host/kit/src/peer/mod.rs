//! A peer that takes every liberty of a bad server, between a stand-in and the connector, drawn from a seed.
//!
//! Owned here: which liberties there are ([`Liberty`]), which request suffers one, and what then happens on the wire. Refused here: the
//! protocols (`stand_in`), and what a connector should make of it (`chaos`). An honest peer is the default.

mod liberty;
mod sent;
mod turn;

use std::sync::{Mutex, MutexGuard, PoisonError};

use credenza_connect::random::Dice;
use tokio::sync::Notify;

pub(crate) use liberty::Liberty;
pub(crate) use sent::{Delivery, Sent};
pub(crate) use turn::{Paging, Turn};

/// Most requests of one scenario: whoever asks more often does not end. Hundreds suffice.
const REQUESTS_MAX: u64 = 3000;

/// How many of the requests suffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odds {
    /// About one in three: who tries again gets through.
    Sometimes,
    /// All of them.
    Always,
}

/// What a peer does from now on.
#[derive(Debug, Clone)]
pub(crate) struct Mood {
    pub(crate) liberty: Liberty,
    pub(crate) odds: Odds,
    /// Whom it redirects to.
    pub(crate) elsewhere: String,
}

/// How the server behaves, and what came of it so far.
#[derive(Default)]
pub(crate) struct Peer {
    state: Mutex<State>,
    overrun: Notify,
}

#[derive(Default)]
struct State {
    mood: Option<Mood>,
    dice: Option<Dice>,
    asked: u64,
    taken: u64,
}

impl Peer {
    /// Behaves so from the next request on.
    pub(crate) fn misbehave(&self, mood: Mood, seed: u64) {
        *self.state() = State { mood: Some(mood), dice: Some(Dice::new(seed)), asked: 0, taken: 0 };
    }

    /// Is honest again, and says how often it was not.
    pub(crate) fn behave(&self) -> u64 {
        let mut state = self.state();
        state.mood = None;
        state.taken
    }

    /// Comes back when more is asked than anybody would who ends; everything is refused from then on.
    pub(crate) async fn overrun(&self) {
        self.overrun.notified().await;
    }

    /// What the next request is to suffer.
    pub(crate) fn turn(&self) -> Turn {
        let mut state = self.state();
        state.asked = state.asked.saturating_add(1);
        let (serial, is_overrun) = (state.asked, state.asked > REQUESTS_MAX);
        let Some((mood, dice)) = state.mood.clone().zip(state.dice.as_mut()) else { return Turn::honest(serial) };
        let is_taken = dice.below(3) == 0 || mood.odds == Odds::Always;
        let own = Dice::new(dice.below(u64::MAX));
        if is_overrun {
            self.overrun.notify_one();
            return Turn::refusing(serial);
        }
        if is_taken { Turn::new(mood, own, serial) } else { Turn::honest(serial) }
    }

    /// Takes down whether a turn changed anything.
    pub(crate) fn note(&self, turn: &Turn) {
        let mut state = self.state();
        state.taken = state.taken.saturating_add(u64::from(turn.is_taken()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
