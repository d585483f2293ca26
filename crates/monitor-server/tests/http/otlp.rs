use monitor_server::otlp::proto::{AnyValue, KeyValue, KeyValueList, Span, SpanEvent, TracesTaken, Value as AttributeValue};
use prost::Message;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls};

use crate::bodies::{bare_deflate, deflate, gzip, zstd};
use crate::support::{PROCESS, ROOT, TestServer, batch, started};

/// Data that OpenTelemetry's SDK for Python sent when `tests/otlp/spans.py` ran below process `PROCESS` of run `ROOT`.
const TRACES: &[u8] = include_bytes!("sdk/traces.pb.gz");
const LOGS: &[u8] = include_bytes!("sdk/logs.pb");

const TYPE: &str = "application/x-protobuf";

fn post(server: &TestServer, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    server.client.post(format!("http://{}{path}", server.address)).header("content-type", content_type).body(body)
}

/// Returns status, content type and body.
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
async fn spans_of_an_sdk_appear_below_the_caller_that_sent_traceparent() {
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

/// Function that compresses the body of a request.
type Encode = fn(&[u8]) -> Vec<u8>;

#[tokio::test]
async fn spans_are_accepted_in_every_encoding_that_exporters_send() {
    let server = TestServer::start().await;
    let encodings: [(&str, Encode); 4] = [("deflate", deflate), ("deflate", bare_deflate), ("gzip", gzip), ("zstd", zstd)];
    for ((encoding, encode), id) in encodings.into_iter().zip(0xa1_u64..) {
        let body = encode(spans(&json!([span(&format!("{id:016x}"))])).to_string().as_bytes());
        let request = post(&server, "/v1/traces", "application/json", body).header("content-encoding", encoding);
        let (status, _, answer) = read(request).await;
        assert_eq!((status, answer.as_slice()), (200, b"{}".as_slice()), "{encoding}: {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(tree(&server).await.len(), encodings.len());
    // The refusal of an undecodable body has a text.
    let (status, _, answer) = read(post(&server, "/v1/traces", "application/json", "{}").header("content-encoding", "deflate")).await;
    assert_eq!(status, 400, "{}", String::from_utf8_lossy(&answer));
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
        json!({"int": i64::MIN, "number": 7, "double": "NaN", "bytes": "AAEC", "list": [true, null], "map": {"k": "v"}, "nothing": null, "span.kind": "client", "otel.scope.name": "s"})
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
async fn a_span_without_an_end_is_running_and_a_cancelled_span_is_cancelled() {
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
    // The end arrives later.
    assert_eq!(send_json(&server, "/v1/traces", &spans(&json!([span("00000000000000a1")]))).await, json!({}));
    assert_eq!(states().await, ["succeeded", "cancelled"]);
}

#[tokio::test]
async fn the_otlp_receiver_goes_offline_when_the_server_stops() {
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
async fn invalid_spans_are_rejected_and_the_other_spans_are_accepted() {
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
async fn errors_are_returned_in_the_encoding_of_the_request() {
    let server = TestServer::with(|config| (config.max_body_bytes, config.max_batch_events) = (3 << 20, 100)).await;
    for (body, words) in [
        ("[]", "the body can't be read"),
        ("{\"resourceSpans\": [", "EOF"),
        ("{\"resourceSpans\": [{\"scopeSpans\": [7]}]}", "a group of a scope can't be read"),
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

/// Encodes a protobuf field with this number that is a message.
fn wrap(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![tag << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut wrapped).unwrap();
    wrapped.extend(bytes);
    wrapped
}

/// Returns an attribute of `levels` nested lists of keys and values.
fn deep(levels: usize) -> KeyValue {
    let innermost = KeyValue { key: "k".to_owned(), value: None };
    (0..levels).fold(innermost, |inner, _| {
        let value = AnyValue { value: Some(AttributeValue::KvlistValue(KeyValueList { values: vec![inner] })) };
        KeyValue { key: "k".to_owned(), value: Some(value) }
    })
}

fn message(id: u8, attributes: Vec<KeyValue>) -> Span {
    let (trace_id, span_id) = (u128::from_str_radix(ROOT, 16).unwrap().to_be_bytes().to_vec(), vec![id; 8]);
    Span { trace_id, span_id, name: "a span".to_owned(), start_time_unix_nano: 1, end_time_unix_nano: 2, attributes, ..Span::default() }
}

#[tokio::test]
async fn a_span_that_can_t_be_read_is_counted_and_the_rest_is_stored() {
    let server = TestServer::start().await;
    let mut not_text = message(3, vec![]).encode_to_vec();
    let name = not_text.windows(6).position(|bytes| bytes == b"a span").unwrap();
    not_text[name] = 0xff;
    let spans_ = [message(1, vec![deep(10)]).encode_to_vec(), not_text, message(4, vec![deep(50)]).encode_to_vec(), b"\x0a\xff".to_vec()];
    let group = wrap(1, &wrap(2, &spans_.iter().flat_map(|span| wrap(2, span)).collect::<Vec<_>>()));
    // A resource with invalid UTF-8 in the name of an attribute, and two spans.
    let two = [wrap(2, &message(5, vec![]).encode_to_vec()), wrap(2, &message(6, vec![]).encode_to_vec())].concat();
    let nameless = wrap(1, &[wrap(1, &wrap(1, &wrap(1, b"\xff"))), wrap(2, &two)].concat());
    let last = wrap(1, &wrap(2, &wrap(2, &message(7, vec![]).encode_to_vec())));
    let (status, _, answer) = read(post(&server, "/v1/traces", TYPE, [group, nameless, last].concat())).await;
    let told = TracesTaken::decode(&*answer).unwrap().partial_success.unwrap();
    assert_eq!((status, told.rejected_spans), (200, 5));
    assert!(told.error_message.starts_with("5 rejected; the first: an item can't be read"), "{}", told.error_message);
    let ids = async || -> Vec<Value> { tree(&server).await.into_iter().map(|process| process["id"].clone()).collect() };
    assert_eq!(ids().await, ["0101010101010101", "0707070707070707"]);

    let mut wrong = ["00000000000000a1", "00000000000000a2", "00000000000000a3", "00000000000000a4", "00000000000000a5"].map(span);
    wrong[0]["traceId"] = json!("xy");
    wrong[1]["startTimeUnixNano"] = json!("soon");
    wrong[2]["startTimeUnixNano"] = json!("99999999999999999999");
    wrong[3]["attributes"] = serde_json::to_value([deep(50)]).unwrap();
    let answer = send_json(&server, "/v1/traces", &spans(&json!(wrong))).await;
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "4");
    let words = "4 rejected; the first: number 1: an item can't be read: \"xy\" are no hex digits";
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().starts_with(words), "{answer}");
    assert_eq!(ids().await.len(), 3);
    // Invalid UTF-8 in JSON.
    let mut body = spans(&json!([span("00000000000000b1"), span("00000000000000b2")])).to_string().into_bytes();
    let name = body.windows(6).position(|bytes| bytes == b"a span").unwrap();
    body[name] = 0xff;
    assert_eq!(read(post(&server, "/v1/traces", "application/json", body)).await.0, 200);
    let names: Vec<_> = tree(&server).await.iter().map(|process| process["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.iter().filter(|name| *name == "\u{fffd} span").count(), 1, "{names:?}");
}

#[tokio::test]
async fn a_span_beyond_the_size_limit_does_not_affect_other_spans() {
    let server = TestServer::with(|config| config.max_event_bytes = 1 << 16).await;
    let mut large = span("00000000000000a1");
    large["links"] = json!(vec![json!({"traceId": ROOT, "spanId": "00000000000000a2"}); 5_000]);
    let answer = send_json(&server, "/v1/traces", &spans(&json!([large, span("00000000000000a2")]))).await;
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1", "{answer}");
    assert_eq!(tree(&server).await.len(), 1);
}

#[tokio::test]
async fn lines_of_a_trace_that_is_not_sampled_make_no_tree() {
    let server = TestServer::start().await;
    let record = |flags: u32| {
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
            {"traceId": ROOT, "spanId": "00000000000000a1", "flags": flags, "timeUnixNano": "1000", "body": {"stringValue": "a line"}}]}]}]})
    };
    let answer = send_json(&server, "/v1/logs", &record(0)).await;
    assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "1");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("not sampled"), "{answer}");
    assert_eq!(server.ask("/api/v1/roots").await["roots"], json!([]));
    // A log line of a span that has not ended arrives before the span.
    assert_eq!(send_json(&server, "/v1/logs", &record(1)).await, json!({}));
    assert_eq!(send_json(&server, "/v1/traces", &spans(&json!([span("00000000000000a1")]))).await, json!({}));
    assert_eq!(send_json(&server, "/v1/logs", &record(0)).await, json!({}), "the trace is here, whatever its flags say");
    assert_eq!(server.ask("/api/v1/roots/1/logs").await["logs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_failure_without_a_message_has_the_response_status_as_reason() {
    let server = TestServer::start().await;
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    let failed = |id: &str, message: &str, attributes: Value| {
        let mut failed = span(id);
        failed["status"] = json!({"code": 2, "message": message});
        failed["attributes"] = attributes;
        failed
    };
    let status = attribute("http.response.status_code", json!({"intValue": "500"}));
    let cases = [
        failed("00000000000000a1", "", json!([status])),
        failed("00000000000000a2", "", json!([attribute("http.status_code", json!({"stringValue": "599"}))])),
        failed("00000000000000a3", "out of stock", json!([status])),
        failed("00000000000000a4", "", json!([attribute("error.type", json!({"stringValue": "timeout"}))])),
        failed("00000000000000a5", "", json!([attribute("http.status_code", json!({"intValue": "-7"}))])),
    ];
    let scope = json!({"name": "shop.http", "version": "1.2"});
    let body = json!({"resourceSpans": [{"scopeSpans": [{"scope": scope, "spans": cases}]}]});
    assert_eq!(send_json(&server, "/v1/traces", &body).await, json!({}));
    let processes = tree(&server).await;
    let reasons: Vec<_> = processes.iter().map(|process| process["error"]["message"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["HTTP 500 Internal Server Error", "HTTP 599", "out of stock", "timeout", "no reason was given"]);
    let fields = &processes[0]["fields"];
    assert_eq!((&fields["otel.scope.name"], &fields["otel.scope.version"]), (&json!("shop.http"), &json!("1.2")));
}

#[tokio::test]
async fn refused_metrics_name_the_setting_that_turns_them_off() {
    let server = TestServer::start().await;
    let (status, content_type, answer) = read(post(&server, "/v1/metrics", "application/json", "{}")).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, content_type.as_str()), (404, "application/json"));
    assert!(answer["message"].as_str().unwrap().contains("OTEL_METRICS_EXPORTER=none"), "{answer}");
    let (status, content_type, answer) = read(post(&server, "/v1/metrics", TYPE, TRACES)).await;
    assert_eq!((status, content_type.as_str()), (404, TYPE));
    assert!(String::from_utf8_lossy(&answer).contains("OTEL_METRICS_EXPORTER=none"));
}

