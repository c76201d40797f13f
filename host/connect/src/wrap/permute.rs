//! Takes calls and gives answers in an order that a seed chooses, for tests: no run may depend on who comes first.
//!
//! Calls in flight wait until one of them is let through, and so do their answers and the pieces of bodies, which are cut again. What runs on other
//! threads meanwhile takes its own time, so that a seed repeats the choices and not every interleaving.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::gated::{Gate, Gated};
use crate::random::Dice;
use crate::{Body, Result};

/// How often others may come before one of those who wait is let through.
const PATIENCE: u64 = 6;
/// Longest piece of a body.
const PIECE_BYTES: u64 = 256 * 1024;

/// A connector whose calls are let through in another order than they are made.
pub type Permute<T> = Gated<T, Order>;

impl<T: ?Sized> Permute<T> {
    /// Wraps a connector.
    #[must_use]
    pub fn new(inner: Arc<T>, seed: u64) -> Self {
        let state = State { waiting: Vec::new(), dice: Dice::new(seed), is_open: false };
        Self { inner, gate: Arc::new(Order(Arc::new(Queue(Mutex::new(state))))) }
    }
}

/// The order in which calls of a connector are let through.
#[derive(Debug)]
pub struct Order(Arc<Queue>);

impl Gate for Order {
    fn call<R: Send>(&self, call: impl Future<Output = Result<R>> + Send) -> impl Future<Output = Result<R>> + Send {
        self.0.run(call)
    }

    fn abort(&self, abort: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
        self.0.run(abort)
    }

    fn body(&self, body: Body) -> Body {
        self.0.cut(body)
    }
}

#[derive(Debug)]
struct Queue(Mutex<State>);

#[derive(Debug)]
struct State {
    waiting: Vec<oneshot::Sender<()>>,
    dice: Dice,
    /// Somebody is letting through who waits.
    is_open: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn below(&self, bound: u64) -> u64 {
        self.lock().dice.below(bound)
    }

    /// Waits to be let through.
    async fn pass(self: &Arc<Self>) {
        // Whoever lets through goes on until nobody waits.
        let _ = self.wait().await;
    }

    fn wait(self: &Arc<Self>) -> oneshot::Receiver<()> {
        let (let_through, passes) = oneshot::channel();
        let mut state = self.lock();
        state.waiting.push(let_through);
        if !std::mem::replace(&mut state.is_open, true) {
            tokio::spawn(Arc::clone(self).open());
        }
        passes
    }

    async fn open(self: Arc<Self>) {
        loop {
            for _ in 0..self.below(PATIENCE) {
                tokio::task::yield_now().await;
            }
            if !self.let_one_through() {
                return;
            }
        }
    }

    fn let_one_through(&self) -> bool {
        let mut state = self.lock();
        let count = state.waiting.len() as u64;
        state.is_open = count > 0;
        if count > 0 {
            let chosen = usize::try_from(state.dice.below(count)).unwrap_or(0);
            // Whoever has gone away does not pass.
            let _ = state.waiting.swap_remove(chosen).send(());
        }
        count > 0
    }

    async fn run<R>(self: &Arc<Self>, call: impl Future<Output = R>) -> R {
        self.pass().await;
        let done = call.await;
        self.pass().await;
        done
    }

    fn cut(self: &Arc<Self>, body: Body) -> Body {
        let (length, gate) = (body.length, Arc::clone(self));
        let pieces = body.into_stream().flat_map(move |piece| {
            let mut parts = Vec::new();
            match piece {
                Ok(mut rest) => {
                    while !rest.is_empty() {
                        let bytes = gate.below(PIECE_BYTES).saturating_add(1).min(rest.len() as u64);
                        parts.push(Ok(rest.split_to(usize::try_from(bytes).unwrap_or(1))));
                    }
                }
                Err(error) => parts.push(Err(error)),
            }
            futures_util::stream::iter(parts)
        });
        let gate = Arc::clone(self);
        Body::from_stream(
            length,
            pieces.then(move |piece| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.pass().await;
                    piece
                }
            }),
        )
    }
}
