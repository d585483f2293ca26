//! Connections: accepts them, limits their number and their slowness, and ends them when the server stops.

mod body;
mod http2;
mod phase;
pub(crate) mod revoked;
mod room;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use self::body::Received;
pub(super) use self::body::is_stalled;
pub(super) use self::phase::Busy;
use self::phase::{Limits, Phase, Watched};
pub(crate) use self::room::Room;
pub(crate) use self::tls::Tls;
pub use self::tls::TlsError;
use super::access::{Peer, has_proxy};
use crate::config::Config;

/// Pause after a failed accept, which is usually caused by a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Maximum number of bytes to read and discard from a client that uses plain HTTP on a TLS port.
const LONGEST_PLAIN: u64 = 4 << 20;

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// Accepts connections until `stopping` is cancelled. Then waits until all requests are answered, for up to `stop_timeout`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    config: &Arc<Config>,
    room: Arc<Room>,
    tls: Option<Tls>,
    stopping: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            let (socket, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // `None` drops and so closes the socket, because its client has too many connections. Connections from a proxy belong to many
            // clients, so they are not counted by address.
            let is_proxy = config.trusts_proxy(address.ip()) || (address.ip().to_canonical().is_loopback() && has_proxy(config));
            let Some(phase) = room.enter((!is_proxy).then_some(address.ip())).await else { continue };
            limit_unsent(&socket);
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "could not turn off delays of small packets");
            }
            let (router, config, tls, stopping) = (router.clone(), config.clone(), tls.clone(), stopping.clone());
            connections.spawn(async move {
                let evicted = phase.evicted();
                let served = serve_one(socket, address, phase, router, config, tls, stopping);
                tokio::select! {
                    () = served => {}
                    () = evicted.cancelled() => tracing::debug!(%address, "a connection was closed: it idled where another came, or the right to its request has ended"),
                }
            });
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accept => {}
        () = stopping.cancelled() => {}
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(config.stop_timeout, ended).await.is_err() {
        tracing::warn!("{} connections did not end in time and are broken off", connections.len());
    }
    connections.shutdown().await;
}

async fn serve_one(
    socket: TcpStream,
    address: SocketAddr,
    phase: Arc<Phase>,
    router: Router,
    config: Arc<Config>,
    tls: Option<Tls>,
    stopping: CancellationToken,
) {
    let is_tls = tls.is_some();
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(config.header_timeout, greet(socket, address, tls, &config)) => greeted,
        () = stopping.cancelled() => return,
    };
    let Ok(Some(socket)) = greeted else { return };
    let limits = Limits { head: config.header_timeout, idle: config.idle_timeout };
    let io = TokioIo::new(Watched::new(socket, phase.clone(), limits));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let busy = phase.busy();
        request.extensions_mut().insert(Peer { address, is_tls });
        request.extensions_mut().insert(busy.clone());
        let mut router = router.clone();
        let answered = router.call(request.map(|body| Body::new(Received::new(body, config.stall_timeout, config.min_body_rate_bytes))));
        async move {
            let response = answered.await?;
            // The connection counts as busy until the complete response has been written.
            Ok::<_, std::convert::Infallible>(response.map(|body| Kept { body, _busy: busy }))
        }
    });
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(io, service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Limits the unsent data that the kernel buffers per connection to 128 KiB. Otherwise it would buffer megabytes for a slow client.
#[cfg(target_os = "linux")]
fn limit_unsent(socket: &TcpStream) {
    const UNSENT_BYTES: u32 = 128 << 10;
    if let Err(error) = socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES) {
        tracing::debug!(%error, "could not limit the unsent bytes of a socket");
    }
}

#[cfg(not(target_os = "linux"))]
fn limit_unsent(_: &TcpStream) {}

fn bounded(socket: TcpStream, config: &Config) -> Box<dyn Socket> {
    let mut socket = TimeoutStream::new(socket);
    socket.set_write_timeout(Some(config.stall_timeout));
    Box::new(Box::pin(socket))
}

/// Returns the connection after its first bytes have arrived. `None` if its client uses a protocol that the server does not support.
async fn greet(socket: TcpStream, address: SocketAddr, tls: Option<Tls>, config: &Config) -> Option<Box<dyn Socket>> {
    let (socket, is_http2): (Box<dyn Socket>, bool) = if let Some(tls) = tls {
        handshake(socket, tls, config).await?
    } else {
        let is_http2 = http2::is_http2(&socket).await.ok()?;
        (bounded(socket, config), is_http2)
    };
    if is_http2 {
        http2::warn(address);
        return None;
    }
    Some(socket)
}

/// Completes the TLS handshake. Returns the connection, and true if its client supports only HTTP/2. A client that uses plain HTTP gets an
/// error that explains it.
async fn handshake(socket: TcpStream, tls: Tls, config: &Config) -> Option<(Box<dyn Socket>, bool)> {
    // First byte of every TLS connection, which no HTTP request begins with.
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    if socket.peek(&mut first).await.ok()? == 1 && first[0] != HANDSHAKE {
        let mut socket = bounded(socket, config);
        let _ = socket.write_all(&plain_answer()).await;
        let _ = socket.shutdown().await;
        // If the server closed the connection while the client was still sending, the connection would be reset and the client could not
        // read the response.
        let _ = tokio::io::copy(&mut socket.take(LONGEST_PLAIN), &mut tokio::io::sink()).await;
        return None;
    }
    match tls.acceptor().accept(bounded(socket, config)).await {
        Ok(socket) => {
            let is_http2 = socket.get_ref().1.alpn_protocol() == Some(tls::HTTP2);
            Some((Box::new(socket), is_http2))
        }
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

/// Response to a client that uses plain HTTP on a TLS port.
fn plain_answer() -> Vec<u8> {
    let detail = "this server speaks https only: begin the address with https://";
    let body = format!(r#"{{"type":"about:blank","title":"Misdirected Request","status":421,"detail":"{detail}"}}"#);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 421 Misdirected Request\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    (head + &body).into_bytes()
}

/// Body of a response. The connection counts as busy until it is dropped.
struct Kept {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Kept {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
