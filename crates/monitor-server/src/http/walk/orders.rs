//! Test that calls every route as every kind of caller while an agent records the orders it receives. The table "What can start a command"
//! in docs/guides/access.md must list exactly these orders.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use monitor_wire::AgentMethod;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::{Walked, asked, callers, declared};
use crate::access::{NewToken, Scope};
use crate::clock::Clock;

const DOCS: &str = include_str!("../../../../../docs/guides/access.md");
const TITLE: &str = "## What can start a command\n";
const AGENT: &str = "5b0c0000000000000000000000000001";

/// Alert channels through which the agent is sent something, and `alerts.toml` with them. The second one exists only if no other channel
/// does.
const CHANNELS: [(&str, &str); 2] =
    [("page", "[channel.page]\nkind = \"command\"\ncommand = [\"/usr/local/bin/page\"]\n"), ("sendmail", "")];
/// Name of a rule that no other file contains.
const QUIET: &str = "quiet-walk";
/// Maximum time until the server has read the file.
const PATIENCE: Duration = Duration::from_secs(300);

/// Row of the table.
struct Row {
    scope: Scope,
    route: String,
    orders: Vec<String>,
}

fn table() -> Vec<Row> {
    let section = DOCS.split_once(TITLE).expect("the section").1;
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let words = |cell: &str| cell.split(',').map(|word| word.trim().trim_matches('`').to_owned()).collect::<Vec<_>>();
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(words).collect();
        let [scope, route, orders] = &cells[..] else { panic!("{line}") };
        let scopes = [Scope::Ingest, Scope::Agent, Scope::Read, Scope::Operate, Scope::Admin];
        let scope = scopes.into_iter().find(|known| known.as_str() == scope[0]).unwrap_or_else(|| panic!("{line}"));
        Row { scope, route: route[0].clone(), orders: orders.clone() }
    };
    rows.map(row).collect()
}

/// Returns requests of a route that could send an order.
fn requests(method: &str, path: &str, methods: &BTreeSet<String>) -> Vec<(String, Value)> {
    let filled = path
        .replace("/agents/{name}", "/agents/local")
        .replace("{name}", "filed")
        .replace("/runs/{id}", "/runs/filed@20261121T023000Z.1")
        .replace("{id}", "00000000000000c1")
        .replace("{publication}", "1")
        .replace("{root}", "999")
        .replace("{*path}", "999")
        .replace("{alert}", "999")
        .replace("{hush}", "999")
        .replace("{rule}", "none")
        .replace("{uuid}", "none");
    let to = json!({"workers": [AGENT]});
    let command = |method: &String| (filled.clone(), json!({"method": method, "to": to, "timeout_ms": 60_000}));
    match (method, path) {
        ("POST", "/api/v1/commands") => methods.iter().map(command).collect(),
        (_, path) if path.contains("{channel}") => CHANNELS.map(|(channel, _)| (filled.replace("{channel}", channel), json!({}))).to_vec(),
        (_, path) if path.ends_with("/file") => vec![(format!("{filled}?path=day"), Value::Null)],
        (_, path) if path.ends_with("/compare") => vec![(format!("{filled}?with=2"), Value::Null)],
        (_, "/api/v1/queues") => vec![(format!("{filled}?timeout=1000"), Value::Null)],
        (_, path) if path.ends_with("/restore") => vec![(filled, json!({"target": "/srv/out"}))],
        (_, "/api/v1/queue-tasks") => vec![(filled, json!({"name": "render", "to": to}))],
        (_, "/api/v1/queue-tasks/revoke") => vec![(filled, json!({"ids": ["one"]}))],
        (_, "/api/v1/queue-tasks/retry") => vec![(filled, json!({"ids": ["one"], "to": to}))],
        _ => vec![(filled, json!({}))],
    }
}

