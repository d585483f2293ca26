//! Programs in another language that send to the server: OpenTelemetry's SDK and Prometheus' parser, both for Python.

use monitor_tests::{Server, outline, run, wait_for, worker};

fn python() -> String {
    std::env::var("MONITOR_OTLP_PYTHON").expect("MONITOR_OTLP_PYTHON: a Python with the packages of tests/otlp/requirements.txt")
}

#[test]
fn prometheus_own_parser_takes_the_metrics() {
    let server = Server::start();
    assert_eq!(run(worker(&server, &["many", "3"])).code, Some(0));
    server.finished_root();
    let script = "import sys, urllib.request as u; from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse; \
                  names = [f.name for f in parse(u.urlopen(sys.argv[1] + '/metrics').read().decode())]; \
                  assert 'monitor_process_duration_seconds' in names, names";
    let status = std::process::Command::new(python()).args(["-c", script, server.url()]).status();
    assert!(status.expect("Python").success());
}

#[test]
fn spans_of_python_are_below_the_rust_process_that_called_it() {
    let server = Server::start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/otlp/spans.py");
    let mut calls = worker(&server, &["calls", &python(), script]);
    calls.env("OTEL_EXPORTER_OTLP_ENDPOINT", server.url());
    let finished = run(calls);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let expected = "calls\n  checkout\n    charge card [failed]: card refused\n";
    let root = server.finished_root();
    wait_for("the spans and the record", || (outline(&server.tree(&root)) == expected).then_some(()));
    let logs = server.get("/roots/1/logs");
    let lines: Vec<_> = logs["logs"].as_array().expect("a list").iter().map(|line| line["message"].as_str().unwrap_or_default()).collect();
    assert_eq!(lines, ["cart checked", "ValueError: card refused", "one item is out of stock"]);
}
