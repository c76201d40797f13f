//! Why no answer came, in words that say what to do: the one place for them, whether a connector asked or a `check` tries the way.
//!
//! Owned here: from the error of a connection to a reason, a sentence and advice. Refused here: whether it is tried again, which hangs on whether
//! the endpoint ever answered (`contact`).

use std::error::Error as StdError;
use std::fmt;
use std::io;

use credenza_model::Timestamp;
use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_util::client::legacy::Error as PoolError;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use super::dial::{TooSlow, Unresolved};
use super::proxy::ByProxy;

/// Names of a certificate that are reported.
const NAMES_MAX: usize = 4;

const CHECK_PORT: &str = "check host and port of the location, and what stands between here and there";
const CHECK_WAY: &str = "check what stands between here and there";
const CHECK_NAME: &str = "check the location and the name service";
const MAY_BE_PLAIN: &str = "set use_tls=false if it is a server without TLS, else correct host and port";
const MAY_BE_TLS: &str = "set use_tls=true if it is a server with TLS, else correct host and port";
const SET_AUTHORITY: &str = "set ca_file to the certificate of its authority";
const RENEW: &str = "renew it at the server, or set the clock of this computer if that is wrong";
const USE_ITS_NAME: &str = "name the server as its certificate does, in the location or by host";
const CHECK_PROXY: &str = "check its address, or set proxy=none to do without";
const GIVE_PROXY_KEYS: &str = "write them into its address: http://USER:PASSWORD@HOST:PORT";

/// What a fault says of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What is there is not what the settings say, and stays so until one of both is mended.
    Misfit,
    /// Nothing is there.
    Absent,
    /// Something is there, and gave no answer this time.
    Silent,
    /// Something is there, and its answer broke off.
    BrokenOff,
}

/// A request that got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Short machine-readable cause.
    pub(crate) reason: &'static str,
    /// What happened, to what.
    pub(crate) what: String,
    /// What to do.
    pub(crate) advice: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.advice)
    }
}

impl Fault {
    /// Of a request to `to`, by what its connection says.
    pub(crate) fn of(error: &PoolError, method: &http::Method, to: &Uri) -> Self {
        let server = to.authority().map_or("", |authority| authority.as_str());
        if error.is_connect() {
            return Self::connecting(error, server, to.scheme() == Some(&Scheme::HTTPS));
        }
        if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
            return Self::new(Kind::Misfit, "http.not-http", format!("{server} does not answer in HTTP"), MAY_BE_TLS);
        }
        Self::new(Kind::BrokenOff, "http.interrupted", format!("{method} {server}: {}", causes(error)), CHECK_WAY)
    }

    /// Nothing came for so many seconds.
    pub(crate) fn silent(method: &http::Method, to: &Uri, seconds: u64) -> Self {
        let server = to.authority().map_or("", |authority| authority.as_str());
        Self::new(Kind::Silent, "http.timeout", format!("{method} {server}: no answer within {seconds} s"), CHECK_WAY)
    }

    /// A name that leads nowhere.
    pub(crate) fn unresolved(error: &Unresolved) -> Self {
        Self::new(Kind::Absent, "dns", error.to_string(), CHECK_NAME)
    }

    /// A server and a path that make no address.
    pub(crate) fn no_address(server: &Authority, cause: &http::Error) -> Self {
        Self::new(Kind::Misfit, "egress.address", format!("{server} cannot be addressed ({cause})"), CHECK_PORT)
    }

    /// A proxy that wants to know who asks.
    pub(crate) fn proxy_wants_keys(proxy: &str) -> Self {
        let what = format!("the proxy {proxy} wants a user and password, or others than it got");
        Self::new(Kind::Misfit, "proxy", what, GIVE_PROXY_KEYS)
    }

    /// Whether there was a connection, on which TLS was spoken and should not have been, or the reverse, or went wrong.
    pub(crate) fn is_of_tls(&self) -> bool {
        matches!(self.reason, "tls" | "http.not-http")
    }

    fn connecting(error: &PoolError, server: &str, with_tls: bool) -> Self {
        if let Some(ByProxy { proxy, wants_keys, .. }) = find(error) {
            let what = || format!("the proxy {proxy} opens no way to {server} ({})", innermost(error));
            return if *wants_keys {
                Self::proxy_wants_keys(proxy)
            } else {
                Self::new(Kind::Absent, "proxy", what(), CHECK_PROXY)
            };
        }
        if let Some(error) = find::<Unresolved>(error) {
            return Self::unresolved(error);
        }
        if let Some(error) = find::<rustls::Error>(error) {
            return Self::securing(error, server);
        }
        if let Some(TooSlow { seconds }) = find(error) {
            let what = format!("{server} is not connected within {seconds} s");
            return Self::new(Kind::Absent, "connect", what, CHECK_PORT);
        }
        let broke_off = |kind| matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
        match chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last().map(io::Error::kind) {
            Some(kind) if with_tls && broke_off(kind) => {
                let what = format!("{server} speaks no TLS: it closes the connection when TLS begins");
                Self::new(Kind::Absent, "tls", what, MAY_BE_PLAIN)
            }
            Some(io::ErrorKind::ConnectionRefused) => {
                Self::new(Kind::Absent, "connect", format!("{server} refuses connections"), CHECK_PORT)
            }
            _ => {
                let what = format!("{server} cannot be connected ({})", innermost(error));
                Self::new(Kind::Absent, "connect", what, CHECK_PORT)
            }
        }
    }

    fn securing(error: &rustls::Error, server: &str) -> Self {
        let (what, advice) = match error {
            rustls::Error::InvalidMessage(_) => (format!("{server} speaks no TLS"), MAY_BE_PLAIN),
            rustls::Error::InvalidCertificate(cause) => {
                let (what, advice) = certificate(cause);
                (format!("the certificate of {server} {what}"), advice)
            }
            other => (format!("TLS with {server} fails: {other}"), CHECK_PORT),
        };
        Self::new(Kind::Misfit, "tls", what, advice)
    }

    fn new(kind: Kind, reason: &'static str, what: String, advice: &'static str) -> Self {
        Self { kind, reason, what, advice }
    }
}

fn certificate(cause: &CertificateError) -> (String, &'static str) {
    use CertificateError as E;
    match cause {
        E::UnknownIssuer => ("is of an authority that is not trusted here".to_owned(), SET_AUTHORITY),
        E::Expired => ("has expired".to_owned(), RENEW),
        E::ExpiredContext { not_after, .. } => (format!("has expired, at {}", time(*not_after)), RENEW),
        E::NotValidYet => ("does not hold yet".to_owned(), RENEW),
        E::NotValidYetContext { not_before, .. } => (format!("holds from {} only", time(*not_before)), RENEW),
        E::NotValidForName => ("is for another name".to_owned(), USE_ITS_NAME),
        E::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().take(NAMES_MAX).map(String::as_str).collect();
            (format!("is for another name ({})", names.join(", ")), USE_ITS_NAME)
        }
        other => (format!("is not accepted ({other})"), SET_AUTHORITY),
    }
}

fn time(time: UnixTime) -> Timestamp {
    Timestamp { seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), nanoseconds: 0 }
}

/// An error and its causes, outermost first. An `io::Error` shows the source of its content, not the content.
fn chain<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| cause_of(*error))
}

fn cause_of<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(content) => Some(content),
        None => error.source(),
    }
}

fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

/// An error with its causes in one line.
pub(super) fn causes(error: &dyn StdError) -> String {
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
