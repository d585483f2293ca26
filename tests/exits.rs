//! Every way for a program to end, and everything that a program may do to the client before that: which events arrive, and that the
//! program is not affected. `docs/internals/exits.md` contains the same as a table.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use monitor_tests::{Finished, Server, aborter, command, outline, rounds, run, states, wait_for, worker};
use serde_json::Value;

/// Defines each test twice: with a spool and without.
macro_rules! on_and_off {
    ($($name:ident),* $(,)?) => {
        mod spool_on {
            $(#[test]
            fn $name() {
                super::$name(super::Server::start);
            })*
        }
        mod spool_off {
            $(#[test]
            fn $name() {
                super::$name(super::Server::start_without_spool);
            })*
        }
    };
}

on_and_off! {
    a_program_that_ends_by_itself_leaves_nothing_behind,
    thread_locals_that_record_as_they_are_destroyed_arrive,
    what_the_c_library_calls_at_the_end_is_recorded_until_the_client_has_flushed,
    a_runtime_that_is_dropped_cancels_what_it_held,
    hundreds_of_threads_and_tasks_that_end_at_once_arrive,
    a_program_that_ends_while_others_record_waits_only_for_what_was_before,
    a_signal_that_kills_the_program_kills_it_and_what_was_open_is_lost,
    a_handler_of_the_programs_own_works_as_before_and_its_exit_flushes,
    the_client_touches_no_signal,
    an_abort_leaves_what_was_flushed_and_loses_what_was_open,
    a_panic_that_aborts_leaves_what_was_flushed_and_loses_what_was_open,
    what_was_flushed_before_exec_is_there_and_the_new_program_is_another_worker,
    a_forked_child_is_a_worker_of_its_own_and_leaves_its_parents_processes_alone,
    a_forked_child_that_returns_through_what_its_parent_began_ends_none_of_it,
    a_fork_in_the_midst_of_other_threads_hangs_nowhere,
    a_fork_during_the_first_monitored_call_hangs_nowhere,
    a_forked_child_that_ends_by_underscore_exit_keeps_what_it_flushed,
    a_parent_that_ends_closes_its_own_processes_and_its_child_goes_on,
    a_fork_waits_for_no_thread_that_goes_on_recording,
    a_child_that_forks_and_records_nothing_is_no_worker,
    what_a_child_has_open_ends_by_its_exit_code,
    a_flush_returns_while_others_go_on_recording,
    a_flush_on_the_shippers_own_thread_returns_at_once,
    a_program_started_by_fork_and_exec_is_none_of_the_clients_business,
    a_program_whose_shipper_has_ended_goes_on_is_told_once_and_ends_at_once,
    a_stderr_that_takes_nothing_changes_nothing,
    a_subscriber_that_panics_meets_nothing_of_the_clients_transport,
    a_subscriber_that_records_does_not_go_round_in_circles,
    the_clients_http_transport_does_not_appear_in_the_programs_output,
    an_error_that_panics_when_asked_reaches_nobody,
    an_allocator_that_calls_a_monitored_function_is_recorded_outside_the_recorder_only,
    a_call_allocates_nothing_neither_off_nor_on,
}

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("the worker writes");
    line.trim().to_owned()
}

