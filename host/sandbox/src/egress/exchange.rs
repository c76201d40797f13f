//! Requests of the host's own, which no connector asks for: each is sent once, on a connection of its own, and answered within a bound.
//!
//! Owned here: the way out (TLS and proxies are those of every endpoint) and how long it is waited, in between and for the whole. Refused here:
//! redirects, credentials, and what an answer means (`download`, `registry`). At most the bytes that the caller allows are held of an answer.
//!
//! Nothing may stand still for longer than [`IDLE_TIMEOUT`], and the whole ends within [`WHOLE_TIMEOUT`] and the time that its bytes take at
//! [`RATE_MIN`]: 2 minutes for a page, 17 for the largest component.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;

use super::client::AGENT;
use super::dial::{CONNECT_TIMEOUT, tcp};
use super::fault::causes;
use super::proxy::{Proxies, Way};
use super::tls;
use crate::settings::{HostSettings, ProxySettings, RawSettings, SettingsError, Surroundings};

/// How long an answer, or a piece of it, may stand still.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request and its answer may take that have no length to speak of.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(120);
/// The slowest line on which what has a length is sent, in bytes a second.
const RATE_MIN: u64 = 64 * 1024;

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// What the surroundings say of proxies or certificates.
    #[error(transparent)]
    Surroundings(#[from] SettingsError),
    /// No answer, or one that broke off.
    #[error("{server} does not answer: {cause}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        cause: String,
    },
    /// An answer that goes on and on.
    #[error("{server} sends too slowly: its answer was not whole after {seconds} s")]
    Slow {
        /// Host and port.
        server: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// More than is allowed.
    #[error("{server} sends more than {bytes_max} bytes")]
    TooLarge {
        /// Host and port.
        server: String,
        /// What is allowed.
        bytes_max: usize,
    },
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// A header as text.
    pub(super) fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Sends a request; of the answer at most `bytes_max` bytes are taken.
pub(super) async fn exchange(
    mut request: Request<Bytes>,
    bytes_max: usize,
    surroundings: &Surroundings<'_>,
) -> Result<Reply, ExchangeError> {
    let to = request.uri().clone();
    let server = server_of(&to);
    let use_tls = to.scheme_str() == Some("https");
    let proxy = ProxySettings::of(&RawSettings::default(), surroundings);
    let settings = HostSettings { use_tls, proxy, ..HostSettings::default() };
    let proxies = Proxies::new(&settings.proxy)?;
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(proof) = proxies.authorization(&to) {
        request.headers_mut().insert(PROXY_AUTHORIZATION, proof.clone());
    }
    let way = Way::secured(tls::client_config(&settings)?, tcp(CONNECT_TIMEOUT), proxies);
    let pool: Pool<_, Full<Bytes>> = Pool::builder(TokioExecutor::new()).build(way);
    let taking = Taking { server, bytes_max, sent: time_of(request.body().len()) };
    taking.whole(pool.request(request.map(Full::new))).await
}

/// How long so many bytes take on the slowest line.
fn time_of(bytes: usize) -> Duration {
    Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX) / RATE_MIN)
}

/// An answer that is waited for.
struct Taking {
    server: String,
    bytes_max: usize,
    /// What it takes to send the request.
    sent: Duration,
}

impl Taking {
    async fn whole<B>(
        self,
        answer: impl Future<Output = Result<Response<B>, impl Error + 'static>>,
    ) -> Result<Reply, ExchangeError>
    where
        B: Body<Data = Bytes, Error: Error + 'static> + Unpin,
    {
        let patience = WHOLE_TIMEOUT.saturating_add(self.sent).saturating_add(time_of(self.bytes_max));
        let slow = ExchangeError::Slow { server: self.server.clone(), seconds: patience.as_secs() };
        tokio::time::timeout(patience, self.pieces(answer)).await.unwrap_or(Err(slow))
    }

