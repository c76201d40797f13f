//! Connections: kept alive and pooled, with time-outs that measure standstill, not duration.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use credenza_connect::Payload;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, DATE, PROXY_AUTHORIZATION, USER_AGENT};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::{OutBody, RemoteBody};
use super::proxy::{Proxies, Way};
use super::{EgressError, Response, Traffic, clock, tls};
use crate::settings::{HostSettings, SettingsError};

/// A server that does not take the connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A body that has begun comes in pieces; one that stands still this long is asked for again, from where it stopped.
/// An answer that has not begun may be work in progress, and is waited for as long as the options say.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Servers close idle connections after 5 to 60 seconds; a request on one that is just being closed is wasted.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept per host: as many as one connector has calls in flight.
const POOL_IDLE_MAX: usize = 64;

const AGENT: &str = concat!("credenza/", env!("CARGO_PKG_VERSION"));

/// The connections of one configured connector.
#[derive(Debug)]
pub(crate) struct Client {
    pool: Pool<HttpsConnector<Way>, OutBody>,
    proxies: Arc<Proxies>,
    idle_timeout: Duration,
    traffic: Arc<Traffic>,
}

impl Client {
    pub(crate) fn new(
        settings: &HostSettings,
        idle_timeout: Duration,
        traffic: Arc<Traffic>,
    ) -> Result<Self, SettingsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let proxies = Proxies::new(&settings.proxy)?;
        let connector = Way::secured(tls::client_config(settings)?, tcp, Arc::clone(&proxies));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_MAX)
            .build(connector);
        Ok(Self { pool, proxies, idle_timeout, traffic })
    }

    /// What a person is told of the way to a server, if it is not the straight one.
    pub(crate) fn way_to(&self, server: &http::Uri) -> Option<String> {
        self.proxies.told_of(server)
    }

    /// Sends one request. A pooled connection that turns out to be closed before anything was sent is replaced silently.
    pub(crate) async fn send(&self, head: http::Request<()>, payload: Payload) -> Result<Response, EgressError> {
        let peer: Arc<str> = format!("{} {}", head.method(), head.uri().authority().map_or("", |a| a.as_str())).into();
        let for_proxy = self.proxies.authorization(head.uri()).cloned();
        let progress = Arc::new(AtomicU64::new(0));
        self.traffic.count_request(head.method().as_str());
        let body = OutBody::new(&payload, Arc::clone(&progress), Arc::clone(&self.traffic));
        let mut request = head.map(|()| body);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for_proxy.into_iter().for_each(|value| drop(request.headers_mut().insert(PROXY_AUTHORIZATION, value)));
        if payload.length() > 0 || request.method() == http::Method::PUT || request.method() == http::Method::POST {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(payload.length()));
        }
        let answer = self.answer(request, &progress, &peer).await?;
        Ok(self.response(answer, peer))
    }

    /// Waits for the head of the answer as long as the upload makes progress.
    async fn answer(
        &self,
        request: http::Request<OutBody>,
        progress: &AtomicU64,
        peer: &str,
    ) -> Result<http::Response<hyper::body::Incoming>, EgressError> {
        let mut answer = self.pool.request(request);
        let mut sent = 0;
        loop {
            match tokio::time::timeout(self.idle_timeout, &mut answer).await {
                Ok(answer) => return answer.map_err(|e| failure(&e, peer)),
                Err(_) if progress.load(Relaxed) > sent => sent = progress.load(Relaxed),
                Err(_) => {
                    let message = format!("{peer}: no answer within {} s", self.idle_timeout.as_secs());
                    return Err(EgressError::Unreachable { reason: "http.timeout", message });
                }
            }
        }
    }

    fn response(&self, answer: http::Response<hyper::body::Incoming>, peer: Arc<str>) -> Response {
        let (head, incoming) = answer.into_parts();
        let date = head.headers.get(DATE).and_then(|value| value.to_str().ok());
        let refused = head.status == http::StatusCode::FORBIDDEN;
        let clock_skew = date.filter(|_| refused).and_then(|date| clock::skew(date, SystemTime::now()));
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let body = RemoteBody::new(incoming, self.idle_timeout.min(STALL_TIMEOUT), Arc::clone(&self.traffic), peer);
        Response { status: head.status.as_u16(), headers, body, clock_skew }
    }
}

/// A header as text: UTF-8, or else Latin-1, which loses nothing.
fn text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned)
}

fn failure(error: &PoolError, peer: &str) -> EgressError {
    let message = format!("{peer}: {}", causes(error));
    if is_tls(error) {
        return EgressError::Unreachable { reason: "tls", message };
    }
    match error.is_connect() {
        true => EgressError::Unreachable { reason: "connect", message },
        false => EgressError::Interrupted { reason: "http.interrupted", message },
    }
}

fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` shows the source of its content, not the content.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = inner.map_or_else(|| error.source(), |inner| Some(inner));
    }
    false
}

/// An error with its causes in one line.
pub(crate) fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
