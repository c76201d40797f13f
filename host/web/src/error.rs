//! Why the page cannot be served at all. What goes wrong while it is served is shown in it (`pages::problem`).

use std::io;
use std::net::SocketAddr;

/// The result of starting and serving.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Others than this machine could ask, and nothing would keep what they say and who they are apart.
    #[error("{address} can be reached from other machines, and the page has neither TLS nor users yet")]
    NotLoopback {
        /// The address that was to be listened at.
        address: SocketAddr,
    },
    /// The system does not give the address.
    #[error("{address} cannot be listened at")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system has no random numbers, without which no link is secret.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}
