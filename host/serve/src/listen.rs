//! A listener of a front, and its connections.
//!
//! Owned here: where a front listens, how many connections there are, how long a head may be and take. Refused here: what is answered. Called by the
//! fronts that speak HTTP.
//!
//! Bound: [`CONNECTIONS_MAX`] connections, each with [`HEAD_BYTES_MAX`] of what was asked beside what its answer holds.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credenza_engine::Stop;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Error, Result};

/// Connections that are open at once; who comes then waits.
const CONNECTIONS_MAX: usize = 256;
/// Most bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long what is under way may go on when the front ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long nobody is let in where the system has no room for a connection.
const BREATH: Duration = Duration::from_millis(100);

/// What answers requests.
pub(crate) trait Answering: Send + Sync + 'static {
    /// The body of an answer.
    type Answer: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static;

    /// The answer to a request.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Answer>> + Send;
}

/// A front that listens.
pub(crate) struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Listens on this machine; with port 0 the system chooses one.
    ///
    /// # Errors
    /// [`Error::Bind`], and [`Error::NotLoopback`] where other machines could reach it.
    pub(crate) async fn at(address: SocketAddr) -> Result<Self> {
        if !is_loopback(address.ip()) {
            return Err(Error::NotLoopback { address });
        }
        let failed = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is asked to stop; answers that are under way then have 3 seconds more.
    pub(crate) async fn run(self, answering: impl Answering, stop: &Stop) {
        let (answering, room) = (Arc::new(answering), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.requested() => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &room) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let (answering, stop) = (Arc::clone(&answering), stop.clone());
                    connections.spawn(async move {
                        serve(stream, answering, &stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("no connection could be taken: {error}");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(self.listener);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is still under way is cut off, and no client takes it for whole.
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, Option<tokio::sync::OwnedSemaphorePermit>)> {
    let place = Arc::clone(room).acquire_owned().await.ok();
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn serve(stream: TcpStream, answering: Arc<impl Answering>, stop: &Stop) {
    // Without it a small answer waits 40 ms for the acknowledgement of its head.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answering = Arc::clone(&answering);
        async move { Ok::<_, Infallible>(answering.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES_MAX);
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

const fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback(),
    }
}
