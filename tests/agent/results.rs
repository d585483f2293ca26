//! The result of a run is the same at the agent, at the server, on the command line and in alerts.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use monitor_tests::{Server, command, run, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;
use crate::receivers::{MailServer, Receiver};

/// A possible end of a run.
struct Row {
    task: &'static str,
    definition: &'static str,
    /// Outcome at the agent.
    outcome: &'static str,
    /// State at the server.
    state: &'static str,
    code: i64,
    reason: Option<&'static str>,
    /// Cause of the alert.
    cause: Option<&'static str>,
    meddle: Meddle,
}

/// An intervention of the test while the command of a run is running.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meddle {
    Nothing,
    /// A user ends the run.
    Kill,
    /// Launcher, helper and command are killed.
    Lose,
}

const fn failed(task: &'static str, definition: &'static str, code: i64, reason: Option<&'static str>) -> Row {
    Row { task, definition, outcome: "fail", state: "failed", code, reason, cause: Some("failed"), meddle: Meddle::Nothing }
}

const fn well(task: &'static str, definition: &'static str, outcome: &'static str, code: i64) -> Row {
    Row { task, definition, outcome, state: "succeeded", code, reason: None, cause: None, meddle: Meddle::Nothing }
}

/// One row for each result of docs/reference/decisions.md, except `memory` (97). That reason requires a cgroup v2 with the memory
/// controller. Without such a group the limit is `RLIMIT_DATA`: allocations fail, and the command decides how it ends. Many machines that
/// run these tests allow no such group, and a row that is skipped on most machines would look tested. `monitor run` shares the code that
/// decides. `memory_is_limited_and_the_kind_of_limit_is_recorded` in `crates/monitor-cli/tests/run/limits.rs` tests the reason where such a
/// group can be made. `cpu` has the same code 97 and takes the same way to the server and into alerts.
const ROWS: &[Row] = &[
    well("good", "shell = \"true\"", "ok", 0),
    well("warns", "shell = \"exit 24\"\nexit = { 24 = \"warn\" }", "warn", 24),
    well("idles", "shell = \"exit 3\"\nexit = { 3 = \"idle\" }", "idle", 3),
    Row { reason: Some("signal"), ..well("ends-by-signal", "shell = \"kill -TERM $$\"\nexit = { 143 = \"ok\" }", "ok", 143) },
    failed("exits", "shell = \"echo no >&2; exit 7\"", 7, None),
    failed("zero-is-bad", "shell = \"true\"\nexit = { 0 = \"fail\" }", 0, None),
    failed("signal", "shell = \"kill -KILL $$\"", 137, Some("signal")),
    Row { cause: Some("timeout"), ..failed("too-long", "command = [\"sleep\", \"1000\"]\nkill-after = \"100ms\"", 93, Some("kill-after")) },
    failed("no-secret", "shell = \"true\"\nenv = { PW = { file = \"/no/such/file\" } }", 125, Some("not-started")),
    failed("no-user", "shell = \"true\"\nuser = \"nobody-of-this-name\"", 125, Some("not-started")),
    failed("no-entry", "", 125, Some("not-started")),
    failed("not-found", "command = [\"/no/such/program\"]", 127, Some("not-found")),
    failed("not-executable", "command = [\"/etc/passwd\"]", 126, Some("not-executable")),
    failed("hook", "shell = \"true\"\nhooks = { before = [\"false\"] }", 90, Some("hook")),
    failed("lacks", "shell = \"echo some\"\nexpect = { output-has = \"done\" }", 91, Some("expectation")),
    failed("has", "shell = \"echo ERROR\"\nexpect = { output-lacks = \"ERROR\" }", 91, Some("expectation")),
    failed("publishes-nothing", "shell = \"true\"\nexpect = { published = 1 }", 91, Some("expectation")),
    failed("too-short", "shell = \"true\"\nexpect = { min-duration = \"1h\" }", 91, Some("expectation")),
    failed("unkept", "shell = \"echo file > $MONITOR_PUBLISH_DIR/file; rm -rf ../unkept/history; echo > history\"", 96, Some("publishing")),
    failed("too-much", "shell = \"while :; do :; done\"\nlimits = { cpu = \"1s\" }", 97, Some("cpu")),
    Row { state: "cancelled", cause: None, meddle: Meddle::Kill, ..failed("killed", STAYS, 92, Some("killed")) },
    Row { state: "lost", cause: Some("lost"), meddle: Meddle::Lose, ..failed("lost", STAYS, 94, Some("lost")) },
];

