//! Asking an identity provider: over TLS with the roots of the system, no redirects, bounded in bytes and time.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long one may take.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Why a provider has not given what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// An address that is not asked: without TLS, of another machine, or with a name and a password in it.
    #[error("`{0}` is no https address")]
    Address(String),
    /// The system has no roots to trust.
    #[error("the system has no certificates to trust: {0}")]
    Roots(std::io::Error),
    /// It cannot be reached, or breaks off.
    #[error("it cannot be reached: {0}")]
    Reach(String),
    /// It takes too long.
    #[error("it has not answered within {} seconds", ANSWER_MAX.as_secs())]
    Late,
    /// It refuses.
    #[error("it answers with status {0}")]
    Status(u16),
    /// It says something else than it should.
    #[error("its answer is not what it should be: {0}")]
    Answer(String),
}

/// Asks providers. No connection is kept.
pub(crate) struct Client(Pool<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Client {
    pub(crate) fn new() -> Result<Self, AskError> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(AskError::Roots)?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self(Pool::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)))
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, AskError> {
        let request = Request::get(address_of(address)?).header(ACCEPT, "application/json");
        self.send(request.body(Full::default())).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        address: &str,
        form: String,
        authorization: Option<String>,
    ) -> Result<T, AskError> {
        let request = Request::post(address_of(address)?)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = authorization.iter().fold(request, |request, proof| request.header(AUTHORIZATION, proof));
        self.send(request.body(Full::from(form))).await
    }

    async fn send<T: DeserializeOwned>(&self, request: http::Result<Request<Full<Bytes>>>) -> Result<T, AskError> {
        let request = request.map_err(|error| AskError::Address(error.to_string()))?;
        let asking = async {
            let reach = |error: &dyn std::error::Error| AskError::Reach(error.to_string());
            let (head, body) = self.0.request(request).await.map_err(|error| reach(&error))?.into_parts();
            if !head.status.is_success() {
                return Err(AskError::Status(head.status.as_u16()));
            }
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| reach(&*error))?;
            // What is wrong there may be secret, and is not repeated.
            serde_json::from_slice(&body.to_bytes())
                .map_err(|error| AskError::Answer(format!("line {}, column {}", error.line(), error.column())))
        };
        tokio::time::timeout(ANSWER_MAX, asking).await.unwrap_or(Err(AskError::Late))
    }
}

/// An address that may be asked: one with TLS, or of this machine.
pub(crate) fn address_of(text: &str) -> Result<Uri, AskError> {
    let refused = || AskError::Address(text.chars().take(200).collect());
    let uri: Uri = text.parse().map_err(|_| refused())?;
    let host = uri.host().unwrap_or_default();
    let is_here = ["127.0.0.1", "[::1]", "localhost"].contains(&host);
    let is_safe = uri.scheme_str() == Some("https") || uri.scheme_str() == Some("http") && is_here;
    let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if is_safe && is_plain && !host.is_empty() { Ok(uri) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_tls_or_is_of_this_machine() {
        for good in ["https://login.example/x", "http://127.0.0.1:8080/x", "http://localhost/"] {
            assert!(address_of(good).is_ok(), "{good}");
        }
        for bad in [
            "http://login.example/",
            "https://a:b@login.example/",
            "http://127.0.0.1@evil.example/",
            "ftp://x/",
            "/x",
            "",
        ] {
            assert!(address_of(bad).is_err(), "{bad}");
        }
    }
}
