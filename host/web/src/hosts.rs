//! The names under which a server is asked for.

use std::net::SocketAddr;

/// The names under which this server is asked for, with the port.
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let mut names = vec![address.to_string(), format!("localhost:{}", address.port())];
        // A browser leaves out the port that goes without saying.
        if address.port() == 80 {
            let names_alone: Vec<String> =
                names.iter().filter_map(|name| Some(name.strip_suffix(":80")?.to_owned())).collect();
            names.extend(names_alone);
        }
        Self(names)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    pub(crate) fn is_origin(&self, origin: &str) -> bool {
        origin.strip_prefix("http://").is_some_and(|name| self.has(name))
    }
}

/// The name of the cookie. Those of other ports are sent along, so that each server has its own.
pub(crate) fn cookie_name(address: SocketAddr) -> String {
    format!("credenza-{}", address.port())
}
