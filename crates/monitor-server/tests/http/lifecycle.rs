use std::time::Duration;

use monitor_server::access::{Access, NewToken};
use monitor_server::{Config, ServeError, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestServer, config, tree};

async fn refusal(config: Config) -> String {
    match Server::bind(config).await {
        Ok(_) => panic!("a second server began"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn the_error_of_a_port_in_use_names_address_and_option() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let message = refusal(Config { listen: server.address, ..config(&folder) }).await;
    assert!(message.contains(&server.address.to_string()) && message.contains("--listen"), "{message}");
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_is_free_again_after_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let second = config(&folder);
    let first = TestServer::on(folder, |_| {}).await;
    let message = refusal(second.clone()).await;
    assert!(message.contains(&second.data.display().to_string()) && message.contains("--data"), "{message}");
    let folder = first.stop().await;
    TestServer::on(folder, |_| {}).await.stop().await;
}

#[tokio::test]
async fn only_loopback_addresses_need_no_explicit_permission() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let config = Config { listen: address.parse().unwrap(), ..config(&folder) };
        let Err(error) = Server::bind(config).await else { panic!("{address} was listened on") };
        let words = ["--insecure", "monitor token create", "monitor user add"];
        assert!(matches!(error, ServeError::NotLoopback { .. }) && words.iter().all(|words| error.to_string().contains(words)), "{error}");
    }
    let public = Config { public_url: Some("https://monitor.example.com".parse().unwrap()), ..config(&folder) };
    let message = refusal(public.clone()).await;
    assert!(message.contains("https://monitor.example.com"), "{message}");
    let access = Access::open(folder.path()).unwrap();
    let new = NewToken { name: "a".to_owned(), scopes: "ingest".parse().unwrap(), lifetime: None, jobs: None };
    access.create_token(&new).unwrap();
    drop(Server::bind(public).await.expect("who has a token may come in"));
    let server = TestServer::with(|config| {
        config.listen = "0.0.0.0:0".parse().unwrap();
        config.insecure = true;
    })
    .await;
    let address = format!("http://127.0.0.1:{}/healthz", server.address.port());
    for (host, status) in [("127.0.0.1", 200), ("192.0.2.1:60010", 200), ("evil.example", 421)] {
        let response = server.client.get(&address).header("host", host).send().await.unwrap();
        assert_eq!(response.status(), status, "{host}");
    }
}

#[tokio::test]
async fn the_link_leads_to_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::bind(config(&folder)).await.unwrap();
    assert_eq!(server.page_url(), format!("http://{}/tasks", server.local_addr()));
    drop(server);
    let url = Some("https://monitor.example.com/".parse().unwrap());
    let public = Config { public_url: url, insecure: true, ..config(&folder) };
    assert_eq!(Server::bind(public).await.unwrap().page_url(), "https://monitor.example.com/tasks");
}

#[tokio::test]
async fn a_stop_ends_streams_and_idle_connections_and_keeps_accepted_events() {
    let server = TestServer::with(|config| config.stop_timeout = Duration::from_secs(60)).await;
    let stream = server.get("/api/v1/stream").send().await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    server.send(&tree()).await;
    let address = server.address;
    let folder = tokio::time::timeout(Duration::from_secs(20), server.stop()).await.expect("stopped long before the limit");
    assert!(stream.text().await.is_ok(), "the stream ends whole");
    idle.read_to_end(&mut Vec::new()).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    let server = TestServer::on(folder, |_| {}).await;
    assert_eq!(server.ask("/api/v1/roots").await["roots"][0]["title"], "nightly build <1>");
}

/// Opens a connection with a request that does not end until it is dropped.
pub(crate) async fn endless(server: &TestServer) -> TcpStream {
    let mut endless = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\
                expect: 100-continue\r\n\r\n";
    endless.write_all(head.as_bytes()).await.unwrap();
    // The server sends this when it begins to wait for the body.
    let mut said = [0; 25];
    endless.read_exact(&mut said).await.unwrap();
    assert_eq!(said, *b"HTTP/1.1 100 Continue\r\n\r\n");
    endless
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_a_stop() {
    let server = TestServer::with(|config| config.stop_timeout = Duration::from_millis(50)).await;
    let _endless = endless(&server).await;
    tokio::time::timeout(Duration::from_secs(20), server.stop()).await.expect("stopped");
}

#[tokio::test]
async fn a_slow_request_head_ends_with_a_timeout() {
    let server = TestServer::with(|config| config.header_timeout = Duration::from_millis(50)).await;
    server.raw("GET /healthz HTTP/1.1\r\nhost: local").await;
    server.ask("/healthz").await;
}

#[tokio::test]
async fn connections_are_bounded_and_wait_for_their_turn() {
    let server = TestServer::with(|config| config.max_connections = 1).await;
    // The connection must be busy, because an idle one would be closed.
    let first = endless(&server).await;
    let second = server.get("/healthz").send();
    tokio::pin!(second);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    assert!(early.is_err(), "it waits");
    drop(first);
    assert_eq!(second.await.unwrap().status(), 200);
}
