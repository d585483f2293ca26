//! `/mcp` of the server: streamable HTTP with the tokens, scopes and checks of the API.

use std::ffi::OsString;

use monitor_tests::{Server, command};
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

use crate::recorded;

/// A token of this scope.
pub(crate) fn token(server: &Server, scope: &str) -> String {
    let made = command("monitor").args(["token", "create", scope, "--scope", scope, "--data"]).arg(server.data()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().split_whitespace().last().expect("a token").to_owned()
}

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Posts a request with these headers.
fn post(server: &Server, headers: &[(&str, &str)], body: String) -> Response {
    post_to(&format!("{}/mcp", server.url()), headers, body)
}

/// Posts a request with these headers to this address.
pub(crate) fn post_to(url: &str, headers: &[(&str, &str)], body: String) -> Response {
    send("POST", url, &[&[ACCEPT, JSON, ("user-agent", "test-client/3")], headers].concat(), body)
}

/// Sends a request with no headers but these.
fn send(method: &str, url: &str, headers: &[(&str, &str)], body: String) -> Response {
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.request(method.parse().unwrap(), url);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body).send().unwrap()
}

fn rpc(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

fn call(server: &Server, token: Option<&str>, tool: &str, arguments: &Value) -> (u16, Value) {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", &**bearer)).collect();
    let response = post(server, &headers, rpc("tools/call", &json!({"name": tool, "arguments": arguments})));
    (response.status().as_u16(), response.json().unwrap_or_default())
}

/// The JSON answer of a tool, and true if it failed.
fn told(answer: &Value) -> (bool, Value) {
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    (answer["result"]["isError"] == true, serde_json::from_str(text).unwrap())
}

pub(crate) fn start(setting: &str, more: &[(&'static str, &str)]) -> Server {
    let more = more.iter().map(|(name, value)| (*name, OsString::from(value)));
    Server::start_with([("MONITOR_MCP", OsString::from(setting))].into_iter().chain(more).collect())
}

#[test]
fn only_tokens_with_read_access_may_call_tools() {
    let server = start("read", &[("MONITOR_LOOPBACK", "token")]);
    let batch = "5b0c000000000000000000000000a001";
    let (read, ingest) = (token(&server, "read"), token(&server, "ingest"));
    let initialize = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    for (bearer, expected) in [(None, 401), (Some("wrong"), 401), (Some(&*ingest), 403), (Some(&*read), 200)] {
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", &**bearer)).collect();
        let response = post(&server, &headers, rpc("initialize", &initialize));
        assert_eq!(response.status().as_u16(), expected, "{bearer:?}");
    }
    let (status, answer) = call(&server, Some(&read), "list_runs", &json!({}));
    assert_eq!((status, told(&answer)), (200, (false, told(&answer).1)), "{batch}: {answer}");
    let (_, tools) =
        (0, post(&server, &[("authorization", &format!("Bearer {read}"))], rpc("tools/list", &json!({}))).json::<Value>().unwrap());
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 13, "{tools}");
    let (_, answer) = call(&server, Some(&read), "cancel_run", &json!({"run": "1"}));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}

#[test]
fn pages_of_other_sites_and_other_names_of_the_host_are_refused() {
    let server = start("operate", &[]);
    let list = || rpc("tools/list", &json!({}));
    assert_eq!(post(&server, &[], list()).status(), 200);
    assert_eq!(post(&server, &[("origin", "https://evil.example")], list()).status(), 403);
    assert_eq!(post(&server, &[("host", "evil.example")], list()).status(), 421);
    assert_eq!(post(&server, &[("origin", server.url())], list()).status(), 200);
}

#[test]
fn a_change_requires_the_scope_operate_and_is_audited_with_the_client() {
    let server = start("operate", &[]);
    let (status, _) = server.order("POST", "/batch-tasks", &crate::nightly());
    assert!(status < 300, "{status}");
    let (read, operate) = (token(&server, "read"), token(&server, "operate"));
    let pause = json!({"task": "nightly"});
    for (token, status) in [(None, 401), (Some(&*read), 403)] {
        let (_, answer) = call(&server, token, "pause_batch_task", &pause);
        assert_eq!(told(&answer).1["error"]["status"], status, "{answer}");
    }
    assert_eq!(server.get("/batch-tasks/nightly")["paused_by"], Value::Null);
    let (_, answer) = call(&server, Some(&operate), "pause_batch_task", &pause);
    assert!(!told(&answer).0, "{answer}");
    assert_eq!(server.get("/batch-tasks/nightly")["paused_by"], "person");
    let (_, audit) = server.ask("GET", "/api/v1/audit");
    let audit: Value = serde_json::from_str(&audit).unwrap();
    let entry = audit.to_string();
    assert!(
        entry.contains("POST /api/v1/batch-tasks/nightly/pause (pause a batch task) by monitor-mcp/") && entry.contains("(test-client/3)"),
        "{entry}"
    );
}

#[test]
fn why_failed_returns_the_same_over_http_and_stdio() {
    let server = start("read", &[]);
    recorded(&server);
    let (_, answer) = call(&server, None, "why_failed", &json!({"run": "2"}));
    let over_http = told(&answer).1;
    let mut client = crate::client::Client::start(&server, &[]);
    assert_eq!(client.call("why_failed", &json!({"run": "2"})), over_http);
}

#[test]
fn malformed_bodies_are_refused_with_error_codes_of_the_protocol() {
    let server = start("read", &[]);
    let list = rpc("tools/list", &json!({}));
    let old = list.replace("2.0", "1.0");
    let (batch, long) = (format!("[{list},{list}]"), format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20)));
    let call = |params: Value| rpc("tools/call", &params);
    for (body, status, code) in [
        ("{".to_owned(), 400, -32700),
        ("nonsense".to_owned(), 400, -32700),
        (format!("{list} {list}"), 400, -32700),
        (String::new(), 400, -32700),
        ("[".repeat(100_000), 400, -32700),
        ("[1]".to_owned(), 400, -32600),
        (batch, 400, -32600),
        ("{\"a\":1}".to_owned(), 400, -32600),
        (old, 400, -32600),
        (list.replace("\"id\":1", "\"id\":{}"), 400, -32600),
        (long, 413, -32600),
        (rpc("no/such", &json!({})), 200, -32601),
        (rpc("initialize", &json!({})), 200, -32602),
        (rpc("resources/read", &json!({"uri": 7})), 200, -32602),
        (call(json!({})), 200, -32602),
        (call(json!({"name": 7})), 200, -32602),
        (call(json!({"name": "no_such_tool"})), 200, -32602),
        (call(json!({"name": "get_run", "arguments": [1]})), 200, -32602),
        (call(json!({"name": "get_run", "arguments": {"run": true}})), 200, -32602),
    ] {
        let shown: String = body.chars().take(100).collect();
        let response = post(&server, &[], body);
        let found = response.status().as_u16();
        let answer: Value = response.json().unwrap_or_else(|error| panic!("{shown}: {found}: {error}"));
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(code)), "{shown}: {answer}");
        assert_eq!(answer["id"], if status == 200 { json!(1) } else { Value::Null }, "{shown}: {answer}");
    }
    let answer: Value = post(&server, &[], rpc("ping", &json!({}))).json().unwrap();
    assert_eq!(answer["result"], json!({}));
}