/// A command that runs until it is ended.
const STAYS: &str = "shell = \"echo $$ > pid; exec sleep 1000\"";

#[test]
fn each_way_to_end_is_the_same_at_the_agent_at_the_server_and_in_alerts() {
    let (hook, folder) = (Receiver::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("alerts.toml");
    let rule = "[[rule]]\nname = \"all\"\non = { cause = [\"failed\", \"timeout\", \"lost\"] }\nto = [\"hook\", \"post\"]\n";
    let channel = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n", hook.address);
    let mut mail = MailServer::away();
    mail.open();
    let post = format!(
        "[channel.post]\nkind = \"mail\"\nserver = \"{}\"\ntls = \"none\"\nfrom = \"m@example.com\"\nto = [\"a@example.com\"]\nrate = 1000\n",
        mail.address
    );
    fs::write(&file, format!("{channel}{post}{rule}")).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    let tasks: Vec<(&str, &str)> = ROWS.iter().map(|row| (row.task, row.definition)).collect();
    let agent = Agent::start_for(&server, &tasks);
    wait_for("all tasks", || (agent.log().matches("a task is new or has changed").count() == ROWS.len()).then_some(()));
    for row in ROWS {
        agent.done(&["run", row.task]);
        let file = agent.path("data/task").join(row.task).join("pid");
        let pid = || wait_for("the command", || fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok());
        match row.meddle {
            Meddle::Nothing => {}
            Meddle::Kill => {
                pid();
                agent.done(&["kill", row.task]);
            }
            Meddle::Lose => {
                let command = pid();
                // The launchers of all other runs have ended, or have recorded everything.
                for row in ROWS.iter().filter(|other| other.task != row.task) {
                    agent.ended(row.task, 1);
                }
                wait_for("no other launcher", || (agent.launchers().len() <= 2).then_some(()));
                let pids = agent.launchers().into_iter().chain([command]).map(|pid| pid.to_string());
                // The command may end together with its helper.
                let _ = Command::new("kill").arg("-9").args(pids).status();
            }
        }
    }
    for row in ROWS {
        let own = agent.ended(row.task, 1).remove(0);
        let told = (own["outcome"].as_str(), own["result_code"].as_i64(), own["reason"].as_str());
        assert_eq!(told, (Some(row.outcome), Some(row.code), row.reason), "{}: at the agent: {own}", row.task);

        let (told, seen) = wait_for_run(&server, row);
        assert_eq!(told, (row.state.to_owned(), Some(row.code), row.reason.map(str::to_owned)), "{}: at the server: {seen}", row.task);
        let tree = server.get(&format!("/roots/{}/tree", seen["root_id"].as_str().unwrap()));
        let process = &tree["processes"][0];
        assert_eq!((&process["state"], &process["name"]), (&json!(row.state), &json!(row.task)), "{process}");
        assert!(process["contradictions"].is_null(), "{process}");
        if row.state == "failed" {
            assert!(process["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{}: {process}", row.task);
        }

        if row.state != "succeeded" {
            explained(&server, row, &seen, process);
        }
        // The command line finds the run by its result code, at the server and at the agent.
        let code = row.code.to_string();
        for (option, value) in [("--exit-code", code.as_str()), ("--outcome", row.state), ("--outcome", row.outcome)] {
            let args = ["task", "runs", row.task, option, value, "--json"];
            let mut asked = command("monitor");
            asked.args(args).env("MONITOR_SERVER_URL", server.url()).env("MONITOR_TOKEN", server.token());
            // A run that a user has ended has the outcome `fail` at the agent, and `cancelled` or `lost` at the server.
            let by_server = (value != "fail" || row.state == "failed").then(|| run(asked));
            for finished in by_server.into_iter().chain([run(agent.command(&args))]) {
                let found: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.stderr));
                assert_eq!(found["runs"].as_array().map(Vec::len), Some(1), "{args:?}: {found}");
            }
        }
        let counted = RefCell::new(Value::Null);
        wait_for(&format!("{} in statistics", row.task), || {
            counted.replace(server.get(&format!("/stats?name={}", row.task))["stats"][0].clone());
            (counted.borrow()["count"] == 1 && counted.borrow()[row.state] == 1).then_some(())
        });
    }
    let mut wanted: Vec<(&str, &str)> = ROWS.iter().filter_map(|row| Some((row.task, row.cause?))).collect();
    wanted.sort_unstable();
    let fired = wait_for("a message about each failure", || {
        let taken = hook.lock().messages.clone();
        let fired = taken.values().map(|copies| &copies[0]).filter(|message| message["kind"] == "fired");
        let mut fired: Vec<(String, String)> = fired.map(|message| (text(&message["subject"]["name"]), text(&message["cause"]))).collect();
        fired.sort();
        (fired.len() >= wanted.len()).then_some(fired)
    });
    assert!(fired.iter().map(|(task, cause)| (&task[..], &cause[..])).eq(wanted.iter().copied()), "{fired:?}");
    // The id of a mail contains the number of its alert: `<ALERT.NUMBER@…>`.
    let alert = |id: &str| id.trim_start_matches('<').split('.').next().map(str::to_owned);
    let told: BTreeSet<_> = hook.lock().messages.keys().map(|id| alert(id)).collect();
    wait_for("a mail about each of them", || {
        let mails: BTreeSet<_> = mail.taken().iter().map(|id| alert(id)).collect();
        (mails == told).then_some(())
    });
}

