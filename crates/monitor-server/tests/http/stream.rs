use std::time::Duration;

use futures_util::StreamExt;
use monitor_server::Config;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{CHILD, PROCESS, ROOT, TestServer, WORKER, batch, failed, started, tree, until};

const OTHER: &str = "0199a3ce929d0e0e47360199a3ce9299";

fn logged(root: &str, id: &str, message: &str) -> Value {
    json!({"type": "process-logged", "root_id": root, "id": id, "time_us": 1_763_600_000_123_999_u64, "level": "info", "message": message})
}

/// Reader of the stream.
pub(crate) struct Reader {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    text: String,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) event: String,
    pub(crate) data: Value,
}

impl Reader {
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { bytes: response.bytes_stream().boxed(), text: String::new() }
    }

    /// Returns the next block as received. `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                return Some(std::mem::replace(&mut self.text, rest));
            }
            let bytes = tokio::time::timeout(Duration::from_secs(20), self.bytes.next()).await.expect("something within 20 s")?;
            self.text.push_str(std::str::from_utf8(&bytes.expect("no break")).unwrap());
        }
    }

    /// Reads until the server ends or aborts the stream.
    pub(crate) async fn end(&mut self) {
        while let Some(Ok(_)) = tokio::time::timeout(Duration::from_secs(20), self.bytes.next()).await.expect("an end within 20 s") {}
    }

    /// Waits for a heartbeat message.
    pub(crate) async fn heartbeat(&mut self) {
        while !self.block().await.expect("no end").contains(": nothing new") {}
    }

    /// Returns the next event.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            let block = self.block().await.expect("no end");
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            if let Some(data) = field("data") {
                let data = serde_json::from_str(data).unwrap();
                return Message { id: field("id").unwrap().parse().unwrap(), event: field("event").unwrap().to_owned(), data };
            }
        }
    }

    async fn types(&mut self, count: usize) -> Vec<String> {
        let mut types = Vec::new();
        for _ in 0..count {
            types.push(self.next().await.event);
        }
        types
    }
}

#[tokio::test]
async fn each_event_is_streamed_with_the_resulting_state_after_it_is_stored() {
    let server = TestServer::start().await;
    let mut reader = Reader::open(server.get("/api/v1/stream?types=process-started,process-ended")).await;
    server.send(&batch(1, &[started(ROOT, PROCESS, None, "nightly build")])).await;
    let first = reader.next().await;
    server.send(&batch(2, &[started(ROOT, CHILD, Some(PROCESS), "compile"), failed(ROOT, PROCESS, "no such table")])).await;
    assert_eq!(first.event, "process-started");
    assert_eq!(first.data["event"]["id"], PROCESS);
    assert_eq!(first.data["root"]["title"], "nightly build <1>");
    assert_eq!(first.data["process"]["state"], json!("running"));
    assert!(server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap() >= first.id, "stored before it is told");
    let second = reader.next().await;
    let third = reader.next().await;
    assert!(first.id < second.id && second.id < third.id);
    assert_eq!((third.event.as_str(), &third.data["process"]["error"]["message"]), ("process-ended", &json!("no such table")));
    assert_eq!(third.data["root"]["state"], "failed");
}

#[tokio::test]
async fn a_reader_resumes_after_its_last_event() {
    let server = TestServer::start().await;
    let as_of = server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap();
    server.send(&tree()).await;
    let types = "types=process-started,process-ended";
    let mut reader = Reader::open(server.get(&format!("/api/v1/stream?{types}&after={as_of}"))).await;
    let all = [reader.next().await, reader.next().await, reader.next().await];
    for seen in 0..3 {
        let id = all[seen].id.to_string();
        for request in [
            server.get(&format!("/api/v1/stream?{types}&after={id}")),
            server.get(&format!("/api/v1/stream?{types}")).header("last-event-id", &id),
            // A browser repeats the first URL and sends the last id it received.
            server.get(&format!("/api/v1/stream?{types}&after={as_of}")).header("last-event-id", &id),
        ] {
            let mut again = Reader::open(request).await;
            for message in &all[seen + 1..] {
                assert_eq!(&again.next().await, message);
            }
        }
    }
    // Events that were loaded are not sent again. Later events are sent.
    let as_of = server.ask("/api/v1/roots/1/tree").await["as_of"].as_u64().unwrap();
    let mut reader = Reader::open(server.get(&format!("/api/v1/stream?{types}&after={as_of}"))).await;
    server.send(&batch(4, &[failed(ROOT, CHILD, "later")])).await;
    assert_eq!(reader.next().await.data["event"]["id"], CHILD);
}

