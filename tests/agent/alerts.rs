//! Runs that the actions of alerts start on a real agent.

use std::ffi::OsString;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_tests::{Server, SteeredClock, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;
use crate::receivers::Receiver;

const RULE: &str = "[[rule]]\nname = \"again\"\non = { cause = [\"failed\"], task = \"gold\" }\nto = []\nthen = { retry = true, at-most = 1, within = \"1d\" }\n";

#[test]
fn an_alert_repeats_the_run_with_its_due_time_and_its_version_of_the_task() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.toml");
    fs::write(&file, RULE).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    wait_for("the rule", || server.get("/alerts/rules")["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == "again").cloned());
    let agent = Agent::of_server(&server, "db-1", &[]);
    // The first run waits for the file `go` and then fails. So does the run that repeats it.
    let define = |words: &str| {
        let (out, go) = (agent.path("out"), agent.path("go"));
        let shell = format!(
            "echo {words} $MONITOR_RUN_DUE \"$@\" >> {}; until [ -e {} ]; do sleep 0.05; done; exit 7",
            out.display(),
            go.display()
        );
        json!({"name": "gold", "shell": shell, "on": ["db-1"]})
    };
    assert_eq!(server.order("POST", "/batch-tasks", &define("one")).0, 201);
    assert_eq!(server.order("POST", "/batch-tasks/gold/run", &json!({"args": ["a b"]})).0, 200);
    wait_for("the first run", || (agent.lines("out").len() == 1).then_some(()));
    assert_eq!(server.order("PUT", "/batch-tasks/gold", &define("two")).0, 200);
    wait_for("the new version at the agent", || agent.log().contains("version=2").then_some(()));
    fs::write(agent.path("go"), "").unwrap();
    let runs = agent.ended("gold", 2);
    let of = |key: &str| runs.iter().map(|run| run[key].clone()).collect::<Vec<_>>();
    assert_eq!((of("version"), of("result_code")), (vec![json!(1); 2], vec![json!(7); 2]), "{runs:?}");
    let due = of("due_us");
    assert!(due[0] == due[1] && runs[0]["id"] != runs[1]["id"], "{runs:?}");
    let lines = agent.lines("out");
    assert!(lines.len() == 2 && lines[0] == lines[1] && lines[0].starts_with("one ") && lines[0].ends_with(" a b"), "{lines:?}");

    // At the server, the trigger of the second run is the alert, and a link leads to the run that it repeats.
    let told = wait_for("both at the server", || {
        let mut told = server.get("/batch-tasks/runs?task=gold")["runs"].as_array().unwrap().clone();
        told.sort_by_key(|run| run["started_us"].as_u64());
        (told.len() == 2 && told.iter().all(|run| run["outcome"] == "failed")).then_some(told)
    });
    assert_eq!((&told[1]["by"], &told[1]["due_us"], &told[1]["version"]), (&json!("alert 1"), &told[0]["due_us"], &json!(1)), "{told:?}");
    let repeated = wait_for("its link", || {
        let tree = server.get(&format!("/roots/{}/tree", told[1]["root_id"].as_str().unwrap()));
        tree["processes"][0]["links"].as_array().filter(|links| !links.is_empty()).cloned()
    });
    assert_eq!((&repeated[0]["relation"], &repeated[0]["root_id"]), (&json!("retry_of"), &told[0]["root_id"]), "{repeated:?}");
    // The failure of a run that an alert has started must start no further run.
    let notes = wait_for("what was decided of it", || {
        let notes = server.get("/alerts/1")["notes"].as_array().unwrap().clone();
        (notes.iter().filter(|note| note["what"] == "followed").count() == 2 && server.get("/alerts/1")["alert"]["count"] == 2)
            .then_some(notes)
    });
    let asked = server.get("/commands?limit=100")["commands"].as_array().unwrap().clone();
    let methods: Vec<&Value> = asked.iter().map(|command| &command["method"]).collect();
    assert_eq!(methods.iter().filter(|method| **method == "rerun").count(), 1, "{notes:?}");
    assert_eq!(agent.runs("gold").len(), 2);
}

#[test]
fn a_machine_with_fifty_tasks_that_vanishes_for_an_hour_is_one_alert_and_one_recovery() {
    const TASKS: usize = 50;
    const HOUR: Duration = Duration::from_secs(3_600);
    /// An agent is away if the server has received nothing from it for this long.
    const LONG: Duration = Duration::from_secs(30);
    let (hook, folder, clock) = (Receiver::start(), tempfile::tempdir().unwrap(), SteeredClock::new());
    let file = folder.path().join("alerts.toml");
    let channel = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n", hook.address);
    fs::write(&file, channel).unwrap();
    let mut env = clock.env();
    // The timeouts of connections use the same clock. They are long enough that a jump of the clock closes no connection.
    env.extend(["MONITOR_HEADER_TIMEOUT", "MONITOR_IDLE_TIMEOUT", "MONITOR_STALL_TIMEOUT"].map(|name| (name, "365d".into())));
    env.push(("MONITOR_ALERTS_FILE", OsString::from(&file)));
    let server = Server::start_with(env);
    let mut agent = Agent::of_server(&server, "db-1", &[]);
    agent.kill();
    for (name, value) in clock.env() {
        agent.set_env(name, value);
    }
    agent.start_again();
    // Each task is due once per hour.
    let minute = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60 % 60;
    let rule = format!("{} * * * *", (minute + 20) % 60);
    for number in 0..TASKS {
        let task = json!({"name": format!("task-{number}"), "command": ["true"], "rules": [rule], "zone": "UTC", "on": ["db-1"]});
        assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    }
    wait_for("all tasks at the agent", || (agent.log().matches("a task is new or has changed").count() >= TASKS).then_some(()));
    agent.kill();
    clock.pass_awake(&server, Duration::ZERO, LONG);
    let told = |count: usize| {
        wait_for("messages", || {
            let taken = hook.lock().messages.clone();
            (taken.len() >= count).then(|| taken.into_values().map(|mut copies| copies.remove(0)).collect::<Vec<_>>())
        })
    };
    let fired = told(1).remove(0);
    assert_eq!(
        (&fired["kind"], &fired["cause"], &fired["subject"]["name"]),
        (&json!("fired"), &json!("unknown"), &json!("db-1")),
        "{fired:#}"
    );
    clock.pass(HOUR);
    agent.start_again();
    // The agent makes up for the due times that passed while it was away.
    wait_for("all runs at the server", || {
        let runs = server.get("/batch-tasks/runs?limit=1000")["runs"].as_array().unwrap().clone();
        (runs.len() == TASKS && runs.iter().all(|run| run["outcome"] == "succeeded")).then_some(())
    });
    told(2);
    for number in 0..TASKS {
        assert_eq!(agent.decisions("missed", &format!("task-{number}")), []);
    }
    let alerts = server.get("/alerts?limit=1000")["alerts"].as_array().unwrap().clone();
    let about: Vec<_> = alerts.iter().map(|alert| (alert["cause"].clone(), alert["subject"].clone(), alert["state"].clone())).collect();
    assert_eq!(about, [(json!("unknown"), json!("agent:db-1"), json!("resolved"))], "{about:?}");
    assert_eq!(told(2).len(), 2, "one alert and one recovery");
}
