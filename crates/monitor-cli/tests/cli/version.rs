use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::batch::Tasks;
use crate::jobs::agent;
use crate::support::{TestServer, ask, monitor};

#[test]
fn the_schemas_are_those_of_the_files_that_a_server_and_an_agent_write() {
    let server = Tasks::start();
    let agent = agent(&server, "web-1");
    let printed = monitor(&["version", "--json"]).assert().success().get_output().stdout.clone();
    let versions: Value = serde_json::from_slice(&printed).unwrap();
    let schemas = versions["schemas"].as_object().unwrap();
    assert_eq!(schemas.len(), 5, "{versions}");
    for (file, schema) in schemas {
        let folder = if file == "agent.db" { agent.folder.path().join("data") } else { server.data().to_owned() };
        let database = rusqlite::Connection::open_with_flags(folder.join(file), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let found: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(schema, &json!(found), "{file}");
    }
    let status = server.json(&["status"]);
    assert_eq!([&status["version"], &status["wire"]], [&versions["version"], &versions["wire"]]);
    let of_server = status["schemas"].as_object().unwrap();
    assert!(of_server.len() == 4 && of_server.iter().all(|(file, schema)| schemas[file] == *schema), "{status}");
}

#[test]
fn the_version_is_printed_in_aligned_lines_without_a_server() {
    let printed = monitor(&["version"]).env("MONITOR_SERVER_URL", "http://127.0.0.1:1").assert().success().get_output().stdout.clone();
    let text = String::from_utf8(printed).unwrap();
    let short = String::from_utf8(monitor(&["--version"]).assert().success().get_output().stdout.clone()).unwrap();
    assert_eq!(text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), short.split_whitespace().collect::<Vec<_>>());
    assert!(text.lines().all(|line| line.as_bytes()[12] == b' ' && line.as_bytes()[13] != b' '), "{text}");
    assert!(text.contains("\nwire         1\n") && text.contains("\nagent.db     schema "), "{text}");
}

#[test]
fn a_sender_of_another_wire_version_is_refused_and_the_server_warns_once() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    command.args(["server", "--listen", "127.0.0.1:0", "--data"]).arg(data.path());
    command.env("RUST_LOG", "warn").env("NO_COLOR", "1").env("MONITOR_SPOOL_DIR", "off").env("MONITOR_AGENT", "off");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let server = TestServer::of(child, data);
    let batch = json!({
        "version": 2, "worker": {"id": "5b0c00000000000000000000000000fe", "hostname": "build-7", "program": "nightly"},
        "sequence": 1, "sent_us": 1, "events": [{"type": "of-tomorrow"}],
    });
    for _ in 0..2 {
        let answer = ask(async |client| client.post(format!("{}/api/v1/events", server.url)).json(&batch).send().await);
        assert_eq!(answer.status(), 415, "a sender keeps what is refused with 415");
    }
    server.stop();
    let said: Vec<_> = log.lines().map_while(Result::ok).filter(|line| line.contains("another wire version")).collect();
    assert!(said.len() == 1 && said[0].contains("the batch is of version 2, this server reads version 1"), "{said:?}");
}
