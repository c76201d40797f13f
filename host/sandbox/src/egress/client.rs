//! Requests on connections that are kept alive and pooled, with time-outs that measure standstill, not duration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use credenza_connect::{Payload, Rates, Wait, Waits};
use http::header::{CONTENT_LENGTH, DATE, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Method, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::{OutBody, RemoteBody};
use super::dial::{Bounded, CONNECT_TIMEOUT, tcp};
use super::fault::Fault;
use super::proxy::{Proxies, Way};
use super::{Response, Traffic, clock, tls};
use crate::settings::{HostSettings, SettingsError};

/// A body that has begun comes in pieces; one that stands still this long is asked for again, from where it stopped.
/// An answer that has not begun may be work in progress, and is waited for as long as the options say.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// What is reported an answer that does not begin: so long the work of a server may take that nobody waits for in vain.
const TOLD_AFTER: Duration = Duration::from_secs(10);
/// Servers close idle connections after 5 to 60 seconds; a request on one that is just being closed is wasted.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept per host: as many as one connector has calls in flight.
const POOL_IDLE_MAX: usize = 64;

pub(super) const AGENT: &str = concat!("credenza/", env!("CARGO_PKG_VERSION"));

/// The connections of one configured connector.
#[derive(Debug)]
pub(crate) struct Client {
    pool: Pool<Bounded<HttpsConnector<Way>>, OutBody>,
    proxies: Arc<Proxies>,
    idle_timeout: Duration,
    traffic: Arc<Traffic>,
    pub(super) waits: Waits,
    rates: Rates,
}

impl Client {
    pub(crate) fn new(
        settings: &HostSettings,
        idle_timeout: Duration,
        traffic: Arc<Traffic>,
    ) -> Result<Self, SettingsError> {
        let proxies = Proxies::new(&settings.proxy)?;
        let connector = Way::secured(tls::client_config(settings)?, tcp(CONNECT_TIMEOUT), Arc::clone(&proxies));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_MAX)
            .build(connector);
        Ok(Self { pool, proxies, idle_timeout, traffic, waits: Waits::default(), rates: Rates::default() })
    }

    /// With somebody who hears of answers that do not come.
    pub(crate) fn telling(self, waits: Waits) -> Self {
        Self { waits, ..self }
    }

    /// With a bound on the bytes of bodies a second.
    pub(crate) fn within(self, rates: Rates) -> Self {
        Self { rates, ..self }
    }

    /// What a person is reported the way to a server, if it is not the straight one.
    pub(crate) fn way_to(&self, server: &http::Uri) -> Option<String> {
        self.proxies.told_of(server)
    }

    /// Sends one request. A pooled connection that turns out to be closed before anything was sent is replaced silently.
    pub(crate) async fn send(&self, head: http::Request<()>, payload: Payload) -> Result<Response, Fault> {
        let (method, to) = (head.method().clone(), head.uri().clone());
        let for_proxy = self.proxies.authorization(head.uri()).cloned();
        let progress = Arc::new(AtomicU64::new(0));
        self.traffic.count_request(head.method().as_str());
        let body = OutBody::new(&payload, Arc::clone(&progress), Arc::clone(&self.traffic), self.rates.upload.clone());
        let mut request = head.map(|()| body);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for_proxy.into_iter().for_each(|value| drop(request.headers_mut().insert(PROXY_AUTHORIZATION, value)));
        if payload.length() > 0 || request.method() == http::Method::PUT || request.method() == http::Method::POST {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(payload.length()));
        }
        let answer = self.answer(request, &progress, &method, &to).await?;
        if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Some(proxy) = self.proxies.told_of(&to)
        {
            return Err(Fault::proxy_wants_keys(&proxy));
        }
        let peer = format!("{method} {}", to.authority().map_or("", |authority| authority.as_str()));
        Ok(self.response(answer, peer.into()))
    }

    /// Waits for the head of the answer as long as the upload makes progress.
    async fn answer(
        &self,
        request: http::Request<OutBody>,
        progress: &AtomicU64,
        method: &Method,
        to: &Uri,
    ) -> Result<http::Response<hyper::body::Incoming>, Fault> {
        let mut answer = self.pool.request(request);
        let (mut sent, mut still) = (0, Duration::ZERO);
        while still < self.idle_timeout {
            let step = TOLD_AFTER.min(self.idle_timeout.saturating_sub(still));
            match tokio::time::timeout(step, &mut answer).await {
                Ok(answer) => return answer.map_err(|error| Fault::of(&error, method, to)),
                Err(_) if progress.load(Relaxed) > sent => (sent, still) = (progress.load(Relaxed), Duration::ZERO),
                Err(_) => {
                    still = still.saturating_add(step);
                    self.tell_of(&Fault::silent(method, to, still.as_secs()));
                }
            }
        }
        Err(Fault::silent(method, to, still.as_secs()))
    }

    fn tell_of(&self, fault: &Fault) {
        let (reason, cause) = (fault.reason.to_owned(), fault.what.clone());
        self.waits.tell(&Wait { reason, cause, tries: 0, next_in: None });
    }

    fn response(&self, answer: http::Response<hyper::body::Incoming>, peer: Arc<str>) -> Response {
        let (head, incoming) = answer.into_parts();
        let date = head.headers.get(DATE).and_then(|value| value.to_str().ok());
        let refused = head.status == StatusCode::FORBIDDEN;
        let clock_skew = date.filter(|_| refused).and_then(|date| clock::skew(date, clock::now()));
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let (still, traffic) = (self.idle_timeout.min(STALL_TIMEOUT), Arc::clone(&self.traffic));
        let body = RemoteBody::new(incoming, still, traffic, peer, self.rates.download.clone());
        Response { status: head.status.as_u16(), headers, body, clock_skew }
    }
}

/// A header as text: UTF-8, or else Latin-1, which loses nothing.
fn text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use credenza_connect::WaitListener;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Wait>>);

    impl WaitListener for Heard {
        fn on_wait(&self, wait: &Wait) {
            self.0.lock().unwrap().push(wait.clone());
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_told_and_given_up() {
        // The system takes connections for it, and nobody reads.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Heard::default());
        let client = Client::new(&HostSettings::default(), Duration::from_millis(20), Arc::default()).unwrap();
        let client = client.telling(Waits::told_to(Arc::clone(&heard) as Arc<dyn WaitListener>));
        let request = http::Request::get(format!("http://{server}/")).body(()).unwrap();
        let fault = client.send(request, Payload::default()).await.unwrap_err();
        assert_eq!(fault.reason, "http.timeout");
        let heard = heard.0.lock().unwrap();
        assert_eq!((heard.len(), heard[0].reason.as_str()), (1, "http.timeout"));
        assert!(heard[0].cause.contains(&server), "{heard:?}");
    }
}
