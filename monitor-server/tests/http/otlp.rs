use monitor_server::otlp::proto::{KeyValue, Span, SpanEvent, TracesTaken};
use prost::Message;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::{PROCESS, ROOT, TestServer, batch, started};

/// What OpenTelemetry's SDK for Python sent when `tests/otlp/spans.py` ran below process `PROCESS` of tree `ROOT`.
const TRACES: &[u8] = include_bytes!("sdk/traces.pb.gz");
const LOGS: &[u8] = include_bytes!("sdk/logs.pb");

const TYPE: &str = "application/x-protobuf";

fn post(server: &TestServer, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    server.client.post(format!("http://{}{path}", server.address)).header("content-type", content_type).body(body)
}

/// Status, type and bytes.
async fn read(request: RequestBuilder) -> (u16, String, Vec<u8>) {
    let response: Response = request.send().await.unwrap();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    (response.status().as_u16(), content_type, response.bytes().await.unwrap().to_vec())
}

async fn send_json(server: &TestServer, path: &str, body: &Value) -> Value {
    let (status, content_type, body) = read(post(server, path, "application/json", body.to_string())).await;
    assert_eq!((status, content_type.as_str()), (200, "application/json"), "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

fn spans(spans: &Value) -> Value {
    json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                              "scopeSpans": [{"scope": {"name": "s"}, "spans": spans}]}]})
}

fn span(id: &str) -> Value {
    json!({"traceId": ROOT, "spanId": id, "name": "a span", "startTimeUnixNano": "1763600000123456789", "endTimeUnixNano": "1763600000123457790"})
}

async fn tree(server: &TestServer) -> Vec<Value> {
    server.ask(&format!("/api/v1/roots/{ROOT}/tree")).await["processes"].as_array().unwrap().clone()
}

#[tokio::test]
async fn spans_of_an_sdk_hang_below_the_caller_that_sent_traceparent() {
    let server = TestServer::start().await;
    server.send(&batch(1, &[started(ROOT, PROCESS, None, "nightly build")])).await;
    let request = || post(&server, "/v1/traces", "application/x-protobuf", TRACES).header("content-encoding", "gzip");
    assert_eq!(read(request()).await, (200, "application/x-protobuf".to_owned(), vec![]));
    assert_eq!(read(post(&server, "/v1/logs", "application/x-protobuf", LOGS)).await, (200, "application/x-protobuf".to_owned(), vec![]));
    let processes = tree(&server).await;
    let told: Vec<_> = processes
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["kind"].as_str().unwrap(), p["state"].as_str().unwrap(), p["depth"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [("nightly build", "root", "running", 0), ("checkout", "span", "succeeded", 1), ("charge card", "span", "failed", 2)]);
    let (checkout, charge) = (&processes[1], &processes[2]);
    assert_eq!(checkout["source"], json!({"file": "shop.py", "line": 12}));
    let fields = &checkout["fields"];
    assert_eq!(
        (&fields["items"], &fields["total"], &fields["vip"], &fields["tags"], &fields["span.kind"], &fields["service.version"]),
        (&json!(3), &json!(17.5), &json!(true), &json!(["a", "b"]), &json!("server"), &json!("1.2")),
    );
    assert_eq!((&charge["error"]["type"], &charge["error"]["message"]), (&json!("ValueError"), &json!("card refused")));
    assert_eq!((&charge["links"][0]["id"], &charge["links"][0]["relation"]), (&checkout["id"], &json!("link")));
    assert!(checkout["elapsed_ns"].as_u64().unwrap() > charge["elapsed_ns"].as_u64().unwrap());
    let worker = server.ask(&format!("/api/v1/workers/{}", checkout["worker_id"].as_str().unwrap())).await;
    assert_eq!((&worker["program"], &worker["hostname"], &worker["pid"]), (&json!("shop"), &json!("till-3"), &json!(77)));
    let logs = server.ask("/api/v1/roots/1/logs").await;
    let lines: Vec<_> = logs["logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (l["level"].as_str().unwrap(), l["message"].as_str().unwrap(), l["target"].as_str().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            ("info", "cart checked", "shop.tracer"),
            ("error", "ValueError: card refused", "shop.tracer"),
            ("warn", "one item is out of stock", "shop.log"),
        ]
    );
    assert_eq!(logs["logs"][2]["fields"], json!({"item": "根"}));

    let events = server.ask("/api/v1/status").await["roots"].clone();
    assert_eq!(read(request()).await.0, 200);
    assert_eq!((tree(&server).await, &server.ask("/api/v1/status").await["roots"]), (processes, &events), "again, and nothing changes");
    assert_eq!(server.ask("/api/v1/roots/1/logs").await["logs"], logs["logs"]);
}

