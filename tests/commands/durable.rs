//! Durable commands that survive kills of the server and of the worker at each step.

use std::path::Path;
use std::process::Child;

use monitor_tests::{Server, wait_for, worker};
use serde_json::json;

use crate::raw::Raw;
use crate::{ask, now_us, order, statuses};

const HOUR_US: u64 = 3_600 * 1_000_000;

fn status(server: &Server, id: &str) -> String {
    server.get(&format!("/commands/{id}"))["lines"][0]["status"].as_str().unwrap().to_owned()
}

fn kill(server: &mut Server) {
    server.kill();
    server.start_again();
}

#[test]
fn an_order_is_accepted_and_answered_once_despite_server_kills_at_each_step() {
    let mut server = Server::start();
    let asked = order("deploy", "agent@h", 10, now_us() + HOUR_US);
    let (code, command) = ask(&server, &asked, true, Some("order-1"));
    assert_eq!((code, statuses(&command)), (200, vec![("agent@h", "waiting")]), "nobody of the name has ever been there");
    let id = command["id"].as_str().unwrap().to_owned();

    kill(&mut server);
    assert_eq!(ask(&server, &asked, true, Some("order-1")).1["id"], command["id"], "the same one, not another one");
    let (agent, rival) = (Raw::online(&server, 1, "agent"), Raw::online(&server, 2, "agent"));
    let (mut channel, mut of_rival) = (agent.open(), rival.open());
    let (order, too) = (channel.order(), of_rival.order());
    assert_eq!((order["id"].as_str(), order["until_us"].is_u64(), &order), (Some(&*id), true, &too));
    assert_eq!(agent.reply(&order, "ok"), 409, "it must be taken first");

    // The server is killed before any worker has taken the command. It offers the command again.
    kill(&mut server);
    let (mut channel, _of_rival) = (agent.open(), rival.open());
    assert_eq!(channel.order()["id"], order["id"]);
    assert_eq!(agent.reply(&order, "taken"), 204);

    // The server is killed before the agent gets the confirmation that it may begin. The agent asks again and still has the command.
    kill(&mut server);
    assert_eq!((agent.reply(&order, "taken"), rival.reply(&order, "taken")), (204, 409));
    assert_eq!(status(&server, &id), "taken");

    // The server does not offer a taken command again, so the next order is the first one to arrive.
    kill(&mut server);
    let mut channel = agent.open();
    let next = ask(&server, &self::order("deploy", &agent.id, 10, now_us() + HOUR_US), true, None).1;
    assert_eq!(channel.order()["id"], next["id"]);

    // The server is killed before the agent gets the confirmation of its answer. It confirms when the agent sends the answer again.
    assert_eq!(agent.reply(&order, "ok"), 204);
    kill(&mut server);
    assert_eq!((agent.reply(&order, "ok"), agent.reply(&order, "error")), (409, 409));
    let done = server.get(&format!("/commands/{id}"));
    assert_eq!(
        (done["done"].as_bool(), statuses(&done), done["lines"][0]["worker_id"].as_str()),
        (Some(true), vec![("agent@h", "ok")], Some(&*agent.id))
    );
}

#[test]
fn an_order_expires_if_not_accepted_and_is_unanswered_if_not_completed() {
    let mut server = Server::start();
    let until_us = now_us() + 3_000_000;
    let ids = ["nobody@h", "agent@h"]
        .map(|name| ask(&server, &order("deploy", name, 10, until_us), true, None).1["id"].as_str().unwrap().to_owned());
    let agent = Raw::online(&server, 1, "agent");
    let taken = agent.open().order();
    assert_eq!(agent.reply(&taken, "taken"), 204);
    kill(&mut server);
    wait_for("the end of both", || (status(&server, &ids[0]) == "expired" && status(&server, &ids[1]) == "unanswered").then_some(()));
    assert_eq!(agent.reply(&taken, "ok"), 410);
    assert!(ids.iter().all(|id| server.get(&format!("/commands/{id}"))["done"] == true));
}

#[test]
fn an_order_for_a_single_worker_ends_with_this_worker() {
    let server = Server::start();
    let (one, other) = (Raw::online(&server, 1, "p"), Raw::online(&server, 2, "p"));
    let channels = [one.open(), other.open()];
    let asked = json!({"method": "deploy", "timeout_ms": 10, "until_us": now_us() + HOUR_US, "to": {"glob": "p@*"}});
    let id = ask(&server, &asked, true, None).1["id"].as_str().unwrap().to_owned();
    let [mut of_one, mut of_other] = channels;
    let (mine, theirs) = (of_one.order(), of_other.order());
    assert_eq!((one.reply(&mine, "taken"), mine == theirs), (204, true));
    one.offline(&server);
    other.offline(&server);
    wait_for("both to be gone", || (server.get(&format!("/commands/{id}"))["counts"] == json!({"gone": 2})).then_some(()));
}

/// A program that offers methods and records its calls in this file. The caller kills it.
fn offers(server: &Server, file: &Path) -> Child {
    worker(server, &["offers", file.to_str().unwrap()]).env("MONITOR_COMMANDS", "all").spawn().expect("it starts")
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

fn note(server: &Server, name: &str) -> String {
    let asked = json!({"method": "note", "arguments": {"line": "done"}, "to": {"workers": [name]}, "timeout_ms": 10, "until_us": now_us() + HOUR_US});
    let (status, command) = ask(server, &asked, true, None);
    assert_eq!(status, 200, "{command}");
    command["id"].as_str().unwrap().to_owned()
}

fn own_name(server: &Server) -> String {
    let host = wait_for("a worker", || server.get("/workers")["workers"][0]["hostname"].as_str().map(str::to_owned));
    format!("monitor-test-worker@{host}")
}

#[test]
fn a_program_runs_an_order_once_despite_kills_at_each_step() {
    let folder = tempfile::tempdir().unwrap();
    let (file, slow) = (folder.path().join("lines"), folder.path().join("slow"));
    let mut server = Server::start();
    let mut first = offers(&server, &file);
    let name = own_name(&server);

    // The first program is killed before it has opened a channel. The next program with the same name executes the command, once.
    let id = note(&server, &name);
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = offers(&server, &file);
    wait_for("the order to be done", || (status(&server, &id) == "ok").then_some(()));
    assert_eq!(lines(&file), 1);

    // The server is killed while the command waits. The program is killed while it has no server to get the command from.
    let channel_of = |server: &Server| crate::metric(server, "monitor_channels");
    wait_for("its channel", || (channel_of(&server) == 1).then_some(()));
    server.kill();
    second.kill().unwrap();
    second.wait().unwrap();
    server.start_again();
    let id = note(&server, &name);
    kill(&mut server);
    let mut third = offers(&server, &file);
    wait_for("the order to be done", || (status(&server, &id) == "ok").then_some(()));
    assert_eq!(lines(&file), 2);

    // The program is killed during the execution. No other program repeats the command, and it is not reported as done.
    third.kill().unwrap();
    third.wait().unwrap();
    let mut fourth = offers(&server, &slow);
    let until_us = now_us() + 10_000_000;
    let (_, command) = ask(&server, &order("slowly", &name, 10, until_us), true, None);
    let id = command["id"].as_str().unwrap();
    wait_for("it to begin", || (lines(&slow) == 1).then_some(()));
    fourth.kill().unwrap();
    fourth.wait().unwrap();
    let mut fifth = offers(&server, &slow);
    wait_for("the end of its time", || (status(&server, id) == "unanswered").then_some(()));
    assert_eq!(lines(&slow), 1, "taken once, done once");
    fifth.kill().unwrap();
    fifth.wait().unwrap();
}
