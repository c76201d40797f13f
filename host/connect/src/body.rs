//! Bytes that are received: a [`Body`] comes once, in pieces. What is sent is a [`Payload`](crate::Payload).

use std::io::Read;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::{Error, ErrorClass, Result, Verifier};

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
