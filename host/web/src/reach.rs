//! Who can reach the page: this machine alone, or others, and then by TLS or through a proxy, and as users.
//!
//! Owned here: what a program says of that, and whether it can be served so. Refused here: who a request is from (`door`).

use std::net::SocketAddr;
use std::path::Path;

use credenza_app::users::Users;
use credenza_listen::Certificate;
use http::HeaderName;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::oidc::Provider;

/// Who can reach the page.
#[derive(Debug, Clone)]
pub enum Reach {
    /// Browsers on this machine, which enter by a link.
    Machine,
    /// Others, which log in as users.
    Others(Others),
}

/// How others reach the page.
#[derive(Debug, Clone)]
pub struct Others {
    /// The names that browsers ask for, with a port where it is not the usual one.
    pub hosts: Vec<String>,
    /// What keeps what passes from those in between.
    pub way: Way,
    /// Who else vouches for users, beside their passwords.
    pub provider: Option<Provider>,
}

/// What keeps what passes from those in between.
#[derive(Debug, Clone)]
pub enum Way {
    /// TLS; the files of the certificate are read once.
    Tls(Certificate),
    /// A proxy in front of it, which speaks TLS with browsers.
    Proxy(Option<TrustedProxy>),
}

/// A proxy that proves with each request that it is the one.
#[derive(Clone)]
pub struct TrustedProxy {
    /// What it sends as `X-Credenza-Proxy-Secret`, and nobody else knows.
    pub secret: Zeroizing<Vec<u8>>,
    /// The header by which it says who the user is that it has let through, if it does.
    pub user_header: Option<HeaderName>,
}

impl std::fmt::Debug for TrustedProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedProxy").field("user_header", &self.user_header).finish_non_exhaustive()
    }
}

/// Fewest bytes of a secret that a proxy shares.
pub(crate) const PROXY_SECRET_BYTES_MIN: usize = 16;

impl Reach {
    /// Refuses to serve others without a name, a user, or a secret that cannot be guessed; and at this machine alone what others can reach.
    pub(crate) fn check(&self, listen: SocketAddr, folder: Option<&Path>) -> Result<()> {
        let Self::Others(others) = self else {
            return if listen.ip().is_loopback() { Ok(()) } else { Err(Error::NotLoopback { address: listen }) };
        };
        if others.hosts.is_empty() {
            return Err(Error::NoHost);
        }
        if let Way::Proxy(Some(proxy)) = &others.way
            && proxy.secret.len() < PROXY_SECRET_BYTES_MIN
        {
            return Err(Error::WeakProxySecret { bytes: proxy.secret.len() });
        }
        let folder = folder.ok_or(Error::NoUsers)?;
        match Users::read(folder)
            .and_then(|users| users.all())
            .map_err(|error| Error::Users(Box::new(error)))?
            .is_empty()
        {
            true => Err(Error::NoUsers),
            false => Ok(()),
        }
    }

    /// What this server proves itself with, where it speaks TLS.
    pub(crate) const fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Others(Others { way: Way::Tls(certificate), .. }) => Some(certificate),
            _ => None,
        }
    }
}
