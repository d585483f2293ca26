//! The client in a real program: what reaches the server, and what the program never notices.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use monitor_tests::{Server, command, outline, run, states, wait_for, worker};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("the worker writes");
    line.trim().to_owned()
}

#[test]
fn a_process_is_seen_while_it_runs_and_ends_when_it_ends() {
    let server = Server::start();
    let mut child = worker(&server, &["hang"]).spawn().unwrap();
    let root_id = line(&mut child);
    let root = wait_for("both processes on the server", || server.roots().into_iter().find(|root| root["counts"]["running"] == 2));
    assert_eq!(root["root_id"], root_id.as_str());
    assert_eq!(outline(&server.tree(&root)), "hang [running]\n  waits [running]\n");
    assert_eq!(server.get("/workers")["workers"][0]["state"], "online");

    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let root = server.finished_root();
    assert_eq!(outline(&server.tree(&root)), "hang\n  waits\n");
    let worker = &server.get("/workers")["workers"][0];
    assert_eq!(
        (&worker["state"], &worker["pid"], &worker["program"]),
        (&json!("offline"), &json!(child.id()), &json!("monitor-test-worker"))
    );
}

#[test]
fn what_processes_say_is_followed_until_the_root_ends() {
    let server = Server::start();
    let mut child = worker(&server, &["talks"]).spawn().unwrap();
    assert_eq!(line(&mut child), "talking");
    let lines = || server.get("/roots/1/logs")["logs"].as_array().map_or(0, Vec::len);
    wait_for("both lines on the server", || (server.roots().len() == 1 && lines() == 2).then_some(()));
    let mut logs = command("monitor");
    logs.args(["logs", "1", "--follow", "--server", server.url()]).stdout(Stdio::piped());
    let mut logs = logs.spawn().unwrap();
    let mut out = BufReader::new(logs.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        // Without the time, and what aligns it.
        line.splitn(3, ' ').nth(2).unwrap_or_default().trim().to_owned()
    };
    assert_eq!((next(), next()), ("info   talks: begun".to_owned(), "warn   step: line one␊line two".to_owned()));
    drop(child.stdin.take());
    assert_eq!(next(), "error  talks: gave up");
    assert_eq!(next(), "", "the root ended");
    assert!(logs.wait().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_exit_code_is_the_outcome_of_what_it_ends() {
    for (how, code, expected) in [
        (&["exit"][..], 7, "exit_inside [failed]: exit code 7\n  exits [failed]: exit code 7\n"),
        // What another thread is in the middle of was cut off.
        (&["exit-with", "0"], 0, "exit_with\n  on_a_thread [cancelled]\n  exits_with\n"),
        (&["exit-with", "2"], 2, "exit_with [failed]: exit code 2\n  on_a_thread [cancelled]\n  exits_with [failed]: exit code 2\n"),
        (&["exit-elsewhere", "3"], 3, "exit_elsewhere [failed]: exit code 3\n  exits_with [failed]: exit code 3\n"),
        (&["exit-in-a-task", "4"], 4, "exit_in_a_task [failed]: exit code 4\n  polled [failed]: exit code 4\n"),
        // A `main` that returns says nothing of what still runs elsewhere.
        (&["return-while-busy", "0"], 0, "busy [cancelled]\n"),
        (&["return-while-busy", "5"], 5, "busy [failed]: exit code 5\n"),
        (&["return-code", "3"], 3, "return_code [failed]: exit code 3\n"),
        (&["return-code", "0"], 0, "return_code\n"),
    ] {
        for server in [Server::start(), Server::start_without_spool()] {
            assert_eq!(run(worker(&server, how)).code, Some(code), "{how:?}");
            let processes = server.tree(&server.finished_root());
            assert_eq!(outline(&processes), expected, "{how:?}");
            for process in &processes {
                let (state, shown) = (&process["state"], &process["exit_code"]);
                let told = if code == 0 { Value::Null } else { json!(code) };
                assert_eq!(*shown, if state == "cancelled" { Value::Null } else { told }, "{how:?} {process}");
            }
        }
    }
}

#[test]
fn a_thread_that_was_there_before_a_tree_is_none_of_its_children() {
    let server = Server::start();
    let mut housekeeping = worker(&server, &["housekeeping"]);
    housekeeping.env("MONITOR_LOG", "stderr");
    let finished = run(housekeeping);
    assert_eq!(finished.code, Some(0));
    let mut outlines = server.roots().iter().map(|root| outline(&server.tree(root))).collect::<Vec<_>>();
    outlines.sort();
    let (alone, request) = ("keep_house [unattached]\n", "request\n  part [inferred]\n");
    assert_eq!(outlines, [alone, alone, request, request]);
    let warnings: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("#[cross_thread]")).collect();
    assert!(matches!(warnings[..], [one] if one.contains("\"keep_house\" (tests/worker/strays.rs:")), "{}", finished.stderr);
}

#[test]
fn calls_without_a_tree_are_marked_gathered_or_left_out_as_is_wanted() {
    for (stray, lone) in [(None, 100), (Some("fold"), 100), (Some("tree"), 400), (Some("skip"), 0)] {
        let server = Server::start();
        assert_eq!(run(worker(&server, &["many", "1"])).code, Some(0));
        let mut calls = worker(&server, &["stray-calls", "400"]);
        calls.envs(stray.map(|stray| ("MONITOR_STRAY", stray)));
        assert_eq!(run(calls).code, Some(0));
        let of = |filter: &str| server.get(&format!("/roots?limit=1000&unattached={filter}"))["roots"].as_array().unwrap().clone();
        let names = |roots: &[Value]| roots.iter().map(|root| root["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let unattached = of("true");
        assert!(unattached.iter().all(|root| root["unattached"] == true && root["state"] == "succeeded"));
        let gathered = unattached.iter().find(|root| root["name"] == "calls without a tree");
        assert_eq!(unattached.len() - usize::from(gathered.is_some()), lone, "{stray:?}");
        assert_eq!(names(&of("false")), ["many"]);
        assert_eq!(server.roots().len(), unattached.len() + 1);
        assert_eq!(gathered.is_some(), lone == 100, "{stray:?}");
        if let Some(root) = gathered {
            let processes = server.tree(root);
            for (name, count) in [("frame", 270), ("rare", 30), ("inner", 270)] {
                let ([singly, counted], _) = counted(&processes, name);
                assert_eq!(singly + counted, count, "{name}: {}", outline(&processes));
            }
            assert!(processes.iter().all(|process| process["orphan"] == false));
        }
        let mut list = command("monitor");
        list.args(["roots", "--unattached=false", "--json", "--server", server.url()]);
        assert_eq!(serde_json::from_str::<Value>(&run(list).stdout).unwrap()["roots"].as_array().unwrap().len(), 1);
    }
}

/// The callee's code of the first source document: the root's id in both places, or alone.
#[test]
fn a_message_with_the_roots_id_alone_continues_the_tree_below_its_root() {
    let server = Server::start();
    assert_eq!(run(worker(&server, &["sends-the-root"])).code, Some(0));
    let processes = server.tree(&server.finished_root());
    assert_eq!(outline(&processes), "sends_the_root\n  asks\n  judge\n    judged\n  judge\n    judged\n");
    for judge in processes.iter().filter(|process| process["name"] == "judge") {
        assert_eq!(judge["parent_id"], processes[0]["id"]);
    }

    // A tree that something else began, whose root's process has any id.
    let root = "0199a3ce929d0e0e47360199a3ce929d";
    let begun = json!({"version": 1, "sequence": 1, "sent_us": 0, "events": [{"type": "process-started", "root_id": root,
        "id": "00000000000000ab", "time_us": 5, "kind": "root", "name": "python"}],
        "worker": {"id": "5b0c0000000000000000000000000001", "hostname": "build-7", "pid": 4121, "program": "python"}});
    assert_eq!(server.post(&begun).0, 200);
    assert_eq!(run(worker(&server, &["judges", root])).code, Some(0));
    let root = server.roots().into_iter().find(|root| root["name"] == "python").unwrap();
    assert_eq!(outline(&server.tree(&root)), "python [running]\n  judge\n    judged\n");
}

#[test]
fn a_panic_is_recorded_and_stays_what_it_was() {
    let server = Server::start();
    let monitored = run(worker(&server, &["panic"]));
    let mut plain = command("monitor-test-worker");
    plain.arg("panic");
    let plain = run(plain);
    // The thread's number is the operating system's.
    let words = |text: &str| text.lines().filter(|line| !line.contains("panicked at")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((monitored.code, words(&monitored.stderr)), (plain.code, words(&plain.stderr)));
    assert_eq!(monitored.code, Some(101));

    let processes = server.tree(&server.finished_root());
    assert_eq!(outline(&processes), "panic_inside [failed]: the end of the tape\n  panics [failed]: the end of the tape\n");
    let error = &processes[1]["error"];
    assert_eq!(error["kind"], "panic");
    assert!(error["source"]["file"].as_str().unwrap().ends_with("worker/main.rs"), "{error}");
    assert!(error["source"]["line"].as_u64().unwrap() > processes[1]["source"]["line"].as_u64().unwrap());
}

#[test]
fn what_is_recorded_while_the_server_is_away_arrives_when_it_is_back() {
    let mut server = Server::start();
    server.kill();
    let mut many = worker(&server, &["many", "500"]);
    many.env("MONITOR_EXIT_TIMEOUT", "1m").env("MONITOR_LOG", "stderr");
    let mut hang = worker(&server, &["hang"]);
    hang.env("MONITOR_LOG", "stderr");
    let mut hang = hang.spawn().unwrap();
    line(&mut hang);
    let mut said = BufReader::new(hang.stderr.take().unwrap());
    let mut away = String::new();
    said.read_line(&mut away).unwrap();
    assert!(away.contains("is not reached") && away.contains(server.url()), "{away}");

    server.start_again();
    wait_for("what was recorded before", || server.roots().into_iter().find(|root| root["counts"]["running"] == 2));
    drop(hang.stdin.take());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(hang.wait().unwrap().success());
    assert!(rest.contains("is reached"), "{rest}");
    assert_eq!(run(many).code, Some(0));
    wait_for("the second tree", || server.roots().into_iter().find(|root| root["counts"]["succeeded"] == 506));
}

#[test]
fn what_finds_no_room_is_counted_and_told() {
    let mut server = Server::start();
    server.kill();
    let mut many = worker(&server, &["many", "20000"]);
    many.env("MONITOR_BUFFER_BYTES", "65536").env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "5s");
    many.env("MONITOR_SPOOL_DIR", "off");
    // A server that was never there is not waited for at the end: one that hangs on is.
    let mut child = worker(&server, &["hang"]);
    child.env("MONITOR_BUFFER_BYTES", "65536").env("MONITOR_SPOOL_DIR", "off");
    let mut child = child.spawn().unwrap();
    line(&mut child);
    let lost = run(many);
    assert_eq!(lost.code, Some(0));
    assert!(lost.stderr.contains("it is lost"), "{}", lost.stderr);
    server.start_again();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let mut many = worker(&server, &["many", "200000"]);
    many.env("MONITOR_BUFFER_BYTES", "65536").env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "1m");
    many.env("MONITOR_FOLD_AFTER", "off");
    let finished = run(many);
    assert_eq!(finished.code, Some(0));
    assert!(finished.stderr.contains("raise MONITOR_BUFFER_BYTES"), "{}", finished.stderr);
    let root =
        wait_for("the large tree", || server.roots().into_iter().find(|root| root["name"] == "many" && root["state"] == "succeeded"));
    let dropped: u64 = server.get("/status")["dropped"].as_array().unwrap().iter().map(|drop| drop["count"].as_u64().unwrap()).sum();
    let counts = &root["counts"];
    let stored: u64 =
        ["running", "succeeded", "failed", "cancelled", "lost", "pending"].iter().map(|state| counts[*state].as_u64().unwrap()).sum();
    assert!(dropped > 0 && counts["running"] == 0);
    assert_eq!(stored + dropped, 200_000 + 2_000 + 1, "every process is stored or counted");
}

/// What is below the root of a finished tree; see [`counted`].
fn folded(server: &Server, root: &Value, name: &str) -> ([u64; 2], [u64; 2]) {
    let processes = server.tree(root);
    for process in processes.iter().filter(|process| process["name"] == name) {
        assert_eq!((&process["orphan"], &process["depth"]), (&json!(false), &json!(1)), "{process}");
    }
    counted(&processes, name)
}

/// How many of a name are shipped singly and counted, and how many failed of these.
fn counted(processes: &[Value], name: &str) -> ([u64; 2], [u64; 2]) {
    let (mut all, mut failed) = ([0; 2], [0; 2]);
    for process in processes.iter().filter(|process| process["name"] == name) {
        if let Some(count) = process["fold"]["count"].as_u64() {
            all[1] += count;
            failed[1] += process["fold"]["failed"].as_u64().unwrap();
        } else {
            all[0] += 1;
            failed[0] += u64::from(process["state"] == "failed");
        }
    }
    (all, failed)
}

#[test]
fn every_one_of_a_million_calls_arrives_or_is_counted() {
    let server = Server::start();
    let mut burst = worker(&server, &["burst", "1000000"]);
    burst.env("MONITOR_EXIT_TIMEOUT", "1m");
    assert_eq!(run(burst).code, Some(0));
    let root = server.finished_root();
    let ([singly, counted], [failed_singly, failed_counted]) = folded(&server, &root, "leaf");
    assert_eq!((singly + counted, failed_singly + failed_counted), (1_000_000, 1_000));
    // The first 1,000, a hundred failures, and slow ones, each at least twice as slow as all before.
    assert!((1_100..1_200).contains(&singly), "{singly}");
    assert!((101..=110).contains(&failed_singly), "{failed_singly}");
    let processes = server.tree(&root);
    let fold = &processes.iter().find(|process| !process["fold"].is_null()).expect("one")["fold"];
    let histogram: u64 = fold["histogram"].as_array().unwrap().iter().map(|bucket| bucket[1].as_u64().unwrap()).sum();
    assert_eq!((histogram, &fold["running"]), (counted, &json!(0)));
    assert_eq!(server.get("/status")["dropped"], json!([]));
    let id = processes[0]["id"].as_str().unwrap();
    assert!(processes.iter().any(|process| process["fold"]["count"] == counted && process["parent_id"] == id));

    let mut unfolded = worker(&server, &["burst", "5000"]);
    unfolded.env("MONITOR_FOLD_AFTER", "off").env("MONITOR_EXIT_TIMEOUT", "1m");
    assert_eq!(run(unfolded).code, Some(0));
    let root = wait_for("the second tree", || server.roots().into_iter().find(|root| root["counts"]["succeeded"] == 4_996));
    assert_eq!(folded(&server, &root, "leaf"), ([5_000, 0], [5, 0]));
}

#[test]
fn processes_by_name_are_counted_too_and_so_is_what_hangs_below_them() {
    for server in [Server::start(), Server::start_without_spool()] {
        let mut by_hand = worker(&server, &["by-hand", "5000"]);
        by_hand.env("MONITOR_EXIT_TIMEOUT", "1m");
        let finished = run(by_hand);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let root = server.finished_root();
        let ([singly, counted], [failed_singly, failed_counted]) = folded(&server, &root, "item");
        assert_eq!((singly + counted, failed_singly + failed_counted), (20_001, 20));
        // The first 1,000 of the program, all failures, the last one, and slow ones.
        assert!((1_020..1_120).contains(&singly) && failed_counted == 0, "{singly}");
        let processes = server.tree(&root);
        let id = finished.stdout.trim();
        assert!(processes.iter().any(|process| process["id"] == id && process["name"] == "item" && process["fold"].is_null()), "{id}");
        let leaves = self::counted(&processes, "leaf").0;
        assert_eq!(leaves[0] + leaves[1], 20_000);
        let fold = processes.iter().find(|process| process["name"] == "item" && !process["fold"].is_null()).expect("one");
        let below = processes.iter().filter(|process| process["name"] == "leaf" && process["parent_id"] == fold["id"]);
        assert!(below.count() > 0 && processes.iter().all(|process| process["orphan"] == false));
        assert_eq!(server.get("/status")["dropped"], json!([]));
    }
}

#[test]
fn a_folded_call_that_runs_for_long_is_shipped_singly() {
    let server = Server::start();
    let mut child = worker(&server, &["one-waits"]).spawn().unwrap();
    assert_eq!(line(&mut child), "waits");
    let running = |server: &Server| {
        let root = server.roots().into_iter().next()?;
        let all = server.tree(&root);
        let running: Vec<Value> = all[1..].iter().filter(|process| process["state"] == "running").cloned().collect();
        matches!(&running[..], [one] if one["fold"].is_null() && one["name"] == "step").then_some(root)
    };
    let root = wait_for("the step that waits, and nothing else that runs", || running(&server));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    server.finished_root();
    let ([singly, counted], _) = folded(&server, &root, "step");
    assert!(singly + counted == 1_500 && (1_001..1_020).contains(&singly), "{singly} {counted}");
}

#[test]
fn a_call_whose_id_is_read_is_shipped_singly() {
    let server = Server::start();
    let finished = run(worker(&server, &["one-says-who-it-is"]));
    let root = server.finished_root();
    let processes = server.tree(&root);
    let own = processes.iter().find(|process| process["id"] == finished.stdout.trim()).expect("shipped singly");
    assert_eq!((&own["name"], &own["state"], own["fold"].is_null()), (&json!("known"), &json!("succeeded"), true));
    assert!(processes.iter().any(|process| process["parent_id"] == own["id"] && process["name"] == "inner"));
    let ([singly, counted], _) = folded(&server, &root, "known");
    assert_eq!(singly + counted, 1_500);
    // What the folded ones called is below the fold, and folded itself.
    let fold = processes.iter().find(|process| process["name"] == "known" && !process["fold"].is_null()).expect("one");
    let inner = |process: &&Value| process["name"] == "inner" && process["parent_id"] == fold["id"];
    let below: u64 = processes.iter().filter(inner).map(|process| process["fold"]["count"].as_u64().unwrap_or(1)).sum();
    assert!(below >= counted, "{below} of {counted}");
}

#[test]
fn counts_of_several_programs_add_up_in_one_fold() {
    let server = Server::start();
    let mut bursts = worker(&server, &["bursts-elsewhere", "20000"]);
    bursts.env("MONITOR_EXIT_TIMEOUT", "1m");
    assert_eq!(run(bursts).code, Some(0));
    let root = server.finished_root();
    let (all, failed) = folded(&server, &root, "leaf");
    assert_eq!((all[0] + all[1], failed[0] + failed[1]), (40_000, 40));
    assert_eq!(server.tree(&root).iter().filter(|process| !process["fold"].is_null()).count(), 1);
}

/// Whatever takes turns, on however many threads: a thousand of the calls below one parent are shipped singly, fifty more for each
/// thread, and those that fail or are slow.
#[test]
fn loops_that_take_turns_are_counted_as_one_that_is_alone() {
    const LOOPS: usize = 2;
    for workers in [1, 2, 4, 8] {
        let server = Server::start();
        let mut turns = worker(&server, &["turns", &workers.to_string(), &LOOPS.to_string()]);
        turns.env("MONITOR_EXIT_TIMEOUT", "1m");
        assert_eq!(run(turns).code, Some(0));
        let processes = server.tree(&server.finished_root());
        assert_eq!(server.get("/status")["dropped"], json!([]));
        let parents: Vec<&Value> = processes.iter().filter(|process| ["takes_turns", "shared"].contains(&name(process))).collect();
        assert_eq!(parents.len(), LOOPS + 1);
        for parent in parents {
            let below = |parent: &Value, name: &str| -> Vec<Value> {
                let is_below = |process: &&Value| process["parent_id"] == parent["id"] && self::name(process) == name;
                processes.iter().filter(is_below).cloned().collect()
            };
            let ([singly, counted], _) = counted(&below(parent, "outer"), "outer");
            assert_eq!(singly + counted, 30_000, "{workers} workers");
            // Slow ones: each at least twice as slow as all before, and at least a millisecond.
            let most = 1_000 + (50 + 10) * workers;
            assert!(singly <= most, "{workers} workers: {singly} of {} below {}", singly + counted, name(parent));
            let fold = below(parent, "outer").into_iter().find(|process| !process["fold"].is_null()).expect("one");
            let ([singly, counted], [failed, _]) = self::counted(&below(&fold, "leaf"), "leaf");
            assert!(singly - failed <= most, "{workers} workers: {singly} of {} below the fold", singly + counted);
        }
        let ([singly, counted], _) = counted(&processes, "leaf");
        assert_eq!(singly + counted, 30_000 * (LOOPS as u64 + 1), "{workers} workers");
    }
}

fn name(process: &Value) -> &str {
    process["name"].as_str().unwrap_or_default()
}

#[test]
fn a_fold_is_seen_while_it_grows() {
    let server = Server::start();
    let mut child = worker(&server, &["grows"]).spawn().unwrap();
    let so_far = || {
        let root = server.roots().into_iter().next()?;
        Some(counted(&server.tree(&root), "step").0[1])
    };
    let first = wait_for("a fold", || so_far().filter(|count| *count > 0));
    wait_for("more in it", || so_far().filter(|count| *count > first));
    drop(child.stdin.take());
    let count: u64 = line(&mut child).parse().unwrap();
    assert!(child.wait().unwrap().success());
    let ([singly, counted], _) = folded(&server, &server.finished_root(), "step");
    assert_eq!(singly + counted, count);
}

#[test]
fn a_stray_thread_joins_the_one_tree_that_runs_and_no_other() {
    for (roots, expected) in [(0, "strayed [unattached]\n"), (1, "tree 0\n  strayed [inferred]\n"), (2, "strayed [unattached]\n")] {
        let server = Server::start();
        let mut stray = worker(&server, &["stray", &roots.to_string()]);
        stray.env("MONITOR_LOG", "stderr");
        let finished = run(stray);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_eq!(finished.stderr.contains("monitor_client::spawn"), roots != 1, "{}", finished.stderr);
        let outlines: Vec<String> = wait_for("the worker's goodbye", || {
            (server.get("/workers")["workers"][0]["state"] == "offline")
                .then(|| server.roots().iter().map(|root| outline(&server.tree(root))).collect())
        });
        let closed = expected.replace("tree 0\n", "tree 0 [cancelled]\n");
        assert!(outlines.contains(&closed), "{outlines:?}");
    }
}

#[test]
fn a_heartbeat_tells_that_an_idle_program_is_alive() {
    let server = Server::start();
    let mut hang = worker(&server, &["hang"]);
    hang.env("MONITOR_HEARTBEAT", "100ms");
    let mut child = hang.spawn().unwrap();
    line(&mut child);
    let seen = || server.get("/workers")["workers"][0]["last_seen_us"].as_u64();
    let first = wait_for("the worker", seen);
    // Far more than the two intervals after which a silent worker is lost.
    wait_for("ten heartbeats", || seen().filter(|last| *last > first + 1_000_000));
    assert_eq!(server.get("/workers")["workers"][0]["state"], "online");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn off_creates_nothing() {
    let server = Server::start();
    let mut listed = Vec::new();
    for enabled in ["", "0", "no", "maybe", "1"] {
        let mut lists = worker(&server, &["lists"]);
        lists.env("MONITOR_ENABLED", enabled);
        let mut plain = command("monitor-test-worker");
        plain.arg("lists");
        let (off, now) = (run(plain), run(lists));
        listed.push(now.stdout == off.stdout && now.code == off.code);
        // Only who meant something by it is told that it was not understood.
        assert_eq!(now.stderr.contains("MONITOR_ENABLED"), enabled == "maybe", "{}", now.stderr);
        assert!(off.stdout.starts_with("1\n"), "one thread: {}", off.stdout);
    }
    assert_eq!(listed, [true, true, true, true, false]);
    assert_eq!(wait_for("the one that was on", || server.roots().into_iter().next())["name"], "leaf");
    assert_eq!(server.roots().len(), 1);
}

#[test]
fn a_wrong_address_is_said_once_and_changes_nothing() {
    let server = Server::start();
    for (url, words) in [
        ("http://127.0.0.1:1", "is not reached"),
        ("no url", "MONITOR_SERVER_URL: \"no url\" is not taken"),
        ("https://127.0.0.1:1", "is not reached"),
    ] {
        let mut exit = worker(&server, &["exit"]);
        exit.env("MONITOR_SERVER_URL", url).env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "200ms");
        let finished = run(exit);
        assert_eq!(finished.code, Some(7), "{url}");
        assert_eq!(finished.stderr.matches(words).count(), 1, "{url}: {}", finished.stderr);
    }
    assert_eq!(server.roots().len(), 0);
}

#[test]
fn a_switch_that_can_not_be_read_is_said_and_is_off() {
    let server = Server::start();
    let mut exit = worker(&server, &["exit"]);
    exit.env("MONITOR_ENABLED", "enabled").env("MONITOR_LOG", "stderr");
    let finished = run(exit);
    assert_eq!(finished.code, Some(7));
    assert_eq!(finished.stderr.matches("MONITOR_ENABLED: \"enabled\" is not taken").count(), 1, "{}", finished.stderr);
    assert_eq!(server.roots().len(), 0);
}

#[test]
fn a_program_with_a_tracing_subscriber_hears_the_client_there_and_once() {
    let server = Server::start();
    let mut traced = worker(&server, &["traced"]);
    traced.env("MONITOR_SERVER_URL", "http://127.0.0.1:1").env("MONITOR_ROOT_ID", "x").env("MONITOR_BUFFER_BYTES", "65536");
    traced.env("MONITOR_SPOOL_DIR", "off");
    let stderr = run(traced).stderr;
    for words in ["MONITOR_ROOT_ID: \"x\" is not taken", "is not reached", "it is lost"] {
        let lines: Vec<&str> = stderr.lines().filter(|line| line.contains(words)).collect();
        assert!(matches!(lines[..], [line] if line.contains("WARN monitor_client")), "{words}: {stderr}");
    }
    assert!(!stderr.contains("monitor: "), "MONITOR_LOG is not set: {stderr}");
    assert!(run(worker(&server, &["traced"])).stderr.contains("INFO monitor_client"), "the server is reached");
}

/// A server with moods: each answer is for the batches that `about` picks; all others are taken.
struct Moody {
    answer: fn(&Value, usize) -> Option<ResponseTemplate>,
    asked: AtomicUsize,
}

impl Respond for Moody {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let batch = decode(request);
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let last = batch["sequence"].as_u64().unwrap() + batch["events"].as_array().unwrap().len() as u64 - 1;
        (self.answer)(&batch, asked).unwrap_or_else(|| ResponseTemplate::new(200).set_body_json(json!({"accepted": last})))
    }
}

fn decode(request: &Request) -> Value {
    let is_compressed = request.headers.contains_key("content-encoding");
    let body = if is_compressed { monitor_tests::decompressed(&request.body) } else { request.body.clone() };
    serde_json::from_slice(&body).unwrap()
}

fn problem(status: u16, detail: &str, event_number: Option<u64>) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_json(json!({"type": "about:blank", "title": "", "status": status, "detail": detail, "event_number": event_number}))
}

