//! Typical errors. `errors.txt` has the commands, each with the error and the exit code that follow. To add an error, append a line
//! that begins with `$ ` and update the file.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use expect_test::expect_file;
use monitor_tests::{Server, command, run};
use serde_json::json;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/words/errors.txt");
const ROOT: &str = "0199a3ce929d0e0e47360199a3ce929d";

/// A shell command of a user at home whose server is `server`.
fn shell(words: &str, home: &Path, server: &Server) -> Command {
    let monitor = command("monitor");
    let programs = Path::new(monitor.get_program()).parent().expect("a folder").to_owned();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").expect("PATH"))));
    let mut shell = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MONITOR_")) {
        shell.env_remove(name);
    }
    for (name, folder) in [("HOME", ""), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data"), ("XDG_STATE_HOME", "state")] {
        shell.env(name, home.join(folder));
    }
    shell.env("PATH", path.expect("folders")).env("COLUMNS", "100").env("TZ", "UTC").env("no_proxy", "*");
    shell.env("MONITOR_SPOOL_DIR", "off").env("MONITOR_SERVER_URL", server.url()).env("MONITOR_TOKEN", server.token());
    shell.args(["-c", words]).current_dir(home);
    shell
}

#[test]
fn each_error_has_the_expected_text_and_exit_code() {
    let (server, home) = (Server::start(), tempfile::tempdir().expect("a folder"));
    fs::write(home.path().join("broken.toml"), "name = \n").expect("a file");
    let worker = json!({"id": "5b0c00000000000000000000000000ff", "hostname": "build-7", "program": "nightly"});
    let start = json!({"type": "process-started", "root_id": ROOT, "id": "a3ce929d0e0e4736", "kind": "root", "name": "nightly build",
        "time_us": 1_763_600_000_000_000_u64});
    let end = json!({"type": "process-ended", "root_id": ROOT, "id": "a3ce929d0e0e4736", "time_us": 1_763_600_003_000_000_u64,
        "outcome": "succeeded"});
    let batch = json!({"version": 1, "sequence": 1, "sent_us": 1_763_600_003_000_000_u64, "worker": worker, "events": [start, end]});
    assert_eq!(server.post(&batch).0, 200);

    let (mut text, mut count) = (String::new(), 0);
    for line in fs::read_to_string(FILE).expect("the file").lines() {
        if line.starts_with("# ") {
            let _ = writeln!(text, "{line}\n");
        }
        let Some(words) = line.strip_prefix("$ ") else { continue };
        count += 1;
        let finished = run(shell(words, home.path(), &server));
        let code = finished.code.expect("an exit code");
        assert!(code != 0 && !finished.stderr.is_empty(), "{words} reports no error: {finished:?}");
        let error =
            finished.stderr.replace(server.url(), "http://127.0.0.1:60010").replace(home.path().to_str().expect("UTF-8"), "/home/ada");
        let _ = writeln!(text, "$ {words}\n{}\n[{code}]\n", error.trim_end());
    }
    assert!(count >= 100, "{count} errors");
    expect_file![FILE].assert_eq(&format!("{}\n", text.trim_end()));
}
