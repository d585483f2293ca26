//! Very many channels at once.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use monitor_tests::Server;
use serde_json::json;

use crate::raw::Raw;
use crate::{ask, statuses};

/// A channel that idles may take so much of the server's memory.
const MOST_BYTES: u64 = 40 << 10;

/// A channel that answers pings on a connection of its own.
struct Answering {
    orders: BufReader<TcpStream>,
    replies: TcpStream,
    worker: Raw,
}

impl Answering {
    fn open(server: &Server, number: u64) -> Self {
        let worker = Raw::online(server, number, &format!("p{number}"));
        let address = server.url().trim_start_matches("http://");
        let (mut orders, replies) = (TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap());
        let Raw { id, key, .. } = &worker;
        write!(orders, "GET /api/v1/workers/{id}/commands HTTP/1.1\r\nhost: localhost\r\nmonitor-channel-key: {key}\r\n\r\n").unwrap();
        let mut this = Self { orders: BufReader::new(orders), replies, worker };
        this.line("event: open");
        this
    }

    /// The next line that begins so.
    fn line(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.orders.read_line(&mut line).unwrap() > 0, "the channel has ended");
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    fn answer(&mut self) {
        let line = self.line("data: {\"id\"");
        let order: serde_json::Value = serde_json::from_str(&line["data: ".len()..]).unwrap();
        let (id, Raw { id: worker, key, .. }) = (order["id"].as_str().unwrap(), &self.worker);
        let body = json!({"worker_id": worker, "status": "ok", "value": "pong"}).to_string();
        let length = body.len();
        let head = format!(
            "POST /api/v1/commands/{id}/replies HTTP/1.1\r\nhost: localhost\r\nmonitor-channel-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.replies.write_all((head + &body).as_bytes()).unwrap();
    }
}

#[test]
fn two_thousand_workers_answer_a_ping_and_an_idle_channel_takes_little_memory() {
    const COUNT: u64 = 2_000;
    let server = Server::start();
    // What the server takes once, and connections without a channel are none of it.
    let mut channels: Vec<Answering> = (1..=100).map(|number| Answering::open(&server, number)).collect();
    let before = server.memory();
    channels.extend((101..=COUNT).map(|number| Answering::open(&server, number)));
    let each = server.memory().saturating_sub(before) / (COUNT - 100);
    eprintln!("{each} bytes for each worker with its channel and one more connection");
    assert!(each <= 2 * MOST_BYTES, "{each} bytes for two connections");

    let asked = json!({"method": "ping", "timeout_ms": 60_000});
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        std::thread::scope(|scope| {
            let (begun, server, asked) = (Instant::now(), &server, &asked);
            let asking = scope.spawn(move || {
                let answer = ask(server, asked, false, None).1;
                (begun.elapsed(), answer)
            });
            for channel in &mut channels {
                channel.answer();
            }
            let (took, answer) = asking.join().unwrap();
            assert_eq!(statuses(&answer).iter().filter(|(_, status)| *status == "ok").count() as u64, COUNT, "{}", answer["counts"]);
            quickest = quickest.min(took);
        });
    }
    eprintln!("a ping of {COUNT} workers took {quickest:?} at best");
}
