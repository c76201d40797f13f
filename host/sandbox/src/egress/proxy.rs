//! The way to a server: straight, or through a proxy that the settings or the environment name.
//!
//! Owned here: whether a proxy is used, and the connection. To a server with TLS it is a tunnel (`CONNECT`), in which TLS is as without a proxy; other
//! requests go to the proxy in its own form. Refused here: SOCKS. This machine and its own network segment are reached straight, unless the setting says otherwise.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::dial::{Bounded, Tcp};
use crate::settings::{Named, ProxyChoice, ProxySettings, SettingsError};

/// The proxies of a configured connector.
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// What is reached without.
    except: Vec<Exception>,
    /// The setting names it, so that nothing is reached without.
    is_told: bool,
}

struct Proxy {
    origin: String,
    way: Intercept,
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxies(***)")
    }
}

impl Proxies {
    /// # Errors
    /// [`SettingsError::Proxy`] when an address is none of a proxy that can be used.
    pub(crate) fn new(settings: &ProxySettings) -> Result<Arc<Self>, SettingsError> {
        let (http, https, is_told) = match &settings.choice {
            None => (settings.http.as_ref(), settings.https.as_ref(), false),
            Some(ProxyChoice::None) => (None, None, true),
            Some(ProxyChoice::Proxy(named)) => (Some(named), Some(named), true),
        };
        let except = if is_told { "" } else { settings.except.as_str() };
        let except = except.split([',', ' ']).filter(|part| !part.is_empty()).map(Exception::new).collect();
        Ok(Arc::new(Self {
            http: http.map(Proxy::new).transpose()?,
            https: https.map(Proxy::new).transpose()?,
            except,
            is_told,
        }))
    }

    /// What a person is reported the way to a server, if it is not the straight one.
    pub(crate) fn told_of(&self, to: &Uri) -> Option<String> {
        self.of(to).map(Proxy::reported)
    }

    /// What proves to the proxy who asks, for a request that it gets in its own form.
    pub(crate) fn authorization(&self, to: &Uri) -> Option<&HeaderValue> {
        self.of(to).filter(|_| to.scheme_str() == Some("http")).and_then(|proxy| proxy.way.basic_auth())
    }

    fn of(&self, to: &Uri) -> Option<&Proxy> {
        let proxy = if to.scheme_str() == Some("https") { self.https.as_ref() } else { self.http.as_ref() };
        let is_excepted =
            || is_near(to.host().unwrap_or_default()) || self.except.iter().any(|except| except.holds(to));
        proxy.filter(|_| self.is_told || !is_excepted())
    }
}

impl Proxy {
    /// Its address without a password, and who names it.
    fn reported(&self) -> String {
        let user = if self.way.basic_auth().is_some() { "***@" } else { "" };
        let scheme = self.way.uri().scheme_str().unwrap_or_default();
        let authority = self.way.uri().authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{user}{authority} ({})", self.origin)
    }

    fn new(named: &Named) -> Result<Self, SettingsError> {
        let unusable = |cause| SettingsError::Proxy { origin: named.origin.clone(), cause };
        // The parts of an address are looked at by the one that reads it; what it matches does not matter.
        let reader = Matcher::builder().http(named.address.expose().to_owned()).build();
        let way = reader.intercept(&Uri::from_static("http://server.invalid/"));
        let way = way.ok_or_else(|| unusable("it is no address such as http://proxy.example.com:3128"))?;
        match way.uri().scheme_str() {
            Some("http" | "https") => Ok(Self { origin: named.origin.clone(), way }),
            _ => Err(unusable("it is a SOCKS proxy, and only those of HTTP can be used")),
        }
    }
}

/// A part of `NO_PROXY`: a host, its domain (`.example.com`, as some write it `*.example.com`), an address or a network, with a port if only that
/// one is meant, as curl and others read them.
struct Exception {
    hosts: Matcher,
    port: Option<u16>,
}

impl Exception {
    fn new(part: &str) -> Self {
        let (host, port) = match part.rsplit_once(':') {
            // An address of the sixth version that is not in brackets has no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (part, None),
            },
            _ => (part, None),
        };
        let host = host.trim_matches(['[', ']']);
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        // What would be the way of all else is never used: it tells the excepted from the others.
        Self { hosts: Matcher::builder().all("http://proxy.invalid").no(host).build(), port }
    }

    fn holds(&self, to: &Uri) -> bool {
        let port = || to.port_u16().unwrap_or(if to.scheme_str() == Some("https") { 443 } else { 80 });
        self.hosts.intercept(to).is_none() && self.port.is_none_or(|only| only == port())
    }
}