fn kill(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Runs the worker without monitoring.
fn plain(what: &[&str]) -> Finished {
    let mut plain = command("monitor-test-worker");
    plain.args(what);
    run(plain)
}

fn workers(server: &Server) -> Vec<Value> {
    server.get("/workers?limit=1000")["workers"].as_array().unwrap().clone()
}

/// The outlines of all trees, in alphabetical order, as soon as all workers have reported their end.
fn outlines(server: &Server) -> Vec<String> {
    wait_for("the goodbyes", || workers(server).iter().all(|worker| worker["state"] == "offline").then_some(()));
    let mut outlines: Vec<String> = server.roots().iter().map(|root| outline(&server.tree(root))).collect();
    outlines.sort();
    outlines
}

/// The outline of a tree that a `#[normal_task]` without a parent began.
fn stray(name: &str) -> String {
    format!("{name} [unattached]\n")
}

/// Sorted lines. Siblings that began in the same microsecond may be in any order.
fn sorted(outline: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = outline.lines().collect();
    lines.sort_unstable();
    lines
}

/// The outline of the only tree, as soon as its worker is lost.
fn lost_outline(server: &Server) -> String {
    wait_for("the tree to be lost", || {
        server.roots().into_iter().find(|root| root["state"] == "lost").map(|root| outline(&server.tree(&root)))
    })
}

fn a_program_that_ends_by_itself_leaves_nothing_behind(start: fn() -> Server) {
    for (what, code, trees) in [
        (&["many", "2"][..], 0, "many\n  hundred\n    leaf\n    leaf\n"),
        (&["exit"], 7, "exit_inside [failed]: exit code 7\n  exits [failed]: exit code 7\n"),
        (&["panic"], 101, "panic_inside [failed]: the end of the tape\n  panics [failed]: the end of the tape\n"),
        (&["thread-panics"], 0, "thread_panics\n  panics [failed]: the end of the tape\n"),
    ] {
        let server = start();
        let finished = run(worker(&server, what));
        assert_eq!((finished.code, plain(what).code), (Some(code), Some(code)), "{what:?}: {}", finished.stderr);
        assert_eq!(outlines(&server), [trees], "{what:?}");
    }
}

fn thread_locals_that_record_as_they_are_destroyed_arrive(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["destructors-record"])), plain(&["destructors-record"]));
    // A thread-local value may be destroyed before or after the client's own.
    let late = "late\n  leaf\n";
    assert_eq!(outlines(&server), [late, late, late, late, &stray("leaf"), &stray("leaf")]);
}

fn what_the_c_library_calls_at_the_end_is_recorded_until_the_client_has_flushed(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["records-at-exit"])), plain(&["records-at-exit"]));
    assert_eq!(outlines(&server), ["late_enough\n", &stray("leaf")]);
}

fn a_runtime_that_is_dropped_cancels_what_it_held(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["drops-runtimes"])).code, Some(0));
    let runtime = ["  forever [cancelled]", "  forever [cancelled]", "  passing", "  passing", "drops_runtimes"];
    assert_eq!(sorted(&outlines(&server)[0]), runtime);
}

