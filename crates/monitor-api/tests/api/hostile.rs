use std::ops::ControlFlow;
use std::time::Duration;

use monitor_api::{Client, Error, Method, Settings, Token};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Deed, Raw, answer, settings};

const PAGE: &str = "<!doctype html><title>Sign in</title>";

fn problem(status: u16) -> String {
    json!({"type": "about:blank", "title": "t", "status": status, "detail": "the server's words"}).to_string()
}

/// One word for an error.
fn word(error: &Error) -> &'static str {
    match error {
        Error::Unreachable { .. } => "unreachable",
        Error::Broken { .. } => "broken",
        Error::Silent { .. } => "silent",
        Error::Refused { .. } => "refused",
        Error::Foreign { .. } => "foreign",
        Error::Oversized { .. } => "oversized",
        Error::Unreadable { .. } => "unreadable",
        _ => "else",
    }
}

#[tokio::test]
async fn each_kind_of_bad_answer_is_its_own_kind_of_error() {
    let say = |text: &str| Deed::Say(text.as_bytes().to_vec());
    let endless = |head: &str| {
        Deed::SayForever(head.as_bytes().to_vec(), b"1000\r\n".iter().chain(&[b' '; 0x1000]).chain(b"\r\n").copied().collect())
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (name, deed, expected, is_temporary) in [
        ("a proxy's page", answer("200 OK", PAGE), "foreign", false),
        ("a proxy's error", answer("502 Bad Gateway", PAGE), "foreign", true),
        ("another's 404", answer("404 Not Found", PAGE), "foreign", false),
        ("a refusal without words", answer("403 Forbidden", ""), "foreign", false),
        ("a long refusal", answer("500 Internal Server Error", &"x".repeat(100_000)), "foreign", true),
        ("nothing", say(""), "broken", true),
        ("no HTTP", say("SSH-2.0-OpenSSH_9.9\r\n"), "broken", true),
        ("half a head", say("HTTP/1.1 200 OK\r\ncontent-le"), "broken", true),
        ("half a body", say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"version\""), "broken", true),
        ("half a chunk", say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{\"version\""), "broken", true),
        ("a chunk of no number", say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), "broken", true),
        ("half a JSON", answer("200 OK", "{\"version\": \"0."), "foreign", false),
        ("no body", answer("200 OK", ""), "foreign", false),
        ("another JSON", answer("200 OK", "{\"error\": null}"), "unreadable", false),
        ("a list", answer("200 OK", "[1]"), "unreadable", false),
        ("deep JSON", answer("200 OK", &deep), "unreadable", false),
        ("bytes of no text", Deed::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\xfe\x00".to_vec()), "foreign", false),
        ("much too much", say("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{"), "oversized", false),
        ("without an end", endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), "oversized", false),
        ("a refusal without an end", endless("HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n"), "foreign", true),
        ("an early answer of informational status", say("HTTP/1.1 100 Continue\r\n\r\n"), "broken", true),
        ("nothing more", Deed::SayAndStay(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()), "silent", true),
        ("nothing at all", Deed::SayAndStay(Vec::new()), "silent", true),
        ("a redirection", answer("302 Found\r\nlocation: http://127.0.0.1:1/login", ""), "foreign", false),
    ] {
        let raw = Raw::start([deed]).await;
        let silence = if expected == "silent" { Duration::from_millis(100) } else { Duration::from_secs(60) };
        let client = Client::new(settings(raw.address).max_answer_bytes(1 << 20).silence_timeout(silence));
        let error = client.status().await.unwrap_err();
        assert_eq!((word(&error), error.is_temporary()), (expected, is_temporary), "{name}: {}", error.causes());
        assert_eq!(raw.requests().len(), 1, "{name}: nothing is asked twice");
        assert!(!error.to_string().is_empty() && error.causes().len() < 1_000, "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_refusal_has_its_status_and_its_retry_time() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (head, body, status, retry_after, is_temporary) in [
        ("401 Unauthorized", problem(401), 401, None, false),
        ("403 Forbidden", problem(403), 403, None, false),
        ("404 Not Found", problem(404), 404, None, false),
        ("408 Request Timeout", problem(408), 408, None, true),
        ("413 Payload Too Large", problem(413), 413, None, false),
        ("429 Too Many Requests\r\nretry-after: 7", problem(429), 429, seconds(7), true),
        ("500 Internal Server Error", problem(500), 500, None, true),
        ("503 Unavailable\r\nretry-after: 86400", problem(503), 503, seconds(60), true),
        ("503 Unavailable\r\nretry-after: tomorrow", problem(503), 503, None, true),
        // It's the status of the answer that holds.
        ("503 Unavailable", problem(200), 503, None, true),
        ("400 Bad Request", r#"{"code": 3, "message": "the server's words"}"#.to_owned(), 400, None, false),
    ] {
        let raw = Raw::start([answer(head, &body)]).await;
        let error = raw.client().status().await.unwrap_err();
        let problem = error.problem().unwrap_or_else(|| panic!("{head}: {}", error.causes()));
        assert_eq!((problem.status, problem.detail.as_str()), (status, "the server's words"), "{head}");
        assert_eq!((error.status(), error.retry_after(), error.is_temporary()), (Some(status), retry_after, is_temporary), "{head}");
    }
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let error = Client::new(settings(nobody)).status().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.hint().unwrap().contains("monitor server"), "{}", error.causes());
}

