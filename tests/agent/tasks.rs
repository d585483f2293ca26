//! Tasks of the real agent, with the system clock.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use monitor_tests::{Server, run, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;

#[test]
fn a_stopped_agent_reports_that_it_is_offline() {
    let server = Server::start();
    let mut agent = Agent::start_for(&server, &[]);
    let worker = |state: &str| {
        wait_for(&format!("a worker that is {state}"), || {
            Some(server.get("/workers")["workers"][0]["state"].clone()).filter(|is| is == state)
        })
    };
    worker("online");
    agent.stop();
    worker("offline");
    assert_eq!(server.get("/workers")["workers"].as_array().map(Vec::len), Some(1), "nothing else reported");
}

#[test]
fn a_run_is_a_tree_and_its_environment_contains_its_identity() {
    let server = Server::start();
    let gold = r#"
command = ["sh", "-c", "env > env; cat $MONITOR_TASK_CONFIG > config; echo hello; echo $1 >&2; echo 1 > $MONITOR_PUBLISH_DIR/price.json; exit 24", "sh"]
exit = { 24 = "warn" }
owner = "ada@example.org"
env = { MODE = "fast", PASSWORD = { file = "pw" } }
config = { rows = 100, production = { rows = 5000 } }
"#;
    let agent = Agent::start_for(&server, &[]);
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    fs::write(agent.path("pw"), "hush hush\n").unwrap();
    agent.define("gold", &gold.replace("\"pw\"", &format!("{:?}", agent.path("pw"))));
    agent.wait_for_log("a task is new or has changed");
    let id = agent.done(&["run", "gold", "--", "loud"]);
    let runs = agent.ended("gold", 1);
    assert_eq!(runs[0]["id"], json!(id));
    assert_eq!((&runs[0]["outcome"], &runs[0]["exit_code"], &runs[0]["trigger"]), (&json!("warn"), &json!(24), &json!("request")));

    let root = server.finished_root();
    let process = server.tree(&root)[0].clone();
    assert_eq!((&process["name"], &process["kind"]), (&json!("gold"), &json!("run")), "{process}");
    assert_eq!(process["fields"]["task.name"], "gold");
    assert_eq!((&process["fields"]["task.trigger"], &process["fields"]["task.version"]), (&json!("request"), &json!("1")));
    assert_eq!(process["state"], "succeeded", "a warning is no failure");
    let task = wait_for("the run below its task", || {
        Some(server.get("/batch-tasks/gold")).filter(|task| task["runs"][0]["outcome"] == "succeeded")
    });
    assert_eq!(
        (&task["runs"][0]["run"], &task["agent"]),
        (&json!(id), &server.get("/batch-tasks/runs?task=gold")["runs"][0]["agent"]),
        "{task}"
    );
    let run: Value = serde_json::from_str(&fs::read_to_string(agent.path("data/runs").join(&id).join("spec.json")).unwrap()).unwrap();
    assert_eq!(run["process"]["root_id"], root["root_id"], "its ids follow from its own");

    let folder = agent.path("data/task/gold");
    let env = fs::read_to_string(folder.join("env")).unwrap();
    for line in
        ["MONITOR_TASK_NAME=gold", &format!("MONITOR_RUN_ID={id}"), "MONITOR_RUN_TRIGGER=request", "MODE=fast", "PASSWORD=hush hush"]
    {
        assert!(env.lines().any(|there| there == line), "{line} in {env}");
    }
    assert!(!env.contains("MONITOR_TOKEN="));
    assert_eq!(fs::read_to_string(folder.join("config")).unwrap(), "{\n  \"rows\": 100\n}\n");
    let kept = find(&folder.join("history"), "price.json");
    assert_eq!(fs::read_to_string(kept).unwrap(), "1\n");
    assert_eq!(fs::read_dir(folder.join("publish")).map_or(0, Iterator::count), 0, "moved, not copied");
    let log = fs::read_to_string(find(&folder.join("logs"), ".log")).unwrap();
    assert!(log.contains("hello") && log.contains("loud"), "{log}");
    assert!(!everything_in(&agent.path("data")).contains("hush hush\n\""), "no secret stands in what the agent keeps");
}

/// Only root may start a run as another user. With any other user the agent reports that.
#[test]
fn a_run_of_another_user_reads_its_settings() {
    let mut agent = Agent::start(&[]);
    agent.kill();
    let home = agent.path("home");
    fs::create_dir(&home).unwrap();
    for folder in [agent.path(""), home.clone()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    agent.set_env("MONITOR_AGENT_HOME", &home);
    agent.start_again();
    agent.define("gold", "shell = \"cat $MONITOR_TASK_CONFIG; id -un\"\nuser = \"nobody\"\nconfig = { rows = 100 }");
    agent.wait_for_log("a task is new or has changed");
    let id = agent.done(&["run", "gold"]);
    let run = agent.ended("gold", 1)[0].clone();
    let output = fs::read_to_string(agent.path("data/runs").join(id).join("output.log")).unwrap_or_default();
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        assert_eq!((&run["outcome"], output.as_str()), (&json!("ok"), "{\n  \"rows\": 100\n}\nnobody\n"), "{run}");
        assert_eq!(fs::read_dir(home.join("task/gold/config")).map_or(0, Iterator::count), 0, "gone with the run");
    } else {
        assert_eq!((&run["outcome"], output.as_str()), (&json!("fail"), ""), "{run}");
    }
}

