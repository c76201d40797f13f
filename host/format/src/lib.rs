//! The format of a repository, version 1: pure codecs between plaintext and the objects of a store.
//!
//! Owned here: keys, cutting, compression, sealing, packs, the index, trees, snapshots and every other document, as
//! `FORMAT.md` and `CRYPTO.md` beside this crate describe them. Refused here: input and output, clocks, threads. Called by
//! `engine`.
//!
//! | file | pair |
//! |---|---|
//! | `cut` | cut (join is concatenation) |
//! | `compress` | compress / inflate |
//! | `container`, `document` | seal / open |
//! | `pack`, `index`, `usage`, `tree`, `records`, `snapshot`, `config`, `slot` | encode / decode |

mod compress;
mod config;
mod container;
mod cut;
mod document;
mod error;
mod hex_text;
mod index;
mod keys;
mod names;
mod pack;
mod records;
mod slot;
mod snapshot;
mod suite;
mod tree;
mod usage;
mod wire;

pub use compress::{Compressor, Encoding, Inflater};
pub use config::{Config, UnverifiedConfig, body_digest};
pub use container::{
    FORMAT_VERSION, HEADER_BYTES, Header, Opener, SEGMENT_SEALED_BYTES, SealedObject, SegmentSpan, plain_length,
    sealed_span,
};
pub use cut::{ChunkerParams, Cutter};
pub use document::{open_document, seal_document};
pub use error::{Error, Result};
pub use hex_text::Hex;
pub use index::{BlobIndex, BlobPlace, IndexSegment, IndexedPack, PackOrdinal};
pub use keys::{GearTable, Keyring, Keys};
pub use names::{ObjectKind, config_key, slot_key};
pub use pack::{
    BlobKind, FOOTER_ENTRY_BYTES, Frame, PackBlob, PackBuilder, PackKind, PackRecord, PackTrailer, SealedPack,
    TRAILER_BYTES, open_blob,
};
pub use records::{Condemned, Intent};
pub use slot::{KdfParams, KeySlot, SlotError, passphrase_weakness};
pub use snapshot::{PacksReliedOn, Provenance, SkippedRecord, Snapshot, SnapshotSignature, SnapshotSource, Statistics};
pub use suite::{Suite, TAG_BYTES};
pub use tree::{Child, ListBuilder, Node, TreeBuilder, TreeRoot, decode_list, encode_list};
pub use usage::{Bitmap, Usage};
