//! Why the page cannot be served at all. What goes wrong while it is served is shown in it (`pages::problem`).

use std::net::SocketAddr;

use credenza_app::users::UsersError;

use crate::reach::PROXY_SECRET_BYTES_MIN;

/// The result of starting and serving.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Others than this machine could ask, and nothing would keep what they say and who they are apart.
    #[error("{address} can be reached from other machines, and nothing says how they are kept apart")]
    NotLoopback {
        /// The address that was to be listened at.
        address: SocketAddr,
    },
    /// Nothing listens there.
    #[error(transparent)]
    Listen(#[from] credenza_listen::Error),
    /// Others are to be served, and nothing says under which name they ask.
    #[error("nothing says under which name browsers ask for the page")]
    NoHost,
    /// Others are to be served, and nobody is a user.
    #[error("the page has no users yet, and nobody else is let in from other machines")]
    NoUsers,
    /// The users cannot be read.
    #[error(transparent)]
    Users(Box<UsersError>),
    /// A secret of a proxy that can be guessed.
    #[error("the secret of the proxy has {bytes} bytes, and {PROXY_SECRET_BYTES_MIN} are the least")]
    WeakProxySecret {
        /// What it has.
        bytes: usize,
    },
    /// An identity provider that cannot be one.
    #[error("`{issuer}` cannot be the identity provider: {why}")]
    Provider {
        /// Its issuer.
        issuer: String,
        /// Why.
        why: String,
    },
    /// The system has no random numbers, without which no link is secret.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}