#[tokio::test]
async fn only_temporary_failures_are_retried() {
    let passing = [answer("503 Busy\r\nretry-after: 1", PAGE), answer("500 Error", &problem(500)), Deed::Say(Vec::new())];
    let raw = Raw::start(passing.into_iter().chain([answer("200 OK", "[1]")])).await;
    let mut statuses = Vec::new();
    let asked = raw.client().call::<Value>(Method::GET, &["api", "v1", "status"]).send_again(|error, pause| {
        assert!(pause <= Duration::from_secs(10) && pause >= error.retry_after().unwrap_or_default());
        statuses.push(error.status());
        ControlFlow::Continue(())
    });
    assert_eq!((asked.await.unwrap(), statuses), (json!([1]), vec![Some(503), Some(500), None]));
    for head in ["404 Not Found", "401 Unauthorized", "409 Conflict", "413 Too Large", "301 Moved"] {
        let raw = Raw::start([answer(head, &problem(404))]).await;
        let asked = raw.client().status().send_again(|_, _| panic!("{head} is final")).await;
        assert!(asked.is_err() && raw.requests().len() == 1, "{head}");
    }
    let raw = Raw::start([answer("503 Busy", &problem(503))]).await;
    let asked = raw.client().status().send_again(|_, _| ControlFlow::Break(())).await;
    assert!(asked.unwrap_err().status() == Some(503) && raw.requests().len() == 1, "whoever asks may give up");
}

#[tokio::test]
async fn a_redirection_is_reported_and_gets_no_token() {
    let other = Raw::start([answer("200 OK", "{}")]).await;
    let head = format!("307 Temporary Redirect\r\nlocation: http://{}/api/v1/status", other.address);
    let raw = Raw::start([answer(&head, "")]).await;
    let client = Client::new(settings(raw.address).token(Token::new("a-secret").unwrap()));
    let error = client.status().await.unwrap_err();
    assert!(error.hint().unwrap().contains(&other.address.to_string()), "{error:?}");
    assert_eq!(other.requests(), Vec::<String>::new());
    let head = &raw.requests()[0].to_ascii_lowercase();
    assert!(head.contains("authorization: bearer a-secret") && !format!("{client:?}{error:?}").contains("a-secret"), "{head}");
}

