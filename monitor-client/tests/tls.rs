//! Tests https server URLs, with a certificate authority of the test.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use monitor_client::Process;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::{Value, json};

const IS_CHILD: &str = "TLS_TEST_IS_CHILD";

/// The monitored program; the test runs it as a separate process.
#[test]
fn child() {
    if std::env::var_os(IS_CHILD).is_some() {
        Process::builder("over tls").run(|_| ());
    }
}

fn program(port: u16, roots: &std::path::Path) -> Command {
    let mut program = Command::new(std::env::current_exe().expect("a path"));
    program.args(["--exact", "child", "--nocapture"]).env(IS_CHILD, "1").env("MONITOR_ENABLED", "1").env("SSL_CERT_FILE", roots);
    program.env("MONITOR_SERVER_URL", format!("https://localhost:{port}")).env("MONITOR_TOKEN", "a-token").env("MONITOR_LOG", "stderr");
    program.env("MONITOR_SPOOL_DIR", "off").env_remove("SSL_CERT_DIR");
    program
}

#[test]
fn records_arrive_by_tls_from_programs_that_trust_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, other) = (authority(), authority());
    let (trusted, foreign) = (folder.path().join("trusted.pem"), folder.path().join("foreign.pem"));
    std::fs::write(&trusted, authority.pem()).unwrap();
    std::fs::write(&foreign, other.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config(&authority));
    let (batches, taken) = channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (config, batches) = (config.clone(), batches.clone());
            std::thread::spawn(move || serve(socket.unwrap(), config, &batches));
        }
    });

    let refused = program(port, &foreign).env("MONITOR_EXIT_TIMEOUT", "500ms").output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.success() && said.contains("is not reached") && said.contains("certificate"), "{said}");
    assert!(taken.try_recv().is_err(), "nothing is sent to a stranger");

    let output = program(port, &trusted).env("MONITOR_EXIT_TIMEOUT", "1m").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut names = Vec::new();
    while !names.contains(&json!("over tls")) {
        let batch: Value = taken.recv_timeout(Duration::from_secs(60)).expect("a batch");
        names.extend(batch["events"].as_array().unwrap().iter().map(|event| event["name"].clone()));
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn config(authority: &CertifiedIssuer<'static, KeyPair>) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap()
}

/// Decompresses a request's body as the server does.
fn decompressed(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    if body.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain).unwrap();
    } else {
        zstd::Decoder::new(body).unwrap().read_to_end(&mut plain).unwrap();
    }
    plain
}

/// Takes batches until the client goes.
fn serve(mut socket: std::net::TcpStream, config: Arc<ServerConfig>, batches: &Sender<Value>) {
    let mut connection = ServerConnection::new(config).unwrap();
    let mut stream = Stream::new(&mut connection, &mut socket);
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 << 10]);
    loop {
        let Some((head, body)) = request(&bytes) else {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            }
            continue;
        };
        assert!(head.contains("authorization: bearer a-token"), "{head}");
        let batch: Value = serde_json::from_slice(&decompressed(&bytes[body.clone()])).unwrap();
        let last = batch["sequence"].as_u64().unwrap() + batch["events"].as_array().unwrap().len() as u64 - 1;
        let answer = json!({"accepted": last}).to_string();
        bytes.drain(..body.end);
        batches.send(batch).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).unwrap();
    }
}

/// A whole request: its head, and where its body is.
fn request(bytes: &[u8]) -> Option<(String, std::ops::Range<usize>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).expect("a length");
    (bytes.len() >= end + length).then_some((head, end..end + length))
}
