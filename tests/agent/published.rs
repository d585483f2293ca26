//! Publications and histories of runs, over the API.

use std::fs;
use std::os::unix::fs::symlink;

use monitor_tests::{Server, command, run, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;
use crate::publish::{definition, target};

const PUBLICATIONS: &str = "/batch-tasks/gold/publications";

fn ask(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    server.order(method, &format!("{PUBLICATIONS}{path}"), body)
}

fn get(server: &Server, path: &str) -> Value {
    let (status, answer) = ask(server, "GET", path, &Value::Null);
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Restores a publication. Returns the agent's line of the command.
fn restored(server: &Server, which: &str, body: &Value) -> Value {
    let (status, command) = ask(server, "POST", &format!("/{which}/restore"), body);
    assert_eq!(status, 200, "{command}");
    let path = format!("/commands/{}", command["id"].as_str().unwrap());
    wait_for("the end of a command", || Some(server.get(&path)).filter(|command| command["done"] == true))["lines"][0].clone()
}

/// An agent whose task gold has published the words `old` and `new` to `srv/prod`.
fn published(server: &Server) -> Agent {
    let agent = Agent::of_server(server, "db-1", &[]);
    let shell = "cd $MONITOR_PUBLISH_DIR; mkdir day; echo $1 > price; echo same > day/same; test $1 = old && echo x > gone; \
                 printf '\\377\\000' > day/bytes; ln -s /etc/passwd link; monitor publish prod";
    agent.define("gold", &definition(shell, &target("prod", &agent.path("srv/prod"))));
    agent.wait_for_log("a task is new or has changed");
    for words in ["old", "new"] {
        assert_eq!(agent.ask(&["run", "gold", "--wait", "--", words]).code, Some(0), "{}", agent.log());
    }
    wait_for("the task at the server", || (server.order("GET", "/batch-tasks/gold", &Value::Null).0 == 200).then_some(()));
    agent
}

#[test]
fn publications_are_listed_viewed_compared_and_restored_over_the_api() {
    let server = Server::start();
    let agent = published(&server);
    let price = || fs::read_to_string(agent.path("srv/prod/price")).unwrap();
    let all = wait_for("the agent's channel", || {
        let all = get(&server, "");
        all["silent"].as_array().unwrap().is_empty().then_some(all)
    });
    let numbers: Vec<_> =
        all["publications"].as_array().unwrap().iter().map(|of| (&of["number"], &of["is_current"], &of["files"])).collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(numbers, [(&json!(2), &yes, &json!(4)), (&json!(1), &no, &json!(5))], "{all}");
    let history = all["history"].as_array().unwrap();
    let runs: Vec<_> = agent.runs("gold").iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((history.len(), &history[0]["run"], &history[0]["agent"]), (2, &json!(runs[1]), &json!("db-1")), "{all}");

    for which in ["1", &runs[0]] {
        let files = get(&server, &format!("/{which}"));
        let paths: Vec<_> = files["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["day/bytes", "day/same", "gone", "link", "price"], "{files}");
        assert_eq!((&files["files"][3]["link"], &files["files"][4]["size_bytes"]), (&json!("/etc/passwd"), &json!(4)), "{files}");
        let file = get(&server, &format!("/{which}/file?path=price"));
        assert_eq!((&file["text"], &file["is_cut"]), (&json!("old\n"), &no), "{file}");
        assert_eq!(get(&server, &format!("/{which}/file?path=day/bytes"))["text"], Value::Null);
    }
    let compared = get(&server, "/1/compare?with=2");
    let changes: Vec<_> = compared["changes"].as_array().unwrap().iter().map(|of| (&of["path"], &of["what"])).collect();
    assert_eq!(changes, [(&json!("gone"), &json!("removed")), (&json!("price"), &json!("changed"))], "{compared}");
    assert_eq!(get(&server, &format!("/2/compare?with={}", runs[1]))["changes"], json!([]));

    let line = restored(&server, "1", &json!({}));
    assert_eq!((&line["status"], &line["value"]["restores"], price().as_str()), (&json!("ok"), &json!(1), "old\n"), "{line}");
    let line = restored(&server, &runs[1], &json!({"target": "prod"}));
    assert_eq!((&line["status"], &line["value"]["run"], price().as_str()), (&json!("ok"), &json!(runs[1]), "new\n"), "{line}");
    let newest = &get(&server, "?agent=db-1&limit=1")["publications"];
    assert_eq!((newest.as_array().unwrap().len(), &newest[0]["number"], &newest[0]["by"]), (1, &json!(4), &line["value"]["by"]));
    for (which, body, words) in [
        ("99", json!({}), "gold has no publication 99"),
        ("1", json!({"target": "prod"}), "its own target"),
        (&runs[0], json!({}), "to which target"),
        (&runs[0], json!({"target": "none"}), "no target \"none\", but prod"),
        ("gold@20200101T000000Z.1", json!({"target": "prod"}), "nothing in its history"),
    ] {
        let line = restored(&server, which, &body);
        assert!(line["status"] == "refused" && line["error"].as_str().unwrap().contains(words), "{words}: {line}");
    }
    assert_eq!(price(), "new\n", "what is refused changes nothing");
    let audit = server.order("GET", "/audit", &Value::Null).1;
    let is_it = |entry: &Value| entry["action"].as_str().unwrap().contains("restore a publication of a batch task");
    assert_eq!(audit["entries"].as_array().unwrap().iter().filter(|entry| is_it(entry)).count(), 7, "{audit}");
}

#[test]
fn paths_outside_of_a_publication_are_not_served() {
    let server = Server::start();
    let agent = published(&server);
    wait_for("the agent's channel", || get(&server, "")["silent"].as_array().unwrap().is_empty().then_some(()));
    for path in ["link", "../../../agent.db", "/etc/passwd", "day", "day/../price", "none", "%00", "day/same/x"] {
        let (status, problem) = ask(&server, "GET", &format!("/1/file?path={path}"), &Value::Null);
        assert_eq!(status, 404, "{path}: {problem}");
    }
    // An answer contains the first 64 KiB of a file, and never half a character.
    let copy = agent.path("srv/prod");
    fs::write(copy.join("large"), format!("{}é and more", "x".repeat((64 << 10) - 1))).unwrap();
    let large = get(&server, "/2/file?path=large");
    assert_eq!((large["text"].as_str().unwrap().len(), &large["is_cut"]), ((64 << 10) - 1, &json!(true)));
    // More files than an answer can contain.
    for number in 0..1_100 {
        fs::write(copy.join(format!("many-{number:04}\u{1}\u{1}\u{1}")), "").unwrap();
    }
    let many = get(&server, "/2");
    assert!(many["files"].as_array().unwrap().len() == 1_000 && many["is_cut"] == true, "{}", many["is_cut"]);
    for (path, expected) in [
        ("?limit=0", 400),
        ("?agent=db-9", 400),
        ("/1?agent=db-9", 400),
        ("/1/file", 400),
        ("/1/compare", 400),
        ("/1/compare?with=99", 404),
        ("/99", 404),
        ("/-1", 404),
        ("/99999999999999999999", 404),
        ("/..%2F..%2Fetc", 404),
        ("/gold@20200101T000000Z.1", 404),
    ] {
        let (status, problem) = ask(&server, "GET", path, &Value::Null);
        assert_eq!(status, expected, "{path}: {problem}");
    }
    assert_eq!(ask(&server, "POST", "/1/restore", &json!({"to": "x"})).0, 400);
    assert_eq!(server.order("GET", "/batch-tasks/none/publications", &Value::Null).0, 404);
    // A folder that was replaced by a symbolic link is not followed.
    fs::remove_dir_all(copy.join("day")).unwrap();
    symlink("/etc", copy.join("day")).unwrap();
    assert_eq!(ask(&server, "GET", "/2/file?path=day/passwd", &Value::Null).0, 404);
}

#[test]
fn a_disconnected_agent_is_listed_without_publications() {
    let server = Server::start();
    let mut agent = published(&server);
    agent.kill();
    let all = wait_for("the agent to be gone", || {
        let all = get(&server, "");
        (!all["silent"].as_array().unwrap().is_empty()).then_some(all)
    });
    assert_eq!((&all["publications"], &all["silent"][0]["agent"]), (&json!([]), &json!("db-1")), "{all}");
    let (status, problem) = ask(&server, "GET", "/1", &Value::Null);
    assert!([404, 503].contains(&status) && problem["detail"].is_string(), "{problem}");
    // The order waits for the agent.
    let (_, command) = ask(&server, "POST", "/1/restore", &json!({}));
    assert_eq!(command["lines"][0]["status"], "waiting", "{command}");
    agent.start_again();
    wait_for("the old files", || (fs::read_to_string(agent.path("srv/prod/price")).unwrap() == "old\n").then_some(()));
}

#[test]
fn publications_of_connected_agents_are_managed_through_the_server() {
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[]);
    let prod = agent.path("srv/prod");
    let shell = "echo $1 > $MONITOR_PUBLISH_DIR/price; monitor publish prod";
    let text = format!("name = \"gold\"\non = [\"db-1\", \"db-9\"]\n{}", definition(shell, &target("prod", &prod)));
    fs::write(agent.path("gold.toml"), text).unwrap();
    let monitor = |args: &[&str]| {
        let mut command = command("monitor");
        command.arg("task").args(args).args(["--server", server.url()]).env("MONITOR_TOKEN", server.token());
        run(command)
    };
    let added = monitor(&["add", agent.path("gold.toml").to_str().unwrap()]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    agent.wait_for_log("a task is new or has changed");
    for words in ["old", "newer"] {
        assert_eq!(agent.ask(&["run", "gold", "--wait", "--", words]).code, Some(0), "{}", agent.log());
    }
    // The agent db-9 has never connected.
    let all = wait_for("the agent's channel", || {
        let all = get(&server, "");
        (all["silent"].as_array().unwrap().len() == 1).then_some(all)
    });
    assert_eq!((&all["silent"][0]["agent"], all["publications"].as_array().unwrap().len()), (&json!("db-9"), 2), "{all}");
    let (status, problem) = ask(&server, "GET", "/1?agent=db-9", &Value::Null);
    assert!(status == 503 && problem["detail"].as_str().unwrap().contains("db-9, which did not answer"), "{problem}");
    assert_eq!(ask(&server, "GET", "/1", &Value::Null).0, 400, "which agent is meant is to be said");

    let listed = monitor(&["publications", "gold"]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), 2), "{}{}", listed.stdout, listed.stderr);
    assert!(
        listed.stdout.starts_with("*    2") && listed.stderr.contains("what the agent db-9 has is not among these"),
        "{}",
        listed.stderr
    );
    let restored = monitor(&["restore-publication", "gold", "1", "--agent", "db-1"]);
    assert!(restored.code == Some(0) && restored.stdout.starts_with("prod: 1 file"), "{}{}", restored.stdout, restored.stderr);
    assert_eq!(fs::read_to_string(prod.join("price")).unwrap(), "old\n");
    let history: Value = serde_json::from_str(&monitor(&["history", "gold", "--json"]).stdout).unwrap();
    let [newest, oldest] = [0, 1].map(|at: usize| history["history"][at]["folder"].as_str().unwrap().to_owned());
    let files = monitor(&["history", "gold", &newest, "--agent", "db-1"]);
    assert_eq!((files.code, files.stdout.trim()), (Some(0), "6 B  price"), "{}", files.stderr);
    let changes = monitor(&["history", "gold", &oldest, &newest, "--agent", "db-1", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&changes.stdout).unwrap(), json!({"changes": {"price": "changed"}}), "{}", changes.stderr);
    for (args, code, words) in [
        (&["publications", "none"][..], 4, "none"),
        (&["publications", "gold", "--agent", "db-7"], 2, "db-7"),
        (&["restore-publication", "gold", "99", "--agent", "db-1"], 1, "gold has no publication 99"),
        (&["restore-publication", "gold", "1"], 2, "name one of them"),
        (&["history", "gold", "2020/01_000000"], 4, "has no"),
    ] {
        let refused = monitor(args);
        assert!(refused.code == Some(code) && refused.stderr.contains(words), "{args:?}: {:?} {}", refused.code, refused.stderr);
    }
}
