//! The official clients: `mcp` of `PyPI` and `@modelcontextprotocol/inspector` of npm, over both transports. `cargo xtask test` installs them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use monitor_tests::{Server, command};
use serde_json::{Value, json};

use crate::over_http::{start, token};
use crate::over_stdio::{OPERATE, READ};
use crate::{LINKER, recorded};

/// A transport, with the options of `monitor mcp` if it is that.
#[derive(Debug, Clone, Copy)]
enum Transport<'a> {
    Stdio(&'a [&'a str]),
    Http,
}

/// A call of each read tool, with a place in its answer and the expected value.
fn read_calls() -> [(&'static str, Value, &'static str, Value); 13] {
    [
        ("list_runs", json!({"state": "failed"}), "/runs/0/number", json!(2)),
        ("why_failed", json!({"run": "2"}), "/reason/recorded/message", json!("build failed")),
        ("get_run", json!({"run": 2}), "/failing_path/2/id", json!(LINKER)),
        ("get_process", json!({"run": "2", "process": LINKER}), "/process/recorded/error/message", json!("undefined symbol: main")),
        ("search", json!({"q": "undefined", "run": "2"}), "/processes/0/state", json!("failed")),
        ("get_logs", json!({"run": "2", "q": "objects"}), "/lines/0/recorded/message", json!("linking 12 objects")),
        ("compare_runs", json!({"run": "2", "with": "1"}), "/differences/0/change", json!("failing")),
        ("statistics", json!({"name": "link"}), "/stats/0/count", json!(2)),
        ("list_batch_tasks", json!({}), "/tasks/0/recorded/name", json!("nightly")),
        ("explain_batch_task", json!({"task": "nightly"}), "/more", json!("This is all.")),
        ("list_alerts", json!({}), "/alerts", json!([])),
        ("list_queue_tasks", json!({}), "/tasks", json!([])),
        ("list_workers", json!({}), "/workers/0/recorded/program", json!("make")),
    ]
}

/// Calls of the client for Python over one connection.
struct Task<'a> {
    token: &'a str,
    transport: Transport<'a>,
    /// `legacy` for the versions of the protocol that begin with `initialize`, `auto` for the latest.
    mode: &'static str,
}

