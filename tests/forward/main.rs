//! OTLP forwarding of ended processes, from a server or a program, to a receiver that decodes with OpenTelemetry's own types and sometimes
//! fails.

mod alone;
mod receiver;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;

use monitor_tests::{Server, run, wait_for, worker};
use serde_json::{Value, json};

use self::receiver::{Behaviour, Receiver, Taken, hex, latest, texts};

const ROOT: &str = "0199a3ce929d0e0e47360199a3ce929d";
const BEGIN_US: u64 = 1_763_600_000_000_000;

fn batch(sequence: u64, events: &[Value]) -> Value {
    json!({"version": 1, "worker": {"id": "5b0c0000000000000000000000000001", "hostname": "till-3", "pid": 77, "program": "shop"},
           "sequence": sequence, "sent_us": BEGIN_US, "events": events})
}

fn started(id: &str, parent: Option<&str>, name: &str) -> Value {
    json!({"type": "process-started", "root_id": ROOT, "id": id, "time_us": BEGIN_US, "parent_id": parent, "kind": "normal", "name": name,
           "attachment": "explicit"})
}

fn ended(id: &str) -> Value {
    json!({"type": "process-ended", "root_id": ROOT, "id": id, "time_us": BEGIN_US + 2_000, "elapsed_ns": 2_000_123, "outcome": "succeeded"})
}

fn id(number: u64) -> String {
    format!("{number:016x}")
}

/// Starts and ends of this number of processes below [`ROOT`], from this number on.
fn pairs(from: u64, count: u64) -> Vec<Value> {
    (from..from + count).flat_map(|n| [started(&id(n), Some("00000000000000c1"), "step"), ended(&id(n))]).collect()
}

fn send(server: &Server, batch: &Value) {
    let (status, answer) = server.post(batch);
    assert_eq!(status, 200, "{answer}");
}

