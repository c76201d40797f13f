//! Packs: many blobs in one object, with a table of them at its end.
//!
//! Plaintext: blob bodies back to back · zero padding · footer, 48 bytes a blob · trailer, 16 bytes. A single read of the end tells all
//! that a pack holds, so an index can be rebuilt from packs alone.
//!
//! Owned here: what blobs are, building a pack (`builder`), reading its end (`footer`), opening one blob.

mod builder;
mod footer;
#[cfg(test)]
pub(crate) mod tests;

use credenza_model::limits::BLOB_BYTES_MAX;
use credenza_model::{ChunkId, ObjectId};

pub use builder::{Frame, GroupFrame, PackBuilder, SealedPack};
#[cfg(feature = "fuzzing")]
pub(crate) use footer::encode as encode_footer;
pub(crate) use footer::{FOOTER_ENTRY_BYTES, check_layout};
pub use footer::{PackTail, read_footer};

use crate::container::HEADER_BYTES;
use crate::{Encoding, Error, Inflater, Keys, ObjectKind, Result};

/// Most blobs of one pack: the index counts positions in 24 bits, and a table of this many takes 48 MiB.
pub const PACK_BLOBS_MAX: u32 = 1 << 20;

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobKind {
    /// A chunk of content.
    Data = 0,
    /// A node of a snapshot's tree.
    Node = 1,
    /// A list of the chunks of a long content.
    List = 2,
}

impl BlobKind {
    /// Where blobs of this kind belong.
    #[must_use]
    pub const fn pack_kind(self) -> PackKind {
        match self {
            Self::Data => PackKind::Data,
            Self::Node | Self::List => PackKind::Meta,
        }
    }

    pub(crate) fn decode(number: u8) -> Result<Self> {
        match number {
            0 => Ok(Self::Data),
            1 => Ok(Self::Node),
            2 => Ok(Self::List),
            other => Err(Error::Unknown { what: "blob kind", found: u32::from(other) }),
        }
    }
}

/// What a pack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackKind {
    /// Chunks of content.
    Data,
    /// Tree nodes and chunk lists.
    Meta,
}

impl PackKind {
    /// The kind in the header of such a pack.
    #[must_use]
    pub const fn object_kind(self) -> ObjectKind {
        match self {
            Self::Data => ObjectKind::DataPack,
            Self::Meta => ObjectKind::MetaPack,
        }
    }

    /// The kind of pack that an object is; `None` when it is no pack.
    #[must_use]
    pub const fn of(kind: ObjectKind) -> Option<Self> {
        match kind {
            ObjectKind::DataPack => Some(Self::Data),
            ObjectKind::MetaPack => Some(Self::Meta),
            _ => None,
        }
    }
}

/// Where a blob lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackBlob {
    /// Its id.
    pub id: ChunkId,
    /// What it is.
    pub kind: BlobKind,
    /// How it is stored.
    pub encoding: Encoding,
    /// Offset of its stored bytes in the plaintext of the pack.
    pub offset: u32,
    /// Bytes stored.
    pub stored: u32,
    /// Bytes of its plaintext.
    pub plain: u32,
}

/// All that an index keeps of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRecord {
    /// Its id.
    pub id: ObjectId,
    /// What it holds.
    pub kind: PackKind,
    /// Its header, so that a blob costs one ranged read and not two.
    pub header: [u8; HEADER_BYTES],
    /// Bytes of the sealed object.
    pub size: u64,
    /// SHA-256 of the sealed object.
    pub sha256: [u8; 32],
    /// Its blobs, in the order of their offsets.
    pub blobs: Vec<PackBlob>,
    /// Repacking has copied what was needed of it elsewhere: look for its blobs in other packs first.
    pub moved: bool,
    /// The store's name for the version that was written, in a store that keeps versions: it is read by that.
    pub version: Option<String>,
}

