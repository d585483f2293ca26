//! Calls with the same name below the same parent. The first calls are shipped singly, further calls are counted.

use monitor_tests::{Server, run, wait_for, worker};
use serde_json::{Value, json};

use crate::line;

/// Result of [`counted`] for a finished tree.
fn folded(server: &Server, root: &Value, name: &str) -> ([u64; 2], [u64; 2]) {
    let processes = server.tree(root);
    for process in processes.iter().filter(|process| process["name"] == name) {
        assert_eq!((&process["orphan"], &process["depth"]), (&json!(false), &json!(1)), "{process}");
    }
    counted(&processes, name)
}

/// Number of calls with a name that were shipped singly and that were counted, and the failed calls of both.
pub(crate) fn counted(processes: &[Value], name: &str) -> ([u64; 2], [u64; 2]) {
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
    // The first 1,000 calls, a hundred failures, and slow calls, each at least twice as slow as all earlier calls.
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
fn an_error_text_that_first_appears_after_many_failures_is_found() {
    for server in [Server::start(), Server::start_without_spool()] {
        let mut lookups = worker(&server, &["lookups", "5000"]);
        lookups.env("MONITOR_EXIT_TIMEOUT", "1m");
        assert_eq!(run(lookups).code, Some(0));
        let root = server.finished_root();
        let ([singly, counted], [failed_singly, failed_counted]) = folded(&server, &root, "lookup");
        assert_eq!((singly + counted, failed_singly + failed_counted), (5_000, 5_000));
        assert!((1_100..1_200).contains(&singly), "{singly}");
        let path = format!("/processes?root={}&q=the%20index%20is%20gone", root["number"]);
        let found = server.get(&path)["processes"].as_array().expect("a list").clone();
        assert_eq!(found.iter().map(|process| &process["error"]["message"]).collect::<Vec<_>>(), ["the index is gone"], "{found:?}");
    }
}

#[test]
fn named_processes_and_their_descendants_are_folded_too() {
    for server in [Server::start(), Server::start_without_spool()] {
        let mut by_hand = worker(&server, &["by-hand", "5000"]);
        by_hand.env("MONITOR_EXIT_TIMEOUT", "1m");
        let finished = run(by_hand);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let root = server.finished_root();
        let ([singly, counted], [failed_singly, failed_counted]) = folded(&server, &root, "item");
        assert_eq!((singly + counted, failed_singly + failed_counted), (20_001, 20));
        // The first 1,000 calls of the program, all failures, the last call, and slow calls.
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
    // The callees of folded calls are below the fold, and are also folded.
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

/// Names that alternate, on any number of threads: a thousand calls below one parent are shipped singly, fifty more for each thread, and
/// those that fail or are slow.
#[test]
fn alternating_loops_are_folded_like_a_single_loop() {
    for (workers, loops) in [(1, 2), (2, 2), (4, 2), (8, 2), (4, 16)] {
        let server = Server::start();
        let mut turns = worker(&server, &["turns", &workers.to_string(), &loops.to_string()]);
        turns.env("MONITOR_EXIT_TIMEOUT", "10m");
        assert_eq!(run(turns).code, Some(0));
        let processes = server.tree(&server.finished_root());
        assert_eq!(server.get("/status")["dropped"], json!([]));
        let parents: Vec<&Value> = processes.iter().filter(|process| ["takes_turns", "shared"].contains(&name(process))).collect();
        assert_eq!(parents.len(), loops + 1);
        for parent in parents {
            let below = |parent: &Value, name: &str| -> Vec<Value> {
                let is_below = |process: &&Value| process["parent_id"] == parent["id"] && self::name(process) == name;
                processes.iter().filter(is_below).cloned().collect()
            };
            let ([singly, counted], _) = counted(&below(parent, "outer"), "outer");
            assert_eq!(singly + counted, 30_000, "{workers} workers");
            // Slow calls: each at least twice as slow as all earlier calls, and at least a millisecond.
            let most = 1_000 + (50 + 10) * workers;
            assert!(singly <= most, "{workers} workers: {singly} of {} below {}", singly + counted, name(parent));
            let fold = below(parent, "outer").into_iter().find(|process| !process["fold"].is_null()).expect("one");
            let ([singly, counted], [failed, _]) = self::counted(&below(&fold, "leaf"), "leaf");
            assert!(singly - failed <= most, "{workers} workers: {singly} of {} below the fold", singly + counted);
        }
        let ([singly, counted], _) = counted(&processes, "leaf");
        assert_eq!(singly + counted, 30_000 * (loops as u64 + 1), "{workers} workers");
    }
}

fn name(process: &Value) -> &str {
    process["name"].as_str().unwrap_or_default()
}

#[test]
fn a_fold_is_visible_while_it_grows() {
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