#[tokio::test]
async fn an_unknown_position_causes_a_single_reset_and_the_stream_continues() {
    let server = TestServer::with(|config| (config.stream_buffer_bytes, config.stream_keep_bytes) = (1, Some(0))).await;
    server.send(&tree()).await;
    let newest = server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap();
    for request in [
        server.get("/api/v1/stream?after=0"),
        server.get("/api/v1/stream?after=18446744073709551615"),
        server.get("/api/v1/stream").header("last-event-id", "1"),
        server.get("/api/v1/stream").header("last-event-id", "of another server"),
    ] {
        let mut reader = Reader::open(request).await;
        let reset = reader.next().await;
        assert_eq!((reset.event.as_str(), &reset.data), ("reset", &json!({"as_of": reset.id})));
        assert!(reset.id >= newest);
    }
}

#[tokio::test]
async fn without_a_log_a_restarted_server_resumes_readers_that_missed_nothing() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    let seen = server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap();
    let server = TestServer::on(server.stop().await, |config| config.stream_keep_bytes = Some(0)).await;
    until(async || server.ask("/api/v1/status").await["stream_log_bytes"] == 0).await;
    let mut one = Reader::open(server.get(&format!("/api/v1/stream?after={seen}&types=process-ended"))).await;
    let mut other = Reader::open(server.get(&format!("/api/v1/stream?after={}&types=process-ended", seen - 1))).await;
    assert_eq!(other.next().await.event, "reset");
    server.send(&batch(4, &[failed(ROOT, CHILD, "later")])).await;
    assert_eq!(one.next().await.event, "process-ended");
    assert_eq!(other.next().await.event, "process-ended");
}

#[tokio::test]
async fn streamed_events_can_be_replayed_after_a_restart() {
    let server = TestServer::start().await;
    let mut first = Reader::open(server.get("/api/v1/stream?after=0")).await;
    server.send(&tree()).await;
    server.send(&batch(4, &[started(OTHER, PROCESS, None, "other"), logged(OTHER, PROCESS, "hello")])).await;
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(first.next().await);
    }
    drop(first);
    let server = TestServer::on(server.stop().await, |_| {}).await;
    server.send(&batch(6, &[failed(ROOT, CHILD, "later")])).await;
    for seen in 0..told.len() as u64 {
        let mut again = Reader::open(server.get(&format!("/api/v1/stream?after={seen}"))).await;
        for message in &told[seen as usize..] {
            let next = again.next().await;
            assert_eq!((next.id, &next.event), (message.id, &message.event));
            assert_eq!((&next.data["event"], &next.data["log"]), (&message.data["event"], &message.data["log"]));
            assert_eq!(next.data["root"]["root_id"], message.data["root"]["root_id"]);
            assert_eq!(next.data["process"]["id"], message.data["process"]["id"]);
            assert!(next.data["as_of"].as_u64() >= message.data["as_of"].as_u64(), "{next:?}");
        }
        let next = again.next().await;
        assert_eq!((next.id, &next.data["event"]["id"], &next.data["as_of"]), (6, &json!(CHILD), &json!(6)), "out of memory");
    }
    let of_root: Vec<_> = told.iter().filter(|message| message.data["event"]["root_id"] == ROOT).map(|message| message.id).collect();
    for (query, expected) in [
        ("types=process-logged", vec![5]),
        ("root=1&types=process-started,process-ended", of_root),
        (&format!("process={CHILD}&types=process-started"), vec![2]),
        ("name=other", vec![4, 5]),
        (&format!("worker={WORKER}&types=process-started"), vec![1, 2, 4]),
    ] {
        let mut again = Reader::open(server.get(&format!("/api/v1/stream?after=0&{query}"))).await;
        for id in expected {
            assert_eq!(again.next().await.id, id, "{query}");
        }
    }
}

