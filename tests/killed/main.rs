//! Programs that end while they record. The next program finds everything that they have counted.

mod full_disk;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use monitor_tests::{Server, aborter, folders, outline, rounds, run, ship_by_hand, states, wait_for, worker};
use serde_json::{Value, json};

/// A program that counts what it records, and the counts.
struct Counting {
    child: Child,
    file: PathBuf,
}

/// Numbers of started and ended calls.
#[derive(Debug)]
struct Counted {
    begun: u64,
    ended: u64,
}

/// Number of recording threads of the worker. Each has two numbers in a separate cache line.
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

/// Runs another monitored program until the server has everything that earlier programs left.
fn ship_by_the_next(server: &Server) {
    let mut next = worker(server, &["waits"]).spawn().unwrap();
    assert_eq!(line(&mut next), "waits");
    wait_for("the spool to hold nothing but what lives", || (folders(server.spool()) == 1).then_some(()));
    drop(next.stdin.take());
    assert!(next.wait().unwrap().success());
    assert_eq!(folders(server.spool()), 0);
}

/// Checks that the server has as many calls as the program has counted, except for one call per thread.
fn check(server: &Server, counted: &Counted, what: &str) -> Value {
    let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "counts"));
    let calls: Vec<Value> =
        server.tree(&root).into_iter().filter(|process| process["name"].as_str().unwrap().starts_with("counted")).collect();
    // The buffers are large enough, so any missing call would be lost.
    let told = server.get("/status");
    assert_eq!(told["dropped"], json!([]), "{what}");
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
    assert!(counted.ended <= done && stored <= counted.begun, "{what}: {counted:?}, {done} of {stored} done");
    assert!(stored - done <= THREADS as u64, "{what}: {done} of {stored}");
    for failed in calls.iter().filter(|call| call["state"] == "failed" && call["fold"].is_null()) {
        assert!(failed["error"]["message"].as_str().unwrap().starts_with("the words of "), "{what}: {failed}");
    }
    root
}

#[test]
fn events_of_a_killed_program_are_shipped_by_the_next_program() {
    for round in 0..rounds(6) {
        let server = Server::start();
        let mut counting = Counting::begin(&server, 4_000, "killed");
        // Some kills hit the first calls, some later calls.
        std::thread::sleep(Duration::from_micros(u64::from(round) * 7_919 % 60_000));
        counting.child.kill().unwrap();
        counting.wait();
        ship_by_the_next(&server);
        check(&server, &counting.counted(), &format!("round {round}"));
    }
}

#[test]
fn events_dropped_before_a_kill_are_reported_by_the_shipper() {
    let mut server = Server::start();
    server.kill();
    let file = server.data().with_file_name("counted");
    std::fs::File::create(&file).unwrap();
    let mut command = worker(&server, &["finds-no-room"]);
    // A single ring, which holds a few thousand records.
    command.arg(&file).env("MONITOR_BUFFER_BYTES", "400000").env("MONITOR_HEARTBEAT", "300ms");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut counting = Counting { child, file };
    assert_eq!(line(&mut counting.child), "begins");
    wait_for("many to begin", || (counting.counted().begun > 300_000).then_some(()));
    counting.child.kill().unwrap();
    counting.wait();
    server.start_again();
    ship_by_hand(&server);
    let (begun, status) = (counting.counted().begun, server.get("/status"));
    let stored: u64 = status["roots"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    let dropped = status["dropped"].as_array().unwrap();
    let refused: u64 = dropped.iter().map(|dropped| dropped["count"].as_u64().unwrap()).sum();
    assert!(dropped.iter().all(|dropped| dropped["type"] == "process-started" && dropped["reason"] == "memory"), "{status}");
    // Except for the call that was about to begin.
    assert!(stored > 0 && refused > 0 && (begun - 1..=begun).contains(&(stored + refused)), "{begun}: {stored} stored, {refused} refused");
}

/// The outline of the only tree with this name, as soon as nothing in it runs any more.
fn settled(server: &Server, name: &str) -> String {
    wait_for("the tree to be settled", || {
        let root = server.roots().into_iter().find(|root| root["name"] == name && root["counts"]["running"] == 0)?;
        Some(outline(&server.tree(&root)))
    })
}

/// Number of calls by state, as soon as the worker is lost or has reported its end.
fn settled_states(server: &Server, root: &Value) -> BTreeMap<String, usize> {
    wait_for("nothing to run", || {
        let states = states(&server.tree(root));
        (!states.contains_key("running")).then_some(states)
    })
}

#[test]
fn recorded_events_survive_any_end_of_the_program() {
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
        // The caller of the others, and at most one call per thread.
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
        // The threads continued until the very end, after which nothing is recorded.
        let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "counts"));
        let states = states(&server.tree(&root));
        let done = states["succeeded"] + states["failed"];
        assert!(done >= 4 * 1_000 && !states.contains_key("running"), "{end}: {states:?}");
    }
}