#[tokio::test]
async fn json_is_read_as_otlp_writes_it() {
    let server = TestServer::start().await;
    let mut rich = span("00000000000000A1");
    rich["parentSpanId"] = json!("");
    rich["kind"] = json!(3);
    rich["endTimeUnixNano"] = json!(1_763_600_000_123_999_999_u64);
    rich["unknownField"] = json!({"is": "ignored"});
    rich["status"] = json!({"code": 2, "message": "no"});
    rich["attributes"] = json!([
        {"key": "int", "value": {"intValue": "-9223372036854775808"}}, {"key": "number", "value": {"intValue": 7}},
        {"key": "double", "value": {"doubleValue": "NaN"}}, {"key": "bytes", "value": {"bytesValue": "AAEC"}},
        {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": true}, {}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}},
        {"key": "nothing"},
    ]);
    assert_eq!(send_json(&server, "/v1/traces", &spans(&json!([rich]))).await, json!({}));
    let process = &tree(&server).await[0];
    assert_eq!(
        (&process["id"], &process["started_us"], &process["elapsed_ns"]),
        (&json!("00000000000000a1"), &json!(1_763_600_000_123_456_u64), &json!(543_210))
    );
    assert_eq!((&process["state"], &process["error"]["message"]), (&json!("failed"), &json!("no")));
    assert_eq!(
        process["fields"],
        json!({"int": i64::MIN, "number": 7, "double": "NaN", "bytes": "AAEC", "list": [true, null], "map": {"k": "v"}, "nothing": null, "span.kind": "client"})
    );
    let record = |span: &str, body: Value| {
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
            {"traceId": ROOT, "spanId": span, "observedTimeUnixNano": "1000", "severityNumber": 21, "body": body}]}]}]})
    };
    assert_eq!(send_json(&server, "/v1/logs", &record("00000000000000a1", json!({"stringValue": "fell over"}))).await, json!({}));
    let partial = send_json(&server, "/v1/logs", &record("", json!({}))).await;
    assert_eq!(partial["partialSuccess"]["rejectedLogRecords"], "1");
    assert!(partial["partialSuccess"]["errorMessage"].as_str().unwrap().contains("belongs to no process"), "{partial}");
    let logs = server.ask("/api/v1/roots/1/logs").await;
    assert_eq!(
        (&logs["logs"][0]["level"], &logs["logs"][0]["message"], &logs["logs"][0]["time_us"]),
        (&json!("error"), &json!("fell over"), &json!(1))
    );
}

#[tokio::test]
async fn a_span_without_an_end_runs_and_one_that_was_cancelled_is_that() {
    let server = TestServer::start().await;
    let mut spans_ = ["00000000000000a1", "00000000000000a2"].map(span);
    spans_[0]["endTimeUnixNano"] = json!("0");
    spans_[1]["parentSpanId"] = json!("00000000000000a1");
    spans_[1]["attributes"] = json!([{"key": "process.state", "value": {"stringValue": "cancelled"}}]);
    assert_eq!(send_json(&server, "/v1/traces", &spans(&json!(spans_))).await, json!({}));
    let states =
        async || -> Vec<String> { tree(&server).await.iter().map(|process| process["state"].as_str().unwrap().to_owned()).collect() };
    assert_eq!(states().await, ["running", "cancelled"]);
    assert_eq!(tree(&server).await[0]["ended_us"], Value::Null);
    // The end comes later.
    assert_eq!(send_json(&server, "/v1/traces", &spans(&json!([span("00000000000000a1")]))).await, json!({}));
    assert_eq!(states().await, ["succeeded", "cancelled"]);
}

#[tokio::test]
async fn the_receiver_leaves_when_the_server_stops() {
    let server = TestServer::start().await;
    send_json(&server, "/v1/traces", &spans(&json!([span("00000000000000a1")]))).await;
    let receivers = async |server: &TestServer| -> Vec<Value> {
        let workers = server.ask("/api/v1/workers").await["workers"].as_array().unwrap().clone();
        workers.into_iter().filter(|worker| worker["program"] == "OTLP receiver").map(|worker| worker["state"].clone()).collect()
    };
    assert_eq!(receivers(&server).await, ["online"]);
    let data = server.stop().await;
    let server = TestServer::on(data, |_| {}).await;
    assert_eq!(receivers(&server).await, ["offline"]);
    assert_eq!(tree(&server).await[0]["state"], "succeeded");
}

