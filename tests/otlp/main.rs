//! An OpenTelemetry SDK of another language points at the server.

use monitor_tests::{Server, outline, run, wait_for, worker};

#[test]
fn spans_of_python_are_below_the_rust_process_that_called_it() {
    let python =
        std::env::var("MONITOR_OTLP_PYTHON").expect("MONITOR_OTLP_PYTHON: a Python with the packages of tests/otlp/requirements.txt");
    let server = Server::start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/otlp/spans.py");
    let mut calls = worker(&server, &["calls", &python, script]);
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
