//! The server is away for a long time while a program records a thousand processes per second: for seconds as a test, for the given time
//! with `cargo xtask soak away`, which also prints its measurements.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use monitor_tests::{Server, command, request_body, wait_for};
use serde_json::Value;

/// Maximum size of the spool of the program that must reach it.
const SMALL: u64 = 4 << 20;

/// A relay before a server that records the batches and can refuse all connections.
struct Relay {
    address: SocketAddr,
    seen: Arc<Seen>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    server: String,
    is_away: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    batches: Mutex<Vec<Batch>>,
}

/// An accepted batch.
struct Batch {
    at: Instant,
    program: String,
    sequence: u64,
    events: u64,
    /// Number of processes that started in the batch.
    started: u64,
    /// Start of its first process, in Unix microseconds.
    from_us: u64,
    /// Numbers of dropped starts up to this batch, by reason.
    dropped: HashMap<String, u64>,
}

impl Relay {
    fn start(server: &Server) -> Self {
        let seen = Arc::new(Seen { server: server.url().to_owned(), ..Seen::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut relay = Self { address, seen, listening: None };
        relay.listen(listener);
        relay
    }

    fn listen(&mut self, listener: TcpListener) {
        let seen = self.seen.clone();
        self.listening = Some(std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if seen.is_away.load(Ordering::SeqCst) {
                    return;
                }
                seen.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let seen = seen.clone();
                std::thread::spawn(move || seen.serve(&stream));
            }
        }));
    }

    /// Closes the socket and all connections. Later connections fail.
    fn go_away(&mut self) {
        self.seen.is_away.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.listening.take().expect("it was there").join().unwrap();
        // Every batch that the server has accepted was also answered.
        wait_for("nothing to be under way", || (self.seen.under_way.load(Ordering::SeqCst) == 0).then_some(()));
        for connection in self.seen.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn come_back(&mut self) {
        self.seen.is_away.store(false, Ordering::SeqCst);
        let address = self.address;
        self.listen(wait_for("its port", || TcpListener::bind(address).ok()));
    }

    /// Values of the batches of a program since a moment, oldest first.
    fn since<T>(&self, program: &str, then: Instant, of: impl Fn(&Batch) -> T) -> Vec<T> {
        let batches = self.seen.batches.lock().unwrap();
        batches.iter().filter(|batch| batch.program == program && batch.at >= then).map(of).collect()
    }
}

impl Seen {
    /// Forwards requests until one side closes the connection.
    fn serve(&self, stream: &TcpStream) {
        let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some(body) = request_body(&mut reader) {
            let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            if self.is_away.load(Ordering::SeqCst) {
                self.under_way.fetch_sub(1, Ordering::SeqCst);
                return;
            }
            self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
            let post = http.post(format!("{}/api/v1/events", self.server));
            let post = post
                .header("content-type", "application/json")
                .header("content-encoding", monitor_tests::encoding(&body))
                .body(body.clone());
            let answer = post.send().unwrap();
            let (status, text) = (answer.status(), answer.text().unwrap());
            if status.is_success() {
                self.note(&body);
            }
            let length = text.len();
            let head = format!("HTTP/1.1 {} \r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n", status.as_u16());
            let mut stream = stream;
            let written = stream.write_all((head + &text).as_bytes());
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            if written.is_err() {
                return;
            }
        }
    }

    fn note(&self, body: &[u8]) {
        let batch: Value = serde_json::from_slice(&monitor_tests::decompressed(body)).unwrap();
        let events = batch["events"].as_array().unwrap();
        let started: Vec<&Value> = events.iter().filter(|event| event["type"] == "process-started").collect();
        let dropped = batch["dropped"].as_array().into_iter().flatten().filter(|dropped| dropped["type"] == "process-started");
        let mut reasons = HashMap::<String, u64>::new();
        for dropped in dropped {
            *reasons.entry(dropped["reason"].as_str().unwrap().to_owned()).or_default() += dropped["count"].as_u64().unwrap();
        }
        self.batches.lock().unwrap().push(Batch {
            at: Instant::now(),
            program: batch["worker"]["id"].as_str().unwrap().to_owned(),
            sequence: batch["sequence"].as_u64().unwrap(),
            events: events.len() as u64,
            started: started.len() as u64,
            from_us: started.first().map_or(0, |event| event["time_us"].as_u64().unwrap()),
            dropped: reasons,
        });
    }
}

/// A recording program and its output of each second.
struct Program {
    child: Child,
    said: Arc<Mutex<Vec<(Instant, String)>>>,
    listening: JoinHandle<()>,
}

impl Program {
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut program = command("monitor-test-worker");
        let mut child = program
            .arg("paced")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (lines, all) = (BufReader::new(child.stdout.take().unwrap()).lines(), said.clone());
        let listening =
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| all.lock().unwrap().push((Instant::now(), line))));
        Self { child, said, listening }
    }

    /// CPU time per call between two moments, in ns.
    fn cost(&self, from: Instant, to: Instant) -> f64 {
        let said = self.said.lock().unwrap();
        let within = said.iter().filter(|(at, _)| (from..to).contains(at));
        let mut costs: Vec<f64> = within.filter_map(|(_, line)| line.split_once(' ')?.1.parse().ok()).collect();
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Ends the program. Returns the number of its calls.
    fn end(mut self) -> u64 {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
        self.listening.join().unwrap();
        let said = self.said.lock().unwrap();
        said.last().and_then(|(_, line)| line.strip_prefix("all ")?.parse().ok()).expect("its last word")
    }
}

fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map_while(Result::ok);
    entries.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file).map(|file| file.len()).sum()
}

#[test]
fn a_server_receives_all_spooled_events_in_order_after_a_long_downtime() {
    let seconds = std::env::var("MONITOR_AWAY_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(4);
    let away = Duration::from_secs(seconds);
    let around = (away / 10).clamp(Duration::from_secs(2), Duration::from_secs(60));
    let server = Server::start();
    let mut relay = Relay::start(&server);
    let (url, small) = (format!("http://{}", relay.address), SMALL.to_string());
    let (spool, small_spool) = (server.spool().to_owned(), server.spool().with_file_name("small-spool"));
    let on = [("MONITOR_ENABLED", "1"), ("MONITOR_SERVER_URL", &*url), ("MONITOR_EXIT_TIMEOUT", "1m")];
    let with = |folder: &Path, more: &[(&str, &str)]| {
        Program::start(&[&on[..], &[("MONITOR_SPOOL_DIR", folder.to_str().unwrap())], more].concat())
    };
    let begun = Instant::now();
    let plain = Program::start(&[]);
    let all = with(&spool, &[]);
    let bounded = with(&small_spool, &[("MONITOR_SPOOL_BYTES", &small)]);

    let programs = wait_for("both programs", || {
        let batches = relay.seen.batches.lock().unwrap();
        let mut programs: Vec<String> = batches.iter().map(|batch| batch.program.clone()).collect();
        programs.sort();
        programs.dedup();
        (programs.len() == 2).then_some(programs)
    });
    std::thread::sleep(around);
    relay.go_away();
    let left = Instant::now();
    std::thread::sleep(away);
    let back = Instant::now();
    let folder = |spool: &Path| programs.iter().map(|id| spool.join(id)).find(|path| path.exists()).expect("a folder");
    let held = [folder(&spool), folder(&small_spool)].map(|folder| (bytes(&folder), folder));
    relay.come_back();
    for (_, folder) in &held {
        let id = folder.file_name().unwrap().to_str().unwrap();
        wait_for("what is recorded now", || {
            relay.since(id, back, |batch| batch.from_us).last().filter(|us| **us + 1_000_000 > now_us()).map(drop)
        });
    }
    let caught_up = Instant::now();
    std::thread::sleep(around);
    let end = Instant::now();

    println!("away for {seconds} s; a call with its work, ns of the processor (median), and how much more than unmonitored:");
    for (phase, from, to) in
        [("server there", begun, left), ("server away", left, back), ("replay", back, caught_up), ("there again", caught_up, end)]
    {
        let [plain, all, bounded] = [&plain, &all, &bounded].map(|program| program.cost(from, to));
        let more = |cost: f64| (cost / plain - 1.0) * 100.0;
        println!("  {phase:<13} {plain:>9.0} {all:>9.0} ({:+.2} %) {bounded:>9.0} ({:+.2} %)", more(all), more(bounded));
    }
    let replayed = |id: &str| relay.since(id, back, |batch| (batch.at, batch.events));
    plain.end();
    for ((name, program), (held, folder)) in [("all", all), ("bounded", bounded)].into_iter().zip(held) {
        let id = folder.file_name().unwrap().to_str().unwrap();
        let caught_up_at = replayed(id).iter().filter(|(at, _)| *at <= caught_up).map(|(_, events)| events).sum::<u64>();
        let roots_and_calls = program.end() / 100 * 101;
        let batches = relay.since(id, begun, |batch| (batch.sequence, batch.events, batch.started, batch.from_us));
        // A heartbeat is sent independently of the other batches.
        let told: Vec<_> = batches.iter().filter(|(_, _, started, _)| *started > 0).collect();
        assert!(told.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{name}: in order, and once");
        assert!(told.windows(2).all(|pair| pair[0].3 <= pair[1].3 + 1_000_000), "{name}: in the order of time");
        let stored: u64 = told.iter().map(|(_, _, started, _)| started).sum();
        let dropped = relay.since(id, back, |batch| batch.dropped.clone()).pop().unwrap_or_default();
        println!(
            "{name}: {held} bytes in the spool, {caught_up_at} events replayed in {:.1} s, {stored} of {roots_and_calls} processes stored, dropped {dropped:?}",
            (caught_up - back).as_secs_f64(),
        );
        assert_eq!(stored + dropped.values().sum::<u64>(), roots_and_calls, "{name}: {dropped:?}");
        match name {
            "all" => assert!(dropped.is_empty(), "{dropped:?}"),
            _ => assert!(held <= SMALL && dropped.keys().all(|reason| reason == "spool")),
        }
    }
    println!("requests at the same time: {}", relay.seen.most_under_way.load(Ordering::SeqCst));
}

fn now_us() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64
}
