//! A simulated worker of a queue that consists of requests only, and executes the commands of its channel.

use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::support::TestServer;

/// The worker whose events [`TestServer::send`] sends.
const ID: &str = "5b0c0000000000000000000000000001";
const KEY: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

/// Has it open its channel for a method, and do it once: the arguments that it was given.
pub(crate) fn does(server: &TestServer, method: &'static str) -> JoinHandle<Value> {
    let (url, (opened, is_open)) = (server.url.clone(), std::sync::mpsc::channel());
    let running = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        runtime.block_on(async {
            let channel = client.get(format!("{url}/api/v1/workers/{ID}/commands?methods={method}")).header("monitor-channel-key", KEY);
            let mut channel = channel.send().await.expect("the server answers").error_for_status().expect("its channel");
            let mut heard = String::new();
            loop {
                let bytes = channel.chunk().await.expect("the channel goes on").expect("the channel is open");
                heard.push_str(&String::from_utf8_lossy(&bytes));
                if heard.contains("event: open") {
                    let _ = opened.send(());
                }
                let Some((_, order)) = heard.split_once("event: command") else { continue };
                let Some((data, _)) = order.split_once("data: ").and_then(|(_, data)| data.split_once('\n')) else { continue };
                let order: Value = serde_json::from_str(data).expect("an order is JSON");
                let reply = client.post(format!("{url}/api/v1/commands/{}/replies", order["id"].as_str().expect("an id")));
                let words = json!({"worker_id": ID, "status": "ok", "value": order["arguments"]});
                reply.header("monitor-channel-key", KEY).json(&words).send().await.expect("taken").error_for_status().expect("taken");
                return order["arguments"].clone();
            }
        })
    });
    is_open.recv().expect("its channel opens");
    running
}
