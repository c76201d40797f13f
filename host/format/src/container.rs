//! The one sealed object: a clear header and a stream of authenticated segments.
//!
//! Owned here: the header, the geometry of segments, sealing and opening. Refused here: what the plaintext means (`pack`,
//! `document`). Called by those two, and by the engine to open ranges.
//!
//! Bound: an object is sealed in pieces of some 1 MiB, in place; the whole sealed object stays in memory until it is sent.

use std::ops::Range;

use bytes::Bytes;
use credenza_model::limits::{PACK_BYTES_MAX, SEGMENT_BYTES};
use credenza_model::{ObjectId, RepositoryId, StoreKey};

use crate::keys::{commitment, random};
use crate::suite::SegmentCipher;
use crate::wire::Fields;
use crate::{Error, Keys, ObjectKind, Result, Suite, TAG_BYTES};

/// Length of the clear header.
pub const HEADER_BYTES: usize = 128;
/// Length of a full sealed segment.
pub const SEGMENT_SEALED_BYTES: u64 = (SEGMENT_BYTES + TAG_BYTES) as u64;
/// The format that this program writes.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"CREDENZA";
const SEGMENT_BYTES_LOG2: u8 = 16;
/// Sealed segments gathered in one piece of memory.
const SEGMENTS_PER_PIECE: usize = 16;

const _: () = assert!(SEGMENT_BYTES == 1 << SEGMENT_BYTES_LOG2);
const _: () = assert!(PACK_BYTES_MAX / (SEGMENT_BYTES as u64) < u32::MAX as u64);

/// How the key of an object is found.
const KEYING_EPOCH: u8 = 0;
/// Laid out for writers that cannot read: the salt is an ephemeral X25519 public key.
const KEYING_RECIPIENT: u8 = 1;

/// The clear beginning of a sealed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub(crate) suite: Suite,
    pub(crate) kind: ObjectKind,
    pub(crate) repository: RepositoryId,
    pub(crate) object: ObjectId,
    pub(crate) epoch: u32,
    pub(crate) salt: [u8; 32],
    pub(crate) commitment: [u8; 32],
}

impl Header {
    /// Reads a header; more bytes may follow.
    ///
    /// # Errors
    /// [`Error::NotAnObject`], [`Error::Unknown`] and [`Error::Unsupported`] for what this program cannot read.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(Error::NotAnObject)?;
        let mut fields = Fields::new("the header of an object", bytes);
        if fields.array()? != MAGIC {
            return Err(Error::NotAnObject);
        }
        let version = fields.u16()?;
        if version != FORMAT_VERSION {
            return Err(Error::Unknown { what: "format version", found: u32::from(version) });
        }
        let suite = Suite::decode(fields.u8()?)?;
        let kind = ObjectKind::decode(fields.u8()?)?;
        match (fields.u8()?, fields.u8()?) {
            (SEGMENT_BYTES_LOG2, KEYING_EPOCH) => {}
            (SEGMENT_BYTES_LOG2, KEYING_RECIPIENT) => {
                return Err(Error::Unsupported { what: "an object sealed to a recipient" });
            }
            (SEGMENT_BYTES_LOG2, other) => return Err(Error::Unknown { what: "keying", found: u32::from(other) }),
            (other, _) => return Err(Error::Unknown { what: "segment size 2^", found: u32::from(other) }),
        }
        fields.zeros(2)?;
        let repository = RepositoryId::new(fields.array()?);
        let object = ObjectId::new(fields.array()?);
        let epoch = fields.u32()?;
        fields.zeros(4)?;
        let salt = fields.array()?;
        let commitment = fields.array()?;
        fields.zeros(8)?;
        Ok(Self { suite, kind, repository, object, epoch, salt, commitment })
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[self.suite as u8, self.kind as u8, SEGMENT_BYTES_LOG2, KEYING_EPOCH, 0, 0]);
        out.extend_from_slice(self.repository.as_bytes());
        out.extend_from_slice(self.object.as_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.commitment);
        let mut header = [0; HEADER_BYTES];
        header.iter_mut().zip(out).for_each(|(to, from)| *to = from);
        header
    }
}

/// An object ready for a store. Only sealing makes one.
#[derive(Debug, Clone)]
pub struct SealedObject {
    key: StoreKey,
    pieces: Vec<Bytes>,
    length: u64,
    sha256: [u8; 32],
}

impl SealedObject {
    /// Its name in the store.
    #[must_use]
    pub fn key(&self) -> &StoreKey {
        &self.key
    }

