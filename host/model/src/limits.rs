//! Limits and targets with their units, in one place, checked against each other at compile time.

/// Longest name of an object in a store.
pub const STORE_KEY_BYTES_MAX: usize = 200;
/// Longest key of an entry. Paths of Linux file systems reach 4,096 bytes a call, S3 keys 1,024; deeper trees are still walked.
pub const KEY_BYTES_MAX: usize = 64 * 1024;
/// Contents up to this size live in their record: a chunk reference alone costs 36 bytes and a place in a pack and in the index.
pub const INLINE_BYTES_MAX: usize = 256;
/// Most chunk references in one record, and the target of a list chunk; longer contents become trees of lists.
pub const LIST_REFS_MAX: usize = 1024;
/// Smallest chunk of the default chunker.
pub const CHUNK_BYTES_MIN: u32 = 8 * 1024;
/// Average chunk of the default chunker: a page that changes makes one new, and each takes 52 bytes of the index.
pub const CHUNK_BYTES_AVG: u32 = 32 * 1024;
/// Largest chunk of the default chunker.
pub const CHUNK_BYTES_MAX: u32 = 64 * 1024;
/// Largest plaintext of any chunk, with any `--chunk-size`, and of any tree node.
pub const BLOB_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// Chunks of content up to this size share a frame with others; those above are compressed alone, where they lose little by it.
pub const GROUP_MEMBER_BYTES_MAX: usize = 128 * 1024;
/// Plaintext of a group, at which it is closed: what is inflated to read any of its members, 0.3 ms.
pub const GROUP_BYTES: usize = 256 * 1024;
/// Stored size, table included, at which a data pack is closed. Three of them are in memory at most (one filling, two on their way), which leaves 100 MB of the 200 MB bound to everything else.
pub const DATA_PACK_BYTES: u64 = 32 * 1024 * 1024;
/// Stored size, table included, at which a metadata pack is closed.
pub const META_PACK_BYTES: u64 = 8 * 1024 * 1024;
/// Largest pack that a reader accepts.
pub const PACK_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Largest single document (config, key slot, snapshot, intent, condemned record, index segment, usage) that a reader accepts.
pub const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Room from which on what is freed goes back to the system at once: shorter pieces pile up in the heaps of the threads that made them (glibc, mallopt(3),
/// M_MMAP_THRESHOLD, which grows up to 32 MiB). What of a piece is not written takes no memory.
pub const GIVEN_BACK_BYTES: usize = 33 * 1024 * 1024;
/// Plaintext of one AEAD segment.
pub const SEGMENT_BYTES: usize = 64 * 1024;
/// Target size of an encoded tree node.
pub const NODE_BYTES_AVG: usize = 64 * 1024;
/// Encoded size at which a tree node is closed whatever its keys say.
pub const NODE_BYTES_SPLIT: usize = 512 * 1024;
/// Bytes of a node's keys, each taken whole, at which it is closed: keys that share their fronts take little in it, and all of it when read.
pub const NODE_KEYS_BYTES_SPLIT: usize = 8 * 1024 * 1024;
/// Most bytes of a node's keys that a reader accepts.
pub const NODE_KEYS_BYTES_MAX: usize = 16 * 1024 * 1024;

const _: () = assert!(
    CHUNK_BYTES_MIN < CHUNK_BYTES_AVG && CHUNK_BYTES_AVG < CHUNK_BYTES_MAX && CHUNK_BYTES_MAX <= BLOB_BYTES_MAX
);
const _: () =
    assert!(DATA_PACK_BYTES + BLOB_BYTES_MAX as u64 * 2 < PACK_BYTES_MAX && META_PACK_BYTES < DATA_PACK_BYTES);
const _: () =
    assert!(NODE_BYTES_AVG < NODE_BYTES_SPLIT && NODE_BYTES_SPLIT + KEY_BYTES_MAX * 2 < BLOB_BYTES_MAX as usize);
const _: () = assert!(GROUP_BYTES * 2 + GROUP_MEMBER_BYTES_MAX < BLOB_BYTES_MAX as usize);
const _: () = assert!(NODE_KEYS_BYTES_SPLIT + KEY_BYTES_MAX * 2 < NODE_KEYS_BYTES_MAX);
const _: () = assert!(LIST_REFS_MAX * 36 < NODE_BYTES_SPLIT);

/// The room to reserve for so many bytes that are needed for a moment only: where they are a megabyte and more, it is given back.
#[must_use]
pub const fn room_of_a_moment(bytes: usize) -> usize {
    if bytes < 1 << 20 || bytes > GIVEN_BACK_BYTES { bytes } else { GIVEN_BACK_BYTES }
}
