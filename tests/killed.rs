//! Programs that end in the midst of recording: what they had counted themselves is found, by whoever comes next.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use monitor_tests::{Server, command, example, outline, rounds, run, states, wait_for, worker};
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
const THREADS: usize = 5;
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

fn ship_by_hand(server: &Server) {
    let mut ship = command("monitor");
    ship.args(["spool", "ship", "--server", server.url(), "--dir"]).arg(server.spool());
    let shipped = run(ship);
    assert_eq!(shipped.code, Some(0), "{}", shipped.stderr);
    assert_eq!(folders(server.spool()), 0);
}

/// What is at the server is what the program has counted, but for one call of each thread.
fn check(server: &Server, counted: &Counted, what: &str) -> Value {
    let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "counts"));
    let calls: Vec<Value> =
        server.tree(&root).into_iter().filter(|process| process["name"].as_str().unwrap().starts_with("counted")).collect();
    let told = server.get("/status");
    let dropped: u64 = told["dropped"].as_array().unwrap().iter().map(|dropped| dropped["count"].as_u64().unwrap()).sum();
    let (mut stored, mut done) = (0, 0);
    for call in &calls {
        if let Some(fold) = call["fold"].as_object() {
            stored += fold["count"].as_u64().unwrap();
            done += fold["count"].as_u64().unwrap() - fold["running"].as_u64().unwrap();
        } else {
            stored += 1;
            done += u64::from(call["state"] == "succeeded" || call["state"] == "failed");
        }
    }
    assert!(counted.ended <= done + dropped, "{what}: {counted:?}, {done} of {stored} done, {dropped} dropped");
    assert!(stored + dropped <= counted.begun, "{what}: {counted:?}, {done} of {stored} done, {dropped} dropped");
    assert!(stored - done <= THREADS as u64, "{what}: {done} of {stored}");
    for failed in calls.iter().filter(|call| call["state"] == "failed" && call["fold"].is_null()) {
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

/// The outline of the only tree of a name, once nothing in it runs any more.
fn settled(server: &Server, name: &str) -> String {
    wait_for("the tree to be settled", || {
        let root = server.roots().into_iter().find(|root| root["name"] == name && root["counts"]["running"] == 0)?;
        Some(outline(&server.tree(&root)))
    })
}

/// How many calls are in each state once the worker is known to be lost, or has said goodbye.
fn settled_states(server: &Server, root: &Value) -> BTreeMap<String, usize> {
    wait_for("nothing to run", || {
        let states = states(&server.tree(root));
        (!states.contains_key("running")).then_some(states)
    })
}

#[test]
fn what_was_recorded_is_there_however_the_program_ended() {
    for (end, signal, code) in [
        ("abort", Some(libc::SIGABRT), None),
        ("segv", Some(libc::SIGSEGV), None),
        ("out-of-memory", Some(libc::SIGABRT), None),
        ("_exit", None, Some(0)),
    ] {
        let server = Server::start();
        let mut counting = Counting::begin(&server, 2_000, end);
        let ended = counting.wait();
        assert_eq!((ended.signal(), ended.code()), (signal, code), "{end}");
        let counted = counting.counted();
        assert!(counted.ended >= 4 * 1_000, "{end}: {counted:?}");
        ship_by_hand(&server);
        let root = check(&server, &counted, end);
        let by_state = settled_states(&server, &root);
        // What has called the others, and one call of each thread at most.
        assert!((1..=1 + THREADS).contains(&by_state["lost"]) && !by_state.contains_key("cancelled"), "{end}: {by_state:?}");
    }
}

#[test]
fn a_program_that_ends_by_itself_has_sent_all_and_leaves_no_folder() {
    for (end, code) in [("exit", 0), ("panic", 101)] {
        let server = Server::start();
        let mut command = worker(&server, &[]);
        command.env("MONITOR_EXIT_TIMEOUT", "1m");
        let mut counting = start(command, &server, 2_000, end);
        assert_eq!(counting.wait().code(), Some(code), "{end}");
        assert_eq!(folders(server.spool()), 0, "{end}");
        // The threads went on to the very end, after which nothing is recorded.
        let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "counts"));
        let states = states(&server.tree(&root));
        let done = states["succeeded"] + states["failed"];
        assert!(done >= 4 * 1_000 && !states.contains_key("running"), "{end}: {states:?}");
    }
}

#[test]
fn a_panic_that_aborts_leaves_all_that_was_recorded() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--profile", "abort", "-p", "monitor-tests", "--bin", "monitor-test-worker"]);
    assert!(build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().unwrap().success());

    let server = Server::start();
    let mut counting = start(example("../abort/monitor-test-worker", Some(&server)), &server, 2_000, "panic");
    assert_eq!(counting.wait().signal(), Some(libc::SIGABRT));
    ship_by_hand(&server);
    check(&server, &counting.counted(), "panic");
}

#[test]
fn a_program_ships_what_it_had_recorded_before_it_became_another_one() {
    let server = Server::start();
    let mut counting = Counting::begin(&server, 2_000, "exec");
    // The same process, and another program in it.
    assert_eq!(line(&mut counting.child), "waits");
    wait_for("the folder of the first program to be shipped", || (folders(server.spool()) == 1).then_some(()));
    check(&server, &counting.counted(), "exec");
    drop(counting.child.stdin.take());
    assert!(counting.wait().success());
    assert_eq!(settled(&server, "waits"), "waits\n");
}