#[test]
fn headers_and_methods_are_those_of_the_protocol() {
    let server = start("read", &[]);
    let list = || rpc("tools/list", &json!({}));
    let (version, bearer) = ("mcp-protocol-version", format!("Bearer {}", server.token()));
    for (method, headers, status) in [
        ("POST", vec![ACCEPT, JSON], 200),
        ("POST", vec![JSON], 406),
        ("POST", vec![("accept", "application/json"), JSON], 406),
        ("POST", vec![ACCEPT], 415),
        ("POST", vec![ACCEPT, ("content-type", "text/plain")], 415),
        ("POST", vec![ACCEPT, JSON, (version, "2025-06-18")], 200),
        ("POST", vec![ACCEPT, JSON, (version, "1999-01-01")], 400),
        // This version wants the method in a header, too.
        ("POST", vec![ACCEPT, JSON, (version, "2026-07-28")], 400),
        // There are no sessions: whichever is named, the request is answered.
        ("POST", vec![ACCEPT, JSON, ("mcp-session-id", "no such")], 200),
        ("GET", vec![("accept", "text/event-stream")], 405),
        ("DELETE", vec![("authorization", &bearer), ("mcp-session-id", "no such")], 405),
        ("DELETE", vec![("mcp-session-id", "no such")], 401),
        ("PUT", vec![ACCEPT, JSON, ("authorization", &bearer)], 405),
    ] {
        let response = send(method, &format!("{}/mcp", server.url()), &headers, list());
        let found = response.status().as_u16();
        assert_eq!(found, status, "{method} {headers:?}: {}", response.text().unwrap());
    }
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    assert_eq!(post(&server, &[], notification).status(), 202);
    // A client of a version that does not exist gets one that does.
    let initialize = json!({"protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    let answer: Value = post(&server, &[], rpc("initialize", &initialize)).json().unwrap();
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
}

#[test]
fn a_server_with_mcp_off_has_no_tools() {
    let server = start("off", &[]);
    assert_eq!(post(&server, &[], rpc("tools/list", &json!({}))).status(), 404);
    let client = Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(format!("{}/mcp", server.url())).send().unwrap().status(), 404);
}
