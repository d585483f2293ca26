//! A separate server for every test, and sockets with given answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use monitor_api::{Client, Settings, Token};
use monitor_server::access::{Access, Local, NewToken};
use monitor_server::{Config, ServeError, Server};
use monitor_wire::{Batch, Event, ProcessId, RootId};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) const WORKER: &str = "5b0c0000000000000000000000000001";

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
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
        let mut config = Config { listen: "127.0.0.1:0".parse().expect("an address"), ..Config::new(data.path()) };
        change(&mut config);
        let server = Server::bind(config).await.expect("a free port and a folder");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Self { address, stop, running, data }
    }

    pub(crate) fn settings(&self) -> Settings {
        settings(self.address)
    }

    /// A client without a token.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.settings())
    }

    /// A client that may do all.
    pub(crate) fn admin(&self) -> Client {
        let token = Local::find(self.data.path()).expect("a server that runs").token;
        Client::new(self.settings().token(Token::new(&token).expect("a token")))
    }

    /// Returns a client with a token of this scope.
    pub(crate) fn may(&self, scope: &str) -> Client {
        let new = NewToken { name: format!("a-{scope}"), scopes: scope.parse().expect("a scope"), lifetime: None, jobs: None };
        let token = self.access().create_token(&new).expect("a token");
        Client::new(self.settings().token(Token::new(&token).expect("a token")))
    }

    pub(crate) fn access(&self) -> Access {
        Access::open(self.data.path()).expect("a folder")
    }

    /// Stops it as SIGTERM does; its folder is left.
    pub(crate) async fn stop(self) -> TempDir {
        let Self { stop, running, data, .. } = self;
        stop.send(()).expect("a running server");
        running.await.expect("no panic").expect("a clean stop");
        data
    }
}

pub(crate) fn settings(address: SocketAddr) -> Settings {
    Settings::new(&format!("http://{address}")).expect("an address")
}

pub(crate) fn root(number: u128) -> RootId {
    RootId::new((0x0199_a3ce_929d << 80) + number).expect("not zero")
}

pub(crate) fn process(number: u64) -> ProcessId {
    ProcessId::new(number).expect("not zero")
}

/// Returns a batch of [`WORKER`] with events from [`started`] and [`ended`].
pub(crate) fn batch(sequence: u64, events: &[Value]) -> Batch {
    let events: Vec<Event> = events.iter().map(|event| serde_json::from_value(event.clone()).expect("an event")).collect();
    let batch = json!({
        "version": 1, "worker": {"id": WORKER, "hostname": "build-7", "pid": 4121, "program": "nightly"},
        "sequence": sequence, "sent_us": 1_763_600_003_200_000_u64, "events": events,
    });
    Batch::from_json(batch.to_string().as_bytes()).expect("a batch")
}

pub(crate) fn started(of: RootId, id: ProcessId, name: &str) -> Value {
    let time_us = 1_763_600_000_000_000 + (id.get() % 1_000_000);
    json!({"type": "process-started", "root_id": of, "id": id, "parent_id": null, "kind": "root", "name": name, "time_us": time_us})
}

pub(crate) fn ended(of: RootId, id: ProcessId) -> Value {
    json!({
        "type": "process-ended", "root_id": of, "id": id, "time_us": 1_763_600_003_000_000_u64, "elapsed_ns": 3_000_000_000_u64,
        "outcome": "failed", "error": {"kind": "error", "message": "no such table"},
    })
}

/// Answer of a [`Raw`] server to a request, one per connection.
#[derive(Clone)]
pub(crate) enum Deed {
    /// Writes these bytes and closes.
    Say(Vec<u8>),
    /// Writes these bytes and then nothing, but stays.
    SayAndStay(Vec<u8>),
    /// Writes these bytes, and the others again and again until the client goes.
    SayForever(Vec<u8>, Vec<u8>),
}

/// Returns an answer with this body and its `content-length`.
pub(crate) fn answer(head: &str, body: &str) -> Deed {
    Deed::Say(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes())
}

/// A socket that answers each connection with the next deed. The last deed is repeated.
pub(crate) struct Raw {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Raw {
    pub(crate) async fn start(deeds: impl IntoIterator<Item = Deed>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, requests) = (listener.local_addr().expect("an address"), Arc::<Mutex<Vec<String>>>::default());
        let (seen, deeds) = (requests.clone(), deeds.into_iter().collect::<Vec<_>>());
        tokio::spawn(async move {
            for at in 0.. {
                let Ok((socket, _)) = listener.accept().await else { return };
                let deed = deeds[at.min(deeds.len() - 1)].clone();
                tokio::spawn(serve(socket, deed, seen.clone()));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(settings(self.address))
    }

    /// The heads of all requests that came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

async fn serve(mut socket: TcpStream, deed: Deed, seen: Arc<Mutex<Vec<String>>>) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    let end = loop {
        match socket.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            break end;
        }
    };
    seen.lock().expect("no panic").push(String::from_utf8_lossy(&bytes[..end]).into_owned());
    // The client may close the connection before it has read everything.
    let _ = match deed {
        Deed::Say(text) => socket.write_all(&text).await,
        Deed::SayAndStay(text) => {
            let _ = socket.write_all(&text).await;
            socket.read(&mut chunk).await.map(|_| ())
        }
        Deed::SayForever(text, more) => {
            let _ = socket.write_all(&text).await;
            while socket.write_all(&more).await.is_ok() {}
            Ok(())
        }
    };
}

/// An address that stays the same while the server behind it goes and another one comes, as a service of a cluster has it.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
}

impl Front {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (target, of) = watch::channel(None::<SocketAddr>);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let target = *of.borrow();
                tokio::spawn(async move {
                    // Without one the connection is closed at once.
                    let Some(target) = target else { return };
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut socket, &mut server).await;
                });
            }
        });
        Self { address, target }
    }

    pub(crate) fn lead_to(&self, target: Option<SocketAddr>) {
        self.target.send_replace(target);
    }
}
