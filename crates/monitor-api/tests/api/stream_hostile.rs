//! Tests streams that a faulty server or a proxy may send.

use std::fmt::Write as _;
use std::time::Duration;

use monitor_api::{Client, Error, StreamItem};
use serde_json::json;

use crate::support::{Deed, Raw, answer, process, root, settings, started};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn message(number: u64) -> String {
    let data = json!({"event": started(root(1), process(number), "step"), "root": null, "process": null, "worker": null});
    format!("id: {number}\nevent: process-started\ndata: {data}\n\n")
}

fn stream(text: &str) -> Deed {
    Deed::Say(format!("{HEAD}{text}").into_bytes())
}

/// Reads `count` items of the stream, each as a word.
async fn read(client: &Client, request: monitor_api::StreamRequest, count: usize) -> String {
    let (mut stream, mut words) = (request.open(), String::new());
    for _ in 0..count {
        let _ = match stream.next().await {
            Ok(StreamItem::Connected { after }) => write!(words, "c{after} "),
            Ok(StreamItem::Event { number, .. }) => write!(words, "{number} "),
            Ok(StreamItem::Gap { after, until }) => write!(words, "gap{}-{until} ", after.unwrap_or(0)),
            Ok(StreamItem::Interrupted { .. }) => write!(words, "broke "),
            Ok(_) => write!(words, "? "),
            Err(Error::Unreadable { .. }) => write!(words, "unreadable "),
            Err(Error::Foreign { .. }) => write!(words, "foreign "),
            Err(Error::Oversized { .. }) => write!(words, "oversized "),
            Err(error) => panic!("{} of {client:?}", error.causes()),
        };
    }
    words.trim_end().to_owned()
}

#[tokio::test]
async fn each_message_is_delivered_once_or_is_an_error() {
    let greeting = "retry: 1000\nid: 4\n: connected\n\n";
    let (five, six, nine) = (message(5), message(6), message(9));
    let crlf = format!("{greeting}{five}").replace('\n', "\r\n");
    for (name, text, expected) in [
        ("as it should be", format!("{greeting}{five}{six}"), "c4 5 6 broke"),
        ("by carriage returns", crlf, "c4 5 broke"),
        ("a byte order mark", format!("\u{feff}{greeting}{five}"), "c4 5 broke"),
        ("what was told before", format!("{greeting}{five}{five}{six}{five}"), "c4 5 6 broke"),
        ("what is missing", format!("{greeting}{five}{nine}"), "c4 5 gap5-8 9 broke"),
        ("a reset", format!("{greeting}id: 70\nevent: reset\ndata: {{\"as_of\":70}}\n\n{}", message(71)), "c4 gap4-70 71 broke"),
        ("a reset back", format!("{greeting}{five}id: 2\nevent: reset\ndata: {{}}\n\n{}", message(3)), "c4 5 gap5-2 3 broke"),
        ("half a message", format!("{greeting}{}", &five[..five.len() - 20]), "c4 broke"),
        ("without its number", format!("{greeting}event: process-started\ndata: {{}}\n\n{five}"), "c4 unreadable 5 broke"),
        ("a number that is none", format!("{greeting}id: five\ndata: {{}}\n\n{five}"), "c4 unreadable 5 broke"),
        ("no JSON", format!("{greeting}id: 5\nevent: process-started\ndata: <html>\n\n{six}"), "c4 unreadable 6 broke"),
        ("another JSON", format!("{greeting}id: 5\nevent: x\ndata: [7]\n\n{six}"), "c4 unreadable 6 broke"),
        ("only comments", format!(": hello\n\n: there\n\n{greeting}{five}"), "c4 5 broke"),
        ("nothing", String::new(), "broke"),
        ("words", "hello\n\nthere\n\n".to_owned(), "broke"),
        ("the largest number", format!("{greeting}{}", message(u64::MAX)), &format!("c4 gap4-{} {} broke", u64::MAX - 1, u64::MAX)),
    ] {
        let raw = Raw::start([stream(&text)]).await;
        let client = raw.client();
        let count = expected.split(' ').count();
        assert_eq!(read(&client, client.stream(), count).await, expected, "{name}");
    }
    let raw = Raw::start([stream(&format!("{greeting}{five}{nine}"))]).await;
    let client = raw.client();
    assert_eq!(read(&client, client.stream().root(1), 4).await, "c4 5 9 broke", "what was not wanted is no gap");
    let bytes = [HEAD.as_bytes(), greeting.as_bytes(), b"id: 5\nevent: x\ndata: \xff\xfe\n\n"].concat();
    let raw = Raw::start([Deed::Say(bytes)]).await;
    let client = raw.client();
    assert_eq!(read(&client, client.stream(), 2).await, "c4 unreadable");
}