#[tokio::test]
async fn what_can_t_be_a_process_is_rejected_and_the_rest_is_taken() {
    let server = TestServer::start().await;
    let mut wrong =
        vec![span("00000000000000a1"), span("0000000000000000"), span("00a2"), span("00000000000000a3"), span("00000000000000a4")];
    wrong[3]["traceId"] = json!("00000000000000000000000000000000");
    wrong[4]["endTimeUnixNano"] = json!(u64::MAX.to_string());
    let answer = send_json(&server, "/v1/traces", &spans(&json!(wrong))).await;
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "4");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().starts_with("4 rejected; the first: its span_id"), "{answer}");
    assert_eq!(tree(&server).await.len(), 1);
    assert_eq!(send_json(&server, "/v1/traces", &json!({})).await, json!({}), "nothing is no error");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_form_that_was_sent() {
    let server = TestServer::with(|config| (config.max_body_bytes, config.max_batch_events) = (3 << 20, 100)).await;
    for (body, words) in [
        ("[]", "the body can't be read"),
        (
            "{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [{\"traceId\": \"xy\"}]}]}]}",
            "number 1: an item can't be read: \"xy\" are no hex digits",
        ),
        ("{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [{\"startTimeUnixNano\": \"soon\"}]}]}]}", "no whole number of 64 bits"),
        ("{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [{\"startTimeUnixNano\": \"99999999999999999999\"}]}]}]}", "no whole number"),
        ("{\"resourceSpans\": [", "EOF"),
    ] {
        let (status, content_type, answer) = read(post(&server, "/v1/traces", "application/json", body)).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, content_type.as_str(), &answer["code"]), (400, "application/json", &json!(3)), "{body}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(words), "{body}: {answer}");
    }
    let deep = format!("{}{}", "{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":".repeat(5_000), "{}");
    for body in
        [&b"\x0a\xff"[..], b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"\x0a\x05\x12\x03\x12\x05\x00", b"\xff", deep.as_bytes()]
    {
        let (status, content_type, answer) = read(post(&server, "/v1/traces", "application/x-protobuf", body.to_vec())).await;
        assert_eq!((status, content_type.as_str()), (400, "application/x-protobuf"), "{body:?}");
        assert_eq!(answer[..2], [8, 3], "google.rpc.Status with code 3: {answer:?}");
    }
    let many: Vec<_> = (1..=51).map(|id| span(&format!("{id:016x}"))).collect();
    let (status, _, answer) = read(post(&server, "/v1/traces", "application/json", spans(&json!(many)).to_string())).await;
    assert!(status == 413 && String::from_utf8_lossy(&answer).contains("more than 100 events"), "{status}");
    let (status, _, _) = read(post(&server, "/v1/traces", "application/x-protobuf", vec![0; (3 << 20) + 1])).await;
    assert_eq!(status, 413);
    for (content_type, encoding) in [("text/plain", ""), ("application/x-protobuf", "br")] {
        let request = post(&server, "/v1/traces", content_type, TRACES).header("content-encoding", encoding);
        assert_eq!(read(request).await.0, 415);
    }
    assert_eq!(server.ask("/api/v1/roots").await["roots"], json!([]), "nothing of all that was taken");
}

#[tokio::test]
async fn one_span_may_be_large_but_not_too_large() {
    let server = TestServer::start().await;
    let request = |sizes: &[usize]| {
        let span = |attributes: usize| Span {
            trace_id: vec![1; 16],
            span_id: attributes.to_be_bytes().to_vec(),
            start_time_unix_nano: 1,
            end_time_unix_nano: 2,
            attributes: vec![KeyValue::default(); attributes],
            events: vec![SpanEvent::default()],
            ..Span::default()
        };
        let wrap = |tag: u8, bytes: Vec<u8>| {
            let mut wrapped = vec![tag << 3 | 2];
            prost::encode_length_delimiter(bytes.len(), &mut wrapped).unwrap();
            wrapped.extend(bytes);
            wrapped
        };
        let spans: Vec<u8> = sizes.iter().flat_map(|size| wrap(2, span(*size).encode_to_vec())).collect();
        wrap(1, wrap(2, spans))
    };
    assert_eq!(read(post(&server, "/v1/traces", "application/x-protobuf", request(&[100_000]))).await, (200, TYPE.to_owned(), vec![]));
    let (status, _, answer) = read(post(&server, "/v1/traces", "application/x-protobuf", request(&[7, 1_000_000, 8]))).await;
    let taken = TracesTaken::decode(&*answer).unwrap().partial_success.unwrap();
    assert_eq!((status, taken.rejected_spans), (200, 1));
    assert!(taken.error_message.contains("the most is 1048576"), "{}", taken.error_message);
    let root = "01".repeat(16);
    assert_eq!(server.ask(&format!("/api/v1/roots/{root}/tree")).await["processes"].as_array().unwrap().len(), 3, "the others are taken");
    let large = json!({"traceId": root, "spanId": "00000000000000a1", "name": "x".repeat(1 << 20), "endTimeUnixNano": "1"});
    let answer = send_json(&server, "/v1/traces", &spans(&json!([large, span("00000000000000a2")]))).await;
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1", "{answer}");
}
