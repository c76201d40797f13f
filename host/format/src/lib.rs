//! The format of a repository: pure codecs from values to bytes and back, without input, output, clock or threads.
//!
//! Every byte that a repository holds is described in `FORMAT.md`, every key and promise in `CRYPTO.md`, and every test vector in
//! `tests/vectors/` is kept for ever.
//!
//! | step | out | back |
//! |---|---|---|
//! | content to chunks | [`Chunker`] | the engine joins |
//! | chunk to id | [`Keys::blob_id`] | [`open_blob`] verifies |
//! | chunk to frame | [`Compressor`] | [`Inflater`] |
//! | frames to pack | [`PackBuilder`] | [`Opener`], [`read_footer`], [`open_blob`] |
//! | pack to parity | [`parity_of`] | [`heal`], [`inspect_parity`] |
//! | records to tree | [`TreeBuilder`], [`ListBuilder`] | [`Node`], [`decode_list`] |
//! | record to document | [`seal_document`] around [`IndexSegment`], [`Usage`], [`Intent`], [`Condemned`], [`Note`], [`EscrowedConnector`] | [`open_document`] |
//! | snapshot to document | [`seal_snapshot`] | [`open_snapshot`] |
//! | any object without a key | | [`Inspector`] |
//! | keyring to slot | [`KeySlot`] | the same |
//! | what was removed to record | [`Removal::encode`] | [`Removal::decode`], [`UnverifiedRemoval::verify`] |
//! | settings to config | [`Config::encode`] | [`Config::decode`], [`UnverifiedConfig::verify`] |
//!
//! Called by the engine. Only sealing makes a [`SealedObject`], and nothing else reaches a store but the three text documents and parity.

mod chunker;
mod component_signature;
mod compress;
mod condemned;
mod config;
mod container;
mod document;
mod error;
mod escrow;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod group;
mod hex_text;
mod index;
mod intent;
mod json;
mod keys;
mod lines;
mod names;
mod note;
mod pack;
mod parity;
mod passphrase;
mod password;
mod policy;
mod removal;
mod signing;
mod slot;
mod snapshot;
mod suite;
mod tree;
mod usage;
#[cfg(test)]
mod vectors;
mod wire;

pub use chunker::{CHUNKER_ALGORITHM, Chunker, ChunkerParams};
pub use component_signature::{component_publisher, sign_component};
pub use compress::{COMPRESSION_LEVELS, Compressor, Encoding, Inflater, NO_COMPRESSION};
pub use condemned::Condemned;
pub use config::{ChunkerConfig, Config, ConfigError, ReplicaOf, UnverifiedConfig};
pub use container::{
    CHECKSUM_BYTES, ChainLink, HEADER_BYTES, Header, Inspected, Inspector, Keying, Opener, SEGMENT_SEALED_BYTES,
    STATEMENT_BYTES, SealedObject, SegmentSpan, Statement, plain_length, sealed_span, unproven_link,
};
pub use document::{open_document, seal_document};
pub use error::{Error, Result};
pub use escrow::EscrowedConnector;
pub use group::{GROUP_MEMBERS_MAX, group_head};
pub use hex_text::{Digest, Hex, InvalidDigest};
pub use index::{
    BlobIndex, BlobPlace, IndexSegment, IndexedPack, LockRecord, PackOrdinal, PackState, PlacesApart, Scratch, Spill,
};
pub use intent::Intent;
pub use keys::{Access, GearTable, Keyring, Keys};
pub use names::{
    ObjectKind, config_key, copy_key, document_id, is_object_name, original_key, parity_key, parity_pack, removal_key,
    slot_key, top_names,
};
pub use note::{
    CONFIGURATION_BYTES_MAX, ConfigurationFile, DamagedObject, Drill, Fact, InstalledConnector, MachineConfiguration,
    NOTE_TEXT_BYTES_MAX, Note, OriginHead, ReadPack, Replica, TAG_BYTES_MAX, TagEdit, Verdict,
};
pub use pack::{
    BlobKind, Frame, GroupFrame, Layout, PACK_BLOBS_MAX, PackBlob, PackBuilder, PackKind, PackRecord, PackTail,
    SealedPack, open_blob, read_footer,
};
pub use parity::{PARITY_BYTES_MAX, ParityHead, ParityRate, heal, inspect_parity, parity_of};
pub use passphrase::{normal_passphrase, passphrase_weakness};
pub use password::{InvalidPasswordProof, PasswordProof};
pub use policy::{Grouping, Policy};
pub use removal::{Removal, RemovedSnapshot, UnverifiedRemoval};
pub use signing::{InvalidSigningKey, PublicKey, SigningKey};
pub use slot::{
    Identity, InvalidRecipientKey, InvalidRecoveryCode, KEY_FILE_BYTES_MIN, KdfParams, KeySlot, NewSlot, Recipient,
    RecipientKind, RecoveryCode, SlotError, SlotKind,
};
pub use snapshot::{
    OpenedSnapshot, OrderedListing, Origin, PROBLEMS_MAX, PacksRelied, Part, Problem, Provenance, Snapshot,
    SnapshotSource, SourceDocument, Statistics, open_snapshot, seal_snapshot,
};
pub use suite::{Suite, TAG_BYTES};
pub use tree::{
    Child, LEVEL_MAX, LIST_REFS_SPLIT, ListBuilder, Node, RECORD_BYTES_MAX, TreeBuilder, TreeRoot, decode_list,
    decode_record, encode_list, encode_record, join_trees,
};
pub use usage::{Bitmap, PackUsage, Usage, body_digest};
