//! Cancellation of trees and processes in any programs.

use std::process::Child;

use monitor_tests::{Finished, Server, command, run, ship, wait_for, worker};
use serde_json::{Value, json};

use crate::raw::Raw;

/// A program in the middle of a tree. It is killed at the end of the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn begin(server: &Server, what: &[&str], commands: &str) -> Program {
    Program(worker(server, what).env("MONITOR_COMMANDS", commands).spawn().expect("it starts"))
}

fn launcher() -> String {
    command("monitor").get_program().to_str().expect("a path").to_owned()
}

fn cancel(server: &Server, args: &[&str]) -> (Option<i32>, String, String) {
    let mut cancel = command("monitor");
    cancel.arg("cancel").args(args).args(["--server", server.url(), "--token", &server.token()]);
    let finished = run(cancel);
    (finished.code, finished.stdout, finished.stderr)
}

/// The running processes with this name in the only tree, as soon as there are this many.
fn running(server: &Server, name: &str, count: usize) -> Vec<Value> {
    wait_for(name, || {
        let root = server.roots().into_iter().next()?;
        let is_one = |process: &Value| process["name"] == name && process["state"] == "running";
        let found: Vec<Value> = server.tree(&root).into_iter().filter(is_one).collect();
        (found.len() == count).then_some(found)
    })
}

fn state(server: &Server, process: &Value) -> Value {
    let path = format!("/roots/{}/processes/{}", process["root_id"].as_str().unwrap(), process["id"].as_str().unwrap());
    server.get(&path)["state"].clone()
}

fn wait_for_channels(server: &Server, count: u64) {
    wait_for("the channels", || (crate::metric(server, "monitor_channels") == count).then_some(()));
}

#[test]
fn a_tree_ends_across_tasks_threads_programs_and_commands() {
    let server = Server::start();
    let mut program = begin(&server, &["cancellable", &launcher()], "read,cancel");
    let (naps, sleeps) = (running(&server, "naps", 2), running(&server, "sleeps", 2));
    let (asks, stubborn) = (running(&server, "asks", 2), running(&server, "stubborn", 1));
    // The program, its child, and the launcher.
    wait_for_channels(&server, 3);
    // State of the runtime that the program has registered.
    let mut inspect = command("monitor");
    inspect.args(["inspect", "stats", "--timeout", "40s", "--json", "--server", server.url()]);
    let stats: Value = serde_json::from_str(&run(inspect).stdout).unwrap();
    let of_tokio = |line: &Value| [line["value"]["tokio_workers"].clone(), line["value"]["tokio_tasks"].clone()];
    assert!(stats["lines"].as_array().unwrap().iter().any(|line| of_tokio(line) == [json!(2), json!(2)]), "{stats}");

    // A single task, by the call that it has started itself.
    let number = server.roots()[0]["number"].to_string();
    let one = sleeps[0]["id"].as_str().unwrap();
    let (code, text, errors) = cancel(&server, &[one, "-t", "40s"]);
    assert_eq!((code, errors.lines().count()), (Some(0), 1), "{text}{errors}");
    assert!(text.contains("2 processes ended"), "{text}");
    assert_eq!(state(&server, &sleeps[0]), "cancelled");
    assert_eq!(naps.iter().filter(|nap| state(&server, nap) == "cancelled").count(), 1);
    assert_eq!(state(&server, &sleeps[1]), "running");
    // A call that is only a part of a task can't be cancelled alone, and the attempt cancels nothing else.
    let other = naps.iter().find(|nap| state(&server, nap) == "running").unwrap();
    let (code, text, errors) = cancel(&server, &[other["id"].as_str().unwrap(), "-t", "300ms"]);
    assert_eq!(code, Some(6), "{text}{errors}");
    assert!(text.contains("0 of 1 process ended") && text.contains("naps") && errors.contains("1 of 1 processes go on"), "{text}{errors}");
    assert_eq!(state(&server, &sleeps[1]), "running");

    let (code, text, _) = cancel(&server, &[&number, "--dry-run"]);
    assert!(code == Some(0) && text.contains("would end") && text.contains("stubborn") && text.matches("waiting").count() == 3, "{text}");
    assert_eq!(state(&server, &asks[0]), "running");
    let (code, text, errors) = cancel(&server, &[&number, "-t", "40s", "--json"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    let cancelled: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&cancelled["running"], cancelled["lines"].as_array().unwrap().len()), (&json!(0), 3), "{text}");
    assert!(program.0.wait().unwrap().success(), "it ended by itself");
    assert!(asks.iter().all(|asks| state(&server, asks) == "failed"));
    let stubborn = server.get(&format!("/roots/{}/processes/{}", number, stubborn[0]["id"].as_str().unwrap()));
    assert_eq!((&stubborn["state"], &stubborn["signal"]), (&json!("cancelled"), &json!(9)), "it was killed after SIGTERM: {stubborn}");
    let (code, text, _) = cancel(&server, &[&number]);
    assert!(code == Some(0) && text.contains("nothing of it runs"), "{text}");

    let (_, audit) = server.ask("GET", "/api/v1/audit?limit=1000");
    assert!(audit.contains(&format!("(cancel): {one}")) && audit.contains("done: 2 were to end, 0 go on"), "{audit}");
}

