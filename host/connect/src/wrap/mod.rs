//! What stands before a connector, whichever it is: each wrapper but [`Throttle`] is a [`Store`](crate::Store), a
//! [`Source`](crate::Source) and a [`Destination`](crate::Destination) if what it wraps is one.
//!
//! [`Retry`] tries again, [`Limit`] bounds the requests in flight, [`Throttle`] the bytes a second of a store, and [`Tallied`] counts what they cost; for tests, [`Fault`] injects seeded faults, [`Free`] takes every
//! freedom that a contract gives, [`Permute`] changes the order of calls and answers, and [`Record`] counts calls. The usual order is
//! `Retry(Limit(Tallied(connector)))`, so that waiting for the next try holds no slot and each try is counted. Assembled by `cli`; the others by tests.

mod fault;
mod free;
mod gated;
mod limit;
mod permute;
mod record;
mod retry;
mod tally;
mod throttle;

pub use fault::{Fault, FaultKind};
pub use free::{Free, Freedom, as_asked, quietly_free};
pub use limit::{Limit, LimitPolicy};
pub use permute::Permute;
pub use record::{Call, Record};
pub use retry::{Retry, RetryPolicy};
pub use tally::{Admit, OVER_BUDGET, Spent, Tallied, Tally};
pub use throttle::Throttle;

/// Names of the calls as faults and records give them.
pub mod call {
    /// `create` of a destination.
    pub const CREATE: &str = "create";
    /// `delete` of a store.
    pub const DELETE: &str = "delete";
    /// `describe` of a source.
    pub const DESCRIBE: &str = "describe";
    /// `finish` of a writer.
    pub const FINISH: &str = "finish";
    /// `get` of a store.
    pub const GET: &str = "get";
    /// `list` of a store.
    pub const LIST: &str = "list";
    /// `next` of a scanner.
    pub const NEXT: &str = "next";
    /// `put` of a store.
    pub const PUT: &str = "put";
    /// `read` of a source or destination.
    pub const READ: &str = "read";
    /// `remove` of a destination.
    pub const REMOVE: &str = "remove";
    /// `retain` of a store.
    pub const RETAIN: &str = "retain";
    /// `scan` of a source or destination.
    pub const SCAN: &str = "scan";
    /// `set_metadata` of a destination.
    pub const SET_METADATA: &str = "set_metadata";
    /// `Destination::sync`.
    pub const SYNC: &str = "sync";
    /// `stat` of a store or destination.
    pub const STAT: &str = "stat";
    /// `write` of a writer.
    pub const WRITE: &str = "write";
}
