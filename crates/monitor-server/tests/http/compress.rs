//! Tests of the compression of responses, by the `Accept-Encoding` of the request.

use std::io::Read;

use futures_util::StreamExt;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Response};
use serde_json::json;

use crate::support::{ROOT, TestServer, WORKER};

/// Stores a run whose responses are larger than a kilobyte.
async fn fill(server: &TestServer) {
    let mut events =
        vec![json!({"type": "process-started", "root_id": ROOT, "id": format!("{:016x}", 1), "kind": "root", "name": "all", "time_us": 1})];
    events.extend((2..=300).map(|id| {
        json!({"type": "process-started", "root_id": ROOT, "id": format!("{id:016x}"), "parent_id": format!("{:016x}", 1),
               "kind": "normal", "name": format!("part {id}"), "time_us": id})
    }));
    let worker = json!({"id": WORKER, "hostname": "h", "pid": 1, "program": "p"});
    server.send(&json!({"version": 1, "worker": worker, "sequence": 1, "sent_us": 1, "events": events})).await;
}

async fn ask(server: &TestServer, method: Method, path: &str, headers: &[(&str, &[u8])]) -> Response {
    let mut request = server.client.request(method, format!("http://{}{path}", server.address));
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    request.send().await.unwrap()
}

/// True if the response has `vary: accept-encoding`.
fn varies(headers: &HeaderMap) -> bool {
    headers.get_all("vary").iter().any(|value| value == "accept-encoding")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn unpacked(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        "" => plain.extend_from_slice(bytes),
        "gzip" => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
        "zstd" => plain = zstd::decode_all(bytes).unwrap(),
        other => panic!("{other}"),
    }
    plain
}

const SAID: [(&[u8], [&str; 2]); 15] = [
    // Each entry: the request's `Accept-Encoding`, and the expected codings of a file and of a response that is compressed while it is
    // sent.
    (b"gzip, deflate, br, zstd", ["br", "zstd"]),
    (b"gzip, deflate", ["gzip", "gzip"]),
    (b"zstd, gzip;q=0.5", ["zstd", "zstd"]),
    (b"br", ["br", ""]),
    (b"br;q=0.1, zstd;q=0, gzip", ["gzip", "gzip"]),
    (b"*", ["br", "zstd"]),
    (b"gzip;q=0", ["", ""]),
    (b"identity;q=0", ["", ""]),
    (b"identity;q=0, *;q=0", ["", ""]),
    (b"identity;q=0, gzip;q=0.001", ["gzip", "gzip"]),
    (b"identity, gzip;q=0.5", ["", ""]),
    (b"", ["", ""]),
    (b"gzip;q=17, br;q=, zstd;level=3", ["", ""]),
    (b"gz\xffip", ["", ""]),
    (b",;=,;q=1,,", ["", ""]),
];

