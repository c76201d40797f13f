//! The listener, its connections, and the way of a request: guard, form, page.
//!
//! Owned here: how many connections there are and how long one may take to ask. Refused here: what is answered (`pages`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credenza_app::{App, Nobody};
use credenza_engine::{Clock, Stop, SystemClock};
use http::{Method, Request};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::activity::{Activity, Seldom};
use crate::basket::Baskets;
use crate::door::{self, Door, Peer};
use crate::error::{Error, Result};
use crate::form::{self, Fields};
use crate::guard;
use crate::hosts::Hosts;
use crate::jobs::Jobs;
use crate::limits::Limits;
use crate::pace::Paced;
use crate::pages::{self, Asked};
use crate::presence;
use crate::reach::Reach;
use crate::reply::{Broken, Reply};
use crate::repositories::{Given, Repositories};
use crate::runs::Runs;
use crate::session::{Links, Sessions, Stay};
use crate::shown::Zone;
use crate::site::Site;
use crate::throttle::Throttle;
use crate::watch::Watch;

/// Most bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long what is under way may go on when the server ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long nobody is let in where the system has no room for a connection.
const BREATH: Duration = Duration::from_millis(100);

/// How the page is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where. With port 0 the system chooses one.
    pub listen: SocketAddr,
    /// Who can reach it there.
    pub reach: Reach,
    /// The repository that the program was started with.
    pub given: Option<Given>,
    /// The file of the jobs, where it is not the usual one.
    pub jobs: Option<PathBuf>,
    /// What is served at once.
    pub limits: Limits,
}

/// A server that listens, and answers as soon as it is [run](Self::run).
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// When others are to be served without what keeps them apart, and when the system does not give the address.
    pub async fn bind(app: App, options: Options, stop: Stop) -> Result<Self> {
        Self::bind_by(app, options, Arc::new(SystemClock), stop).await
    }

    pub(crate) async fn bind_by(app: App, options: Options, clock: Arc<dyn Clock>, stop: Stop) -> Result<Self> {
        let Options { listen, reach, given, jobs, limits } = options;
        reach.check(listen, app.configuration_folder().ok())?;
        let tls = reach.tls()?;
        let failed = |source| Error::Bind { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let entrance = Entrance::of(&app, address, &reach)?;
        let jobs = Jobs::new(app.clone(), jobs);
        let site = Site { jobs, ..site(app, entrance, given, limits, clock, stop)? };
        Ok(Self { listener, address, tls, site: Arc::new(site) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the links by which browsers on this machine enter; none where users log in.
    #[must_use]
    pub fn links(&self) -> Option<Links> {
        let site = &self.site;
        let links = || Links { sessions: Arc::clone(&site.sessions), host: site.hosts.first().to_owned() };
        site.door.users().is_none().then(links)
    }

    /// Shows what a daemon in this process does.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.site))
    }

    /// The address that browsers of others ask for.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/", self.site.hosts.scheme(), self.site.hosts.first())
    }

    /// Answers until the [`Stop`] is requested that it was made with; downloads that are under way then have 3 seconds
    /// more, and runs as long as it takes to end in good order.
    pub async fn run(self) {
        let Self { listener, site, tls, .. } = self;
        let room = Arc::new(Semaphore::new(site.limits.connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = site.stop.requested() => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&room).try_acquire_owned()) {
                (Ok((stream, from)), Ok(place)) => {
                    let (site, tls) = (Arc::clone(&site), tls.clone());
                    connections.spawn(async move {
                        receive(stream, tls, Peer(from.ip()), site).await;
                        drop(place);
                    });
                }
                // Before TLS nothing can be said.
                (Ok(_), Err(_)) if tls.is_some() => {}
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

/// By which names and which way browsers get in.
pub(crate) struct Entrance {
    pub(crate) hosts: Hosts,
    pub(crate) cookie: String,
    pub(crate) door: Door,
}

impl Entrance {
    pub(crate) fn of(app: &App, address: SocketAddr, reach: &Reach) -> Result<Self> {
        let hosts = Hosts::of(address, reach)?;
        let folder = app.configuration_folder().ok().map(ToOwned::to_owned);
        let door = Door::of(reach, folder, hosts.first())?;
        Ok(Self { cookie: hosts.cookie(address), hosts, door })
    }
}

pub(crate) fn site(
    app: App,
    entrance: Entrance,
    given: Option<Given>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    stop: Stop,
) -> Result<Site> {
    // Whoever sits at the terminal is not who asks.
    let app = app.with_ask(Arc::new(Nobody));
    let activity = Arc::new(Activity::new(app.state_folder(), clock.now().wall));
    let Entrance { hosts, cookie, door } = entrance;
    let stay = if door.users().is_some() { Stay::USER } else { Stay::HERE };
    Ok(Site {
        hosts,
        cookie,
        door,
        sessions: Arc::new(Sessions::new(Arc::clone(&clock), limits.sessions, stay)),
        throttle: Throttle::new(Arc::clone(&clock))?,
        jobs: Jobs::new(app.clone(), None),
        repositories: Arc::new(Repositories::new(app, given)),
        runs: Runs::new(Arc::clone(&clock), Arc::clone(&activity)),
        baskets: Baskets::default(),
        activity,
        refusals: Seldom::default(),
        limits,
        clock,
        zone: Zone::system(),
        stop,
        readers: Arc::new(Semaphore::new(limits.readers)),
    })
}

/// Takes a connection, with TLS where it is to be spoken.
pub(crate) async fn receive(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    tls: Option<TlsAcceptor>,
    peer: Peer,
    site: Arc<Site>,
) {
    let stream = Paced::new(stream, Arc::clone(&site.clock));
    let Some(tls) = tls else { return serve(stream, peer, site).await };
    match tokio::time::timeout(site.limits.head, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, site).await,
        Ok(Err(error)) => tracing::debug!("a connection did not come to TLS: {error}"),
        Err(_) => tracing::debug!("a connection did not come to TLS in time"),
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer, site: Arc<Site>) {
    let (stop, head) = (site.stop.clone(), site.limits.head);
    let answering = service_fn(move |mut request: Request<_>| {
        let site = Arc::clone(&site);
        request.extensions_mut().insert(peer);
        async move { Ok::<_, std::convert::Infallible>(answer(&site, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES_MAX);
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

/// The answer to a request.
pub(crate) async fn answer<B>(site: &Arc<Site>, request: Request<B>) -> Reply
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Broken>,
{
    let (parts, body) = request.into_parts();
    let mut reply = match guard::admit(site, &parts) {
        Err(refusal) => pages::refused(site, refusal),
        Ok(session) => {
            let form = match parts.method == Method::POST {
                true => form::read(body, session.as_ref()).await.map(Some),
                false => Ok(None),
            };
            match form {
                Err(refused) => pages::refused_form(refused),
                Ok(form) => {
                    let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
                    let secret = door::secret_of(&parts.headers, &site.cookie);
                    let from = site.door.address_of(&parts);
                    let address = door::line_of(from);
                    let from = from.map(|from| from.to_string()).unwrap_or_default();
                    let login = door::secret_of(&parts.headers, &site.login_cookie());
                    let asked =
                        Asked { path: parts.uri.path().to_owned(), query, form, session, secret, login, from, address };
                    presence::bind(site, &asked, pages::answer(site, &asked).await)
                }
            }
        }
    };
    guard::harden(&site.hosts, &mut reply);
    reply
}
