//! Tests of callbacks of jobs, with a receiver that listens on a port.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use monitor_jobs::JobRule;
use monitor_server::{CallbackTarget, Config};
use serde_json::{Value, json};

use crate::job_agent::{Agent, ask};
use crate::support::{TestServer, until};

/// A request that the receiver got: its path, its `idempotency-key` and its body.
type Received = (String, String, Value);

/// A receiver of callbacks.
#[derive(Clone)]
struct Receiver {
    address: std::net::SocketAddr,
    state: Arc<Mutex<(StatusCode, Vec<Received>)>>,
}

async fn receive(State(receiver): State<Receiver>, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    let mut state = receiver.state.lock().unwrap();
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    assert_eq!(headers["content-type"], "application/json");
    state.1.push((uri.to_string(), key, serde_json::from_slice(&body).unwrap()));
    (state.0, "noted")
}

impl Receiver {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), state: Arc::new(Mutex::new((StatusCode::OK, Vec::new()))) };
        let app = axum::Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    fn answer_with(&self, status: StatusCode) {
        self.state.lock().unwrap().0 = status;
    }

    fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().1.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Allows callbacks to this receiver.
    fn allow(&self, is_private: bool) -> impl FnOnce(&mut Config) + use<> {
        let url = self.url("/hooks").parse().unwrap();
        move |config| config.job_callback = vec![CallbackTarget { url, is_private }]
    }
}

fn job(callback_url: &str) -> Value {
    json!({"name": "check", "targets": {"hosts": ["web-1"]}, "steps": [{"script": "df"}], "callback_url": callback_url})
}

