//! The kit for authors of connectors: implement [`Connector`] and one or more of [`Source`], [`Store`] and
//! [`Destination`] for a type, and write `credenza_sdk::export!(MyConnector: source, store);` once.
//!
//! Owned here: the Rust face of the contract in `wit/` (what types cannot say is in `wit/CONTRACT.md`), the glue to it,
//! and what the sandbox lacks: a clock ([`task::now_ms`]), a log ([`log`]), panic texts that reach the user. Refused here:
//! knowledge of any provider. Called by connectors.
//!
//! The same crate compiles natively, so that a connector's own logic is unit-tested without a sandbox; calls to the host
//! ([`http::send`], [`Body`], [`task`], [`log`]) work only inside it.

#[doc(hidden)]
#[allow(unsafe_code, missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::unwrap_used, clippy::indexing_slicing)]
#[rustfmt::skip]
pub mod bindings;
mod body;
mod config;
mod connector;
mod destination;
mod entry;
mod error;
pub mod http;
pub mod log;
mod panic;
mod source;
mod store;
pub mod task;
#[doc(hidden)]
#[rustfmt::skip]
pub mod worlds;

pub use bindings::credenza::connector::settings::{Config, Setting, Value};
pub use bindings::credenza::connector::types::{
    AttributeValue, Attributes, ByteRange, Check, Checksum, Entry, EntryKind, Error, ErrorClass, Timestamp, Version,
};
pub use bindings::credenza::host::bodies::{Body, IoError};
pub use bindings::exports::credenza::connector::destination::DestinationInfo;
pub use bindings::exports::credenza::connector::lifecycle::Problem;
pub use bindings::exports::credenza::connector::source::{Batch, Document, Found, ScanOptions, SourceInfo};
pub use bindings::exports::credenza::connector::store::{Object, Page, PutOptions, StoreInfo, Stored};
pub use connector::Connector;
pub use destination::{Destination, Writer};
pub use error::Result;
pub use source::{Content, Opened, Reader, Scanner, Source};
pub use store::Store;

/// The glue between the traits and the contract, for [`export!`] alone.
#[doc(hidden)]
pub mod glue {
    pub use crate::connector::ExportedLifecycle;
    pub use crate::destination::ExportedDestination;
    pub use crate::source::ExportedSource;
    pub use crate::store::ExportedStore;
}