#[test]
fn what_a_child_recorded_that_vanished_is_shipped_and_its_parents_records_are_untouched() {
    let server = Server::start();
    assert_eq!(run(worker(&server, &["forks-and-dies"])).code, Some(0));
    ship_by_hand(&server);
    let processes = server.tree(&server.finished_root());
    let count =
        |name: &str| processes.iter().filter(|process| process["name"] == name && process["parent_id"] == processes[0]["id"]).count();
    assert_eq!((count("leaf"), count("born"), processes.len()), (502, 200, 703));
    assert_eq!(states(&processes), BTreeMap::from([("succeeded".to_owned(), 703)]));
}

#[test]
fn what_is_recorded_while_no_server_is_there_is_kept_beyond_the_program() {
    let mut server = Server::start();
    server.kill();
    let mut many = worker(&server, &["many", "5000"]);
    many.env("MONITOR_LOG", "stderr");
    let finished = run(many);
    assert_eq!(finished.code, Some(0));
    assert!(finished.stderr.contains("are kept until the server is there") && !finished.stderr.contains("lost"), "{}", finished.stderr);
    assert_eq!(folders(server.spool()), 1);
    server.start_again();
    ship_by_the_next(&server);
    let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "many"));
    let counts = &root["counts"];
    assert_eq!((&root["state"], &counts["succeeded"], &counts["failed"]), (&"succeeded".into(), &(5_000 - 5 + 50 + 1).into(), &5.into()));
    let workers = server.get("/workers?limit=10");
    assert!(workers["workers"].as_array().unwrap().iter().all(|worker| worker["state"] == "offline"), "it had said goodbye: {workers}");
}

#[test]
fn a_spool_that_is_full_gives_up_what_is_oldest_and_says_how_much() {
    const COUNT: u64 = 10_000;
    let mut server = Server::start();
    server.kill();
    let mut wordy = worker(&server, &["wordy", &COUNT.to_string()]);
    wordy.env("MONITOR_SPOOL_BYTES", "4194304").env("MONITOR_LOG", "stderr");
    let finished = run(wordy);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let bytes: u64 = std::fs::read_dir(server.spool())
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 4_194_304, "{bytes}");
    server.start_again();
    ship_by_hand(&server);
    let status = server.get("/status");
    let dropped = status["dropped"].as_array().unwrap();
    let count = |event: &str| -> u64 {
        let are = |drop: &&Value| drop["type"] == event && drop["reason"] == "spool";
        dropped.iter().filter(are).map(|drop| drop["count"].as_u64().unwrap()).sum()
    };
    let (starts, ends) = (count("process-started"), count("process-ended"));
    assert!(starts > 0 && ends > 0, "{status}");
    let events = status["events"].as_u64().unwrap();
    // The first and the last word are the program's own.
    assert_eq!(events + starts + ends + count("worker-online"), 2 * (COUNT + 1) + 2, "{status}");
}

#[test]
fn without_a_spool_that_can_be_trusted_or_written_all_goes_by_memory_with_one_warning() {
    let server = Server::start();
    let here = server.data().with_file_name("elsewhere");
    std::fs::create_dir(&here).unwrap();
    std::fs::write(here.join("file"), "").unwrap();
    symlink(&here, here.join("link")).unwrap();
    for dir in ["file", "file/below", "link"] {
        let mut many = worker(&server, &["many", "100"]);
        many.env("MONITOR_SPOOL_DIR", here.join(dir)).env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "1m");
        let finished = run(many);
        assert_eq!(finished.code, Some(0), "{dir}");
        assert_eq!(finished.stderr.matches("monitor: warning").count(), 1, "{dir}: {}", finished.stderr);
        assert!(finished.stderr.contains("can't be kept beyond this program"), "{dir}: {}", finished.stderr);
    }
    assert_eq!(server.roots().iter().filter(|root| root["counts"]["succeeded"] == 102).count(), 3);
    assert_eq!(std::fs::read_dir(&here).unwrap().count(), 2, "nothing was made there");
}

#[test]
#[allow(unsafe_code, reason = "a limit for the child alone")]
fn a_disk_that_fills_up_costs_one_warning_and_no_record() {
    // The call sites alone are too much; a journal is; a ring is.
    for bytes in [4_096_u64, 20_000, 69_000, 300_000] {
        let server = Server::start();
        let mut many = worker(&server, &["many", "30000"]);
        many.env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "2m");
        // SAFETY: a system call, and nothing else, between fork and exec.
        unsafe {
            many.pre_exec(move || {
                let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
                if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        let finished = run(many);
        assert_eq!(finished.code, Some(0), "{bytes}: {}", finished.stderr);
        assert_eq!(finished.stderr.matches("can't be kept beyond this program").count(), 1, "{bytes}: {}", finished.stderr);
        let root = server.finished_root();
        let dropped: u64 = server.get("/status")["dropped"].as_array().unwrap().iter().map(|drop| drop["count"].as_u64().unwrap()).sum();
        let (succeeded, failed) = (root["counts"]["succeeded"].as_u64().unwrap(), root["counts"]["failed"].as_u64().unwrap());
        assert_eq!(succeeded + failed + dropped, 30_301, "{bytes}");
    }
}
