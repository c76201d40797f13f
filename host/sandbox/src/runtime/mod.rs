//! The engine that compiles and runs components: one per process.
//!
//! Owned here: the configuration of wasmtime, its ticking clock, and the folder of compiled code. Refused here: anything about
//! a single component. Called by `connector`.

mod cache;
mod ticker;

use std::path::PathBuf;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

pub use cache::CacheError;
pub(crate) use ticker::{TICK_MS, Ticker};

use crate::guest::State;
use crate::guest::bindings::FullConnector;

/// Linear memory that an instance may have at most. Content does not pass through it; listings and documents do.
pub(crate) const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Elements of a guest's tables, which hold its indirect functions.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Instances in the whole process: several connectors with a full pool each. Each reserves [`MEMORY_BYTES_MAX`] of address space, not of memory.
const INSTANCES_MAX: u32 = 256;
/// Core modules and memories of one component: the connector, an adapter, and shims.
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 8;

/// The engine, what it offers to components, and its clock.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) ticker: Ticker,
    pub(crate) cache: Option<Cache>,
}

/// Why the engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The folder of compiled code is not safe to use.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// wasmtime refuses its configuration on this machine.
    #[error("the WebAssembly engine cannot start on this machine: {cause}")]
    Engine {
        /// What it says.
        cause: String,
    },
}

impl Runtime {
    pub(crate) fn new(cache_dir: Option<PathBuf>) -> Result<Self, RuntimeError> {
        let cache = cache_dir.map(|dir| cache::open(&dir)).transpose()?;
        let unusable = |e: wasmtime::Error| RuntimeError::Engine { cause: format!("{e:#}") };
        let engine = Engine::new(config().cache(cache.clone())).map_err(unusable)?;
        let mut linker = Linker::new(&engine);
        FullConnector::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(unusable)?;
        let ticker = Ticker::start(&engine).map_err(|e| RuntimeError::Engine { cause: e.to_string() })?;
        Ok(Self { engine, linker, ticker, cache })
    }
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .total_memories(INSTANCES_MAX)
        .max_memories_per_component(1)
        .max_memory_size(MEMORY_BYTES_MAX)
        .total_tables(INSTANCES_MAX * CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .total_stacks(INSTANCES_MAX);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_reservation(MEMORY_BYTES_MAX as u64)
        .memory_reservation_for_growth(0)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
