//! TLS with certificate files, which are reloaded when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::duties::Duty;

/// ALPN name of HTTP/2.
pub(super) const HTTP2: &[u8] = b"h2";

/// Current certificate, used by all new connections.
#[derive(Clone)]
pub(crate) struct Tls {
    files: Arc<Files>,
    newest: Arc<RwLock<(Read, TlsAcceptor)>>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Contents of the files.
#[derive(PartialEq, Eq)]
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Reason why TLS can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Only one of the two files is configured.
    #[error("--tls-cert and --tls-key go together: give both files, or none")]
    Half,
    /// A file can't be read.
    #[error("could not read {}", path.display())]
    Disk {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A file does not contain the expected PEM block.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        /// Path of the file.
        path: PathBuf,
        /// Expected content.
        what: &'static str,
        /// Cause, if the file contains invalid PEM.
        source: Option<pem::Error>,
    },
    /// The certificate and the key do not match, or can't be used.
    #[error("the certificate in {} and the key in {} can't be used together", certificate.display(), key.display())]
    Unfit {
        /// Path of the certificate's file.
        certificate: PathBuf,
        /// Path of the key's file.
        key: PathBuf,
        /// Cause.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads the files. Returns `None` if none are configured.
    pub(crate) fn open(certificate: Option<&Path>, key: Option<&Path>) -> Result<Option<Self>, TlsError> {
        let files = match (certificate, key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => Files { certificate: certificate.to_owned(), key: key.to_owned() },
            _ => return Err(TlsError::Half),
        };
        let read = files.read()?;
        let acceptor = files.acceptor(&read)?;
        Ok(Some(Self { files: Arc::new(files), newest: Arc::new(RwLock::new((read, acceptor))) }))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Reloads changed files at an interval. If the new files can't be used, the previous certificate stays in use.
    pub(crate) async fn watch(&self, interval: Duration, clock: &Clock, duty: &Duty, stopping: &CancellationToken) {
        while stopping.run_until_cancelled(clock.sleep(interval)).await.is_some() {
            let tls = self.clone();
            let result = match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "took the new certificate");
                    Ok(())
                }
                Ok(Ok(false)) => Ok(()),
                // While the two files are being replaced one after the other, they briefly don't match. The next check tries again.
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            duty.ran(result.map_err(|problem| format!("the certificate is not renewed, the one before stays: {problem}")), interval);
        }
    }

    fn reload(&self) -> Result<bool, TlsError> {
        let read = self.files.read()?;
        if self.newest.read().unwrap_or_else(PoisonError::into_inner).0 == read {
            return Ok(false);
        }
        let acceptor = self.files.acceptor(&read)?;
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = (read, acceptor);
        Ok(true)
    }
}

impl Files {
    fn read(&self) -> Result<Read, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|source| TlsError::Disk { path: path.to_owned(), source });
        Ok(Read { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn acceptor(&self, read: &Read) -> Result<TlsAcceptor, TlsError> {
        let not = |path: &Path, what, source| TlsError::Pem { path: path.to_owned(), what, source };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&read.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| not(&self.certificate, "certificate", Some(error)))?;
        if chain.is_empty() {
            return Err(not(&self.certificate, "certificate", None));
        }
        if is_authority(&chain[0]) {
            tracing::warn!(
                "the certificate in {} is marked as an authority's, as `openssl req -x509` makes them: monitored programs and \
                 `monitor` refuse it (CaUsedAsEndEntity). Make it with `-addext basicConstraints=critical,CA:FALSE`",
                self.certificate.display()
            );
        }
        let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(|error| not(&self.key, "private key", Some(error)))?;
        let unfit = |source| TlsError::Unfit { certificate: self.certificate.clone(), key: self.key.clone(), source };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(unfit)?;
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(unfit)?;
        let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        // The server's order decides: HTTP/2 is negotiated only with clients that offer nothing else, so that they get an explanation in
        // the log.
        config.alpn_protocols = vec![b"http/1.1".to_vec(), HTTP2.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// True if a certificate has the extension `basicConstraints` (RFC 5280, 4.2.1.9) with `cA` true. rustls refuses to use such a certificate
/// as the server's own.
fn is_authority(certificate: &[u8]) -> bool {
    // DER encoding: the extension's id 2.5.29.19, optionally `critical`, then an octet string with a sequence that begins with `cA` if it
    // is true.
    const ID: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];
    const TRUE: &[u8] = &[0x01, 0x01, 0xff];
    let behind = |place: usize| &certificate[place + ID.len()..];
    certificate.windows(ID.len()).enumerate().filter(|(_, bytes)| *bytes == ID).any(|(place, _)| {
        let value = behind(place).strip_prefix(TRUE).unwrap_or(behind(place));
        matches!(value, [0x04, _, 0x30, _, list @ ..] if list.starts_with(TRUE))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ca_certificates_are_recognized() {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
        for (is_ca, expected) in [
            (IsCa::Ca(BasicConstraints::Unconstrained), true),
            (IsCa::Ca(BasicConstraints::Constrained(0)), true),
            (IsCa::ExplicitNoCa, false),
            (IsCa::NoCa, false),
        ] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.is_ca = is_ca;
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(is_authority(certificate.der()), expected, "{is_ca:?}");
        }
        assert!(!is_authority(b"\x06\x03\x55\x1d\x13"), "nothing behind it");
    }

    #[test]
    fn a_mismatched_certificate_and_key_leave_the_previous_pair_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let write = || {
            let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(&certificate, own.cert.pem()).unwrap();
            std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        };
        write();
        let tls = Tls::open(Some(&certificate), Some(&key)).unwrap().unwrap();
        let held = || Arc::as_ptr(tls.acceptor().config());
        let first = held();
        assert!(!tls.reload().unwrap(), "they are as they were");
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for wrong in ["nonsense", &other] {
            std::fs::write(&key, wrong).unwrap();
            tls.reload().unwrap_err();
            assert_eq!(held(), first);
        }
        std::fs::remove_file(&key).unwrap();
        tls.reload().unwrap_err();
        write();
        assert!(tls.reload().unwrap());
        assert_ne!(held(), first);
    }
}
