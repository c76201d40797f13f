//! Where blobs are: index segments as they are stored (`segment`), the look-up that they are loaded into (`lookup`), and what of it does not fit into memory (`paged`).

mod entry;
mod lookup;
mod paged;
mod segment;
mod tail;
#[cfg(test)]
mod tests;

pub use lookup::{BlobIndex, BlobPlace, IndexedPack, PackOrdinal, PackState, PlacesApart, Spill};
pub use paged::Scratch;
pub use segment::IndexSegment;
pub use tail::LockRecord;

/// What errors call it.
const WHAT: &str = "an index segment";
