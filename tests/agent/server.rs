//! Tasks and orders of the server, on real agents.

use std::fs;
use std::time::Duration;

use monitor_tests::{Server, SteeredClock, command, run, wait_for};
use serde_json::{Value, json};

use crate::harness::{Agent, token};

/// A task for the agent db-1 whose command appends these words to the agent's file `out`.
fn task(agent: &Agent, name: &str, words: &str, more: &Value) -> Value {
    let shell = format!("echo {words} \"$@\" >> {}", agent.path("out").display());
    let mut task = json!({ "name": name, "shell": shell, "on": ["db-1"] });
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    task
}

/// A command, as soon as all of its lines are final.
fn done(server: &Server, command: &Value) -> Value {
    let path = format!("/commands/{}", command["id"].as_str().unwrap_or_else(|| panic!("{command}")));
    wait_for("the end of a command", || Some(server.get(&path)).filter(|command| command["done"] == true))
}

/// Gives an order that the agent must execute. Returns the first run in the answer.
fn run_of(server: &Server, path: &str, body: &Value) -> String {
    let (status, command) = server.order("POST", path, body);
    assert_eq!(status, 200, "{command}");
    let command = done(server, &command);
    let run = command["lines"][0]["value"]["runs"][0].as_str();
    run.unwrap_or_else(|| panic!("{command}")).to_owned()
}

#[test]
fn tasks_of_the_server_run_on_its_agent_and_follow_changes() {
    let mut server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[]);
    let each = |words: &str| task(&agent, "each", words, &json!({"rules": ["* * * * * *"], "overlap": "allow 100"}));
    assert_eq!(server.order("POST", "/batch-tasks", &each("one")).0, 201);
    let has = |words: &str| wait_for(words, || agent.lines("out").iter().any(|line| line == words).then_some(()));
    has("one");
    assert_eq!(server.order("PUT", "/batch-tasks/each", &each("two")).0, 200);
    has("two");
    assert!(agent.runs("each").iter().any(|run| run["version"] == 2), "the server's numbers");
    let two = agent.lines("out").iter().position(|line| line == "two").unwrap();
    has("two");

    assert_eq!(server.order("POST", "/batch-tasks/each/pause", &json!({})).1["status"], "paused");
    wait_for("due times to be skipped", || agent.decisions("skipped", "each").iter().any(|told| told.0 == "paused").then_some(()));
    let before = agent.runs("each").len();
    let skipped = |agent: &Agent| agent.decisions("skipped", "each").iter().map(|told| told.3).sum::<i64>();
    let first = skipped(&agent);
    wait_for("more of them", || (skipped(&agent) >= first + 2).then_some(()));
    assert_eq!(agent.runs("each").len(), before, "nothing starts in a pause");
    assert_eq!(server.order("POST", "/batch-tasks/each/resume", &Value::Null).1["status"], "active");
    wait_for("runs again", || (agent.runs("each").len() > before).then_some(()));

    server.kill();
    let before = agent.runs("each").len();
    wait_for("runs without a server", || (agent.runs("each").len() > before + 2).then_some(()));
    server.start_again();
    assert_eq!(server.order("DELETE", "/batch-tasks/each", &Value::Null).0, 204);
    agent.wait_for_log("a task is gone");
    let runs = agent.ended("each", before + 3);
    wait_for("all runs at the server", || {
        let told = server.get("/batch-tasks/runs?task=each&limit=1000")["runs"].as_array().unwrap().clone();
        let is_whole = |run: &Value| run["agent"] == "db-1" && run["outcome"] == "succeeded";
        (told.len() == runs.len() && told.iter().all(is_whole)).then_some(())
    });
    let lines = agent.lines("out");
    assert_eq!(lines.len(), runs.len(), "each ran once");
    assert!(lines[two..].iter().filter(|line| *line == "one").count() <= 1, "the older version starts nothing any more: {lines:?}");
}