#[tokio::test]
async fn a_password_in_an_address_is_shown_nowhere() {
    let raw = Raw::start([answer("404 Not Found", PAGE)]).await;
    let client = Client::new(Settings::new(&format!("http://me:pass-word@{}", raw.address)).unwrap());
    let error = client.status().await.unwrap_err();
    assert!(!format!("{error} {error:?} {client:?} {}", error.causes()).contains("pass-word"), "{error:?}");
    assert!(raw.requests()[0].to_ascii_lowercase().contains("authorization: basic "), "but it is said to the server");
}

#[tokio::test]
async fn a_cyclic_list_ends_with_an_error() {
    let page = json!({"workers": [], "next_cursor": "again", "as_of": 1}).to_string();
    let raw = Raw::start([answer("200 OK", &page)]).await;
    let mut pages = raw.client().workers().pages();
    assert!(pages.next().await.unwrap().is_some());
    assert!(matches!(pages.next().await, Err(Error::Unreadable { .. })));
    assert!(pages.next().await.unwrap().is_none() && raw.requests().len() == 2);
}

#[tokio::test]
async fn the_answer_to_a_batch_is_returned_unchanged() {
    for (deed, status, length) in [
        (answer("200 OK", "{\"accepted\":3}"), 200, 14),
        (answer("413 Too Large", PAGE), 413, PAGE.len()),
        (answer("302 Found\r\nlocation: http://127.0.0.1:1", ""), 302, 0),
        (answer("503 Busy\r\nretry-after: 9", &"x".repeat(1 << 20)), 503, 64 << 10),
    ] {
        let raw = Raw::start([deed]).await;
        let answered = raw.client().post_batch(b"{}".to_vec(), "identity").await.unwrap();
        assert_eq!((answered.status, answered.body.len()), (status, length));
        assert_eq!(answered.retry_after, (status == 503).then_some(Duration::from_secs(9)));
        let head = raw.requests()[0].to_ascii_lowercase();
        assert!(head.starts_with("post /api/v1/events ") && head.contains("content-encoding: identity"), "{head}");
    }
    let raw = Raw::start([Deed::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec())]).await;
    assert!(matches!(raw.client().post_batch(Vec::new(), "gzip").await, Err(Error::Broken { .. })));
}

#[tokio::test]
async fn an_answer_as_json_may_have_unknown_fields() {
    let raw = Raw::start([answer("200 OK", "{\"of\": \"tomorrow\"}")]).await;
    assert_eq!(raw.client().status().json().await.unwrap(), json!({"of": "tomorrow"}));
    let raw = Raw::start([answer("204 No Content", "")]).await;
    raw.client().delete(1).await.unwrap();
    let raw = Raw::start([answer("200 OK", PAGE)]).await;
    let deleted: Result<(), Error> = raw.client().delete(1).await;
    assert!(matches!(deleted, Err(Error::Foreign { .. })), "a page is no deed");
    let any: Result<Value, Error> = raw.client().status().json().await;
    assert!(matches!(any, Err(Error::Foreign { .. })));
}

#[tokio::test]
async fn a_backup_may_take_longer_than_the_timeout_of_other_calls() {
    let silence = Duration::from_millis(50);
    let silent = Raw::start([Deed::SayAndStay(Vec::new())]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let copying = Client::new(settings(listener.local_addr().unwrap()).silence_timeout(silence));
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        while socket.read_u8().await.unwrap() != b'\n' {}
        // Whatever else is asked has been given up by now.
        let other = Client::new(settings(silent.address).silence_timeout(silence)).status().await;
        assert!(matches!(other, Err(Error::Silent { .. })), "{other:?}");
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ncopy").await.unwrap();
        socket
    };
    let (download, _socket) = tokio::join!(copying.backup().open(), server);
    let mut download = download.unwrap();
    assert_eq!(download.length_bytes(), Some(4));
    assert_eq!(download.chunk().await.unwrap().unwrap().as_ref(), b"copy");
}
