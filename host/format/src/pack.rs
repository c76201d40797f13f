//! Packs: many blobs in one sealed object, with a table of them at the end.
//!
//! Plaintext: bodies back to back, the footer table, zeros up to a Padmé length, the trailer. Owned here: that layout, and
//! the record of a pack that index segments carry. Refused here: which blob goes where (the engine's `stow`).
//!
//! Bound: a pack being built stays in memory, sealed, up to the size at which its owner closes it.

use credenza_model::limits::{BLOB_BYTES_MAX, PACK_BYTES_MAX};
use credenza_model::{ChunkId, ObjectId, StoreKey};

use crate::container::{HEADER_BYTES, SealedObject, Sealer};
use crate::document::pad;
use crate::keys::random;
use crate::wire::{Fields, length_u32};
use crate::{Encoding, Error, Inflater, Keys, ObjectKind, Result};

/// Length of the trailer, the very end of a pack's plaintext.
pub const TRAILER_BYTES: u64 = 16;
/// Length of one blob's line in the footer table.
pub const FOOTER_ENTRY_BYTES: u64 = 48;
const TRAILER_MAGIC: [u8; 6] = *b"CRDZPK";
const TRAILER_VERSION: u16 = 1;

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobKind {
    /// A chunk of content.
    Data = 0,
    /// A node of a snapshot's tree.
    Node = 1,
    /// A list of chunk references.
    List = 2,
}

impl BlobKind {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackKind {
    /// Chunks of contents.
    Data,
    /// Tree nodes and lists.
    Meta,
}

impl PackKind {
    /// The kind in headers and names.
    #[must_use]
    pub const fn object_kind(self) -> ObjectKind {
        match self {
            Self::Data => ObjectKind::DataPack,
            Self::Meta => ObjectKind::MetaPack,
        }
    }

    pub(crate) fn decode(number: u8) -> Result<Self> {
        match ObjectKind::decode(number)? {
            ObjectKind::DataPack => Ok(Self::Data),
            ObjectKind::MetaPack => Ok(Self::Meta),
            _ => Err(Error::Unknown { what: "pack kind", found: u32::from(number) }),
        }
    }
}

/// A blob on its way into a pack.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its id.
    pub id: ChunkId,
    /// What it is.
    pub kind: BlobKind,
    /// How `stored` encodes it.
    pub encoding: Encoding,
    /// Length of its plaintext.
    pub plain_length: u32,
    /// The bytes to keep.
    pub stored: &'a [u8],
}

/// A blob in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackBlob {
    /// Its id.
    pub id: ChunkId,
    /// What it is.
    pub kind: BlobKind,
    /// How its stored bytes encode it.
    pub encoding: Encoding,
    /// Where they begin in the pack's plaintext.
    pub offset: u32,
    /// How many they are.
    pub stored: u32,
    /// Length of its plaintext.
    pub plain: u32,
}

/// A pack as index segments describe it: enough to read any range of it with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRecord {
    /// Its id.
    pub id: ObjectId,
    /// What it holds.
    pub kind: PackKind,
    /// Its clear header.
    pub header: [u8; HEADER_BYTES],
    /// Bytes of the object.
    pub size: u64,
    /// SHA-256 of the object.
    pub sha256: [u8; 32],
    /// Its blobs in order.
    pub blobs: Vec<PackBlob>,
}

impl PackRecord {
    /// Its name in the store.
    #[must_use]
    pub fn store_key(&self) -> StoreKey {
        self.kind.object_kind().store_key(self.id)
    }
}

/// A pack ready for a store.
#[derive(Debug)]
pub struct SealedPack {
    /// The object.
    pub object: SealedObject,
    /// What the index will say of it.
    pub pack: PackRecord,
}

/// Fills and seals one pack.
pub struct PackBuilder {
    keys: Keys,
    id: ObjectId,
    kind: PackKind,
    sealer: Sealer,
    blobs: Vec<PackBlob>,
}

