//! Shippers that follow the protocol, and a network that loses, cuts and repeats their batches.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fastrand::Rng;
use monitor_tests::Server;
use serde_json::{Value, json};

use crate::history::History;

/// Number of steps after which all faults end.
const STEPS_OF_TROUBLE: usize = 300;
/// Maximum number of stops and kills of the server.
const MOST_RESTARTS: usize = 4;
/// Maximum number of concurrent batches of a worker.
const WINDOW: usize = 3;

/// Keeps all unacknowledged events and sends them until they are acknowledged.
struct Shipper {
    worker: Value,
    events: Vec<Value>,
    /// Index of the first event that is in no batch yet.
    next: usize,
    /// Unacknowledged batches: index of the first event, and index after the last event.
    batches: Vec<(usize, usize)>,
}

/// A batch in transit. There may be further copies.
struct UnderWay {
    due: usize,
    shipper: usize,
    batch: (usize, usize),
    body: Vec<u8>,
    encoding: &'static str,
}

/// Fate of a batch in transit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    /// The batch arrives, but the answer is lost.
    AnswerLost,
    /// Only a part of the batch arrives.
    Cut,
    /// The batch arrives, but the sender has closed the connection before the answer.
    Abandoned,
    /// The batch arrives twice.
    Twice,
    /// The server is killed while it handles the batch.
    Killed,
}

impl Fate {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u8(..20) {
            0..=2 => Self::AnswerLost,
            3..=5 => Self::Cut,
            6 => Self::Abandoned,
            7..=9 => Self::Twice,
            10 => Self::Killed,
            _ => Self::Taken,
        }
    }
}

impl Shipper {
    fn body(&self, (from, to): (usize, usize)) -> Vec<u8> {
        // The number of dropped events increases with the number of recorded events.
        let dropped = json!([{"type": "process-logged", "reason": "memory", "root_id": null, "count": to}]);
        let batch = json!({"version": 1, "worker": self.worker, "sequence": from + 1, "sent_us": 1_763_600_100_000_000_u64 + to as u64,
                           "dropped": dropped, "events": self.events[from..to]});
        batch.to_string().into_bytes()
    }

    /// The next batch: a new batch or a repeated one, possibly with other limits.
    fn batch(&mut self, rng: &mut Rng) -> Option<(usize, usize)> {
        let is_new = self.next < self.events.len() && self.batches.len() < WINDOW && (self.batches.is_empty() || rng.bool());
        if is_new {
            let end = (self.next + rng.usize(1..12)).min(self.events.len());
            self.batches.push((self.next, end));
            self.next = end;
            return self.batches.last().copied();
        }
        if self.batches.is_empty() {
            return None;
        }
        let place = rng.usize(..self.batches.len());
        let (from, to) = self.batches[place];
        if to - from > 1 && rng.u8(..4) == 0 {
            let middle = rng.usize(from + 1..to);
            self.batches.splice(place..=place, [(from, middle), (middle, to)]);
        }
        Some(self.batches[place])
    }

    /// The server has acknowledged these events. Batches that overlap only partially are sent again unchanged.
    fn taken(&mut self, (from, to): (usize, usize)) {
        self.batches.retain(|batch| !(from <= batch.0 && batch.1 <= to));
    }

    fn is_done(&self) -> bool {
        self.next == self.events.len() && self.batches.is_empty()
    }
}

fn shippers(history: &History) -> Vec<Shipper> {
    let shipper = |(place, id): (usize, &String)| Shipper {
        worker: json!({"id": id, "hostname": "sim", "pid": place + 1, "program": "simulated"}),
        events: history.of(place),
        next: 0,
        batches: Vec::new(),
    };
    history.workers.iter().enumerate().map(shipper).collect()
}

/// Sends all events in the order in which they happened.
pub(crate) fn send_in_order(history: &History, server: &Server) {
    let mut shippers = shippers(history);
    for part in history.told.chunk_by(|one, next| one.worker == next.worker) {
        let shipper = &mut shippers[part[0].worker];
        let batch = (shipper.next, shipper.next + part.len());
        shipper.next = batch.1;
        let (status, answer) = post(server, &shipper.body(batch), None).expect("an answer");
        assert_eq!((status, &answer["accepted"]), (200, &json!(batch.1)), "{answer}");
    }
}