fn hundreds_of_threads_and_tasks_that_end_at_once_arrive(start: fn() -> Server) {
    let server = start();
    let finished = run(worker(&server, &["crowd", "400"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let root = server.finished_root();
    assert_eq!((&root["counts"]["succeeded"], server.tree(&root).len()), (&Value::from(801), 801));
}

fn a_program_that_ends_while_others_record_waits_only_for_what_was_before(start: fn() -> Server) {
    let server = start();
    let mut leaves = worker(&server, &["leaves-others-behind"]);
    leaves.env("MONITOR_EXIT_TIMEOUT", "10m");
    let began = Instant::now();
    let finished = run(leaves);
    assert!(began.elapsed() < Duration::from_secs(120), "it waited for threads that never end");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let before: usize = finished.stdout.trim().parse().unwrap();
    let processes = server.tree(&server.finished_root());
    assert_eq!((&processes[0]["name"], &processes[0]["state"]), (&"leaves_others_behind".into(), &"succeeded".into()));
    let states = states(&processes[1..]);
    assert!(states["succeeded"] >= before, "{states:?} {before}");
    // The open calls belong to the four threads.
    assert!(states.values().sum::<usize>() - states["succeeded"] <= 4, "{states:?}");
}

/// Sends a signal to a program that hangs after its processes have reached the server.
fn kill_hanging(server: &Server, signal: &str) -> ExitStatus {
    let mut hang = worker(server, &["hang"]);
    hang.env("MONITOR_HEARTBEAT", "300ms");
    let mut child = hang.spawn().unwrap();
    line(&mut child);
    wait_for("both processes", || server.roots().into_iter().find(|root| root["counts"]["running"] == 2));
    kill(&child, signal);
    child.wait().unwrap()
}

/// True if a signal is ignored because the process that started the tests ignores it, as `nohup` does. Programs inherit that.
fn is_ignored(signal: libc::c_int) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map_or("0", str::trim);
    u64::from_str_radix(mask, 16).unwrap() >> (signal - 1) & 1 == 1
}

fn a_signal_that_kills_the_program_kills_it_and_what_was_open_is_lost(start: fn() -> Server) {
    for (name, number) in [("-TERM", libc::SIGTERM), ("-INT", libc::SIGINT), ("-HUP", libc::SIGHUP), ("-KILL", libc::SIGKILL)] {
        if is_ignored(number) {
            continue;
        }
        let server = start();
        assert_eq!(kill_hanging(&server, name).signal(), Some(number), "{name}");
        assert_eq!(lost_outline(&server), "hang [lost]\n  waits [lost]\n", "{name}");
    }
}

fn a_handler_of_the_programs_own_works_as_before_and_its_exit_flushes(start: fn() -> Server) {
    for (name, number) in [("-TERM", libc::SIGTERM), ("-INT", libc::SIGINT)] {
        let server = start();
        let mut child = worker(&server, &["handles-signals"]).spawn().unwrap();
        assert_eq!(line(&mut child), "ready");
        kill(&child, name);
        assert_eq!((line(&mut child), child.wait().unwrap().code()), (format!("signal {number}"), Some(3)));
        assert_eq!(outlines(&server), ["handles_signals [failed]: exit code 3\n  leaf\n"]);
    }
}

fn the_client_touches_no_signal(start: fn() -> Server) {
    let server = start();
    let monitored = run(worker(&server, &["lists-signals"]));
    assert!(monitored.stdout.contains("SigCgt"), "{monitored:?}");
    assert_eq!(monitored, plain(&["lists-signals"]));
}

fn an_abort_leaves_what_was_flushed_and_loses_what_was_open(start: fn() -> Server) {
    let server = start();
    let mut abort = worker(&server, &["abort"]);
    assert_eq!(abort.env("MONITOR_HEARTBEAT", "300ms").status().unwrap().signal(), Some(libc::SIGABRT));
    assert_eq!(lost_outline(&server), "abort_inside [lost]\n");
}

fn a_panic_that_aborts_leaves_what_was_flushed_and_loses_what_was_open(start: fn() -> Server) {
    let server = start();
    let panics = |server| {
        let mut panics = aborter(server);
        panics.arg("flushed-panic").env("MONITOR_HEARTBEAT", "300ms").stdin(Stdio::null()).output().unwrap()
    };
    let (monitored, plain) = (panics(Some(&server)), panics(None));
    assert_eq!((monitored.status.signal(), plain.status.signal()), (Some(libc::SIGABRT), Some(libc::SIGABRT)));
    assert!(String::from_utf8_lossy(&monitored.stderr).contains("the end of the tape"));
    let lost = lost_outline(&server);
    // A call that began just before the end may have been sent.
    assert_eq!(lost.replace("  panics [lost]\n", ""), "flushed_panic [lost]\n  leaf\n");
}

fn what_was_flushed_before_exec_is_there_and_the_new_program_is_another_worker(start: fn() -> Server) {
    let server = start();
    let mut replaced = worker(&server, &["replaced"]);
    let finished = run({
        replaced.env("MONITOR_HEARTBEAT", "300ms");
        replaced
    });
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(lost_outline(&server), "replaced [lost]\n  leaf\n");
    let many = server.roots().into_iter().find(|root| root["name"] == "many").expect("the new program's tree");
    assert_eq!(outline(&server.tree(&many)), "many\n  hundred\n    leaf\n");
    let workers = workers(&server);
    assert_eq!((workers.len(), &workers[0]["pid"]), (2, &workers[1]["pid"]), "one pid, two workers");
    assert_ne!(workers[0]["id"], workers[1]["id"]);
}

fn a_forked_child_is_a_worker_of_its_own_and_leaves_its_parents_processes_alone(start: fn() -> Server) {
    let server = start();
    let mut child = worker(&server, &["forks"]).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut pids = vec![child.id(), said.next().unwrap().parse().unwrap(), said.next().unwrap().parse().unwrap()];
    assert_eq!(said.next().unwrap(), "child: 0");
    // The children have ended and reported their end. The call of their parent still runs.
    let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["counts"]["succeeded"] == 5));
    assert_eq!(
        outline(&server.tree(&root)),
        "forks [running]\n  leaf\n  in_child\n    born\n    born\n  leaf\n",
        "a thread of the child without a context belongs to what has forked"
    );
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let processes = server.tree(&server.finished_root());
    assert_eq!(processes[0]["state"], "succeeded");

    let workers = workers(&server);
    let mut reported: Vec<u32> = workers.iter().map(|worker| worker["pid"].as_u64().unwrap() as u32).collect();
    pids.sort_unstable();
    reported.sort_unstable();
    assert_eq!(reported, pids);
    let by = |process: &Value| workers.iter().find(|worker| worker["id"] == process["worker_id"]).unwrap()["pid"].clone();
    let [root, leaf, in_child, born, grandchild, stray] = &processes[..] else { panic!("{processes:?}") };
    assert_eq!((by(root), by(in_child), by(in_child)), (by(leaf), by(born), by(stray)));
    assert!(by(root) != by(in_child) && by(grandchild) != by(in_child) && by(grandchild) != by(root));
}