/// What a blob adds to a [`Layout`].
const LAYOUT_ROW_BYTES: usize = 32 + 2 + 3 * 4;
/// What is hashed of it at once.
const LAYOUT_PIECE_BYTES: usize = 16 * 1024;

/// What tells what one description says of a pack's content from any other: its kind, header, size and blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layout([u8; 16]);

impl Layout {
    /// Of a record: BLAKE3 over these fields, 16 bytes of it.
    #[must_use]
    pub fn of(pack: &PackRecord) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(pack.id.as_bytes()).update(&[pack.kind.object_kind() as u8]).update(&pack.header);
        hasher.update(&pack.size.to_le_bytes());
        // In pieces that are long enough for BLAKE3 to work on several of its own at once.
        let mut piece = Vec::with_capacity(LAYOUT_PIECE_BYTES);
        for PackBlob { id, kind, encoding, offset, stored, plain } in &pack.blobs {
            piece.extend(id.as_bytes());
            piece.extend([*kind as u8, *encoding as u8]);
            [offset, stored, plain].iter().for_each(|number| piece.extend(number.to_le_bytes()));
            if piece.len() + LAYOUT_ROW_BYTES > LAYOUT_PIECE_BYTES {
                hasher.update(&piece);
                piece.clear();
            }
        }
        hasher.update(&piece);
        let mut layout = [0; 16];
        hasher.finalize_xof().fill(&mut layout);
        Self(layout)
    }
}

impl PackRecord {
    /// Bytes that its blobs take in it, each group once.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.blobs.last().map_or(0, |last| u64::from(last.offset) + u64::from(last.stored))
    }
}

/// The plaintext of a blob, verified to be the one that its id names: `stored` itself when it is raw, else what `out` is replaced by. Members of a
/// group that are opened one after another inflate it once.
///
/// # Errors
/// [`Error::Blob`], which names the pack and the blob, around the cause.
pub fn open_blob<'a>(
    keys: &Keys,
    pack: ObjectId,
    blob: &PackBlob,
    stored: &'a [u8],
    inflater: &mut Inflater,
    out: &'a mut Vec<u8>,
) -> Result<&'a [u8]> {
    let plain = match blob.encoding {
        Encoding::Group => inflater.inflate_member((pack, blob.offset), (&blob.id, blob.plain), stored, out),
        encoding => inflater.inflate(encoding, stored, blob.plain, out),
    };
    let opened = plain.and_then(|plain| {
        let id = keys.blob_id(blob.kind, plain);
        if id == blob.id { Ok(plain) } else { Err(Error::WrongBlob { blob: blob.id }) }
    });
    opened.map_err(|cause| Error::Blob { pack, blob: blob.id, cause: Box::new(cause) })
}

impl Keys {
    /// The id of a blob: keyed BLAKE3 of its plaintext, under one key for content and another for metadata.
    #[must_use]
    pub fn blob_id(&self, kind: BlobKind, plaintext: &[u8]) -> ChunkId {
        match kind {
            BlobKind::Data => self.content_id(plaintext),
            BlobKind::Node | BlobKind::List => self.metadata_id(plaintext),
        }
    }
}

/// The rules that a blob obeys wherever it is described.
fn check_blob(pack: PackKind, blob: &PackBlob) -> Result<()> {
    if blob.stored > BLOB_BYTES_MAX || blob.plain > BLOB_BYTES_MAX {
        let bytes = u64::from(blob.stored.max(blob.plain));
        return Err(Error::TooLarge { what: "a blob", bytes, bytes_max: u64::from(BLOB_BYTES_MAX) });
    }
    let problem = if blob.kind.pack_kind() != pack {
        "it holds a blob that belongs in the other kind of pack"
    } else if blob.encoding == Encoding::Raw && blob.stored != blob.plain {
        "a blob is stored raw in another length than its own"
    } else {
        return Ok(());
    };
    Err(Error::Malformed { what: "a pack", problem: format!("{problem} ({})", blob.id) })
}
