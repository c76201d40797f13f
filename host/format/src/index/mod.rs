//! Where blobs are: index segments as they are stored (`segment`) and the look-up that they are loaded into (`lookup`).

mod lookup;
mod segment;
mod tail;
#[cfg(test)]
mod tests;

pub use lookup::{BlobIndex, BlobPlace, IndexedPack, PackOrdinal, PackState};
pub use segment::IndexSegment;
pub use tail::LockRecord;

/// What errors call it.
const WHAT: &str = "an index segment";
