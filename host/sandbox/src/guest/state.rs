//! What the host keeps for one instance: its handles, its budgets, and what went wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use credenza_connect::{Body, Error, ErrorClass, Payload};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::budget::{Budget, Charge};
use super::clock::Clock;
use super::fault::Fault;
use super::limits::{
    ANSWERS_MAX, CORE_INSTANCES_MAX, HANDLES_MAX, HELD_BYTES_MAX, HELD_OF_ALL_BYTES_MAX, LINE_BYTES_MAX, MEMORIES_MAX,
    MEMORY_OF_ALL_BYTES_MAX, REFUSALS_MAX, REQUESTS_MAX, TABLE_ELEMENTS_MAX,
};
use super::log_budget::LogBudget;
use crate::egress::{Arriving, Egress, Response};
use crate::settings::Masker;

/// Bytes that a guest holds a handle to.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum BodyHandle {
    /// In memory, can be sent and sliced; `read` counts the bytes that the guest has pulled. One that is lent is gone when the call ends.
    Memory { payload: Payload, read: u64, is_lent: bool },
    /// Arriving from a remote.
    Remote(Box<Arriving>),
    /// It was lent for a call that has ended.
    Gone,
}

impl BodyHandle {
    /// The engine's bytes, lent for one call.
    pub(crate) fn memory(payload: Payload) -> Self {
        Self::Memory { payload, read: 0, is_lent: true }
    }

    /// Bytes that the guest made, which are charged to it.
    pub(crate) fn made(payload: Payload) -> Self {
        Self::Memory { payload, read: 0, is_lent: false }
    }

    /// The rest of the bytes, for the engine.
    pub(crate) fn into_body(self) -> Body {
        match self {
            Self::Memory { payload, read, .. } => {
                let rest = payload.slice(read, u64::MAX);
                let length = Some(rest.length());
                let pieces: Vec<_> = rest.pieces().iter().cloned().map(Ok).collect();
                Body::from_stream(length, futures_util::stream::iter(pieces))
            }
            Self::Remote(arriving) => arriving.into_body(),
            Self::Gone => Body::from_stream(None, futures_util::stream::iter([Err(gone())])),
        }
    }
}

fn gone() -> Error {
    Error::new(ErrorClass::Internal, "body.gone", "a body that was lent for an earlier call was used again")
}

/// Tells whether the run is to end. Asked from the guest's thread, so that it must not wait.
pub type IsStopped = Arc<dyn Fn() -> bool + Send + Sync>;

/// Hears each line of the log, as it is written: without secrets. Called from the guest's thread, so that it must not wait.
pub type LogListener = Arc<dyn Fn(&str) + Send + Sync>;

/// What all instances of a configured connector share.
pub(crate) struct Shared {
    is_stopped: IsStopped,
    listener: Option<LogListener>,
    log: LogBudget,
    held: Arc<Budget>,
    memory: Arc<Budget>,
}

impl Shared {
    pub(crate) fn new(connector: Arc<str>, is_stopped: IsStopped, listener: Option<LogListener>) -> Self {
        Self {
            is_stopped,
            listener,
            log: LogBudget::new(connector),
            held: Budget::new(HELD_OF_ALL_BYTES_MAX),
            memory: Budget::new(MEMORY_OF_ALL_BYTES_MAX),
        }
    }

    /// Whether a line may still be written to the log; whoever listens to that hears it then.
    pub(crate) fn admits(&self, line: &str) -> bool {
        let is_admitted = self.log.admits(line.len());
        self.listener.iter().filter(|_| is_admitted).for_each(|listener| listener(line));
        is_admitted
    }
}

/// Limits of one instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InstanceLimits {
    pub(crate) memory_bytes_max: usize,
    /// An instance whose memory grew further is not used again.
    pub(crate) memory_kept_bytes_max: usize,
    pub(crate) call_cpu_ms_max: u64,
}

/// The host's side of one instance.
pub(crate) struct State {
    /// `s3 0.1.0`, for messages.
    pub(crate) connector: Arc<str>,
    pub(crate) table: ResourceTable,
    pub(crate) egress: Arc<Egress>,
    pub(crate) masker: Arc<Masker>,
    pub(crate) limits: InstanceLimits,
    /// Why the instance is about to be stopped, recorded where it is known: the trap itself says only `unreachable`.
    pub(crate) fault: Option<Fault>,
    /// The policy's refusal in this call: final, whatever class the guest reports.
    pub(crate) refusal: Option<(&'static str, String)>,
    /// Why the last request of this call got no answer, where none ever came from there: what a guest makes of it says less.
    pub(crate) never_answered: Option<Error>,
    /// What a refused, signed request told about the clocks, in this call.
    pub(crate) clock_skew: Option<String>,
    /// The last error line of the guest, which is where a panic speaks.
    pub(crate) last_error_line: Option<String>,
    /// The last line that a guest with WASI wrote to its standard error in this call.
    pub(crate) last_output: Arc<Mutex<Option<String>>>,
    /// What a guest with WASI is given, made when it first asks.
    pub(crate) wasi: Option<WasiCtx>,
    /// How much time the guest itself used in this call.
    pub(crate) clock: Arc<Clock>,
    /// Requests of this call, and those among them that were refused.
    sent: u32,
    refused: u32,
    held: Arc<Budget>,
    memory: Charge,
    pub(crate) shared: Arc<Shared>,
}

impl State {
    pub(crate) fn new(
        connector: Arc<str>,
        egress: Arc<Egress>,
        masker: Arc<Masker>,
        limits: InstanceLimits,
        shared: Arc<Shared>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            connector,
            table,
            egress,
            masker,
            limits,
            fault: None,
            refusal: None,
            never_answered: None,
            clock_skew: None,
            last_error_line: None,
            last_output: Arc::default(),
            wasi: None,
            clock: Arc::new(Clock::new(Instant::now())),
            sent: 0,
            refused: 0,
            held: Budget::within(&shared.held, HELD_BYTES_MAX),
            memory: shared.memory.charge(),
            shared,
        }
    }

