//! Tests with slow, crowding and malformed clients: they get a response or are disconnected, and other clients are served in the meantime.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::lifecycle::endless;
use crate::support::{PROCESS, ROOT, TestServer, batch, read, started, tree, until};

/// Sends a byte every few milliseconds until the server closes the connection. Returns the response.
async fn drip(server: &TestServer, head: &str) -> String {
    let (mut read, mut write) = TcpStream::connect(server.address).await.unwrap().into_split();
    write.write_all(head.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut answer = Vec::new();
    // Reading may fail with a reset, because unread data remained at the server.
    let read = tokio::time::timeout(Duration::from_secs(20), read.read_to_end(&mut answer)).await;
    read.expect("closed").ok();
    dripping.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_connection_with_a_slowly_sent_head_is_closed() {
    let server = TestServer::with(|config| config.header_timeout = Duration::from_millis(100)).await;
    drip(&server, "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await;
    // Also for the second request of a connection.
    drip(&server, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await;
    server.ask("/healthz").await;
}

#[tokio::test]
async fn a_slowly_sent_body_is_refused_and_its_connection_closed() {
    let server = TestServer::with(|config| {
        config.stall_timeout = Duration::from_millis(100);
        config.min_body_rate_bytes = 1 << 20;
    })
    .await;
    for path in ["/api/v1/events", "/login"] {
        let kind = if path == "/login" { "application/x-www-form-urlencoded" } else { "application/json" };
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: 100000\r\n\r\n");
        let answer = drip(&server, &head).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(path == "/login" || answer.contains("too slowly"), "{answer}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_but_a_stream_is_not() {
    let server = TestServer::with(|config| {
        config.idle_timeout = Duration::from_millis(50);
        config.header_timeout = Duration::from_millis(50);
        config.stream_heartbeat = Duration::from_millis(200);
    })
    .await;
    let mut stream = crate::stream::Reader::open(server.get("/api/v1/stream")).await;
    server.raw("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    server.raw("").await;
    // Several times the lifetime of an idle connection.
    for _ in 0..3 {
        stream.heartbeat().await;
    }
    server.send(&tree()).await;
    assert_eq!(stream.next().await.event, "process-started");
}

#[tokio::test]
async fn idle_connections_are_closed_to_make_room() {
    let server = TestServer::with(|config| config.max_connections = 20).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(server.address).await.unwrap());
        if crowd.len() % 20 == 0 {
            let answer = server.raw("GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_single_client_cannot_use_all_connections() {
    let server = TestServer::with(|config| config.max_connections_per_client = 2).await;
    let _busy = [endless(&server).await, endless(&server).await];
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), third.read(&mut [0])).await.expect("closed at once");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    let mut other = socket.connect(server.address).await.unwrap();
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let request = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
    let all = request("/healthz", "") + &request("/nope", "") + &request("/api/v1/roots", "connection: close\r\n");
    let answer = server.raw(&all).await;
    let starts: Vec<_> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(starts, ["200", "404", "200"], "{answer}");
}

#[tokio::test]
async fn malformed_requests_are_answered_or_their_connections_closed() {
    let server = TestServer::start().await;
    let post = "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let headers = "x: y\r\n".repeat(1_000);
    let long = "x".repeat(1 << 20);
    for request in [
        format!("{post}content-length: 2\r\n\r\n{{}}GARBAGE"),
        format!("{post}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"),
        format!("{post}content-length: -1\r\n\r\n"),
        format!("{post}content-length: 99999999999999999999999\r\n\r\n"),
        format!("{post}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n{{}}\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\0\u{5}hello".to_owned() + "\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        // The server may close the connection before it has received everything.
        let _ = socket.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.expect("answered or closed");
        let answer = String::from_utf8_lossy(&answer);
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505");
        assert!(is_refused, "{request:.100}: {answer}");
        server.ask("/healthz").await;
    }
    assert_eq!(server.ask("/api/v1/status").await["events"], 0);
}

/// Stores a run with `children` children, whose responses are larger than the buffers of sockets.
async fn send_large_tree(server: &TestServer, children: u64) {
    let child = |n: u64| started(ROOT, &format!("{n:016x}"), Some(PROCESS), "a child of a large tree, with a name that takes its room");
    for first in (1..children).step_by(5_000) {
        let last = (first + 5_000).min(children + 1);
        server.send(&batch(first + 1, &(first..last).map(child).collect::<Vec<_>>())).await;
    }
    server.send(&batch(1, &[started(ROOT, PROCESS, None, "large")])).await;
}

/// Sends a request, and reads only the first bytes of the response.
async fn ask_and_dawdle(server: &TestServer, path: &str, accept: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut socket = socket.connect(server.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\n\r\n", server.address);
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    socket
}

#[tokio::test]
async fn slow_readers_of_exports_do_not_block_other_requests() {
    let server = TestServer::start().await;
    send_large_tree(&server, 20_000).await;
    let export = format!("/api/v1/roots/{ROOT}/export?format=ndjson");
    let turns = 2 * std::thread::available_parallelism().unwrap().get();
    let mut slow = Vec::new();
    for _ in 0..turns {
        slow.push(ask_and_dawdle(&server, &export, "*/*").await);
    }
    let refused = server.get(&export).send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    let (status, problem) = read(refused).await;
    assert!(status == 503 && problem["detail"].as_str().unwrap().contains("export"), "{problem}");
    server.ask("/api/v1/roots").await;
    slow.pop();
    until(async || server.get(&export).send().await.unwrap().status() == 200).await;
}

#[tokio::test]
async fn trees_that_are_read_slowly_take_bounded_memory() {
    let server = TestServer::with(|config| config.max_answer_bytes = 20 << 20).await;
    send_large_tree(&server, 20_000).await;
    let tree = format!("/api/v1/roots/{ROOT}/tree?limit=100000");
    let slow = ask_and_dawdle(&server, &tree, "*/*").await;
    // Other requests find no memory for as much, and are refused after a while.
    for accept in ["*/*", "application/vnd.process-monitor.tree"] {
        let answer = server.get(&tree).header("accept", accept).send().await.unwrap();
        if accept == "*/*" {
            assert_eq!(answer.headers()["retry-after"], "1");
            let (status, problem) = read(answer).await;
            assert!(status == 503 && problem["detail"].as_str().unwrap().contains("max-answer-bytes"), "{problem}");
        } else {
            assert_eq!(answer.status(), 200, "as columns it is small enough");
        }
    }
    server.ask(&format!("/api/v1/roots/{ROOT}/tree?limit=10")).await;
    drop(slow);
    until(async || server.get(&tree).send().await.unwrap().status() == 200).await;
}

#[tokio::test]
async fn a_fast_start_does_not_permit_hours_of_slow_sending() {
    let server = TestServer::with(|config| {
        config.stall_timeout = Duration::from_millis(200);
        config.min_body_rate_bytes = 1 << 10;
    })
    .await;
    let length = 4 << 20;
    let head =
        format!("POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    // An hour's worth of bytes at once, and then one byte at a time.
    let answer = drip(&server, &(head + &" ".repeat(length - 100_000))).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}