async fn deliveries(server: &TestServer, job: &Value) -> Vec<Value> {
    let (status, page) = ask(server, "GET", &format!("jobs/{job}/callbacks"), None).await;
    assert_eq!(status, 200, "{page}");
    page["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn callbacks_arrive_in_order_after_failures_and_a_restart_and_tell_a_correction() {
    let receiver = Receiver::start().await;
    receiver.answer_with(StatusCode::INTERNAL_SERVER_ERROR);
    let server = TestServer::with(receiver.allow(true)).await;
    let agent = Agent::connect(&server, "web-1").await;
    let (status, started) = ask(&server, "POST", "jobs", Some(job(&receiver.url("/hooks/7?key=hush")))).await;
    assert_eq!(status, 201, "{started}");
    let id = &started["job_id"];
    let order = agent.order(&server).await;
    assert_eq!(agent.report(&server, &order, &[json!({"event": "accepted"}), json!({"event": "started"})]).await.0, 204);

    until(async || deliveries(&server, id).await.last().is_some_and(|first| first["attempts"].as_u64() >= Some(2))).await;
    let first = deliveries(&server, id).await.pop().unwrap();
    assert_eq!((&first["state"], &first["callback"]["status"]), (&json!("waiting"), &json!(2)), "{first}");
    assert_eq!(first["answer"], "answered with 500 Internal Server Error: noted");
    assert!(first["next_us"].as_u64() > first["tried_us"].as_u64(), "{first}");
    let tries = receiver.received();
    assert!(tries.iter().all(|(path, key, body)| path == "/hooks/7?key=hush" && *key == tries[0].1 && *body == tries[0].2), "{tries:?}");

    let data = server.stop().await;
    receiver.answer_with(StatusCode::NO_CONTENT);
    let server = TestServer::on(data, receiver.allow(true)).await;
    // The agent is silent for longer than two heartbeats, then it returns.
    until(async || receiver.received().last().is_some_and(|(_, _, body)| body["status"] == 4)).await;
    let lost = receiver.received().pop().unwrap().2;
    assert_eq!(lost["corrected"], false, "{lost}");
    assert_eq!(ask(&server, "GET", &format!("jobs/{id}/hosts"), None).await.1["hosts"][0]["status"], 310);
    assert_eq!(agent.report(&server, &order, &[json!({"event": "ended", "status": 9, "exit_code": 0})]).await.0, 204);
    until(async || receiver.received().last().is_some_and(|(_, _, body)| body["corrected"] == true)).await;

    let mut bodies = receiver.received();
    bodies.dedup();
    let corrected = &bodies.last().unwrap().2;
    let step = json!([{"step_instance_id": started["steps"][0]["step_id"], "status": 3}]);
    assert_eq!((&corrected["status"], &corrected["step_instances"]), (&json!(3), &step), "{corrected}");
    assert_eq!((&corrected["job_instance_id"], &corrected["root_id"]), (id, &started["root_id"]), "{corrected}");
    assert_eq!(corrected["name"], "check");
    let statuses: Vec<_> = bodies.iter().map(|(_, _, body)| body["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [2, 4, 3]);
    until(async || deliveries(&server, id).await.iter().all(|delivery| delivery["state"] == "delivered")).await;
    let mut all = deliveries(&server, id).await;
    assert!(!json!(all).to_string().contains("hush"), "the address is not shown");
    all.reverse();
    let told: Vec<_> = all.iter().map(|delivery| (delivery["id"].to_string(), delivery["callback"].clone())).collect();
    assert_eq!(told, bodies.into_iter().map(|(_, key, body)| (key, body)).collect::<Vec<_>>());
    let (_, page) = ask(&server, "GET", &format!("jobs/{id}/callbacks?limit=1"), None).await;
    let (_, rest) = ask(&server, "GET", &format!("jobs/{id}/callbacks?before={}", page["next"]), None).await;
    assert_eq!((rest["deliveries"].as_array().unwrap().len(), &rest["next"]), (2, &Value::Null));
}

#[tokio::test]
async fn a_job_that_waits_for_its_confirmation_calls_back_before_it_begins() {
    let receiver = Receiver::start().await;
    let allow = receiver.allow(true);
    let server = TestServer::with(|config| {
        allow(config);
        config.job_rule = vec![JobRule::new("^df", "confirm", None).unwrap()];
    })
    .await;
    let agent = Agent::connect(&server, "web-1").await;
    let (status, started) = ask(&server, "POST", "jobs", Some(job(&receiver.url("/hooks")))).await;
    assert_eq!(status, 201, "{started}");
    until(async || !receiver.received().is_empty()).await;
    let first = receiver.received().remove(0).2;
    let step = json!([{"step_instance_id": started["steps"][0]["step_id"], "status": 7}]);
    assert_eq!((&first["status"], &first["step_instances"]), (&json!(7), &step), "{first}");
    let operate = format!("jobs/{}/operate", started["job_id"]);
    assert_eq!(ask(&server, "POST", &operate, Some(json!({"operation": "confirm"}))).await.0, 200);
    agent.run(&server, 9).await;
    until(async || receiver.received().last().is_some_and(|(_, _, body)| body["status"] == 3)).await;
    let statuses: Vec<_> = receiver.received().iter().map(|(_, _, body)| body["status"].clone()).collect();
    assert_eq!(statuses, [7, 2, 3]);
}

#[tokio::test]
async fn only_listed_addresses_are_called_and_private_ones_only_if_permitted() {
    let receiver = Receiver::start().await;
    let server = TestServer::with(receiver.allow(false)).await;
    Agent::connect(&server, "web-1").await;
    let not_listed = [receiver.url("/other"), receiver.url("/hooks/../other"), "https://example.com/hooks".to_owned()];
    for url in not_listed.into_iter().chain([receiver.url("/hooks").replace("http://", "http://ada:key@")]) {
        let (status, problem) = ask(&server, "POST", "jobs", Some(job(&url))).await;
        assert!(status == 400 && problem["detail"].as_str().unwrap().contains("[[job-callback]]"), "{url}: {problem}");
    }
    let (_, started) = ask(&server, "POST", "jobs", Some(job(&receiver.url("/hooks")))).await;
    let id = &started["job_id"];
    until(async || deliveries(&server, id).await.last().is_some_and(|first| !first["answer"].is_null())).await;
    let first = deliveries(&server, id).await.pop().unwrap();
    assert!(first["answer"].as_str().unwrap().contains("`private = true`"), "{first}");

    // A restart without the address ends the calls.
    let server = TestServer::on(server.stop().await, |_| {}).await;
    until(async || deliveries(&server, id).await.last().unwrap()["answer"].as_str().unwrap().contains("[[job-callback]]")).await;
    assert_eq!(receiver.received(), []);
    for (path, status) in
        [("jobs/77/callbacks", 404), ("jobs/x/callbacks", 400), ("jobs/1/callbacks?limit=0", 400), ("jobs/1/callbacks?after=1", 400)]
    {
        assert_eq!(ask(&server, "GET", path, None).await.0, status, "{path}");
    }
}
