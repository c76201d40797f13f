//! The engine that compiles and runs components: one per process.
//!
//! Owned here: the configuration of wasmtime, its ticking clock, and the folder of compiled code. Refused here: anything about
//! a single component. Called by `connector`.

mod cache;

use std::path::PathBuf;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, Config, Engine};

pub use cache::CacheError;

use crate::guest::State;
use crate::guest::bindings::FullConnector;
use crate::guest::inert;
use crate::ticker::Ticker;

/// The engine, what it offers to components, and its clock.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    /// The same, and inert WASI, for components whose manifest asks for it.
    pub(crate) linker_with_wasi: Linker<State>,
    pub(crate) ticker: Ticker,
    pub(crate) cache: Option<Cache>,
    /// Why there is none although a folder was given.
    pub(crate) without_cache: Option<CacheError>,
}

/// Why the engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// wasmtime refuses its configuration on this machine.
    #[error("the WebAssembly engine cannot start on this machine: {cause}")]
    Engine {
        /// What it says.
        cause: String,
    },
}

impl Runtime {
    /// A folder that cannot be used costs time at every start, and nothing else.
    pub(crate) fn new(cache_dir: Option<PathBuf>) -> Result<Self, RuntimeError> {
        let (cache, without_cache) = match cache_dir.map(|dir| cache::open(&dir)).transpose() {
            Ok(cache) => (cache, None),
            Err(error) => (None, Some(error)),
        };
        let unusable = |e: wasmtime::Error| RuntimeError::Engine { cause: format!("{e:#}") };
        let engine = Engine::new(config().cache(cache.clone())).map_err(unusable)?;
        let mut linker = Linker::new(&engine);
        FullConnector::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(unusable)?;
        let mut linker_with_wasi = linker.clone();
        inert::add_to_linker(&mut linker_with_wasi).map_err(unusable)?;
        let ticker = Ticker::start(&engine).map_err(|e| RuntimeError::Engine { cause: e.to_string() })?;
        Ok(Self { engine, linker, linker_with_wasi, ticker, cache, without_cache })
    }
}

/// Address space that a memory begins with: a connector needs some megabytes.
const MEMORY_RESERVED_BYTES: u64 = 16 * 1024 * 1024;
/// What is added where it outgrows that; it is moved then, which costs as much as it holds.
const MEMORY_GROWTH_BYTES: u64 = 64 * 1024 * 1024;

/// Everything is allocated when it is needed, so that little address space is enough (`ulimit -v`): instances are few and kept.
fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_reservation(MEMORY_RESERVED_BYTES)
        .memory_reservation_for_growth(MEMORY_GROWTH_BYTES)
        .memory_guard_size(0)
        .memory_may_move(true);
    config
}