fn server(receiver: &Receiver, more: &[(&'static str, &str)]) -> Server {
    let mut env = vec![("MONITOR_OTLP_ENDPOINT", receiver.url())];
    env.extend(more.iter().map(|(key, value)| (*key, OsString::from(value))));
    let server = Server::start_with(env);
    // Processes that end before the first run of the duty are not forwarded.
    wait_for("the first run", || duty(&server)["last_us"].is_u64().then_some(()));
    server
}

/// State of the duty.
fn duty(server: &Server) -> Value {
    let status = server.get("/status");
    let duties = status["duties"].as_array().expect("a list");
    duties.iter().find(|duty| duty["name"] == "otlp").expect("it is a duty").clone()
}

fn wait_for_error(server: &Server, words: &str) {
    wait_for(words, || duty(server)["error"].as_str().is_some_and(|error| error.contains(words)).then_some(()));
}

#[test]
fn all_data_of_a_process_is_forwarded_with_its_ids() {
    let receiver = Receiver::start();
    let server = server(&receiver, &[("MONITOR_OTLP_HEADERS", "authorization=Bearer%20hush,x-tenant=env:THE_TENANT"), ("THE_TENANT", "7")]);
    let (parent, child) = ("00000000000000c1", "00000000000000c2");
    // Spans that were received by OTLP are not sent back.
    let foreign = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": ROOT, "spanId": "00000000000000ff", "name": "foreign",
        "startTimeUnixNano": "1763600000000000000", "endTimeUnixNano": "1763600000000000001"}]}]}]});
    let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let answer = http.post(format!("{}/v1/traces", server.url())).json(&foreign).send().unwrap();
    assert_eq!(answer.status(), 200);
    let mut begun = started(child, Some(parent), "charge card");
    begun["fields"] = json!({"amount": 17.5, "items": [1, "two"], "password": "[masked]", "span.kind": "client"});
    begun["source"] = json!({"file": "src/pay.rs", "line": 12});
    begun["thread"] = json!("pay-1");
    begun["links"] = json!([{"root_id": "000000000000000000000000000000aa", "id": "00000000000000bb", "relation": "retry_of"}]);
    let logged = json!({"type": "process-logged", "root_id": ROOT, "id": child, "time_us": BEGIN_US + 1, "level": "warn", "message": "slow",
                        "target": "shop::pay", "fields": {"rows": 3}});
    let mut failed = ended(child);
    failed["outcome"] = json!("failed");
    failed["error"] = json!({"kind": "error", "type": "CardError", "message": "refused", "chain": ["no funds"]});
    send(&server, &batch(1, &[started(parent, None, "checkout"), begun, logged, failed, ended(parent)]));

    let spans = receiver.spans(2);
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let of = |id: &str| spans.iter().find(|taken| hex(&taken.span.span_id) == id).expect("its span");
    let (charge, checkout) = (of(child), of(parent));
    let expected: BTreeMap<_, _> = [
        ("service.name", "shop"),
        ("service.instance.id", "5b0c0000000000000000000000000001"),
        ("host.name", "till-3"),
        ("process.pid", "77"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(charge.resource, expected);
    let span = &charge.span;
    assert_eq!(
        (hex(&span.trace_id), hex(&span.parent_span_id), &*span.name, span.kind),
        (ROOT.to_owned(), parent.to_owned(), "charge card", 3)
    );
    assert_eq!(span.start_time_unix_nano, BEGIN_US * 1_000);
    assert_eq!(span.end_time_unix_nano, BEGIN_US * 1_000 + 2_000_123);
    let attributes = texts(&span.attributes);
    for (key, value) in [
        ("amount", "17.5"),
        ("password", "[masked]"),
        ("process.kind", "normal"),
        ("process.state", "failed"),
        ("code.file.path", "src/pay.rs"),
        ("code.line.number", "12"),
        ("thread.name", "pay-1"),
    ] {
        assert_eq!(attributes.get(key).map(String::as_str), Some(value), "{key}");
    }
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, &*status.message), (2, "refused"));
    let events: Vec<_> = span.events.iter().map(|event| (&*event.name, texts(&event.attributes))).collect();
    let [(slow, of_slow), (exception, of_exception)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*slow, &*of_slow["level"], &*of_slow["target"], &*of_slow["rows"]), ("slow", "warn", "shop::pay", "3"));
    let failure = ["exception.type", "exception.message", "exception.stacktrace"].map(|key| &*of_exception[key]);
    assert_eq!((*exception, failure), ("exception", ["CardError", "refused", "caused by: no funds"]));
    let link = &span.links[0];
    assert_eq!((hex(&link.trace_id), hex(&link.span_id)), ("000000000000000000000000000000aa".to_owned(), "00000000000000bb".to_owned()));
    assert_eq!(texts(&link.attributes)["relation"], "retry_of");
    assert_eq!((checkout.span.parent_span_id.len(), checkout.span.status.as_ref().unwrap().code), (0, 1));
    let headers = receiver.seen(|seen| seen.requests[0].0.clone());
    assert_eq!(["authorization", "x-tenant"].map(|name| &headers[name]), ["Bearer hush", "7"]);
    assert!(!server.log().contains("hush"), "{}", server.log());
    wait_for("a run that went well", || (duty(&server)["last_us"].is_u64() && duty(&server)["error"].is_null()).then_some(()));
    assert!(server.ask("GET", "/metrics").1.contains("monitor_duty_failing{duty=\"otlp\"} 0"));
}

#[test]
fn a_program_s_traceparent_is_its_span_and_folds_are_one_span_with_their_counts() {
    let receiver = Receiver::start();
    let server = server(&receiver, &[]);
    let finished = run(worker(&server, &["calls", "printenv", "TRACEPARENT"]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let taken = receiver.spans(1).remove(0);
    assert_eq!(finished.stdout.trim(), format!("00-{}-{}-01", hex(&taken.span.trace_id), hex(&taken.span.span_id)));

    let mut burst = worker(&server, &["burst", "20000"]);
    // Without optimization, sending everything takes longer than a program normally waits at its end.
    burst.env("MONITOR_FOLD_AFTER", "100").env("MONITOR_EXIT_TIMEOUT", "60s");
    assert_eq!(run(burst).code, Some(0));
    let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "burst" && root["state"] == "succeeded"));
    let tree = server.tree(&root);
    assert!(tree.iter().any(|process| process["fold"].is_object()), "there are folds");
    let expected: BTreeMap<_, _> = tree.iter().map(|of| (of["id"].as_str().unwrap().to_owned(), of["fold"]["count"].as_u64())).collect();
    let count = |taken: &Taken| texts(&taken.span.attributes).get("process.fold.count").map(|count| count.parse().unwrap());
    wait_for("each span, once, as it is in the tree", || {
        let spans = latest(&receiver.seen(|seen| seen.taken[1..].to_vec()));
        let told: BTreeMap<_, _> = spans.iter().map(|taken| (hex(&taken.span.span_id), count(taken))).collect();
        (told == expected).then_some(())
    });
}

