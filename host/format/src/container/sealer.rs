//! Sealing: plaintext streams in, each full segment is encrypted where it lies, and the object comes out in pieces.

use bytes::Bytes;
use credenza_model::limits::{BLOB_BYTES_MAX, DATA_PACK_BYTES, SEGMENT_BYTES};
use credenza_model::{ObjectId, StoreKey};
use ring::digest;

use super::{CHECKSUM_BYTES, ChainLink, HEADER_BYTES, Header, STATEMENT_BYTES, Statement};
use crate::suite::{SegmentCipher, TAG_BYTES};
use crate::{Keys, ObjectKind, Result, SigningKey, keys};

const SEALED_SEGMENT_BYTES: usize = SEGMENT_BYTES + TAG_BYTES;
/// Segments of one piece: a pack is one piece. What is freed goes back to the system at once only if it was larger than 32 MiB (glibc,
/// mallopt(3), M_MMAP_THRESHOLD); smaller pieces pile up in the heaps of its threads. What of a piece is not written takes no memory.
const PIECE_SEGMENTS: usize = 640;
/// Room for what follows the last segment.
const END_BYTES: usize = STATEMENT_BYTES + CHECKSUM_BYTES;

const _: () = assert!((PIECE_SEGMENTS * SEGMENT_BYTES) as u64 >= DATA_PACK_BYTES + BLOB_BYTES_MAX as u64);

/// An object ready for the store. Only sealing makes one.
#[derive(Debug, Clone)]
pub struct SealedObject {
    key: StoreKey,
    id: ObjectId,
    pieces: Vec<Bytes>,
    length: u64,
    sha256: [u8; 32],
}

impl SealedObject {
    /// Where it is to be kept.
    #[must_use]
    pub fn key(&self) -> &StoreKey {
        &self.key
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// Its bytes, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Its bytes, in order, given away.
    #[must_use]
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    /// Bytes in all.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of all its bytes, for the store and for audits without a key.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }
}

/// Seals one object.
///
/// Memory: the sealed bytes so far and nothing beside them; plaintext is copied once, into the piece in which it is encrypted.
pub(crate) struct Sealer {
    header: Header,
    cipher: SegmentCipher,
    pieces: Vec<Bytes>,
    piece: Vec<u8>,
    piece_bytes: usize,
    /// Where the open segment begins in `piece`.
    open_at: usize,
    next_segment: u32,
    plain_bytes: u64,
    length: u64,
    sha256: digest::Context,
    checksum: blake3::Hasher,
}

impl Sealer {
    /// A sealer for an object of some `plain_bytes_hint` bytes of plaintext, with a random salt.
    pub(crate) fn new(keys: &Keys, kind: ObjectKind, id: ObjectId, plain_bytes_hint: usize) -> Result<Self> {
        Self::with_salt(keys, kind, id, plain_bytes_hint, keys::random()?)
    }

    /// A sealer with a given salt. A salt must never serve twice with one id and two plaintexts: only test vectors choose it.
    pub(crate) fn with_salt(
        keys: &Keys,
        kind: ObjectKind,
        id: ObjectId,
        plain_bytes_hint: usize,
        salt: [u8; 32],
    ) -> Result<Self> {
        let (header, key) = Header::create(keys, kind, id, salt)?;
        let cipher = SegmentCipher::new(keys.suite(), &key, header.hash())?;
        let hint = plain_bytes_hint.saturating_add(TAG_BYTES * PIECE_SEGMENTS);
        let piece_bytes = HEADER_BYTES + hint.min(PIECE_SEGMENTS * SEALED_SEGMENT_BYTES) + END_BYTES;
        let mut piece = Vec::with_capacity(piece_bytes);
        piece.extend(header.bytes());
        let mut sealer = Self {
            header,
            cipher,
            pieces: Vec::new(),
            piece,
            piece_bytes,
            open_at: HEADER_BYTES,
            next_segment: 0,
            plain_bytes: 0,
            length: 0,
            sha256: digest::Context::new(&digest::SHA256),
            checksum: blake3::Hasher::new(),
        };
        sealer.count(HEADER_BYTES);
        Ok(sealer)
    }