fn a_forked_child_that_returns_through_what_its_parent_began_ends_none_of_it(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["forks-and-returns"])).code, Some(0));
    let trees = outlines(&server);
    // The child's own call is below the call that forked it. The parent's call came after its only tree, so it has no parent.
    assert_eq!(trees, ["begun_by_the_parent\n  open\n  leaf\n", &stray("leaf")]);
}

fn a_fork_in_the_midst_of_other_threads_hangs_nowhere(start: fn() -> Server) {
    let server = start();
    let count = 20 * u64::from(rounds(1));
    let mut busy = worker(&server, &["forks-while-busy", &count.to_string()]);
    // The buffer is so small that all threads increment the count of dropped records.
    busy.env("MONITOR_BUFFER_BYTES", "65536").env("MONITOR_EXIT_TIMEOUT", "1m");
    let finished = run(busy);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    outlines(&server);
    let root = server.finished_root();
    let born = server.tree(&root).into_iter().filter(|process| process["name"] == "born" && process["state"] == "succeeded").count();
    assert_eq!((born, workers(&server).len()), (count as usize, count as usize + 1));
}

fn a_fork_during_the_first_monitored_call_hangs_nowhere(start: fn() -> Server) {
    let server = start();
    for round in 1..=10 * rounds(1) as usize {
        let finished = run(worker(&server, &["forks-at-once"]));
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        wait_for("parent and child", || (server.get("/status")["roots"] != 0 && workers(&server).len() == 2 * round).then_some(()));
    }
    let trees = outlines(&server);
    // In alphabetical order: per round, one call of the child and one of the parent.
    let half = trees.len() / 2;
    assert_eq!(trees, [vec![stray("born"); half], vec![stray("leaf"); half]].concat());
}

fn a_forked_child_that_ends_by_underscore_exit_keeps_what_it_flushed(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["forks-and-vanishes"])).code, Some(0));
    wait_for("both trees", || (server.roots().len() == 2).then_some(()));
    assert_eq!(workers(&server).len(), 2, "a child that records nothing is no worker");
}

fn a_parent_that_ends_closes_its_own_processes_and_its_child_goes_on(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["becomes-a-daemon"])).code, Some(0));
    wait_for("parent and child", || (workers(&server).len() == 2).then_some(()));
    assert_eq!(outlines(&server), ["becomes_a_daemon\n  born\n"]);
}

fn a_fork_waits_for_no_thread_that_goes_on_recording(start: fn() -> Server) {
    let server = start();
    let finished = run(worker(&server, &["forks-in-time", "20"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let forks_ms: u64 = finished.stdout.trim().parse().unwrap();
    // A fork that waits for the end of recording gives up after a second. A fork that doesn't wait may take a quarter of a second on a busy
    // machine.
    assert!(forks_ms < 20 * 500, "{forks_ms} ms");
}

fn a_child_that_forks_and_records_nothing_is_no_worker(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["forks-twice"])).code, Some(0));
    assert_eq!((outlines(&server), workers(&server).len()), (vec![stray("leaf")], 1));
}

fn what_a_child_has_open_ends_by_its_exit_code(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["forks-and-exits"])).code, Some(0));
    assert_eq!(outlines(&server), ["forks_and_exits\n  exits_inside\n  leaf\n"]);
}

