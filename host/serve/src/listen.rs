//! Where a front listens and who can reach it, and its connections.
//!
//! Owned here: that others reach it by TLS alone, and under a name. Refused here: connections (`credenza_listen`), and what is answered. Called by the
//! fronts that speak HTTP.
//!
//! Bound: [`CONNECTIONS_MAX`] connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credenza_engine::Stop;
use credenza_listen::{Bounds, Caller, Certificate, HTTP, HTTPS, Listener, name_at, speak, without_usual_port};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;

use crate::{Error, Result};

/// Connections that are open at once.
const CONNECTIONS_MAX: usize = 256;
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// Where a front listens, and who can reach it.
#[derive(Debug, Clone)]
pub struct Reach {
    /// The address; with port 0 the system chooses one.
    pub address: SocketAddr,
    /// Others than this machine, which speak TLS.
    pub others: Option<Others>,
}

/// How other machines reach a front.
#[derive(Debug, Clone)]
pub struct Others {
    /// The name under which they ask for it, with its port where that is not that of the address.
    pub name: String,
    /// What it proves itself with.
    pub certificate: Certificate,
}

/// What answers requests.
pub(crate) trait Answering: Send + Sync + 'static {
    /// The body of an answer.
    type Answer: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static;

    /// The answer to a request.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Answer>> + Send;
}

/// A front that listens.
pub(crate) struct Listening {
    listener: Listener,
    origin: Origin,
}

/// What comes before the path where the front is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    scheme: &'static str,
    /// Names with the port, as clients write them; the first is that which is told.
    names: Vec<String>,
}

impl Origin {
    fn of(address: SocketAddr, others: Option<&Others>) -> Self {
        let Some(others) = others else { return Self::here(address) };
        Self { scheme: "https", names: vec![name_at(&others.name, address.port(), HTTPS)] }
    }

    /// Of a front that listens at this machine alone.
    pub(crate) fn here(address: SocketAddr) -> Self {
        let names = [address.to_string(), format!("localhost:{}", address.port())];
        Self { scheme: "http", names: names.map(|name| without_usual_port(&name, HTTP)).into() }
    }

    /// Whether a client that asks for this name asks for the front.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// The address as a client writes it, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.names.first().map_or("", String::as_str))
    }
}

impl Listening {
    /// Listens.
    ///
    /// # Errors
    /// [`Error::Listen`], and [`Error::NotLoopback`] where other machines could reach it without TLS.
    pub(crate) async fn at(reach: &Reach) -> Result<Self> {
        let Reach { address, others } = reach;
        if others.is_none() && !address.ip().is_loopback() {
            return Err(Error::NotLoopback { address: *address });
        }
        let listener = Listener::at(*address, others.as_ref().map(|others| &others.certificate)).await?;
        let origin = Origin::of(listener.address(), others.as_ref());
        Ok(Self { listener, origin })
    }

    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Answers until it is asked to stop; answers that are under way then have 3 seconds more.
    pub(crate) async fn run(self, answering: impl Answering, stop: &Stop) {
        let answering = Arc::new(answering);
        let receive = |caller: Caller| {
            let (answering, stop) = (Arc::clone(&answering), stop.clone());
            async move {
                let service = service_fn(move |request| {
                    let answering = Arc::clone(&answering);
                    async move { Ok::<_, Infallible>(answering.answer(request).await) }
                });
                speak(caller.stream, caller.tls.as_ref(), HEAD_TIME, &stop, service).await;
            }
        };
        self.listener.run(Bounds { connections: CONNECTIONS_MAX, head: HEAD_TIME }, stop, receive).await;
    }
}
