//! Downloads that no connector asks for: a component that is to be installed, from wherever its publisher offers it.
//!
//! Owned here: following redirects, and bounds. Refused here: what the bytes are worth, which the caller knows by their digest: so it does not
//! matter who sends them. Sent by `exchange`; at most the bytes that the caller allows are held.

use bytes::Bytes;
use http::header::{ACCEPT, LOCATION};
use http::{Request, Uri};

use super::exchange::{ExchangeError, absolute, exchange, server_of};
use crate::settings::Surroundings;

/// Redirects that are followed: publishers have one or two.
const REDIRECTS_MAX: usize = 5;

/// A download that failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Not the address of something on a server.
    #[error("`{}` is no address: it must begin with https:// or http:// and name a server", url.escape_debug())]
    Address {
        /// What was given, or what a server redirected to.
        url: String,
    },
    /// No answer, or one that is too long.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// An answer that holds nothing.
    #[error("{server} answered {status}")]
    Status {
        /// Host and port.
        server: String,
        /// The status.
        status: u16,
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
    let request = Request::get(address.clone()).header(ACCEPT, "*/*").body(Bytes::new());
    let request = request.map_err(|_| DownloadError::Address { url: address.to_string() })?;
    let reply = exchange(request, bytes_max, surroundings).await?;
    match (reply.status, reply.header(&LOCATION)) {
        (200..=299, _) => Ok(Answer::Bytes(reply.body)),
        (300..=399, Some(to)) => Ok(Answer::Redirect(absolute(to, address))),
        (status, _) => Err(DownloadError::Status { server: server_of(address), status }),
    }
}