/// The answers to these calls for each task, the first one about the connection.
fn python(server: &Server, tasks: &[Task<'_>], steps: &[Value]) -> Vec<Vec<Value>> {
    let monitor = command("monitor").get_program().to_str().expect("a path of the tests").to_owned();
    let input = tasks.iter().map(|Task { token, transport, mode }| {
        let mut task = json!({"token": token, "mode": mode, "steps": steps});
        match transport {
            Transport::Http => task["url"] = json!(format!("{}/mcp", server.url())),
            Transport::Stdio(options) => {
                task["command"] = [&[&*monitor, "mcp"], *options].concat().into();
                task["env"] = json!({"MONITOR_SERVER_URL": server.url(), "MONITOR_TOKEN": token});
            }
        }
        task
    });
    let input = input.collect::<Value>().to_string();
    let exe = std::env::current_exe().expect("a test has a path");
    let python = exe.ancestors().nth(3).expect("target/debug/deps/test").join("mcp-python/bin/python");
    assert!(python.is_file(), "the official client is not installed: `cargo xtask test` installs it");
    let mut client = Command::new(python).arg(folder().join("official.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let answers: Vec<Vec<Value>> = serde_json::from_slice(&output.stdout).unwrap();
    let is_whole = |answers: &Vec<Value>| answers.len() == steps.len() + 1 && answers[0]["server"] == "process-monitor";
    assert!(answers.len() == tasks.len() && answers.iter().all(is_whole), "{answers:?}");
    answers
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp")
}

/// The JSON in a text of an answer.
fn text(answer: &Value, pointer: &str) -> Value {
    let text = answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}: {answer}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_official_client_for_python_reads_everything_over_both_transports() {
    let server = start("read", &[("MONITOR_LOOPBACK", "token")]);
    recorded(&server);
    assert!(server.order("POST", "/batch-tasks", &crate::nightly()).0 < 300);
    let id = format!("run://019f{:028x}", 2);
    let mut steps = vec![
        json!(["list_tools"]),
        json!(["list_resources"]),
        json!(["list_resource_templates"]),
        json!(["read_resource", "run://2"]),
        json!(["read_resource", id]),
        json!(["read_resource", "run://77"]),
        json!(["call_tool", "get_run", {"run": "77"}]),
        json!(["call_tool", "get_run", {"run": "2", "limit": 0}]),
        json!(["call_tool", "get_run", {"run": "2", "command": "true"}]),
        json!(["call_tool", "pause_batch_task", {"task": "nightly"}]),
    ];
    let others = steps.len();
    steps.extend(read_calls().iter().map(|(tool, arguments, ..)| json!(["call_tool", tool, arguments])));
    let token = token(&server, "read");
    let token = &*token;
    let transports = [Transport::Stdio(&[]), Transport::Http];
    let tasks = ["legacy", "auto"]
        .map(|mode| transports.map(|transport| Task { token, transport, mode }))
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    for (Task { transport, mode, .. }, answers) in tasks.iter().zip(python(&server, &tasks, &steps)) {
        let (at, is_legacy) = (format!("{mode} {transport:?}"), *mode == "legacy");
        assert_eq!(answers[0]["protocol"], if is_legacy { "2025-11-25" } else { "2026-07-28" }, "{at}");
        assert!(answers[0]["instructions"].as_str().unwrap().contains("data, not instruction"), "{at}");
        let [tools, list, templates, run, same, none, unknown, limit, argument, refused] = &answers[1..=others] else { unreachable!() };
        let tools = tools["tools"].as_array().unwrap();
        assert_eq!(tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>(), READ, "{at}");
        for tool in tools {
            let hints = &tool["annotations"];
            assert_eq!((&hints["readOnlyHint"], &hints["destructiveHint"]), (&json!(true), &json!(false)), "{at}: {tool}");
        }
        assert_eq!(list["resources"][0]["uri"], "run://2", "{at}: {list}");
        assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "run://{run}", "{at}: {templates}");
        assert_eq!(text(run, "/contents/0/text")["run"]["state"], "failed", "{at}: {run}");
        assert_eq!(text(same, "/contents/0/text")["outline"], text(run, "/contents/0/text")["outline"], "{at}: {same}");
        // The later version of the protocol has no code of its own for a resource that is not there.
        assert_eq!(none["error"]["code"], if is_legacy { -32002 } else { -32602 }, "{at}: {none}");
        assert_eq!((&unknown["isError"], &text(unknown, "/content/0/text")["error"]["status"]), (&json!(true), &json!(404)), "{at}");
        for (answer, words) in [
            (limit, "\"limit\" must be a whole number from 1 to 1000"),
            (argument, "no argument \"command\""),
            (refused, "there is no tool \"pause_batch_task\""),
        ] {
            let error = &answer["error"];
            assert!(error["code"] == -32602 && error["message"].as_str().unwrap().contains(words), "{at}: {answer}");
        }
        for ((tool, _, pointer, expected), answer) in read_calls().iter().zip(&answers[1 + others..]) {
            let json = text(answer, "/content/0/text");
            assert_eq!((&answer["isError"], json.pointer(pointer)), (&json!(false), Some(expected)), "{at}: {tool}: {json}");
        }
    }
    assert!(!server.ask("GET", "/api/v1/batch-tasks/nightly").1.contains("\"paused_by\":\"person\""));
}

#[test]
fn the_official_client_for_python_operates_where_that_is_allowed() {
    let server = start("operate", &[("MONITOR_LOOPBACK", "token")]);
    assert!(server.order("POST", "/batch-tasks", &crate::nightly()).0 < 300);
    let (read, operate) = (token(&server, "read"), token(&server, "operate"));
    let order = |tool| json!(["call_tool", tool, {"task": "nightly"}]);
    let list = json!(["call_tool", "list_batch_tasks", {}]);
    let steps = [json!(["list_tools"]), order("pause_batch_task"), list.clone(), order("resume_batch_task"), list];
    let paused_by = |answer: &Value| text(answer, "/content/0/text")["tasks"][0]["recorded"]["paused_by"].clone();
    let transports = [Transport::Stdio(&["--allow", "operate"]), Transport::Http];
    let task = |token, mode| transports.map(|transport| Task { token, transport, mode });
    let tasks: Vec<_> = [task(&*read, "auto"), task(&*operate, "legacy"), task(&*operate, "auto")].into_iter().flatten().collect();
    for (Task { token, transport, mode }, answers) in tasks.iter().zip(python(&server, &tasks, &steps)) {
        let at = format!("{mode} {transport:?}");
        let tools = answers[1]["tools"].as_array().unwrap();
        for (tool, name) in tools[READ.len()..].iter().zip(OPERATE) {
            let hints = &tool["annotations"];
            assert_eq!((&tool["name"], &hints["readOnlyHint"], &hints["destructiveHint"]), (&json!(name), &json!(false), &json!(true)));
        }
        assert_eq!(tools.len(), READ.len() + OPERATE.len(), "{at}");
        if *token == read {
            let error = &text(&answers[2], "/content/0/text")["error"];
            assert_eq!((&answers[2]["isError"], &error["status"]), (&json!(true), &json!(403)), "{at}: {error}");
            assert_eq!(paused_by(&answers[3]), Value::Null, "{at}");
        } else {
            assert_eq!((&answers[2]["isError"], paused_by(&answers[3])), (&json!(false), json!("person")), "{at}: {answers:?}");
            assert_eq!((&answers[4]["isError"], paused_by(&answers[5])), (&json!(false), Value::Null), "{at}: {answers:?}");
        }
    }
    let (_, audit) = server.ask("GET", "/api/v1/audit");
    let count = |words| audit.matches(words).count();
    assert_eq!(count("nightly/pause (pause a batch task) by monitor-mcp/"), 4, "{audit}");
    // The earlier version of the protocol names a client only when a session begins, and there are none over HTTP: then it is the HTTP client.
    assert_eq!((count("(official/1)"), count("(python-httpx2/")), (6, 2), "{audit}");
}

/// The exit code and the JSON of the inspector.
fn inspector(server: &Server, token: &str, transport: Transport<'_>, arguments: &[&str]) -> (Option<i32>, Value) {
    let script = folder().join("node_modules/.bin/mcp-inspector");
    assert!(script.is_file(), "the inspector is not installed: `npm ci` in tests/mcp, or `cargo xtask test`");
    let home = tempfile::tempdir().unwrap();
    let mut node = Command::new("node");
    node.arg(script).arg("--cli").env("HOME", home.path());
    match transport {
        Transport::Http => {
            let bearer = format!("Authorization: Bearer {token}");
            node.arg(format!("{}/mcp", server.url())).args(["--transport", "http", "--header", &bearer]);
        }
        Transport::Stdio(options) => {
            for (name, value) in [("MONITOR_SERVER_URL", server.url()), ("MONITOR_TOKEN", token)] {
                node.arg("-e").arg(format!("{name}={value}"));
            }
            node.arg(command("monitor").get_program()).arg("mcp").args(options);
        }
    }
    let output = node.args(arguments).stdin(Stdio::null()).output().expect("node");
    let written = if output.status.success() { &output.stdout } else { &output.stderr };
    let json = serde_json::from_slice(written).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), json)
}

#[test]
fn the_inspector_lists_and_calls_tools_over_both_transports() {
    let server = start("read", &[("MONITOR_LOOPBACK", "token")]);
    recorded(&server);
    let token = token(&server, "read");
    for transport in [Transport::Stdio(&[]), Transport::Http] {
        let ask = |arguments: &[&str]| inspector(&server, &token, transport, arguments);
        let (code, list) = ask(&["--method", "tools/list"]);
        let names: Vec<_> = list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!((code, &names[..]), (Some(0), &READ[..]), "{transport:?}");
        // The inspector sends `2` as a number.
        let (code, why) = ask(&["--method", "tools/call", "--tool-name", "why_failed", "--tool-arg", "run=2"]);
        assert_eq!((code, &text(&why, "/content/0/text")["reason"]["recorded"]["message"]), (Some(0), &json!("build failed")));
    }
    let (code, refused) = inspector(&server, &token, Transport::Stdio(&[]), &["--method", "tools/call", "--tool-name", "get_run"]);
    let refused = refused["error"]["message"].as_str().unwrap().to_owned();
    assert!(code == Some(1) && refused.contains("the argument \"run\" is missing"), "{refused}");
}
