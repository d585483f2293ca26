//! What a server is told before it begins.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// How a server listens, where it keeps what it is told, and its limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of the database, made if it is missing.
    pub data: PathBuf,
    /// The address that others reach the server by, behind a proxy or by another name.
    pub public_url: Option<Url>,
    /// Listens on other addresses than loopback, open to whoever reaches them.
    pub insecure: bool,
    /// The largest batch, compressed and decompressed.
    pub max_body_bytes: usize,
    /// The most events in a batch; read and stored, the smallest takes as much memory as a larger one.
    pub max_batch_events: usize,
    /// How many bytes of request bodies may be in memory at once; more are told to come again.
    pub max_pending_bytes: usize,
    /// How many connections are open at once; more wait for one to close.
    pub max_connections: usize,
    /// How many lines of a process's log are kept from its beginning, and as many from its end; those between are counted.
    pub logs_kept: usize,
    /// How many bytes of past events the stream resumes from.
    pub stream_buffer_bytes: usize,
    /// How often a stream without events says that it lives.
    pub stream_heartbeat: Duration,
    /// How long a connection may take to send a request's head, and may idle between requests.
    pub header_timeout: Duration,
    /// How long a request's body or an answer's reader may stand still.
    pub stall_timeout: Duration,
    /// Where dead programs of this host leave what they had recorded; none to leave it there.
    pub spool: Option<PathBuf>,
    /// How often to look there.
    pub spool_interval: Duration,
    /// How long requests may go on after the server was told to stop.
    pub stop_timeout: Duration,
}

impl Config {
    /// The address to listen on unless told otherwise.
    pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 60010);

    /// So many of the first lines of a process's log are kept, and as many of the last, unless told otherwise.
    pub const LOGS_KEPT: usize = 5_000;

    /// A server on `data` that keeps to the defaults for all else.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            listen: Self::DEFAULT_LISTEN,
            data: data.into(),
            public_url: None,
            insecure: false,
            max_body_bytes: 32 << 20,
            max_batch_events: 100_000,
            max_pending_bytes: 512 << 20,
            max_connections: 4096,
            logs_kept: Self::LOGS_KEPT,
            stream_buffer_bytes: 64 << 20,
            stream_heartbeat: Duration::from_secs(10),
            header_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            spool: None,
            spool_interval: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
        }
    }
}