/// Sends the beginning of an HTTP/2 connection, and expects that the server closes it without a response.
async fn is_disconnected(mut socket: impl AsyncRead + AsyncWrite + Unpin) {
    // The preface and empty settings.
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    // Unread data resets the connection.
    let _ = socket.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn a_client_of_grpc_is_disconnected() {
    let server = TestServer::start().await;
    is_disconnected(TcpStream::connect(server.address).await.unwrap()).await;
    assert_eq!(server.ask("/healthz").await["status"], "ok");
}

#[tokio::test]
async fn a_client_of_grpc_is_disconnected_in_tls_too() {
    let data = tempfile::tempdir().unwrap();
    let (certificate, key) = (data.path().join("cert.pem"), data.path().join("key.pem"));
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let server = TestServer::on(data, |config| (config.tls_cert, config.tls_key) = (Some(certificate), Some(key))).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(server.address).await.unwrap();
    let socket = TlsConnector::from(std::sync::Arc::new(config)).connect("localhost".try_into().unwrap(), socket).await.unwrap();
    is_disconnected(socket).await;
}

#[tokio::test]
async fn a_single_span_can_be_large_up_to_the_limit() {
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
        let spans: Vec<u8> = sizes.iter().flat_map(|size| wrap(2, &span(*size).encode_to_vec())).collect();
        wrap(1, &wrap(2, &spans))
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
