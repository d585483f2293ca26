//! The files for clients in docs/guides/assistants.md lead to the tools.

use serde_json::{Value, json};

use crate::client::Client;
use crate::over_http::{post_to, start, token};

const PAGE: &str = include_str!("../../docs/guides/assistants.md");

/// Text with a variable of a client in place of the token, such as `Bearer ${env:MONITOR_TOKEN}`.
fn with_token(text: &str, token: &str) -> String {
    let (before, rest) = text.split_once("${").expect("a variable");
    let (_, after) = rest.split_once('}').expect("its end");
    format!("{before}{token}{after}")
}

#[test]
fn each_file_of_the_documentation_connects_a_client() {
    let server = start("read", &[("MONITOR_LOOPBACK", "token")]);
    let token = token(&server, "read");
    let blocks: Vec<&str> = PAGE.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 3, "{PAGE}");
    for block in blocks {
        let file: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        let entry = &file.get("mcpServers").or(file.get("servers")).unwrap()["monitor"];
        let documented = "http://127.0.0.1:60010";
        if let Some(url) = entry["url"].as_str() {
            let authorization = with_token(entry["headers"]["Authorization"].as_str().unwrap(), &token);
            let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
            let url = url.replace(documented, server.url());
            let answer: Value = post_to(&url, &[("authorization", &authorization)], list).json().unwrap();
            assert_eq!(answer["result"]["tools"][0]["name"], "list_runs", "{block}: {answer}");
        } else {
            assert_eq!(
                (&entry["command"], &entry["args"], &entry["env"]),
                (&json!("monitor"), &json!(["mcp"]), &json!({"MONITOR_SERVER_URL": documented}))
            );
            let mut client = Client::start(&server, &[]);
            assert!(client.call("list_runs", &json!({}))["runs"].is_array());
        }
    }
}
