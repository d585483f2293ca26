use std::path::Path;
use std::time::Duration;

use monitor_server::{Server, TlsError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::support::{TestServer, config, until};

/// Authority of the test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for localhost, and its key.
    fn write(&self, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    }

    /// Returns a client that trusts only this authority.
    fn client(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.0.pem().as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_only([root]).build().unwrap()
    }
}

/// Starts a server with the certificate in this folder, which it checks for changes every 20 ms.
async fn serve(folder: &Path) -> TestServer {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|file| folder.join(file));
    TestServer::with(move |config| {
        config.tls_cert = Some(certificate);
        config.tls_key = Some(key);
        config.tls_interval = Duration::from_millis(20);
    })
    .await
}

#[tokio::test]
async fn the_server_uses_tls_and_loads_a_new_certificate_without_a_restart() {
    let files = tempfile::tempdir().unwrap();
    let first = Authority::new();
    first.write(files.path());
    let server = serve(files.path()).await;
    let url = format!("https://localhost:{}/healthz", server.address.port());
    let origin = format!("https://localhost:{}", server.address.port());
    let answer = first.client().get(&url).header("origin", origin).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // A client that uses plain HTTP gets an explanation.
    let plain = server.get("/healthz").send().await.unwrap();
    assert_eq!(plain.status(), 421);
    assert!(plain.text().await.unwrap().contains("https only"));

    let second = Authority::new();
    second.write(files.path());
    until(async || second.client().get(&url).send().await.is_ok()).await;
    assert!(first.client().get(&url).send().await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_failed_certificate_reload_is_reported_until_it_succeeds() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(files.path());
    let server = serve(files.path()).await;
    let (client, url) = (authority.client(), format!("https://localhost:{}", server.address.port()));
    let duty = async || -> Value {
        let status: Value = client.get(format!("{url}/api/v1/status")).send().await.unwrap().json().await.unwrap();
        let duties = status["duties"].as_array().unwrap();
        duties.iter().find(|duty| duty["name"] == "certificate").unwrap().clone()
    };
    let metric = async || {
        let text = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines().find_map(|line| line.strip_prefix("monitor_duty_failing{duty=\"certificate\"} ")).unwrap().to_owned()
    };
    until(async || duty().await["last_us"].is_u64()).await;
    assert_eq!((&duty().await["error"], metric().await.as_str()), (&Value::Null, "0"));
    std::fs::write(files.path().join("key.pem"), "nonsense").unwrap();
    until(async || duty().await["error"].is_string()).await;
    let state = duty().await;
    assert!(state["error"].as_str().unwrap().contains("key.pem holds no private key"), "{state}");
    assert_eq!((metric().await.as_str(), &state["restarts"]), ("1", &json!(0)), "a run failed, and the duty went on");
    authority.write(files.path());
    until(async || duty().await["error"].is_null()).await;
    assert_eq!(metric().await, "0");
    server.stop().await;
}

#[tokio::test]
async fn invalid_certificate_files_are_named() {
    let files = tempfile::tempdir().unwrap();
    Authority::new().write(files.path());
    let other = tempfile::tempdir().unwrap();
    Authority::new().write(other.path());
    std::fs::write(files.path().join("empty.pem"), "").unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    for (cert, key, words) in [
        (Some(cert.clone()), None, "--tls-cert and --tls-key"),
        (Some(files.path().join("nope.pem")), Some(key.clone()), "nope.pem"),
        (Some(files.path().join("empty.pem")), Some(key.clone()), "empty.pem holds no certificate"),
        (Some(cert.clone()), Some(files.path().join("empty.pem")), "empty.pem holds no private key"),
        (Some(cert), Some(other.path().join("key.pem")), "can't be used together"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut config = config(&data);
        (config.tls_cert, config.tls_key) = (cert, key);
        let Err(error) = Server::bind(config).await else { panic!("{words}: it began") };
        let is_tls = matches!(
            error,
            monitor_server::ServeError::Tls(TlsError::Half | TlsError::Disk { .. } | TlsError::Pem { .. } | TlsError::Unfit { .. })
        );
        assert!(is_tls && error.to_string().contains(words), "{error}");
    }
}
