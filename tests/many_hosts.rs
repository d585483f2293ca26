//! A job on a thousand hosts, whose agents speak the real protocol with a real server, while some of them misbehave and the server is killed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use monitor_tests::{Server, command, wait_for};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Number of hosts, which `MONITOR_TEST_HOSTS` changes.
const HOSTS: usize = 1_000;
/// Pause of an agent before it asks a server again that was not reached.
const PAUSE: Duration = Duration::from_millis(200);

/// Conduct of an agent that gets an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    /// Runs it with this end.
    Ends(u16),
    /// Starts it, and is then silent until it is released.
    FallsSilent,
    /// Reports each event twice, and then another end.
    AnswersTwice,
    /// Reports an end for the host before it in the list as well.
    ReportsForAnother,
    /// Sends output without end.
    SendsTooMuch,
}

fn conduct(place: usize) -> Conduct {
    match place {
        0 => Conduct::FallsSilent,
        1 => Conduct::AnswersTwice,
        2 => Conduct::ReportsForAnother,
        3 => Conduct::SendsTooMuch,
        4 => Conduct::Ends(104),
        5 => Conduct::Ends(12),
        _ => Conduct::Ends(9),
    }
}

/// State that all agents share.
struct All {
    url: String,
    client: Client,
    /// Keys of the runs that were started, by agent.
    starts: Mutex<HashMap<usize, Vec<String>>>,
    ended: AtomicUsize,
    refused: AtomicUsize,
    release: Notify,
    is_over: AtomicBool,
}

struct Agent {
    place: usize,
    name: String,
    token: String,
    all: Arc<All>,
    number: u64,
}

