//! A server on loopback that is no server of S3, or none that a client may trust; it counts the connections that it takes.

use crate::workspace;
use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// What it does with a connection.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Reads what comes first, answers these bytes and closes.
    Answers(&'static [u8]),
    /// Speaks TLS with this certificate of `tests/e2e/certificates`, and nothing after that.
    Tls(&'static str),
    /// Resets the connection.
    Resets,
}

/// A server that runs as long as the process.
#[derive(Debug)]
pub struct WrongServer {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl WrongServer {
    /// Starts one on a port that is free.
    ///
    /// # Errors
    /// When there is no port, or no such certificate.
    pub fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let taken = Arc::new(AtomicUsize::new(0));
        let tls = match &manner {
            Manner::Tls(certificate) => Some(Arc::new(tls(certificate)?)),
            _ => None,
        };
        let count = Arc::clone(&taken);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                count.fetch_add(1, SeqCst);
                // A client that goes away is what is wanted.
                let _ = serve(connection, &manner, tls.clone());
            }
        });
        Ok(Self { address, taken })
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Connections so far.
    pub fn taken(&self) -> usize {
        self.taken.load(SeqCst)
    }
}

/// The file of the authority of all certificates.
pub fn authority_file() -> PathBuf {
    certificates().join("authority.pem")
}

fn certificates() -> PathBuf {
    workspace().join("tests/e2e/certificates")
}

fn tls(certificate: &str) -> Result<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(certificates().join(certificate)).context("no certificate")?];
    let key = PrivateKeyDer::from_pem_file(certificates().join("servers.key")).context("no key")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(chain, key)?)
}

fn serve(mut connection: TcpStream, manner: &Manner, tls: Option<Arc<ServerConfig>>) -> Result<()> {
    match (manner, tls) {
        (Manner::Answers(answer), _) => {
            let mut first = [0; 4096];
            let _ = connection.read(&mut first)?;
            connection.write_all(answer)?;
            // The rest of what came must be read, or closing resets the connection before the answer is read.
            connection.shutdown(Shutdown::Write)?;
            std::io::copy(&mut connection, &mut std::io::sink())?;
        }
        (Manner::Tls(_), Some(tls)) => {
            let mut session = ServerConnection::new(tls)?;
            let went = session.complete_io(&mut connection);
            // The alert says why.
            let _ = session.write_tls(&mut connection);
            went?;
        }
        // Closing with something unread resets.
        (Manner::Resets | Manner::Tls(_), _) => drop(connection.peek(&mut [0])?),
    }
    Ok(())
}