    /// Bytes in all.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of all bytes, which `audit` compares without a key.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The bytes, in order, given away.
    #[must_use]
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }
}

/// Takes plaintext and seals each segment as it is full.
pub(crate) struct Sealer {
    header: [u8; HEADER_BYTES],
    key: StoreKey,
    cipher: SegmentCipher,
    /// The piece being filled: sealed segments, then the plaintext of the one not yet full.
    piece: Vec<u8>,
    open_from: usize,
    next_index: u32,
    plain_bytes: u64,
    pieces: Vec<Bytes>,
    digest: ring::digest::Context,
}

impl Sealer {
    pub(crate) fn new(keys: &Keys, kind: ObjectKind, object: ObjectId) -> Result<Self> {
        Self::with_salt(keys, kind, object, random()?)
    }

    pub(crate) fn with_salt(keys: &Keys, kind: ObjectKind, object: ObjectId, salt: [u8; 32]) -> Result<Self> {
        let epoch = keys.current_epoch();
        let object_key = keys.object_key(kind, epoch, object, &salt)?;
        let header = Header {
            suite: keys.suite(),
            kind,
            repository: keys.repository(),
            object,
            epoch,
            salt,
            commitment: commitment(&object_key),
        }
        .encode();
        let cipher = SegmentCipher::new(keys.suite(), &object_key, *blake3::hash(&header).as_bytes())?;
        Ok(Self {
            header,
            key: kind.store_key(object),
            cipher,
            piece: header.to_vec(),
            open_from: HEADER_BYTES,
            next_index: 0,
            plain_bytes: 0,
            pieces: Vec::new(),
            digest: ring::digest::Context::new(&ring::digest::SHA256),
        })
    }

    pub(crate) fn header(&self) -> &[u8; HEADER_BYTES] {
        &self.header
    }

    /// Plaintext bytes taken so far.
    pub(crate) fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    pub(crate) fn write(&mut self, mut plain: &[u8]) -> Result<()> {
        self.plain_bytes += plain.len() as u64;
        while !plain.is_empty() {
            // A full segment is sealed only when more follows, because the last one is sealed differently.
            if self.open_bytes() == SEGMENT_BYTES {
                self.seal_segment(false)?;
            }
            let (now, later) = plain.split_at(plain.len().min(SEGMENT_BYTES - self.open_bytes()));
            self.piece.extend_from_slice(now);
            plain = later;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<SealedObject> {
        self.seal_segment(true)?;
        self.close_piece();
        let length = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.digest.finish().as_ref());
        Ok(SealedObject { key: self.key, pieces: self.pieces, length, sha256 })
    }

    fn open_bytes(&self) -> usize {
        self.piece.len() - self.open_from
    }

    fn seal_segment(&mut self, last: bool) -> Result<()> {
        let segment = self.piece.get_mut(self.open_from..).unwrap_or_default();
        let tag = self.cipher.seal(self.next_index, last, segment)?;
        self.piece.extend_from_slice(&tag);
        self.open_from = self.piece.len();
        self.next_index = self.next_index.checked_add(1).ok_or(Error::PackFull)?;
        if self.piece.len() >= SEGMENTS_PER_PIECE * (SEGMENT_BYTES + TAG_BYTES) {
            self.close_piece();
        }
        Ok(())
    }

    fn close_piece(&mut self) {
        let sealed = std::mem::replace(
            &mut self.piece,
            Vec::with_capacity(HEADER_BYTES + SEGMENTS_PER_PIECE * (SEGMENT_BYTES + TAG_BYTES)),
        );
        self.digest.update(&sealed);
        self.open_from = 0;
        if !sealed.is_empty() {
            self.pieces.push(Bytes::from(sealed));
        }
    }
}

/// Opens segments of one object.
pub struct Opener {
    cipher: SegmentCipher,
    object: ObjectId,
}

impl Opener {
    /// Checks that a header belongs to the object expected and that these keys sealed it.
    ///
    /// # Errors
    /// One error per way in which it does not.
    pub fn new(keys: &Keys, header: &Header, kind: ObjectKind, object: ObjectId) -> Result<Self> {
        if header.repository != keys.repository() {
            return Err(Error::WrongRepository { expected: keys.repository(), found: header.repository });
        }
        if header.kind != kind {
            return Err(Error::WrongKind { expected: kind, found: header.kind });
        }
        if header.object != object {
            return Err(Error::WrongObject { expected: object, found: header.object });
        }
        // A repository has one suite of either kind: an object in plain text has no place among encrypted ones.
        if header.suite.encrypts() != keys.suite().encrypts() {
            return Err(Error::ForeignKey { object });
        }
        let object_key = keys.object_key(kind, header.epoch, object, &header.salt)?;
        // `blake3::Hash` compares in constant time.
        if blake3::Hash::from_bytes(commitment(&object_key)) != blake3::Hash::from_bytes(header.commitment) {
            return Err(Error::ForeignKey { object });
        }
        let cipher = SegmentCipher::new(header.suite, &object_key, *blake3::hash(&header.encode()).as_bytes())?;
        Ok(Self { cipher, object })
    }