#[test]
fn each_span_is_forwarded_once_despite_failures_of_receiver_and_server() {
    let mut receiver = Receiver::start();
    let mut server = server(&receiver, &[]);
    send(&server, &batch(1, &[vec![started("00000000000000c1", None, "build")], pairs(0x1000, 50)].concat()));
    assert_eq!(receiver.spans(50).len(), 50);

    receiver.seen(|seen| seen.always = Some(Behaviour::Answers(503)));
    send(&server, &batch(102, &pairs(0x2000, 50)));
    let requests = |count: usize| wait_for("requests", || receiver.seen(|seen| (seen.requests.len() >= count).then_some(())));
    requests(3);
    wait_for_error(&server, "answered 503 Service Unavailable: as the test says");
    server.kill();
    server.start_again();
    let before = receiver.seen(|seen| seen.requests.len());
    requests(before + 1);
    receiver.seen(|seen| {
        assert_eq!(seen.taken.len(), 50, "nothing was taken meanwhile");
        seen.always = None;
    });
    assert_eq!(receiver.spans(100).len(), 100);

    receiver.kill();
    send(&server, &batch(202, &pairs(0x3000, 50)));
    wait_for_error(&server, "is not reached");
    receiver
        .seen(|seen| seen.next.extend([Behaviour::Answers(429), Behaviour::Answers(502), Behaviour::Answers(504), Behaviour::TakesHalf]));
    receiver.start_again();
    wait_for_error(&server, "rejected 25 of 50 spans: no room for half of it");
    // A batch that is too large is sent in parts, and a batch that is rejected permanently is not sent again.
    receiver.seen(|seen| seen.always = Some(Behaviour::TakesAtMost(20)));
    send(&server, &batch(302, &pairs(0x4000, 50)));
    receiver.spans(200);
    receiver.seen(|seen| (seen.always, seen.next) = (None, VecDeque::from([Behaviour::Answers(400)])));
    send(&server, &batch(402, &pairs(0x5000, 3)));
    wait_for_error(&server, "3 spans are not sent again");
    send(&server, &batch(408, &[ended("00000000000000c1")]));

    let spans = receiver.spans(201);
    let ids: BTreeSet<_> = spans.iter().map(|taken| hex(&taken.span.span_id)).collect();
    let expected = [0x1000, 0x2000, 0x3000, 0x4000].into_iter().flat_map(|from| (from..from + 50).map(id));
    assert_eq!(ids, expected.chain(["00000000000000c1".to_owned()]).collect());
    assert_eq!(spans.len(), ids.len(), "each goes once");
}

#[test]
fn only_new_spans_that_match_the_filter_are_forwarded() {
    let receiver = Receiver::start();
    let mut server = Server::start();
    send(&server, &batch(1, &[vec![started("00000000000000c1", None, "build")], pairs(0x1000, 2)].concat()));
    server.stop();
    server.set_env(vec![
        ("MONITOR_OTLP_ENDPOINT", receiver.url()),
        ("MONITOR_OTLP_FILTER", "name!=st?p state={succeeded,lost} program=shop".into()),
    ]);
    server.start_again();
    wait_for("the first run", || duty(&server)["last_us"].is_u64().then_some(()));
    let mut failed = ended("00000000000000c3");
    failed["outcome"] = json!("failed");
    let events = vec![started("00000000000000c3", Some("00000000000000c1"), "other"), failed, ended("00000000000000c1")];
    send(&server, &batch(6, &[pairs(0x2000, 2), events].concat()));
    let spans = receiver.spans(1);
    assert_eq!(spans.iter().map(|taken| &*taken.span.name).collect::<Vec<_>>(), ["build"]);
}

