use std::io::Write;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{CHILD, PROCESS, ROOT, TestServer, batch, failed, read, started, tree};

async fn refused(server: &TestServer, request: reqwest::RequestBuilder, status: u16, words: &[&str]) -> Value {
    let (found, problem) = read(request.send().await.expect("an answer")).await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(found, status, "{problem}");
    for word in words {
        assert!(detail.contains(word), "{word:?} is not in {detail:?}");
    }
    let roots = server.ask("/api/v1/roots").await;
    assert_eq!(roots["roots"], json!([]), "nothing of a refused batch is stored");
    problem
}

pub(crate) fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::encode_all(body, 3).unwrap()
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Compresses without the zlib header, as some clients do for `deflate`.
pub(crate) fn bare_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_batch_is_accepted_plain_and_compressed_and_counts_once() {
    let server = TestServer::start().await;
    let body = tree().to_string().into_bytes();
    for (encoding, body) in [
        (None, body.clone()),
        (Some("zstd"), zstd(&body)),
        (Some("gzip"), gzip(&body)),
        (Some("deflate"), deflate(&body)),
        (Some("deflate"), bare_deflate(&body)),
        (Some("identity"), body),
    ] {
        let mut request = server.post(body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        assert_eq!(read(request.send().await.unwrap()).await, (200, json!({"accepted": 3})), "{encoding:?}");
    }
    let roots = server.ask("/api/v1/roots").await;
    assert_eq!(roots["roots"].as_array().unwrap().len(), 1);
    assert_eq!(server.ask("/api/v1/status").await["events"], 3);
}

#[tokio::test]
async fn a_batch_without_events_is_accepted() {
    let server = TestServer::start().await;
    server.send(&batch(1, &[])).await;
}

#[tokio::test]
async fn invalid_batches_are_refused_with_place_and_reason() {
    let server = TestServer::start().await;
    let with = |key: &str, value: Value| {
        let mut batch = tree();
        batch[key] = value;
        batch.to_string()
    };
    let events = |event: Value| batch(7, &[started(ROOT, PROCESS, None, "a"), event, failed(ROOT, PROCESS, "b")]).to_string();
    for (body, words, event_number) in [
        (String::new(), "EOF", None),
        ("nonsense".to_owned(), "line 1 column 2", None),
        ("[]".to_owned(), "a batch", None),
        ("{}".to_owned(), "version", None),
        (tree().to_string() + "}", "trailing", None),
        (with("sequence", json!(0)), "numbered from 1", None),
        (with("sequence", json!(-1)), "invalid value", None),
        (with("sequence", json!(u64::MAX)), "numbered from 1", None),
        (with("worker", json!({"id": "x"})), "worker id", None),
        (with("events", json!({})), "list of events", None),
        (events(json!({"root_id": ROOT})), "type", Some(8)),
        (events(json!(3)), "event 8", Some(8)),
        (events(json!({"type": "process-started", "root_id": "0", "id": PROCESS})), "root id", Some(8)),
        (events(json!({"type": "process-ended", "root_id": ROOT, "id": PROCESS})), "time_us", Some(8)),
        ("[".repeat(100_000), "batch", None),
        (format!("{{\"version\":{}", "[".repeat(100_000)), "", None),
    ] {
        let problem = refused(&server, server.post(body.clone()), 400, &[words]).await;
        assert_eq!(problem["event_number"].as_u64(), event_number, "{body:.200}: {problem}");
    }
}

#[tokio::test]
async fn a_body_cut_at_any_length_is_refused() {
    let server = TestServer::start().await;
    let body = batch(1, &[started(ROOT, PROCESS, None, "根")]).to_string().into_bytes();
    for length in 0..body.len() {
        let problem = refused(&server, server.post(body[..length].to_vec()), 400, &["no batch"]).await;
        assert!(problem.get("event_number").is_none(), "no event is at fault: {problem}");
    }
    for (encoding, body) in [("zstd", zstd(&body)), ("gzip", gzip(&body)), ("deflate", deflate(&body)), ("deflate", bare_deflate(&body))] {
        for length in 0..body.len() {
            let request = server.post(body[..length].to_vec()).header("content-encoding", encoding);
            refused(&server, request, 400, &[]).await;
        }
    }
}

#[tokio::test]
async fn incomplete_compressed_bodies_are_refused() {
    let server = TestServer::start().await;
    let body = tree().to_string().into_bytes();
    let with_tail = |mut body: Vec<u8>| {
        body.extend_from_slice(b"tail");
        body
    };
    // A small frame that announces a window of 2 GiB.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&body).unwrap();
    let greedy = encoder.finish().unwrap();
    for (encoding, body) in [
        ("zstd", body.clone()),
        ("gzip", body.clone()),
        ("zstd", gzip(&body)),
        ("gzip", zstd(&body)),
        ("zstd", with_tail(zstd(&body))),
        ("gzip", with_tail(gzip(&body))),
        ("deflate", body.clone()),
        ("deflate", gzip(&body)),
        ("deflate", with_tail(deflate(&body))),
        ("deflate", with_tail(bare_deflate(&body))),
        ("zstd", greedy),
    ] {
        refused(&server, server.post(body).header("content-encoding", encoding), 400, &[encoding]).await;
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused_in_every_encoding() {
    let limit = 100_000;
    let server = TestServer::with(|config| config.max_body_bytes = limit).await;
    let name = "n".repeat(limit);
    let body = batch(1, &[started(ROOT, PROCESS, None, &name)]).to_string().into_bytes();
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(
        body.chunks(1000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>(),
    ));
    let bomb = vec![b' '; 200 << 20];
    for (request, words) in [
        (server.post(body.clone()), "100000 bytes:"),
        (server.post(chunked), "100000 bytes:"),
        (server.post(zstd(&body)).header("content-encoding", "zstd"), "when decompressed"),
        (server.post(gzip(&body)).header("content-encoding", "gzip"), "when decompressed"),
        (server.post(zstd(&bomb)).header("content-encoding", "zstd"), "when decompressed"),
    ] {
        refused(&server, request, 413, &["split", words]).await;
    }
    let head =
        "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99999999999999\r\n\r\n";
    let answer = server.raw(head).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "before any of it is sent: {answer}");
}

#[tokio::test]
async fn a_batch_of_too_many_events_is_refused_before_it_takes_memory() {
    let server = TestServer::with(|config| config.max_batch_events = 1_000).await;
    let events = |count| batch(1, &vec![json!({"type": "a"}); count]).to_string();
    let compressed = server.post(zstd(events(1_001).as_bytes())).header("content-encoding", "zstd");
    refused(&server, compressed, 413, &["more than 1000 events", "split"]).await;
    refused(&server, server.post(events(1_001)), 413, &["more than 1000 events", "split"]).await;
    let taken = server.post(events(1_000)).send().await.unwrap();
    assert_eq!(read(taken).await, (200, json!({"accepted": 1_000})));
}

#[tokio::test]
async fn a_refusal_is_read_though_the_body_was_not() {
    let server = TestServer::with(|config| config.max_body_bytes = 4 << 20).await;
    for _ in 0..5 {
        let large = vec![b' '; 15 << 20];
        assert_eq!(read(server.post(large.clone()).send().await.expect("no reset")).await.0, 413);
        let other = server.post(large).header("content-encoding", "br");
        assert_eq!(read(other.send().await.expect("no reset")).await.0, 415);
    }
}

#[tokio::test]
async fn only_json_in_known_encodings_is_read() {
    let server = TestServer::start().await;
    let url = format!("http://{}/api/v1/events", server.address);
    let post = || server.client.post(&url).body(tree().to_string());
    for (request, words) in [
        (post(), "no Content-Type"),
        (post().header("content-type", "text/plain"), "text/plain"),
        (post().header("content-type", "application/x-www-form-urlencoded"), "application/json"),
        (post().header("content-type", "application/jsonp"), "application/json"),
        (server.post(tree().to_string().replace("\"version\":1", "\"version\":2")), "version 2"),
        (server.post("").header("content-encoding", "br"), "`zstd`, `gzip`, `deflate`"),
        (server.post("").header("content-encoding", "gzip, zstd"), "`zstd`, `gzip`, `deflate`"),
        (server.post("").header("content-encoding", "gzip").header("content-encoding", "gzip"), "several"),
    ] {
        refused(&server, request, 415, &[words]).await;
    }
    let request = post().header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(read(request.send().await.unwrap()).await.0, 200);
}

#[tokio::test]
async fn bodies_that_do_not_fit_in_memory_are_refused_with_retry_after() {
    let server = TestServer::with(|config| config.max_pending_bytes = 4096).await;
    let alone = batch(1, &[started(ROOT, PROCESS, None, &"n".repeat(8_192))]).to_string();
    refused(&server, server.post(alone), 413, &["4096 bytes", "split the batch"]).await;
    let body = batch(1, &[started(ROOT, PROCESS, None, &"n".repeat(2_000))]).to_string();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n";
    half.write_all(format!("{head}{}", " ".repeat(3_000)).as_bytes()).await.unwrap();
    // Once the half has been read, there is no room for another body.
    loop {
        let response = server.post(body.clone()).send().await.unwrap();
        if response.status() == 503 {
            assert_eq!(response.headers()["retry-after"], "1");
            break;
        }
        assert_eq!(response.status(), 200);
    }
    drop(half);
    while server.post(body.clone()).send().await.unwrap().status() == 503 {}
}

#[tokio::test]
async fn long_texts_are_cut_and_an_event_that_is_too_large_is_refused() {
    let server = TestServer::with(|config| (config.max_name_bytes, config.max_text_bytes, config.max_event_bytes) = (20, 40, 1_000)).await;
    let huge = json!({"type": "of-another-kind", "root_id": ROOT, "payload": "x".repeat(2_000)});
    let body = batch(1, &[started(ROOT, PROCESS, None, "short"), huge]).to_string();
    let problem = refused(&server, server.post(body), 400, &["max-event-bytes", "without it"]).await;
    assert_eq!(problem["event_number"], 2);
    server.send(&batch(1, &[started(ROOT, PROCESS, None, &"n".repeat(100)), failed(ROOT, PROCESS, &"m".repeat(100))])).await;
    let process = server.ask(&format!("/api/v1/roots/{ROOT}/processes/{PROCESS}")).await;
    assert_eq!(process["name"], format!("{}… [80 bytes cut]", "n".repeat(20)));
    assert_eq!(process["error"]["message"], format!("{}… [60 bytes cut]", "m".repeat(40)));
    assert_eq!(process["state"], "failed", "an end is never lost for its words");
}

#[tokio::test]
async fn a_stalled_body_ends_with_a_timeout() {
    let server = TestServer::with(|config| config.stall_timeout = std::time::Duration::from_millis(50)).await;
    let head = "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = server.raw(head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn names_are_stored_unchanged() {
    let server = TestServer::start().await;
    let name = "<script>alert(1)</script> \"'`\u{0}\u{1b}[31m\u{202e}根; DROP TABLE";
    server.send(&batch(1, &[started(ROOT, "ffffffffffffffff", None, name)])).await;
    let roots = server.ask("/api/v1/roots").await;
    assert_eq!(roots["roots"][0]["name"], name);
    let process = server.ask(&format!("/api/v1/roots/{ROOT}/processes/ffffffffffffffff")).await;
    assert_eq!(process["name"], name);
}

#[tokio::test]
async fn events_beyond_the_process_limit_of_a_root_are_counted_with_its_tree() {
    let server = TestServer::with(|config| config.max_processes_per_root = 1).await;
    server.send(&batch(1, &[started(ROOT, PROCESS, None, "nightly build")])).await;
    server.send(&batch(2, &[started(ROOT, CHILD, Some(PROCESS), "compile"), failed(ROOT, CHILD, "no"), failed(ROOT, PROCESS, "no")])).await;
    let tree = server.ask(&format!("/api/v1/roots/{ROOT}/tree")).await;
    assert_eq!((&tree["processes"][0]["state"], tree["processes"].as_array().unwrap().len()), (&json!("failed"), 1));
    let dropped = |event_type: &str| json!({"type": event_type, "reason": "full", "root_id": ROOT, "count": 1});
    assert_eq!(tree["dropped"], json!([dropped("process-ended"), dropped("process-started")]));
}
