//! The one sealed object: a clear header and a stream of authenticated segments.
//!
//! Owned here: the header (`header`), which bytes of an object hold which plaintext (`geometry`), sealing (`sealer`) and opening
//! (`opener`). Packs and documents put their plaintext in and take it out; nothing else reaches a store.

mod geometry;
mod header;
mod opener;
mod sealer;
#[cfg(test)]
mod tests;

pub use geometry::{SEGMENT_SEALED_BYTES, SegmentSpan, plain_length, sealed_span};
pub use header::{HEADER_BYTES, Header, Keying};
pub use opener::Opener;
pub use sealer::SealedObject;
pub(crate) use sealer::Sealer;