#[tokio::test]
async fn filters_by_type_kind_task_and_worker_apply_to_past_and_new_events() {
    const TASK: &str = "00000000000000aa";
    let task = |event_type: &str| {
        json!({"type": event_type, "root_id": ROOT, "id": TASK, "time_us": 1_763_600_000_123_456_u64, "name": "render",
            "native_id": "8a/1c\0根", "exception": "no disk"})
    };
    // The expected events of each query. Additional events would arrive before the last expected event.
    let queries = [
        ("types=task-*", &[4, 5, 6, 9][..]),
        ("types=task-s*,process-ended", &[3, 4, 5, 7, 9, 10]),
        ("kind=task", &[4, 5, 6, 9]),
        ("kind=script,root", &[1, 3, 8, 10]),
        ("task=8a%2F1c%00%E6%A0%B9", &[4, 5, 6, 9]),
        ("worker=nightly@build-7&types=process-*", &[1, 2, 3, 7, 8, 10]),
        ("worker=night*@*:4121&types=process-ended", &[3, 7, 10]),
        ("worker=*@build-?&kind=task&types=task-f*", &[6]),
        // An event belongs to the worker that sent it, even if other workers execute the task.
        ("worker=web@else&types=task-*", &[4, 11]),
        ("worker=5b0c0000000000000000000000000002&kind=task", &[4, 11]),
    ];
    let server = TestServer::start().await;
    let mut readers = Vec::new();
    for (query, _) in queries {
        readers.push(Reader::open(server.get(&format!("/api/v1/stream?{query}"))).await);
    }
    let mut sent = batch(1, &[task("task-sent")]);
    sent["worker"] = json!({"id": "5b0c0000000000000000000000000002", "hostname": "else", "pid": 7, "program": "web"});
    server.send(&tree()).await;
    server.send(&sent).await;
    server.send(&batch(4, &[task("task-started"), task("task-failed"), failed(ROOT, CHILD, "late")])).await;
    let last = [started(OTHER, PROCESS, None, "other"), task("task-succeeded"), failed(OTHER, PROCESS, "too")];
    server.send(&batch(7, &last)).await;
    sent["sequence"] = json!(2);
    sent["events"][0]["id"] = json!("00000000000000ab");
    server.send(&sent).await;
    for ((query, expected), reader) in queries.iter().zip(&mut readers) {
        for id in *expected {
            assert_eq!(reader.next().await.id, *id, "{query}");
        }
    }
    let server = TestServer::on(server.stop().await, |_| {}).await;
    for (query, expected) in queries {
        let mut reader = Reader::open(server.get(&format!("/api/v1/stream?after=0&{query}"))).await;
        for id in expected {
            assert_eq!(reader.next().await.id, *id, "{query}, from the log");
        }
    }
}

#[tokio::test]
async fn past_events_are_streamed_in_order_from_the_log_and_then_from_memory() {
    let server = TestServer::with(|config| config.stream_buffer_bytes = 200_000).await;
    let mut number = 1;
    for _ in 0..40 {
        let events: Vec<_> = (0..250).map(|n| started(ROOT, &format!("{:016x}", number + n), None, "one of many")).collect();
        server.send(&batch(number, &events)).await;
        number += 250;
    }
    let mut all = Reader::open(server.get("/api/v1/stream?after=0&types=process-started")).await;
    let mut few = Reader::open(server.get(&format!("/api/v1/stream?after=0&process={:016x}", number - 1))).await;
    for expected in 1..number {
        let message = all.next().await;
        assert_eq!((message.id, &message.data["event"]["id"]), (expected, &json!(format!("{expected:016x}"))));
    }
    assert_eq!(few.next().await.id, number - 1, "what isn't wanted is passed over");
    let mut late = Reader::open(server.get("/api/v1/stream?after=0&within=9999")).await;
    assert_eq!(late.next().await.event, "reset", "more than it wants to be told late");
    let mut less = Reader::open(server.get("/api/v1/stream?after=0&within=10000")).await;
    assert_eq!(less.next().await.id, 1);
    server.send(&batch(number, &[failed(ROOT, PROCESS, "now")])).await;
    assert_eq!(late.next().await.id, number);
    assert_eq!(server.ask("/api/v1/status").await["as_of"], number);
}

