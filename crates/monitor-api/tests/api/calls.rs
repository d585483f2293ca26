use std::collections::BTreeSet;
use std::ops::ControlFlow;

use monitor_api::{Error, ExportFormat, Order, Page};
use monitor_wire::State;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::support::{TestServer, WORKER, batch, ended, process, root, started};

/// Sends the call twice, and compares the typed answer with the raw JSON: both must have the same fields.
async fn same<T: DeserializeOwned + Serialize>(call: monitor_api::Call<T>) -> T {
    let answer = call.clone().send().await.unwrap_or_else(|error| panic!("{call:?}: {}", error.causes()));
    let raw = call.clone().json().await.unwrap();
    let (Value::Object(typed), Value::Object(raw)) = (serde_json::to_value(&answer).unwrap(), raw) else { panic!("objects") };
    let names = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
    assert!(names(&raw).is_subset(&names(&typed)), "{call:?} knows all fields");
    answer
}

#[tokio::test]
async fn every_answer_is_read_as_the_type_of_its_call() {
    let server = TestServer::start().await;
    let client = server.admin();
    let (of, id) = (root(1), process(7));
    let log = serde_json::json!({"type": "process-logged", "root_id": of, "id": id, "time_us": 1_763_600_000_500_000_u64, "level": "warn", "message": "full"});
    let events = [started(of, id, "nightly build"), log, ended(of, id)];
    assert_eq!(client.events(&batch(1, &events)).await.unwrap().accepted, 3);

    assert_eq!(same(client.status()).await.events, 3);
    assert_eq!(same(client.me()).await.how, "token");
    let roots = same(client.roots().states(["failed", "lost"]).name("nightly build").unattached(false).containing("table").limit(10)).await;
    assert_eq!((roots.roots.len(), &roots.roots[0].state), (1, &State::FAILED));
    assert_eq!(same(client.roots().worker(WORKER).started_after_us(1).started_before_us(u64::MAX >> 1)).await.roots.len(), 1);
    assert_eq!(client.roots().batch("none").await.unwrap().roots, []);
    assert_eq!(same(client.root(of)).await.number, 1);
    assert_eq!(same(client.root_names()).await.names[0].name, "nightly build");
    assert_eq!(same(client.tree(1)).await.processes[0].id, id);
    assert_eq!(same(client.process(1, id)).await.name, "nightly build");
    assert_eq!(same(client.find_process(id)).await.processes.len(), 1);
    assert_eq!(same(client.processes().root("1").kind("root").name("nightly build").states(["failed"])).await.processes.len(), 1);
    assert_eq!(same(client.logs(1).level("warn").containing("FULL").order(Order::Newest)).await.logs[0].message, "full");
    assert_eq!(same(client.process_logs(1, id).order(Order::Oldest)).await.logs.len(), 1);
    assert_eq!(same(client.workers()).await.workers[0].program, "nightly");
    assert_eq!(same(client.worker(WORKER.parse().unwrap())).await.pid, 4121);
    let day_us = 86_400_000_000_u64;
    let (from_us, to_us) = (1_763_600_000_000_000 - day_us, 1_763_600_000_000_000 + day_us);
    assert_eq!(same(client.stats().from_us(from_us).to_us(to_us)).await.stats[0].failed, 1);
    assert_eq!(same(client.stats_series().name("nightly build").from_us(from_us).to_us(to_us)).await.series[0].failed, 1);
    assert_eq!(same(client.stats_errors().from_us(from_us).to_us(to_us)).await.errors[0].count, 1);
    assert_eq!(same(client.stats_causes().from_us(from_us).to_us(to_us)).await.causes[0].count, 1);
    assert!(same(client.pin(1)).await.pinned && !same(client.unpin(of)).await.pinned);
    assert_eq!(same(client.confirm_clock()).await.clock_jump, None);
    let definition = serde_json::from_value(serde_json::json!({"name": "poller", "every_ms": 60_000})).unwrap();
    assert_eq!(client.add_heartbeat(&definition).await.unwrap().name, "poller");
    assert!(same(client.roll_heartbeat("poller", &monitor_wire::HeartbeatRoll::default())).await.old_key_until_us.is_some());
    assert_eq!(same(client.heartbeats()).await.heartbeats.len(), 1);
    client.delete_heartbeat("poller").await.unwrap();
    let done = same(client.audit().limit(10)).await.entries;
    assert!(done.iter().any(|entry| entry.action.contains("/pin") && entry.outcome == "done"), "{done:?}");
    assert_eq!(same(client.tokens()).await.tokens[0].name, "data folder");
    client.delete(1).await.unwrap();
    let error = client.root(1).await.unwrap_err();
    assert_eq!(error.status(), Some(410), "{error}");
    let spans = client.traces(r#"{"resourceSpans":[]}"#).await.unwrap();
    assert!(spans.is_object(), "{spans}");
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let server = TestServer::start().await;
    let client = server.client();
    let events: Vec<_> = (1..=7).map(|number| started(root(number), process(number as u64), "build")).collect();
    client.events(&batch(1, &events)).await.unwrap();
    let (mut pages, mut numbers, mut count) = (client.roots().limit(3).pages(), Vec::new(), 0);
    while let Some(page) = pages.next().await.unwrap() {
        count += 1;
        numbers.extend(page.roots.iter().map(|root| root.number));
    }
    assert_eq!((count, numbers), (3, vec![7, 6, 5, 4, 3, 2, 1]));
    assert!(pages.next().await.unwrap().is_none(), "there is nothing after the last page");

    let mut raw = client.roots().limit(3).pages();
    let first = raw.next_json().await.unwrap().unwrap();
    let from_there = client.roots().limit(3).cursor(first["next_cursor"].as_str().unwrap()).await.unwrap();
    assert_eq!(raw.next().await.unwrap().unwrap(), from_there);
    assert!(from_there.next_cursor().is_some());
    assert_eq!(raw.next_json().await.unwrap().unwrap()["next_cursor"], Value::Null);
    assert!(raw.next_json().await.unwrap().is_none());
}

#[tokio::test]
async fn large_answers_are_downloaded_in_pieces() {
    let server = TestServer::start().await;
    let client = server.admin();
    client.events(&batch(1, &[started(root(1), process(1), "build")])).await.unwrap();
    let mut all = Vec::new();
    for call in [client.export(1, ExportFormat::Ndjson), client.backup()] {
        let (mut download, mut bytes) = (call.open().await.unwrap(), Vec::new());
        let length = download.length_bytes();
        while let Some(chunk) = download.chunk().await.unwrap() {
            bytes.extend_from_slice(chunk.as_ref());
        }
        assert!(length.is_none_or(|length| length == bytes.len() as u64));
        assert_eq!(download.length_bytes(), length, "all of it, not what is still to come");
        all.push(bytes);
    }
    assert!(all[0].starts_with(b"{") && all[1].starts_with(b"SQLite format 3\0"));
    assert_eq!(client.export(9, ExportFormat::Json).open().await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn a_refusal_contains_the_message_of_the_server() {
    let server = TestServer::with(|config| config.max_body_bytes = 2_000).await;
    let (client, reader) = (server.client(), server.may("read"));
    client.events(&batch(1, &[started(root(1), process(1), "build")])).await.unwrap();
    let (many, wrong) = (vec![started(root(2), process(2), "build"); 40], client.roots().cursor("nonsense").await);
    let stranger = monitor_api::Client::new(server.settings().token(monitor_api::Token::new("nobody").unwrap()));
    for (result, status, words) in [
        (wrong.map(|_| ()), 400, "cursor"),
        (client.roots().parameter("lmit", &3).await.map(|_| ()), 400, "lmit"),
        (client.pin(1).await.map(|_| ()), 401, "token"),
        (stranger.status().await.map(|_| ()), 401, "token"),
        (reader.pin(1).await.map(|_| ()), 403, "a-read"),
        (client.root(99).await.map(|_| ()), 404, "99"),
        (client.delete("1").await, 401, "token"),
        (client.events(&batch(2, &many)).await.map(|_| ()), 413, "split"),
        (server.admin().call::<Value>(monitor_api::Method::PATCH, &["api", "v1", "roots"]).await.map(|_| ()), 405, "PATCH"),
    ] {
        let error = result.unwrap_err();
        let problem = error.problem().unwrap_or_else(|| panic!("{}", error.causes()));
        assert_eq!((problem.status, error.status()), (status, Some(status)), "{error}");
        assert!(error.to_string().contains(words) && !error.is_temporary(), "{status}: {error}");
    }
    let Err(Error::Refused { problem, .. }) = client.roots().parameter("lmit", &3).await else { panic!("refused") };
    assert_eq!(problem.parameter.as_deref(), Some("lmit"));
}

#[tokio::test]
async fn a_client_above_the_rate_limit_gets_a_retry_time() {
    let server = TestServer::with(|config| config.max_requests_per_second = 1).await;
    let client = server.client();
    // However slow this machine is: as many at once as no second has room for.
    let mut refused = None;
    while refused.is_none() {
        let asked = tokio::join!(client.status().send(), client.status().send(), client.status().send(), client.status().send());
        refused = [asked.0, asked.1, asked.2, asked.3].into_iter().find_map(Result::err);
    }
    let error = refused.unwrap();
    assert!(error.status() == Some(429) && error.is_temporary() && error.retry_after().is_some(), "{}", error.causes());
    let status = client.status().send_again(|error, pause| {
        assert!(Some(pause) >= error.retry_after());
        ControlFlow::Continue(())
    });
    assert_eq!(status.await.unwrap().events, 0);
}

#[tokio::test]
async fn a_name_is_one_path_segment_whatever_it_contains() {
    let server = TestServer::start().await;
    let client = server.admin();
    client.events(&batch(1, &[started(root(1), process(1), "build")])).await.unwrap();
    for name in ["", ".", ".."] {
        assert!(matches!(client.pin(name).await, Err(Error::Setting(_))), "{name:?}");
    }
    for name in ["1/pin", "1?running=true", "1#", "%31", "1 ", "根", "../roots/1", "\u{0}"] {
        let error = client.root(name).await.unwrap_err();
        assert!(matches!(error.status(), Some(400 | 404)), "{name:?}: {error}");
    }
}
