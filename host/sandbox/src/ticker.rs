//! The clock that guests are measured by: it ticks only while one of them runs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// Length of a tick in milliseconds.
pub(crate) const TICK_MS: u64 = 10;

/// A thread that advances the epoch of an engine while calls run. It ends with its last handle.
#[derive(Clone)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    _last_handle: Arc<Stop>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    stopped: bool,
}

struct Stop(Arc<Shared>);

/// Keeps the clock ticking.
pub(crate) struct Running(Arc<Shared>);

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let (engine, clock) = (engine.clone(), Arc::clone(&shared));
        std::thread::Builder::new().name("credenza-ticker".to_owned()).spawn(move || {
            while clock.wait_for_work() {
                std::thread::sleep(Duration::from_millis(TICK_MS));
                engine.increment_epoch();
            }
        })?;
        Ok(Self { _last_handle: Arc::new(Stop(Arc::clone(&shared))), shared })
    }

    /// Ticks until the result is dropped.
    pub(crate) fn run(&self) -> Running {
        self.shared.lock().running += 1;
        self.shared.changed.notify_one();
        Running(Arc::clone(&self.shared))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps while nothing runs; false when it is time to end.
    fn wait_for_work(&self) -> bool {
        let idle = |state: &mut State| state.running == 0 && !state.stopped;
        let state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running = state.running.saturating_sub(1);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_one();
    }
}
