//! Requests of the host's own, which no connector asks for: each is sent once, on a connection of its own, and answered within a bound.
//!
//! Owned here: the way out (TLS and proxies are those of every endpoint) and how long it is waited. Refused here: redirects, credentials, and what an
//! answer means (`download`, `registry`). At most the bytes that the caller allows are held of an answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Uri};
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
/// The slowest line that a request of some length is sent on, in bytes a second.
const UPLOAD_RATE_MIN: u64 = 64 * 1024;

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
    let unreachable = |cause: String| ExchangeError::Unreachable { server: server.clone(), cause };
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
    let seconds = u64::try_from(request.body().len()).unwrap_or(u64::MAX) / UPLOAD_RATE_MIN;
    let patience = IDLE_TIMEOUT.saturating_add(Duration::from_secs(seconds));
    let silent = |patience: Duration| unreachable(format!("nothing came for {} s", patience.as_secs()));
    let answer = tokio::time::timeout(patience, pool.request(request.map(Full::new))).await;
    let answer = answer.map_err(|_| silent(patience))?;
    let (head, mut body) = answer.map_err(|error| unreachable(causes(&error)))?.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await.map_err(|_| silent(IDLE_TIMEOUT))? {
        let piece = frame.map_err(|error| unreachable(causes(&error)))?.into_data().unwrap_or_default();
        if bytes.len().saturating_add(piece.len()) > bytes_max {
            return Err(ExchangeError::TooLarge { server, bytes_max });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: bytes.to_vec() })
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
