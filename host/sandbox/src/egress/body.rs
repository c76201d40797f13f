//! Bodies on the wire: [`OutBody`] is sent in slices and counts them, [`RemoteBody`] is received under an idle time-out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use credenza_connect::{Body, Error, ErrorClass, Payload, Rate, Result};
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Sleep;

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
    rate: Rate,
    /// Waits until the next slice may go.
    turn: Option<Pin<Box<Sleep>>>,
}

impl OutBody {
    pub(crate) fn new(payload: &Payload, progress: Arc<AtomicU64>, traffic: Arc<Traffic>, rate: Rate) -> Self {
        let pieces = payload.pieces().to_vec().into_iter();
        Self { pieces, current: Bytes::new(), remaining: payload.length(), progress, traffic, rate, turn: None }
    }

    /// Whether a slice of so many bytes may go; it is asked for the same one until it may.
    fn poll_turn(&mut self, length: usize, context: &mut Context<'_>) -> Poll<()> {
        if self.turn.is_none() {
            let Some(turn) = self.rate.turn(length as u64) else { return Poll::Ready(()) };
            self.turn = Some(Box::pin(tokio::time::sleep_until(turn)));
        }
        if let Some(turn) = &mut self.turn {
            ready!(turn.as_mut().poll(context));
        }
        self.turn = None;
        Poll::Ready(())
    }
}

impl http_body::Body for OutBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        while self.current.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.current = piece,
                None => return Poll::Ready(None),
            }
        }
        let length = self.current.len().min(self.rate.piece_bytes(SLICE_BYTES));
        ready!(self.poll_turn(length, context));
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
    rate: Rate,
    /// What proved who sent the request: an answer may repeat it.
    pub(crate) proof: Option<SecretText>,
    /// What was read already, and is to be read before the rest.
    pub(super) ahead: Option<Bytes>,
}

impl std::fmt::Debug for RemoteBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteBody").field("length", &self.length).finish_non_exhaustive()
    }
}

impl RemoteBody {
    pub(crate) fn new(
        incoming: Incoming,
        idle_timeout: Duration,
        traffic: Arc<Traffic>,
        peer: Arc<str>,
        rate: Rate,
    ) -> Self {
        let length = http_body::Body::size_hint(&incoming).exact();
        Self { length, incoming, idle_timeout, traffic, peer, rate, proof: None, ahead: None }
    }

    /// The next piece; `None` is the end. Fewer bytes than announced are an error, which hyper notices.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
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
                    self.rate.pass(data.len() as u64).await;
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn uploads_that_share_a_rate_send_small_slices_in_turn() {
        let rate = Rate::of(NonZeroU64::new(40_000).unwrap());
        let begin = Instant::now();
        let uploads = (0..2).map(|_| {
            let payload = Payload::new(vec![Bytes::from(vec![1; 95_000]), Bytes::from(vec![2; 5_000])]);
            let mut body = OutBody::new(&payload, Arc::default(), Arc::default(), rate.clone());
            tokio::spawn(async move {
                let mut sizes = Vec::new();
                while let Some(Ok(frame)) = body.frame().await {
                    sizes.push(frame.into_data().unwrap().len());
                }
                sizes
            })
        });
        for upload in uploads.collect::<Vec<_>>() {
            let sizes = upload.await.unwrap();
            assert_eq!((sizes.iter().sum::<usize>(), sizes.iter().max()), (100_000, Some(&10_000)));
        }
        let elapsed = begin.elapsed().as_millis();
        assert!((4_750..=5_000).contains(&elapsed), "200,000 bytes but for the last slice took {elapsed} ms");
    }
}
