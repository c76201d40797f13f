//! The bodies of answers: text, the content of a file, and what is written while it goes out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use credenza_listen::{BrokenOff, Written};
use http_body::{Body, Frame, SizeHint};

use crate::entry::Bytestream;

/// A body.
pub(super) enum Sent {
    Whole(Option<Bytes>),
    Content(Bytestream),
    Written(Written),
}

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
            Self::Written(written) => Pin::new(written).poll_frame(context),
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
