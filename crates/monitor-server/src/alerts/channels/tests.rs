//! Tests of channels with real receivers: an HTTP server that records its requests, and a mail server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode, Uri};
use monitor_alerts::{Cause, Facts, GoodRun, Language, MailTls, MessageKind, Severity, Subject, SubjectKind, Variable};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;

/// Received request.
#[derive(Debug, Clone)]
struct Came {
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Came {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// Status, headers and body of a response.
type Answered = (StatusCode, &'static [(&'static str, &'static str)], String);

/// HTTP server with a configurable response, and the requests it has received.
struct Receiver {
    answer: Mutex<Answered>,
    came: Mutex<Vec<Came>>,
}

impl Receiver {
    async fn start() -> (Arc<Self>, String) {
        let receiver = Arc::new(Self { answer: Mutex::new((StatusCode::OK, &[], "ok".to_owned())), came: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let take = |State(receiver): State<Arc<Self>>, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            receiver.came.lock().unwrap().push(Came { uri, headers, body: body.to_vec() });
            let (status, more, body) = receiver.answer.lock().unwrap().clone();
            let more: HeaderMap = more.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            (status, more, body)
        };
        let app = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, format!("http://{address}"))
    }

    fn answers(&self, status: u16, headers: &'static [(&'static str, &'static str)], body: &str) {
        *self.answer.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), headers, body.to_owned());
    }

    fn last(&self) -> Came {
        self.came.lock().unwrap().last().expect("a request").clone()
    }

    fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }
}

pub(super) fn message() -> Message {
    let good =
        GoodRun { run: "gold@1.1".to_owned(), version: 3, ended_us: Some(1_795_141_800_000_000), elapsed_ns: Some(3_600_000_000_000) };
    let facts = Facts {
        error: Some("no <prices> for 金".to_owned()),
        lines: vec!["金".repeat(5_000); 20],
        exit_code: Some(137),
        elapsed_ns: Some(8_000_000_000),
        usual_ns: Some(3_500_000_000_000),
        version: Some(4),
        good: Some(good),
        changes: vec!["+ config = {\"a\":[1]}".to_owned(); 10],
        is_new_error: true,
        ..Facts::default()
    };
    Message {
        id: "7-fired-1".to_owned(),
        alert: 7,
        kind: MessageKind::Fired,
        rule: "imports".to_owned(),
        subject: Subject::new(SubjectKind::Task, "gold"),
        cause: Cause::Failed,
        severity: Severity::Critical,
        time_us: 1_795_228_200_000_000,
        since_us: 1_795_228_200_000_000,
        resolved_us: None,
        count: 1,
        subjects: 1,
        names: Vec::new(),
        note: None,
        facts,
        channel: "ops".to_owned(),
        address: None,
        to: vec!["ops".to_owned()],
    }
}

pub(super) fn channel(kind: ChannelKind) -> Channel {
    Channel { name: "ops".to_owned(), kind, language: Language::En, rate: 10, private: true, template: None }
}

pub(super) fn sender() -> Sender {
    Sender::new(Clock::system(), TimeZone::UTC, Some("https://monitor.example.com".parse().unwrap()))
}

