//! Data folders, spools and agent folders of released versions, which this version must open: each archive in this folder is named by its
//! version. `recording.rs` describes their contents, and makes a new one.
#![cfg(target_os = "linux")]

mod recording;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use monitor_tests::{Server, command, folders, run, terminate, wait_for};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/versions");
/// The run that ended while its server was unreachable: the agent reports it after its next start.
const LATE_TASK: &str = "late";

/// JSON answers of the command line, by the arguments.
type Answers = BTreeMap<String, Value>;

/// Copies of the three folders, opened by the programs of this version.
struct Opened {
    server: Server,
    agent: Child,
}

impl Opened {
    /// Starts a server and an agent on the folders in `folder`. Returns after the spools are shipped and the agent has reported.
    fn start(folder: &Path) -> Self {
        let server = Server::start_in(folder.join("data"));
        for spool in ["spool", "agent/spool"] {
            let mut ship = command("monitor");
            // On another machine than that of the recording, it is not known whether the programs still run.
            ship.args(["spool", "ship", "--all", "--server", server.url(), "--dir"]).arg(folder.join(spool));
            let shipped = run(ship);
            assert_eq!(shipped.code, Some(0), "{}", shipped.stderr);
            assert_eq!(folders(&folder.join(spool)), 0, "{spool}");
        }
        let agent = start_agent(&folder.join("agent"), &server);
        let opened = Self { server, agent };
        wait_for("the agent's channel and its report", || {
            let is_online = |hosts: &Value| hosts["hosts"].as_array().unwrap().iter().any(|host| host["is_online"] == true);
            let has_ended = |runs: &Value| runs["runs"][0]["ended_us"].is_u64();
            (is_online(&opened.answer(&["host", "list"])) && has_ended(&opened.answer(&["task", "runs", LATE_TASK]))).then_some(())
        });
        opened
    }

    /// Returns the JSON that a command prints.
    fn answer(&self, args: &[&str]) -> Value {
        answer(&self.server, args)
    }

    /// Ends both programs, and checks the databases.
    fn stop(mut self) {
        terminate(&mut self.agent);
        self.server.stop();
        let mut check = command("monitor");
        check.args(["check", "--data"]).arg(self.server.data());
        let checked = run(check);
        assert!(checked.code == Some(0) && checked.stdout.starts_with("whole: "), "{}{}", checked.stdout, checked.stderr);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// Returns the JSON that a command prints. Lines of JSON become an array.
fn answer(server: &Server, args: &[&str]) -> Value {
    let mut ask = command("monitor");
    ask.args(args).arg("--json").env("MONITOR_SERVER_URL", server.url()).env("MONITOR_DATA", server.data());
    let asked = run(ask);
    assert_eq!(asked.code, Some(0), "{args:?}: {}", asked.stderr);
    serde_json::from_str(&asked.stdout).unwrap_or_else(|_| asked.stdout.lines().map(|line| line.parse::<Value>().expect("JSON")).collect())
}

/// Starts the agent in `folder` for this server.
fn start_agent(folder: &Path, server: &Server) -> Child {
    let mut agent = command("monitor");
    agent.args(["agent", "--config"]).arg(folder.join("agent.toml")).env("MONITOR_AGENT_DATA", folder);
    agent.env("MONITOR_SERVER_URL", server.url()).env("MONITOR_TOKEN_FILE", folder.join("token"));
    agent.env("MONITOR_SPOOL_DIR", folder.join("spool")).env("XDG_STATE_HOME", folder);
    let log = File::create(folder.join("log")).unwrap();
    agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Unpacks the folders of a version.
fn unpack(version: &str, to: &Path) {
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--gzip", "--no-same-owner", "--preserve-permissions", "--directory"]).arg(to);
    assert!(tar.arg("--file").arg(archive(version)).status().unwrap().success());
}

fn archive(version: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{version}.tar.gz"))
}

fn expected(version: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{version}.json"))
}

/// Panics if a value that was recorded is missing or differs. Newer versions may add fields.
fn assert_contains(found: &Value, recorded: &Value, place: &str) {
    match (found, recorded) {
        (Value::Object(found), Value::Object(recorded)) => {
            for (key, value) in recorded {
                assert_contains(found.get(key).unwrap_or(&Value::Null), value, &format!("{place}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(recorded)) => {
            assert_eq!(found.len(), recorded.len(), "{place}");
            for (index, (found, recorded)) in found.iter().zip(recorded).enumerate() {
                assert_contains(found, recorded, &format!("{place}[{index}]"));
            }
        }
        _ => assert_eq!(found, recorded, "{place}"),
    }
}

#[test]
fn folders_of_each_released_version_open_with_the_same_trees() {
    let files = fs::read_dir(FOLDER).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let versions: Vec<String> = files.filter_map(|name| name.strip_suffix(".tar.gz").map(str::to_owned)).collect();
    assert!(versions.contains(&"0.1.0".to_owned()));
    for version in versions {
        let folder = tempfile::tempdir().unwrap();
        unpack(&version, folder.path());
        let recorded: Answers = serde_json::from_slice(&fs::read(expected(&version)).unwrap()).unwrap();
        let opened = Opened::start(folder.path());
        for (args, recorded) in &recorded {
            let found = opened.answer(&args.split(' ').collect::<Vec<_>>());
            assert_contains(&found, recorded, &format!("{version}: monitor {args} --json: "));
        }
        opened.stop();
    }
}
