//! Building a pack: frames go in one by one and are sealed as they come.

use credenza_model::ChunkId;
use credenza_model::ObjectId;
use credenza_model::limits::PACK_BYTES_MAX;

use super::check_blob;
use super::footer::{TRAILER_BYTES, put_footer_entry, trailer};
use super::{BlobKind, FOOTER_ENTRY_BYTES, PACK_BLOBS_MAX, PackBlob, PackKind, PackRecord};
use crate::container::{CHECKSUM_BYTES, HEADER_BYTES, SealedObject, Sealer};
use crate::wire::length_u32;
use crate::{Encoding, Error, Keys, Result, Suite, keys};

/// A blob on its way into a pack.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its id.
    pub id: ChunkId,
    /// What it is.
    pub kind: BlobKind,
    /// How `stored` relates to the plaintext.
    pub encoding: Encoding,
    /// Bytes of its plaintext.
    pub plain_length: u32,
    /// The bytes to store.
    pub stored: &'a [u8],
}

/// Blobs on their way into a pack in one frame.
#[derive(Debug, Clone, Copy)]
pub struct GroupFrame<'a> {
    /// What they are.
    pub kind: BlobKind,
    /// Their ids, and the bytes of their plaintexts, in the order of the frame.
    pub members: &'a [(ChunkId, u32)],
    /// What they have in common, as [`Compressor::compress_group`](crate::Compressor::compress_group) gave it.
    pub stored: &'a [u8],
}

/// A pack ready for the store, and what the index is to know of it.
#[derive(Debug, Clone)]
pub struct SealedPack {
    /// The object.
    pub object: SealedObject,
    /// What it holds.
    pub pack: PackRecord,
}

/// A pack that is being filled.
///
/// Memory: the sealed bytes so far and 52 bytes a blob.
pub struct PackBuilder {
    kind: PackKind,
    suite: Suite,
    sealer: Sealer,
    blobs: Vec<PackBlob>,
}

impl PackBuilder {
    /// An empty pack with a random id.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn new(keys: &Keys, kind: PackKind) -> Result<Self> {
        let id = ObjectId::new(keys::random()?);
        Ok(Self::from_sealer(keys, kind, Sealer::new(keys, kind.object_kind(), id, usize::MAX)?))
    }

    /// The same in the memory of a pack that is in the store.
    #[must_use]
    pub fn within(self, memory: Vec<u8>) -> Self {
        Self { sealer: self.sealer.within(memory), ..self }
    }

    pub(crate) fn from_sealer(keys: &Keys, kind: PackKind, sealer: Sealer) -> Self {
        Self { kind, suite: keys.suite(), sealer, blobs: Vec::new() }
    }

    /// The id of the pack.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.sealer.header().object()
    }

    /// Appends a blob and returns its position, counted from 0.
    ///
    /// # Errors
    /// [`Error::PackFull`] when it has no place, [`Error::TooLarge`] beyond [`BLOB_BYTES_MAX`](credenza_model::limits::BLOB_BYTES_MAX), [`Error::Malformed`] when it belongs
    /// in the other kind of pack or its lengths contradict its encoding. The pack is unchanged then.
    pub fn push(&mut self, frame: Frame<'_>) -> Result<u32> {
        let position = length_u32("the table of a pack", self.blobs.len())?;
        let blob = PackBlob {
            id: frame.id,
            kind: frame.kind,
            encoding: frame.encoding,
            offset: u32::try_from(self.sealer.plain_bytes()).map_err(|_| Error::PackFull)?,
            stored: length_u32("a blob", frame.stored.len())?,
            plain: frame.plain_length,
        };
        check_blob(self.kind, &blob)?;
        if position >= PACK_BLOBS_MAX || self.sealed_bytes_with(1, u64::from(blob.stored)) > PACK_BYTES_MAX {
            return Err(Error::PackFull);
        }
        self.sealer.write(frame.stored)?;
        self.blobs.push(blob);
        Ok(position)
    }

    /// Appends blobs that share one frame.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_group(&mut self, frame: GroupFrame<'_>) -> Result<()> {
        let offset = u32::try_from(self.sealer.plain_bytes()).map_err(|_| Error::PackFull)?;
        let stored = length_u32("a group", frame.stored.len())?;
        let (kind, encoding) = (frame.kind, Encoding::Group);
        let blob = |&(id, plain): &(ChunkId, u32)| PackBlob { id, kind, encoding, offset, stored, plain };
        let blobs: Vec<PackBlob> = frame.members.iter().map(blob).collect();
        blobs.iter().try_for_each(|blob| check_blob(self.kind, blob))?;
        let count = self.blobs.len() + blobs.len();
        if count > PACK_BLOBS_MAX as usize || self.sealed_bytes_with(blobs.len(), u64::from(stored)) > PACK_BYTES_MAX {
            return Err(Error::PackFull);
        }
        self.sealer.write(frame.stored)?;
        self.blobs.extend(blobs);
        Ok(())
    }

    /// Stored bytes of all blobs so far.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.sealer.plain_bytes()
    }

    /// What the table of the blobs so far takes. It comes with the end of the pack, and counts where the pack's size is to be bounded: of many small blobs
    /// in one group it is longer than they are.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.end_bytes(self.blobs.len())
    }

    /// Blobs so far.
    #[must_use]
    pub fn blob_count(&self) -> usize {
        self.blobs.len()
    }

    /// Closes the pack.
    ///
    /// # Errors
    /// [`Error::TooLarge`] only if a limit of the cipher is met, which the limits of packs rule out.
    pub fn finish(mut self) -> Result<SealedPack> {
        let bodies = self.sealer.plain_bytes();
        let end_bytes = self.end_bytes(self.blobs.len());
        let padding = self.suite.padded(bodies + end_bytes) - bodies - end_bytes;
        let mut end = vec![0; usize::try_from(padding).unwrap_or(0)];
        self.blobs.iter().for_each(|blob| put_footer_entry(&mut end, blob));
        end.extend(trailer(
            length_u32("a pack", usize::try_from(bodies).unwrap_or(usize::MAX))?,
            self.blobs.len() as u32,
        ));
        self.sealer.write(&end)?;
        let header = *self.sealer.header().bytes();
        let object = self.sealer.finish()?;
        let pack = PackRecord {
            id: object.id(),
            kind: self.kind,
            header,
            size: object.length(),
            sha256: *object.sha256(),
            blobs: self.blobs,
            moved: false,
            version: None,
        };
        Ok(SealedPack { object, pack })
    }

    /// Footer and trailer for this many blobs.
    fn end_bytes(&self, blobs: usize) -> u64 {
        (blobs * FOOTER_ENTRY_BYTES + TRAILER_BYTES) as u64
    }

    /// An upper bound of the object's size with more blobs: a tag for each 64 KiB is less than a thousandth.
    fn sealed_bytes_with(&self, blobs: usize, stored: u64) -> u64 {
        let plain = self.suite.padded(self.sealer.plain_bytes() + stored + self.end_bytes(self.blobs.len() + blobs));
        plain + plain / 1024 + 1024 + (HEADER_BYTES + CHECKSUM_BYTES) as u64
    }
}
