//! Why nothing listens.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The result of listening.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not give the address.
    #[error("{address} cannot be listened at")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
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
}
