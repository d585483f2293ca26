//! The tree and the parent of a call without a context on its own thread.

use monitor_tests::{Server, command, outline, run, wait_for, worker};
use serde_json::{Value, json};

use crate::folds::counted;

#[test]
fn a_thread_that_existed_before_a_tree_is_not_part_of_it() {
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

/// A worker thread may be older than its task, so its start says nothing about the parent of the task.
#[test]
fn a_task_on_an_older_worker_thread_is_not_put_below_a_tree_that_began_later() {
    let server = Server::start();
    let mut tasks = worker(&server, &["stray-tasks"]);
    tasks.env("MONITOR_EXIT_TIMEOUT", "1m");
    assert_eq!(run(tasks).code, Some(0));
    let mut outlines = server.roots().iter().map(|root| outline(&server.tree(root))).collect::<Vec<_>>();
    outlines.sort();
    assert_eq!(outlines, ["first\n  part [inferred]\n", "part [unattached]\n", "part [unattached]\n", "second\n"]);
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

/// The code of the callee in the first source document: the root's id as both ids, or alone.
#[test]
fn a_message_with_the_roots_id_alone_continues_the_tree_below_its_root() {
    let server = Server::start();
    assert_eq!(run(worker(&server, &["sends-the-root"])).code, Some(0));
    let processes = server.tree(&server.finished_root());
    assert_eq!(outline(&processes), "sends_the_root\n  asks\n  judge\n    judged\n  judge\n    judged\n");
    for judge in processes.iter().filter(|process| process["name"] == "judge") {
        assert_eq!(judge["parent_id"], processes[0]["id"]);
    }

    // A tree that another program began. The id of its root process is arbitrary.
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
fn a_stray_thread_joins_the_one_tree_that_runs_and_no_other() {
    for (roots, expected) in [(0, "strayed [unattached]\n"), (1, "tree 0\n  strayed [inferred]\n"), (2, "strayed [unattached]\n")] {
        let server = Server::start();
        let mut stray = worker(&server, &["stray", &roots.to_string()]);
        stray.env("MONITOR_LOG", "stderr");
        let finished = run(stray);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_eq!(finished.stderr.contains("monitor_client::spawn_thread"), roots != 1, "{}", finished.stderr);
        let outlines: Vec<String> = wait_for("the worker's goodbye", || {
            (server.get("/workers")["workers"][0]["state"] == "offline")
                .then(|| server.roots().iter().map(|root| outline(&server.tree(root))).collect())
        });
        let closed = expected.replace("tree 0\n", "tree 0 [cancelled]\n");
        assert!(outlines.contains(&closed), "{outlines:?}");
    }
}

#[test]
fn a_root_that_joins_a_tree_is_found_by_its_own_batch_mark() {
    let server = Server::start();
    assert_eq!(run(worker(&server, &["joins"])).code, Some(0));
    let root = server.finished_root();
    assert_eq!((&root["batch"], outline(&server.tree(&root)).as_str()), (&json!("whole-7"), "joins\n  part\n    judged\n"));
    let found = |query: &str| server.get(query)["processes"].as_array().unwrap().clone();
    for query in ["/processes?root=1&q=part-7", "/processes?root=1&q=RT-7", "/processes?kind=root&q=part-7"] {
        let found = found(query);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        assert_eq!((&found[0]["name"], &found[0]["fields"]["batch"]), (&json!("part"), &json!("part-7")), "{query}");
    }
    let whole = found("/processes?root=1&q=whole-7");
    assert!(matches!(&whole[..], [one] if one["name"] == "joins"), "{whole:?}");
    assert_eq!(found("/processes?root=1&q=whole-8"), Vec::<Value>::new());
}