#[test]
fn an_agent_continues_with_tasks_of_the_server_after_both_were_killed() {
    let mut server = Server::start();
    let mut agent = Agent::of_server(&server, "db-1", &[]);
    server.order("POST", "/batch-tasks", &task(&agent, "each", "one", &json!({"rules": ["* * * * * *"]})));
    server.order("POST", "/batch-tasks", &task(&agent, "other", "other", &json!({"rules": ["@yearly"]})));
    wait_for("a run", || (!agent.lines("out").is_empty()).then_some(()));
    wait_for("both tasks", || agent.done(&["list"]).contains("other").then_some(()));
    server.kill();
    agent.kill();
    agent.start_again();
    let before = agent.lines("out").len();
    wait_for("later runs", || (agent.lines("out").len() > before + 1).then_some(()));
    assert!(agent.runs("each").iter().all(|run| run["version"] == 1));
    // The agent removes a task that was deleted while it was away, although it fetches the list from the beginning.
    agent.kill();
    server.start_again();
    server.order("DELETE", "/batch-tasks/other", &Value::Null);
    agent.start_again();
    wait_for("the deletion", || (!agent.done(&["list"]).contains("other")).then_some(()));
    assert!(agent.done(&["list"]).contains("each"));
    let told = wait_for("a run of the new agent", || {
        let runs = server.get("/batch-tasks/runs?task=each&limit=1")["runs"].clone();
        runs[0]["agent"].as_str().map(str::to_owned)
    });
    assert_eq!(told, "db-1", "an agent keeps its name while the server is away");
}

#[test]
fn a_file_wins_over_the_server_and_its_task_is_read_only_there() {
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[("gold", "shell = \"true\"")]);
    wait_for("the file's task at the server", || {
        (server.order("GET", "/batch-tasks/gold", &Value::Null).1["agent"] == "db-1").then_some(())
    });
    assert_eq!(server.order("POST", "/batch-tasks", &task(&agent, "gold", "server", &json!({}))).0, 409);
    let (status, problem) = server.order("PUT", "/batch-tasks/gold", &task(&agent, "gold", "server", &json!({})));
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("file of the agent \"db-1\""), "{problem}");

    server.order("POST", "/batch-tasks", &task(&agent, "tin", "server", &json!({})));
    run_of(&server, "/batch-tasks/tin/run", &json!({}));
    agent.ended("tin", 1);
    agent.define("tin", &format!("shell = \"echo file >> {}\"", agent.path("out").display()));
    agent.wait_for_log("from=\"tin.toml\"");
    run_of(&server, "/batch-tasks/tin/run", &json!({}));
    agent.ended("tin", 2);
    fs::remove_file(agent.path("tasks/tin.toml")).unwrap();
    wait_for("the server's task again", || (agent.log().matches("a task is new or has changed").count() >= 4).then_some(()));
    run_of(&server, "/batch-tasks/tin/run", &json!({}));
    agent.ended("tin", 3);
    assert_eq!(agent.lines("out"), ["server", "file", "server"].map(str::to_owned));
}

#[test]
fn an_agent_may_take_its_files_alone_and_orders_all_the_same() {
    let server = Server::start();
    let mut agent = Agent::of_server(&server, "db-1", &[("own", "shell = \"true\"")]);
    agent.kill();
    agent.set_env("MONITOR_AGENT_ACCEPT", "files");
    agent.start_again();
    server.order("POST", "/batch-tasks", &task(&agent, "each", "one", &json!({"rules": ["* * * * * *"]})));
    let (_, command) = server.order("POST", "/batch-tasks/each/run", &json!({}));
    let line = done(&server, &command)["lines"][0].clone();
    assert_eq!((&line["status"], &line["error"]), (&json!("refused"), &json!("there is no task \"each\"")), "{line}");
    wait_for("the file's task at the server", || (server.order("GET", "/batch-tasks/own", &Value::Null).0 == 200).then_some(()));
    run_of(&server, "/batch-tasks/own/run", &json!({}));
    agent.ended("own", 1);
    assert_eq!(agent.lines("out"), Vec::<String>::new());
}