#[tokio::test]
async fn a_broken_stream_is_reported_and_resumes_at_its_position() {
    let first = format!("retry: 1000\nid: 4\n: connected\n\n{}id: 8\n: nothing new\n\n", message(5));
    let second = format!("id: 8\n: connected\n\n{}", message(9));
    let page = answer("502 Bad Gateway", "<html>");
    let raw = Raw::start([stream(&first), page, stream(&second)]).await;
    let client = raw.client();
    let words = read(&client, client.stream().types(["process-started"]), 6).await;
    assert_eq!(words, "c4 5 broke broke c8 9");
    let paths: Vec<_> = raw.requests().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    let at = |after: &str| format!("/api/v1/stream?types=process-started{after}");
    assert_eq!(paths, [at(""), at("&after=8"), at("&after=8")], "heartbeats move it on");
}

#[tokio::test]
async fn an_answer_that_is_not_a_stream_is_recognized() {
    for deed in [
        answer("200 OK\r\ncontent-type: text/html", "<html>"),
        answer("200 OK\r\ncontent-type: application/json", "{}"),
        answer("200 OK", "id: 1\n\n"),
    ] {
        let raw = Raw::start([deed]).await;
        let client = raw.client();
        assert_eq!(read(&client, client.stream(), 1).await, "foreign");
        assert_eq!(raw.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_message_without_an_end_is_refused() {
    for (begin, more) in [("id: 5\ndata: ", "x".repeat(4096)), ("id: 5\n", "data: x\n".repeat(512)), ("", ": x\n".repeat(1024))] {
        let raw = Raw::start([Deed::SayForever(format!("{HEAD}{begin}").into_bytes(), more.into_bytes())]).await;
        let client = Client::new(settings(raw.address).max_answer_bytes(1 << 20));
        assert_eq!(read(&client, client.stream(), 1).await, "oversized", "{begin:?}");
    }
    // The limit applies to each message, not to their sum.
    let many: String = (1..=2_000).map(message).collect();
    let raw = Raw::start([stream(&many)]).await;
    let client = Client::new(settings(raw.address).max_answer_bytes(1 << 10));
    assert!(read(&client, client.stream(), 2_001).await.ends_with("1999 2000 broke"));
}

#[tokio::test]
async fn a_silent_stream_is_given_up() {
    let raw = Raw::start([Deed::SayAndStay(format!("{HEAD}id: 4\n: connected\n\n").into_bytes())]).await;
    let client = Client::new(settings(raw.address).silence_timeout(Duration::from_millis(200)));
    let mut stream = client.stream().open();
    assert!(matches!(stream.next().await, Ok(StreamItem::Connected { after: 4 })));
    // The silence ends the stream although the caller drops `next` many times.
    let told = loop {
        match tokio::time::timeout(Duration::from_millis(20), stream.next()).await {
            Ok(told) => break told,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert!(matches!(told, Ok(StreamItem::Interrupted { error: Error::Silent { .. }, .. })), "{told:?}");
}

#[tokio::test]
async fn orders_are_read_one_by_one_and_each_is_limited_in_size() {
    let order = |id: u8, words: &str| {
        let order = json!({"id": format!("{id:016x}"), "method": "run", "arguments": {"task": words}, "timeout_ms": 1_000});
        format!("event: command\ndata: {order}\n\n")
    };
    let key = "k".repeat(32);
    let worker = monitor_wire::WorkerId::new(1).unwrap();
    let limit = 1 << 20;
    let large = order(3, &"x".repeat(limit));
    // Many orders may be larger together.
    let some = [order(1, &"x".repeat(limit / 2)), ": nothing new\n\n".to_owned(), order(2, &"x".repeat(limit / 2 + 100))].concat();
    for (name, text, read) in [
        ("too large", [some.clone(), large].concat(), 2),
        ("no line ends", [some.clone(), "x".repeat(limit + 1)].concat(), 2),
        ("lines without end", [some, "data: 1\n".repeat(limit / 8 + 1)].concat(), 2),
    ] {
        let raw = Raw::start([stream(&text)]).await;
        let client = Client::new(settings(raw.address).max_answer_bytes(limit));
        let mut channel = client.channel(worker, &key, "run").await.unwrap();
        for number in 1..=read {
            let order = channel.next().await.unwrap_or_else(|error| panic!("{name}: {}", error.causes()));
            assert_eq!(order.id.to_string(), format!("{number:016x}"), "{name}");
        }
        let error = channel.next().await.unwrap_err();
        assert!(matches!(error, Error::Oversized { limit_bytes, .. } if limit_bytes == limit), "{name}: {}", error.causes());
    }
}
