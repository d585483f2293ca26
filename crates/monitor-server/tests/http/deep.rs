//! Tests with runs as deep as the server shows them, and deeper.

use monitor_server::Config;
use serde_json::{Value, json};

use crate::support::{ROOT, TestServer, batch};

fn id(number: usize) -> String {
    format!("{number:016x}")
}

/// Returns a chain of `length` processes, each below the previous one. All have failed, so that the search for failures walks the chain
/// too.
fn chain(length: usize) -> Vec<[Value; 2]> {
    let time = |number: usize| 1_763_600_000_000_000 + number as u64;
    let process = |number: usize| {
        let parent = (number > 1).then(|| id(number - 1));
        [
            json!({"type": "process-started", "root_id": ROOT, "id": id(number), "parent_id": parent, "kind": "normal", "name": "call",
                   "time_us": time(number)}),
            json!({"type": "process-ended", "root_id": ROOT, "id": id(number), "time_us": time(3 * length - number), "outcome": "failed",
                   "error": {"kind": "error", "message": "too deep"}}),
        ]
    };
    (1..=length).map(process).collect()
}

/// Starts a server and sends it these events in batches of `together`.
async fn server_with(events: &[Value], together: usize, change: impl FnOnce(&mut Config)) -> TestServer {
    let server = TestServer::with(change).await;
    for (some, place) in events.chunks(together).zip(0..) {
        server.send(&batch(1 + place * together as u64, some)).await;
    }
    server
}

/// Returns the chain in several orders with batch sizes: in order; children before their parents; and ends before starts, in batches that
/// never contain a process together with its parent.
fn orders(length: usize) -> [(Vec<Value>, usize); 3] {
    let chain = chain(length);
    let in_order = chain.iter().flatten().cloned().collect();
    let reversed = chain.iter().rev().flatten().cloned().collect();
    let mut ends_first: Vec<Value> = chain.iter().rev().map(|[_, ended]| ended.clone()).collect();
    for part in 0..7 {
        ends_first.extend(chain.iter().skip(part).step_by(7).map(|[started, _]| started.clone()));
    }
    [(in_order, 100_000), (reversed, 3_000), (ends_first, 2_999)]
}

/// Returns all processes of the run, over all pages, without their change numbers.
async fn processes(server: &TestServer) -> (Value, Vec<Value>) {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = server.ask(&format!("/api/v1/roots/{ROOT}/tree?limit=6000{cursor}")).await;
        all.append(page["processes"].as_array_mut().unwrap());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (page["deep_parents"].take(), all),
        }
    }
}

#[tokio::test]
async fn a_chain_of_the_maximum_depth_is_complete_in_any_order_of_arrival() {
    let most = Config::new("").max_depth;
    let mut first: Option<Vec<Value>> = None;
    for (events, together) in orders(most + 1) {
        let server = server_with(&events, together, |_| {}).await;
        let (deep, processes) = processes(&server).await;
        assert_eq!((deep, processes.len()), (json!(0), most + 1));
        assert_eq!(processes[most]["depth"], most);
        assert!(processes.iter().all(|process| process["orphan"] == false));
        if let Some(first) = &first {
            assert!(first == &processes, "the order in which it came is seen");
            continue;
        }
        everything_that_walks_it_gets_through(&server, &id(most + 1)).await;
        first = Some(processes);
    }
}

async fn everything_that_walks_it_gets_through(server: &TestServer, deepest: &str) {
    let path = format!("/api/v1/roots/{ROOT}");
    for format in ["json", "ndjson", "perfetto", "otlp"] {
        let export = server.get(&format!("{path}/export?format={format}")).send().await.unwrap();
        assert_eq!(export.status(), 200);
        assert!(export.text().await.unwrap().contains(deepest), "{format}");
    }
    let columns = server.get(&format!("{path}/tree")).header("accept", "application/vnd.process-monitor.tree").send().await.unwrap();
    assert!(columns.bytes().await.unwrap().ends_with(&[0; 8]), "it ends with a part of kind 0");
    let plain = server.get(&format!("/tasks/{ROOT}?plain")).send().await.unwrap();
    assert_eq!(plain.status(), 200);
    let page = server.ask(&format!("{path}/tree?limit=1")).await;
    assert_eq!(page["root"]["error"]["message"], "too deep");
}

#[tokio::test]
async fn processes_beyond_the_maximum_depth_are_kept_and_counted_in_any_order() {
    let shown = [(1, 0, false), (5, 1, true), (6, 2, false), (7, 3, false), (2, 1, false), (3, 2, false), (4, 3, false)];
    let shown = shown.map(|(number, depth, orphan)| json!([id(number), depth, orphan]));
    for (mut events, _) in orders(7) {
        for event in events.iter_mut().filter(|event| event["id"] == id(5)) {
            // Siblings are ordered by their start.
            event["time_us"] = json!(1_763_600_000_000_001_u64);
        }
        let server = server_with(&events, 2, |config| config.max_depth = 3).await;
        let (deep, processes) = processes(&server).await;
        assert_eq!(deep, 1);
        let found: Vec<_> = processes.iter().map(|process| json!([process["id"], process["depth"], process["orphan"]])).collect();
        assert_eq!(found, shown);
        assert_eq!(processes[1]["parent_id"], id(4), "what was told is told");

        let plain = server.get(&format!("/tasks/{ROOT}?plain")).send().await.unwrap().text().await.unwrap();
        assert!(plain.contains("Too deep, shown directly below the run: 1 (max-depth)"), "{plain}");
        let columns = server.get(&format!("/api/v1/roots/{ROOT}/tree")).header("accept", "application/vnd.process-monitor.tree").send();
        let columns = columns.await.unwrap().bytes().await.unwrap();
        assert!(String::from_utf8_lossy(&columns).contains(r#""deep_parents":1"#));
        let folder = server.stop().await;
        // A higher limit shows more of the stored processes.
        let server = TestServer::on(folder, |config| config.max_depth = 6).await;
        let (deep, processes) = self::processes(&server).await;
        assert_eq!((deep, &processes[6]["depth"]), (json!(0), &json!(6)));
    }
}
