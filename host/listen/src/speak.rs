//! One connection: TLS where it is to be spoken, and then HTTP until one side ends it.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use credenza_engine::Stop;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// Most bytes of the head of a request.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What speaks TLS with clients.
#[derive(Clone)]
pub struct Tls(pub(crate) TlsAcceptor);

/// Answers what is asked by a connection, until its client goes, takes longer than `head` for TLS or the head of a request, or it is to stop: what is under
/// way is answered then.
pub async fn speak<S, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    tls: Option<&Tls>,
    head: Duration,
    stop: &Stop,
    service: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let Some(Tls(tls)) = tls else { return answer(stream, head, stop, service).await };
    match tokio::time::timeout(head, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, head, stop, service).await,
        Ok(Err(error)) => tracing::debug!("a connection did not come to TLS: {error}"),
        Err(_) => tracing::debug!("a connection did not come to TLS in time"),
    }
}

async fn answer<S, B>(stream: impl AsyncRead + AsyncWrite + Unpin, head: Duration, stop: &Stop, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // A client that goes away is no failure.
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}
