//! Tries the way to the endpoints step by step, as far as it goes without the connector: address, connection, TLS, clock, credentials.
//!
//! Each endpoint gets one unsigned `HEAD` of its own path, whose answer may be anything. Called by `check` commands.

use std::net::SocketAddr;
use std::time::SystemTime;

use credenza_connect::{Check, Error, ErrorClass, Payload, Result};
use http::uri::Scheme;

use super::route::Route;
use super::{Egress, EgressError, Response, clock};

/// Addresses of a name that are told.
const ADDRESSES_MAX: usize = 4;

impl Egress {
    /// A line for each step; those after a failed one are left out.
    pub(crate) async fn trial(&self) -> Vec<Check> {
        let mut lines = Vec::new();
        for route in self.routes.values() {
            self.try_route(route, &mut lines).await;
        }
        lines
    }

    async fn try_route(&self, route: &Route, lines: &mut Vec<Check>) {
        let authority = &route.authority;
        if let Some(proxy) = self.way_to(route) {
            // It looks names up itself; here there may be no service for them.
            lines.push(line("proxy", Ok(format!("{authority} is reached through {proxy}"))));
        } else {
            let address = addresses(route).await;
            let resolved = address.is_ok();
            lines.push(line("address", address));
            if !resolved {
                return;
            }
        }
        let answer = self.knock(route).await;
        let tls = matches!(&answer, Err(EgressError::Unreachable { reason: "tls", .. }));
        if let Some(error) = answer.as_ref().err().filter(|_| !tls) {
            return lines.push(line("connect", Err(unreachable("connect", error))));
        }
        lines.push(line("connect", Ok(format!("{authority} takes connections"))));
        match &answer {
            Err(error) => return lines.push(line("tls", Err(unreachable("tls", error)))),
            Ok(_) => lines.push(line("tls", Ok(self.trust(route)))),
        }
        lines.extend(answer.ok().and_then(|answer| clocks(&answer)).map(|outcome| line("clock", outcome)));
        lines.push(line("credentials", credentials(route).await));
    }

    async fn knock(&self, route: &Route) -> Result<Response, EgressError> {
        let path = if route.base_path.is_empty() { "/" } else { &route.base_path };
        let uri = http::Uri::builder().scheme(route.scheme.clone()).authority(route.authority.clone());
        let refused = |cause: http::Error| EgressError::refused("egress.address", cause.to_string());
        let uri = uri.path_and_query(path).build().map_err(refused)?;
        let head = http::Request::head(uri).body(()).map_err(refused)?;
        self.client.send(head, Payload::default()).await
    }

    /// How the other side proved who it is.
    fn trust(&self, route: &Route) -> String {
        match (route.scheme == Scheme::HTTPS, self.insecure) {
            (false, _) => "none: requests and answers can be read on the way".to_owned(),
            (true, true) => "any certificate is accepted: nobody proved to be the server".to_owned(),
            (true, false) => "the certificate is trusted and is that of the host".to_owned(),
        }
    }
}

async fn addresses(route: &Route) -> Result<String> {
    let default = if route.scheme == Scheme::HTTPS { 443 } else { 80 };
    let host = route.authority.host().trim_matches(['[', ']']);
    let port = route.authority.port_u16().unwrap_or(default);
    let found = tokio::net::lookup_host((host, port)).await.map_err(|cause| {
        let message = format!("{host} is the name of no server ({cause}); check the location and the name service");
        Error::new(ErrorClass::Configuration, "dns", message)
    })?;
    let found: Vec<String> = found.take(ADDRESSES_MAX).map(|address: SocketAddr| address.ip().to_string()).collect();
    Ok(format!("{host} is {}", found.join(", ")))
}

/// Whether the clocks agree, when the answer tells the server's.
fn clocks(answer: &Response) -> Option<Result<String>> {
    let (_, date) = answer.headers.iter().find(|(name, _)| name == "date")?;
    Some(match clock::skew(date, SystemTime::now()) {
        None => Ok("this computer's and the server's agree".to_owned()),
        Some(skew) => Err(Error::new(ErrorClass::Configuration, "clock", skew)),
    })
}

async fn credentials(route: &Route) -> Result<String> {
    let origin = route.signer.origin().await;
    origin
        .map(|origin| format!("from {origin}"))
        .map_err(|error| Error::new(ErrorClass::Configuration, "credentials", error.to_string()))
}

fn unreachable(step: &str, error: &EgressError) -> Error {
    let advice = match step {
        "tls" => "set ca_file to the certificate of its authority, or use_tls=false for a server without TLS",
        _ => "check host, port and use_tls of the location, and what stands between here and there",
    };
    Error::new(ErrorClass::Configuration, "unreachable", format!("{error}; {advice}"))
}

fn line(name: &str, outcome: Result<String>) -> Check {
    Check { name: name.to_owned(), outcome }
}
