//! Programs that end in the midst of recording: what they had counted themselves is found, by whoever comes next.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use monitor_tests::{Server, example, rounds, run, states, wait_for, worker};
use serde_json::Value;

/// A program that counts what it records, and what it counted.
struct Counting {
    child: Child,
    file: PathBuf,
}

/// Calls that had begun, and those that had ended.
#[derive(Debug)]
struct Counted {
    begun: u64,
    ended: u64,
}

/// The worker's threads that record, each with two numbers, alone in their cache lines.
const THREADS: usize = 4;
const LINE: usize = 128;

fn start(mut command: Command, server: &Server, calls: u64, end: &str) -> Counting {
    let file = server.data().with_file_name("counted");
    std::fs::File::create(&file).unwrap();
    command.arg("counts").arg(&file).args([&calls.to_string(), end]).env("MONITOR_HEARTBEAT", "300ms");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(line(&mut child), "counts");
    Counting { child, file }
}

impl Counting {
    fn begin(server: &Server, calls: u64, end: &str) -> Self {
        start(worker(server, &[]), server, calls, end)
    }

    fn counted(&self) -> Counted {
        let bytes = std::fs::read(&self.file).unwrap();
        let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let sum = |word: usize| (0..THREADS).map(|thread| number(thread * LINE + word * 8)).sum();
        Counted { begun: sum(0), ended: sum(1) }
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("the worker writes");
    line.trim().to_owned()
}

/// The folders of programs in a spool.
fn folders(spool: &Path) -> usize {
    std::fs::read_dir(spool).map_or(0, |entries| entries.map_while(Result::ok).filter(|entry| entry.file_name() != "lock").count())
}

/// Another monitored program runs until all that others left is with the server.
fn ship_by_the_next(server: &Server) {
    let mut next = worker(server, &["waits"]).spawn().unwrap();
    assert_eq!(line(&mut next), "waits");
    wait_for("the spool to hold nothing but what lives", || (folders(server.spool()) == 1).then_some(()));
    drop(next.stdin.take());
    assert!(next.wait().unwrap().success());
    assert_eq!(folders(server.spool()), 0);
}

/// What is at the server is what the program has counted, but for one call of each thread.
fn check(server: &Server, counted: &Counted, what: &str) -> Value {
    let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "counts"));
    let calls: Vec<Value> =
        server.tree(&root).into_iter().filter(|process| process["name"].as_str().unwrap().starts_with("counted")).collect();
    let status = server.get("/status");
    let dropped: u64 = status["dropped"].as_array().unwrap().iter().map(|dropped| dropped["count"].as_u64().unwrap()).sum();
    let states = states(&calls);
    let done = ["succeeded", "failed"].iter().map(|state| states.get(*state).copied().unwrap_or_default() as u64).sum::<u64>();
    let stored = calls.len() as u64;
    assert!(counted.ended <= done + dropped, "{what}: {counted:?} {states:?} {dropped} dropped");
    assert!(stored + dropped <= counted.begun, "{what}: {counted:?} {states:?} {dropped} dropped");
    assert!(stored - done <= THREADS as u64, "{what}: {states:?}");
    for failed in calls.iter().filter(|call| call["state"] == "failed") {
        assert!(failed["error"]["message"].as_str().unwrap().starts_with("the words of "), "{what}: {failed}");
    }
    root
}

#[test]
fn what_a_killed_program_had_recorded_is_shipped_by_the_next_one() {
    for round in 0..rounds(6) {
        let server = Server::start();
        let mut counting = Counting::begin(&server, 4_000, "killed");
        // Some in the midst of their first calls, some later.
        std::thread::sleep(Duration::from_micros(u64::from(round) * 7_919 % 60_000));
        counting.child.kill().unwrap();
        counting.wait();
        ship_by_the_next(&server);
        check(&server, &counting.counted(), &format!("round {round}"));
    }
}
