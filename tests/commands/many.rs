//! A very large number of simultaneous channels.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use monitor_tests::Server;
use serde_json::json;

use crate::raw::Raw;
use crate::{ask, statuses};

/// Maximum server memory of an idle channel, in bytes.
const MOST_BYTES: u64 = 40 << 10;

/// Number of threads that open channels and answer at once.
const THREADS: usize = 16;

/// The channel of a worker, with a separate socket.
struct Answering {
    orders: BufReader<TcpStream>,
    worker: Raw,
}

impl Answering {
    fn open(server: &Server, number: u64) -> Self {
        let worker = Raw::online(server, number, &format!("p{number}"));
        let mut orders = connect(server);
        let Raw { id, key, .. } = &worker;
        write!(orders, "GET /api/v1/workers/{id}/commands HTTP/1.1\r\nhost: localhost\r\nmonitor-channel-key: {key}\r\n\r\n").unwrap();
        let mut this = Self { orders: BufReader::new(orders), worker };
        this.line("event: open");
        this
    }

    /// The next line that begins with these characters.
    fn line(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.orders.read_line(&mut line).unwrap() > 0, "the channel has ended");
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// Waits for a ping and answers it, on a connection that other workers also use.
    fn answer(&mut self, replies: &mut TcpStream) {
        let line = self.line("data: {\"id\"");
        let order: serde_json::Value = serde_json::from_str(&line["data: ".len()..]).unwrap();
        let (id, Raw { id: worker, key, .. }) = (order["id"].as_str().unwrap(), &self.worker);
        let body = json!({"worker_id": worker, "status": "ok", "value": "pong"}).to_string();
        let length = body.len();
        let head = format!(
            "POST /api/v1/commands/{id}/replies HTTP/1.1\r\nhost: localhost\r\nmonitor-channel-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        replies.write_all((head + &body).as_bytes()).unwrap();
    }
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url().trim_start_matches("http://")).unwrap()
}

/// Opens the channels of the workers with these numbers.
fn open(server: &Server, numbers: std::ops::Range<u64>) -> Vec<Answering> {
    let numbers: Vec<u64> = numbers.collect();
    std::thread::scope(|scope| {
        let part = |numbers: &[u64]| numbers.iter().map(|number| Answering::open(server, *number)).collect::<Vec<_>>();
        let opening: Vec<_> = numbers.chunks(numbers.len().div_ceil(THREADS)).map(|numbers| scope.spawn(move || part(numbers))).collect();
        opening.into_iter().flat_map(|opening| opening.join().unwrap()).collect()
    })
}

#[test]
fn two_thousand_workers_answer_a_ping_and_an_idle_channel_takes_little_memory() {
    const COUNT: u64 = 2_000;
    let server = Server::start();
    // Memory that the server allocates only once does not count.
    let mut channels = open(&server, 1..401);
    let before = server.memory();
    channels.extend(open(&server, 401..COUNT + 1));
    let each = server.memory().saturating_sub(before) / (COUNT - 400);
    eprintln!("an idle channel takes {each} bytes of the server's memory");
    assert!(each <= MOST_BYTES, "{each} bytes");

    let asked = json!({"method": "ping", "timeout_ms": 60_000});
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        let answer = std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&server, &asked, false, None).1);
            for channels in channels.chunks_mut(COUNT as usize / THREADS) {
                let server = &server;
                scope.spawn(move || {
                    let mut replies = connect(server);
                    for channel in channels.iter_mut() {
                        channel.answer(&mut replies);
                    }
                    // Answers that are still being sent when the connection closes would be lost, so wait for the confirmations.
                    let answers = BufReader::new(replies).lines().map_while(Result::ok);
                    let taken = answers.filter(|line| line.starts_with("HTTP/1.1 204")).take(channels.len()).count();
                    assert_eq!(taken, channels.len());
                });
            }
            asking.join().unwrap()
        });
        quickest = quickest.min(begun.elapsed());
        assert_eq!(statuses(&answer).iter().filter(|(_, status)| *status == "ok").count() as u64, COUNT, "{}", answer["counts"]);
    }
    eprintln!("a ping of {COUNT} workers took {quickest:?} at best");
}
