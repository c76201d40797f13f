//! A body that is written while it goes out, as fast as it is taken. Unless it is ended it breaks off, and no client takes it for whole.
//!
//! Bound: two pieces of [`PIECE_BYTES`], and one more while it is sent.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A body broke off before it was whole.
#[derive(Debug, thiserror::Error)]
#[error("an answer broke off")]
pub struct BrokenOff;

/// What becomes of a body that is written while it goes out.
enum Passed {
    Bytes(Bytes),
    /// It is whole.
    End,
}

/// The body that a [`Pen`] writes.
pub struct Written(Option<mpsc::Receiver<Passed>>);

/// Where a body is written that goes out meanwhile. Unless it is [ended](Self::end) it breaks off.
pub struct Pen {
    sender: mpsc::Sender<Passed>,
    piece: Vec<u8>,
}

/// A pen, and the body that it writes.
#[must_use]
pub fn written() -> (Pen, Written) {
    let (sender, receiver) = mpsc::channel(1);
    (Pen { sender, piece: Vec::with_capacity(PIECE_BYTES) }, Written(Some(receiver)))
}

impl Body for Written {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(receiver) = &mut self.0 else { return Poll::Ready(None) };
        let passed = std::task::ready!(receiver.poll_recv(context));
        if let Some(Passed::Bytes(bytes)) = passed {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        self.0 = None;
        Poll::Ready(if passed.is_some() { None } else { Some(Err(BrokenOff)) })
    }
}

impl Pen {
    /// Writes a text, and waits for whoever reads; false where nobody does any more.
    pub async fn put(&mut self, text: &str) -> bool {
        self.piece.extend_from_slice(text.as_bytes());
        self.piece.len() < PIECE_BYTES || self.send().await
    }

    /// Says that all is written.
    pub async fn end(mut self) {
        if self.send().await {
            let _ = self.sender.send(Passed::End).await;
        }
    }

    async fn send(&mut self) -> bool {
        if self.piece.is_empty() {
            return !self.sender.is_closed();
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES)));
        self.sender.send(Passed::Bytes(piece)).await.is_ok()
    }
}

/// For what writes without waiting; the runtime must have several threads.
impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Other tasks go on on other threads while this one waits.
        let sent = tokio::task::block_in_place(|| Handle::current().block_on(self.send()));
        if sent { Ok(()) } else { Err(io::Error::from(io::ErrorKind::BrokenPipe)) }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_is_whole_when_it_was_ended_and_breaks_off_else() {
        for is_ended in [true, false] {
            let (mut pen, body) = written();
            let bytes = vec![7; 3 * PIECE_BYTES + 5];
            let expected = bytes.clone();
            let writing = tokio::spawn(async move {
                pen.write_all(&bytes).unwrap();
                if is_ended {
                    pen.end().await;
                }
            });
            let read = body.collect().await;
            writing.await.unwrap();
            match is_ended {
                true => assert_eq!(read.unwrap().to_bytes(), expected),
                false => assert!(read.is_err()),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_writes_for_nobody_is_told() {
        let (mut pen, body) = written();
        drop(body);
        assert!(!pen.put(&"x".repeat(PIECE_BYTES)).await);
        assert!(pen.write_all(&[0; PIECE_BYTES]).is_err());
    }
}
