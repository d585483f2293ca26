//! The tools, the resources and the errors of the protocol over standard input and output.

use monitor_tests::Server;
use serde_json::{Value, json};

use crate::client::Client;
use crate::{LINKER, recorded};

pub(crate) const READ: [&str; 13] = [
    "list_runs",
    "why_failed",
    "get_run",
    "get_process",
    "search",
    "get_logs",
    "compare_runs",
    "statistics",
    "list_batch_tasks",
    "explain_batch_task",
    "list_alerts",
    "list_queue_tasks",
    "list_workers",
];
pub(crate) const OPERATE: [&str; 6] =
    ["run_batch_task", "pause_batch_task", "resume_batch_task", "cancel_run", "acknowledge_alert", "retry_queue_task"];

fn names(answer: &Value) -> Vec<&str> {
    answer["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[test]
fn two_calls_show_why_a_run_failed() {
    let server = Server::start();
    recorded(&server);
    let mut client = Client::start(&server, &[]);
    let runs = client.call("list_runs", &json!({"state": "failed"}));
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
    let number = runs["runs"][0]["number"].to_string();
    let why = client.call("why_failed", &json!({"run": number}));
    // The reason of the API, which lists and the page also show.
    let root = server.get(&format!("/roots/{number}"));
    assert_eq!(why["reason"]["recorded"], root["error"], "{why}");
    assert_eq!(root["error"]["message"], "build failed");
    let path: Vec<_> = why["failing_path"].as_array().unwrap().iter().map(|step| step["recorded"]["name"].as_str().unwrap()).collect();
    assert_eq!(path, ["build", "compile", "link"]);
    assert_eq!((&why["log_of"], &why["log_tail"][2]["recorded"]["message"]), (&json!(LINKER), &json!("ld: undefined symbol: main")));
    assert_eq!((&why["last_good_run"]["state"], &why["last_good_run"]["number"]), (&json!("succeeded"), &json!(1)));
    let changes: Vec<_> = why["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["change"].as_str().unwrap(), row["recorded"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, [("failing", "link"), ("failing", "build"), ("failing", "compile"), ("slower", "clean up")]);
    assert_eq!(why["page"], format!("{}/tasks/{number}", server.url()));
    assert_eq!(client.end(), Some(0));
}

#[test]
fn every_read_tool_answers() {
    let server = Server::start();
    recorded(&server);
    let task = crate::nightly();
    let (status, answer) = server.order("POST", "/batch-tasks", &task);
    assert!(status < 300, "{status} {answer}");
    let mut client = Client::start(&server, &[]);
    let run = client.call("get_run", &json!({"run": "2"}));
    assert_eq!((run["failing_path"][2]["id"].clone(), run["outline"].as_array().unwrap().len()), (json!(LINKER), 4), "{run}");
    let page = client.call("get_run", &json!({"run": "2", "limit": 1}));
    let cursor =
        page["more"].as_str().unwrap().split("cursor \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a cursor").to_owned();
    assert_eq!(client.call("get_run", &json!({"run": "2", "limit": 1, "cursor": cursor}))["outline"][0]["recorded"]["name"], "compile");
    assert!(client.call("why_failed", &json!({"run": "1"}))["failed"] == false);
    let process = client.call("get_process", &json!({"run": "2", "process": LINKER}));
    assert_eq!(process["process"]["recorded"]["error"]["message"], "undefined symbol: main");
    let found = client.call("search", &json!({"q": "undefined symbol", "days": 3_000}));
    assert_eq!((found["processes"].as_array().unwrap().len(), found["processes"][0]["state"].as_str()), (2, Some("failed")), "{found}");
    assert_eq!(client.call("search", &json!({"q": "link", "run": "1"}))["processes"].as_array().unwrap().len(), 1);
    let logs = client.call("get_logs", &json!({"run": "2", "q": "objects"}));
    assert_eq!(logs["lines"][0]["recorded"]["message"], "linking 12 objects");
    assert_eq!(client.call("get_logs", &json!({"run": "2", "limit": 1}))["lines"][0]["recorded"]["message"], "ld: undefined symbol: main");
    let compared = client.call("compare_runs", &json!({"run": "1", "with": "2"}));
    assert_eq!(compared["differences"][0]["change"], "mended", "{compared}");
    assert_eq!(client.call("compare_runs", &json!({"run": "2"}))["compared_with"]["number"], 1);
    let statistics = client.call("statistics", &json!({"name": "link"}));
    assert_eq!((&statistics["stats"][0]["count"], &statistics["stats"][0]["failed"]), (&json!(2), &json!(1)), "{statistics}");
    assert_eq!(client.call("statistics", &json!({"what": "errors", "name": "link"}))["errors"].as_array().unwrap().len(), 1);
    let tasks = client.call("list_batch_tasks", &json!({}));
    assert_eq!(tasks["tasks"][0]["recorded"]["name"], "nightly", "{tasks}");
    assert!(client.call("explain_batch_task", &json!({"task": "nightly"}))["due"].is_array());
    assert!(client.call("list_alerts", &json!({"state": "firing"}))["alerts"].is_array());
    assert!(client.call("list_queue_tasks", &json!({}))["tasks"].is_array());
    assert_eq!(client.call("list_workers", &json!({}))["workers"][0]["recorded"]["program"], "make");
    for (tool, arguments) in
        [("get_run", json!({"run": "77"})), ("get_run", json!({"run": ".."})), ("explain_batch_task", json!({"task": "no such"}))]
    {
        let (failed, text) = client.call_text(tool, &arguments);
        assert!(failed && text.contains("\"detail\""), "{text}");
    }
}

#[test]
fn runs_are_resources() {
    let server = Server::start();
    recorded(&server);
    let mut client = Client::start(&server, &[]);
    let list = client.request("resources/list", &json!({}));
    let first = &list["result"]["resources"][0];
    assert_eq!((&first["uri"], &first["name"]), (&json!("run://2"), &json!("run 2")), "{list}");
    let templates = client.request("resources/templates/list", &json!({}));
    assert_eq!(templates["result"]["resourceTemplates"][0]["uriTemplate"], "run://{run}", "{templates}");
    let read = client.request("resources/read", &json!({"uri": "run://2"}));
    let text: Value = serde_json::from_str(read["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text["run"]["state"], "failed");
    for uri in ["run://77", "run://", "file:///etc/passwd"] {
        let answer = client.request("resources/read", &json!({ "uri": uri }));
        assert!(answer["error"]["code"].is_i64(), "{answer}");
    }
}

#[test]
fn tools_that_change_something_exist_only_if_that_is_allowed() {
    let server = Server::start();
    let mut client = Client::start(&server, &[]);
    let list = client.request("tools/list", &json!({}));
    assert_eq!(names(&list), READ);
    assert!(list["result"]["tools"].as_array().unwrap().iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
    let refused = client.request("tools/call", &json!({"name": "cancel_run", "arguments": {"run": "1"}}));
    assert!(refused["error"]["message"].as_str().unwrap().contains("there is no tool \"cancel_run\""), "{refused}");

    let (status, _) = server.order("POST", "/batch-tasks", &crate::nightly());
    assert!(status < 300, "{status}");
    let mut client = Client::start(&server, &["--allow", "operate"]);
    let list = client.request("tools/list", &json!({}));
    assert_eq!(names(&list), READ.iter().chain(&OPERATE).copied().collect::<Vec<_>>());
    let tools = list["result"]["tools"].as_array().unwrap();
    assert!(
        tools[READ.len()..]
            .iter()
            .all(|tool| tool["annotations"]["destructiveHint"] == true && tool["annotations"]["readOnlyHint"] == false)
    );
    client.call("pause_batch_task", &json!({"task": "nightly"}));
    assert_eq!(server.get("/batch-tasks/nightly")["paused_by"], "person");
    client.call("resume_batch_task", &json!({"task": "nightly"}));
    assert_eq!(server.get("/batch-tasks/nightly")["paused_by"], Value::Null);
    let (_, audit) = server.ask("GET", "/api/v1/audit");
    for done in ["pause (pause a batch task) by monitor-mcp/", "resume (resume a batch task) by monitor-mcp/", "(hand-written/7)"] {
        assert!(audit.contains(done), "{done}: {audit}");
    }
    // No agent, run, alert or task of this name: the tool returns the error of the API.
    for (tool, arguments) in [
        ("retry_queue_task", json!({"task": "no such"})),
        ("cancel_run", json!({"run": "77"})),
        ("acknowledge_alert", json!({"alert": 77})),
        ("pause_batch_task", json!({"task": "no such"})),
    ] {
        let (failed, text) = client.call_text(tool, &arguments);
        assert!(failed, "{tool}: {text}");
    }
    // The agent is not connected: the order waits for it.
    let run = client.call("run_batch_task", &json!({"task": "nightly"}));
    assert_eq!(run["answer"]["counts"]["waiting"], 1, "{run}");
}

#[test]
fn a_token_that_may_only_read_changes_nothing() {
    let server = Server::start();
    server.order("POST", "/batch-tasks", &crate::nightly());
    let token = crate::over_http::token(&server, "read");
    let mut client = Client::start_raw(server.url(), Some(&token), &["--allow", "operate"]);
    client
        .request("initialize", &json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}));
    client.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let (failed, text) = client.call_text("pause_batch_task", &json!({"task": "nightly"}));
    assert!(failed && text.contains("\"status\":403") && text.contains("operate"), "{text}");
    assert_eq!(server.get("/batch-tasks/nightly")["paused_by"], Value::Null);
}

#[test]
fn malformed_messages_are_refused_and_the_next_request_is_answered() {
    let server = Server::start();
    recorded(&server);
    let mut client = Client::start(&server, &[]);
    // A line that is not JSON, or longer than a message may be, gets no answer, because its id can't be read.
    client.line("{\"jsonrpc\": \"2.0\", \"id\": 1, ");
    client.line("nonsense");
    client.line(&"x".repeat(3 << 20));
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for line in ["[1, 2]", "{}", &format!("[{ping}, {ping}]"), &ping.replace("2.0", "1.0"), &ping.replace(":1,", ":{},")] {
        client.line(line);
        let answer = client.read();
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &Value::Null), "{line}: {answer}");
    }
    for (method, params, code) in [
        ("no/such/method", json!({}), -32601),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({"name": 7}), -32602),
        ("tools/call", json!({"name": "get_run", "arguments": "run"}), -32602),
        ("resources/read", json!({"uri": 7}), -32602),
        ("tools/call", json!({"name": "no_such_tool", "arguments": {}}), -32602),
        ("tools/call", json!({"name": "get_run"}), -32602),
        ("tools/call", json!({"name": "get_run", "arguments": {"run": true}}), -32602),
        ("tools/call", json!({"name": "get_run", "arguments": {"run": ""}}), -32602),
        ("tools/call", json!({"name": "get_run", "arguments": {"run": "x".repeat(2_001)}}), -32602),
        ("tools/call", json!({"name": "get_run", "arguments": {"run": "1", "limit": 0}}), -32602),
        ("tools/call", json!({"name": "get_run", "arguments": {"run": "1", "limit": "many"}}), -32602),
        ("tools/call", json!({"name": "get_run", "arguments": {"run": "1", "command": "rm"}}), -32602),
        ("tools/call", json!({"name": "get_run", "arguments": {"run": "1", "max_characters": 100_001}}), -32602),
        ("tools/call", json!({"name": "get_logs", "arguments": {"run": "1", "order": "sideways"}}), -32602),
    ] {
        let answer = client.request(method, &params);
        assert_eq!(answer["error"]["code"], code, "{method} {params}: {answer}");
    }
    assert_eq!(client.call("list_runs", &json!({}))["runs"].as_array().unwrap().len(), 2);
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_connection_follows_the_protocol_or_the_error_names_a_missing_field() {
    let server = Server::start();
    let mut client = Client::start_raw(server.url(), Some(&server.token()), &[]);
    for (method, params) in [("tools/list", json!({})), ("initialize", json!({}))] {
        let answer = client.request(method, &params);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(answer["error"]["code"] == -32602 && message.contains("protocolVersion"), "{method}: {answer}");
    }
    // A client of a version that does not exist gets one that does.
    let params = json!({"protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    let answer = client.request("initialize", &params);
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
    client.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert!(client.call("list_runs", &json!({}))["runs"].is_array());
    assert_eq!(client.end(), Some(0));
}

#[test]
fn without_a_server_the_answer_reports_it_as_unreachable() {
    let mut client = Client::start_raw("http://127.0.0.1:9", None, &[]);
    client
        .request("initialize", &json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}));
    client.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let (failed, text) = client.call_text("list_runs", &json!({}));
    assert!(failed && text.contains("was not reached"), "{text}");
}
