//! Programs with their real shippers, and a relay that causes faults.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use fastrand::Rng;
use monitor_tests::{Server, command, request_body, wait_for};
use serde_json::{Value, json};

use crate::network::{connect, head, post};
use crate::state;

const PROGRAMS: usize = 3;
/// Maximum number of faulty requests.
const MOST_TROUBLE: usize = 25;
/// Number of requests between two kills or stops of the server.
const REQUESTS_A_RESTART: usize = 12;

struct Relay {
    server: Mutex<Server>,
    record: Mutex<Record>,
}

struct Record {
    rng: Rng,
    trouble: usize,
    requests: usize,
    /// Workers whose first request was acknowledged. From then on they wait for a server that is away.
    begun: HashSet<String>,
    /// Sent batches by worker: their other fields, and the events by number.
    sent: BTreeMap<String, (Value, BTreeMap<u64, Value>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    /// The request doesn't arrive.
    Lost,
    /// Only a part of the request arrives.
    Cut,
    /// The request arrives, but the answer is lost.
    AnswerLost,
    /// The request arrives twice.
    Twice,
    /// The relay answers that the server is busy.
    Busy,
}

const FATES: [Fate; 5] = [Fate::Lost, Fate::Cut, Fate::AnswerLost, Fate::Twice, Fate::Busy];

impl Relay {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("nobody panics")
    }

    fn take_note(&self, body: &[u8]) -> (Fate, Duration) {
        let mut batch: Value = serde_json::from_slice(&monitor_tests::decompressed(body)).expect("JSON");
        let mut record = self.record();
        let id = batch["worker"]["id"].as_str().expect("a worker has an id").to_owned();
        let events = batch["events"].take();
        let first = batch["sequence"].as_u64().expect("a number");
        let (parts, all) = record.sent.entry(id.clone()).or_default();
        for (number, event) in (first..).zip(events.as_array().expect("a list")) {
            assert_eq!(all.entry(number).or_insert_with(|| event.clone()), event, "a number says the same each time");
        }
        *parts = batch;
        let is_first = record.begun.insert(id);
        record.requests += 1;
        let is_trouble = !is_first && record.trouble < MOST_TROUBLE && record.rng.u8(..3) == 0;
        record.trouble += usize::from(is_trouble);
        let fate = if is_trouble { FATES[record.rng.usize(..FATES.len())] } else { Fate::Taken };
        (fate, Duration::from_millis(record.rng.u64(..10)))
    }

    fn pass_on(&self, body: &[u8], fate: Fate) -> Option<String> {
        let answer = |status: u16, more: &str, body: &Value| {
            let body = body.to_string();
            format!("HTTP/1.1 {status} \r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n{body}", body.len())
        };
        let server = self.server.lock().expect("nobody panics");
        let pass = || post(&server, body, Some(monitor_tests::encoding(body))).map(|(status, said)| answer(status, "", &said));
        match fate {
            Fate::Taken => pass(),
            Fate::Twice => pass().and_then(|_| pass()),
            Fate::Lost => None,
            Fate::AnswerLost => pass().and(None),
            Fate::Busy => Some(answer(
                503,
                "retry-after: 0\r\n",
                &json!({"type": "about:blank", "title": "busy", "status": 503, "detail": "not now"}),
            )),
            Fate::Cut => {
                let mut socket = connect(&server);
                socket.write_all(head(monitor_tests::encoding(body), body.len()).as_bytes()).ok()?;
                socket.write_all(&body[..body.len() / 2]).ok()?;
                None
            }
        }
    }
}

/// Forwards the requests of a connection according to their fates.
fn serve(relay: &Weak<Relay>, stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    while let Some(body) = request_body(&mut reader) {
        let Some(relay) = relay.upgrade() else { break };
        let (fate, pause) = relay.take_note(&body);
        std::thread::sleep(pause);
        let Some(answer) = relay.pass_on(&body, fate) else { break };
        let mut stream = stream;
        if stream.write_all(answer.as_bytes()).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Ends with the test.
struct Program(Child);

impl Program {
    fn start(url: &str) -> Self {
        let mut program = command("monitor-test-worker");
        program.arg("steady").env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", url).env("MONITOR_EXIT_TIMEOUT", "2m");
        Self(program.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn simulate(seed: u64) {
    let record = Record { rng: Rng::with_seed(seed), trouble: 0, requests: 0, begun: HashSet::new(), sent: BTreeMap::new() };
    let relay = Arc::new(Relay { server: Mutex::new(Server::start()), record: Mutex::new(record) });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("a port"));
    // The server must end together with this function.
    let serving = Arc::downgrade(&relay);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serving = serving.clone();
            std::thread::spawn(move || serve(&serving, &stream));
        }
    });
    let mut programs: Vec<Program> = (0..PROGRAMS).map(|_| Program::start(&url)).collect();
    wait_for("all programs to be heard of", || (relay.record().begun.len() == PROGRAMS).then_some(()));
    for restart in 1..=3 {
        wait_for("more requests", || (relay.record().requests >= restart * REQUESTS_A_RESTART).then_some(()));
        let is_kill = relay.record().rng.bool();
        let mut server = relay.server.lock().expect("nobody panics");
        if is_kill {
            server.kill();
        } else {
            server.stop();
        }
        server.start_again();
    }
    for Program(program) in &mut programs {
        drop(program.stdin.take());
    }
    for mut program in programs {
        assert!(program.0.wait().expect("it ends").success());
    }

    let (record, server) = (relay.record(), relay.server.lock().expect("nobody panics"));
    assert!(record.trouble > 0, "nothing went wrong");
    let in_order = Server::start();
    for (worker, (parts, events)) in &record.sent {
        assert!(events.keys().copied().eq(1..=events.len() as u64), "numbers that {worker} never sent");
        let mut batch = parts.clone();
        (batch["sequence"], batch["events"]) = (json!(1), events.values().cloned().collect());
        assert_eq!(in_order.post(&batch).0, 200);
    }
    assert_eq!(state::difference("", &state(&server), &state(&in_order)), None);
}