/// Runs `exit` against a moody server: what it said, and the batches that it sent.
async fn against(answer: fn(&Value, usize) -> Option<ResponseTemplate>) -> (String, Vec<Value>) {
    let server = MockServer::start().await;
    let moody = Moody { answer, asked: AtomicUsize::default() };
    Mock::given(method("POST")).and(path("/api/v1/events")).respond_with(moody).mount(&server).await;
    let mut exit = command("monitor-test-worker");
    exit.arg("leaves-open").env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", server.uri()).env("MONITOR_LOG", "stderr");
    exit.env("MONITOR_EXIT_TIMEOUT", "1m").env("MONITOR_TOKEN", "a-token");
    let finished = tokio::task::spawn_blocking(|| run(exit)).await.unwrap();
    assert_eq!(finished.code, Some(0));
    let requests = server.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer a-token"));
    (finished.stderr, requests.iter().map(decode).collect())
}

/// Numbers of the events that were taken in the end, and their types.
fn taken(batches: &[Value], refused: impl Fn(&Value, usize) -> bool) -> Vec<(u64, String)> {
    let mut taken = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        if !refused(batch, index) {
            for (n, event) in batch["events"].as_array().unwrap().iter().enumerate() {
                taken.push((batch["sequence"].as_u64().unwrap() + n as u64, event["type"].as_str().unwrap().to_owned()));
            }
        }
    }
    taken.sort();
    taken
}