#[tokio::test]
async fn a_position_outside_of_the_log_causes_a_single_reset() {
    let keep = |config: &mut Config| (config.stream_buffer_bytes, config.stream_keep_bytes) = (1, Some(20_000));
    let server = TestServer::with(keep).await;
    for number in 0..100 {
        let id = format!("{:016x}", number + 1);
        server.send(&batch(2 * number + 1, &[started(ROOT, &id, None, &format!("name {number}")), failed(ROOT, &id, "x")])).await;
    }
    let status = server.ask("/api/v1/status").await;
    let (from, newest) = (status["stream_log_from"].as_u64().unwrap(), status["as_of"].as_u64().unwrap());
    assert!(from > 1 && newest == 200, "{status}");
    let server = TestServer::on(server.stop().await, keep).await;
    for (after, resumes) in [(0, false), (from - 2, false), (from - 1, true), (newest, true), (newest + 1, false), (u64::MAX, false)] {
        let mut reader = Reader::open(server.get(&format!("/api/v1/stream?after={after}&types=process-started,process-ended"))).await;
        if !resumes {
            let reset = reader.next().await;
            assert_eq!((reset.event.as_str(), &reset.data), ("reset", &json!({"as_of": newest})), "after {after}");
        } else if after < newest {
            assert_eq!(reader.next().await.id, after + 1);
        }
    }
    for after in ["-1", "1.5", "18446744073709551616", "x", "%00"] {
        let response = server.get(&format!("/api/v1/stream?after={after}")).send().await.unwrap();
        assert_eq!(response.status(), 400, "{after}");
    }
}

