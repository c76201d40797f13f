//! The names under which a server is asked for.
//!
//! On this machine it is a name below `localhost` that nobody can guess, new at each start. Browsers send cookies to every port of a host, and take all ports
//! of one for the same site: under a name of its own the page is a site of its own, and no other program on this machine is handed its session or can send a
//! form that passes for one of this site. Names below `localhost` are this machine in every browser (RFC 6761, section 6.3; Chromium, Firefox and WebKitGTK
//! look none of them up), and in `curl`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use credenza_listen::{HTTP, HTTPS, name_at, without_usual_port};

use crate::error::Result;
use crate::reach::{Others, Reach, Way};
use crate::session::{hexadecimal, random_bytes};

/// The cookie where browsers hold it to one host and TLS.
const SECURE_COOKIE: &str = "__Host-credenza";

/// The names under which this server is asked for, with the port.
pub(crate) struct Hosts {
    scheme: &'static str,
    names: Vec<String>,
}

impl Hosts {
    /// Those of a server that listens there.
    pub(crate) fn of(address: SocketAddr, reach: &Reach) -> Result<Self> {
        match reach {
            Reach::Machine => Ok(Self::here(address, &hexadecimal(&random_bytes::<16>()?))),
            Reach::Others(others) => Ok(Self::outside(address, others)),
        }
    }

    /// The name below `localhost`. Another address of this machine than the usual one has no name, and is a host of its own.
    pub(crate) fn here(address: SocketAddr, label: &str) -> Self {
        let usual = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let name = match usual.contains(&address.ip()) {
            true => format!("{label}.localhost:{}", address.port()),
            false => address.to_string(),
        };
        Self { scheme: "http", names: vec![without_usual_port(&name, HTTP)] }
    }

    fn outside(address: SocketAddr, others: &Others) -> Self {
        let port = match others.way {
            Way::Tls(_) => address.port(),
            // The proxy listens at the usual one.
            Way::Proxy(_) => HTTPS,
        };
        Self { scheme: "https", names: others.hosts.iter().map(|host| name_at(host, port, HTTPS)).collect() }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    pub(crate) fn is_origin(&self, origin: &str) -> bool {
        origin.strip_prefix(self.scheme).and_then(|rest| rest.strip_prefix("://")).is_some_and(|name| self.has(name))
    }

    /// Whether browsers speak TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// `http` or `https`.
    pub(crate) const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The first of them.
    pub(crate) fn first(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The name of the cookie.
    pub(crate) fn cookie(&self, address: SocketAddr) -> String {
        match self.is_secure() {
            true => SECURE_COOKIE.to_owned(),
            false => format!("credenza-{}", address.port()),
        }
    }
}

#[cfg(test)]
mod tests {
    use credenza_listen::Certificate;

    use super::*;

    #[test]
    fn a_server_has_the_names_that_browsers_write() {
        let at = |text: &str| text.parse().unwrap();
        let names = |hosts: Hosts| (hosts.first().to_owned(), hosts.is_secure());
        assert_eq!(names(Hosts::here(at("127.0.0.1:4711"), "x")), ("x.localhost:4711".to_owned(), false));
        assert_eq!(names(Hosts::here(at("[::1]:80"), "x")), ("x.localhost".to_owned(), false));
        assert_eq!(names(Hosts::here(at("127.7.7.7:4711"), "x")), ("127.7.7.7:4711".to_owned(), false));
        let tls = Way::Tls(Certificate { chain: "c".into(), key: "k".into() });
        for (host, way, listen, name) in [
            ("b.example", tls.clone(), "0.0.0.0:443", "b.example"),
            ("b.example", tls.clone(), "0.0.0.0:8443", "b.example:8443"),
            ("b.example:443", tls, "0.0.0.0:8443", "b.example"),
            ("b.example", Way::Proxy(None), "127.0.0.1:8080", "b.example"),
        ] {
            let others = Others { hosts: vec![host.to_owned()], way, provider: None };
            assert_eq!(names(Hosts::outside(at(listen), &others)), (name.to_owned(), true), "{host} at {listen}");
        }
    }
}
