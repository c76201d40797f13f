//! What the host keeps for one instance: its handles, its budgets, and what went wrong.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use credenza_connect::{Body, Payload};
use wasmtime::component::ResourceTable;

use super::fault::Fault;
use super::log_budget::LogBudget;
use crate::egress::{Egress, RemoteBody};
use crate::settings::Masker;

/// Most handles (bodies, responses) that an instance holds at a time; wasmtime's own default is 1,000,000.
const HANDLES_MAX: usize = 4096;
/// Longest log line or message.
pub(crate) const LINE_BYTES_MAX: usize = 4096;

/// Bytes that a guest holds a handle to.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum BodyHandle {
    /// In memory, can be sent and sliced; `read` counts the bytes that the guest has pulled.
    Memory { payload: Payload, read: u64 },
    /// Arriving from a remote; `unread` came in but has not been pulled.
    Remote { body: Box<RemoteBody>, unread: Bytes },
}

impl BodyHandle {
    pub(crate) fn memory(payload: Payload) -> Self {
        Self::Memory { payload, read: 0 }
    }

    /// The rest of the bytes, for the engine.
    pub(crate) fn into_body(self) -> Body {
        match self {
            Self::Memory { payload, read } => {
                let rest = payload.slice(read, u64::MAX);
                let length = Some(rest.length());
                let pieces: Vec<_> = rest.pieces().iter().cloned().map(Ok).collect();
                Body::from_stream(length, futures_util::stream::iter(pieces))
            }
            Self::Remote { body, unread } => body.into_body(unread),
        }
    }
}

/// Limits of one instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InstanceLimits {
    pub(crate) memory_bytes_max: usize,
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
    /// What a refused, signed request told about the clocks, in this call.
    pub(crate) clock_skew: Option<String>,
    /// The last error line of the guest, which is where a panic speaks.
    pub(crate) last_error_line: Option<String>,
    /// Ticks that the guest itself used in this call.
    pub(crate) ticks: u64,
    /// The guest waited for the host since the last tick, which then is not its own time.
    pub(crate) waited: bool,
    log: Arc<LogBudget>,
}

impl State {
    pub(crate) fn new(
        connector: Arc<str>,
        egress: Arc<Egress>,
        masker: Arc<Masker>,
        limits: InstanceLimits,
        log: Arc<LogBudget>,
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
            clock_skew: None,
            last_error_line: None,
            ticks: 0,
            waited: false,
            log,
        }
    }

    /// Forgets what belonged to the call before.
    pub(crate) fn begin_call(&mut self) {
        self.fault = None;
        self.refusal = None;
        self.clock_skew = None;
        self.last_error_line = None;
        self.ticks = 0;
        self.waited = false;
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
        self.log.admits(line.len()).then_some(line)
    }

    /// Milliseconds since 1970 by the host's clock.
    pub(crate) fn now_ms(&self) -> u64 {
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

impl wasmtime::ResourceLimiter for State {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limits.memory_bytes_max;
        if desired > limit {
            self.fault = Some(Fault::Memory { wanted: desired, limit });
        }
        Ok(desired <= limit)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= crate::runtime::TABLE_ELEMENTS_MAX)
    }
}