impl PackBuilder {
    /// An empty pack under a random id.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn new(keys: &Keys, kind: PackKind) -> Result<Self> {
        let id = ObjectId::new(random()?);
        Ok(Self { keys: keys.clone(), id, kind, sealer: Sealer::new(keys, kind.object_kind(), id)?, blobs: Vec::new() })
    }

    /// Adds a blob and returns its position.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a blob above [`BLOB_BYTES_MAX`], [`Error::PackFull`] when the pack can hold no more.
    pub fn push(&mut self, frame: Frame<'_>) -> Result<u32> {
        let stored = length_u32("a chunk", frame.stored.len())?;
        if frame.plain_length > BLOB_BYTES_MAX || stored > BLOB_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "a chunk",
                bytes: u64::from(frame.plain_length.max(stored)),
                bytes_max: u64::from(BLOB_BYTES_MAX),
            });
        }
        if self.stored_bytes() + u64::from(stored) + FOOTER_ENTRY_BYTES > PACK_BYTES_MAX / 8 * 7 {
            return Err(Error::PackFull);
        }
        let offset = u32::try_from(self.sealer.plain_bytes()).map_err(|_| Error::PackFull)?;
        let position = u32::try_from(self.blobs.len()).map_err(|_| Error::PackFull)?;
        self.sealer.write(frame.stored)?;
        self.blobs.push(PackBlob {
            id: frame.id,
            kind: frame.kind,
            encoding: frame.encoding,
            offset,
            stored,
            plain: frame.plain_length,
        });
        Ok(position)
    }

    /// Bytes that the pack will have, but for padding and tags.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.sealer.plain_bytes() + self.blobs.len() as u64 * FOOTER_ENTRY_BYTES
    }

    /// Blobs in it.
    #[must_use]
    pub fn blob_count(&self) -> usize {
        self.blobs.len()
    }

    /// Closes and seals the pack.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it has outgrown the format.
    pub fn finish(mut self) -> Result<SealedPack> {
        let footer_offset = length_u32("a pack", usize::try_from(self.sealer.plain_bytes()).unwrap_or(usize::MAX))?;
        for blob in &self.blobs {
            self.sealer.write(&encode_footer_entry(blob))?;
        }
        pad(&mut self.sealer, &self.keys, TRAILER_BYTES)?;
        let count = length_u32("a pack", self.blobs.len())?;
        self.sealer.write(&footer_offset.to_le_bytes())?;
        self.sealer.write(&count.to_le_bytes())?;
        self.sealer.write(&TRAILER_VERSION.to_le_bytes())?;
        self.sealer.write(&TRAILER_MAGIC)?;
        let header = *self.sealer.header();
        let object = self.sealer.finish()?;
        let pack = PackRecord {
            id: self.id,
            kind: self.kind,
            header,
            size: object.length(),
            sha256: *object.sha256(),
            blobs: self.blobs,
        };
        Ok(SealedPack { object, pack })
    }
}

fn encode_footer_entry(blob: &PackBlob) -> Vec<u8> {
    let mut line = blob.id.as_bytes().to_vec();
    line.extend_from_slice(&[blob.kind as u8, blob.encoding as u8, 0, 0]);
    for field in [blob.offset, blob.stored, blob.plain] {
        line.extend_from_slice(&field.to_le_bytes());
    }
    line
}

/// Where the footer table of a pack lies in its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackTrailer {
    /// First byte of the footer table: where the bodies end.
    pub footer_offset: u32,
    /// Blobs in the pack.
    pub blob_count: u32,
}

impl PackTrailer {
    /// Reads the last [`TRAILER_BYTES`] of a pack's plaintext of that length.
    ///
    /// # Errors
    /// [`Error::Malformed`] when they are not a trailer, or name a table that does not fit.
    pub fn decode(bytes: &[u8], plain_length: u64) -> Result<Self> {
        let mut fields = Fields::new("the trailer of a pack", bytes);
        let trailer = Self { footer_offset: fields.u32()?, blob_count: fields.u32()? };
        let version = fields.u16()?;
        if fields.array()? != TRAILER_MAGIC {
            return Err(fields.malformed("its magic is wrong"));
        }
        fields.end()?;
        if version != TRAILER_VERSION {
            return Err(Error::Unknown { what: "pack version", found: u32::from(version) });
        }
        if trailer.footer_end() + TRAILER_BYTES > plain_length {
            return Err(fields.malformed("the table does not fit into the pack"));
        }
        Ok(trailer)
    }

    /// First byte behind the footer table.
    #[must_use]
    pub fn footer_end(&self) -> u64 {
        u64::from(self.footer_offset) + u64::from(self.blob_count) * FOOTER_ENTRY_BYTES
    }