#[tokio::test]
async fn answers_use_the_preferred_encoding_of_the_request() {
    let server = TestServer::start().await;
    fill(&server).await;
    let tree = format!("/api/v1/roots/{ROOT}/tree?limit=1000");
    let export = format!("/api/v1/roots/{ROOT}/export?format=ndjson");
    for path in [tree.as_str(), export.as_str(), "/api/openapi.json", "/tasks?plain", "/metrics"] {
        let plain = ask(&server, Method::GET, path, &[]).await;
        assert!(varies(plain.headers()), "{path} {:?}", plain.headers());
        let plain = plain.bytes().await.unwrap();
        for (said, [_, coding]) in SAID {
            let headers = [("accept-encoding", said)];
            let head = ask(&server, Method::HEAD, path, &headers).await;
            let answer = ask(&server, Method::GET, path, &headers).await;
            let what = format!("{path} {}", String::from_utf8_lossy(said));
            for (answer, method) in [(&answer, "GET"), (&head, "HEAD")] {
                let headers = answer.headers();
                assert_eq!((answer.status().as_u16(), text(headers, "content-encoding")), (200, coding), "{what} {method}");
                assert!(varies(headers), "{what} {method}");
                assert_eq!(headers.get_all("content-encoding").iter().count(), usize::from(!coding.is_empty()), "{what} {method}");
                // An export is written while it is sent, so its length is not known in advance.
                let has_length = coding.is_empty() && path != export;
                assert_eq!(headers.contains_key("content-length"), has_length, "{what} {method}");
            }
            assert_eq!(head.bytes().await.unwrap().len(), 0, "{what}");
            let sent = answer.bytes().await.unwrap();
            assert!(coding.is_empty() || sent.len() < plain.len() * 3 / 4, "{what}: {} of {}", sent.len(), plain.len());
            // The other responses contain the time.
            if path == "/api/openapi.json" {
                assert!(unpacked(coding, &sent) == plain, "{what}");
            } else {
                assert!(unpacked(coding, &sent).len().abs_diff(plain.len()) < 100, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_tree_as_columns_is_compressed_and_complete() {
    let server = TestServer::start().await;
    fill(&server).await;
    let path = format!("/api/v1/roots/{ROOT}/tree");
    let accept = ("accept", b"application/vnd.process-monitor.tree".as_slice());
    let plain = ask(&server, Method::GET, &path, &[accept]).await.bytes().await.unwrap();
    let answer = ask(&server, Method::GET, &path, &[accept, ("accept-encoding", b"gzip")]).await;
    assert_eq!(text(answer.headers(), "content-encoding"), "gzip");
    let vary: Vec<_> = answer.headers().get_all("vary").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    assert_eq!(vary, ["accept", "accept-encoding"]);
    let sent = answer.bytes().await.unwrap();
    assert!(sent.len() < plain.len() / 2, "{} of {}", sent.len(), plain.len());
    assert_eq!(unpacked("gzip", &sent).len(), plain.len());
}

#[tokio::test]
async fn files_are_served_as_compressed_at_build_time() {
    if monitor_web::missing().is_some() {
        return eprintln!("the page is not built here");
    }
    let server = TestServer::start().await;
    let index = monitor_web::index();
    let html = String::from_utf8(index.bytes.clone().into_owned()).unwrap();
    let script = html
        .split('"')
        .find(|part| part.starts_with("/assets/") && std::path::Path::new(part).extension().is_some_and(|name| name == "js"))
        .unwrap();
    for (path, asset) in [("/tasks", index.clone()), (script, monitor_web::asset(&script[1..]).unwrap())] {
        let mut tags = Vec::new();
        for (said, [coding, _]) in SAID {
            let what = format!("{path} {}", String::from_utf8_lossy(said));
            let accept = ("accept-encoding", said);
            let expected = if coding.is_empty() { asset.bytes.clone() } else { asset.coded(coding).unwrap() };
            for method in [Method::GET, Method::HEAD] {
                // Ranges are not supported: such a request gets the whole file.
                for range in [&[][..], &[("range", b"bytes=5-9".as_slice())]] {
                    let answer = ask(&server, method.clone(), path, &[&[accept], range].concat()).await;
                    let headers = answer.headers().clone();
                    assert_eq!((answer.status().as_u16(), text(&headers, "content-encoding")), (200, coding), "{what} {method}");
                    assert_eq!(text(&headers, "vary"), "accept-encoding", "{what} {method}");
                    assert_eq!(text(&headers, "content-length"), expected.len().to_string(), "{what} {method}");
                    let body = answer.bytes().await.unwrap();
                    assert!(if method == Method::HEAD { body.is_empty() } else { body == *expected }, "{what} {method}");
                    tags.push((coding, text(&headers, "etag").to_owned()));
                }
            }
            let tag = tags.last().unwrap().1.clone();
            for (known, status) in [(tag.clone(), 304), (format!("\"other\", W/{tag}"), 304), ("\"other\"".to_owned(), 200)] {
                let answer = ask(&server, Method::GET, path, &[accept, ("if-none-match", known.as_bytes())]).await;
                assert_eq!(answer.status(), status, "{what}");
                assert_eq!((text(answer.headers(), "etag"), text(answer.headers(), "vary")), (tag.as_str(), "accept-encoding"), "{what}");
                assert_eq!(answer.headers().contains_key("content-encoding"), status == 200 && !coding.is_empty(), "{what}");
            }
        }
        // Each coding has its own tag, so that caches do not mix them up.
        tags.sort();
        tags.dedup();
        assert_eq!(tags.iter().map(|(coding, _)| *coding).collect::<Vec<_>>(), ["", "br", "gzip", "zstd"], "{tags:?}");
        let mut tags: Vec<_> = tags.into_iter().map(|(_, tag)| tag).collect();
        tags.dedup();
        assert_eq!(tags.len(), 4, "{tags:?}");
    }
    let compressed = ask(&server, Method::GET, &format!("{script}.gz"), &[]).await;
    assert_eq!(compressed.status(), 404, "it has no name of its own");
}

#[tokio::test]
async fn short_live_and_fixed_length_responses_are_not_compressed() {
    let server = TestServer::start().await;
    let accept = ("accept-encoding", b"gzip, deflate, br, zstd".as_slice());
    let short = ask(&server, Method::GET, "/healthz", &[accept]).await;
    assert!(!short.headers().contains_key("content-encoding") && short.headers().contains_key("content-length"));

    let stream = ask(&server, Method::GET, "/api/v1/stream", &[accept]).await;
    assert_eq!((stream.status().as_u16(), text(stream.headers(), "content-encoding")), (200, ""));
    fill(&server).await;
    let mut told = stream.bytes_stream();
    let mut seen = String::new();
    while !seen.contains("part 300") {
        seen.push_str(&String::from_utf8_lossy(&told.next().await.unwrap().unwrap()));
    }

    let token = format!("Bearer {}", server.local_token());
    let copy = ask(&server, Method::POST, "/api/v1/backup", &[accept, ("authorization", token.as_bytes())]).await;
    assert_eq!((copy.status().as_u16(), text(copy.headers(), "content-encoding")), (200, ""));
    let length: usize = text(copy.headers(), "content-length").parse().unwrap();
    assert_eq!(copy.bytes().await.unwrap().len(), length);
}

#[tokio::test]
async fn a_batch_is_accepted_with_any_accept_encoding_header() {
    let server = TestServer::start().await;
    for (number, said) in [(1, b"identity;q=0".as_slice()), (2, b"*;q=0"), (3, b"gzip;q=0, identity;q=0"), (4, b"\xff")] {
        let events = [
            json!({"type": "process-started", "root_id": ROOT, "id": format!("{number:016x}"), "kind": "root", "name": "n", "time_us": 1}),
        ];
        let worker = json!({"id": WORKER, "hostname": "h", "pid": 1, "program": "p"});
        let batch = json!({"version": 1, "worker": worker, "sequence": number, "sent_us": 1, "events": events});
        let request = server.post(batch.to_string()).header("accept-encoding", HeaderValue::from_bytes(said).unwrap());
        assert_eq!(request.send().await.unwrap().status(), 200, "{}", String::from_utf8_lossy(said));
    }
}
