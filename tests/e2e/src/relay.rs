//! A relay before a server that cannot misbehave itself: it remembers what was asked, and strikes at chosen requests.
//!
//! Owned here: requests and answers, each held whole. Refused here: knowledge of a protocol but HTTP/1.1.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use credenza_s3_server::Hold;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What befalls a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strike {
    /// It is answered with 503 and does not arrive.
    Busy,
    /// It is carried out, and its answer is lost.
    LostAnswer,
    /// It is carried out, and half of its answer's body is lost.
    HalfAnswer,
    /// It arrives late by so many milliseconds.
    Late(u64),
    /// It is carried out, and its answer waits at the gate.
    AnswerHeld(Hold),
    /// It is answered with this status, and does not arrive.
    Status(u16),
}

/// Which requests are struck: every so many of those whose line holds all the words, or the first of them alone.
#[derive(Debug)]
struct Rule {
    strike: Strike,
    words: Vec<String>,
    every: Option<u64>,
    met: u64,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
    lines: Mutex<Vec<String>>,
    rules: Mutex<Vec<Rule>>,
    struck: Mutex<u64>,
}

/// A relay on a loopback port; it ends when dropped.
#[derive(Debug)]
pub struct Relay {
    /// Its host and port.
    pub host: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Relay {
    /// Starts a relay before `upstream`, a host and a port.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(upstream: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let host = listener.local_addr()?.to_string();
        // A server may end an idle connection without a word, which would be a fault that nobody asked for.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(HttpConnector::new());
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            client,
            lines: Mutex::default(),
            rules: Mutex::default(),
            struck: Mutex::default(),
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { host, shared, runtime: Some(runtime) })
    }

    /// Strikes at every so many of the requests whose line holds all the words.
    pub fn strike(&self, strike: Strike, words: &[&str], every: u64) {
        self.add(strike, words, Some(every));
    }

    /// Strikes at the first request whose line holds all the words, and at no other.
    pub fn strike_once(&self, strike: Strike, words: &[&str]) {
        self.add(strike, words, None);
    }

    fn add(&self, strike: Strike, words: &[&str], every: Option<u64>) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        locked(&self.shared.rules).push(Rule { strike, words, every, met: 0 });
    }

    /// Method and target of what was asked so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        locked(&self.shared.lines).clone()
    }

    /// How many requests were struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        *locked(&self.shared.struck)
    }

    /// Forgets what was asked and lets all requests pass.
    pub fn clear(&self) {
        locked(&self.shared.lines).clear();
        locked(&self.shared.rules).clear();
        *locked(&self.shared.struck) = 0;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// What befalls a request with that line.
    fn strike_of(&self, line: &str) -> Option<Strike> {
        locked(&self.lines).push(line.to_owned());
        let mut strikes = None;
        for rule in locked(&self.rules).iter_mut().filter(|rule| rule.words.iter().all(|word| line.contains(word))) {
            rule.met = rule.met.saturating_add(1);
            if rule.every.map_or(rule.met == 1, |every| rule.met.is_multiple_of(every)) {
                strikes = Some(rule.strike.clone());
            }
        }
        *locked(&self.struck) += u64::from(strikes.is_some());
        strikes
    }

    /// The answer, or nothing where the connection is to break off.
    async fn answer(&self, request: Request<Incoming>) -> Result<Option<Response<Full<Bytes>>>> {
        let target = request.uri().path_and_query().context("a request has a target")?.as_str().to_owned();
        let line = format!("{} {target}", request.method());
        let strike = self.strike_of(&line);
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        match &strike {
            Some(Strike::Busy) => return Ok(Some(refusal(StatusCode::SERVICE_UNAVAILABLE))),
            Some(Strike::Status(status)) => return Ok(Some(refusal(StatusCode::from_u16(*status)?))),
            Some(Strike::Late(ms)) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            _ => {}
        }
        head.uri = format!("http://{}{target}", self.upstream).parse()?;
        let (head, body) = self.client.request(Request::from_parts(head, Full::new(body))).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if let Some(Strike::AnswerHeld(hold)) = &strike {
            hold.pass().await;
        }
        match strike {
            Some(Strike::LostAnswer) => Ok(None),
            Some(Strike::HalfAnswer) => {
                // The stated length stays, so that the connection breaks off before it.
                let half = body.slice(..body.len() / 2);
                let mut answer = Response::from_parts(head, Full::new(half));
                answer.headers_mut().insert("content-length", body.len().into());
                answer.headers_mut().remove("transfer-encoding");
                Ok(Some(answer))
            }
            _ => Ok(Some(Response::from_parts(head, Full::new(body)))),
        }
    }
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut refusal = Response::new(Full::new(Bytes::new()));
    *refusal.status_mut() = status;
    refusal
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

/// Hangs up where an answer is lost: an error of the service ends the connection.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            match shared.answer(request).await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err("the answer is lost".to_owned()),
                Err(error) => Err(format!("{error:#}")),
            }
        }
    });
    let _: Result<(), _> = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
