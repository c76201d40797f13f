//! How servers prove who they are: the system's roots, the roots of a file, or, when the user insists, nothing.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::settings::{HostSettings, SettingsError};

/// The TLS configuration that the settings ask for.
pub(crate) fn client_config(settings: &HostSettings) -> Result<ClientConfig, SettingsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(&e))?;
    if settings.tls_insecure_no_verify {
        let verifier = Arc::new(AcceptAnyone { provider });
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let roots = match &settings.ca_file {
        Some(path) => roots_of_file(path)?,
        None if settings.use_tls => roots_of_system()?,
        // Endpoints with a fixed `https://` then trust nobody, which is the safe way to misconfigure them.
        None => RootCertStore::empty(),
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, SettingsError> {
    let named = |cause: String| SettingsError::Certificates { cause: format!("{}: {cause}", path.display()) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| named(e.to_string()))? {
        roots.add(certificate.map_err(|e| named(e.to_string()))?).map_err(|e| named(e.to_string()))?;
    }
    if roots.is_empty() { Err(named("it holds no certificate in PEM form".to_owned())) } else { Ok(roots) }
}

fn roots_of_system() -> Result<RootCertStore, SettingsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let causes: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let cause =
            format!("the system has no root certificates ({}); install them or set `ca_file`", causes.join("; "));
        return Err(SettingsError::Certificates { cause });
    }
    Ok(roots)
}

fn unusable(cause: &dyn std::error::Error) -> SettingsError {
    SettingsError::Certificates { cause: cause.to_string() }
}

/// Accepts any certificate (`tls_insecure_no_verify`), but still checks that the peer owns its key.
#[derive(Debug)]
struct AcceptAnyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
