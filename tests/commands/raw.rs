//! Workers that the tests imitate by raw requests.

use std::io::{BufRead, BufReader};
use std::sync::LazyLock;

use monitor_tests::Server;
use reqwest::blocking::Client;
use serde_json::{Value, json};

/// A worker of this program on the host `h`.
pub(crate) struct Raw {
    pub(crate) id: String,
    pub(crate) key: String,
    client: Client,
    url: String,
}

/// The open response of a worker's channel.
pub(crate) struct Channel(BufReader<reqwest::blocking::Response>);

impl Raw {
    /// Registers as online. Opens no channel.
    pub(crate) fn online(server: &Server, number: u64, program: &str) -> Self {
        Self::online_with(server, number, program, 600_000)
    }

    /// Sends its start with this heartbeat interval.
    pub(crate) fn online_with(server: &Server, number: u64, program: &str, heartbeat_interval_ms: u64) -> Self {
        // Shared, because each client has a thread and there may be thousands of workers.
        static CLIENT: LazyLock<Client> = LazyLock::new(|| Client::builder().no_proxy().timeout(None).build().unwrap());

        let id = format!("{number:032x}");
        let started_us = crate::now_us();
        let batch = json!({
            "version": 1, "sequence": 1, "sent_us": started_us,
            "worker": {"id": id, "hostname": "h", "pid": number, "program": program},
            "events": [{"type": "worker-online", "time_us": started_us, "started_us": started_us, "version": "1", "heartbeat_interval_ms": heartbeat_interval_ms}],
        });
        let (status, answer) = server.post(&batch);
        assert_eq!(status, 200, "{answer}");
        let client = CLIENT.clone();
        Self { key: format!("{number:064x}"), id, client, url: format!("{}/api/v1", server.url()) }
    }

    /// Sends the end of the worker.
    pub(crate) fn offline(&self, server: &Server) {
        let batch = json!({
            "version": 1, "sequence": 2, "sent_us": crate::now_us(),
            "worker": {"id": self.id, "hostname": "h", "pid": 1, "program": "p"},
            "events": [{"type": "worker-offline", "time_us": crate::now_us()}],
        });
        assert_eq!(server.post(&batch).0, 200);
    }

    /// Opens a channel. Returns the status, and the channel if it was opened.
    pub(crate) fn open_with(&self, key: &str) -> (u16, Option<Channel>) {
        let request = self.client.get(format!("{}/workers/{}/commands?methods=ping", self.url, self.id));
        let response = request.header("monitor-channel-key", key).send().expect("the server answers");
        let status = response.status().as_u16();
        let channel = (status == 200).then(|| {
            let mut channel = Channel(BufReader::new(response));
            assert_eq!(channel.next().expect("a greeting").0, "open");
            channel
        });
        (status, channel)
    }

    pub(crate) fn open(&self) -> Channel {
        let (status, channel) = self.open_with(&self.key);
        channel.unwrap_or_else(|| panic!("the channel is refused by {status}"))
    }

    /// Sends a reply. Returns the status of the answer.
    pub(crate) fn reply(&self, order: &Value, status: &str) -> u16 {
        self.reply_as(order, &json!({"worker_id": self.id, "status": status, "value": status}))
    }

    /// Sends a reply with any content.
    pub(crate) fn reply_as(&self, order: &Value, words: &Value) -> u16 {
        let id = order["id"].as_str().expect("an order has an id");
        let request = self.client.post(format!("{}/commands/{id}/replies", self.url)).header("monitor-channel-key", &self.key);
        request.json(words).send().expect("the server answers").status().as_u16()
    }
}

impl Channel {
    /// Type and data of the next event. `None` at the end.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        let (mut event, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).ok().filter(|read| *read > 0)?;
            match line.trim_end().split_once(": ") {
                Some(("event", word)) => word.clone_into(&mut event),
                Some(("data", text)) => text.clone_into(&mut data),
                None if !data.is_empty() => return Some((event, serde_json::from_str(&data).expect("the data is JSON"))),
                _ => {}
            }
        }
    }

    /// The next order. Skips events about watching users.
    pub(crate) fn order(&mut self) -> Value {
        loop {
            let (event, data) = self.next().expect("the channel is open");
            if event != "watched" {
                assert_eq!(event, "command");
                return data;
            }
        }
    }
}
