//! Tests that streams end soon after the right to them, whichever process ends it.

use std::time::Duration;

use futures_util::StreamExt;
use monitor_server::access::{NewToken, Role};
use reqwest::RequestBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::stream::Reader;
use crate::support::{PROCESS, ROOT, TestServer, batch, started};

/// Long enough for a busy machine, because the tests check that a stream ends at all.
const PATIENCE: Duration = Duration::from_secs(20);

async fn login(server: &TestServer) -> String {
    let request = server.client.post(format!("http://{}/login", server.address));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body("user=ada&password=correct+horse");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 303);
    answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn add_ada(server: &TestServer, role: Role) {
    server.access().add_user("ada", role, "correct horse").unwrap();
}

async fn websocket(server: &TestServer, header: (&'static str, String)) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let mut request = format!("ws://{}/api/v1/stream", server.address).into_client_request().unwrap();
    request.headers_mut().insert(header.0, header.1.parse().unwrap());
    connect_async(request).await.unwrap().0
}

/// Returns the code of the close frame.
async fn close_code(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> u16 {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("an end") {
            Some(Ok(Message::Close(close))) => return close.unwrap().code.into(),
            Some(Ok(_)) => {}
            end => panic!("{end:?}"),
        }
    }
}

#[tokio::test]
async fn the_end_of_a_permission_ends_the_streams_that_use_it() {
    let server = TestServer::with(|config| config.stream_heartbeat = Duration::from_millis(100)).await;
    let kept = server.token("read");
    let stream = || server.get("/api/v1/stream");
    let with_cookie = |cookie: &str| stream().header("cookie", cookie);
    let mut others = [Reader::open(stream().bearer_auth(&kept)).await, Reader::open(stream()).await];
    let mut by_kept = websocket(&server, ("authorization", format!("Bearer {kept}"))).await;

    let token = server.token("operate");
    let mut reader = Reader::open(stream().bearer_auth(&token)).await;
    let mut socket = websocket(&server, ("authorization", format!("Bearer {token}"))).await;
    // Uses a separate connection to the file, as `monitor token revoke` does.
    server.access().revoke_token("a-operate").unwrap();
    reader.end().await;
    assert_eq!(close_code(&mut socket).await, 1008);

    add_ada(&server, Role::Operator);
    let cookie = login(&server).await;
    let mut reader = Reader::open(with_cookie(&cookie)).await;
    let mut socket = websocket(&server, ("cookie", cookie.clone())).await;
    let own = format!("http://{}", server.address);
    let out = server.client.post(format!("{own}/logout")).header("cookie", &cookie).header("origin", &own).send().await.unwrap();
    assert_eq!(out.status(), 303, "the logout itself is answered");
    reader.end().await;
    assert_eq!(close_code(&mut socket).await, 1008);

    let mut reader = Reader::open(with_cookie(&login(&server).await)).await;
    server.access().set_password("ada", "another horse").unwrap();
    reader.end().await;
    server.access().set_password("ada", "correct horse").unwrap();
    let cookie = login(&server).await;
    let mut reader = Reader::open(with_cookie(&cookie)).await;
    let mut socket = websocket(&server, ("cookie", cookie)).await;
    server.access().remove_user("ada").unwrap();
    // A new user with the same name does not inherit the session.
    add_ada(&server, Role::Viewer);
    reader.end().await;
    assert_eq!(close_code(&mut socket).await, 1008);

    for name in ["brief", "briefer"] {
        let brief = NewToken { name: name.to_owned(), scopes: "read".parse().unwrap(), lifetime: Some(Duration::from_secs(2)), jobs: None };
        let brief = server.access().create_token(&brief).unwrap();
        if name == "brief" {
            Reader::open(stream().bearer_auth(&brief)).await.end().await;
        } else {
            let mut socket = websocket(&server, ("authorization", format!("Bearer {brief}"))).await;
            assert_eq!(close_code(&mut socket).await, 1008);
        }
    }

    for other in &mut others {
        other.heartbeat().await;
    }
    assert!(matches!(by_kept.next().await, Some(Ok(Message::Text(_)))), "whose right holds goes on");
}

#[tokio::test]
async fn a_stream_whose_client_does_not_read_ends_with_its_token_too() {
    let server = TestServer::with(|config| config.stall_timeout = Duration::from_secs(600)).await;
    let token = server.token("read");
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /api/v1/stream HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n", server.address);
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    slow.read_exact(&mut first).await.unwrap();
    let mut socket = websocket(&server, ("authorization", format!("Bearer {token}"))).await;
    // More data than the buffers of the sockets can hold.
    let name = "n".repeat(4_000);
    for sequence in 0..40 {
        let events: Vec<_> = (1..=250).map(|n| started(ROOT, &format!("{:016x}", sequence * 250 + n), Some(PROCESS), &name)).collect();
        server.send(&batch(sequence * 250 + 1, &events)).await;
    }
    server.access().revoke_token("a-read").unwrap();
    crate::support::until(async || {
        let metrics = server.get("/metrics").send().await.unwrap().text().await.unwrap();
        metrics.contains("monitor_stream_subscribers 0\n")
    })
    .await;
    // Data that was sent before can still be read. Then the connection ends.
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut rest)).await.expect("an end");
    while let Some(Ok(_)) = tokio::time::timeout(PATIENCE, socket.next()).await.expect("an end") {}
}

#[tokio::test]
async fn a_running_export_is_interrupted_when_its_token_is_revoked() {
    let server = TestServer::start().await;
    let token = server.token("read");
    for sequence in 0..4_u64 {
        let name = "a child with a name that takes its room";
        let child = |n: u64| started(ROOT, &format!("{:016x}", sequence * 5_000 + n), Some(PROCESS), name);
        server.send(&batch(sequence * 5_000 + 1, &(1..=5_000).map(child).collect::<Vec<_>>())).await;
    }
    let request: RequestBuilder = server.get(&format!("/api/v1/roots/{ROOT}/export?format=ndjson")).bearer_auth(&token);
    let mut export = request.send().await.unwrap();
    assert_eq!(export.status(), 200);
    assert!(export.chunk().await.unwrap().is_some());
    let mut stream = Reader::open(server.get("/api/v1/stream").bearer_auth(&token)).await;
    server.access().revoke_token("a-read").unwrap();
    // All requests with the same token end together.
    stream.end().await;
    let mut end = export.chunk().await;
    while let Ok(Some(_)) = end {
        end = export.chunk().await;
    }
    assert!(end.is_err(), "broken off, not complete");
}
