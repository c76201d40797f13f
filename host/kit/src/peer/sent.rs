//! An answer on its way: in pieces, and not always all of them.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Frame, SizeHint};

use crate::exchange::Answer;

/// What reaches the connector.
pub(crate) enum Delivery {
    /// The end of the connection.
    Nothing,
    Answer(Outgoing),
}

/// An answer, and how it is sent.
pub(crate) struct Outgoing {
    answer: Answer,
    /// Bytes of a piece; none sends it at once.
    piece: Option<usize>,
    /// The connection ends before what was promised has come.
    breaks_off: bool,
}

impl Outgoing {
    pub(crate) const fn new(answer: Answer) -> Self {
        Self { answer, piece: None, breaks_off: false }
    }

    pub(crate) fn in_pieces(self, bytes: usize) -> Self {
        Self { piece: Some(bytes.max(1)), ..self }
    }

    /// Promises so many bytes, and ends the connection after those that there are.
    pub(crate) fn promising(self, length: usize) -> Self {
        Self { answer: self.answer.with("content-length", &length.to_string()), breaks_off: true, ..self }
    }

    pub(crate) fn into_response(self) -> Response<Sent> {
        let Self { answer, piece, breaks_off } = self;
        let size = piece.unwrap_or(usize::MAX);
        let mut rest = answer.body;
        let mut pieces = VecDeque::new();
        while !rest.is_empty() {
            pieces.push_back(rest.split_to(size.min(rest.len())));
        }
        let mut response = Response::new(Sent { pieces, breaks_off, rests: false });
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    }
}

impl From<Answer> for Delivery {
    fn from(answer: Answer) -> Self {
        Self::Answer(Outgoing::new(answer))
    }
}

/// The bytes of an answer.
pub(crate) struct Sent {
    pieces: VecDeque<Bytes>,
    breaks_off: bool,
    /// A piece was given, and is to be on the wire before the next.
    rests: bool,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.pieces.pop_front() {
            Some(piece) => {
                self.rests = self.breaks_off || !self.pieces.is_empty();
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.breaks_off => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.breaks_off
    }

    fn size_hint(&self) -> SizeHint {
        if self.breaks_off {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum())
    }
}