    /// Reads the footer table: the bytes from `footer_offset` to [`footer_end`](Self::footer_end).
    ///
    /// # Errors
    /// [`Error::Malformed`] unless the bodies lie back to back from 0 to the table.
    pub fn decode_footer(&self, bytes: &[u8]) -> Result<Vec<PackBlob>> {
        let mut fields = Fields::new("the footer of a pack", bytes);
        let mut next_offset = 0_u64;
        let mut blobs = Vec::new();
        for _ in 0..self.blob_count {
            let id = ChunkId::new(fields.array()?);
            let (kind, encoding) = (BlobKind::decode(fields.u8()?)?, Encoding::decode(fields.u8()?)?);
            fields.zeros(2)?;
            let blob =
                PackBlob { id, kind, encoding, offset: fields.u32()?, stored: fields.u32()?, plain: fields.u32()? };
            if u64::from(blob.offset) != next_offset || blob.stored > BLOB_BYTES_MAX || blob.plain > BLOB_BYTES_MAX {
                return Err(fields.malformed(format!("the line of chunk {id} names an impossible place")));
            }
            next_offset += u64::from(blob.stored);
            blobs.push(blob);
        }
        fields.end()?;
        if next_offset != u64::from(self.footer_offset) {
            return Err(fields.malformed("the bodies do not end where the table begins"));
        }
        Ok(blobs)
    }
}

/// Inflates and verifies one blob of a pack.
///
/// # Errors
/// [`Error::Blob`] with the cause: it does not inflate, or is not what its id names.
pub fn open_blob(
    keys: &Keys,
    pack: ObjectId,
    blob: &PackBlob,
    stored: &[u8],
    inflater: &mut Inflater,
) -> Result<Vec<u8>> {
    let verified = inflater.inflate(blob.encoding, stored, blob.plain).and_then(|plain| {
        if keys.blob_id(blob.kind, &plain) == blob.id { Ok(plain) } else { Err(Error::WrongBlob { blob: blob.id }) }
    });
    verified.map_err(|cause| Error::Blob { pack, blob: blob.id, cause: Box::new(cause) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compressor, Header, Keyring, Opener, Suite};
    use credenza_model::RepositoryId;
    use proptest::prelude::*;

    fn open(keys: &Keys, sealed: SealedPack) -> (PackRecord, Vec<u8>) {
        let mut bytes = sealed.object.into_pieces().concat();
        assert_eq!(bytes.len() as u64, sealed.pack.size);
        assert_eq!(ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref(), sealed.pack.sha256);
        let header = Header::decode(&bytes).unwrap();
        let plain = Opener::new(keys, &header, sealed.pack.kind.object_kind(), sealed.pack.id)
            .unwrap()
            .open_all(&mut bytes)
            .unwrap();
        (sealed.pack, plain)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_blob_of_a_pack_is_found_by_its_footer(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40_000), 0..30)) {
            let keys = Keyring::generate().unwrap().keys(RepositoryId::new([1; 16]), Suite::Aes256Gcm);
            let mut compressor = Compressor::new(1).unwrap();
            let mut builder = PackBuilder::new(&keys, PackKind::Data).unwrap();
            for body in &bodies {
                let (encoding, stored) = compressor.compress(body);
                builder.push(Frame { id: keys.blob_id(BlobKind::Data, body), kind: BlobKind::Data, encoding, plain_length: body.len() as u32, stored }).unwrap();
            }
            let (pack, plain) = open(&keys, builder.finish().unwrap());
            let trailer = PackTrailer::decode(&plain[plain.len() - TRAILER_BYTES as usize..], plain.len() as u64).unwrap();
            let footer = trailer.decode_footer(&plain[trailer.footer_offset as usize..trailer.footer_end() as usize]).unwrap();
            prop_assert_eq!(&footer, &pack.blobs);
            for (blob, body) in footer.iter().zip(&bodies) {
                let stored = &plain[blob.offset as usize..(blob.offset + blob.stored) as usize];
                prop_assert_eq!(&open_blob(&keys, pack.id, blob, stored, &mut Inflater::new()).unwrap(), body);
            }
        }

        #[test]
        fn a_hostile_footer_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), offset: u32, count in 0_u32..8) {
            let _ = PackTrailer { footer_offset: offset, blob_count: count }.decode_footer(&bytes);
            let _ = PackTrailer::decode(&bytes, 1000);
        }
    }

    #[test]
    fn a_blob_under_a_wrong_id_is_refused() {
        let keys = Keyring::generate().unwrap().keys(RepositoryId::new([1; 16]), Suite::Plain);
        let blob = PackBlob {
            id: keys.blob_id(BlobKind::Data, b"right"),
            kind: BlobKind::Data,
            encoding: Encoding::Raw,
            offset: 0,
            stored: 5,
            plain: 5,
        };
        assert!(open_blob(&keys, ObjectId::new([0; 16]), &blob, b"right", &mut Inflater::new()).is_ok());
        assert!(open_blob(&keys, ObjectId::new([0; 16]), &blob, b"wrong", &mut Inflater::new()).is_err());
    }
}