#[test]
fn a_token_of_another_agent_can_neither_read_tasks_nor_report() {
    let server = Server::start();
    let mut agent = Agent::of_server(&server, "db-1", &[]);
    server.order("POST", "/batch-tasks", &task(&agent, "each", "one", &json!({"rules": ["* * * * * *"]})));
    agent.kill();
    agent.set_env("MONITOR_TOKEN_FILE", token(&server, "db-2"));
    agent.set_env("MONITOR_AGENT_NAME", "db-1");
    agent.set_env("MONITOR_AGENT_DATA", agent.path("other"));
    agent.start_again();
    agent.wait_for_log("the server tells no tasks: those that it has told before hold: ");
    agent.wait_for_log("is of the agent \"db-1\"");
    assert!(agent.log().contains("only a token with the agent's name"), "{}", agent.log());
}

#[test]
fn orders_are_done_and_answered_with_what_happened() {
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[]);
    server.order("POST", "/batch-tasks", &task(&agent, "gold", "gold", &json!({})));
    let long = json!({"name": "long", "shell": "echo begins; sleep 1000", "on": ["db-1"]});
    server.order("POST", "/batch-tasks", &long);

    let first = run_of(&server, "/batch-tasks/gold/run", &json!({"args": ["a b", "$HOME"]}));
    agent.ended("gold", 1);
    let rerun = run_of(&server, &format!("/batch-tasks/runs/{first}/rerun"), &Value::Null);
    let runs = agent.ended("gold", 2);
    assert_eq!((runs[0]["id"].as_str(), runs[1]["id"].as_str()), (Some(&*first), Some(&*rerun)));
    assert_eq!(agent.lines("out"), ["gold a b $HOME", "gold a b $HOME"].map(str::to_owned));

    let run = run_of(&server, "/batch-tasks/long/run", &json!({}));
    let output = |offset: u64| server.order("GET", &format!("/batch-tasks/runs/{run}/log?offset={offset}"), &Value::Null);
    let piece = wait_for("its output", || Some(output(0).1).filter(|piece| piece["text"] == "begins\n"));
    assert_eq!((&piece["next_offset"], &piece["is_over"]), (&json!(7), &json!(false)), "{piece}");
    assert_eq!(output(3).1["text"], "ins\n");
    assert_eq!(run_of(&server, &format!("/batch-tasks/runs/{run}/kill"), &json!({"now": true})), run);
    let ended = agent.ended("long", 1);
    assert_eq!(ended[0]["result_code"], 92, "{}", ended[0]);
    wait_for("the end of the output", || (output(0).1["is_over"] == true).then_some(()));
    let book = server.get("/commands?limit=1000");
    let methods: Vec<&str> = book["commands"].as_array().unwrap().iter().filter_map(|command| command["method"].as_str()).collect();
    assert!(methods.contains(&"kill") && !methods.contains(&"log"), "reads of the server are not recorded: {methods:?}");

    for (path, body, why) in [
        (format!("/batch-tasks/runs/{run}/kill"), json!({}), format!("the run {run} is over: fail")),
        ("/batch-tasks/gold/kill".to_owned(), json!({}), "no run of \"gold\" runs".to_owned()),
        ("/batch-tasks/runs/gold@20200101T000000Z.1/rerun".to_owned(), Value::Null, "knows no run".to_owned()),
    ] {
        let (status, command) = server.order("POST", &path, &body);
        assert_eq!(status, 200, "{command}");
        let line = done(&server, &command)["lines"][0].clone();
        assert!(line["status"] == "refused" && line["error"].as_str().unwrap().contains(&why), "{why}: {line}");
    }
    for (method, path, expected) in [
        ("GET", "/batch-tasks/runs/gold@20200101T000000Z.1/log", 404),
        ("GET", "/batch-tasks/runs/nonsense/log", 404),
        ("POST", "/batch-tasks/runs/none@20200101T000000Z.1/rerun", 404),
    ] {
        let (status, problem) = server.order(method, path, &Value::Null);
        assert_eq!(status, expected, "{problem}");
    }
}

