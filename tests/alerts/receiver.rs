//! A webhook receiver like a team would run.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use monitor_tests::wait_for;
use serde_json::Value;
use tokio::runtime::Runtime;

/// A webhook receiver. Its records remain after it has stopped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Seen>>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// Status of the answers, if not 200.
    status: Option<u16>,
    /// All accepted messages, with their keys.
    pub(crate) taken: Vec<(String, Value)>,
    /// Number of rejected messages.
    refused: usize,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let mut receiver = Self { address: "127.0.0.1:0".parse().unwrap(), seen: Arc::default(), runtime: None };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(receiver.address)).unwrap();
        receiver.address = listener.local_addr().unwrap();
        let app = axum::Router::new().route("/hook", post(receive)).with_state(receiver.seen.clone());
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        receiver.runtime = Some(runtime);
        receiver
    }

    pub(crate) fn answer(&self, status: Option<u16>) {
        self.seen.lock().unwrap().status = status;
    }

    pub(crate) fn refused(&self) -> usize {
        self.seen.lock().unwrap().refused
    }

    /// Accepted messages, as soon as there are this many.
    pub(crate) fn messages(&self, count: usize) -> Vec<Value> {
        wait_for("messages", || {
            let seen = self.seen.lock().unwrap();
            (seen.taken.len() >= count).then(|| seen.taken.iter().map(|(_, message)| message.clone()).collect())
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.runtime.take().expect("it listens").shutdown_background();
    }
}

async fn receive(State(seen): State<Arc<Mutex<Seen>>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut seen = seen.lock().unwrap();
    if let Some(status) = seen.status {
        seen.refused += 1;
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    seen.taken.push((key, serde_json::from_slice(&body).expect("JSON")));
    StatusCode::OK.into_response()
}
