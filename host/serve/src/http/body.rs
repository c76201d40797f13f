//! The bodies of answers: text, the content of a file, and what is written while it goes out.
//!
//! Bound: [`PIECE_BYTES`] of what is written, and two pieces on their way.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::entry::Bytestream;

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A body.
pub(super) enum Sent {
    Whole(Option<Bytes>),
    Content(Bytestream),
    Written(mpsc::Receiver<Passed>),
}

/// What becomes of a body that is written while it goes out.
pub(super) enum Passed {
    Bytes(Bytes),
    /// It is whole.
    End,
}

/// A body ends before it is whole, and no client takes it for that.
#[derive(Debug, thiserror::Error)]
#[error("an answer broke off")]
pub(super) struct BrokenOff;

impl Sent {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Whole(Some(Bytes::from(text.into())))
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Content(content) => Pin::new(content).poll_frame(context).map_err(|_| BrokenOff),
            Self::Written(receiver) => {
                let passed = std::task::ready!(receiver.poll_recv(context));
                Poll::Ready(match passed {
                    Some(Passed::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
                    Some(Passed::End) => {
                        *self = Self::Whole(None);
                        None
                    }
                    None => {
                        *self = Self::Whole(None);
                        Some(Err(BrokenOff))
                    }
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Content(content) => content.is_end_stream(),
            Self::Written(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Content(content) => content.size_hint(),
            Self::Written(_) => SizeHint::default(),
        }
    }
}

/// Where a body is written that goes out meanwhile. Unless it is [ended](Self::end) it breaks off.
pub(super) struct Pen {
    sender: mpsc::Sender<Passed>,
    piece: Vec<u8>,
}

/// A pen, and the body that it writes.
pub(super) fn written() -> (Pen, Sent) {
    let (sender, receiver) = mpsc::channel(1);
    (Pen { sender, piece: Vec::with_capacity(PIECE_BYTES) }, Sent::Written(receiver))
}

impl Pen {
    /// Writes a text, and waits for whoever reads; false where nobody does any more.
    pub(super) async fn put(&mut self, text: &str) -> bool {
        self.piece.extend_from_slice(text.as_bytes());
        self.piece.len() < PIECE_BYTES || self.send().await
    }

    /// Says that all is written.
    pub(super) async fn end(mut self) {
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