impl Agent {
    /// Sends a request until the server answers it.
    async fn send(&self, method: Method, path: &str, body: Option<String>) -> Option<(u16, Value)> {
        while !self.all.is_over.load(Ordering::Relaxed) {
            let url = format!("{}/api/v1/agents/{}/{path}", self.all.url, self.name);
            let request = self.all.client.request(method.clone(), url).bearer_auth(&self.token);
            let request = body.iter().fold(request, |request, body| request.header("content-type", "application/json").body(body.clone()));
            match request.send().await {
                Ok(response) if response.status().as_u16() < 500 && response.status() != 429 => {
                    let status = response.status().as_u16();
                    return Some((status, response.json().await.unwrap_or_default()));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        None
    }

    async fn report(&mut self, order: &Value, key: &Value, events: &[Value]) -> Option<u16> {
        let mut reports = Vec::new();
        for event in events {
            self.number += 1;
            let mut report = json!({"number": self.number, "key": key, "root_id": order["root_id"], "at_us": order["issued_us"]});
            report.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
            reports.push(report);
        }
        Some(self.send(Method::POST, "job-reports", Some(json!({"reports": reports}).to_string())).await?.0)
    }

    /// Sends output until the server refuses it. Returns the number of accepted bytes.
    async fn pour(&self, key: &Value) -> Option<usize> {
        let part = "x".repeat(1 << 20);
        for offset in (0..1_usize << 30).step_by(part.len()) {
            let path = format!(
                "job-output?job={}&step={}&host={}&attempt={}&offset={offset}",
                key["job"], key["step"], key["host"], key["attempt"]
            );
            if self.send(Method::POST, &path, Some(part.clone())).await?.0 != 204 {
                return Some(offset);
            }
        }
        Some(1 << 30)
    }

    async fn carry_out(&mut self, order: &Value) -> Option<()> {
        let key = order["key"].clone();
        let (accepted, started) = (json!({"event": "accepted"}), json!({"event": "started"}));
        let end = |status: u16| json!({"event": "ended", "status": status, "exit_code": i32::from(status == 104)});
        match conduct(self.place) {
            Conduct::Ends(12) => assert_eq!(self.report(order, &key, &[end(12)]).await?, 204),
            Conduct::Ends(status) => assert_eq!(self.report(order, &key, &[accepted, started, end(status)]).await?, 204),
            Conduct::FallsSilent => {
                assert_eq!(self.report(order, &key, &[accepted, started]).await?, 204);
                self.all.release.notified().await;
                assert_eq!(self.report(order, &key, &[end(9)]).await?, 204);
            }
            Conduct::AnswersTwice => {
                let events = [accepted.clone(), accepted, started.clone(), started, end(9), end(9), end(104)];
                assert_eq!(self.report(order, &key, &events).await?, 204);
            }
            Conduct::ReportsForAnother => {
                let mut other = key.clone();
                other["host"] = json!(key["host"].as_u64().unwrap() - 1);
                assert_eq!(self.report(order, &other, &[end(104)]).await?, 403);
                self.all.refused.fetch_add(1, Ordering::Relaxed);
                assert_eq!(self.report(order, &key, &[accepted, started, end(9)]).await?, 204);
            }
            Conduct::SendsTooMuch => {
                assert_eq!(self.report(order, &key, &[accepted, started]).await?, 204);
                let poured = self.pour(&key).await?;
                assert!(poured <= 11 << 20, "{poured} bytes of output were accepted");
                self.all.refused.fetch_add(1, Ordering::Relaxed);
                assert_eq!(self.report(order, &key, &[end(9)]).await?, 204);
            }
        }
        self.all.ended.fetch_add(1, Ordering::Relaxed);
        Some(())
    }

    /// Asks for orders, and carries out each once, as an agent that has stored it.
    async fn run(mut self) -> Option<()> {
        let mut seen = HashSet::new();
        loop {
            let (status, orders) = self.send(Method::GET, "job-orders?wait_ms=20000", None).await?;
            assert_eq!(status, 200, "{}: {orders}", self.name);
            for signed in orders["orders"].as_array().unwrap() {
                let order: Value = serde_json::from_str(signed["order"].as_str().unwrap()).unwrap();
                assert_eq!(order["agent"], self.name.as_str());
                let key = order["key"].to_string();
                if seen.insert(key.clone()) {
                    self.all.starts.lock().unwrap().entry(self.place).or_default().push(key);
                    self.carry_out(&order).await?;
                }
            }
        }
    }
}

/// Creates a token for each agent.
fn tokens(server: &Server, names: &[String]) -> Vec<String> {
    let create = |name: &String| {
        let mut create = command("monitor");
        create.args(["token", "create", name, "--scope", "agent", "--data"]).arg(server.data()).stderr(Stdio::null());
        let output = create.output().unwrap();
        assert!(output.status.success(), "{name}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            names.chunks(names.len().div_ceil(4)).map(|names| scope.spawn(move || names.iter().map(create).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

/// All hosts of a job with their statuses.
fn outcomes(server: &Server, job: &Value) -> Vec<(String, u64)> {
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let next = after.as_u64().map(|after| format!("&after={after}")).unwrap_or_default();
        let page = server.get(&format!("/jobs/{job}/hosts?limit=1000{next}"));
        let shown = |host: &Value| (host["name"].as_str().unwrap().to_owned(), host["status"].as_u64().unwrap());
        all.extend(page["hosts"].as_array().unwrap().iter().map(shown));
        after = page["next"].clone();
        if after.is_null() {
            return all;
        }
    }
}

#[test]
fn each_of_a_thousand_hosts_runs_once_and_has_its_true_outcome() {
    let count = std::env::var("MONITOR_TEST_HOSTS").map_or(HOSTS, |count| count.parse().unwrap());
    let mut server = Server::start();
    let names: Vec<String> = (0..count).map(|place| format!("web-{place:04}")).collect();
    let tokens = tokens(&server, &names);
    let all = Arc::new(All {
        url: server.url().to_owned(),
        client: Client::builder().no_proxy().build().unwrap(),
        starts: Mutex::default(),
        ended: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        release: Notify::new(),
        is_over: AtomicBool::new(false),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let agents: Vec<_> = names
        .iter()
        .zip(tokens)
        .enumerate()
        .map(|(place, (name, token))| runtime.spawn(Agent { place, name: name.clone(), token, all: all.clone(), number: 0 }.run()))
        .collect();
    let online = |hosts: &Value| hosts["hosts"].as_array().unwrap().iter().filter(|host| host["is_online"] == true).count();
    wait_for("all agents", || (online(&server.get("/hosts")) >= count).then_some(()));

    let request = json!({"request_id": "once", "targets": {"hosts": ["web-*", "web-0001", "nowhere"]}, "steps": [{"script": "true"}]});
    let (status, preview) = server.order("POST", "/jobs?preview=true", &request);
    assert_eq!((status, preview["able"].as_array().unwrap().len(), preview["unable"].as_array().unwrap().len()), (200, count, 1));
    // The same request twenty times at once is one job.
    let started: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..20).map(|_| scope.spawn(|| server.order("POST", "/jobs", &request))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let job = &started[0].1["job_id"];
    assert!(started.iter().all(|(_, answer)| answer["job_id"] == *job), "{started:?}");
    assert_eq!(started.iter().filter(|(status, answer)| *status == 201 && answer["is_repeated"] == false).count(), 1, "{started:?}");

    wait_for("a part of the hosts", || (all.ended.load(Ordering::Relaxed) > count / 4).then_some(()));
    server.kill();
    server.start_again();
    // One host that is lost doesn't delay the others, and the job ends without it.
    let ended = wait_for("the end of the job", || Some(server.get(&format!("/jobs/{job}"))).filter(|job| job["ended_us"].is_u64()));
    assert_eq!(ended["status"], 4, "{ended}");
    let expected: Vec<(String, u64)> = names
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let status = match conduct(place) {
                Conduct::Ends(status) => status.into(),
                Conduct::FallsSilent => 310,
                _ => 9,
            };
            (name.clone(), status)
        })
        .chain([("nowhere".to_owned(), 2)])
        .collect();
    // On a busy machine, an agent can be silent for too long between two requests. Its report then corrects the outcome.
    wait_for("the outcome of each host", || (outcomes(&server, job) == expected).then_some(()));
    assert_eq!(all.refused.load(Ordering::Relaxed), 2);

    // Its late report corrects the outcome.
    all.release.notify_one();
    wait_for("the late report", || (outcomes(&server, job)[0].1 == 9).then_some(()));
    let counts = server.get(&format!("/jobs/{job}"))["steps"][0]["counts"].clone();
    let counts: BTreeMap<String, usize> = serde_json::from_value(counts).unwrap();
    assert_eq!(counts, BTreeMap::from([("2".to_owned(), 1), ("9".to_owned(), count - 2), ("12".to_owned(), 1), ("104".to_owned(), 1)]));
    all.is_over.store(true, Ordering::Relaxed);
    let starts = all.starts.lock().unwrap().clone();
    assert_eq!(starts.len(), count, "each host got the order");
    assert!(starts.values().all(|keys| keys.len() == 1), "{starts:?}");
    for agent in agents {
        agent.abort();
        assert!(runtime.block_on(agent).map_or_else(|error| error.is_cancelled(), |_| true), "an agent saw what it must not see");
    }
    // The tree has the job, its step, and each host once.
    let counts = || server.roots().iter().find(|root| root["root_id"] == started[0].1["root_id"]).map(|root| root["counts"].clone());
    let counts = wait_for("the tree", || counts().filter(|counts| counts["succeeded"] == count - 2));
    let total: u64 = counts.as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!((total, &counts["failed"]), (count as u64 + 3, &json!(5)), "{counts}");
}