    /// Opens one segment in place and returns its plaintext.
    ///
    /// # Errors
    /// [`Error::Unauthentic`] when a bit of it, its place or its object is not what was sealed.
    pub fn open_segment<'a>(&self, index: u32, last: bool, sealed: &'a mut [u8]) -> Result<&'a mut [u8]> {
        self.cipher.open(index, last, sealed).ok_or(Error::Unauthentic { object: self.object, segment: index })
    }

    /// Opens a whole object in place, header included, and returns its plaintext.
    pub(crate) fn open_all(&self, object: &mut [u8]) -> Result<Vec<u8>> {
        let object_bytes = object.len() as u64;
        let geometry = Geometry::of(object_bytes)?;
        let mut plain = Vec::with_capacity(object.len());
        let segments = object.get_mut(HEADER_BYTES..).unwrap_or_default().chunks_mut(SEGMENT_BYTES + TAG_BYTES);
        for (index, segment) in (0..).zip(segments) {
            plain.extend_from_slice(self.open_segment(index, index == geometry.last_segment, segment)?);
        }
        Ok(plain)
    }
}

/// Where the segments of an object lie.
struct Geometry {
    last_segment: u32,
    plain_bytes: u64,
}

impl Geometry {
    fn of(object_bytes: u64) -> Result<Self> {
        let wrong = || Error::Geometry { object_bytes, wanted: "whole segments".to_owned() };
        let sealed = object_bytes
            .checked_sub(HEADER_BYTES as u64)
            .filter(|bytes| *bytes >= TAG_BYTES as u64)
            .ok_or_else(wrong)?;
        let segments = sealed.div_ceil(SEGMENT_SEALED_BYTES);
        let last_bytes = sealed - (segments - 1) * SEGMENT_SEALED_BYTES;
        if last_bytes < TAG_BYTES as u64 || object_bytes > PACK_BYTES_MAX {
            return Err(wrong());
        }
        let last_segment = u32::try_from(segments - 1).map_err(|_| wrong())?;
        Ok(Self { last_segment, plain_bytes: sealed - segments * TAG_BYTES as u64 })
    }
}

/// Length of the plaintext in an object of that size.
///
/// # Errors
/// [`Error::Geometry`] when no object has that size.
pub fn plain_length(object_bytes: u64) -> Result<u64> {
    Geometry::of(object_bytes).map(|geometry| geometry.plain_bytes)
}

/// The segments that hold a range of plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSpan {
    /// The first of them.
    pub first_segment: u32,
    /// The last segment of the whole object, which is sealed as such.
    pub last_segment_of_object: u32,
    /// Where they lie in the object.
    pub object_range: Range<u64>,
}

/// Finds the segments that hold `length` bytes of plaintext from `offset` in an object of that size.
///
/// # Errors
/// [`Error::Geometry`] when the range does not lie within the object.
pub fn sealed_span(offset: u64, length: u64, object_bytes: u64) -> Result<SegmentSpan> {
    let geometry = Geometry::of(object_bytes)?;
    let outside = || Error::Geometry { object_bytes, wanted: format!("{length} bytes of plaintext at {offset}") };
    let end =
        offset.checked_add(length).filter(|end| *end <= geometry.plain_bytes && length > 0).ok_or_else(outside)?;
    let segment_bytes = SEGMENT_BYTES as u64;
    let (first, last) = (offset / segment_bytes, (end - 1) / segment_bytes);
    let place = |segment: u64| HEADER_BYTES as u64 + segment * SEGMENT_SEALED_BYTES;
    Ok(SegmentSpan {
        first_segment: u32::try_from(first).map_err(|_| outside())?,
        last_segment_of_object: geometry.last_segment,
        object_range: place(first)..place(last + 1).min(object_bytes),
    })
}