#[test]
fn an_order_waits_for_an_agent_that_is_away_and_no_longer_than_ten_minutes() {
    let clock = SteeredClock::new();
    let server = Server::start_with(clock.env());
    let mut agent = Agent::of_server(&server, "db-1", &[]);
    server.order("POST", "/batch-tasks", &task(&agent, "gold", "gold", &json!({})));
    run_of(&server, "/batch-tasks/gold/run", &json!({"args": ["1"]}));
    agent.ended("gold", 1);
    agent.kill();
    let (_, waits) = server.order("POST", "/batch-tasks/gold/run", &json!({"args": ["2"]}));
    assert_eq!(waits["lines"][0]["status"], "waiting", "{waits}");
    agent.start_again();
    assert_eq!(done(&server, &waits)["lines"][0]["status"], "ok");
    agent.ended("gold", 2);
    agent.kill();
    let (_, late) = server.order("POST", "/batch-tasks/gold/run", &json!({"args": ["3"]}));
    clock.pass(Duration::from_secs(11 * 60));
    assert_eq!(done(&server, &late)["lines"][0]["status"], "expired");
    agent.start_again();
    run_of(&server, "/batch-tasks/gold/run", &json!({"args": ["4"]}));
    agent.ended("gold", 3);
    assert_eq!(agent.lines("out"), ["gold 1", "gold 2", "gold 4"].map(str::to_owned));
}

#[test]
fn tasks_of_a_source_that_is_no_longer_accepted_stop_and_show_the_reason() {
    let server = Server::start();
    let each = "shell = \"true\"\nrules = [\"* * * * * *\"]";
    let mut agent = Agent::of_server(&server, "db-1", &[("of-file", each)]);
    let of_server = json!({"name": "of-server", "shell": "true", "rules": ["* * * * * *"], "on": ["db-1"]});
    assert_eq!(server.order("POST", "/batch-tasks", &of_server).0, 201);
    let tasks = |agent: &Agent| {
        // A new agent has no folder and no tasks yet.
        let listed: Value = serde_json::from_str(&agent.ask(&["list", "--json"]).stdout).unwrap_or_default();
        listed["tasks"].as_array().into_iter().flatten().map(|of| of["task"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait_for("both tasks", || (tasks(&agent) == ["of-file", "of-server"]).then_some(()));
    wait_for("runs of both", || (!agent.runs("of-file").is_empty() && !agent.runs("of-server").is_empty()).then_some(()));
    agent.stop();
    // The agent starts without its folder of files.
    agent.start_as(&[]);
    wait_for("the file's task to stop", || (tasks(&agent) == ["of-server"]).then_some(()));
    let gone =
        || server.get("/batch-tasks")["tasks"].as_array().unwrap().iter().all(|of| of["name"] != "of-file" || of["status"] == "deleted");
    wait_for("the server to hear of it", || gone().then_some(()));
    agent.stop();
    // The agent accepts only files.
    let folder = agent.path("tasks");
    agent.start_as(&["--tasks", folder.to_str().unwrap(), "--accept", "files"]);
    wait_for("the server's task to stop", || (tasks(&agent) == ["of-file"]).then_some(()));
    let refused = wait_for("the server to hear of it", || {
        let task = server.get("/batch-tasks/of-server");
        (task["paused_by"] == "refused").then_some(task)
    });
    assert_eq!(refused["next_us"], json!([]));
    let mut list = command("monitor");
    list.args(["task", "list", "--server", server.url()]).env("MONITOR_TOKEN", server.token());
    let listed = run(list).stdout;
    assert!(listed.lines().any(|line| line.starts_with("of-server") && line.contains("refused: only files")), "{listed}");
    agent.stop();
    agent.start_again();
    wait_for("both tasks", || (tasks(&agent) == ["of-file", "of-server"]).then_some(()));
    wait_for("it to be due", || server.get("/batch-tasks/of-server")["paused_by"].is_null().then_some(()));
}
