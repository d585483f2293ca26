//! Detection of clients that use HTTP/2, as gRPC does. The server supports only HTTP/1.1: it closes such a connection and logs the setting
//! to change.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpStream;

/// First bytes of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Set after the first warning, because such clients reconnect continually.
static IS_WARNED: AtomicBool = AtomicBool::new(false);

/// True if a connection begins with HTTP/2.
pub(super) async fn is_http2(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    let peeked = socket.peek(&mut first).await?;
    Ok(peeked > "PRI".len() && first[..peeked] == PREFACE[..peeked])
}

/// Logs the setting that makes a client use HTTP/1.1.
pub(super) fn warn(address: SocketAddr) {
    if IS_WARNED.swap(true, Ordering::Relaxed) {
        tracing::debug!(%address, "a client that uses gRPC or HTTP/2 is disconnected");
    } else {
        tracing::warn!(
            %address,
            "a client that uses gRPC or HTTP/2 is disconnected: this server takes OTLP over HTTP/1.1, so set \
             OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf there, and OTEL_EXPORTER_OTLP_ENDPOINT to the address of this server's page"
        );
    }
}
