use std::collections::BTreeMap;

use serde_json::json;

use crate::stream::Reader;
use crate::support::{CHILD, PROCESS, ROOT, TestServer, WORKER, batch, failed, started, tree, until};

/// Parses `OpenMetrics` strictly: each family occurs once, its type precedes its samples, and the end marker is last.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let text = text.strip_suffix("# EOF\n").expect("the end is said");
    let (mut families, mut samples) = (BTreeMap::<String, String>::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match what {
                "TYPE" => assert!(families.insert(name.to_owned(), rest.to_owned()).is_none(), "twice: {line}"),
                "UNIT" => assert!(name.ends_with(rest), "{line}"),
                "HELP" => assert!(!rest.is_empty(), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let family = name.split('{').next().unwrap();
        let known = families.iter().any(|(of, kind)| match kind.as_str() {
            "counter" => family == format!("{of}_total"),
            "histogram" => ["_bucket", "_sum", "_count"].iter().any(|end| family == format!("{of}{end}")),
            _ => family == of,
        });
        assert!(known, "of no family: {line}");
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    samples
}

async fn scrape(server: &TestServer) -> BTreeMap<String, f64> {
    let response = server.get("/metrics").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    parse(&response.text().await.unwrap())
}

#[tokio::test]
async fn processes_with_an_empty_name_count_as_others_without_duplicate_samples() {
    for most in [1, 100] {
        let server = TestServer::with(|config| config.metrics_names = most).await;
        let names = [("00000000000000f1", "a"), ("00000000000000f2", ""), ("00000000000000f3", "b"), ("00000000000000f4", "a")];
        let events: Vec<_> = names.iter().flat_map(|(id, name)| [started(ROOT, id, None, name), failed(ROOT, id, "x")]).collect();
        server.send(&batch(1, &events)).await;
        let samples = scrape(&server).await;
        let others = if most == 1 { 2.0 } else { 1.0 };
        assert_eq!(samples.get("monitor_process_ended_total{name=\"\",state=\"failed\"}"), Some(&others), "{samples:#?}");
        assert_eq!(samples.get("monitor_process_ended_total{name=\"a\",state=\"failed\"}"), Some(&2.0));
    }
}

#[tokio::test]
async fn metrics_are_served_as_openmetrics() {
    let server = TestServer::start().await;
    let _reader = Reader::open(server.get("/api/v1/stream")).await;
    server.send(&tree()).await;
    let awkward = "quoted \" and \\ and\nbroken";
    let mut ended = failed(ROOT, "00000000000000f1", "x");
    ended["elapsed_ns"] = json!(2_000_000);
    let mut lost = batch(4, &[started(ROOT, "00000000000000f1", None, awkward), ended]);
    lost["dropped"] = json!([{"type": "process-logged", "reason": "memory", "root_id": null, "count": 7}]);
    server.send(&lost).await;
    until(async || {
        let status = server.ask("/api/v1/status").await;
        status["duties"].as_array().unwrap().iter().filter(|duty| duty["name"] != "commands").all(|duty| duty["last_us"].is_u64())
    })
    .await;
    let samples = scrape(&server).await;
    for duty in ["retention", "tidying", "overdue", "rights"] {
        let of = |figure: &str| samples[&format!("monitor_duty_{figure}{{duty=\"{duty}\"}}")];
        assert!(of("last_run_seconds") > 1.7e9 && of("lag_seconds") >= 0.0, "{duty}: {samples:#?}");
        assert!(of("failing") == 0.0 && of("restarts_total") == 0.0, "{duty}: {samples:#?}");
    }
    let name = "quoted \\\" and \\\\ and\\nbroken";
    for (sample, value) in [
        ("monitor_events_total", 5.0),
        ("monitor_ingest_batches_total", 2.0),
        ("monitor_ingest_refused_batches_total", 0.0),
        ("monitor_ingest_queue", 0.0),
        ("monitor_ingest_queue_bytes", 0.0),
        ("monitor_stream_subscribers", 1.0),
        ("monitor_roots{state=\"failed\"}", 1.0),
        ("monitor_processes{state=\"running\"}", 1.0),
        ("monitor_workers{state=\"online\"}", 1.0),
        ("monitor_dropped_events_total{type=\"process-logged\",reason=\"memory\"}", 7.0),
        ("monitor_process_ended_total{name=\"nightly build\",state=\"failed\"}", 1.0),
        ("monitor_process_duration_seconds_bucket{le=\"1.0\",name=\"nightly build\"}", 0.0),
        ("monitor_process_duration_seconds_bucket{le=\"5.0\",name=\"nightly build\"}", 1.0),
        ("monitor_process_duration_seconds_bucket{le=\"+Inf\",name=\"nightly build\"}", 1.0),
        (&format!("monitor_process_ended_total{{name=\"{name}\",state=\"failed\"}}"), 1.0),
        (&format!("monitor_process_duration_seconds_sum{{name=\"{name}\"}}"), 0.002),
    ] {
        assert_eq!(samples.get(sample), Some(&value), "{sample} in {samples:#?}");
    }
    let dashboard = include_str!("../../../../docs/guides/grafana.json");
    let asked = dashboard.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(|word| word.starts_with("monitor_"));
    let unknown: Vec<_> = asked.filter(|word| !samples.keys().any(|sample| sample.split('{').next() == Some(word))).collect();
    assert!(unknown.is_empty(), "docs/guides/grafana.json asks for what there is not: {unknown:?}");
    assert!(samples["monitor_database_bytes"] > 0.0 && samples["monitor_start_time_seconds"] > 1.7e9);
    assert!(samples["monitor_database_log_bytes"] > 0.0, "what is written is in the log first: {samples:#?}");
    assert!(samples["monitor_disk_free_bytes"] > samples["monitor_disk_free_least_bytes"], "{samples:#?}");
    assert!(samples["monitor_ingest_stopped"].abs() < f64::EPSILON);
}

#[tokio::test]
async fn workers_that_are_online_have_figures_of_their_own() {
    let server = TestServer::start().await;
    let online = json!({"type": "worker-online", "time_us": 1, "started_us": 1, "version": "1.0", "heartbeat_interval_ms": 60_000});
    server.send(&batch(1, &[online, started(ROOT, PROCESS, None, "a"), started(ROOT, CHILD, Some(PROCESS), "b")])).await;
    let samples = scrape(&server).await;
    let of = |figure: &str, more: &str| {
        samples.get(&format!("monitor_worker_{figure}{{worker=\"nightly@build-7:4121\",id=\"{WORKER}\"{more}}}"))
    };
    assert_eq!(of("running", ""), Some(&2.0), "{samples:#?}");
    assert_eq!(of("events_total", ",type=\"process-started\""), Some(&2.0), "{samples:#?}");
    assert!(of("last_seen_seconds", "").is_some_and(|time| *time > 1.7e9), "{samples:#?}");
    server.send(&batch(4, &[json!({"type": "worker-offline", "time_us": 2})])).await;
    let samples = scrape(&server).await;
    assert!(!samples.keys().any(|sample| sample.starts_with("monitor_worker_")), "it has left: {samples:#?}");
}

#[tokio::test]
async fn names_are_bounded_and_the_others_are_summed_up() {
    let server = TestServer::with(|config| config.metrics_names = 2).await;
    let mut events = Vec::new();
    for (name, runs) in [("a", 3), ("b", 2), ("c", 1), ("d", 1)] {
        for _ in 0..runs {
            let id = format!("{:016x}", events.len() + 1);
            events.extend([started(ROOT, &id, Some(PROCESS), name), failed(ROOT, &id, "x")]);
        }
    }
    events.push(started(ROOT, CHILD, Some(PROCESS), "running"));
    server.send(&batch(1, &events)).await;
    let samples = scrape(&server).await;
    let ended = |name: &str| samples.get(&format!("monitor_process_ended_total{{name=\"{name}\",state=\"failed\"}}")).copied();
    assert_eq!([ended("a"), ended("b"), ended("c"), ended("")], [Some(3.0), Some(2.0), None, Some(2.0)]);
    assert_eq!(samples.get("monitor_process_duration_seconds_count{name=\"\"}").copied(), Some(2.0));
}

#[tokio::test]
async fn no_figure_of_the_others_becomes_less() {
    let server = TestServer::with(|config| config.metrics_names = 2).await;
    let mut sequence = 1;
    let mut run = async |name: &str, runs: u64| {
        let of = |n: u64| {
            let id = format!("{:016x}", sequence + n);
            [started(ROOT, &id, Some(PROCESS), name), failed(ROOT, &id, "x")]
        };
        server.send(&batch(sequence, &(0..runs).flat_map(of).collect::<Vec<_>>())).await;
        sequence += 2 * runs;
    };
    let others = async || {
        let samples = scrape(&server).await;
        samples.get("monitor_process_ended_total{name=\"\",state=\"failed\"}").copied().unwrap_or_default()
    };
    for (name, runs) in [("a", 3), ("b", 2), ("c", 1)] {
        run(name, runs).await;
    }
    assert!((others().await - 1.0).abs() < 0.1);
    // From here on, it has the most runs, and still remains among the others.
    run("c", 10).await;
    assert!((others().await - 11.0).abs() < 0.1);
}