/// The agent `local`, which refuses every order except `ping`.
struct Agent {
    own: String,
    client: Client,
    token: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    async fn start(own: &str, token: &str, methods: &BTreeSet<String>) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        let now_us = Clock::system().wall_us();
        let mut batch: Value = serde_json::from_str(include_str!("../../../../monitor-wire/fixtures/batch.json")).unwrap();
        (batch["worker"]["id"], batch["worker"]["program"], batch["worker"]["hostname"]) =
            (json!(AGENT), json!("monitor-agent"), json!("local"));
        let definition = json!({"name": "filed", "command": ["true"], "rules": ["30 2 * * *"], "zone": "UTC"});
        batch["events"] = json!([
            {"type": "worker-online", "time_us": now_us, "started_us": now_us, "version": "1", "heartbeat_interval_ms": 600_000},
            {"type": "batch-task-changed", "time_us": now_us, "task": "filed", "version": 1, "status": "active", "agent": "local",
                "definition": definition},
            {"type": "agent-decided", "time_us": now_us, "agent": "local", "until_us": now_us},
        ]);
        let sent = client.post(format!("{own}/api/v1/events")).bearer_auth(token).json(&batch).send().await.unwrap();
        assert_eq!(sent.status(), 200, "{}", sent.text().await.unwrap());
        let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
        let url = format!("{own}/api/v1/workers/{AGENT}/commands?methods={}", methods.join(","));
        let channel = client.get(url).header("monitor-channel-key", AGENT).bearer_auth(token).send().await.unwrap();
        assert_eq!(channel.status(), 200);
        let agent = Self { own: own.to_owned(), client, token: token.to_owned(), received: Arc::default() };
        tokio::spawn(agent.reply(channel));
        agent
    }

    fn reply(&self, mut channel: Response) -> impl Future<Output = ()> + use<> {
        let (own, client, token, received) = (self.own.clone(), self.client.clone(), self.token.clone(), self.received.clone());
        async move {
            let mut text = String::new();
            while let Ok(Some(chunk)) = channel.chunk().await {
                text.push_str(std::str::from_utf8(&chunk).unwrap());
                while let Some((message, rest)) = text.split_once("\n\n") {
                    let data = message.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                    text = rest.to_owned();
                    let Some(order) = data.and_then(|data| serde_json::from_str::<Value>(&data).ok()) else { continue };
                    let (Some(id), Some(method)) = (order["id"].as_str(), order["method"].as_str()) else { continue };
                    received.lock().unwrap().push(method.to_owned());
                    let status = if method == "ping" { "ok" } else { "refused" };
                    let reply = client.post(format!("{own}/api/v1/commands/{id}/replies")).header("monitor-channel-key", AGENT);
                    let reply = reply.bearer_auth(&token).json(&json!({"worker_id": AGENT, "status": status}));
                    assert_eq!(reply.send().await.unwrap().status(), 204, "{order}");
                }
            }
        }
    }

    /// Returns the orders since the last call. A channel preserves the order of commands, so all earlier orders have arrived when this ping
    /// is answered.
    async fn orders(&self) -> BTreeSet<String> {
        let ping = json!({"method": "ping", "to": {"workers": [AGENT]}, "timeout_ms": 60_000});
        let answer = self.client.post(format!("{}/api/v1/commands", self.own)).bearer_auth(&self.token).json(&ping).send().await.unwrap();
        let command: Value = answer.json().await.unwrap();
        assert_eq!(command["counts"], json!({"ok": 1}), "{command}");
        let mut received = std::mem::take(&mut *self.received.lock().unwrap());
        assert_eq!(received.pop().as_deref(), Some("ping"));
        received.into_iter().collect()
    }
}

/// Returns rules without recipients that replace all built-in rules.
fn quiet() -> String {
    let names = monitor_alerts::builtin().into_iter().map(|rule| rule.name).chain([QUIET.to_owned()]);
    let rules = names.map(|name| format!("[[rule]]\nname = \"{name}\"\non = {{ cause = [\"failed\"] }}\nto = []\n"));
    rules.collect::<Vec<_>>().concat()
}

/// Waits until the server has a channel or a rule of this name.
async fn has_channel(client: &Client, own: &str, token: &str, channel: &str) {
    let begun = Instant::now();
    loop {
        let rules = client.get(format!("{own}/api/v1/alerts/rules")).bearer_auth(token).send().await.unwrap().text().await.unwrap();
        if rules.contains(&format!("\"{channel}\"")) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "there is no channel {channel}: {rules}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_documentation_lists_who_can_send_which_order_to_an_agent() {
    let table = table();
    let methods: BTreeSet<String> = table.iter().flat_map(|row| row.orders.clone()).collect();
    let known: BTreeSet<String> = AgentMethod::ALL.iter().map(|method| method.name.to_owned()).collect();
    assert_eq!(methods, known);
    for Row { scope, orders, .. } in &table {
        for order in orders {
            assert_eq!(AgentMethod::of(order).unwrap().scope.as_str(), scope.as_str(), "{order}");
        }
    }

    let walked = Walked::start().await;
    let Walked { data, own, access, client, .. } = &walked;
    let new = NewToken { name: "walk".to_owned(), scopes: "admin".parse().unwrap(), lifetime: None, jobs: None };
    let token = access.create_token(&new).unwrap();
    // The calls raise alerts. With the built-in rules, these would be sent once there is a channel, and repeatedly, because the agent
    // refuses them.
    let (file, quiet) = (data.path().join("alerts.toml"), quiet());
    std::fs::write(&file, &quiet).unwrap();
    has_channel(client, own, &token, QUIET).await;
    let agent = Agent::start(own, &token, &methods).await;
    let callers = callers(access);
    let mut routes = declared();
    // DELETE routes come last, because other routes need the objects they delete.
    routes.sort_by_key(|(method, _, _)| method == "DELETE");
    let mut seen = BTreeSet::new();
    for (method, path, _) in &routes {
        let route = format!("{method} {path}");
        let channels = if path.contains("{channel}") { &CHANNELS[..] } else { &CHANNELS[..1] };
        let mut sent = vec![BTreeSet::new(); callers.len()];
        for (channel, written) in channels {
            std::fs::write(&file, format!("{quiet}{written}")).unwrap();
            has_channel(client, own, &token, channel).await;
            for (caller, sent) in callers.iter().zip(&mut sent) {
                for (path, body) in requests(method, path, &methods) {
                    let request = client.request(method.parse().unwrap(), format!("{own}{path}"));
                    let request = if body.is_null() || method == "GET" { request } else { request.json(&body) };
                    drop(asked(request, access, caller, Some(own)).send().await.unwrap());
                }
                // Orders about queues go to all workers. Agents support none of their methods, so these are not orders to agents.
                sent.extend(agent.orders().await.into_iter().filter(|method| methods.contains(method)));
            }
        }
        for (caller, sent) in callers.iter().zip(sent) {
            let rows = table.iter().filter(|row| row.route == route && caller.scopes.contains(&row.scope));
            let expected: BTreeSet<String> = rows.flat_map(|row| row.orders.clone()).collect();
            assert_eq!(sent, expected, "{route} as {}", caller.name);
        }
        seen.insert(route);
    }
    for row in &table {
        assert!(seen.contains(&row.route), "there is no route {}", row.route);
    }
    walked.stop().await;
}
