//! Helpers of the integration tests: real binaries, real sockets and real files.

mod brokers;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod disk;
mod programs;
mod server;
mod spool;
mod tree;

pub use brokers::{RabbitMq, Redis, Sentinel, free_ports};
#[cfg(target_os = "linux")]
pub use clock::SteeredClock;
#[cfg(target_os = "linux")]
pub use disk::SmallDisk;
pub use programs::{Finished, aborter, command, example, library, run, terminate, worker};
pub use server::Server;
pub use spool::{folders, ship, ship_by_hand};
pub use tree::{outline, states};

use std::io::{BufRead, Read};
use std::time::{Duration, Instant};

/// Longest wait for one condition. A busy machine needs minutes.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Calls `ask` repeatedly until it returns a value.
///
/// # Panics
/// If there is no value within [`PATIENCE`]. The message contains `what`.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Number of repetitions of a test: `short`, or the number that `cargo xtask soak` sets.
pub fn rounds(short: u32) -> u32 {
    std::env::var("MONITOR_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(short)
}

/// The `Content-Encoding` of a client's body, by its first bytes: gzip or zstd.
pub fn encoding(body: &[u8]) -> &'static str {
    if body.starts_with(&[0x1f, 0x8b]) { "gzip" } else { "zstd" }
}

/// Decompresses a client's body like the server does.
///
/// # Panics
/// If the compression is invalid.
pub fn decompressed(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match encoding(body) {
        "gzip" => flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain),
        _ => zstd::Decoder::new(body).expect("a decoder").read_to_end(&mut plain),
    };
    read.expect("a compressed body");
    plain
}

/// The body of the next request of a connection. `None` at the end.
pub fn request_body(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return Some(body);
        }
        if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            length = value.trim().parse().ok()?;
        }
    }
}