/// An assistant gets the same result, reason and error as the page shows.
fn explained(server: &Server, row: &Row, seen: &Value, process: &Value) {
    let (is_done, why) = server.tool("why_failed", &json!({"run": seen["root_id"]}));
    assert!(is_done && why["failed"] == (row.state != "cancelled"), "{}: {why:#}", row.task);
    let result = &why["batch_result"];
    let told = (&result["outcome"], result["result_code"].as_i64(), result["recorded"]["reason"].as_str());
    assert_eq!(told, (&json!(row.state), Some(row.code), row.reason), "{}: {why:#}", row.task);
    // The page shows the words of the process as well.
    let shown = if row.state == "cancelled" { &why["process"] } else { &why["failing_path"][0] };
    for key in ["exit_code", "signal", "state"] {
        assert_eq!(shown[key], process[key], "{}: {why:#}", row.task);
    }
    assert_eq!(shown["recorded"]["reason"], process["reason"], "{}: {why:#}", row.task);
    let root = server.get(&format!("/roots/{}", seen["root_id"].as_str().unwrap()));
    match row.state {
        "failed" => {
            let error = root["error"].as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
            assert_eq!(why["reason"]["recorded"], error.map(|(key, value)| (key.clone(), value.clone())).collect::<Value>(), "{why:#}");
        }
        "lost" => {
            let worker = server.get(&format!("/workers/{}", process["worker_id"].as_str().unwrap()));
            assert!(why["reason"].as_str().unwrap().contains("not known"), "{why:#}");
            assert_eq!((&why["worker"]["id"], &why["worker"]["state"]), (&worker["id"], &json!("lost")), "{why:#}");
            assert!(why["worker"]["lost"].is_string() && why["worker"]["recorded"]["hostname"] == worker["hostname"], "{why:#}");
        }
        _ => assert_eq!(why["reason"], Value::Null, "{why:#}"),
    }
}