fn a_flush_returns_while_others_go_on_recording(start: fn() -> Server) {
    let server = start();
    let finished = run(worker(&server, &["flushes-while-busy", "5"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

fn a_flush_on_the_shippers_own_thread_returns_at_once(start: fn() -> Server) {
    let server = start();
    let finished = run(worker(&server, &["subscriber-flushes"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.stdout, "1\n", "the client reports that the server is reached, and its libraries report nothing");
}

fn the_clients_http_transport_does_not_appear_in_the_programs_output(start: fn() -> Server) {
    let server = start();
    let mut shows_all = worker(&server, &["subscriber-shows-all"]);
    shows_all.env("MONITOR_TRACING", "trace");
    let finished = run(shows_all);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let lines =
        |what: &[&str]| -> Vec<&str> { finished.stderr.lines().filter(|line| what.iter().all(|what| line.contains(what))).collect() };
    assert_eq!(lines(&["monitor-shipper", "hyper"]), [""; 0]);
    assert_eq!(lines(&["monitor-shipper", "reqwest"]), [""; 0]);
    assert_ne!(lines(&["monitor_client: ", "is reached"]), [""; 0], "{}", finished.stderr);
    assert_ne!(lines(&["hyper_util::client::legacy::pool"]), [""; 0], "the program's own requests: {}", finished.stderr);
    assert_eq!(lines(&["log reqwest::connect"]).len(), 1, "the program has connected once: {}", finished.stderr);
    assert!(outlines(&server).iter().all(|tree| !tree.contains("hyper") && !tree.contains("reqwest")));
}

fn a_subscriber_that_panics_meets_nothing_of_the_clients_transport(start: fn() -> Server) {
    let server = start();
    let mut panics = worker(&server, &["subscriber-panics"]);
    panics.env("MONITOR_LOG", "stderr");
    let finished = run(panics);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(!finished.stderr.contains("nothing more is recorded"), "{}", finished.stderr);
    assert_eq!(outlines(&server), ["many\n  hundred\n    leaf\n"]);
}

fn a_program_started_by_fork_and_exec_is_none_of_the_clients_business(start: fn() -> Server) {
    let server = start();
    assert_eq!(run(worker(&server, &["spawns"])).code, Some(0));
    assert_eq!((outlines(&server), workers(&server).len()), (vec!["spawns\n  leaf\n".to_owned()], 1));
}

fn a_program_whose_shipper_has_ended_goes_on_is_told_once_and_ends_at_once(start: fn() -> Server) {
    let server = start();
    let mut goes_on = worker(&server, &["closes-files"]);
    goes_on.env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "10m");
    let finished = run(goes_on);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "still here\n"), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("monitor: warning").count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("nothing more is recorded"), "{}", finished.stderr);
    // Events that were sent before the shipper had to sleep.
    assert!(!server.roots().is_empty(), "what was flushed before");
}

fn a_stderr_that_takes_nothing_changes_nothing(start: fn() -> Server) {
    let server = start();
    for (what, url) in [("many", server.url()), ("many", "http://127.0.0.1:1"), ("closes-stderr", server.url())] {
        let mut full = worker(&server, &[what, "1"]);
        // Without a spool, because the next program would ship the events that this program can't send.
        full.env("MONITOR_LOG", "stderr")
            .env("MONITOR_HEARTBEAT", "no duration")
            .env("MONITOR_SERVER_URL", url)
            .env("MONITOR_SPOOL_DIR", "off");
        let full = full.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap()).status().unwrap();
        assert_eq!(full.code(), Some(0), "{what} {url}");
    }
    let tree = "many\n  hundred\n    leaf\n";
    assert_eq!(outlines(&server), [tree, tree]);
}

fn a_subscriber_that_records_does_not_go_round_in_circles(start: fn() -> Server) {
    let server = start();
    let finished = run(worker(&server, &["subscriber-records"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.stdout, "1\n", "the client reports that the server is reached, and its libraries report nothing");
    let trees = outlines(&server);
    assert_eq!(sorted(&trees[0]), ["  event", "  on_event", "works"], "the program's own event");
    assert_eq!(trees[1..], vec![stray("works_on"); 20]);
}

fn an_error_that_panics_when_asked_reaches_nobody(start: fn() -> Server) {
    let server = start();
    let finished = run(worker(&server, &["error-panics"]));
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "true\n"), "{}", finished.stderr);
    assert_eq!(outlines(&server), ["error that panics\n  fails [failed]: (its own description panicked)\n"]);
}

fn an_allocator_that_calls_a_monitored_function_is_recorded_outside_the_recorder_only(start: fn() -> Server) {
    let server = start();
    let finished = run(worker(&server, &["allocator-records"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    outlines(&server);
    let find = |name: &str| server.roots().into_iter().find(|root| root["name"] == name).unwrap();
    let allocates = server.tree(&find("allocates"));
    let own = allocates.iter().filter(|process| process["name"] == "allocated").count();
    assert!(own >= 4, "its own two boxes come and go: {}", outline(&allocates));
    let many = outline(&server.tree(&find("many")));
    assert_eq!(many.replace("      allocated\n", "").matches("leaf").count(), 300);
}

fn a_call_allocates_nothing_neither_off_nor_on(start: fn() -> Server) {
    let server = start();
    let numbers = |finished: Finished| finished.stdout.lines().map(|line| line.parse::<u64>().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers(plain(&["counts-allocations"])), [0, 0]);
    assert_eq!(numbers(run(worker(&server, &["counts-allocations"]))), [0, 0]);
}
