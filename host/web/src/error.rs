//! Why the page cannot be served at all. What goes wrong while it is served is shown in it (`pages::problem`).

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// The system does not give the address.
    #[error("{address} cannot be listened at")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
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
    /// A file that has no certificate or key in PEM.
    #[error("{} cannot be used for TLS: {why}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A certificate that does not fit its key, or is none that TLS can use.
    #[error("TLS cannot be spoken with the certificate in {}: {why}", path.display())]
    Tls {
        /// The file of the certificate.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The system has no random numbers, without which no link is secret.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}
