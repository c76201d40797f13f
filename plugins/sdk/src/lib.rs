//! The kit for authors of connectors: implement [`Connector`] and one or more of [`Source`], [`Store`] and
//! [`Destination`] for a type, and write `credenza_sdk::export!(MyConnector: source, store);` once.
//!
//! Owned here: the Rust face of the contract in `wit/` (what types cannot say is in `wit/CONTRACT.md`), the glue to it,
//! settings as a struct ([`settings!`]); what the sandbox lacks: a clock ([`task::now_ms`]), a log ([`log`]), panic texts that reach the user; and what every protocol over
//! HTTP needs once: [`percent`], [`xml`], [`time`], [`range`], [`etag`], [`status`], [`check`], [`facts`], [`prefix`], and [`tree`], what an object was in a folder. Refused
//! here: knowledge of any provider. Called by connectors.
//!
//! The same crate compiles natively, so that a connector's own logic is unit-tested without a sandbox: written against [`wire::Wire`], it
//! runs over a tape of recorded answers. Calls to the host ([`http::send`], [`Body`], [`task`], [`log`]) work only inside the sandbox.
//!
//! ```
//! use credenza_sdk::{Check, Config, Connector, Destination, DestinationInfo, Entry, Error, ErrorClass, Result, Writer};
//!
//! /// Takes nothing.
//! struct Full;
//!
//! credenza_sdk::export!(Full: destination);
//!
//! impl Connector for Full {
//!     fn open(_: &Config) -> Result<Self> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl Destination for Full {
//!     fn info(&self) -> Result<DestinationInfo> {
//!         Ok(DestinationInfo { identity: "full".to_owned(), namespace: "flat".to_owned(), traits: Vec::new() })
//!     }
//!
//!     fn check(&self) -> Vec<Check> {
//!         Vec::new()
//!     }
//!
//!     fn stat(&self, _: &[u8]) -> Result<Option<Entry>> {
//!         Ok(None)
//!     }
//!
//!     fn create(&self, entry: Entry, _: bool) -> Result<Option<Box<dyn Writer>>> {
//!         let key = String::from_utf8_lossy(&entry.key).into_owned();
//!         Err(Error::new(ErrorClass::Exhausted, "full", format!("writing {key:?} failed: there is no room")))
//!     }
//!
//!     fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
//!         Ok(entries.iter().map(|_| Ok(Vec::new())).collect())
//!     }
//! }
//! ```

#[doc(hidden)]
#[allow(unsafe_code, missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::unwrap_used, clippy::indexing_slicing)]
#[rustfmt::skip]
pub mod bindings;
mod body;
pub mod check;
mod connector;
mod destination;
mod entry;
mod error;
pub mod etag;
pub mod facts;
pub mod http;
pub mod log;
mod panic;
pub mod percent;
pub mod prefix;
pub mod range;
pub mod settings;
mod source;
pub mod status;
mod store;
pub mod task;
pub mod time;
pub mod tree;
pub mod wire;
#[doc(hidden)]
#[rustfmt::skip]
pub mod worlds;
pub mod xml;

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
pub use error::{Result, quote, shown};
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