#[test]
fn an_assistant_cancels_a_process_and_the_rest_of_its_run() {
    let server = Server::start_with(vec![("MONITOR_MCP", "operate".into())]);
    let mut program = begin(&server, &["cancellable", &launcher()], "read,cancel");
    let sleeps = running(&server, "sleeps", 2);
    wait_for_channels(&server, 3);
    let number = server.roots()[0]["number"].to_string();
    let (is_done, answer) = server.tool("cancel_run", &json!({"run": number, "process": sleeps[0]["id"]}));
    assert!(is_done && answer["answer"]["running"] == 0, "{answer:#}");
    assert_eq!((state(&server, &sleeps[0]), state(&server, &sleeps[1])), (json!("cancelled"), json!("running")));
    let (is_done, answer) = server.tool("cancel_run", &json!({ "run": number }));
    assert!(is_done && answer["answer"]["running"] == 0, "{answer:#}");
    assert!(program.0.wait().unwrap().success(), "it ended by itself");
    assert_eq!(state(&server, &sleeps[1]), "cancelled");
    let (_, audit) = server.ask("GET", "/api/v1/audit?limit=1000");
    assert_eq!(audit.matches("(cancel) by monitor-mcp/").count(), 2, "{audit}");
    assert_eq!(audit.matches(" (assistant/1)").count(), 2, "{audit}");
}

#[test]
fn processes_that_still_run_are_listed_and_an_unknown_id_gets_a_suggestion() {
    let server = Server::start();
    let mut deaf = begin(&server, &["deaf"], "all");
    let waits = running(&server, "waits", 1);
    running(&server, "asks", 1);
    wait_for_channels(&server, 1);
    let number = server.roots()[0]["number"].as_u64().unwrap();
    let (code, text, errors) = cancel(&server, &[&number.to_string(), "-t", "2s"]);
    assert_eq!(code, Some(6), "{text}{errors}");
    assert!(text.contains("1 of 3 processes ended") && text.contains("running  waits") && errors.contains("2 of 3"), "{text}{errors}");

    let id = waits[0]["id"].as_str().unwrap();
    // Ids of one thread are consecutive. The error names one of the most similar ids.
    let last = u8::from_str_radix(&id[15..], 16).unwrap() ^ 8;
    let near = format!("{}{last:x}", &id[..15]);
    let (code, _, errors) = cancel(&server, &[&near]);
    assert!(code == Some(4) && errors.contains(&format!("did you mean {}", &id[..14])), "{errors}");
    let (code, _, errors) = cancel(&server, &[&(number + 7).to_string()]);
    assert!(code == Some(4) && errors.contains("there is no run") && errors.contains("`monitor list`"), "{errors}");
    assert_eq!(cancel(&server, &["no id"]).0, Some(2));
    drop(deaf.0.stdin.take());
    assert!(deaf.0.wait().unwrap().success());
}

/// Starts `monitor cancel` on another thread.
fn cancelling(server: &Server, args: &[&str]) -> std::thread::JoinHandle<Finished> {
    let mut cancel = command("monitor");
    cancel.arg("cancel").args(args).args(["--server", server.url(), "--token", &server.token()]);
    std::thread::spawn(move || run(cancel))
}

#[test]
fn a_server_kill_during_a_cancellation_is_reported_and_it_can_be_repeated() {
    let mut server = Server::start();
    let mut deaf = begin(&server, &["deaf"], "all");
    let asks = running(&server, "asks", 1).swap_remove(0);
    wait_for_channels(&server, 1);
    let number = server.roots()[0]["number"].to_string();
    let cancelling = cancelling(&server, &[&number, "-t", "50s"]);
    wait_for("the end of what can be ended", || (state(&server, &asks) == "failed").then_some(()));
    server.kill();
    let Finished { code, stdout, stderr } = cancelling.join().unwrap();
    // The command has interrupted its output.
    assert!(code == Some(1) && stdout.is_empty() && stderr.contains(server.url()), "{code:?} {stdout} {stderr}");

    server.start_again();
    assert_eq!(state(&server, &asks), "failed");
    // The program opens its channel again and gets the order again.
    wait_for_channels(&server, 1);
    let (code, text, errors) = cancel(&server, &[&number, "-t", "2s"]);
    assert!(code == Some(6) && text.contains("0 of 2 processes ended") && text.contains("waits"), "{code:?} {text}{errors}");
    drop(deaf.0.stdin.take());
    assert!(deaf.0.wait().unwrap().success());
    let (code, text, errors) = cancel(&server, &[&number, "-t", "40s"]);
    assert_eq!(code, Some(0), "{text}{errors}");
}

