//! TLS for clients that know the server's own certificate.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Returns the settings of a TLS client that trusts one certificate: the first one in the PEM file `path`. Its name, authority and dates are
/// not checked. The file is read at each connection, so that a renewed certificate needs no restart.
///
/// # Panics
/// Never: the provider has the protocol versions that are asked for.
pub fn pinned(path: PathBuf) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.expect("aws-lc-rs has TLS 1.2 and 1.3");
    builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { path, provider })).with_no_client_auth()
}

#[derive(Debug)]
struct Pinned {
    path: PathBuf,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let path = self.path.display();
        let expected = CertificateDer::from_pem_file(&self.path)
            .map_err(|error| Error::General(format!("the server's certificate can't be read from {path}: {error}")))?;
        if *shown == expected {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!("the server's certificate is not the one in {path}")))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