    async fn pieces<B>(
        &self,
        answer: impl Future<Output = Result<Response<B>, impl Error + 'static>>,
    ) -> Result<Reply, ExchangeError>
    where
        B: Body<Data = Bytes, Error: Error + 'static> + Unpin,
    {
        let unreachable = |cause| ExchangeError::Unreachable { server: self.server.clone(), cause };
        let silent = |patience: Duration| unreachable(format!("nothing came for {} s", patience.as_secs()));
        let patience = IDLE_TIMEOUT.saturating_add(self.sent);
        let answer = tokio::time::timeout(patience, answer).await.map_err(|_| silent(patience))?;
        let (head, mut body) = answer.map_err(|error| unreachable(causes(&error)))?.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) =
            tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await.map_err(|_| silent(IDLE_TIMEOUT))?
        {
            let piece = frame.map_err(|error| unreachable(causes(&error)))?.into_data().unwrap_or_default();
            if bytes.len().saturating_add(piece.len()) > self.bytes_max {
                return Err(ExchangeError::TooLarge { server: self.server.clone(), bytes_max: self.bytes_max });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: bytes.to_vec() })
    }
}

/// Host and port. Whoever writes a password there does not want it repeated.
pub(super) fn server_of(address: &Uri) -> String {
    let authority = address.authority().map_or("", |authority| authority.as_str());
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}

/// Where a redirect or a `location` leads, which may leave out the server.
pub(super) fn absolute(to: &str, from: &Uri) -> String {
    let scheme = from.scheme_str().unwrap_or("https");
    match to.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => format!("{scheme}:{to}"),
        Some(_) => format!("{scheme}://{}{to}", from.authority().map_or("", |authority| authority.as_str())),
        None => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use http_body::Frame;
    use hyper::client::conn::http1 as client;
    use hyper::server::conn::http1 as server;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::time::{Instant, Sleep, sleep};

    use super::*;

    /// A body that sends a byte each time that so long has passed.
    struct Drip {
        every: Duration,
        left: usize,
        pause: Pin<Box<Sleep>>,
    }

    impl Drip {
        fn new(every: Duration, length: usize) -> Self {
            Self { every, left: length, pause: Box::pin(sleep(every)) }
        }
    }

    impl Body for Drip {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
            ready!(self.pause.as_mut().poll(context));
            let next = Instant::now() + self.every;
            self.pause.as_mut().reset(next);
            self.left = left;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    /// Asks a server at the other end of a pipe in memory, so that the one clock is that of the test.
    async fn asked(every: Duration, length: usize, bytes_max: usize) -> (Result<Reply, ExchangeError>, Duration) {
        let (here, there) = tokio::io::duplex(1024);
        let drip = service_fn(move |_| async move { Ok::<_, Infallible>(Response::new(Drip::new(every, length))) });
        tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(there), drip));
        let (mut sender, connection) = client::handshake(TokioIo::new(here)).await.unwrap();
        tokio::spawn(connection);
        let begun = Instant::now();
        let taking = Taking { server: "slow.example".to_owned(), bytes_max, sent: Duration::ZERO };
        let reply = taking.whole(sender.send_request(Request::new(Full::<Bytes>::default()))).await;
        (reply, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_drips_is_given_up_as_a_whole() {
        let (reply, took) = asked(IDLE_TIMEOUT / 2, usize::MAX, 640 * 1024).await;
        let error = reply.unwrap_err();
        assert!(matches!(error, ExchangeError::Slow { seconds: 130, .. }), "{error:?}");
        assert_eq!(error.to_string(), "slow.example sends too slowly: its answer was not whole after 130 s");
        assert_eq!(took.as_secs(), 130);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_that_comes_in_time_is_whole_and_one_that_stands_still_is_not() {
        let (reply, _) = asked(IDLE_TIMEOUT / 3, 10, 1024).await;
        assert_eq!(reply.unwrap().body, [b'x'; 10]);
        let (reply, took) = asked(IDLE_TIMEOUT * 2, 10, 1024).await;
        assert!(matches!(reply, Err(ExchangeError::Unreachable { .. })), "{reply:?}");
        assert_eq!(took, IDLE_TIMEOUT);
    }
}
