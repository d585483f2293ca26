//! An answer for clients that speak HTTP/2 without asking, as gRPC does: what to set so that they speak HTTP/1.1.
//!
//! The server reads no HTTP/2. It answers the first request with the status `UNIMPLEMENTED` and words that gRPC libraries show, in
//! frames that are written by hand (RFC 9113, RFC 7541), and closes the connection.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first bytes of HTTP/2.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Shorter than 254 bytes, and without what `grpc-message` would have to escape.
const MESSAGE: &str = "this server takes OTLP over HTTP/1.1 and no gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and \
                       OTEL_EXPORTER_OTLP_ENDPOINT to the address of its page";
/// The largest frame that a client may send unless it was told otherwise.
const MAX_FRAME_BYTES: u64 = 1 << 14;
/// At most so many frames are read while the one that begins a request is looked for.
const MAX_FRAMES: usize = 64;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

/// The warning is written for the first of these clients; each of them tries again and again.
static IS_SAID: AtomicBool = AtomicBool::new(false);

/// Returns true if a connection begins as HTTP/2 does. Whoever speaks it sends its preface at once.
pub(super) async fn is_http2(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    let peeked = socket.peek(&mut first).await?;
    Ok(peeked > 0 && first[..peeked] == PREFACE[..peeked] && peeked > "PRI".len())
}

/// Answers the first request of a connection, and ends it.
pub(super) async fn refuse(mut socket: impl AsyncRead + AsyncWrite + Unpin, address: SocketAddr) -> io::Result<()> {
    if IS_SAID.swap(true, Ordering::Relaxed) {
        tracing::debug!(%address, "a client speaks gRPC or HTTP/2");
    } else {
        tracing::warn!(%address, "a client speaks gRPC or HTTP/2, and was told: {MESSAGE}");
    }
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    socket.read_exact(&mut [0; PREFACE.len()]).await?;
    let Some(stream) = first_request(&mut socket).await? else { return Ok(()) };
    let mut answer = frame(HEADERS, END_STREAM_AND_HEADERS, stream, &head());
    // The last stream that was answered, and no error.
    answer.extend(frame(GOAWAY, 0, 0, &[stream.to_be_bytes(), [0; 4]].concat()));
    socket.write_all(&answer).await?;
    socket.shutdown().await?;
    // A connection that is closed while its client still sends is reset, and the client would not read the answer.
    tokio::io::copy(&mut socket, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads frames until one begins a request; none if none comes.
async fn first_request(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Option<u32>> {
    for _ in 0..MAX_FRAMES {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let [length @ .., kind, flags, a, b, c, d] = head;
        let length = length.into_iter().fold(0, |length, byte| length << 8 | u64::from(byte));
        if length > MAX_FRAME_BYTES {
            return Ok(None);
        }
        tokio::io::copy(&mut (&mut *socket).take(length), &mut tokio::io::sink()).await?;
        match kind {
            HEADERS => return Ok(Some(u32::from_be_bytes([a & 0x7f, b, c, d]))),
            SETTINGS if flags & ACK == 0 => socket.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
            _ => {}
        }
    }
    Ok(None)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of gRPC's answer to a call that is not implemented.
fn head() -> Vec<u8> {
    // `:status: 200` and the name `content-type` stand in the table that both sides know; nothing is to be remembered.
    let mut head = vec![0x88, 0x0f, 0x10];
    push_text(&mut head, "application/grpc");
    for (name, value) in [("grpc-status", "12"), ("grpc-message", MESSAGE)] {
        head.push(0);
        push_text(&mut head, name);
        push_text(&mut head, value);
    }
    head
}

/// A length of seven bits, or that and a second byte, and the text as it is.
fn push_text(head: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()).expect("a text shorter than 254 bytes") {
        short @ ..0x7f => head.push(short),
        long => head.extend([0x7f, long - 0x7f]),
    }
    head.extend(text.as_bytes());
}