#[tokio::test]
async fn a_reader_gets_only_matching_events() {
    let server = TestServer::start().await;
    let as_of = server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap();
    let unknown = json!({"type": "news\nevent: forged\r\u{0}", "root_id": ROOT});
    let events = [
        started(ROOT, PROCESS, None, "one"),
        started(OTHER, PROCESS, None, "other"),
        unknown,
        failed(OTHER, PROCESS, "x"),
        failed(ROOT, PROCESS, "x"),
    ];
    server.send(&batch(1, &events)).await;
    for (query, expected) in [
        ("types=process-ended", &["process-ended", "process-ended"][..]),
        ("types=process-ended&root=2", &["process-ended"]),
        (&format!("root={OTHER}&types=process-started,process-ended"), &["process-started", "process-ended"]),
        (
            "root=1&types=process-started,process-ended,news%0Aevent: forged%0D%00",
            &["process-started", "news\u{fffd}event: forged\u{fffd}\u{fffd}", "process-ended"],
        ),
    ] {
        let mut reader = Reader::open(server.get(&format!("/api/v1/stream?after={as_of}&{query}"))).await;
        assert_eq!(reader.types(expected.len()).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_list_gets_each_tree_once_and_all_events_of_its_named_trees() {
    let server = TestServer::start().await;
    let as_of = server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap();
    let events = [
        started(ROOT, PROCESS, None, "one"),
        started(OTHER, PROCESS, None, "other"),
        started(ROOT, CHILD, Some(PROCESS), "child"),
        logged(OTHER, PROCESS, "hello"),
        failed(ROOT, CHILD, "x"),
    ];
    server.send(&batch(1, &events)).await;
    let offline = json!({"type": "worker-heartbeat", "time_us": 1_763_600_000_200_000_u64});
    server.send(&batch(6, &[offline])).await;
    let (first, last) = (as_of + 1, as_of + 6);
    let absent = "0199a3ce929d0e0e47360199a3ce92ff";
    let missing = format!("root=1,2,999999,{absent}");
    let cases = [
        // Number of the event, and true if the event's process is included.
        ("", vec![(first + 3, false), (first + 4, false)]),
        ("root=1", vec![(first, true), (first + 2, true), (first + 3, false), (first + 4, true)]),
        ("root=1,2", (first..last).map(|id| (id, true)).collect()),
        (&missing, (first..last).map(|id| (id, true)).collect()),
        ("types=process-started", vec![(first + 1, false), (first + 2, false)]),
    ];
    let check = async |server: &TestServer, from: &str| {
        for (query, expected) in &cases {
            let what = format!("{query} {from}");
            let mut reader = Reader::open(server.get(&format!("/api/v1/stream?after={as_of}&subject=roots&{query}"))).await;
            for (id, in_full) in expected {
                let Message { id: told, data, .. } = reader.next().await;
                assert_eq!((told, data["process"].is_object(), data["root"].is_object()), (*id, *in_full, true), "{what}: {data}");
                assert!(*in_full || data["log"].is_null() && data["worker"].is_null(), "{what}: {data}");
            }
            if !query.contains("types") {
                let worker = reader.next().await;
                assert_eq!((worker.id, worker.data["worker"].is_object()), (last, true), "{what}: what is of no tree is told in full");
            }
        }
    };
    check(&server, "from memory").await;
    let server = TestServer::on(server.stop().await, |_| {}).await;
    check(&server, "from the log").await;
    server.send(&batch(7, &[started(absent, PROCESS, None, "late")])).await;
    let mut reader = Reader::open(server.get(&format!("/api/v1/stream?after={last}&subject=roots&root={absent}"))).await;
    assert_eq!(reader.next().await.data["process"]["name"], "late", "a tree that came after it was named");
}

/// While many events arrive, a reader of roots pauses between pieces. The end of a run that arrives during the pause must be sent even if
/// no later event wakes the reader.
#[tokio::test]
async fn a_reader_of_roots_gets_the_last_event_even_if_no_event_follows() {
    // From memory, and by a reader that must read the log of events.
    for buffer_bytes in [64 << 20, 1] {
        let change = |config: &mut Config| {
            (config.stream_buffer_bytes, config.stream_heartbeat) = (buffer_bytes, Duration::from_millis(100));
        };
        let server = TestServer::with(change).await;
        let mut reader = Reader::open(server.get("/api/v1/stream?subject=roots")).await;
        let mut sequence = 1;
        for round in 1..=8_u64 {
            let root = |number: u64| format!("0199a3ce929d0e0e47360199{:08x}", round << 16 | number);
            for crowd in 0..3 {
                let id = |number: u64| format!("{:016x}", ((1 + round) << 32) | (crowd << 16) | number);
                let starts = (0..5_000).map(|number| started(&root(number % 40), &id(number), Some(PROCESS), "one of many"));
                server.send(&batch(sequence, &starts.collect::<Vec<_>>())).await;
                sequence += 5_000;
            }
            let last = root(round % 40);
            server.send(&batch(sequence, &[started(&last, PROCESS, None, "the last"), failed(&last, PROCESS, "the end")])).await;
            sequence += 2;
            let newest = server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap();
            loop {
                let block = reader.block().await.expect("no end");
                if block.contains(&last) && block.contains("process-ended") {
                    break;
                }
                let id = block.lines().find_map(|line| line.strip_prefix("id: ")?.parse::<u64>().ok()).unwrap();
                assert!(id < newest, "round {round}, {buffer_bytes} bytes of memory: told up to {id} without the end of {last}");
            }
        }
    }
}

#[tokio::test]
async fn a_quiet_stream_sends_heartbeats_with_its_position() {
    let server = TestServer::with(|config| config.stream_heartbeat = Duration::from_millis(20)).await;
    let mut reader = Reader::open(server.get("/api/v1/stream?types=process-ended")).await;
    let first = reader.block().await.unwrap();
    assert!(first.contains("retry: ") && first.contains("id: 0\n"), "{first:?}");
    server.send(&batch(1, &[started(ROOT, PROCESS, None, "filtered out")])).await;
    let newest = server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap();
    loop {
        let block = reader.block().await.unwrap();
        assert!(block.contains(": nothing new\n"), "{block:?}");
        if block.contains(&format!("id: {newest}\n")) {
            break;
        }
    }
}

#[tokio::test]
async fn a_reader_that_falls_behind_the_buffer_gets_a_reset() {
    let server = TestServer::with(|config| (config.stream_buffer_bytes, config.stream_keep_bytes) = (100_000, Some(0))).await;
    let mut reader = Reader::open(server.get("/api/v1/stream")).await;
    // More data than the buffers of the sockets can hold, while the reader does not read.
    let name = "n".repeat(1_000);
    for sequence in 0..40 {
        let events: Vec<_> = (1..=250).map(|n| started(ROOT, &format!("{:016x}", sequence * 250 + n), Some(PROCESS), &name)).collect();
        server.send(&batch(sequence * 250 + 1, &events)).await;
    }
    server.send(&batch(10_001, &[failed(ROOT, PROCESS, "the last")])).await;
    let mut resets = 0;
    loop {
        let message = reader.next().await;
        resets += u32::from(message.event == "reset");
        let is_last = message.event == "process-ended";
        if is_last || (message.event == "reset" && message.id >= server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap()) {
            break;
        }
    }
    assert!(resets >= 1);
}

#[tokio::test]
async fn evicted_events_that_a_reader_filters_out_cause_no_reset() {
    let server = TestServer::with(|config| config.stream_buffer_bytes = 50_000).await;
    let mut ends = Reader::open(server.get("/api/v1/stream?types=process-ended")).await;
    server.send(&batch(1, &[started(OTHER, PROCESS, None, "another")])).await;
    let mut tree = Reader::open(server.get(&format!("/api/v1/stream?types=process-started&root={OTHER}"))).await;
    let name = "n".repeat(1_000);
    let crowd = async |from: u64| {
        for sequence in 0..4 {
            let events: Vec<_> = (1..=250).map(|n| started(ROOT, &format!("{:016x}", from + n), Some(PROCESS), &name)).collect();
            server.send(&batch(from + sequence * 250, &events)).await;
        }
    };
    // Each crowd is larger than the memory for events.
    crowd(1_000).await;
    server.send(&batch(2, &[failed(ROOT, PROCESS, "first")])).await;
    assert_eq!(ends.next().await.data["event"]["error"]["message"], "first");
    crowd(10_000).await;
    server.send(&batch(3, &[failed(ROOT, CHILD, "last"), started(OTHER, CHILD, Some(PROCESS), "another")])).await;
    assert_eq!(ends.next().await.data["event"]["error"]["message"], "last");
    assert_eq!(tree.next().await.data["event"]["id"], CHILD);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_disconnected() {
    let server = TestServer::with(|config| {
        config.stall_timeout = Duration::from_millis(200);
        config.max_subscribers = 1;
        config.max_name_bytes = 100_000;
    })
    .await;
    let stalled = server.get("/api/v1/stream").send().await.unwrap();
    // More data than the buffers of the sockets can hold.
    let name = "n".repeat(10_000);
    for sequence in 0..20 {
        let events: Vec<_> = (1..=100).map(|n| started(ROOT, &format!("{:016x}", sequence * 100 + n), Some(PROCESS), &name)).collect();
        server.send(&batch(sequence * 100 + 1, &events)).await;
    }
    // Another reader is accepted once the first one has been disconnected.
    let second = async {
        loop {
            let response = server.get("/api/v1/stream").send().await.unwrap();
            if response.status() == 200 {
                return;
            }
            assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), second).await.expect("a turn");
    assert!(stalled.bytes().await.is_err(), "broken off");
}