#[test]
fn lost_processes_are_forwarded_as_errors_once_detected() {
    let receiver = Receiver::start();
    let server = server(&receiver, &[]);
    let mut hang = worker(&server, &["hang"]);
    hang.env("MONITOR_HEARTBEAT", "300ms");
    let mut child = hang.spawn().unwrap();
    wait_for("the process", || server.roots().first().filter(|root| root["state"] == "running").map(drop));
    child.kill().unwrap();
    child.wait().unwrap();
    let root = wait_for("the loss", || server.roots().into_iter().find(|root| root["state"] == "lost"));
    let spans = receiver.spans(server.tree(&root).len());
    let span = &spans.iter().find(|taken| taken.span.parent_span_id.is_empty()).expect("the root").span;
    assert_eq!((span.status.as_ref().unwrap().code, &*texts(&span.attributes)["process.state"]), (2, "lost"));
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
}

#[test]
fn processes_left_open_are_forwarded_even_if_all_events_arrive_together() {
    let receiver = Receiver::start();
    let server = server(&receiver, &[]);
    let goodbye = json!({"type": "worker-offline", "time_us": BEGIN_US + 9_000});
    send(
        &server,
        &batch(1, &[started("00000000000000c1", None, "build"), started("00000000000000c2", Some("00000000000000c1"), "step"), goodbye]),
    );
    let spans = receiver.spans(2);
    for taken in &spans {
        assert_eq!(
            (&*texts(&taken.span.attributes)["process.state"], taken.span.end_time_unix_nano),
            ("cancelled", (BEGIN_US + 9_000) * 1_000)
        );
    }
    assert_eq!(spans.len(), 2);
}

#[test]
fn invalid_settings_are_refused_with_a_reason() {
    let mut server = Server::start();
    let own = server.url().to_owned();
    server.stop();
    let endpoint = "MONITOR_OTLP_ENDPOINT";
    for (env, words) in [
        (vec![(endpoint, &*own)], "is this server itself, which would receive its own spans"),
        (vec![(endpoint, "http://0.0.0.0:PORT/v1/traces")], "is this server itself"),
        (vec![(endpoint, "collector:4318")], "expected a URL of http or https"),
        (vec![(endpoint, "http://me:hush@collector:4318")], "those belong into otlp-headers"),
        (vec![("MONITOR_OTLP_FILTER", "name=x")], "otlp-filter is set and otlp-endpoint is not"),
        (vec![(endpoint, "http://127.0.0.1:4318"), ("MONITOR_OTLP_FILTER", "colour=red")], "expected KEY=PATTERN"),
        (vec![(endpoint, "http://127.0.0.1:4318"), ("MONITOR_OTLP_HEADERS", "hush")], "expected NAME=VALUE"),
        (vec![(endpoint, "http://127.0.0.1:4318"), ("MONITOR_OTLP_HEADERS", "a=file:/does/not/exist")], "/does/not/exist"),
        (vec![(endpoint, "http://127.0.0.1:4318"), ("MONITOR_STREAM_KEEP_BYTES", "off")], "`stream-keep-bytes` is `off`"),
    ] {
        let port = own.rsplit(':').next().unwrap();
        server.set_env(env.iter().map(|(key, value)| (*key, value.replace("PORT", port).into())).collect());
        let said = server.fail_to_start();
        let shown = ["--print-settings", "--help"].map(|what| {
            let mut shows = monitor_tests::command("monitor");
            shows.args(["server", "--data", "unused", what]).env("MONITOR_OTLP_HEADERS", "authorization=hush");
            run(shows).stdout
        });
        assert!(shown[0].contains("authorization=[masked]") && shown.iter().all(|shown| !shown.contains("hush")), "{shown:?}");
        assert!(said.contains(words), "{words:?} is not in {said:?}");
        assert!(!said.contains("hush"), "{said}");
    }
}
