//! Tries the way to the endpoints step by step, as far as it goes without the connector: address, connection, TLS, clock, credentials.
//!
//! Each endpoint gets one unsigned `HEAD` of its own path, whose answer may be anything, on a connection that is not used again: WsgiDAV 4.4 answers
//! a `HEAD` that it refuses with a body, which RFC 9110 section 9.3.2 forbids, and the next request there would meet that body for an answer.
//! Called by `check` commands.

use credenza_connect::{Check, Error, ErrorClass, Payload, Result};
use http::header::CONNECTION;
use http::uri::Scheme;

use super::dial::Resolver;
use super::fault::Fault;
use super::route::Route;
use super::{Egress, Response, clock};

/// Addresses of a name that are reported.
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
        let answer = match self.knock(route).await {
            Ok(answer) => answer,
            Err(fault) if fault.is_of_tls() => {
                lines.push(line("connect", Ok(format!("{authority} takes connections"))));
                return lines.push(line("tls", Err(unreachable(&fault))));
            }
            Err(fault) => return lines.push(line("connect", Err(unreachable(&fault)))),
        };
        lines.push(line("connect", Ok(format!("{authority} takes connections"))));
        lines.push(line("tls", Ok(self.trust(route))));
        lines.extend(clocks(&answer).map(|outcome| line("clock", outcome)));
        lines.push(line("credentials", credentials(route).await));
    }

    async fn knock(&self, route: &Route) -> Result<Response, Fault> {
        let path = if route.base_path.is_empty() { "/" } else { &route.base_path };
        let uri = http::Uri::builder().scheme(route.scheme.clone()).authority(route.authority.clone());
        let head = uri.path_and_query(path).build();
        let head = head.and_then(|uri| http::Request::head(uri).header(CONNECTION, "close").body(()));
        let head = head.map_err(|cause| Fault::no_address(&route.authority, &cause))?;
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
    let found = Resolver::addresses(host, port).await.map_err(|error| unreachable(&Fault::unresolved(&error)))?;
    let found: Vec<String> = found.iter().take(ADDRESSES_MAX).map(|address| address.ip().to_string()).collect();
    Ok(format!("{host} is {}", found.join(", ")))
}

/// Whether the clocks agree, when the answer tells the server's.
fn clocks(answer: &Response) -> Option<Result<String>> {
    let (_, date) = answer.headers.iter().find(|(name, _)| name == "date")?;
    Some(match clock::skew(date, clock::now()) {
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

fn unreachable(fault: &Fault) -> Error {
    Error::new(ErrorClass::Configuration, fault.reason, fault.to_string())
}

fn line(name: &str, outcome: Result<String>) -> Check {
    Check { name: name.to_owned(), outcome }
}