#[test]
fn a_panic_that_aborts_keeps_all_recorded_events() {
    let server = Server::start();
    let mut counting = start(aborter(Some(&server)), &server, 2_000, "panic");
    assert_eq!(counting.wait().signal(), Some(libc::SIGABRT));
    ship_by_hand(&server);
    check(&server, &counting.counted(), "panic");
}

#[test]
fn events_recorded_before_an_exec_are_shipped() {
    let server = Server::start();
    let mut counting = Counting::begin(&server, 2_000, "exec");
    // The same process, with another program in it.
    assert_eq!(line(&mut counting.child), "waits");
    wait_for("the folder of the first program to be shipped", || (folders(server.spool()) == 1).then_some(()));
    check(&server, &counting.counted(), "exec");
    drop(counting.child.stdin.take());
    assert!(counting.wait().success());
    assert_eq!(settled(&server, "waits"), "waits\n");
}

#[test]
fn events_of_a_dead_forked_child_are_shipped_without_those_of_its_parent() {
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
fn events_recorded_without_a_server_outlive_the_program() {
    let mut server = Server::start();
    server.kill();
    let mut many = worker(&server, &["many", "5000"]);
    many.env("MONITOR_LOG", "stderr");
    let finished = run(many);
    assert_eq!(finished.code, Some(0));
    assert!(finished.stderr.contains("are kept until the server is there") && !finished.stderr.contains("lost"), "{}", finished.stderr);
    assert_eq!(folders(server.spool()), 1);
    let folder = std::fs::read_dir(server.spool()).unwrap().next().unwrap().unwrap().path();
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let others: Vec<String> = names.filter(|name| !["program", "lock"].contains(&&**name) && !name.starts_with("journal-")).collect();
    assert_eq!(others, Vec::<String>::new(), "all is numbered");
    server.start_again();
    ship_by_the_next(&server);
    let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "many"));
    let counts = &root["counts"];
    assert_eq!((&root["state"], &counts["succeeded"], &counts["failed"]), (&"succeeded".into(), &(5_000 - 5 + 50 + 1).into(), &5.into()));
    let workers = server.get("/workers?limit=10");
    assert!(workers["workers"].as_array().unwrap().iter().all(|worker| worker["state"] == "offline"), "it had said goodbye: {workers}");
}

#[test]
fn a_flush_without_a_server_ends_at_its_timeout_and_loses_nothing() {
    let mut server = Server::start();
    server.kill();
    let finished = run(worker(&server, &["flush-times-out"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    server.start_again();
    ship_by_the_next(&server);
    wait_for("the call", || server.roots().into_iter().find(|root| root["name"] == "leaf"));
}

#[test]
fn events_unsent_at_a_signal_are_shipped() {
    for (name, number) in [("-TERM", libc::SIGTERM), ("-INT", libc::SIGINT), ("-HUP", libc::SIGHUP)] {
        let mut server = Server::start();
        server.kill();
        let mut hang = worker(&server, &["hang"]);
        // Programs inherit ignored signals from the process that started the tests.
        hang.env("MONITOR_HEARTBEAT", "300ms");
        let mut child = has_default_signals(&mut hang).spawn().unwrap();
        line(&mut child);
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(number), "{name}");
        server.start_again();
        ship_by_hand(&server);
        assert_eq!(settled(&server, "hang"), "hang [lost]\n  waits [lost]\n", "{name}");
    }
}

#[allow(unsafe_code, reason = "signals of the child alone")]
fn has_default_signals(command: &mut Command) -> &mut Command {
    // SAFETY: only system calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        })
    }
}

#[test]
fn a_program_with_exit_timeout_zero_leaves_all_events_in_the_spool() {
    const COUNT: u64 = 50_000;
    let mut server = Server::start();
    server.kill();
    let mut many = worker(&server, &["many-and-lingers", &COUNT.to_string()]);
    many.env("MONITOR_EXIT_TIMEOUT", "0s").env("MONITOR_FOLD_AFTER", "off").env("MONITOR_LOG", "stderr");
    many.env("MONITOR_BUFFER_BYTES", "1GiB").env("MONITOR_SPOOL_BYTES", "1GiB");
    let finished = run(many);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    server.start_again();
    ship_by_hand(&server);
    let (root, status) = (server.finished_root(), server.get("/status"));
    let counts = &root["counts"];
    assert_eq!(counts["succeeded"].as_u64().unwrap() + counts["failed"].as_u64().unwrap(), COUNT + COUNT / 100 + 1, "{root} {status}");
    assert_eq!(status["dropped"], json!([]));
}
