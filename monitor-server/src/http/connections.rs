//! Accepts connections, bounds how many there are and how long they may dawdle, and lets them end when the server stops.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use tower_service::Service;

use super::access::Peer;
use crate::config::Config;

/// After a failure to accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to stop, and then until all requests are answered or `stop_timeout` is over.
pub(crate) async fn serve(listener: TcpListener, router: Router, config: &Config, stopping: CancellationToken) {
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
    let accept = async {
        loop {
            let slot = slots.clone().acquire_owned().await;
            let (socket, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "could not turn off delays of small packets");
            }
            let mut socket = TimeoutStream::new(socket);
            socket.set_write_timeout(Some(config.stall_timeout));
            let router = router.clone();
            let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer { address, is_tls: false });
                router.clone().call(request.map(Body::new))
            });
            let connection = graceful.watch(http.serve_connection(TokioIo::new(Box::pin(socket)), service));
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection broke");
                }
                drop(slot);
            });
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accept => {}
        () = stopping.cancelled() => {}
    }
    drop(listener);
    if tokio::time::timeout(config.stop_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("{} requests were not answered in time and are broken off", connections.len());
    }
    connections.shutdown().await;
}
