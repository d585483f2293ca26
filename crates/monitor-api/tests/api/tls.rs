use monitor_api::{Client, Error, Settings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::TestServer;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn only_the_configured_authority_is_trusted() {
    let (ours, other, files) = (authority(), authority(), tempfile::tempdir().unwrap());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
    let (cert_path, key_path) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&cert_path, certificate.pem()).unwrap();
    std::fs::write(&key_path, key.serialize_pem()).unwrap();
    let server = TestServer::with(|config| (config.tls_cert, config.tls_key) = (Some(cert_path), Some(key_path))).await;
    let at = |host: &str| Settings::new(&format!("https://{host}:{}", server.address.port())).unwrap();

    let client = Client::new(at("localhost").authority(format!("{}{}", other.pem(), ours.pem())));
    assert_eq!(client.status().await.unwrap().events, 0);
    let mut stream = client.stream().open();
    assert!(matches!(stream.next().await, Ok(monitor_api::StreamItem::Connected { .. })));

    for (name, settings) in [
        ("another authority", at("localhost").authority(other.pem())),
        ("the system's", at("localhost")),
        ("another name", at("127.0.0.1").authority(ours.pem())),
    ] {
        let error = Client::new(settings).status().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }) && error.causes().contains("certificate"), "{name}: {}", error.causes());
    }
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA"] {
        let error = Client::new(at("localhost").authority(pem)).status().await.unwrap_err();
        assert!(matches!(error, Error::Setting(_)), "{pem:?}: {}", error.causes());
    }
    let plain = Settings::new(&format!("http://localhost:{}", server.address.port())).unwrap();
    assert_eq!(Client::new(plain).status().await.unwrap_err().status(), Some(421));
}

#[tokio::test]
async fn a_self_signed_certificate_is_explained() {
    let files = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let (cert_path, key_path) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&cert_path, own.pem()).unwrap();
    std::fs::write(&key_path, own.key().serialize_pem()).unwrap();
    let server = TestServer::with(|config| (config.tls_cert, config.tls_key) = (Some(cert_path), Some(key_path))).await;
    let settings = Settings::new(&format!("https://localhost:{}", server.address.port())).unwrap();
    let error = Client::new(settings.authority(own.pem())).status().await.unwrap_err();
    assert!(error.hint().unwrap().contains("CA:FALSE"), "{}", error.causes());
}