const ALL: [&str; 4] = ["worker-online", "process-started", "process-started", "worker-offline"];

fn numbered(types: &[&str]) -> Vec<(u64, String)> {
    types.iter().enumerate().map(|(n, kind)| (n as u64 + 1, (*kind).to_owned())).collect()
}

#[tokio::test]
async fn a_busy_server_is_asked_again_after_the_time_it_names() {
    let busy = |_: &Value, asked| (asked < 2).then(|| problem(503, "the queue is full", None).insert_header("Retry-After", "0"));
    let (said, batches) = against(busy).await;
    assert_eq!(taken(&batches, |_, index| index < 2), numbered(&ALL));
    assert_eq!(said.matches("the queue is full").count(), 1, "{said}");
}

#[tokio::test]
async fn a_server_that_lost_patience_is_asked_again() {
    let impatient = |_: &Value, asked| (asked < 2).then(|| problem(408, "the body stalled", None));
    let (said, batches) = against(impatient).await;
    assert_eq!(taken(&batches, |_, index| index < 2), numbered(&ALL));
    assert_eq!((said.matches("asks to wait: the body stalled").count(), said.matches("refuses").count()), (1, 0), "{said}");
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (written, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4_096]);
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
            let bytes = (0..).map(|_| socket.write(&[b' '; 8_192])).map_while(Result::ok).take_while(|bytes| *bytes > 0).sum::<usize>();
            let _ = written.send(bytes);
        }
    });
    let mut exit = command("monitor-test-worker");
    exit.arg("exit").env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", url).env("MONITOR_LOG", "stderr");
    exit.env("MONITOR_EXIT_TIMEOUT", "10m").env("MONITOR_SPOOL_DIR", "off");
    let finished = run(exit);
    assert_eq!(finished.code, Some(7));
    assert!(finished.stderr.contains("no Process Monitor"), "{}", finished.stderr);
    // What the sockets themselves hold comes on top.
    let bytes = answer.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    assert!(bytes < 64 << 20, "{bytes}");
}