    /// Forgets what belonged to the call before.
    pub(crate) fn begin_call(&mut self) {
        self.end_call();
        self.fault = None;
        self.refusal = None;
        self.never_answered = None;
        self.clock_skew = None;
        self.last_error_line = None;
        *self.last_output.lock().unwrap_or_else(PoisonError::into_inner) = None;
        (self.sent, self.refused) = (0, 0);
        self.clock.restart(Instant::now());
    }

    /// Takes back what was lent for the call: a guest that kept it would hold the engine's memory.
    pub(crate) fn end_call(&mut self) {
        let bodies = self.table.iter_mut().filter_map(|handle| handle.downcast_mut::<BodyHandle>());
        let lent = bodies.filter(|body| matches!(body, BodyHandle::Memory { is_lent: true, .. }));
        lent.for_each(|body| *body = BodyHandle::Gone);
    }

    /// Counts a request; an instance that sends too many, or holds too many answers, is stopped.
    pub(crate) fn count_request(&mut self) -> wasmtime::Result<()> {
        self.sent = self.sent.saturating_add(1);
        if self.sent > REQUESTS_MAX {
            return self.stop(Fault::Requests { sent: self.sent, refused: self.refused });
        }
        let is_answer = |handle: &(dyn std::any::Any + Send)| {
            handle.is::<Response>() || matches!(handle.downcast_ref(), Some(BodyHandle::Remote(_)))
        };
        if self.table.iter_mut().filter(|handle| is_answer(&**handle)).count() >= ANSWERS_MAX {
            return self.stop(Fault::Answers { limit: ANSWERS_MAX });
        }
        Ok(())
    }

    /// Counts a refusal, likewise.
    pub(crate) fn count_refusal(&mut self) -> wasmtime::Result<()> {
        self.refused = self.refused.saturating_add(1);
        match self.refused > REFUSALS_MAX {
            true => self.stop(Fault::Requests { sent: self.sent, refused: self.refused }),
            false => Ok(()),
        }
    }

    /// Bytes that the guest makes, charged to it; the instance is stopped when they are too many.
    pub(crate) fn hold(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Payload> {
        match self.held.hold(bytes) {
            Some(bytes) => Ok(Payload::new(vec![bytes])),
            None => self.stop(Fault::Held { limit: HELD_BYTES_MAX, limit_of_all: HELD_OF_ALL_BYTES_MAX }),
        }
    }

    /// Whether the instance may be used for another call: its memory never shrinks.
    pub(crate) const fn is_lean(&self) -> bool {
        self.memory.bytes() <= self.limits.memory_kept_bytes_max
    }

    /// The last thing that the guest said of itself, which is where a panic speaks.
    pub(crate) fn take_last_words(&mut self) -> Option<String> {
        let output = || self.last_output.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.last_error_line.take().or_else(output)
    }

    fn stop<T>(&mut self, fault: Fault) -> wasmtime::Result<T> {
        self.fault = Some(fault);
        wasmtime::bail!("a limit of the host")
    }

    /// A new handle; the instance is stopped when it holds too many.
    pub(crate) fn push<T: Send + 'static>(&mut self, value: T) -> wasmtime::Result<wasmtime::component::Resource<T>> {
        self.table.push(value).map_err(|error| {
            self.fault = Some(Fault::Handles { limit: HANDLES_MAX });
            error.into()
        })
    }

    /// A line for the log, or `None` when the budget is spent.
    pub(crate) fn admit_line(&mut self, line: String) -> Option<String> {
        let line = self.masker.clean(line, LINE_BYTES_MAX);
        self.shared.admits(&line).then_some(line)
    }

    /// Whether the run is to end.
    pub(crate) fn is_cancelled(&self) -> bool {
        (self.shared.is_stopped)()
    }

    /// Milliseconds since 1970 by the host's clock.
    pub(crate) fn now_ms(&self) -> u64 {
        let elapsed = crate::egress::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

impl wasmtime::ResourceLimiter for State {
    /// All memories of the instance count together.
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limits.memory_bytes_max;
        let wanted = self.memory.bytes().saturating_add(desired.saturating_sub(current));
        if wanted > limit {
            self.fault = Some(Fault::Memory { wanted, limit });
            return Ok(false);
        }
        let granted = self.memory.grow_to(wanted);
        if !granted {
            self.fault = Some(Fault::MemoryOfAll { limit: MEMORY_OF_ALL_BYTES_MAX });
        }
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