/// Sends all events over a network with faults by a seed, to a server that is stopped and killed in between.
pub(crate) fn send_badly(history: &History, server: &mut Server, rng: &mut Rng) {
    let mut shippers = shippers(history);
    let mut under_way: Vec<UnderWay> = Vec::new();
    let mut restarts = 0;
    for step in 0.. {
        let is_trouble = step < STEPS_OF_TROUBLE;
        assert!(step < 100 * STEPS_OF_TROUBLE, "nothing goes wrong, and it does not end");
        let place = rng.usize(..shippers.len());
        if let Some(batch) = shippers[place].batch(rng) {
            let due = step + if is_trouble { rng.usize(..8) } else { 0 };
            let (body, encoding) = encoded(rng, shippers[place].body(batch));
            under_way.push(UnderWay { due, shipper: place, batch, body, encoding });
        }
        if is_trouble && restarts < MOST_RESTARTS && rng.u8(..60) == 0 {
            restarts += 1;
            if rng.bool() {
                server.kill();
            } else {
                server.stop();
            }
            server.start_again();
        }
        let (mut due, later): (Vec<_>, _) = under_way.into_iter().partition(|batch| batch.due <= step);
        under_way = later;
        rng.shuffle(&mut due);
        for batch in due {
            let mut fate = if is_trouble { Fate::draw(rng) } else { Fate::Taken };
            if fate == Fate::Killed && restarts == MOST_RESTARTS {
                fate = Fate::Cut;
            }
            let cut = rng.usize(..batch.body.len());
            match fate {
                Fate::Taken | Fate::AnswerLost | Fate::Twice => {
                    let (status, answer) = post(server, &batch.body, Some(batch.encoding)).expect("an answer");
                    assert_eq!((status, &answer["accepted"]), (200, &json!(batch.batch.1)), "{answer}");
                    if fate != Fate::AnswerLost {
                        shippers[batch.shipper].taken(batch.batch);
                    }
                    if fate == Fate::Twice {
                        under_way.push(UnderWay { due: step + rng.usize(1..60), ..batch });
                    }
                }
                Fate::Cut => reset(server, &batch, cut),
                Fate::Abandoned => reset(server, &batch, batch.body.len()),
                Fate::Killed => {
                    restarts += 1;
                    let _open = write(server, &batch, batch.body.len());
                    server.kill();
                    server.start_again();
                }
            }
        }
        if under_way.is_empty() && shippers.iter().all(Shipper::is_done) {
            return;
        }
    }
}

fn encoded(rng: &mut Rng, body: Vec<u8>) -> (Vec<u8>, &'static str) {
    match rng.u8(..3) {
        0 => (body, "identity"),
        1 => (zstd::encode_all(&*body, 1).expect("memory takes all"), "zstd"),
        _ => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&body).expect("memory takes all");
            (encoder.finish().expect("memory takes all"), "gzip")
        }
    }
}

pub(crate) fn head(encoding: &str, length: usize) -> String {
    let encoding = if encoding == "identity" { String::new() } else { format!("content-encoding: {encoding}\r\n") };
    format!(
        "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n{encoding}content-length: {length}\r\n\r\n"
    )
}

pub(crate) fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.url().trim_start_matches("http://")).expect("the server runs");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    socket
}

/// Posts a batch. Returns status and body of the answer.
pub(crate) fn post(server: &Server, body: &[u8], encoding: Option<&str>) -> Option<(u16, Value)> {
    let mut socket = connect(server);
    socket.write_all(head(encoding.unwrap_or("identity"), body.len()).as_bytes()).ok()?;
    socket.write_all(body).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?))
}

/// Sends this number of bytes of a batch's body.
fn write(server: &Server, batch: &UnderWay, length: usize) -> TcpStream {
    let mut socket = connect(server);
    socket.write_all(head(batch.encoding, batch.body.len()).as_bytes()).expect("the server reads");
    socket.write_all(&batch.body[..length]).expect("the server reads");
    socket
}

/// Sends a part of a batch's body and resets the connection.
fn reset(server: &Server, batch: &UnderWay, length: usize) {
    let socket = write(server, batch, length);
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("a socket");
}
