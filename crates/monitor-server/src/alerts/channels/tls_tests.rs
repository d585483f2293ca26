//! Tests of mail over TLS with a mail server that uses certificates of a test authority.

use std::sync::{Arc, Mutex};

use monitor_alerts::{MailTls, Variable};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::tests::{channel, message, sender};
use super::*;

/// Authority that signs certificates.
type Authority = CertifiedIssuer<'static, KeyPair>;

/// Behavior of a mail server.
#[derive(Clone)]
struct Doing {
    tls: MailTls,
    acceptor: TlsAcceptor,
    /// True if the server offers STARTTLS and then does not switch to TLS.
    strips: bool,
    /// Lines that the server has received over TLS.
    said: Arc<Mutex<Vec<String>>>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Creates an acceptor with a certificate for a name, signed by `authority`. If `is_over`, the certificate has expired.
fn acceptor(authority: &Authority, name: &str, is_over: bool) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if is_over {
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    }
    let certificate = params.signed_by(&key, authority).unwrap();
    let (certificate, key) = (certificate.der().clone(), PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()))
}

async fn start(doing: Doing) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let doing = doing.clone();
            tokio::spawn(async move { serve(socket, &doing).await });
        }
    });
    port
}

/// Handles one connection until it ends.
async fn serve(socket: tokio::net::TcpStream, doing: &Doing) -> Option<()> {
    if doing.tls == MailTls::Tls {
        return converse(BufReader::new(doing.acceptor.accept(socket).await.ok()?), doing, true).await;
    }
    let mut plain = BufReader::new(socket);
    plain.write_all(b"220 mail.example.com\r\n").await.ok()?;
    loop {
        let mut line = String::new();
        plain.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let answer: &[u8] = match line.split([' ', '\r']).next()? {
            "EHLO" if doing.strips => b"250 SIZE 1000\r\n",
            "EHLO" => b"250-STARTTLS\r\n250 SIZE 1000\r\n",
            "STARTTLS" => {
                plain.write_all(b"220 begin\r\n").await.ok()?;
                return converse(BufReader::new(doing.acceptor.accept(plain.into_inner()).await.ok()?), doing, false).await;
            }
            _ => {
                doing.said.lock().unwrap().push(format!("PLAIN {line}"));
                b"250 ok\r\n"
            }
        };
        plain.write_all(answer).await.ok()?;
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: BufReader<S>, doing: &Doing, greets: bool) -> Option<()> {
    if greets {
        stream.write_all(b"220 mail.example.com\r\n").await.ok()?;
        stream.flush().await.ok()?;
    }
    let mut is_data = false;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        doing.said.lock().unwrap().push(line.trim_end().to_owned());
        let answer: &[u8] = match line.split([' ', ':', '\r']).next()? {
            "." => {
                is_data = false;
                b"250 queued as 4711\r\n"
            }
            _ if is_data => continue,
            "EHLO" => b"250-AUTH PLAIN\r\n250 SIZE 1000\r\n",
            "AUTH" => b"235 welcome\r\n",
            "DATA" => {
                is_data = true;
                b"354 go on\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await.ok()?;
        stream.flush().await.ok()?;
    }
}

fn mail(host: &str, port: u16, tls: MailTls, ca: Option<String>) -> Channel {
    channel(ChannelKind::Mail {
        server: format!("{host}:{port}"),
        tls,
        user: Some("monitor".to_owned()),
        password: Some(Variable::Value("hunter22".to_owned())),
        from: "monitor@example.com".to_owned(),
        to: vec!["ops@example.com".to_owned()],
        ca,
    })
}

#[tokio::test]
async fn mail_and_login_are_sent_over_tls_to_a_server_with_a_valid_certificate() {
    let (ours, other, files) = (authority(), authority(), tempfile::tempdir().unwrap());
    let write = |name: &str, text: &str| {
        let file = files.path().join(name);
        std::fs::write(&file, text).unwrap();
        Some(file.to_str().unwrap().to_owned())
    };
    let (ca, stranger) = (write("ca.pem", &ours.pem()), write("other.pem", &other.pem()));
    for tls in [MailTls::Starttls, MailTls::Tls] {
        let said = Arc::default();
        let doing = Doing { tls, acceptor: acceptor(&ours, "localhost", false), strips: false, said };
        let port = start(doing.clone()).await;
        let answer = sender().send(&mail("localhost", port, tls, ca.clone()), &message(), None).await.unwrap();
        assert!(answer.contains("queued as 4711"), "{tls}: {answer}");
        let all = std::mem::take(&mut *doing.said.lock().unwrap()).join("\n");
        assert!(all.contains("AUTH PLAIN AG1vbml0b3IAaHVudGVyMjI=") && all.contains("Message-ID: <7-fired-1@example.com>"), "{tls}: {all}");
        assert!(!all.contains("PLAIN EHLO") && !all.contains("PLAIN MAIL"), "nothing is said before TLS: {all}");

        let ended = start(Doing { acceptor: acceptor(&ours, "localhost", true), ..doing.clone() }).await;
        let elsewhere = start(Doing { acceptor: acceptor(&ours, "mail.example.org", false), ..doing.clone() }).await;
        for (port, ca, words) in [
            (port, stranger.clone(), "BadSignature"),
            (port, None, "ertificate"),
            (ended, ca.clone(), "xpired"),
            (elsewhere, ca.clone(), "localhost"),
            (port, write("empty.pem", ""), "no certificates that can be read"),
            (port, write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA"), "no certificates that can be read"),
            (port, Some("/nowhere/ca.pem".to_owned()), "/nowhere/ca.pem"),
        ] {
            let failed = sender().send(&mail("localhost", port, tls, ca), &message(), None).await.unwrap_err();
            assert!(failed.why.contains(words) && !failed.why.contains("hunter22"), "{tls}, {words}: {failed:?}");
        }
        assert!(doing.said.lock().unwrap().iter().all(|line| line == "QUIT"), "a server that isn't trusted hears nothing");
    }
}

#[tokio::test]
async fn neither_login_nor_mail_is_sent_if_the_starttls_offer_is_stripped() {
    let (ours, said) = (authority(), Arc::default());
    let doing = Doing { tls: MailTls::Starttls, acceptor: acceptor(&ours, "localhost", false), strips: true, said };
    let port = start(doing.clone()).await;
    let failed = sender().send(&mail("localhost", port, MailTls::Starttls, None), &message(), None).await.unwrap_err();
    assert!(failed.why.contains("STARTTLS"), "{failed:?}");
    let said = doing.said.lock().unwrap().join("\n");
    assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
}
