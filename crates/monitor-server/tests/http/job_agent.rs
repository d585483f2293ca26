//! An agent for the tests of jobs, which speaks the real protocol and runs nothing.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monitor_server::access::NewToken;
use serde_json::{Value, json};

use crate::support::{TestServer, read};

pub(crate) async fn ask(server: &TestServer, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = server.client.request(method.parse().unwrap(), format!("http://{}/api/v1/{path}", server.address));
    let request = body.into_iter().fold(request.bearer_auth(server.local_token()), |request, body| request.json(&body));
    let response = request.send().await.unwrap();
    if response.status() == 204 { (204, Value::Null) } else { read(response).await }
}

/// An agent with its token.
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    pub(crate) token: String,
}

impl Agent {
    /// Creates an agent, which connects.
    pub(crate) async fn connect(server: &TestServer, name: &'static str) -> Self {
        let new = NewToken { name: name.to_owned(), scopes: "agent".parse().unwrap(), lifetime: None, jobs: None };
        let agent = Self { name, token: server.access().create_token(&new).unwrap() };
        assert_eq!(agent.orders(server, 0).await, json!({"orders": [], "stops": []}));
        agent
    }

    pub(crate) async fn call(&self, server: &TestServer, method: &str, path: &str, body: Option<reqwest::Body>) -> (u16, Value) {
        let url = format!("http://{}/api/v1/agents/{path}", server.address);
        let request = server.client.request(method.parse().unwrap(), url).bearer_auth(&self.token);
        let request = body.into_iter().fold(request, |request, body| request.header("content-type", "application/json").body(body));
        let response = request.send().await.unwrap();
        if response.status() == 204 { (204, Value::Null) } else { read(response).await }
    }

    pub(crate) async fn orders(&self, server: &TestServer, wait_ms: u32) -> Value {
        let (status, orders) = self.call(server, "GET", &format!("{}/job-orders?wait_ms={wait_ms}", self.name), None).await;
        assert_eq!(status, 200, "{orders}");
        orders
    }

    /// Waits for an order, and returns it after its signature was checked.
    pub(crate) async fn order(&self, server: &TestServer) -> Value {
        let orders = self.orders(server, 60_000).await;
        let signed = &orders["orders"][0];
        let text = signed["order"].as_str().unwrap_or_else(|| panic!("no order: {orders}"));
        let (status, keys) = read(server.get("/api/v1/jobs/key").send().await.unwrap()).await;
        // The oldest valid key signs, so that agents accept orders that trust only this one.
        let key = STANDARD.decode(keys["keys"].as_array().unwrap().last().unwrap().as_str().unwrap()).unwrap();
        let signature = STANDARD.decode(signed["signature"].as_str().unwrap()).unwrap();
        UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), &signature).expect("the server's signature");
        assert_eq!(status, 200);
        serde_json::from_str(text).unwrap()
    }

    pub(crate) async fn report(&self, server: &TestServer, order: &Value, events: &[Value]) -> (u16, Value) {
        let report = |(number, event): (usize, &Value)| {
            let mut report = json!({"number": number + 1, "key": order["key"], "at_us": order["issued_us"]});
            report.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
            report
        };
        let reports: Vec<_> = events.iter().enumerate().map(report).collect();
        self.call(server, "POST", &format!("{}/job-reports", self.name), Some(json!({"reports": reports}).to_string().into())).await
    }

    pub(crate) async fn output(&self, server: &TestServer, order: &Value, offset: u64, bytes: &'static [u8]) -> (u16, Value) {
        let key = &order["key"];
        let path = format!(
            "{}/job-output?job={}&step={}&host={}&attempt={}&root_id={}&offset={offset}",
            self.name,
            key["job"],
            key["step"],
            key["host"],
            key["attempt"],
            order["root_id"].as_str().unwrap()
        );
        self.call(server, "POST", &path, Some(bytes.into())).await
    }

    /// Runs an order to its end.
    pub(crate) async fn run(&self, server: &TestServer, status: u16) {
        let order = self.order(server).await;
        let ended = json!({"event": "ended", "status": status});
        let reported = self.report(server, &order, &[json!({"event": "accepted"}), json!({"event": "started"}), ended]).await;
        assert_eq!(reported, (204, Value::Null));
    }
}
