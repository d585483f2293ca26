//! A very large number of queue workers at once, with receivers, `monitor top` and a browser, while the server is killed and connections
//! are cut. Each event is counted once, and the final state equals the state of an undisturbed run. A few workers for seconds as a test,
//! the given number and duration with `cargo xtask soak crowd`, which also opens the browser.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use monitor_receiver::{Receiver, State};
use monitor_tests::{PATIENCE, Server, command, wait_for, worker};
use serde_json::Value;

/// Per worker.
const TASKS_A_SECOND: u64 = 5;
/// Number of kills of the server, and of cuts of the connection.
const TROUBLES: u64 = 3;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A proxy between a receiver and its server that can cut the connection.
struct Line {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn to(server: &Server) -> Self {
        let target = server.url().trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, open) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let all = open.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // While the server is away, there is no answer.
                let Ok(server) = TcpStream::connect(&target) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                all.lock().unwrap().extend([client, server]);
            }
        });
        Self { address, open }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Receives this number of task events in a thread. Also returns the counter of received events.
fn receives(url: &str, events: u64) -> (Arc<AtomicU64>, JoinHandle<State>) {
    let count = Arc::new(AtomicU64::new(0));
    let (counted, newest) = (count.clone(), AtomicU64::new(0));
    let receiver = Receiver::connect(url).unwrap().types(["task-*"]).after(0).with_state(State::bounded(1_000_000, 5_000));
    let mut receiver = receiver.on("*", move |event, _: &State| {
        let before = newest.swap(event.number, Ordering::Relaxed);
        assert!(before < event.number, "{} came again or late: {before} was there", event.number);
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let receiving = std::thread::spawn(move || {
        receiver.capture_blocking(Some(events), Some(PATIENCE), false).unwrap();
        receiver.state().clone()
    });
    (count, receiving)
}

/// Everything that must be equal in two states of tasks.
fn known(state: &State) -> (Vec<Value>, BTreeMap<String, u64>) {
    let tasks = state.tasks_by_time().map(|task| serde_json::to_value(task).unwrap()).collect();
    let mut counts = BTreeMap::new();
    for (name, count) in state.all_counts().flat_map(|(_, counts)| counts) {
        *counts.entry(name.clone()).or_default() += count;
    }
    (tasks, counts)
}

struct Programs(Vec<Child>);

impl Drop for Programs {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `monitor top` on a terminal, whose output goes to a file.
fn top(server: &Server, drawn: &std::path::Path) -> Child {
    let monitor = command("monitor").get_program().to_owned();
    let words = format!("stty cols 120 rows 40; exec {} top --readonly --server {}", monitor.display(), server.url());
    let mut script = Command::new("script");
    script.arg("-qfec").arg(words).arg(drawn).env("TERM", "xterm-256color").stdin(Stdio::piped()).stdout(Stdio::null());
    script.spawn().expect("script, of util-linux")
}

fn browser(server: &Server, folder: &std::path::Path) -> Child {
    let mut browser = Command::new(std::env::var("MONITOR_TEST_CHROMIUM").unwrap_or_else(|_| "chromium".to_owned()));
    browser.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-port=0",
    ]);
    browser.arg(format!("--user-data-dir={}", folder.display())).arg(format!("{}/tasks/queue", server.url()));
    browser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("Chromium, as the page's tests want it")
}

#[test]
fn each_event_of_many_workers_counts_once_despite_kills_and_cut_connections() {
    let (workers, seconds) = (setting("MONITOR_CROWD_WORKERS"), setting("MONITOR_CROWD_SECONDS").unwrap_or(6));
    // Tasks are sent in tens, and their ends too.
    let tasks_of_each = (seconds * TASKS_A_SECOND).next_multiple_of(10);
    let tasks = workers.unwrap_or(12) * tasks_of_each;
    let tenth = tasks / 10;
    let expected = BTreeMap::from(
        [
            ("task-sent", tasks),
            ("task-received", tasks + tenth),
            ("task-started", tasks + tenth),
            ("task-succeeded", tasks - tenth),
            ("task-failed", tenth),
            ("task-retried", tenth),
        ]
        .map(|(name, count)| (name.to_owned(), count)),
    );
    let events: u64 = expected.values().sum();

    let mut server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let (drawn, line) = (folder.path().join("drawn"), Line::to(&server));
    let (count, receiving) = receives(server.url(), events);
    let (_, receiving_by_line) = receives(&format!("http://{}", line.address), events);
    let mut watching = Programs(vec![top(&server, &drawn)]);
    if workers.is_some() {
        watching.0.push(browser(&server, &folder.path().join("browser")));
    }
    let begun = Instant::now();
    let works = |_| {
        let words = ["turns-tasks-over", &tasks_of_each.to_string(), &TASKS_A_SECOND.to_string()];
        worker(&server, &words).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
    };
    let mut running = Programs((0..tasks / tasks_of_each).map(works).collect());
    for trouble in 1..=TROUBLES {
        let wanted = events * trouble / (TROUBLES + 1);
        wait_for("events", || (count.load(Ordering::Relaxed) >= wanted).then_some(()));
        line.cut();
        server.kill();
        server.start_again();
    }
    for child in &mut running.0 {
        assert!(child.wait().unwrap().success(), "a worker ends well");
    }
    let told = begun.elapsed();
    let [state, state_by_line] = [receiving, receiving_by_line].map(|receiving| receiving.join().unwrap());
    println!("{events} events of {tasks} tasks told in {told:.1?}, received after {:.1?}", begun.elapsed());

    assert_eq!(known(&state).1, expected);
    // A receiver without disturbances, on a server that is no longer killed.
    let undisturbed = receives(server.url(), events).1.join().unwrap();
    for disturbed in [&state, &state_by_line] {
        assert!(known(disturbed) == known(&undisturbed), "the same as without kills and cuts");
    }
    let mut stored = BTreeMap::<String, u64>::new();
    for (state, count) in
        server.get("/queue-tasks/types")["types"].as_array().unwrap().iter().flat_map(|name| name["states"].as_object().unwrap())
    {
        *stored.entry(state.clone()).or_default() += count.as_u64().unwrap();
    }
    stored.retain(|_, count| *count > 0);
    assert_eq!(stored, BTreeMap::from([("succeeded".to_owned(), tasks - tenth), ("failed".to_owned(), tenth)]));

    for child in &mut watching.0 {
        assert!(child.try_wait().unwrap().is_none(), "who watches goes on over kills of the server");
    }
    let shown = fs::read(&drawn).unwrap();
    assert!(String::from_utf8_lossy(&shown).contains("render <"), "monitor top shows them");
}
