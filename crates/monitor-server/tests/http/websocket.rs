use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{CHILD, PROCESS, ROOT, TestServer, WORKER, batch, failed, started, tree};

const OTHER: &str = "0199a3ce929d0e0e47360199a3ce9299";

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(server: &TestServer, query: &str) -> Self {
        let mut socket = Self(connect(server, query, None).await.expect("a socket"));
        assert_eq!(socket.next().await.1, "connected");
        socket
    }

    /// Returns the next message: id, event, data.
    async fn next(&mut self) -> (u64, String, Value) {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await.expect("something within 20 s");
            if let Message::Text(text) = message.expect("no end").expect("no break") {
                let message: Value = serde_json::from_str(&text).unwrap();
                return (message["id"].as_u64().unwrap(), message["event"].as_str().unwrap().to_owned(), message["data"].clone());
            }
        }
    }

    async fn types(&mut self, count: usize) -> Vec<String> {
        let mut types = Vec::new();
        for _ in 0..count {
            types.push(self.next().await.1);
        }
        types
    }
}

async fn connect(server: &TestServer, query: &str, origin: Option<&str>) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Error> {
    let mut request = format!("ws://{}/api/v1/stream{query}", server.address).into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

#[tokio::test]
async fn a_websocket_sends_the_events_of_the_sse_stream_and_resumes_exactly() {
    let server = TestServer::start().await;
    let mut socket = Socket::open(&server, "").await;
    server.send(&tree()).await;
    let (first, event, data) = socket.next().await;
    assert_eq!(
        (event.as_str(), &data["event"]["id"], &data["root"]["title"]),
        ("process-started", &json!(PROCESS), &json!("nightly build <1>"))
    );
    drop(socket);
    let mut resumed = Socket::open(&server, &format!("?after={first}")).await;
    assert_eq!(resumed.next().await.0, first + 1);
    assert_eq!(resumed.next().await.0, first + 2);
    // Messages to the server are ignored.
    resumed.0.send(Message::Text("hello".into())).await.unwrap();
    server.send(&batch(4, &[failed(ROOT, CHILD, "again")])).await;
    assert_eq!(resumed.next().await.0, first + 3);
    let mut lost = Socket(connect(&server, "?after=99999", None).await.unwrap());
    assert_eq!(lost.next().await, (first + 3, "reset".to_owned(), json!({"as_of": first + 3})));
}

#[tokio::test]
async fn a_websocket_replays_events_of_a_previous_server() {
    let server = TestServer::start().await;
    let mut socket = Socket::open(&server, "").await;
    server.send(&tree()).await;
    let told = [socket.next().await, socket.next().await, socket.next().await];
    drop(socket);
    let server = TestServer::on(server.stop().await, |_| {}).await;
    server.send(&batch(4, &[failed(ROOT, CHILD, "later")])).await;
    for seen in 0..told.len() {
        let mut again = Socket::open(&server, &format!("?after={seen}")).await;
        for (id, event, data) in &told[seen..] {
            let (next_id, next_event, next) = again.next().await;
            assert_eq!((next_id, &next_event, &next["event"]), (*id, event, &data["event"]), "after {seen}");
        }
        let (id, _, data) = again.next().await;
        assert_eq!((id, &data["event"]["id"]), (4, &json!(CHILD)), "what came after the restart, after {seen}");
    }
}

#[tokio::test]
async fn filters_select_matching_events() {
    let server = TestServer::start().await;
    let other = "5b0c00000000000000000000000000ff";
    let mut by_process = Socket::open(&server, &format!("?process={CHILD}")).await;
    let mut by_name = Socket::open(&server, "?name=compile").await;
    let mut by_worker = Socket::open(&server, &format!("?worker={other}")).await;
    let mut by_all = Socket::open(&server, &format!("?types=process-ended&name=compile&process={CHILD}&worker={WORKER}")).await;
    let mut by_sse = crate::stream::Reader::open(server.get("/api/v1/stream?name=compile")).await;
    server.send(&tree()).await;
    let mut foreign = batch(1, &[started(OTHER, "00000000000000d1", None, "compile")]);
    foreign["worker"]["id"] = json!(other);
    server.send(&foreign).await;
    server.send(&batch(4, &[failed(ROOT, CHILD, "no such file")])).await;
    assert_eq!(by_process.types(2).await, ["process-started", "process-ended"]);
    assert_eq!(by_name.types(3).await, ["process-started", "process-started", "process-ended"]);
    assert_eq!(by_worker.next().await.2["process"]["id"], "00000000000000d1");
    let (_, event, data) = by_all.next().await;
    assert_eq!((event.as_str(), &data["event"]["id"]), ("process-ended", &json!(CHILD)));
    assert_eq!(by_sse.next().await.data["process"]["name"], "compile");
    let answer = crate::support::read(server.get("/api/v1/stream?process=x").send().await.unwrap()).await;
    assert!(answer.0 == 400 && answer.1["detail"].as_str().unwrap().contains("`process`"), "{answer:?}");
}

#[tokio::test]
async fn a_page_of_another_port_cannot_open_a_websocket() {
    let server = TestServer::start().await;
    for (origin, allowed) in [
        (format!("http://{}", server.address), true),
        ("http://localhost:5173".to_owned(), false),
        ("http://evil.example".to_owned(), false),
    ] {
        match connect(&server, "", Some(&origin)).await {
            Ok(_) => assert!(allowed, "{origin}"),
            Err(Error::Http(response)) => assert!(!allowed && response.status() == 403, "{origin}: {response:?}"),
            Err(error) => panic!("{origin}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_websocket_outlives_the_idle_timeout_and_ends_with_the_server() {
    let server = TestServer::with(|config| {
        config.idle_timeout = Duration::from_millis(50);
        config.stream_heartbeat = Duration::from_millis(200);
    })
    .await;
    let mut socket = Socket::open(&server, "").await;
    assert_eq!(socket.types(3).await, ["heartbeat", "heartbeat", "heartbeat"]);
    let stopped = tokio::spawn(server.stop());
    loop {
        match tokio::time::timeout(Duration::from_secs(20), socket.0.next()).await.expect("an end") {
            Some(Ok(Message::Close(close))) => {
                assert_eq!(u16::from(close.unwrap().code), 1012);
                break;
            }
            Some(Ok(_)) => {}
            end => panic!("{end:?}"),
        }
    }
    stopped.await.unwrap();
}

#[tokio::test]
async fn an_invalid_websocket_handshake_is_refused_with_a_reason() {
    let server = TestServer::start().await;
    let request =
        server.get("/api/v1/stream").header("connection", "upgrade").header("upgrade", "websocket").header("sec-websocket-version", "12");
    let (status, problem) = crate::support::read(request.send().await.unwrap()).await;
    assert!(status == 400 && problem["detail"].as_str().unwrap().contains("no WebSocket"), "{problem}");
}

/// The number of subscribers that a server must support. Each gets every event, in order.
#[tokio::test]
async fn a_thousand_subscribers_get_every_event_in_order() {
    // The interval of heartbeats is long, so that only events arrive however long it takes to connect all subscribers.
    let server = TestServer::with(|config| config.stream_heartbeat = Duration::from_secs(3_600)).await;
    let mut sockets = Vec::new();
    for _ in 0..1_000 {
        sockets.push(Socket::open(&server, "").await);
    }
    server.send(&tree()).await;
    let mut expected = Vec::new();
    for socket in &mut sockets {
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(socket.next().await.0);
        }
        assert!(ids.is_sorted());
        if expected.is_empty() {
            expected.clone_from(&ids);
        }
        assert_eq!(ids, expected);
    }
    let metrics = server.get("/metrics").send().await.unwrap().text().await.unwrap();
    let pieces = metrics.lines().find_map(|line| line.strip_prefix("monitor_stream_pieces_total ")).unwrap();
    assert!(pieces.parse::<u64>().unwrap() <= 30, "written for all together: {pieces}");
}
