//! One instance of a component with its session, and the rules under which it is called.

use std::sync::Arc;
use std::time::{Duration, Instant};

use credenza_connect::Error;
use wasmtime::component::{InstancePre, ResourceAny};
use wasmtime::{Store, UpdateDeadline};

use super::bindings::lifecycle::Problem;
use super::bindings::settings::Config;
use super::bindings::types;
use super::convert;
use super::fault::Fault;
use super::limits::{CALL_BYTES_MAX, LINE_BYTES_MAX};
use super::role::{Lifecycle, RoleExports};
use super::state::State;

/// How a call ended without a value.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The connector reported an error; the instance is healthy.
    Reported(Error),
    /// The connector broke its contract; the instance must not be used again.
    Broken(Fault),
}

/// A running instance.
pub(crate) struct Instance<R: RoleExports> {
    pub(crate) store: Store<State>,
    pub(crate) exports: Arc<R::Exports>,
    config: Arc<Config>,
    session: Option<ResourceAny>,
}

impl<R: RoleExports> Instance<R> {
    /// Starts an instance; its start code runs under the limits of a call.
    pub(crate) async fn start(
        pre: &InstancePre<State>,
        indices: &R::Indices,
        config: Arc<Config>,
        state: State,
    ) -> Result<Self, Fault> {
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(CALL_BYTES_MAX);
        store.epoch_deadline_callback(|mut context| Ok(tick(context.data_mut())));
        store.set_epoch_deadline(1);
        let started = async {
            let instance = pre.instantiate_async(&mut store).await?;
            R::load(indices, &mut store, &instance)
        };
        match started.await {
            Ok(exports) => Ok(Self { store, exports: Arc::new(exports), config, session: None }),
            Err(error) => Err(fault(store.data_mut(), &error)),
        }
    }

    /// The instance's session, opened at first use.
    pub(crate) async fn session(&mut self) -> wasmtime::Result<Result<ResourceAny, types::Error>> {
        if let Some(session) = self.session {
            return Ok(Ok(session));
        }
        let opened = R::open(&self.exports, &mut self.store, &self.config).await?;
        self.session = opened.as_ref().ok().copied();
        Ok(opened)
    }

    /// Begins a call: full time, clean slate.
    pub(crate) fn begin_call(&mut self) {
        self.store.data_mut().begin_call();
        self.store.set_epoch_deadline(1);
    }

    /// What a call's result means.
    pub(crate) fn judge<T>(&mut self, result: wasmtime::Result<Result<T, types::Error>>) -> Result<T, Outcome> {
        let state = self.store.data_mut();
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(reported)) => Err(Outcome::Reported(convert::reported(state, reported))),
            Err(error) => Err(Outcome::Broken(fault(state, &error))),
        }
    }
}

impl Instance<Lifecycle> {
    /// What the connector objects to in its settings; runs on an instance of its own.
    pub(crate) async fn validate(
        pre: &InstancePre<State>,
        config: Arc<Config>,
        state: State,
    ) -> Result<Vec<Problem>, Error> {
        let connector = Arc::clone(&state.connector);
        let broken = |fault: Fault| fault.into_error(&connector, "validate");
        let missing = |e: wasmtime::Error| broken(Fault::Contract { reason: "guest.exports", text: e.to_string() });
        let indices = Lifecycle::indices(pre).map_err(missing)?;
        let mut guest = Self::start(pre, &indices, config, state).await.map_err(broken)?;
        guest.begin_call();
        let problems = guest.exports.call_validate(&mut guest.store, &guest.config).await;
        problems.map_err(|error| broken(fault(guest.store.data_mut(), &error)))
    }
}

/// One tick while the guest runs. What passes until it has its turn again is not its own time.
fn tick(state: &mut State) -> UpdateDeadline {
    let own = state.clock.pause(Instant::now());
    if own > Duration::from_millis(state.limits.call_cpu_ms_max) {
        state.fault = Some(Fault::Cpu { ms: state.limits.call_cpu_ms_max });
        return UpdateDeadline::Interrupt;
    }
    let clock = Arc::clone(&state.clock);
    let its_turn = async move {
        tokio::task::yield_now().await;
        clock.resume(Instant::now());
    };
    UpdateDeadline::YieldCustom(1, Box::pin(its_turn))
}

/// What stopped the guest: the recorded cause, or its panic text, or the trap.
fn fault(state: &mut State, error: &wasmtime::Error) -> Fault {
    if let Some(fault) = state.fault.take() {
        return fault;
    }
    // wasmtime keeps the type of this error to itself, so its text is all there is.
    if error.chain().any(|cause| cause.to_string().starts_with("too much data is being copied")) {
        return Fault::CallBytes { limit: CALL_BYTES_MAX };
    }
    let trap = error.root_cause().to_string();
    let text = state.take_last_words().map_or_else(|| trap.clone(), |line| format!("{line} ({trap})"));
    tracing::debug!(connector = %state.connector, "{error:?}");
    Fault::Trap { text: state.masker.clean(text, LINE_BYTES_MAX) }
}
