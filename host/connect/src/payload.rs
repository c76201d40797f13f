//! Bytes that are sent: a [`Payload`] is whole, in memory, and can be sent again.

use bytes::{Bytes, BytesMut};

/// Bytes that go to a connector: all of them in memory, in pieces, so that a failed upload can be sent again without a copy.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    pieces: Vec<Bytes>,
    length: u64,
    sha256: Option<[u8; 32]>,
}

impl Payload {
    /// A payload of the pieces in order.
    #[must_use]
    pub fn new(pieces: Vec<Bytes>) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, length, sha256: None }
    }

    /// States the SHA-256 of all bytes, when the caller has computed it already.
    #[must_use]
    pub fn with_sha256(mut self, digest: [u8; 32]) -> Self {
        self.sha256 = Some(digest);
        self
    }

    /// Bytes in all.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The pieces in order.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The SHA-256 of all bytes: the one stated, or computed now.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256.unwrap_or_else(|| {
            let mut context = ring::digest::Context::new(&ring::digest::SHA256);
            self.pieces.iter().for_each(|piece| context.update(piece));
            let mut out = [0; 32];
            out.copy_from_slice(context.finish().as_ref());
            out
        })
    }

    /// The bytes from `offset`, `length` of them or fewer at the end, without copying.
    #[must_use]
    pub fn slice(&self, offset: u64, length: u64) -> Self {
        let mut pieces = Vec::new();
        let (mut skip, mut left) = (offset, length);
        for piece in &self.pieces {
            let size = piece.len() as u64;
            if skip >= size {
                skip -= size;
                continue;
            }
            let take = left.min(size - skip);
            if take == 0 {
                break;
            }
            let start = usize::try_from(skip).unwrap_or(usize::MAX);
            let end = usize::try_from(skip + take).unwrap_or(usize::MAX);
            pieces.push(piece.slice(start..end));
            left -= take;
            skip = 0;
        }
        Self::new(pieces)
    }

    /// All bytes in one piece; copies unless there is just one.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => {
                let mut whole = BytesMut::with_capacity(usize::try_from(self.length).unwrap_or(0));
                many.iter().for_each(|piece| whole.extend_from_slice(piece));
                whole.freeze()
            }
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::new(vec![bytes])
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_of_a_payload_holds_exactly_those_bytes() {
        let payload = Payload::new(vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defg")]);
        for offset in 0..9_usize {
            for length in 0..9_usize {
                let expected: Vec<u8> = b"abcdefg".iter().copied().skip(offset).take(length).collect();
                assert_eq!(payload.slice(offset as u64, length as u64).to_bytes(), expected);
            }
        }
    }
}
