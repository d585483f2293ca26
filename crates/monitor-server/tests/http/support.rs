//! Test server: each test starts its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use monitor_server::access::{Access, Local, NewToken};
use monitor_server::{Config, ServeError, Server};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const WORKER: &str = "5b0c0000000000000000000000000001";
pub(crate) const ROOT: &str = "0199a3ce929d0e0e47360199a3ce929d";
pub(crate) const PROCESS: &str = "a3ce929d0e0e4736";
pub(crate) const CHILD: &str = "00000000000000c1";

/// Waits until `is_so` returns true.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !is_so().await {
            // Pause between two attempts.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("in time");
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServeError>>,
    data: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().expect("a folder"), change).await
    }

    pub(crate) async fn on(data: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(&data);
        change(&mut config);
        let server = Server::bind(config).await.expect("a free port and a new folder");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { address, client, stop, running, data }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    pub(crate) fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.client.post(format!("http://{}/api/v1/events", self.address));
        request.header("content-type", "application/json").body(body)
    }

    /// Returns the data folder.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Opens the tokens and users of the data folder, as the command line does.
    pub(crate) fn access(&self) -> Access {
        Access::open(self.data.path()).expect("a folder")
    }

    /// Creates a token.
    pub(crate) fn token(&self, scope: &str) -> String {
        let new = NewToken { name: format!("a-{scope}"), scopes: scope.parse().expect("a scope"), lifetime: None, jobs: None };
        self.access().create_token(&new).expect("a token")
    }

    /// Returns the data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.data.path()
    }

    /// Returns the token in the data folder, which has all rights.
    pub(crate) fn local_token(&self) -> String {
        Local::find(self.data.path()).expect("a server that runs").token
    }

    /// Sends a batch, which must be accepted.
    pub(crate) async fn send(&self, batch: &Value) {
        self.send_by(self.post(batch.to_string())).await;
    }

    /// Sends a batch with events of agents, as the server's own agent does. It must be accepted.
    pub(crate) async fn send_of_agent(&self, batch: &Value) {
        self.send_by(self.post(batch.to_string()).bearer_auth(self.local_token())).await;
    }

    async fn send_by(&self, request: RequestBuilder) {
        let response = request.send().await.expect("an answer");
        let (status, body) = read(response).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Returns the response to a GET request, which must succeed.
    pub(crate) async fn ask(&self, path: &str) -> Value {
        let (status, body) = read(self.get(path).send().await.expect("an answer")).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Sends these bytes, and returns everything received until the server closes the connection.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.expect("a connection");
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.expect("read");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Stops the server as SIGTERM does. Returns its data folder.
    pub(crate) async fn stop(self) -> TempDir {
        let Self { stop, running, data, .. } = self;
        stop.send(()).expect("a running server");
        running.await.expect("no panic").expect("a clean stop");
        data
    }
}

pub(crate) fn config(data: &TempDir) -> Config {
    Config { listen: "127.0.0.1:0".parse().expect("an address"), ..Config::new(data.path()) }
}

pub(crate) async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let is_problem = response.headers().get("content-type").is_some_and(|value| value == "application/problem+json");
    assert_eq!(is_problem, status >= 400, "errors and only errors are problems: {response:?}");
    let body: Value = response.json().await.expect("JSON");
    if is_problem {
        assert_eq!(body["status"], status);
        assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{body}");
    }
    (status, body)
}

pub(crate) fn batch(sequence: u64, events: &[Value]) -> Value {
    json!({
        "version": 1,
        "worker": {"id": WORKER, "hostname": "build-7", "pid": 4121, "program": "nightly"},
        "sequence": sequence, "sent_us": 1_763_600_003_200_000_u64, "events": events,
    })
}

pub(crate) fn started(root: &str, id: &str, parent: Option<&str>, name: &str) -> Value {
    json!({
        "type": "process-started", "root_id": root, "id": id, "parent_id": parent, "kind": if parent.is_some() { "normal" } else { "root" },
        "name": name, "time_us": 1_763_600_000_123_456_u64, "thread": "main", "source": {"file": "src/main.rs", "line": 12},
    })
}

pub(crate) fn failed(root: &str, id: &str, message: &str) -> Value {
    json!({
        "type": "process-ended", "root_id": root, "id": id, "time_us": 1_763_600_003_123_999_u64, "elapsed_ns": 3_000_543_210_u64,
        "outcome": "failed", "error": {"kind": "error", "type": "app::Error", "message": message, "chain": ["query failed"]},
    })
}

/// Returns a run whose root failed and whose child is still running.
pub(crate) fn tree() -> Value {
    let events = [
        started(ROOT, PROCESS, None, "nightly build"),
        started(ROOT, CHILD, Some(PROCESS), "compile"),
        failed(ROOT, PROCESS, "no such table"),
    ];
    batch(1, &events)
}
