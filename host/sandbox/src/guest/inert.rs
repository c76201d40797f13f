//! WASI for guests whose toolchain insists on it, and that reaches nothing: no arguments, no environment, no folder, no socket. The clock and
//! random bytes are the host's; what a guest prints becomes lines of its log.
//!
//! Owned here: what such a guest is given. Refused here: which interfaces it may import, and when (`verify`). `wasmtime-wasi` serves; its files
//! and sockets are linked, and nothing leads to them: no folder is opened for a guest, and every address is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult, subscribe};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::limits::{LINE_BYTES_MAX, WASI_RANDOM_BYTES_MAX};
use super::state::{Shared, State};
use crate::settings::Masker;

/// Offers inert WASI beside what every guest has.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<State, Awake<'static>>(linker, |state| Awake { table: &mut state.table })?;
    linker.allow_shadowing(false);
    Ok(())
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { connector, masker, shared, last_output, .. } = &*self;
        let output = |is_error: bool| Output {
            connector: Arc::clone(connector),
            masker: Arc::clone(masker),
            shared: Arc::clone(shared),
            last: is_error.then(|| Arc::clone(last_output)),
            line: Arc::default(),
        };
        let made = self.wasi.is_none().then(|| {
            let mut builder = WasiCtx::builder();
            builder.wall_clock(HostClock).max_random_size(WASI_RANDOM_BYTES_MAX);
            builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
            builder.stdout(output(false)).stderr(output(true)).build()
        });
        let ctx = self.wasi.get_or_insert_with(|| made.unwrap_or_else(|| WasiCtx::builder().build()));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// The host's wall clock, which replay can fix.
struct HostClock;

impl HostWallClock for HostClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        crate::egress::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// A clock that tells the time and never lets sleep: waiting is the host's business, and a guest that waits would hold up its call for as long
/// as it likes.
struct Awake<'a> {
    table: &'a mut ResourceTable,
}

impl HasData for Awake<'static> {
    type Data<'a> = Awake<'a>;
}

impl monotonic_clock::Host for Awake<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(nanoseconds())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let over = self.table.push(Over)?;
        subscribe(self.table, over)
    }

    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(0)
    }
}

/// Nanoseconds since the first call in this process.
fn nanoseconds() -> u64 {
    static ZERO: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    u64::try_from(ZERO.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A wait that is over.
struct Over;

#[wasmtime_wasi::async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {
        tokio::task::yield_now().await;
    }
}

/// What a guest prints, line by line into its log. A line that is longer than the log's is cut where it is full.
#[derive(Clone)]
struct Output {
    connector: Arc<str>,
    masker: Arc<Masker>,
    shared: Arc<Shared>,
    /// Where the last line of standard error is kept, which is where a guest of another language says why it dies.
    last: Option<Arc<Mutex<Option<String>>>>,
    /// What was printed since the last line end; less than a line.
    line: Arc<Mutex<Vec<u8>>>,
}

impl Output {
    fn print(&self, bytes: &[u8]) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if *byte != b'\n' {
                line.push(*byte);
            }
            if *byte == b'\n' || line.len() >= LINE_BYTES_MAX {
                self.log(&std::mem::take(&mut *line));
            }
        }
    }

    fn log(&self, line: &[u8]) {
        let line = self.masker.clean(String::from_utf8_lossy(line).into_owned(), LINE_BYTES_MAX);
        if line.trim().is_empty() {
            return;
        }
        if let Some(last) = &self.last {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
        }
        if self.shared.admits(&line) {
            match self.last {
                Some(_) => tracing::warn!(connector = %self.connector, "{line}"),
                None => tracing::info!(connector = %self.connector, "{line}"),
            }
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    /// Only WASI 0.3 asks for it, which is not offered.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}