/// Text of all files directly in the folder.
fn everything_in(folder: &std::path::Path) -> String {
    let read = |path: std::path::PathBuf| {
        if path.is_dir() { String::new() } else { String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned() }
    };
    fs::read_dir(folder).unwrap().flatten().map(|entry| read(entry.path())).collect()
}

/// The file below a folder whose name ends with these characters.
fn find(folder: &std::path::Path, end: &str) -> std::path::PathBuf {
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                todo.push(entry.path());
            } else if entry.file_name().to_string_lossy().ends_with(end) {
                return entry.path();
            }
        }
    }
    panic!("no {end} below {}", folder.display());
}

#[test]
fn a_broken_file_changes_nothing_and_is_reported_with_its_place() {
    let agent = Agent::start(&[("gold", "shell = \"echo one >> $OUT\"")]);
    agent.wait_for_log("a task is new or has changed");
    agent.write_file("gold", "name = \"gold\"\nshell = \"true\"\nrulse = [\"@daily\"]\n");
    agent.wait_for_log("gold.toml:3:1: rulse: there is no such key; did you mean rules?");
    assert!(agent.done(&["list"]).starts_with("gold"));
    agent.define("gold", "shell = \"true\"\nrules = [\"@daily\"]");
    agent.wait_for_log("the files of tasks have no mistakes any more");
    assert!(agent.done(&["list"]).contains("gold   next "));
    fs::remove_file(agent.path("tasks/gold.toml")).unwrap();
    agent.wait_for_log("a task is gone");
    assert_eq!(agent.done(&["list"]), "");
    assert!(agent.ask(&["run", "gold"]).stderr.contains("there is no task \"gold\""));
}

