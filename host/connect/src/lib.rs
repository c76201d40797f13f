//! The doors between the engine and everything outside: the traits [`Source`], [`Store`] and [`Destination`], the
//! [`Body`] that passes through them, the wrappers that stand before any of them, and the built-in connectors.
//!
//! Owned here: the shape of a connector, retries and what is reported of them, limits on requests in flight and on bytes a second, seeded faults, `file`, `memory`
//! and the source of one stream, and the conformance suite that every connector passes. Refused here: WebAssembly (`sandbox`), the format of a
//! repository (`format`, `engine`), anything that prints. Called by `engine` and `sandbox`; assembled by `cli`.
//!
//! ```
//! use credenza_connect::memory::MemoryStore;
//! use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
//! use credenza_model::StoreKey;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, key) = (MemoryStore::new(), StoreKey::new("data/one")?);
//! let once = PutOptions { if_absent: true, ..PutOptions::default() };
//! store.put(&key, Payload::from(b"sealed".to_vec()), &once).await?;
//! let refused = store.put(&key, Payload::from(b"another".to_vec()), &once).await.unwrap_err();
//! assert_eq!(refused.class, ErrorClass::Precondition);
//! # Ok(())
//! # }
//! ```

pub mod ability;
mod body;
mod checksum;
pub mod conformance;
mod destination;
mod error;
pub mod file;
mod group;
pub mod memory;
mod paging;
mod patterns;
mod payload;
pub mod random;
mod rate;
mod selection;
mod source;
mod store;
mod strays;
mod stream;
mod wait;
pub mod wrap;

pub use body::{Body, BodyReader};
pub use checksum::{Verifier, checksum_of};
pub use destination::{Destination, DestinationInfo, Writer};
pub use error::{Error, ErrorClass, Result};
pub use group::ProcessGroup;
pub use paging::{Batches, CURSOR_BYTES_MAX, Pages};
pub use patterns::{InvalidPattern, Patterns};
pub use payload::Payload;
pub use rate::{Rate, Rates};
pub use selection::Selection;
pub use source::{Batch, ByteRange, Found, Marker, Opened, ScanOptions, Scanner, Source, SourceDocument, SourceInfo};
pub use store::{Page, PutOptions, Store, StoreInfo, Stored, StoredObject};
pub use strays::Strays;
pub use stream::StreamSource;
pub use wait::{Wait, WaitListener, Waits};

/// One line of a connector's self-test, shown to the user as it is.
#[derive(Debug)]
pub struct Check {
    /// What was tried, in a few words.
    pub name: String,
    /// What was found, or why it failed.
    pub outcome: Result<String>,
}
