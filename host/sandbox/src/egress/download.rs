//! Downloads that no connector asks for: a component that is to be installed, from wherever its publisher offers it.
//!
//! Owned here: following redirects, and bounds. Refused here: what the bytes are worth, which the caller knows by their digest: so it does not
//! matter who sends them. TLS and proxies are those of every endpoint. At most the bytes that the caller allows are held.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, LOCATION, USER_AGENT};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;

use super::client::AGENT;
use super::dial::{CONNECT_TIMEOUT, tcp};
use super::proxy::{Proxies, Way};
use super::tls;
use crate::settings::{HostSettings, ProxySettings, RawSettings, SettingsError, Surroundings};

/// Redirects that are followed: publishers have one or two.
const REDIRECTS_MAX: usize = 5;
/// How long an answer, or a piece of it, may stand still.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A download that failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Not the address of something on a server.
    #[error("`{}` is no address: it must begin with https:// or http:// and name a server", url.escape_debug())]
    Address {
        /// What was given, or what a server redirected to.
        url: String,
    },
    /// What the surroundings say of proxies or certificates.
    #[error(transparent)]
    Surroundings(#[from] SettingsError),
    /// No answer, or one that broke off.
    #[error("{server} does not answer: {cause}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        cause: String,
    },
    /// An answer that holds nothing.
    #[error("{server} answered {status}")]
    Status {
        /// Host and port.
        server: String,
        /// The status.
        status: u16,
    },
    /// More than is allowed.
    #[error("{server} sends more than {bytes_max} bytes")]
    TooLarge {
        /// Host and port.
        server: String,
        /// What is allowed.
        bytes_max: usize,
    },
    /// Servers send from one to the next.
    #[error("more than {REDIRECTS_MAX} redirects lead on from there")]
    Redirects,
}

/// The bytes at an address, at most `bytes_max` of them; `surroundings` are asked for proxies.
///
/// # Errors
/// [`DownloadError`] says who did not send them, and why.
pub async fn download(url: &str, bytes_max: usize, surroundings: &Surroundings<'_>) -> Result<Vec<u8>, DownloadError> {
    let mut address = parse(url)?;
    for _ in 0..=REDIRECTS_MAX {
        match fetch(&address, bytes_max, surroundings).await? {
            Answer::Bytes(bytes) => return Ok(bytes),
            Answer::Redirect(to) => address = parse(&to)?,
        }
    }
    Err(DownloadError::Redirects)
}

enum Answer {
    Bytes(Vec<u8>),
    Redirect(String),
}

fn parse(url: &str) -> Result<Uri, DownloadError> {
    let address = url.parse::<Uri>().ok().filter(|address| {
        matches!(address.scheme_str(), Some("https" | "http")) && address.host().is_some_and(|host| !host.is_empty())
    });
    address.ok_or_else(|| DownloadError::Address { url: url.to_owned() })
}

async fn fetch(address: &Uri, bytes_max: usize, surroundings: &Surroundings<'_>) -> Result<Answer, DownloadError> {
    let server = address.authority().map_or_else(String::new, |authority| {
        // Whoever writes a password there does not want it repeated.
        authority.as_str().rsplit('@').next().unwrap_or_default().to_owned()
    });
    let unreachable = |cause: String| DownloadError::Unreachable { server: server.clone(), cause };
    let use_tls = address.scheme_str() == Some("https");
    let proxy = ProxySettings::of(&RawSettings::default(), surroundings);
    let settings = HostSettings { use_tls, proxy, ..HostSettings::default() };
    let way = Way::secured(tls::client_config(&settings)?, tcp(CONNECT_TIMEOUT), Proxies::new(&settings.proxy)?);
    let pool: Pool<_, Empty<Bytes>> = Pool::builder(TokioExecutor::new()).build(way);
    let request = Request::get(address.clone()).header(USER_AGENT, AGENT).header(ACCEPT, "*/*");
    let request = request.body(Empty::new()).map_err(|error| unreachable(error.to_string()))?;
    let silent = |_| unreachable(format!("nothing came for {} s", IDLE_TIMEOUT.as_secs()));
    let answer = tokio::time::timeout(IDLE_TIMEOUT, pool.request(request)).await.map_err(silent)?;
    let (head, mut body) = answer.map_err(|error| unreachable(causes(&error)))?.into_parts();
    if head.status.is_redirection() {
        let to = head.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let to = to.ok_or(DownloadError::Status { server: server.clone(), status: head.status.as_u16() })?;
        return Ok(Answer::Redirect(absolute(to, address)));
    }
    if !head.status.is_success() {
        return Err(DownloadError::Status { server, status: head.status.as_u16() });
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await.map_err(silent)? {
        let piece = frame.map_err(|error| unreachable(causes(&error)))?.into_data().unwrap_or_default();
        if bytes.len().saturating_add(piece.len()) > bytes_max {
            return Err(DownloadError::TooLarge { server, bytes_max });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Answer::Bytes(bytes.to_vec()))
}

/// Where a redirect leads, which may leave out the server.
fn absolute(to: &str, from: &Uri) -> String {
    let server = format!("{}://{}", from.scheme_str().unwrap_or("https"), from.authority().map_or("", |a| a.as_str()));
    match to.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => format!("{}:{to}", from.scheme_str().unwrap_or("https")),
        Some(_) => format!("{server}{to}"),
        None => to.to_owned(),
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