fn value(text: impl Into<String>) -> Variable {
    Variable::Value(text.into())
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> Variable {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    Variable::File { file: file.to_str().unwrap().to_owned() }
}

#[tokio::test]
async fn a_webhook_is_signed_json_with_an_id_that_stays() {
    let (receiver, url) = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let headers = [("X-Team".to_owned(), value("ops")), ("Authorization".to_owned(), file(&folder, "auth", "Bearer abcdefgh"))].into();
    let kind = ChannelKind::Webhook { url: value(format!("{url}/in?key=longenough")), secret: Some(file(&folder, "key", "k\n")), headers };
    let (hook, sender) = (channel(kind), sender());
    for _ in 0..2 {
        sender.send(&hook, &message(), None).await.unwrap();
    }
    let came = receiver.last();
    let body = came.json();
    assert_eq!((&body["version"], &body["kind"], &body["subject"]["name"]), (&json!(1), &json!("fired"), &json!("gold")), "{body}");
    assert_eq!((&body["title"], &body["facts"]["error"]), (&json!("gold failed"), &json!("no <prices> for 金")));
    assert_eq!(body["url"], "https://monitor.example.com/tasks/alerts");
    assert_eq!(
        (came.header("x-team"), came.header("authorization"), came.header("idempotency-key")),
        ("ops", "Bearer abcdefgh", "7-fired-1")
    );
    assert_eq!(receiver.came.lock().unwrap()[0].header("idempotency-key"), "7-fired-1", "each attempt has the same");
    let (time, signature) = came.header("monitor-signature").split_once(",v1=").unwrap();
    let mut signed = format!("{}.", time.strip_prefix("t=").unwrap()).into_bytes();
    signed.extend(&came.body);
    let (input, key) = (folder.path().join("signed"), "k");
    std::fs::write(&input, signed).unwrap();
    let openssl = std::process::Command::new("openssl").args(["dgst", "-sha256", "-hmac", key]).arg(&input).output().unwrap();
    assert!(String::from_utf8(openssl.stdout).unwrap().trim().ends_with(signature), "openssl finds the same");

    for (status, headers, words, after) in [
        (500, &[][..], "answered with 500", None),
        (429, &[("retry-after", "7")], "answered with 429", Some(7)),
        (302, &[("location", "http://127.0.0.1:1/")], "a redirect, which is not followed", None),
    ] {
        receiver.answers(status, headers, "said Bearer abcdefgh and longenough\r\n\u{202e}");
        let count = receiver.count();
        let failed = sender.send(&hook, &message(), None).await.unwrap_err();
        assert_eq!((failed.after.map(|after| after.as_secs()), receiver.count()), (after, count + 1), "{failed:?}");
        assert!(failed.why.contains(words) && !failed.why.contains(['\r', '\n', '\u{202e}']), "{failed:?}");
        assert!(!failed.why.contains("abcdefgh") && !failed.why.contains("longenough"), "no secret is told: {failed:?}");
    }
    let bad = [("X-Bad".to_owned(), value("a\r\nb"))].into();
    let kind = ChannelKind::Webhook { url: value(url), secret: None, headers: bad };
    assert!(sender.send(&channel(kind), &message(), None).await.unwrap_err().why.contains("X-Bad can't be sent"));
}

/// The responses are those in the documentation of the chats.
#[tokio::test]
async fn a_chat_that_answers_200_with_an_error_code_has_refused_the_message() {
    let (receiver, url) = Receiver::start().await;
    let sender = sender();
    let url = || value(format!("{url}/robot/send?access_token=0123456789abcdef"));
    let folder = tempfile::tempdir().unwrap();
    let secret = || Some(file(&folder, "secret", "SECtest"));
    let wecom = channel(ChannelKind::Wecom { url: url() });
    let dingtalk = channel(ChannelKind::Dingtalk { url: url(), secret: secret() });
    let feishu = channel(ChannelKind::Feishu { url: url(), secret: secret() });
    let slack = channel(ChannelKind::Slack { url: url() });
    for (channel, status, body, taken) in [
        (&wecom, 200, r#"{"errcode":0,"errmsg":"ok"}"#, true),
        (&wecom, 200, r#"{"errcode":93000,"errmsg":"invalid webhook url, hint: [1], from ip: 1.2.3.4"}"#, false),
        (&wecom, 200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, false),
        (&wecom, 200, r#"{"errcode":40058,"errmsg":"markdown.content exceed max length 4096. invalid Request Parameter"}"#, false),
        (&wecom, 200, "<html>", false),
        (&wecom, 200, "", false),
        (&dingtalk, 200, r#"{"errcode":0,"errmsg":"ok"}"#, true),
        (&dingtalk, 200, r#"{"errcode":310000,"errmsg":"sign not match, more: [https://ding-doc.dingtalk.com/]"}"#, false),
        (&dingtalk, 200, r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#, false),
        (&feishu, 200, r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#, true),
        (&feishu, 200, r#"{"Extra":null,"StatusCode":0,"StatusMessage":"success"}"#, true),
        (&feishu, 200, r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}"#, false),
        (&feishu, 200, r#"{"code":9499,"msg":"Bad Request","data":{}}"#, false),
        (&feishu, 400, r#"{"code":0}"#, false),
        (&slack, 200, "ok", true),
        (&slack, 400, "invalid_payload", false),
        (&slack, 404, "no_service", false),
        (&slack, 200, "<html>ok</html>", false),
    ] {
        receiver.answers(status, &[], body);
        let sent = sender.send(channel, &message(), None).await;
        assert_eq!(sent.is_ok(), taken, "{} {body}: {sent:?}", channel.kind.as_str());
    }
    receiver.answers(429, &[("retry-after", "30")], "rate_limited");
    assert_eq!(sender.send(&slack, &message(), None).await.unwrap_err().after, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn each_chat_gets_its_own_form_within_its_limits() {
    let (receiver, url) = Receiver::start().await;
    let sender = sender();
    receiver.answers(200, &[], r#"{"errcode":0,"code":0}"#);
    let folder = tempfile::tempdir().unwrap();
    let secret = || Some(file(&folder, "secret", "SECtest"));
    sender.send(&channel(ChannelKind::Wecom { url: value(&url) }), &message(), None).await.unwrap();
    let body = receiver.last().json();
    let content = body["markdown"]["content"].as_str().unwrap();
    assert!(body["msgtype"] == "markdown" && content.len() <= 4_096 && content.len() > 3_900, "{} {content}", content.len());
    assert!(
        content.starts_with("### gold failed\n")
            && content.contains("no ＜prices＞")
            && content.contains("version 3 became 4, + config = {\"a\":［1］}")
            && content.contains("137 (killed by SIGKILL")
            && content.contains("8.0 s (usually 58 m 20 s)")
            && content.contains("/tasks/alerts)"),
        "{content}"
    );

    sender
        .send(&channel(ChannelKind::Dingtalk { url: value(format!("{url}/?access_token=a")), secret: secret() }), &message(), None)
        .await
        .unwrap();
    let came = receiver.last();
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(came.uri.query().unwrap().as_bytes()).into_owned().collect();
    assert_eq!((query["access_token"].as_str(), query["timestamp"].len(), query["sign"].len()), ("a", 13, 44), "{query:?}");
    assert_eq!(came.json()["markdown"]["title"], "gold failed");
    assert!(came.body.len() < 20_000);

    receiver.answers(200, &[], r#"{"code":0}"#);
    sender.send(&channel(ChannelKind::Feishu { url: value(&url), secret: secret() }), &message(), None).await.unwrap();
    let came = receiver.last();
    let body = came.json();
    assert_eq!((body["timestamp"].as_str().unwrap().len(), body["sign"].as_str().unwrap().len()), (10, 44), "{body}");
    let post = &body["content"]["post"]["zh_cn"];
    assert!(came.body.len() < 20_000 && post["title"] == "gold failed" && post["content"].to_string().contains("no <prices>"), "{post}");

    receiver.answers(200, &[], "ok");
    sender.send(&channel(ChannelKind::Slack { url: value(&url) }), &message(), None).await.unwrap();
    let body = receiver.last().json();
    for block in body["blocks"].as_array().unwrap() {
        let text = &block["text"];
        let most = if block["type"] == "header" { 150 } else { 3_000 };
        assert!(text["text"].as_str().unwrap().chars().count() <= most, "{block}");
        assert!(text["type"] == "plain_text" || text["text"].as_str().unwrap().starts_with("<https://monitor.example.com/"), "{block}");
    }
}

#[tokio::test]
async fn a_private_address_is_reached_only_if_the_channel_allows_it() {
    let (receiver, url) = Receiver::start().await;
    let port = url.rsplit(':').next().unwrap();
    let sender = sender();
    let webhook = |url: &str| ChannelKind::Webhook { url: value(url), secret: None, headers: BTreeMap::new() };
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0", "169.254.169.254", "10.0.0.1"]
    {
        let kind = webhook(&format!("http://{host}:{port}/"));
        let failed = sender.send(&Channel { private: false, ..channel(kind) }, &message(), None).await.unwrap_err();
        assert!(failed.why.contains("private = true"), "{host}: {failed:?}");
    }
    assert_eq!(receiver.count(), 0);
    sender.send(&channel(webhook(&format!("http://localhost:{port}/"))), &message(), None).await.unwrap();
    assert_eq!(receiver.count(), 1);
    let failed = sender.send(&channel(webhook("http://127.0.0.1:1/")), &message(), None).await.unwrap_err();
    assert!(failed.why.contains("127.0.0.1 is not reached"), "{failed:?}");
}

/// Starts a minimal mail server. Returns its address and the mails it receives.
async fn mail_server(offers: &'static [&'static str], refuses: Option<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = taken.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let kept = kept.clone();
            tokio::spawn(async move {
                let (read, mut write) = socket.split();
                let mut lines = BufReader::new(read).lines();
                write.write_all(b"220 mail.example.com\r\n").await.unwrap();
                let (mut envelope, mut data) = (String::new(), None::<String>);
                while let Ok(Some(line)) = lines.next_line().await {
                    if let Some(text) = &mut data {
                        if line == "." {
                            kept.lock().unwrap().push(format!("{envelope}{text}"));
                            data = None;
                            write.write_all(b"250 queued as 4711\r\n").await.unwrap();
                        } else {
                            text.push_str(&line);
                            text.push('\n');
                        }
                        continue;
                    }
                    let word = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
                    let answer = match word.as_str() {
                        "EHLO" => {
                            let last = offers.iter().map(|offer| format!("250-{offer}\r\n")).collect::<Vec<_>>().concat();
                            format!("{last}250 SIZE 1000000\r\n")
                        }
                        "RCPT" if refuses.is_some() => format!("{}\r\n", refuses.unwrap_or_default()),
                        "DATA" => {
                            data = Some(String::new());
                            "354 go on\r\n".to_owned()
                        }
                        "AUTH" => {
                            envelope = format!("{envelope}{line}\n");
                            "235 welcome\r\n".to_owned()
                        }
                        "QUIT" => "221 bye\r\n".to_owned(),
                        _ => {
                            envelope = format!("{envelope}{line}\n");
                            "250 ok\r\n".to_owned()
                        }
                    };
                    if write.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, taken)
}

fn mail(server: &str, tls: MailTls, to: &[&str]) -> ChannelKind {
    ChannelKind::Mail {
        server: server.to_owned(),
        tls,
        user: None,
        password: None,
        from: "monitor@example.com".to_owned(),
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        ca: None,
    }
}

/// Returns the header of this name in a mail.
fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let begin = format!("{name}: ");
    mail.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_else(|| panic!("no {name} in {mail}"))
}

#[tokio::test]
async fn mails_of_an_alert_are_one_thread_and_each_attempt_is_the_same_mail() {
    let (server, taken) = mail_server(&[], None).await;
    let sender = sender();
    let channel = channel(mail(&server, MailTls::None, &["ops@example.com", "ada@example.com"]));
    let mut hostile = message();
    hostile.subject.name = "gold\r\nBcc: all@example.com\r\n\r\n<b>x</b> 金价".to_owned();
    let answer = sender.send(&channel, &hostile, None).await.unwrap();
    assert!(answer.starts_with("250") && answer.contains("queued as 4711"), "{answer}");
    sender.send(&channel, &hostile, None).await.unwrap();
    let over =
        Message { id: "7-resolved-2".to_owned(), kind: MessageKind::Resolved, resolved_us: Some(1_795_228_300_000_000), ..message() };
    sender.send(&channel, &over, None).await.unwrap();
    let to_one = Message { address: Some("eve@example.org".to_owned()), alert: 0, ..message() };
    sender.send(&channel, &to_one, None).await.unwrap();
    let mails = taken.lock().unwrap().clone();
    let of = |number: usize, name: &str| header(&mails[number], name).to_owned();
    assert_eq!((of(0, "Message-ID"), of(2, "Message-ID")), ("<7-fired-1@example.com>".to_owned(), "<7-resolved-2@example.com>".to_owned()));
    assert_eq!(of(0, "Message-ID"), of(1, "Message-ID"));
    for name in ["In-Reply-To", "References"] {
        assert_eq!((of(0, name), of(2, name)), ("<alert-7@example.com>".to_owned(), "<alert-7@example.com>".to_owned()));
    }
    assert_eq!(of(0, "Auto-Submitted"), "auto-generated");
    assert!(of(2, "Subject").starts_with("Over: gold failed"), "{}", of(2, "Subject"));
    let first = &mails[0];
    assert!(first.contains("RCPT TO:<ops@example.com>") && first.contains("RCPT TO:<ada@example.com>"), "{first}");
    let (head, body) = first.split_once("\n\n").unwrap();
    assert!(!head.contains("\nBcc") && !first.contains("RCPT TO:<all@"), "no header is made of a name: {head}");
    assert!(head.contains("Content-Type: text/plain; charset=utf-8") && !body.is_empty());
    assert!(mails[3].contains("RCPT TO:<eve@example.org>") && !mails[3].contains("References"), "{}", mails[3]);
}

#[tokio::test]
async fn a_refused_mail_reports_the_reason_and_required_tls_is_never_skipped() {
    let sender = sender();
    let (refusing, _) = mail_server(&[], Some("451 4.7.1 come again")).await;
    let failed = sender.send(&channel(mail(&refusing, MailTls::None, &["ops@example.com"])), &message(), None).await.unwrap_err();
    assert!(failed.why.contains("451") || failed.why.contains("come again"), "{failed:?}");
    let (plain, taken) = mail_server(&[], None).await;
    for tls in [MailTls::Starttls, MailTls::Tls] {
        sender.send(&channel(mail(&plain, tls, &["ops@example.com"])), &message(), None).await.unwrap_err();
    }
    // The server offers STARTTLS and does not support it.
    let (lying, lied) = mail_server(&["STARTTLS"], None).await;
    sender.send(&channel(mail(&lying, MailTls::Starttls, &["ops@example.com"])), &message(), None).await.unwrap_err();
    assert!(taken.lock().unwrap().is_empty() && lied.lock().unwrap().is_empty(), "nothing was sent unprotected");
    for (kind, words) in [
        (mail(&plain, MailTls::None, &[]), "nobody is named"),
        (mail("127.0.0.1:x", MailTls::None, &["ops@example.com"]), "no port"),
        (mail("127.0.0.1:1", MailTls::None, &["ops@example.com"]), "127.0.0.1:1"),
        (mail(&plain, MailTls::None, &["ops@example.com>\r\nDATA"]), "is no address"),
    ] {
        let failed = sender.send(&channel(kind), &message(), None).await.unwrap_err();
        assert!(failed.why.contains(words), "{words}: {failed:?}");
    }
}

#[tokio::test]
async fn a_login_is_sent_only_to_the_mail_server_and_appears_in_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let (server, taken) = mail_server(&["AUTH PLAIN"], None).await;
    let password = Some(file(&folder, "password", "hunter22"));
    let kind = match mail(&server, MailTls::None, &["ops@example.com"]) {
        ChannelKind::Mail { server, tls, from, to, .. } => {
            ChannelKind::Mail { server, tls, user: Some("monitor".to_owned()), password, from, to, ca: None }
        }
        other => other,
    };
    let mut told = message();
    told.facts.error = Some("login with hunter22 failed".to_owned());
    sender().send(&channel(kind), &told, None).await.unwrap();
    let mail = taken.lock().unwrap()[0].clone();
    // `\0monitor\0hunter22` in base64.
    assert!(mail.contains("AUTH PLAIN AG1vbml0b3IAaHVudGVyMjI=") && !mail.contains("hunter22"), "{mail}");
}