#[test]
fn a_tree_that_is_cancelled_ends_whenever_the_server_is_killed_meanwhile() {
    let mut server = Server::start();
    // The kill varies from before the first order to about the end of all processes.
    for round in 0..4 {
        let mut program = begin(&server, &["cancellable", &launcher()], "read,cancel");
        wait_for_channels(&server, 3);
        let root = wait_for("the newest tree", || server.roots().into_iter().find(|root| root["state"] == "running"));
        let number = root["number"].to_string();
        let first = cancelling(&server, &[&number, "-t", "50s"]);
        std::thread::sleep(std::time::Duration::from_millis(60 * round));
        server.kill();
        server.start_again();
        first.join().unwrap();
        wait_for("the end of the tree", || (cancel(&server, &[&number, "-t", "1s"]).0 == Some(0)).then_some(()));
        assert!(program.0.wait().unwrap().success(), "it ended by itself");
        // A program that exits while the server is away leaves its events in the spool.
        let is_open = |process: &Value| process["state"] == "running" || process["state"] == "lost";
        wait_for("all ends to be received", || {
            ship(&server);
            (!server.tree(&root).iter().any(is_open)).then_some(())
        });
        wait_for_channels(&server, 0);
    }
}

#[test]
fn forked_children_receive_cancellations_of_their_own_processes() {
    let server = Server::start();
    let mut program = begin(&server, &["forks-and-asks"], "read,cancel");
    let child = running(&server, "asks in the child", 1).swap_remove(0);
    running(&server, "asks", 2);
    // Parent and child, each by its own channel.
    wait_for_channels(&server, 2);
    let (code, text, errors) = cancel(&server, &[child["id"].as_str().unwrap(), "-t", "40s"]);
    assert!(code == Some(0) && text.contains("2 processes ended"), "{text}{errors}");
    let of_parent = running(&server, "asks", 1).swap_remove(0);
    assert_ne!(of_parent["worker_id"], child["worker_id"]);
    // The parent ends its call and forks another child, which has received no order.
    let number = server.roots()[0]["number"].to_string();
    let (code, text, errors) = cancel(&server, &[&number, "-t", "40s"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    assert!(program.0.wait().unwrap().success(), "it ended by itself");
    let ended = server.tree(&server.roots()[0]);
    let children: Vec<_> = ended.iter().filter(|process| process["name"] == "asks in the child").collect();
    assert!(children.len() == 2 && children[0]["worker_id"] != children[1]["worker_id"], "{children:#?}");
}

#[test]
fn cancelling_requires_the_scope_operate_and_consent_of_the_program() {
    let server = Server::start();
    let _program = begin(&server, &["deaf"], "read");
    let asks = running(&server, "asks", 1).swap_remove(0);
    wait_for_channels(&server, 1);
    let path = format!("{}/api/v1/roots/{}/cancel", server.url(), asks["root_id"].as_str().unwrap());
    let post = |token: Option<&str>, body: &str| {
        let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        let request = client.post(&path).header("content-type", "application/json").body(body.to_owned());
        token.map_or_else(|| request.try_clone().unwrap(), |token| request.try_clone().unwrap().bearer_auth(token)).send().unwrap()
    };
    for scope in ["read", "ingest", "ingest,read"] {
        let mut create = command("monitor");
        create.args(["token", "create", &format!("of-{}", scope.replace(',', "-")), "--scope", scope, "--data"]).arg(server.data());
        let token = run(create).stdout;
        assert_eq!(post(Some(token.trim()), "{}").status(), 403, "{scope}");
    }
    assert_eq!(post(None, "{}").status(), 401, "an anonymous request by loopback");
    let operator = server.token();
    for (body, status) in [
        ("", 400),
        ("[]", 400),
        (r#"{"proces": "a"}"#, 400),
        (r#"{"process": "a"}"#, 400),
        (r#"{"timeout_ms": 1}"#, 400),
        (r#"{"process": "00000000000000aa"}"#, 404),
    ] {
        assert_eq!(post(Some(&operator), body).status(), status, "{body}");
    }
    assert_eq!(post(Some(&operator), &format!("{{\"x\": \"{}\"}}", "y".repeat(8 << 10))).status(), 413);
    assert_eq!(state(&server, &asks), "running");

    let (code, text, errors) = cancel(&server, &[asks["id"].as_str().unwrap(), "-t", "1s"]);
    assert!(code == Some(6) && text.contains("refused") && text.contains("MONITOR_COMMANDS"), "{text}{errors}");
    assert_eq!(state(&server, &asks), "running");
}

#[test]
fn each_worker_receives_cancellations_only_of_its_own_processes() {
    let server = Server::start();
    let workers = [1, 2, 3, 4].map(|number| Raw::online(&server, number, "raw"));
    let at_us = crate::now_us();
    let root = "0199a3ce929d0e0e47360199a3ce0001";
    let started = |id: u64, parent: Option<u64>| {
        let parent = parent.map(|parent| format!("{parent:016x}"));
        json!({"type": "process-started", "time_us": at_us, "root_id": root, "id": format!("{id:016x}"), "parent_id": parent,
               "name": format!("p{id}"), "kind": "normal", "attachment": "explicit"})
    };
    // Each worker runs the parents of the processes of the next worker.
    for (number, worker) in (1..).zip(&workers) {
        let batch = json!({
            "version": 1, "sequence": 2, "sent_us": at_us, "worker": {"id": worker.id, "hostname": "h", "pid": number, "program": "raw"},
            "events": [started(10 * number, (number > 1).then(|| 10 * (number - 1))), started(10 * number + 1, Some(10 * number))],
        });
        let (status, answer) = server.post(&batch);
        assert_eq!(status, 200, "{answer}");
    }
    let mut channels = [&workers[1], &workers[2], &workers[3]].map(Raw::open);
    let two_operators = ["20", "20"].map(|id| {
        let (url, token) = (server.url().to_owned(), server.token());
        std::thread::spawn(move || {
            let client = reqwest::blocking::Client::builder().no_proxy().timeout(None).build().unwrap();
            let body = json!({"process": format!("{:0>16}", format!("{:x}", id.parse::<u64>().unwrap())), "timeout_ms": 10_000});
            let post = client.post(format!("{url}/api/v1/roots/{root}/cancel")).bearer_auth(token).json(&body);
            post.send().unwrap().json::<Value>().unwrap()
        })
    });
    let ids = |order: &Value| {
        order["arguments"]["processes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| u64::from_str_radix(id.as_str().unwrap(), 16).unwrap())
            .collect::<Vec<_>>()
    };
    // The orders of both operators arrive. The first worker runs only ancestors of the selected processes and gets no order.
    let orders: Vec<Vec<Value>> = channels.iter_mut().map(|channel| vec![channel.order(), channel.order()]).collect();
    for (of_worker, expected) in orders.iter().zip([&[20, 21][..], &[20, 30, 31], &[30, 40, 41]]) {
        assert!(of_worker.iter().all(|order| order["method"] == "cancel" && ids(order) == expected), "{of_worker:?}");
    }
    // One worker answers twice, one sends garbage, one dies while it answers. None of this affects the other answers.
    for order in &orders[0] {
        assert_eq!((workers[1].reply(order, "ok"), workers[1].reply(order, "ok")), (204, 409));
    }
    for order in &orders[1] {
        assert_eq!(workers[2].reply_as(order, &json!({"worker_id": workers[2].id, "status": "perhaps"})), 400);
        assert_eq!(workers[2].reply_as(order, &json!({"worker_id": workers[1].id, "status": "ok"})), 403);
    }
    let died = channels.into_iter().next_back();
    let offline = json!({
        "version": 1, "sequence": 4, "sent_us": crate::now_us(), "worker": {"id": workers[3].id, "hostname": "h", "pid": 4, "program": "raw"},
        "events": [{"type": "worker-offline", "time_us": crate::now_us()}],
    });
    assert_eq!(server.post(&offline).0, 200);
    drop(died);
    for operator in two_operators {
        let answer = operator.join().unwrap();
        let lines: Vec<_> = answer["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| (line["name"].as_str().unwrap(), line["status"].as_str().unwrap()))
            .collect();
        assert_eq!(lines, [("raw@h:2", "ok"), ("raw@h:3", "unanswered"), ("raw@h:4", "gone")], "{answer}");
        // The processes of the dead worker are lost, and no living worker has ended anything.
        assert_eq!((&answer["meant"], &answer["running"]), (&json!(6), &json!(4)), "{answer}");
    }
    for order in &orders[1] {
        assert_eq!(workers[2].reply(order, "ok"), 410, "too late");
    }
}
