//! The listener, its connections, and the way of a request: guard, form, page.
//!
//! Owned here: how many connections there are and how long one may take to ask. Refused here: what is answered (`pages`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credenza_app::{App, Nobody};
use credenza_engine::{Clock, Stop, SystemClock};
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::activity::Activity;
use crate::basket::Baskets;
use crate::error::{Error, Result};
use crate::form::{self, Fields};
use crate::guard;
use crate::hosts::{Hosts, cookie_name};
use crate::limits::Limits;
use crate::pages::{self, Asked};
use crate::reply::{Broken, Reply};
use crate::repositories::{Given, Repositories};
use crate::runs::Runs;
use crate::session::{Links, Sessions};
use crate::shown::Zone;
use crate::site::Site;

/// How long a browser may take to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(15);
/// Most bytes of such a head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long what is under way may go on when the server ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long nobody is let in where the system has no room for a connection.
const BREATH: Duration = Duration::from_millis(100);

/// How the page is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where: an address of this machine alone. With port 0 the system chooses one.
    pub listen: SocketAddr,
    /// The repository that the program was started with.
    pub given: Option<Given>,
    /// What is served at once.
    pub limits: Limits,
}

/// A server that listens, and answers as soon as it is [run](Self::run).
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    site: Arc<Site>,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// [`Error::NotLoopback`], and when the system does not give the address.
    pub async fn bind(app: App, options: Options, stop: Stop) -> Result<Self> {
        let Options { listen, given, limits } = options;
        if !listen.ip().is_loopback() {
            return Err(Error::NotLoopback { address: listen });
        }
        let failed = |source| Error::Bind { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let site = site(app, address, given, limits, Arc::new(SystemClock), stop);
        Ok(Self { listener, address, site: Arc::new(site) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the links by which browsers enter.
    #[must_use]
    pub fn links(&self) -> Links {
        Links { sessions: Arc::clone(&self.site.sessions), address: self.address }
    }

    /// Answers until the [`Stop`] is requested that it was made with; downloads that are under way then have 3 seconds
    /// more, and runs as long as it takes to end in good order.
    pub async fn run(self) {
        let Self { listener, site, .. } = self;
        let room = Arc::new(Semaphore::new(site.limits.connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = site.stop.requested() => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&room).try_acquire_owned()) {
                (Ok((stream, _)), Ok(place)) => {
                    let site = Arc::clone(&site);
                    connections.spawn(async move {
                        serve(stream, site).await;
                        drop(place);
                    });
                }
                (Ok((stream, _)), Err(_)) => turn_away(&stream, site.limits.connections),
                (Err(error), _) => {
                    tracing::warn!("no connection could be taken: {error}");
                    site.clock.wait(BREATH).await;
                }
            }
        }
        drop(listener);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is still under way is cut off, and no browser takes it for whole.
        let _ = tokio::time::timeout(FAREWELL, all).await;
        // Runs were asked to end with the server, and do so in good order.
        site.runs.ended().await;
    }
}

pub(crate) fn site(
    app: App,
    address: SocketAddr,
    given: Option<Given>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    stop: Stop,
) -> Site {
    // Whoever sits at the terminal is not who asks.
    let app = app.with_ask(Arc::new(Nobody));
    let activity = Arc::new(Activity::new(app.state_folder(), clock.now().wall));
    Site {
        hosts: Hosts::of(address),
        cookie: cookie_name(address),
        sessions: Arc::new(Sessions::new(Arc::clone(&clock), limits.sessions)),
        repositories: Arc::new(Repositories::new(app, given)),
        runs: Runs::new(Arc::clone(&clock), Arc::clone(&activity)),
        baskets: Baskets::default(),
        activity,
        limits,
        clock,
        zone: Zone::system(),
        stop,
        readers: Arc::new(Semaphore::new(limits.readers)),
    }
}

async fn serve(stream: TcpStream, site: Arc<Site>) {
    let stop = site.stop.clone();
    let peer = stream.peer_addr().ok();
    let answering = service_fn(move |mut request: Request<Incoming>| {
        let site = Arc::clone(&site);
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer.ip()));
        }
        async move { Ok::<_, std::convert::Infallible>(answer(&site, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answering));
    // A browser that goes away is no failure.
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Says that there is no room, as far as the system takes it at once.
fn turn_away(stream: &TcpStream, max: usize) {
    let why = format!("credenza serves {max} connections at once, and has them all. Close other tabs and try again.\n");
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
    let reply = format!("{head}Content-Length: {}\r\n\r\n{why}", why.len());
    // What was sent already is taken, so that the answer is not lost with it.
    let mut asked = [0; 4096];
    let _ = stream.try_read(&mut asked);
    let _ = stream.try_write(reply.as_bytes());
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// The answer to a request.
pub(crate) async fn answer<B>(site: &Arc<Site>, request: Request<B>) -> Reply
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Broken>,
{
    let (parts, body) = request.into_parts();
    let mut reply = match guard::admit(site, &parts) {
        Err(refusal) => pages::refused(refusal),
        Ok(session) => {
            let form = match parts.method == Method::POST {
                true => form::read(body, session.as_ref()).await.map(Some),
                false => Ok(None),
            };
            match form {
                Err(refused) => pages::refused_form(refused),
                Ok(form) => {
                    let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
                    let secret = guard::secret_of(&parts.headers, &site.cookie);
                    let from =
                        parts.extensions.get::<Peer>().map(|Peer(address)| address.to_string()).unwrap_or_default();
                    let asked = Asked { path: parts.uri.path().to_owned(), query, form, session, secret, from };
                    pages::answer(site, &asked).await
                }
            }
        }
    };
    guard::harden(&mut reply);
    reply
}