#[test]
fn a_second_agent_is_refused_and_a_stopped_one_is_not_asked() {
    let mut agent = Agent::start(&[]);
    wait_for("the agent", || (run(agent.command(&["check-alive"])).code == Some(0)).then_some(()));
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/ping/secret", receiver.local_addr().unwrap());
    for (answer, code) in [("200 OK", 0), ("404 Not Found", 1)] {
        let receiver = receiver.try_clone().unwrap();
        let pinged = std::thread::spawn(move || {
            let (mut stream, _) = receiver.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").unwrap();
            line
        });
        let told = run(agent.command(&["check-alive", "--ping", &address]));
        let has_answered = told.stderr.contains("the agent works, but 127.0.0.1 answered");
        assert_eq!((told.code, has_answered), (Some(code), code == 1), "{}", told.stderr);
        assert_eq!(pinged.join().unwrap(), "GET /ping/secret HTTP/1.1\r\n");
        assert!(!told.stderr.contains("secret"));
    }
    assert_eq!(run(agent.command(&["check-alive", "--ping", "ftp://127.0.0.1/"])).code, Some(2));
    let second = run(agent.command(&["agent"]));
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another agent works with"), "{}", second.stderr);
    agent.kill();
    receiver.set_nonblocking(true).unwrap();
    let alive = run(agent.command(&["check-alive", "--ping", &address]));
    assert_eq!(receiver.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody is told that it works");
    assert!(alive.code == Some(1) && alive.stderr.contains("no agent works with"), "{}", alive.stderr);
}

#[test]
fn following_tasks_are_started_and_failed_runs_are_retried() {
    let agent = Agent::start(&[
        (
            "load",
            "shell = 'echo $(pwd) \"$@\" >> ../../../begun; test -e ../../../ready || { touch ../../../ready; exit 3; }'\nretry = { times = 2, backoff = \"10ms\" }\nthen = { success = [\"sum\"], fail = [\"clean\"] }",
        ),
        ("sum", "shell = \"exit 5\"\nthen = { fail = [\"clean\"] }"),
        ("clean", "shell = \"true\""),
    ]);
    agent.wait_for_log("a task is new or has changed");
    let first = agent.done(&["run", "load", "--", "one", "two words"]);
    let clean = agent.ended("clean", 1);
    let (load, sum) = (agent.runs("load"), agent.runs("sum"));
    let outcomes: Vec<_> =
        load.iter().map(|run| (run["outcome"].as_str().unwrap(), run["exit_code"].as_i64(), run["attempt"].as_i64())).collect();
    assert_eq!(outcomes, [("retry", Some(3), Some(1)), ("ok", Some(0), Some(2))], "{first}");
    let folder = agent.path("data/task/load").canonicalize().unwrap();
    let begun = format!("{} one two words", folder.display());
    assert_eq!(agent.lines("begun"), [begun.clone(), begun], "both attempts have the arguments and the task's folder");
    assert_eq!((&sum[0]["trigger"], &sum[0]["exit_code"]), (&json!("then"), &json!(5)));
    assert_eq!((&clean[0]["trigger"], &clean[0]["outcome"]), (&json!("then"), &json!("ok")));
    assert_eq!((load.len(), sum.len(), clean.len()), (2, 1, 1));
}

#[test]
fn a_run_is_skipped_while_another_runs_and_can_be_killed() {
    let agent = Agent::start(&[
        ("long", "shell = \"trap '' TERM; touch ../../../here; sleep 1000 & wait; wait\"\nrules = []"),
        ("short", "command = [\"sleep\", \"1000\"]\nkill-after = \"100ms\""),
        ("missing", "command = [\"/no/such/program\"]"),
        ("secret", "shell = \"true\"\nenv = { PW = { file = \"/no/such/file\" } }"),
    ]);
    fs::create_dir_all(agent.path("data/task/long")).unwrap();
    agent.wait_for_log("a task is new or has changed");
    let run = agent.done(&["run", "long"]);
    wait_for("the command", || agent.path("here").exists().then_some(()));
    assert_eq!(agent.ask(&["run", "long"]).code, Some(1));
    wait_for("the second to be skipped", || (!agent.decisions("skipped", "long").is_empty()).then_some(()));
    assert_eq!(agent.decisions("skipped", "long")[0].0, "overlap");
    assert_eq!(agent.done(&["kill", "long", "--now"]), run);
    let long = agent.ended("long", 1);
    assert_eq!((long.len(), &long[0]["result_code"], &long[0]["reason"]), (1, &json!(92), &json!("killed")));
    assert!(agent.ask(&["kill", "long"]).stderr.contains("no run of \"long\" runs"));
    for (task, code, reason) in [("short", 93, "kill-after"), ("missing", 127, "not-found"), ("secret", 125, "not-started")] {
        agent.done(&["run", task]);
        let runs = agent.ended(task, 1);
        assert_eq!(
            (&runs[0]["result_code"], &runs[0]["reason"], &runs[0]["outcome"]),
            (&json!(code), &json!(reason), &json!("fail")),
            "{}",
            runs[0]
        );
    }
}

#[test]
fn hooks_read_the_run_and_a_failing_hook_prevents_the_command() {
    let agent = Agent::start(&[]);
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    let hook = |file: &str| format!("[\"sh\", \"-c\", \"cat > ../../../{file}; test ! -e ../../../refuse\"]");
    let hooks = format!("hooks = {{ before = {}, after = {} }}", hook("before"), hook("after"));
    agent.define("gold", &format!("shell = \"echo ran >> ../../../ran; exit 3\"\nowner = \"ada\"\n{hooks}"));
    agent.wait_for_log("a task is new or has changed");
    agent.done(&["run", "gold"]);
    let run = agent.ended("gold", 1).remove(0);
    let read = |file: &str| serde_json::from_str::<Value>(&fs::read_to_string(agent.path(file)).unwrap()).unwrap();
    let (before, after) = (read("before"), read("after"));
    assert_eq!((&before["id"], &before["name"], &before["outcome"]), (&run["id"], &json!("gold"), &Value::Null));
    assert_eq!(before["fields"]["task.owner"], "ada");
    assert_eq!(after["outcome"], json!({ "exit_code": 3, "signal": null, "reason": null, "attempts": 1 }));
    assert_eq!((&after["process_id"], &run["result_code"]), (&before["process_id"], &json!(3)));
    fs::write(agent.path("refuse"), "").unwrap();
    agent.done(&["run", "gold"]);
    let run = agent.ended("gold", 2).remove(1);
    assert_eq!((&run["result_code"], &run["reason"], &run["outcome"]), (&json!(90), &json!("hook"), &json!("fail")), "{run}");
    assert_eq!(agent.lines("ran").len(), 1, "the command was not started");
}

#[test]
fn a_run_has_no_more_than_its_limits() {
    let agent = Agent::start(&[
        ("plain", "shell = \"nice > ../../../plain\""),
        ("nice", "shell = \"nice > ../../../nice\"\nlimits = { nice = 3 }"),
    ]);
    agent.define("busy", "shell = \"while :; do :; done\"\nlimits = { cpu = \"1s\" }");
    for task in ["plain", "nice", "busy"] {
        fs::create_dir_all(agent.path("data/task").join(task)).unwrap();
        agent.wait_for_log(&format!("a task is new or has changed task=\"{task}\""));
        agent.done(&["run", task]);
    }
    let niceness = |task: &str| {
        agent.ended(task, 1);
        fs::read_to_string(agent.path(task)).unwrap().trim().parse::<i32>().unwrap()
    };
    assert_eq!(niceness("nice"), (niceness("plain") + 3).min(19));
    let busy = agent.ended("busy", 1).remove(0);
    assert_eq!((&busy["result_code"], &busy["reason"]), (&json!(97), &json!("cpu")), "{busy}");
}
