//! Tools that change something, as an assistant calls them at `/mcp`: on a real agent, about a real alert.

use std::ffi::OsString;
use std::fs;

use monitor_tests::{Server, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;

/// Calls a tool, which must succeed.
fn call(server: &Server, tool: &str, arguments: &Value) -> Value {
    let (is_done, answer) = server.tool(tool, arguments);
    assert!(is_done, "{tool}: {answer:#}");
    answer
}

#[test]
fn an_assistant_pauses_runs_and_resumes_tasks_and_acknowledges_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.toml");
    fs::write(&file, "[[rule]]\nname = \"failed\"\non = { cause = [\"failed\"], task = \"gold\" }\nto = []\n").unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file)), ("MONITOR_MCP", "operate".into())]);
    let agent = Agent::of_server(&server, "db-1", &[]);
    let gold = json!({"name": "gold", "shell": "echo no prices >&2; exit 7", "on": ["db-1"]});
    let each = json!({"name": "each", "shell": "true", "rules": ["* * * * * *"], "on": ["db-1"]});
    assert!([gold, each].iter().all(|task| server.order("POST", "/batch-tasks", task).0 == 201));
    agent.ended("each", 1);

    call(&server, "pause_batch_task", &json!({"task": "each"}));
    wait_for("due times to be skipped", || agent.decisions("skipped", "each").iter().any(|told| told.0 == "paused").then_some(()));
    let paused = call(&server, "list_batch_tasks", &json!({"q": "each"}));
    assert_eq!(
        (&paused["tasks"][0]["status"], &paused["tasks"][0]["recorded"]["paused_by"]),
        (&json!("paused"), &json!("person")),
        "{paused:#}"
    );
    let before = agent.runs("each").len();
    call(&server, "resume_batch_task", &json!({"task": "each"}));
    agent.ended("each", before + 1);

    let ran = call(&server, "run_batch_task", &json!({"task": "gold"}));
    assert!(ran["answer"]["counts"].is_object(), "{ran:#}");
    assert_eq!(agent.ended("gold", 1)[0]["result_code"], 7);
    let alert = wait_for("the alert", || {
        let alerts = call(&server, "list_alerts", &json!({"state": "firing"}));
        alerts["alerts"].get(0).cloned()
    });
    let failed = call(&server, "list_runs", &json!({"state": "failed"}));
    let why = call(&server, "why_failed", &json!({"run": failed["runs"][0]["number"]}));
    assert_eq!((&why["reason"]["recorded"]["message"], &why["reason"]["recorded"]["code"]), (&json!("no prices"), &json!(7)), "{why:#}");
    let id = alert["id"].as_u64().unwrap_or_else(|| panic!("{alert:#}"));
    let acknowledged = call(&server, "acknowledge_alert", &json!({ "alert": id }));
    let by = server.get("/alerts")["alerts"][0]["acknowledged_by"].clone();
    assert!(by.is_string() && acknowledged["alert"]["recorded"]["acknowledged_by"] == by, "{acknowledged:#}");

    let (_, audit) = server.ask("GET", "/api/v1/audit?limit=1000");
    let audit: Value = serde_json::from_str(&audit).unwrap();
    for action in ["pause a batch task", "resume a batch task", "run a batch task", "acknowledge an alert"] {
        let by = |entry: &&Value| entry["action"].as_str().is_some_and(|text| text.contains(&format!("({action}) by monitor-mcp/")));
        let entry = audit["entries"].as_array().unwrap().iter().find(by).unwrap_or_else(|| panic!("{action}: {audit:#}"));
        assert!(entry["action"].as_str().unwrap().contains("(assistant/1)"), "{entry}");
        assert!(entry["outcome"].as_str().unwrap().starts_with("done"), "{entry}");
    }
}