    /// The same in memory that something else had, if it is large enough: fresh memory costs a page fault for every 4 KiB.
    pub(crate) fn within(mut self, mut memory: Vec<u8>) -> Self {
        if memory.capacity() >= self.piece_bytes {
            memory.clear();
            memory.extend_from_slice(&self.piece);
            self.piece = memory;
        }
        self
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Plaintext written so far.
    pub(crate) fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// Appends plaintext. A full segment stays open until more follows, because the last one is sealed as such.
    pub(crate) fn write(&mut self, mut plain: &[u8]) -> Result<()> {
        self.plain_bytes += plain.len() as u64;
        while !plain.is_empty() {
            if self.piece.len() - self.open_at == SEGMENT_BYTES {
                self.seal_segment(false)?;
                self.start_piece_when_full();
            }
            let room = SEGMENT_BYTES - (self.piece.len() - self.open_at);
            let (now, later) = plain.split_at(room.min(plain.len()));
            self.piece.extend_from_slice(now);
            plain = later;
        }
        Ok(())
    }

    /// Seals what is open as the last segment. At least one byte must have been written.
    pub(crate) fn finish(mut self) -> Result<SealedObject> {
        self.seal_segment(true)?;
        Ok(self.close())
    }

    /// Seals what is open as the last segment and states the place in the writer's chain behind it.
    pub(crate) fn finish_stated(mut self, link: ChainLink, signing_key: Option<&SigningKey>) -> Result<SealedObject> {
        self.seal_segment(true)?;
        let statement = Statement::new(link, signing_key, self.header.bytes(), &self.segments_sha256());
        self.append(&statement.encode());
        Ok(self.close())
    }

    fn segments_sha256(&self) -> [u8; 32] {
        let mut segments = digest::Context::new(&digest::SHA256);
        let mut skip = HEADER_BYTES;
        for piece in self.pieces.iter().map(|piece| &**piece).chain([self.piece.as_slice()]) {
            segments.update(piece.get(skip..).unwrap_or_default());
            skip = 0;
        }
        sha256_of(segments)
    }

    fn close(mut self) -> SealedObject {
        let checksum = self.checksum.finalize();
        self.append(checksum.as_bytes());
        self.pieces.push(Bytes::from(self.piece));
        let (kind, id) = (self.header.kind(), self.header.object());
        let sha256 = sha256_of(self.sha256);
        SealedObject { key: kind.store_key(id), id, pieces: self.pieces, length: self.length, sha256 }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.piece.extend(bytes);
        self.count(bytes.len());
    }

    /// Takes the last bytes of the piece into the object's length and digests.
    fn count(&mut self, bytes: usize) {
        let counted = self.piece.split_at(self.piece.len().saturating_sub(bytes)).1;
        self.sha256.update(counted);
        self.checksum.update(counted);
        self.length += counted.len() as u64;
    }

    fn seal_segment(&mut self, last: bool) -> Result<()> {
        let (_, segment) = self.piece.split_at_mut(self.open_at);
        let tag = self.cipher.seal(self.next_segment, last, segment)?;
        let sealed_bytes = segment.len() + TAG_BYTES;
        self.piece.extend(tag);
        self.count(sealed_bytes);
        self.open_at = self.piece.len();
        self.next_segment += 1;
        Ok(())
    }

    fn start_piece_when_full(&mut self) {
        if self.piece.len() + SEALED_SEGMENT_BYTES > self.piece_bytes {
            let full = std::mem::replace(&mut self.piece, Vec::with_capacity(self.piece_bytes));
            self.pieces.push(Bytes::from(full));
            self.open_at = 0;
        }
    }
}

fn sha256_of(context: digest::Context) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    sha256
}
