//! The figures for Prometheus over HTTP, for who asks on this machine: `GET /metrics`, and nothing else.
//!
//! Owned here: the listener and its bounds. Refused here: what the figures are (the caller), and other machines: there is neither TLS nor a login, and
//! figures name sources. A page elsewhere cannot ask by a name of its own (DNS rebinding), because only names of this machine are answered.
//!
//! Bound: [`CONNECTIONS_MAX`] at once, each for [`WHOLE_TIMEOUT`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credenza_engine::Stop;
use credenza_listen::{Bounds, Caller, HTTP, Listener, speak, without_usual_port};
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;

use crate::error::Result;

/// Those who ask are few.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection may last.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The text form of Prometheus.
const FORM: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Makes the figures, or says why it cannot.
pub type Figures = Arc<dyn Fn() -> std::result::Result<String, String> + Send + Sync>;

/// A listener that is answered as soon as it is [run](Self::run).
pub struct FiguresServer {
    listener: Listener,
    figures: Figures,
}

impl FiguresServer {
    /// Listens.
    ///
    /// # Errors
    /// When the system does not give the address.
    pub async fn bind(listen: SocketAddr, figures: Figures) -> Result<Self> {
        Ok(Self { listener: Listener::at(listen, None).await?, figures })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Answers until it is to stop.
    pub async fn run(self, stop: Stop) {
        let Self { listener, figures } = self;
        let hosts: Arc<[String]> = hosts(listener.address()).into();
        let bounds = Bounds { connections: CONNECTIONS_MAX, head: WHOLE_TIMEOUT };
        let receive = |caller: Caller| {
            let (figures, hosts, stop) = (Arc::clone(&figures), Arc::clone(&hosts), stop.clone());
            async move {
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (figures, hosts) = (Arc::clone(&figures), Arc::clone(&hosts));
                    async move { reply(&request, figures, &hosts).await }
                });
                let spoken = speak(caller.stream, None, WHOLE_TIMEOUT, &stop, service);
                // Who takes longer is cut off.
                let _ = tokio::time::timeout(WHOLE_TIMEOUT, spoken).await;
            }
        };
        listener.run(bounds, &stop, receive).await;
    }
}

/// The names under which one who listens there is asked for.
fn hosts(address: SocketAddr) -> Vec<String> {
    let mut hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
    // Who asks may leave out the port that goes without saying.
    hosts.extend(hosts.clone().iter().map(|host| without_usual_port(host, HTTP)));
    hosts.dedup();
    hosts
}

async fn reply(
    request: &Request<hyper::body::Incoming>,
    figures: Figures,
    hosts: &[String],
) -> std::result::Result<Response<Full<Bytes>>, http::Error> {
    let said = |status: StatusCode, text: String| {
        Response::builder().status(status).header(CONTENT_TYPE, FORM).body(Full::new(Bytes::from(text)))
    };
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !hosts.iter().any(|own| own.eq_ignore_ascii_case(host)) {
        let names = hosts.join(" or ");
        return said(StatusCode::MISDIRECTED_REQUEST, format!("the figures are asked for at {names}\n"));
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            // A file is read for it.
            let made = tokio::task::spawn_blocking(move || figures()).await;
            match made.unwrap_or_else(|_| Err("the figures could not be made".to_owned())) {
                Ok(text) => said(StatusCode::OK, text),
                Err(why) => said(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
            }
        }
        (_, "/metrics") => {
            let mut refused = said(StatusCode::METHOD_NOT_ALLOWED, "ask with GET\n".to_owned())?;
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            Ok(refused)
        }
        _ => said(StatusCode::NOT_FOUND, "the figures are at /metrics\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn asked(address: SocketAddr, line: &str) -> String {
        asked_as(address, &address.to_string(), line).await
    }

    async fn asked_as(address: SocketAddr, host: &str, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn figures_are_given_to_who_asks_for_them_and_nothing_else_is() {
        let here = "127.0.0.1:0".parse().unwrap();
        let server = FiguresServer::bind(here, Arc::new(|| Ok("a_figure 1\n".to_owned()))).await.unwrap();
        let (address, stop) = (server.address(), Stop::default());
        let running = tokio::spawn(server.run(stop.clone()));
        let answer = asked(address, "GET /metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("a_figure 1\n"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(asked(address, "GET /").await.starts_with("HTTP/1.1 404"));
        assert!(asked(address, "POST /metrics").await.starts_with("HTTP/1.1 405"));
        let named = format!("LOCALHOST:{}", address.port());
        assert!(asked_as(address, &named, "GET /metrics").await.starts_with("HTTP/1.1 200"));
        for host in ["evil.example", "localhost", &format!("evil.example:{}", address.port())] {
            let answer = asked_as(address, host, "GET /metrics").await;
            assert!(answer.starts_with("HTTP/1.1 421") && !answer.contains("a_figure"), "{host}: {answer}");
        }
        // Those who say nothing have their bound, and go.
        let silent: Vec<TcpStream> =
            futures_util::future::join_all((0..CONNECTIONS_MAX).map(|_| TcpStream::connect(address)))
                .await
                .into_iter()
                .map(std::result::Result::unwrap)
                .collect();
        drop(silent);
        while !asked_or_closed(address).await.starts_with("HTTP/1.1 200") {}
        stop.request();
        running.await.unwrap();
    }

    async fn asked_or_closed(address: SocketAddr) -> String {
        let Ok(mut stream) = TcpStream::connect(address).await else { return String::new() };
        let mut answer = String::new();
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }
}
