//! `why_failed` gives the reason that lists and the page show.

use monitor_tests::Server;
use serde_json::{Value, json};

use crate::client::Client;
use crate::failing_path_cases::cases;

#[test]
fn every_case_of_the_failing_path_has_the_reason_of_the_table() {
    let server = Server::start();
    let mut client = Client::start(&server, &[]);
    let cases = cases();
    assert!(cases.len() >= 8, "{}", cases.len());
    let worker = json!({"id": "5b0c000000000000000000000000a001", "hostname": "build-7", "pid": 1, "program": "make"});
    for (index, case) in cases.iter().enumerate() {
        let (name, root_id) = (&case.name, format!("019f{index:028x}"));
        let batch = json!({"version": 1, "worker": worker, "sequence": 100 * index + 1, "sent_us": 1, "events": case.events(&root_id)});
        let (status, answer) = server.post(&batch);
        assert_eq!((status, &answer["refused"]), (200, &Value::Null), "{name}: {answer}");
        let why = client.call("why_failed", &json!({ "run": root_id }));
        let root = server.get(&format!("/roots/{root_id}"));
        let path = why["failing_path"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(path.last().map_or("", |last| last["recorded"]["name"].as_str().unwrap()), case.cause, "{name}: {why}");
        assert_eq!(why["failed"], !case.cause.is_empty(), "{name}: {why}");
        if case.error.is_empty() {
            assert_eq!((&root["error"], &why["reason"]), (&Value::Null, &Value::Null), "{name}");
        } else {
            assert_eq!(why["reason"]["recorded"], root["error"], "{name}");
            assert_eq!(root["error"]["message"], *case.error, "{name}");
        }
    }
}
