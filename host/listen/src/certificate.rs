//! What a server proves itself with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::speak::Tls;
use crate::{Error, Result};

/// A chain of certificates and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain, that of the server first.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Certificate {
    /// What speaks TLS with it. The files are read once.
    ///
    /// # Errors
    /// [`Error::Pem`], [`Error::Tls`].
    pub fn tls(&self) -> Result<Tls> {
        let Self { chain: path, key } = self;
        let pem = |path: &Path, error: PemError| Error::Pem { path: path.to_owned(), why: error.to_string() };
        let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| pem(path, error))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| Error::Tls { path: path.clone(), why: error.to_string() })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }
}
