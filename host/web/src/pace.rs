//! A connection whose other side must take what it is sent: it holds a place, and one that stands still loses it.
//!
//! Only the time counts in which bytes wait for the other side: a stream of events that says nothing for hours is not slow. What is read has its own
//! bounds: the head of a request and its form must be there in time (`credenza_listen`, `form`).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use credenza_engine::Clock;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a browser may take for [`BYTES_MIN`].
pub(crate) const WINDOW: Duration = Duration::from_secs(30);
/// Bytes that it takes in that time at least; some 1 KiB a second.
pub(crate) const BYTES_MIN: usize = 32 * 1024;

/// A connection, watched.
pub(crate) struct Paced<T> {
    io: T,
    clock: Arc<dyn Clock>,
    /// The end of the time that it has, since bytes began to wait, and how many were taken in it.
    waiting: Option<(BoxFuture<'static, ()>, usize)>,
}

impl<T> Paced<T> {
    pub(crate) fn new(io: T, clock: Arc<dyn Clock>) -> Self {
        Self { io, clock, waiting: None }
    }

    /// What became of an attempt to send.
    fn noted<N: Copy + Into<Taken>>(
        &mut self,
        went: Poll<io::Result<N>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<N>> {
        match went {
            Poll::Ready(Ok(taken)) => {
                let Taken(bytes) = taken.into();
                if let Some((_, so_far)) = &mut self.waiting {
                    *so_far = so_far.saturating_add(bytes);
                }
                if self.waiting.as_ref().is_some_and(|(_, taken)| *taken >= BYTES_MIN) {
                    self.waiting = None;
                }
                Poll::Ready(Ok(taken))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let clock = &self.clock;
                let (end, _) = self.waiting.get_or_insert_with(|| (clock.wait(WINDOW), 0));
                ready!(end.as_mut().poll(context));
                self.waiting = None;
                let why = format!("less than {BYTES_MIN} bytes were taken in {} s", WINDOW.as_secs());
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
            }
        }
    }
}

/// Bytes that the other side took.
struct Taken(usize);

impl From<usize> for Taken {
    fn from(bytes: usize) -> Self {
        Self(bytes)
    }
}

impl From<()> for Taken {
    fn from((): ()) -> Self {
        Self(0)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.io).poll_write(context, bytes);
        self.noted(went, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.io).poll_write_vectored(context, parts);
        self.noted(went, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let went = Pin::new(&mut self.io).poll_flush(context);
        self.noted(went, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let went = Pin::new(&mut self.io).poll_shutdown(context);
        self.noted(went, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::tests::SteppedClock;

    #[tokio::test]
    async fn who_takes_too_little_in_the_time_loses_the_place_and_who_takes_enough_keeps_it() {
        let clock = SteppedClock::new();
        let (near, mut far) = tokio::io::duplex(1024);
        let mut near = Paced::new(near, Arc::clone(&clock) as _);
        let sending = tokio::spawn(async move {
            let sent = near.write_all(&vec![7; 4 * BYTES_MIN]).await;
            (near, sent)
        });
        let mut taken = vec![0; BYTES_MIN];
        // As much as must be, in each window.
        for _ in 0..2 {
            clock.until_waited_for().await;
            far.read_exact(&mut taken).await.unwrap();
        }
        clock.until_waited_for().await;
        far.read_exact(&mut taken[..1024]).await.unwrap();
        clock.end_all();
        let (_near, sent) = sending.await.unwrap();
        let error = sent.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "less than 32768 bytes were taken in 30 s");
    }

    #[tokio::test]
    async fn a_connection_with_nothing_to_send_is_not_slow() {
        let clock = SteppedClock::new();
        let (near, mut far) = tokio::io::duplex(1024);
        let mut near = Paced::new(near, Arc::clone(&clock) as _);
        near.write_all(b"event").await.unwrap();
        clock.end_all();
        near.write_all(b"event").await.unwrap();
        let mut taken = [0; 10];
        far.read_exact(&mut taken).await.unwrap();
        assert_eq!(&taken, b"eventevent");
        assert_eq!(clock.waits(), 0);
    }
}
