//! Bodies on the wire: [`OutBody`] is sent in slices and counts them, [`RemoteBody`] is received under an idle time-out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use credenza_connect::{Body, Error, ErrorClass, Payload, Result};
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::Traffic;
use crate::settings::SecretText;

/// Slices are small enough that each one is progress on a slow line.
const SLICE_BYTES: usize = 256 * 1024;

/// A payload on its way out.
pub(crate) struct OutBody {
    pieces: std::vec::IntoIter<Bytes>,
    current: Bytes,
    remaining: u64,
    /// Bytes handed to the connection, for the idle time-out.
    progress: Arc<AtomicU64>,
    traffic: Arc<Traffic>,
}

impl OutBody {
    pub(crate) fn new(payload: &Payload, progress: Arc<AtomicU64>, traffic: Arc<Traffic>) -> Self {
        let pieces = payload.pieces().to_vec().into_iter();
        Self { pieces, current: Bytes::new(), remaining: payload.length(), progress, traffic }
    }
}

impl http_body::Body for OutBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        while self.current.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.current = piece,
                None => return Poll::Ready(None),
            }
        }
        let length = self.current.len().min(SLICE_BYTES);
        let slice = self.current.split_to(length);
        self.remaining = self.remaining.saturating_sub(length as u64);
        self.progress.fetch_add(length as u64, Relaxed);
        self.traffic.count_sent(length);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// A body on its way in.
pub(crate) struct RemoteBody {
    /// What `content-length` says, when the answer has such a header and a body.
    pub(crate) length: Option<u64>,
    incoming: Incoming,
    idle_timeout: Duration,
    traffic: Arc<Traffic>,
    /// For messages: `GET host`.
    peer: Arc<str>,
    /// What proved who sent the request: an answer may repeat it.
    pub(crate) proof: Option<SecretText>,
}

impl std::fmt::Debug for RemoteBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteBody").field("length", &self.length).finish_non_exhaustive()
    }
}

impl RemoteBody {
    pub(crate) fn new(incoming: Incoming, idle_timeout: Duration, traffic: Arc<Traffic>, peer: Arc<str>) -> Self {
        let length = http_body::Body::size_hint(&incoming).exact();
        Self { length, incoming, idle_timeout, traffic, peer, proof: None }
    }

    /// The next piece; `None` is the end. Fewer bytes than announced are an error, which hyper notices.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(self.idle_timeout, self.incoming.frame()).await.map_err(|_| {
                let seconds = self.idle_timeout.as_secs();
                let message = format!("{}: the answer stood still for {seconds} s", self.peer);
                Error::new(ErrorClass::Transient, "http.idle", message)
            })?;
            let frame = frame.transpose().map_err(|e| {
                let message = format!("{}: the answer broke off: {}", self.peer, super::fault::causes(&e));
                Error::new(ErrorClass::Transient, "http.interrupted", message)
            })?;
            match frame.map(Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    self.traffic.count_received(data.len());
                    return Ok(Some(data));
                }
                Some(Err(_trailers)) => {}
            }
        }
    }

    /// The rest as a body for the engine, with the bytes that were read already put back in front.
    pub(crate) fn into_body(self, unread: Bytes) -> Body {
        let length = self.length;
        let first = (!unread.is_empty()).then_some(unread);
        Body::from_stream(length, self.into_stream(first))
    }

    fn into_stream(self, first: Option<Bytes>) -> impl Stream<Item = Result<Bytes>> + Send {
        futures_util::stream::try_unfold((self, first), |(mut body, first)| async move {
            let piece = match first {
                Some(first) => Some(first),
                None => body.next().await?,
            };
            Ok(piece.map(|piece| (piece, (body, None))))
        })
    }
}
