//! Reactions of the client to the server's answers to a batch.

use std::sync::atomic::{AtomicUsize, Ordering};

use monitor_tests::{command, run};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// A server with configurable errors: `answer` decides about the batches that `about` selects. It accepts all other batches.
struct Moody {
    answer: fn(&Value, usize) -> Option<ResponseTemplate>,
    asked: AtomicUsize,
}

impl Respond for Moody {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let batch = decode(request);
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let last = batch["sequence"].as_u64().unwrap() + batch["events"].as_array().unwrap().len() as u64 - 1;
        (self.answer)(&batch, asked).unwrap_or_else(|| ResponseTemplate::new(200).set_body_json(json!({"accepted": last})))
    }
}

fn decode(request: &Request) -> Value {
    let is_compressed = request.headers.contains_key("content-encoding");
    let body = if is_compressed { monitor_tests::decompressed(&request.body) } else { request.body.clone() };
    serde_json::from_slice(&body).unwrap()
}

fn problem(status: u16, detail: &str, event_number: Option<u64>) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_json(json!({"type": "about:blank", "title": "", "status": status, "detail": detail, "event_number": event_number}))
}

/// Runs `exit` against such a server. Returns the output and the received batches.
async fn against(answer: fn(&Value, usize) -> Option<ResponseTemplate>) -> (String, Vec<Value>) {
    let server = MockServer::start().await;
    let moody = Moody { answer, asked: AtomicUsize::default() };
    Mock::given(method("POST")).and(path("/api/v1/events")).respond_with(moody).mount(&server).await;
    let mut exit = command("monitor-test-worker");
    exit.arg("leaves-open").env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", server.uri()).env("MONITOR_LOG", "stderr");
    exit.env("MONITOR_EXIT_TIMEOUT", "1m").env("MONITOR_TOKEN", "a-token");
    let finished = tokio::task::spawn_blocking(|| run(exit)).await.unwrap();
    assert_eq!(finished.code, Some(0));
    let requests = server.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer a-token"));
    (finished.stderr, requests.iter().map(decode).collect())
}

/// Numbers and types of the events that were accepted in the end.
fn taken(batches: &[Value], refused: impl Fn(&Value, usize) -> bool) -> Vec<(u64, String)> {
    let mut taken = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        if !refused(batch, index) {
            for (n, event) in batch["events"].as_array().unwrap().iter().enumerate() {
                taken.push((batch["sequence"].as_u64().unwrap() + n as u64, event["type"].as_str().unwrap().to_owned()));
            }
        }
    }
    taken.sort();
    taken
}

const ALL: [&str; 4] = ["worker-online", "process-started", "process-started", "worker-offline"];

fn numbered(types: &[&str]) -> Vec<(u64, String)> {
    types.iter().enumerate().map(|(n, kind)| (n as u64 + 1, (*kind).to_owned())).collect()
}

#[tokio::test]
async fn a_busy_server_is_asked_again_after_the_time_it_names() {
    let busy = |_: &Value, asked| (asked < 2).then(|| problem(503, "the queue is full", None).insert_header("Retry-After", "0"));
    let (said, batches) = against(busy).await;
    assert_eq!(taken(&batches, |_, index| index < 2), numbered(&ALL));
    assert_eq!(said.matches("the queue is full").count(), 1, "{said}");
}

#[tokio::test]
async fn a_batch_is_sent_again_after_a_timeout_of_the_server() {
    let impatient = |_: &Value, asked| (asked < 2).then(|| problem(408, "the body stalled", None));
    let (said, batches) = against(impatient).await;
    assert_eq!(taken(&batches, |_, index| index < 2), numbered(&ALL));
    assert_eq!((said.matches("asks to wait: the body stalled").count(), said.matches("refuses").count()), (1, 0), "{said}");
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (written, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4_096]);
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
            let bytes = (0..).map(|_| socket.write(&[b' '; 8_192])).map_while(Result::ok).take_while(|bytes| *bytes > 0).sum::<usize>();
            let _ = written.send(bytes);
        }
    });
    let mut exit = command("monitor-test-worker");
    exit.arg("exit").env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", url).env("MONITOR_LOG", "stderr");
    exit.env("MONITOR_EXIT_TIMEOUT", "10m").env("MONITOR_SPOOL_DIR", "off");
    let finished = run(exit);
    assert_eq!(finished.code, Some(7));
    assert!(finished.stderr.contains("no Process Monitor"), "{}", finished.stderr);
    // The buffers of the sockets are not included.
    let bytes = answer.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    assert!(bytes < 64 << 20, "{bytes}");
}

#[tokio::test]
async fn a_response_of_another_program_is_recognized() {
    let stranger = |_: &Value, _| Some(ResponseTemplate::new(200).set_body_string("<html>It works!</html>"));
    let (said, batches) = against(stranger).await;
    assert!(!batches.is_empty());
    assert_eq!((said.matches("no Process Monitor").count(), said.matches("it is lost").count()), (1, 1), "{said}");
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_sent_in_halves() {
    let small = |batch: &Value| batch["events"].as_array().unwrap().len() > 1;
    let picky = |batch: &Value, _| (batch["events"].as_array().unwrap().len() > 1).then(|| problem(413, "too large", None));
    let (_, batches) = against(picky).await;
    assert_eq!(taken(&batches, |batch, _| small(batch)), numbered(&ALL));
}

#[tokio::test]
async fn a_single_unreadable_event_is_counted_and_the_others_are_accepted() {
    let has_second = |batch: &Value| {
        let (first, count) = (batch["sequence"].as_u64().unwrap(), batch["events"].as_array().unwrap().len() as u64);
        first <= 2 && 2 < first + count
    };
    let picky = |batch: &Value, _| {
        let (first, count) = (batch["sequence"].as_u64().unwrap(), batch["events"].as_array().unwrap().len() as u64);
        (first <= 2 && 2 < first + count).then(|| problem(400, "event 2: strange", Some(2)))
    };
    let (said, batches) = against(picky).await;
    let expected: Vec<_> = numbered(&ALL).into_iter().filter(|(number, _)| *number != 2).collect();
    assert_eq!(taken(&batches, |batch, _| has_second(batch)), expected);
    assert!(said.contains("event 2: strange"), "{said}");
    let last = batches.last().unwrap();
    assert_eq!((&last["dropped"][0]["reason"], &last["dropped"][0]["type"]), (&json!("rejected"), &json!("process-started")));
}