/// This machine, and what only its own segment of the network reaches.
fn is_near(host: &str) -> bool {
    let name = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    // An address of the fourth version may come in the dress of the sixth.
    match name.parse().map(|address: IpAddr| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local() || address.is_unspecified(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

type Socket = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn StdError + Send + Sync>;

/// Connects to servers, or to the proxies before them.
#[derive(Clone)]
pub(crate) struct Way {
    tcp: Tcp,
    to_proxy: HttpsConnector<Tcp>,
    proxies: Arc<Proxies>,
}

impl Way {
    /// Connections with TLS where an address asks for it, made within a bound.
    pub(crate) fn secured(tls: rustls::ClientConfig, tcp: Tcp, proxies: Arc<Proxies>) -> Bounded<HttpsConnector<Self>> {
        let secured = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let to_proxy = secured().wrap_connector(tcp.clone());
        Bounded(secured().wrap_connector(Self { tcp, to_proxy, proxies }))
    }
}

impl Service<Uri> for Way {
    type Response = Line;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Line, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.of(&to) else {
            let straight = self.tcp.call(to);
            return Box::pin(async move { Ok(Line { socket: straight.await?.into(), is_to_proxy: false }) });
        };
        let (way, reported) = (&proxy.way, proxy.reported());
        if to.scheme_str() != Some("https") {
            let connection = self.to_proxy.call(way.uri().clone());
            return Box::pin(async move {
                let socket = connection.await.map_err(|cause| ByProxy { proxy: reported, wants_keys: false, cause })?;
                Ok(Line { socket, is_to_proxy: true })
            });
        }
        let mut tunnel = Tunnel::new(way.uri().clone(), self.to_proxy.clone());
        if let Some(authorization) = way.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let through = tunnel.call(to);
        Box::pin(async move {
            let socket = through.await.map_err(|cause| {
                // The library tells this answer from others by its text alone.
                let wants_keys = cause.to_string().contains("proxy authorization required");
                ByProxy { proxy: reported, wants_keys, cause: cause.into() }
            })?;
            Ok(Line { socket, is_to_proxy: false })
        })
    }
}

/// A proxy that opened no way.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} opened no way")]
pub(super) struct ByProxy {
    /// Its address without a password, and who names it.
    pub(super) proxy: String,
    /// It wants to know who asks.
    pub(super) wants_keys: bool,
    #[source]
    cause: BoxError,
}

/// A connection.
pub(crate) struct Line {
    socket: Socket,
    /// Requests go out in the form of a proxy, with the whole address.
    is_to_proxy: bool,
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.socket.connected().proxy(self.is_to_proxy)
    }
}

impl Read for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SecretText;

    fn named(address: &str) -> Option<Named> {
        Some(Named { origin: "HTTPS_PROXY".to_owned(), address: SecretText::new(address) })
    }

    fn way(settings: &ProxySettings, to: &str) -> Option<String> {
        Proxies::new(settings).unwrap().told_of(&to.parse().unwrap())
    }

    #[test]
    fn a_proxy_of_the_environment_serves_its_scheme_but_for_exceptions_and_this_machine() {
        let settings = ProxySettings {
            https: named("http://me:hunter2@proxy.example.com:3128"),
            except: "internal.example.com, 10.0.0.0/8,*.corp.example.com one.example.com:8443,[fd00::1]:443,fd00::2"
                .to_owned(),
            ..ProxySettings::default()
        };
        let shown = "http://***@proxy.example.com:3128 (HTTPS_PROXY)".to_owned();
        for by_proxy in [
            "https://s3.example.com/",
            "https://xcorp.example.com/",
            "https://one.example.com/",
            "https://[fd00::1]:444/",
            "https://[fd00::3]/",
        ] {
            assert_eq!(way(&settings, by_proxy).as_ref(), Some(&shown), "{by_proxy}");
        }
        for straight in [
            "http://s3.example.com/",
            "https://internal.example.com/",
            "https://a.internal.example.com/",
            "https://10.1.2.3/",
            "https://a.corp.example.com/",
            "https://one.example.com:8443/",
            "https://[fd00::1]/",
            "https://[fd00::2]:9000/",
            "https://localhost:9000/",
            "https://127.0.0.2/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/",
        ] {
            assert_eq!(way(&settings, straight), None, "{straight}");
        }
    }

    #[test]
    fn the_setting_sends_everything_through_its_proxy_or_nothing() {
        let Some(proxy) = named("proxy.example.com:3128") else { unreachable!() };
        let all = ProxySettings {
            choice: Some(ProxyChoice::Proxy(proxy)),
            except: "*".to_owned(),
            ..ProxySettings::default()
        };
        assert!(way(&all, "http://localhost:1/").is_some() && way(&all, "https://h/").is_some());
        let none =
            ProxySettings { choice: Some(ProxyChoice::None), https: named("http://p"), ..ProxySettings::default() };
        assert_eq!(way(&none, "https://h/"), None);
    }

    #[test]
    fn an_address_that_is_no_proxy_is_refused_without_repeating_it() {
        for address in ["socks5://me:hunter2@p:1080", "ftp://me:hunter2@p", "://hunter2"] {
            let error = Proxies::new(&ProxySettings { http: named(address), ..ProxySettings::default() }).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("HTTPS_PROXY") && !text.contains("hunter2"), "{text}");
        }
    }
}