#[test]
fn the_walk_and_the_documentation_have_the_same_results() {
    let (_, table) = include_str!("../../docs/reference/decisions.md").split_once("## Result codes").expect("the table");
    let table: Vec<&str> = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).collect();
    for row in ROWS.iter().filter(|row| (90..=97).contains(&row.code) || (125..=127).contains(&row.code)) {
        let code = if row.code >= 125 { "125 to 127".to_owned() } else { row.code.to_string() };
        let line = table.iter().find(|line| line.starts_with(&format!("| {code} |"))).unwrap_or_else(|| panic!("{}", row.code));
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let cause = row.cause.map_or("none".to_owned(), |cause| format!("`{cause}`"));
        assert!(cells[2].contains(&format!("`{}`", row.reason.unwrap())), "{}: {line}", row.task);
        assert_eq!((cells[4], cells[5]), (row.state, cause.as_str()), "{}: {line}", row.task);
    }
    // Another test compares this table with the table of monitor-tasks, which all programs use. `ROWS` has no row for `memory`, for the
    // reason given there.
    let reasons = table.iter().skip(2).filter_map(|line| line.split('|').nth(2));
    for reason in reasons.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|reason| *reason != "memory") {
        assert!(ROWS.iter().any(|row| row.reason == Some(reason)), "the walk doesn't go through {reason}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// State, result code and reason of a row's run at the server, and the run. Waits until they match the row. After the timeout, returns the
/// last state.
fn wait_for_run(server: &Server, row: &Row) -> ((String, Option<i64>, Option<String>), Value) {
    let last = RefCell::new(Value::Null);
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let told = |seen: &Value| (text(&seen["outcome"]), seen["result_code"].as_i64(), word(&seen["reason"]));
    wait_for(row.task, || {
        let seen = server.get(&format!("/batch-tasks/runs?task={}", row.task))["runs"][0].clone();
        last.replace(seen.clone());
        (told(&seen) == (row.state.to_owned(), Some(row.code), row.reason.map(str::to_owned))).then_some(())
    });
    let seen = last.into_inner();
    (told(&seen), seen)
}

/// A task that is due each second. Only the runs of `overlaps` are long enough to overlap.
fn each(task: &str) -> String {
    format!("shell = \"{}\"\nrules = [\"* * * * * *\"]\n", if task == "overlaps" { "sleep 1000" } else { "true" })
}

#[test]
fn each_way_not_to_begin_is_the_same_at_the_agent_at_the_server_and_in_alerts() {
    let (hook, folder) = (Receiver::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("alerts.toml");
    let rule = "[[rule]]\nname = \"all\"\non = { cause = [\"skipped\", \"missed\", \"failed\"] }\nto = [\"hook\"]\n";
    let channel = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n", hook.address);
    fs::write(&file, channel + rule).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    let rows = [
        ("overlaps", "", "skipped", "overlap"),
        ("quiet", "quiet = [\"00:00-12:00\", \"12:00-00:00\"]", "skipped", "quiet"),
        ("locked", "lock = \"db\"\nstart-within = \"500ms\"", "skipped", "lock"),
        ("paused", "", "skipped", "paused"),
        ("away", "missed = \"skip\"", "missed", "agent-down"),
    ];
    let tasks: Vec<(&str, String)> = rows.iter().map(|(task, more, ..)| (*task, format!("{}{more}", each(task)))).collect();
    let mut tasks: Vec<(&str, &str)> = tasks.iter().map(|(task, text)| (*task, &text[..])).collect();
    let holds = "shell = \"sleep 1000\"\nlock = \"db\"";
    let retried = "shell = \"exit 7\"\nretry = { times = 1, backoff = \"10ms\" }";
    let replaced = "shell = \"sleep 1000\"\noverlap = \"replace\"";
    // `locked` is defined later, so that `holds` gets the lock first.
    tasks.retain(|(task, _)| *task != "locked");
    tasks.extend([("holds", holds), ("retried", retried), ("replaced", replaced)]);
    let mut agent = Agent::start_for(&server, &tasks);
    wait_for("all tasks", || (agent.log().matches("a task is new or has changed").count() == tasks.len()).then_some(()));
    agent.done(&["run", "holds"]);
    wait_for("the lock's holder", || agent.runs("holds").first()?["started_us"].is_u64().then_some(()));
    agent.define("locked", &format!("{}{}", each("locked"), rows[2].1));
    agent.done(&["pause", "paused"]);
    let decided = |agent: &Agent, (task, _, what, reason): (&str, &str, &str, &str)| {
        let is_told = || agent.decisions(what, task).iter().any(|told| told.0 == reason).then_some(());
        wait_for(&format!("{task}: {what}, {reason}, at the agent"), is_told);
    };
    rows.iter().filter(|row| row.2 == "skipped").for_each(|row| decided(&agent, *row));

    // A run with two attempts, and a run that the next run replaces.
    agent.done(&["run", "retried"]);
    agent.done(&["run", "replaced"]);
    wait_for("the run to be replaced", || agent.runs("replaced").first()?["started_us"].is_u64().then_some(()));
    agent.done(&["run", "replaced"]);
    let outcomes = |of: &[Value]| of.iter().map(|run| (text(&run["outcome"]), run["result_code"].as_i64())).collect::<Vec<_>>();
    let attempts = agent.ended("retried", 2);
    assert_eq!(outcomes(&attempts), [("retry".to_owned(), Some(7)), ("fail".to_owned(), Some(7))]);
    let replaced = wait_for("the end of the one that is replaced", || {
        let first = agent.runs("replaced").remove(0);
        first["ended_us"].is_u64().then_some(first)
    });
    assert_eq!((&replaced["result_code"], &replaced["reason"]), (&json!(92), &json!("killed")), "{replaced}");
    let at_server = |task: &str, id: &Value| {
        let runs = server.get(&format!("/batch-tasks/runs?task={task}"))["runs"].clone();
        runs.as_array().unwrap().iter().find(|run| run["run"] == *id).cloned().unwrap_or_default()
    };
    for (task, run, state, code) in
        [("retried", &attempts[0], "failed", 7), ("retried", &attempts[1], "failed", 7), ("replaced", &replaced, "cancelled", 92)]
    {
        let seen = || Some(at_server(task, &run["id"])).filter(|seen| seen["outcome"] == state && seen["result_code"] == code).map(drop);
        wait_for(&format!("{task} at the server, {state}: {run}"), seen);
    }

    // No due time gets a decision while the agent is away.
    let away = rows[4];
    agent.ended(away.0, 1);
    agent.kill();
    let killed = Instant::now();
    wait_for("due times to pass", || (killed.elapsed() > Duration::from_secs(3)).then_some(()));
    agent.start_again();
    decided(&agent, away);
    for (task, _, what, reason) in rows {
        let explained = |text: &Value| {
            let due = text["due"].as_array().into_iter().flatten();
            due.filter(|due| due["decision"] == what && due["reason"] == reason).count()
        };
        wait_for(&format!("{task}: {what}, {reason}, at the server"), || {
            (explained(&server.get(&format!("/batch-tasks/{task}/explain"))) > 0).then_some(())
        });
        let args = ["task", "explain", task, "--json"];
        let mut asked = command("monitor");
        asked.args(args).env("MONITOR_SERVER_URL", server.url()).env("MONITOR_TOKEN", server.token());
        for finished in [run(asked), run(agent.command(&args))] {
            let told: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.stderr));
            assert!(explained(&told) > 0, "{task}: {told:#}");
        }
        wait_for(&format!("a message that {task} was {what}"), || {
            let taken = hook.lock().messages.clone();
            let about = |message: &&Value| message["subject"]["name"] == task && message["cause"] == what;
            let message = taken.values().map(|copies| &copies[0]).find(about)?.clone();
            assert_eq!(message["facts"]["reason"], reason, "{message:#}");
            Some(())
        });
    }
    // Both attempts raise a single alert, and the replaced run raises none.
    let taken = hook.lock().messages.clone();
    let failed = taken.values().map(|copies| &copies[0]).filter(|message| message["cause"] == "failed" && message["kind"] == "fired");
    assert!(failed.map(|message| text(&message["subject"]["name"])).eq(["retried"]), "{taken:#?}");
}

#[test]
fn a_run_that_takes_longer_than_its_timeout_alerts_and_runs_on() {
    let (hook, folder) = (Receiver::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("alerts.toml");
    let channel = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n", hook.address);
    fs::write(&file, format!("{channel}[[rule]]\nname = \"slow\"\non = {{ cause = [\"timeout\"] }}\nto = [\"hook\"]\n")).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    let agent = Agent::start_for(
        &server,
        &[("gold", "shell = \"until [ -e ../../../go ]; do sleep 0.05; done\"\ntimeout = \"1s\"\nkill-after = \"1h\"")],
    );
    agent.wait_for_log("a task is new or has changed");
    agent.done(&["run", "gold"]);
    let told = |kind: &str| {
        wait_for(kind, || hook.lock().messages.values().map(|copies| copies[0].clone()).find(|message| message["kind"] == kind))
    };
    let fired = told("fired");
    assert_eq!((&fired["cause"], &fired["subject"]["name"]), (&json!("timeout"), &json!("gold")), "{fired:#}");
    assert!(agent.runs("gold")[0]["ended_us"].is_null(), "it runs on");
    fs::write(agent.path("go"), "").unwrap();
    told("resolved");
    assert_eq!(agent.ended("gold", 1)[0]["outcome"], "ok");
}

#[test]
fn notifications_of_a_run_reach_its_owners_with_task_run_and_machine() {
    let ([ada, bob, admins], folder) = ([(); 3].map(|()| Receiver::start()), tempfile::tempdir().unwrap());
    let file = folder.path().join("alerts.toml");
    let channel = |name: &str, to: &Receiver| {
        format!("[channel.{name}]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\nrate = 1000\n", to.address)
    };
    fs::write(&file, channel("ada", &ada) + &channel("bob", &bob) + &channel("admins", &admins)).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    let monitor = command("monitor").get_program().to_owned();
    let shell = format!("{} notify --severity critical --key $MONITOR_RUN_ID \"prices are missing\"", monitor.to_string_lossy());
    let agent = Agent::start_for(&server, &[("gold", &format!("shell = '{shell}'\nowner = [\"ada\", \"bob\"]"))]);
    agent.wait_for_log("a task is new or has changed");
    let env = format!("env = {{ MONITOR_SERVER_URL = \"{}\" }}", server.url());
    agent.define("gold", &format!("shell = '{shell}'\nowner = [\"ada\", \"bob\"]\n{env}"));
    agent.wait_for_log("version=2");
    wait_for("the task at the server", || (server.get("/batch-tasks")["tasks"][0]["version"] == 2).then_some(()));
    let run = agent.done(&["run", "gold"]);
    let taken = |of: &Receiver| of.lock().messages.values().map(|copies| copies[0].clone()).next();
    let fired = wait_for("the message", || taken(&ada).or_else(|| taken(&admins)));
    let told = (&fired["cause"], &fired["to"], &fired["severity"]);
    assert_eq!(told, (&json!("notified"), &json!(["ada", "bob"]), &json!("critical")), "{fired:#}");
    wait_for("the other owner's message", || taken(&bob));
    assert_eq!((&fired["facts"]["run"], &fired["facts"]["path"]), (&json!(run), &json!(["gold"])), "{fired:#}");
    let text = fired["text"].as_str().unwrap();
    assert!(fired["facts"]["machine"].is_string() && text.contains(&run) && text.contains("Machine: "), "{text}");
}
