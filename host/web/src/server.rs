//! The way of a request: guard, form, page.
//!
//! Refused here: listening (`credenza_listen`), and what is answered (`pages`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use credenza_app::{App, Nobody};
use credenza_engine::{Clock, Stop, SystemClock};
use credenza_listen::{Bounds, Caller, Listener, Tls, speak};
use http::{Method, Request};
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use crate::activity::{Activity, Seldom};
use crate::basket::Baskets;
use crate::door::{self, Door, Peer};
use crate::error::Result;
use crate::form::{self, Fields};
use crate::guard;
use crate::hosts::Hosts;
use crate::jobs::Jobs;
use crate::limits::Limits;
use crate::measured::Measured;
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
    listener: Listener,
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
        let listener = Listener::at(listen, reach.certificate()).await?;
        let entrance = Entrance::of(&app, listener.address(), &reach)?;
        let jobs = Jobs::new(app.clone(), jobs);
        let site = Site { jobs, ..site(app, entrance, given, limits, clock, stop)? };
        Ok(Self { listener, site: Arc::new(site) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
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
        let Self { listener, site } = self;
        let bounds = Bounds { connections: site.limits.connections, head: site.limits.head };
        let receive = |caller: Caller| {
            let site = Arc::clone(&site);
            async move { receive(caller.stream, caller.tls, Peer(caller.from), site).await }
        };
        listener.run(bounds, &site.stop, receive).await;
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
        policies: Measured::new(Arc::clone(&clock)),
        mirrors: Measured::new(Arc::clone(&clock)),
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
    tls: Option<Tls>,
    peer: Peer,
    site: Arc<Site>,
) {
    let stream = Paced::new(stream, Arc::clone(&site.clock));
    let (stop, head) = (site.stop.clone(), site.limits.head);
    let answering = service_fn(move |mut request: Request<_>| {
        let site = Arc::clone(&site);
        request.extensions_mut().insert(peer);
        async move { Ok::<_, std::convert::Infallible>(answer(&site, request).await) }
    });
    speak(stream, tls.as_ref(), head, &stop, answering).await;
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
