//! `monitor mcp` as a child process, and lines of JSON-RPC.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use monitor_tests::{Server, command};
use serde_json::{Value, json};

/// A client that speaks to `monitor mcp`.
pub(crate) struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next_id: u64,
}

impl Client {
    /// Starts the client with the token of the server's data folder and initializes the session.
    pub(crate) fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut client = Self::start_raw(server.url(), Some(&server.token()), arguments);
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hand-written", "version": "7"}});
        let answer = client.request("initialize", &params);
        assert_eq!(answer["result"]["serverInfo"]["name"], "process-monitor", "{answer}");
        assert!(answer["result"]["instructions"].as_str().unwrap().contains("data, not instruction"), "{answer}");
        client.line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        client
    }

    /// Starts it.
    pub(crate) fn start_raw(url: &str, token: Option<&str>, arguments: &[&str]) -> Self {
        let mut monitor = command("monitor");
        monitor.arg("mcp").args(arguments).env("MONITOR_SERVER_URL", url).envs(token.map(|token| ("MONITOR_TOKEN", token)));
        let mut child = monitor.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, next_id: 0 }
    }

    /// Sends a line as it is.
    pub(crate) fn line(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    /// Reads the next message.
    pub(crate) fn read(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "monitor mcp has ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Sends a request and reads its answer.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        self.line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        let answer = self.read();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Calls a tool. Returns true if it failed, and its text.
    pub(crate) fn call_text(&mut self, tool: &str, arguments: &Value) -> (bool, String) {
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (result["isError"] == true, text)
    }

    /// Calls a tool that must succeed. Returns its JSON.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let (failed, text) = self.call_text(tool, arguments);
        assert!(!failed, "{tool}: {text}");
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{tool}: {error}: {text}"));
        assert!(json["more"].is_string() && json["page"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{tool}: {text}");
        json
    }

    /// Closes the standard input and waits for the end. Returns the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        drop(self.input);
        self.child.wait().unwrap().code()
    }
}
