//! The HTTP client with which credentials are looked up: of the instance, the container, or AWS's token service.
//!
//! Owned here: the same TLS as that of every endpoint, with the roots of the system, and the same proxies for what is asked with TLS; who is asked
//! without lives on this machine or beside it. Refused here: which address is asked, retries and what the
//! answer means (the caller's chain). At most [`ANSWER_BYTES_MAX`] of an answer are held.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;

use super::dial::{Bounded, tcp};
use super::proxy::{Proxies, Way};
use super::tls;
use crate::settings::{HostSettings, ProxySettings, RawSettings, SettingsError, Surroundings};

/// Credentials are some kilobytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// When the caller says nothing else.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends the requests of AWS's chain of credentials.
#[derive(Debug, Clone, Default)]
pub struct LookupClient {
    proxy: ProxySettings,
}

impl LookupClient {
    /// A client that heeds the proxies that the settings or the surroundings name.
    #[must_use]
    pub fn new(settings: &RawSettings, surroundings: &Surroundings<'_>) -> Self {
        Self { proxy: ProxySettings::of(settings, surroundings) }
    }
}

impl HttpClient for LookupClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Lookup {
            connect_timeout: settings.connect_timeout().unwrap_or(TIMEOUT),
            answer_timeout: settings.read_timeout().unwrap_or(TIMEOUT),
            proxy: self.proxy.clone(),
        })
    }
}

#[derive(Debug, Clone)]
struct Lookup {
    connect_timeout: Duration,
    answer_timeout: Duration,
    proxy: ProxySettings,
}

impl HttpConnector for Lookup {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let lookup = self.clone();
        HttpConnectorFuture::new(async move {
            let whole = lookup.connect_timeout.saturating_add(lookup.answer_timeout);
            let answer = tokio::time::timeout(whole, lookup.send(request)).await;
            answer.unwrap_or_else(|elapsed| Err(ConnectorError::timeout(elapsed.into())))
        })
    }
}

impl Lookup {
    /// Look-ups are rare, so that no connection is kept.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
        let request = request.map(|body| Full::new(Bytes::copy_from_slice(body.bytes().unwrap_or_default())));
        let pool = self.pool(request.uri().scheme_str() == Some("https"));
        let pool = pool.map_err(|e| ConnectorError::user(e.into()))?;
        let (head, body) = pool.request(request).await.map_err(|e| ConnectorError::io(e.into()))?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(ConnectorError::io)?;
        let answer = http::Response::from_parts(head, SdkBody::from(body.to_bytes()));
        HttpResponse::try_from(answer).map_err(|e| ConnectorError::user(e.into()))
    }

    fn pool(&self, use_tls: bool) -> Result<Pool<Bounded<HttpsConnector<Way>>, Full<Bytes>>, SettingsError> {
        let proxy = if use_tls { self.proxy.clone() } else { ProxySettings::default() };
        let settings = HostSettings { use_tls, proxy, ..HostSettings::default() };
        let tcp = tcp(self.connect_timeout);
        let connector = Way::secured(tls::client_config(&settings)?, tcp, Proxies::new(&settings.proxy)?);
        Ok(Pool::builder(TokioExecutor::new()).build(connector))
    }
}
