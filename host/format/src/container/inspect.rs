//! What of an object can be verified without a key: its shape, its checksum, and the signature of its statement.
//!
//! Called piece by piece by audits, whole by readers of documents. Memory: the clear ends of the object, never its segments.

use ring::digest;

use super::geometry::{CHECKSUM_BYTES, HEADER_BYTES, STATEMENT_BYTES, plain_length};
use super::{Header, Statement};
use crate::{Digest, Error, Hex, Result};

/// An object of which everything holds that can be verified without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What it says that it is.
    pub header: Header,
    /// What it states in the clear, with its signature verified.
    pub statement: Option<Statement>,
    /// SHA-256 of all its bytes: what the chain of snapshots refers to.
    pub sha256: Digest,
}

/// Verifies an object as its bytes come by, in any pieces.
pub struct Inspector {
    size: u64,
    seen: u64,
    /// More bytes came than the object has.
    excess: bool,
    head: Vec<u8>,
    header: Option<Result<Header>>,
    tail: Vec<u8>,
    checksum: blake3::Hasher,
    sha256: digest::Context,
    /// Of the segments, which only a statement needs.
    segments: Option<digest::Context>,
}

impl Inspector {
    /// An inspector for an object of that size.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self {
            size,
            seen: 0,
            excess: false,
            head: Vec::with_capacity(HEADER_BYTES),
            header: None,
            tail: Vec::with_capacity(STATEMENT_BYTES + CHECKSUM_BYTES),
            checksum: blake3::Hasher::new(),
            sha256: digest::Context::new(&digest::SHA256),
            segments: None,
        }
    }

    /// Takes the next bytes of the object.
    pub fn update(&mut self, piece: &[u8]) {
        let (piece, excess) = self.split(piece, self.size);
        self.excess |= !excess.is_empty();
        self.sha256.update(piece);
        let (before, checksum) = self.split(piece, self.size.saturating_sub(CHECKSUM_BYTES as u64));
        self.checksum.update(before);
        let rest = self.take_header(before);
        let (segments, statement) = self.split(rest, self.statement_at());
        if let Some(digest) = &mut self.segments {
            digest.update(segments);
        }
        self.tail.extend(statement);
        self.tail.extend(checksum);
        self.seen += (segments.len() + statement.len() + checksum.len()) as u64;
    }

    /// The verdict, after the last byte.
    ///
    /// # Errors
    /// [`Error::Geometry`] when bytes are missing or too many, [`Error::Checksum`] when one was changed, the errors of
    /// [`Header::decode`], [`Error::BadSignature`] and [`Error::Malformed`] when the statement is false.
    pub fn finish(self) -> Result<Inspected> {
        let wanted = || format!("end after {} bytes", self.seen);
        if self.excess || self.seen != self.size || self.size < (HEADER_BYTES + CHECKSUM_BYTES) as u64 {
            return Err(Error::Geometry { object_bytes: self.size, wanted: wanted() });
        }
        let (statement, checksum) = self.tail.split_at(self.tail.len().saturating_sub(CHECKSUM_BYTES));
        if self.checksum.finalize().as_bytes() != checksum {
            return Err(Error::Checksum);
        }
        let header = self.header.unwrap_or(Err(Error::NotAnObject))?;
        let statement = self.segments.map(|segments| verified(statement, &header, segments)).transpose()?;
        Ok(Inspected { header, statement, sha256: sha256(self.sha256) })
    }

    /// Takes what belongs to the header and returns what is behind it.
    fn take_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.head.len()));
        self.head.extend(now);
        self.seen += now.len() as u64;
        if self.header.is_none() && self.head.len() == HEADER_BYTES {
            let header = self.decode_header();
            let stated = header.as_ref().is_ok_and(|header| header.statement_bytes() > 0);
            self.segments = stated.then(|| digest::Context::new(&digest::SHA256));
            self.header = Some(header);
        }
        rest
    }

    /// The header, when the object has a size that such a one can have.
    fn decode_header(&self) -> Result<Header> {
        let header = Header::decode(&self.head)?;
        plain_length(self.size.saturating_sub(u64::from(header.statement_bytes())))?;
        Ok(header)
    }

    fn statement_at(&self) -> u64 {
        let header = self.header.as_ref().and_then(|header| header.as_ref().ok());
        let statement_bytes = header.map_or(0, Header::statement_bytes);
        self.size.saturating_sub(u64::from(statement_bytes) + CHECKSUM_BYTES as u64)
    }

    /// Cuts bytes that come next in the object at one of its offsets.
    fn split<'a>(&self, bytes: &'a [u8], offset: u64) -> (&'a [u8], &'a [u8]) {
        let left = usize::try_from(offset.saturating_sub(self.seen)).unwrap_or(usize::MAX);
        bytes.split_at(left.min(bytes.len()))
    }
}

/// Inspects an object that is in memory.
pub(crate) fn inspect(object: &[u8]) -> Result<Inspected> {
    let mut inspector = Inspector::new(object.len() as u64);
    inspector.update(object);
    inspector.finish()
}

/// Verifies the checksum of an object that is in memory.
pub(crate) fn check_sum(object: &[u8]) -> Result<()> {
    let split = object.split_last_chunk::<CHECKSUM_BYTES>();
    let fits = split.is_some_and(|(before, checksum)| blake3::hash(before).as_bytes() == checksum);
    if fits { Ok(()) } else { Err(Error::Checksum) }
}

fn verified(statement: &[u8], header: &Header, segments: digest::Context) -> Result<Statement> {
    let statement = Statement::decode(statement)?;
    statement.verify(header.bytes(), &sha256(segments).0)?;
    Ok(statement)
}

fn sha256(context: digest::Context) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Hex(out)
}
