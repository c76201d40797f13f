//! Bytes on their way: [`Payload`] is what is sent (whole, in memory, can be sent again), [`Body`] is what is received.

use std::io::Read;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::{Error, ErrorClass, Result, Verifier};

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

/// How the bytes of a [`Body`] are pulled.
pub enum BodyReader {
    /// Pieces as they arrive from a remote.
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>),
    /// A local reader, to be read from a thread that may block.
    Blocking(Box<dyn Read + Send>),
}

/// A local reader that is read in pieces; an error follows the bytes that came before it.
struct Local {
    reader: Box<dyn Read + Send>,
    failed: Option<std::io::Error>,
}

impl Local {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        if let Some(error) = self.failed {
            return Err(Error::from_io(error));
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            self.failed = self.reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece).err();
            (Bytes::from(piece), self)
        });
        let (piece, this) = read.await.map_err(|e| {
            let message = format!("the thread that read a file ended early: {e}");
            Error::new(ErrorClass::Internal, "file.read", message)
        })?;
        match this.failed {
            Some(error) if piece.is_empty() => Err(Error::from_io(error)),
            _ => Ok((!piece.is_empty()).then_some((piece, this))),
        }
    }
}

/// Bytes that come from a connector, once.
pub struct Body {
    /// Bytes in all, when the remote said so. The reader of a body checks it: fewer bytes are an error of class `Transient`.
    pub length: Option<u64>,
    /// The bytes.
    pub reader: BodyReader,
}

impl Body {
    /// A body of bytes in memory.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        let length = Some(bytes.len() as u64);
        let stream = futures_util::stream::iter((!bytes.is_empty()).then_some(Ok(bytes)));
        Self { length, reader: BodyReader::Stream(Box::pin(stream)) }
    }

    /// A body of pieces that arrive.
    #[must_use]
    pub fn from_stream(length: Option<u64>, stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self { length, reader: BodyReader::Stream(Box::pin(stream)) }
    }

    /// A body from a local reader.
    #[must_use]
    pub fn from_reader(length: Option<u64>, reader: impl Read + Send + 'static) -> Self {
        Self { length, reader: BodyReader::Blocking(Box::new(reader)) }
    }

    /// The bytes as a stream, whatever the reader; a blocking reader is read in pieces of 256 KiB on the blocking pool.
    #[must_use]
    pub fn into_stream(self) -> Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>> {
        match self.reader {
            BodyReader::Stream(stream) => stream,
            BodyReader::Blocking(reader) => {
                Box::pin(futures_util::stream::try_unfold(Local { reader, failed: None }, Local::next))
            }
        }
    }

    /// The same bytes, and after the last of them the error that they contradict the checksum, if they do.
    #[must_use]
    pub fn verified(self, verifier: Verifier) -> Self {
        let length = self.length;
        let pieces =
            futures_util::stream::try_unfold((self.into_stream(), verifier), |(mut stream, mut verifier)| async move {
                match stream.next().await.transpose()? {
                    Some(piece) => {
                        verifier.update(&piece);
                        Ok(Some((piece, (stream, verifier))))
                    }
                    None => verifier.finish().map(|()| None).map_err(|algorithm| Error::contradicted(&algorithm)),
                }
            });
        Self::from_stream(length, pieces)
    }

    /// Reads everything, at most `max` bytes.
    ///
    /// # Errors
    /// The connector's error; [`ErrorClass::Transient`] when fewer bytes came than announced; [`ErrorClass::Corrupt`] when more came than announced or than `max`.
    pub async fn read_all(self, max: u64) -> Result<Bytes> {
        let announced = self.length;
        let mut stream = self.into_stream();
        let mut first: Option<Bytes> = None;
        let mut whole = BytesMut::new();
        let mut total = 0_u64;
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            total += piece.len() as u64;
            if total > announced.unwrap_or(max).min(max) {
                return Err(Error::new(
                    ErrorClass::Corrupt,
                    "body.too-long",
                    format!(
                        "an answer holds more than the {} bytes that were expected",
                        announced.unwrap_or(max).min(max)
                    ),
                ));
            }
            match first.take() {
                None if whole.is_empty() => first = Some(piece),
                held => {
                    if let Some(held) = held {
                        whole.reserve(usize::try_from(announced.unwrap_or(0).min(max)).unwrap_or(0));
                        whole.extend_from_slice(&held);
                    }
                    whole.extend_from_slice(&piece);
                }
            }
        }
        if announced.is_some_and(|length| length != total) {
            return Err(Error::new(
                ErrorClass::Transient,
                "body.too-short",
                format!("an answer broke off after {total} of {} bytes", announced.unwrap_or(0)),
            ));
        }
        Ok(first.unwrap_or_else(|| whole.freeze()))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("length", &self.length).finish_non_exhaustive()
    }
}

const PIECE_BYTES: usize = 256 * 1024;

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

    #[tokio::test]
    async fn what_a_local_reader_read_comes_before_its_error() {
        struct Failing(bool);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(std::io::Error::other(Error::torn()));
                }
                buffer[..3].copy_from_slice(b"abc");
                Ok(3)
            }
        }
        let mut pieces = Body::from_reader(None, Failing(false)).into_stream();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "abc");
        assert!(pieces.next().await.unwrap().unwrap_err().is_torn());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let body = Body::from_stream(Some(4), futures_util::stream::iter([Ok(Bytes::from_static(b"ab"))]));
        assert_eq!(body.read_all(100).await.unwrap_err().class, ErrorClass::Transient);
        let body = Body::from_reader(Some(3), &b"abcd"[..]);
        assert_eq!(body.read_all(100).await.unwrap_err().class, ErrorClass::Corrupt);
        let body = Body::from_stream(
            Some(4),
            futures_util::stream::iter([Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"cd"))]),
        );
        assert_eq!(body.read_all(100).await.unwrap(), "abcd");
    }
}
