//! A component at work: what it is offered, what it is held to, and instances of it in a pool.
//!
//! Owned here: the bindings of `wit/`, the host functions, limits of one instance, faults and their messages. Refused here:
//! the traits of the engine (`adapt`) and what a request may do (`egress`). Called by `adapt` and `connector`.

pub(crate) mod bindings;
mod budget;
mod clock;
pub(crate) mod convert;
mod fault;
mod host;
pub(crate) mod inert;
mod instance;
pub(crate) mod limits;
mod log_budget;
mod pool;
mod role;
mod state;

pub(crate) use instance::Instance;
pub(crate) use pool::{Lease, Pool, PoolSpec, repeatable};
pub(crate) use role::{DestinationRole, RoleExports, SourceRole, StoreRole};
pub(crate) use state::{BodyHandle, InstanceLimits, Shared, State};
pub use state::{IsStopped, LogListener};
