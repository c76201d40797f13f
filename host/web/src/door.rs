//! By which way a browser gets in, and whose request one is.
//!
//! On this machine a link lets in whoever can read the terminal, as an admin. Others are users: they log in with a password, or a proxy that proves itself
//! says who they are. What a user may do is read anew for each request, so that whoever is removed, or given another role or password, is out at once.
//! Refused here: links and sessions (`session`), how often one may guess (`throttle`), pages (`pages::login`).

use std::net::IpAddr;
use std::path::PathBuf;

use blake3::Hash;
use credenza_app::users::{self, User, Users, UsersError};
use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use tokio::sync::Semaphore;

use crate::error::Result;
use crate::oidc::Oidc;
use crate::reach::{Reach, TrustedProxy, Way};
use crate::session::{Session, Sessions, random_bytes};

/// What a proxy that is trusted sends with each request.
const PROXY_SECRET: &str = "x-credenza-proxy-secret";
/// Whom a proxy asks for; the last is the one that it has seen itself.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where a connection is from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another server was asked for.
    Host,
    /// It is neither GET nor POST.
    Method,
    /// It would change something, and is not known to come from a page of this server.
    Foreign,
    /// Whoever asks has not entered.
    NoSession,
    /// The same, where there are users.
    NotLoggedIn,
    /// It did not come through the proxy that is trusted.
    NotProxy,
}

/// By which way a browser gets in.
pub(crate) enum Door {
    /// By a link.
    Link,
    /// As a user.
    Users(Box<UserDoor>),
}

/// The way in for users.
pub(crate) struct UserDoor {
    /// Where their file is.
    folder: PathBuf,
    is_behind_proxy: bool,
    proxy: Option<TrustedProxy>,
    oidc: Option<Oidc>,
    /// Makes tokens for whom a proxy lets in, who have no session here.
    key: [u8; 32],
    /// One password is tried at a time: each takes 64 MiB.
    trying: Semaphore,
}

impl Door {
    pub(crate) fn of(reach: &Reach, folder: Option<PathBuf>, host: &str) -> Result<Self> {
        let Reach::Others(others) = reach else { return Ok(Self::Link) };
        let (is_behind_proxy, proxy) = match &others.way {
            Way::Tls(_) => (false, None),
            Way::Proxy(proxy) => (true, proxy.clone()),
        };
        let (folder, key) = (folder.unwrap_or_default(), random_bytes()?);
        let oidc = others.provider.clone().map(|provider| Oidc::new(provider, host)).transpose()?;
        Ok(Self::Users(Box::new(UserDoor { folder, is_behind_proxy, proxy, oidc, key, trying: Semaphore::new(1) })))
    }

    /// Whether it is for users.
    pub(crate) fn users(&self) -> Option<&UserDoor> {
        match self {
            Self::Link => None,
            Self::Users(door) => Some(door),
        }
    }

    /// Refuses what does not come through the proxy that is trusted.
    pub(crate) fn require_proxy(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(proxy) = self.users().and_then(|door| door.proxy.as_ref()) else { return Ok(()) };
        let given = single(headers, &HeaderName::from_static(PROXY_SECRET));
        let is_proven = given.is_some_and(|given| blake3::hash(given) == blake3::hash(&proxy.secret));
        if is_proven { Ok(()) } else { Err(Refusal::NotProxy) }
    }

    /// Whose request it is; nobody's, where whoever asks has not entered.
    pub(crate) fn session(&self, sessions: &Sessions, headers: &HeaderMap, cookie: &str) -> Option<Session> {
        if let Some(session) = self.users().and_then(|door| door.passed_by_proxy(headers)) {
            return Some(session);
        }
        let secret = secret_of(headers, cookie)?;
        let session = sessions.get(&secret)?;
        let is_known = self.knows(&session);
        if !is_known {
            sessions.leave(&secret);
        }
        is_known.then_some(session)
    }

    /// Whether whoever was let in has not left and would be let in still; `is_use` where the browser counts as asking for something meanwhile.
    pub(crate) fn lasts(&self, sessions: &Sessions, session: &Session, secret: Option<&str>, is_use: bool) -> bool {
        let is_passed = self.users().is_some_and(|door| door.has_passed(session));
        let found = || sessions.find(secret?, is_use);
        (is_passed || found().is_some_and(|found| found.token == session.token)) && self.knows(session)
    }

    /// Whether the user of a session is one still, with the same role and password.
    fn knows(&self, session: &Session) -> bool {
        match (self, &session.user) {
            (Self::Link, None) => true,
            (Self::Users(door), Some(user)) => door.user(&user.name).as_ref() == Some(user),
            _ => false,
        }
    }

    /// The address of whoever asks: what the proxy has seen, or the other side of the connection.
    pub(crate) fn address_of(&self, request: &Parts) -> Option<IpAddr> {
        let is_behind_proxy = self.users().is_some_and(|door| door.is_behind_proxy);
        let forwarded = request.headers.get_all(FORWARDED_FOR).iter().next_back().filter(|_| is_behind_proxy);
        let forwarded = forwarded.and_then(|header| header.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        let peer = request.extensions.get::<Peer>().map(|peer| peer.0);
        forwarded.or(peer).map(|address: IpAddr| address.to_canonical())
    }
}

/// Who asks, as far as guesses are counted: an address, of IPv6 what one line has (a /64).
pub(crate) fn line_of(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

impl UserDoor {
    /// The user of a name and a password, if they belong together.
    pub(crate) async fn proven(&self, name: &str, password: &[u8]) -> Result<Option<User>, UsersError> {
        let _turn = self.trying.acquire().await;
        let (folder, name) = (self.folder.clone(), name.to_owned());
        let password = zeroize::Zeroizing::new(password.to_vec());
        let proven = tokio::task::spawn_blocking(move || users::proven(&folder, &name, &password)).await;
        // A fault of the program lets nobody in.
        proven.unwrap_or(Ok(None))
    }

    /// Whom the proxy has let through, as it says.
    fn passed_by_proxy(&self, headers: &HeaderMap) -> Option<Session> {
        let header = self.proxy.as_ref()?.user_header.as_ref()?;
        let user = self.user(std::str::from_utf8(single(headers, header)?).ok()?)?;
        Some(Session { token: self.token(&user), role: user.role, user: Some(user), leave: None })
    }

    /// What the forms of a user carry whom the proxy lets in: it lasts as long as the program, and is of this user alone.
    fn token(&self, user: &User) -> String {
        let token: Hash = blake3::keyed_hash(&self.key, user.name.as_bytes());
        token.to_string()
    }

    /// Whether a session is of a user whom the proxy has let in.
    fn has_passed(&self, session: &Session) -> bool {
        session.user.as_ref().is_some_and(|user| self.proxy.is_some() && self.token(user) == session.token)
    }

    /// Who else vouches for users.
    pub(crate) const fn oidc(&self) -> Option<&Oidc> {
        self.oidc.as_ref()
    }

    /// A user as the file has it now. One that cannot be read lets nobody in.
    pub(crate) fn user(&self, name: &str) -> Option<User> {
        Users::read(&self.folder).and_then(|users| users.get(name)).unwrap_or_else(|error| {
            tracing::warn!("nobody is let in: {error}");
            None
        })
    }
}

/// What the cookie of this server holds.
pub(crate) fn secret_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut pairs = cookies.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, secret)| secret.to_owned())
}

/// The value of a header that comes once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first.as_bytes())
}