#[tokio::test]
async fn an_answer_that_is_none_of_ours_is_not_taken_for_one() {
    let stranger = |_: &Value, _| Some(ResponseTemplate::new(200).set_body_string("<html>It works!</html>"));
    let (said, batches) = against(stranger).await;
    assert!(!batches.is_empty());
    assert_eq!((said.matches("no Process Monitor").count(), said.matches("it is lost").count()), (1, 1), "{said}");
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_sent_in_halves() {
    let small = |batch: &Value| batch["events"].as_array().unwrap().len() > 1;
    let picky = |batch: &Value, _| (batch["events"].as_array().unwrap().len() > 1).then(|| problem(413, "too large", None));
    let (_, batches) = against(picky).await;
    assert_eq!(taken(&batches, |batch, _| small(batch)), numbered(&ALL));
}

#[tokio::test]
async fn one_unreadable_event_is_counted_and_the_rest_is_taken() {
    let has_second = |batch: &Value| {
        let (first, count) = (batch["sequence"].as_u64().unwrap(), batch["events"].as_array().unwrap().len() as u64);
        first <= 2 && 2 < first + count
    };
    let picky = |batch: &Value, _| {
        let (first, count) = (batch["sequence"].as_u64().unwrap(), batch["events"].as_array().unwrap().len() as u64);
        (first <= 2 && 2 < first + count).then(|| problem(400, "event 2: strange", Some(2)))
    };
    let (said, batches) = against(picky).await;
    let expected: Vec<_> = numbered(&ALL).into_iter().filter(|(number, _)| *number != 2).collect();
    assert_eq!(taken(&batches, |batch, _| has_second(batch)), expected);
    assert!(said.contains("event 2: strange"), "{said}");
    let last = batches.last().unwrap();
    assert_eq!((&last["dropped"][0]["reason"], &last["dropped"][0]["type"]), (&json!("rejected"), &json!("process-started")));
}

#[test]
fn states_are_counted() {
    let server = Server::start();
    let mut many = worker(&server, &["many", "2500"]);
    many.env("MONITOR_FOLD_AFTER", "off");
    assert_eq!(run(many).code, Some(0));
    let processes = server.tree(&server.finished_root());
    let expected = [("failed".to_owned(), 2), ("succeeded".to_owned(), 2_500 - 2 + 25 + 1)];
    assert_eq!(states(&processes), expected.into());
}
