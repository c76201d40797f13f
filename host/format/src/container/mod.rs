//! The one sealed object: a clear header, a stream of authenticated segments, a clear statement where it has one, and a checksum.
//!
//! Owned here: the header (`header`), which bytes of an object hold which plaintext (`geometry`), sealing (`sealer`), opening
//! (`opener`), what a snapshot states in the clear (`statement`) and what can be verified without a key (`inspect`). Packs and
//! documents put their plaintext in and take it out; nothing else reaches a store.

mod geometry;
mod header;
mod inspect;
mod opener;
mod sealer;
mod statement;
#[cfg(test)]
mod tests;

pub(crate) use geometry::segments;
pub use geometry::{
    CHECKSUM_BYTES, HEADER_BYTES, SEGMENT_SEALED_BYTES, STATEMENT_BYTES, SegmentSpan, plain_length, sealed_span,
};
pub use header::{Header, Keying};
pub use inspect::{Inspected, Inspector};
pub(crate) use inspect::{check_sum, inspect};
pub use opener::Opener;
pub use sealer::SealedObject;
pub(crate) use sealer::Sealer;
pub use statement::{ChainLink, Statement, unproven_link};
