//! Tests batch tasks through the command line, with a real server.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{TestServer, monitor, wait_for};

/// A server, and commands that use its token.
pub(crate) struct Tasks(TestServer);

impl Tasks {
    pub(crate) fn start() -> Self {
        Self(TestServer::start())
    }

    /// Starts a server with further options.
    pub(crate) fn with(args: &[&str]) -> Self {
        Self(TestServer::with(&[&["--listen", "127.0.0.1:0"], args].concat(), tempfile::tempdir().unwrap()))
    }

    pub(crate) fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = monitor(args);
        command.env("MONITOR_SERVER_URL", &self.0.url).env("MONITOR_DATA", self.0.data.path());
        command
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    pub(crate) fn data(&self) -> &Path {
        self.0.data.path()
    }

    /// Runs a command successfully; returns its stdout.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        String::from_utf8(self.command(args).assert().success().get_output().stdout.clone()).unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[args, &["--json"]].concat())).unwrap()
    }
}

/// Runs a command that must fail. Returns its exit code and its output.
fn failing(server: &Tasks, args: &[&str]) -> (i32, String) {
    let assert = server.command(args).assert().failure();
    let output = assert.get_output();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_task_is_added_edited_paused_restored_and_deleted() {
    let server = Tasks::start();
    let text =
        server.run(&["task", "add", "--name", "gold", "--rule", "30 2 * * 1-5", "--zone", "UTC", "--on", "db-1", "--", "node", "index.js"]);
    assert!(text.starts_with("added gold (version 1)  next "), "{text}");
    let (code, said) = failing(&server, &["task", "add", "--name", "gold", "--", "true"]);
    assert!(code == 1 && said.contains("there is a batch task \"gold\" already"), "{code} {said}");
    let list = server.run(&["task", "list"]);
    assert!(list.starts_with("gold") && list.trim_end().ends_with("db-1") && list.lines().count() == 1, "{list}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gold.toml");
    fs::write(&file, "name = \"gold\"\ncommand = [\"true\"]\nrules = [\"0 25 * * *\"]\n").unwrap();
    let (code, said) = failing(&server, &["task", "edit", "gold", "--file", file.to_str().unwrap()]);
    assert!(code == 2 && said.contains("gold.toml:3:") && said.contains("1 mistake"), "{code} {said}");
    fs::write(&file, "name = \"gold\"\ncommand = [\"true\"]\nrules = [\"0 3 * * *\"]\n").unwrap();
    assert!(server.run(&["task", "edit", "gold", "--file", file.to_str().unwrap()]).starts_with("changed gold (version 2)"));
    assert!(server.run(&["task", "edit", "gold", "--file", file.to_str().unwrap()]).starts_with("unchanged gold (version 2)"));
    assert!(server.run(&["task", "pause", "gold", "--until", "2h"]).starts_with("paused gold (version 2)  until "));
    assert_eq!(server.json(&["task", "list"])["tasks"][0]["status"], "paused");
    assert!(server.run(&["task", "resume", "gold"]).starts_with("resumed gold"));
    let versions = server.run(&["task", "versions", "gold"]);
    assert!(versions.contains("- command = [\"node\",\"index.js\"]") && versions.contains("+ command = [\"true\"]"), "{versions}");
    assert!(server.run(&["task", "restore", "gold", "1"]).starts_with("restored gold (version 3)"));
    let (code, said) = failing(&server, &["task", "restore", "gold", "9"]);
    assert!(code == 2 && said.contains("monitor task versions gold"), "{code} {said}");
    assert_eq!(server.run(&["task", "delete", "gold"]), "deleted gold\n");
    assert_eq!(failing(&server, &["task", "show", "gold"]).0, 4);
    assert!(server.run(&["task", "restore", "gold", "2"]).starts_with("restored gold (version 5)"), "a deleted one is restored as well");
    assert!(server.run(&["task", "show", "gold"]).contains("command = [\"true\"]"));
    assert!(server.run(&["task", "runs"]).is_empty());
    let explained = server.run(&["task", "explain", "gold", "--to", "2199-01-01"]);
    assert!(explained.lines().last().unwrap().contains("  will-start  "), "{explained}");
    assert_eq!(failing(&server, &["task", "explain", "nothing"]).0, 4);
    let (code, said) = failing(&server, &["task", "pause", "--agent", "db-1", "--until", "2h"]);
    assert!(code == 4 && said.contains("there is no agent \"db-1\""), "{code} {said}");
    let (code, said) = failing(&server, &["task", "pause", "--all"]);
    assert!(code == 2 && said.contains("--agent NAME"), "{code} {said}");
    assert!(server.run(&["task", "run", "gold"]).starts_with("monitor-agent@local  waiting  it waits for the agent"));
}

#[test]
fn mistakes_found_by_the_server_are_printed_as_lines_and_exit_with_2() {
    let server = Tasks::start();
    let (code, said) = failing(&server, &["task", "add", "--name", "a b", "--rule", "61 * * * *", "--zone", "Nowhere", "--", "true"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        code == 2 && lines.len() == 3 && said.contains("minute: 61 is not in 0 to 59") && said.contains("there is no zone"),
        "{code} {said}"
    );
}

#[test]
fn a_folder_is_applied_and_exported_as_it_was() {
    let server = Tasks::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    fs::write(folder.path().join("gold.toml"), "name = \"gold\"\nrules = [\"@daily\"]\nenv = { A = \"b\" }\n[config]\nrows = 7\n").unwrap();
    fs::write(folder.path().join("tin.json"), json!({"name": "tin", "shell": "echo 'a b'"}).to_string()).unwrap();
    fs::write(folder.path().join("README.md"), "no task").unwrap();
    assert_eq!(server.run(&["task", "apply", path, "--dry-run"]), "add     gold\nadd     tin\n");
    let (code, said) = failing(&server, &["task", "apply", path]);
    assert!(code == 2 && said.contains("--yes"), "{code} {said}");
    assert_eq!(server.run(&["task", "apply", path, "--yes"]), "add     gold\nadd     tin\ndone: 2 of 2 changed\n");
    let exported = tempfile::tempdir().unwrap();
    server.run(&["task", "export", "--to", exported.path().to_str().unwrap()]);
    assert_eq!(server.run(&["task", "apply", exported.path().to_str().unwrap(), "--dry-run", "--delete"]), "same    gold\nsame    tin\n");
    let definitions: Value = server.json(&["task", "export"]);
    assert_eq!(definitions[0], json!({"name": "gold", "rules": ["@daily"], "env": {"A": "b"}, "config": {"rows": 7}}));
    fs::remove_file(folder.path().join("tin.json")).unwrap();
    assert_eq!(server.run(&["task", "apply", path, "--yes", "--delete"]), "same    gold\ndelete  tin\ndone: 1 of 2 changed\n");
    assert_eq!(failing(&server, &["task", "apply", exported.path().join("gold.toml").to_str().unwrap()]).0, 1, "a file is no folder");
}

/// An agent with a folder of its own, which ends with the test.
#[cfg(target_os = "linux")]
pub(crate) struct Agent {
    child: std::process::Child,
    folder: tempfile::TempDir,
}

#[cfg(target_os = "linux")]
impl Agent {
    pub(crate) fn start(tasks: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tasks")).unwrap();
        for (name, rest) in tasks {
            fs::write(folder.path().join(format!("tasks/{name}.toml")), format!("name = \"{name}\"\n{rest}\n")).unwrap();
        }
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
        command.arg("agent").arg("--tasks").arg(folder.path().join("tasks")).env("XDG_STATE_HOME", folder.path().join("state"));
        command.env("MONITOR_SERVER_URL", "http://127.0.0.1:1").env("TZ", "UTC").env_remove("MONITOR_AGENT_DATA");
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let agent = Self { child, folder };
        wait_for("the agent to read its tasks", || agent.log().contains("a task is new or has changed").then_some(()));
        agent
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> String {
        self.folder.path().join("state/monitor/agent").to_str().unwrap().to_owned()
    }

    /// Returns a command of the user who runs this agent.
    pub(crate) fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = monitor(args);
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).assert().success().get_output().stdout.clone();
        String::from_utf8(output).unwrap()
    }
}

#[cfg(target_os = "linux")]
impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprint!("{}", self.log());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn commands_go_to_the_local_agent_unless_a_server_is_given() {
    let agent = Agent::start(&[("gold", "shell = \"exit 3\"\nrules = [\"0 0 1 1 *\"]")]);
    let server = Tasks::start();
    server.run(&["task", "add", "--name", "tin", "--", "true"]);
    let names = |command: &mut assert_cmd::Command| {
        let output = command.assert().success().get_output().stdout.clone();
        String::from_utf8(output).unwrap().split_whitespace().next().unwrap_or_default().to_owned()
    };
    let (data, url) = (agent.data(), server.0.url.clone());
    let list = ["task", "list"];
    assert_eq!(names(&mut agent.command(&list)), "gold", "it works in its usual folder");
    assert_eq!(names(agent.command(&list).env("MONITOR_SERVER_URL", &url)), "tin");
    assert_eq!(names(agent.command(&list).env("MONITOR_SERVER_URL", &url).env("MONITOR_AGENT_DATA", &data)), "gold");
    assert_eq!(names(agent.command(&list).args(["--server", &url]).env("MONITOR_AGENT_DATA", &data)), "tin");
    assert_eq!(names(agent.command(&list).args(["--data", &data]).env("MONITOR_SERVER_URL", &url)), "gold");
    let both = agent.command(&list).args(["--data", &data, "--server", &url]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8(both).unwrap().contains("name one of both"));
    agent.command(&["task", "list", "--data", "/no/such/folder"]).assert().code(1);
    agent.command(&["task", "run", "tin"]).assert().code(4);
    agent.command(&["task", "show", "tin"]).assert().code(4);
    agent.command(&["task", "explain", "tin"]).assert().code(4);
    agent.command(&["task", "list"]).env("MONITOR_SERVER_URL", "http://127.0.0.1:1").assert().code(3);
}

#[cfg(target_os = "linux")]
#[test]
fn an_agent_explains_rehearses_shows_and_is_paused_as_a_whole() {
    let agent = Agent::start(&[("gold", "shell = \"exit 3\"\nrules = [\"0 0 1 1 *\"]\nowner = \"ada\"")]);
    let said = agent.command(&["task", "run", "gold", "--wait"]).assert().code(1).get_output().clone();
    let run = String::from_utf8(said.stdout).unwrap().trim().to_owned();
    assert!(String::from_utf8(said.stderr).unwrap().contains("fail 3"));
    let shown = agent.run(&["task", "show", "gold"]);
    assert!(shown.contains("owner = \"ada\"") && shown.contains("# due 20") && shown.contains(&run), "{shown}");
    let explained = agent.run(&["task", "explain", "gold", "--from", "2026-01-01", "--to", "2199-01-01"]);
    let lines: Vec<&str> = explained.lines().collect();
    assert!(lines[0].contains("started") && lines[0].contains("request") && lines[0].ends_with(&run), "{explained}");
    assert!(lines[1].contains("-01-01 00:00:00") && lines[1].contains("will-start"), "{explained}");
    let json: Value = serde_json::from_str(&agent.run(&["task", "explain", "gold", "--json"])).unwrap();
    assert_eq!((&json["due"][0]["decision"], &json["due"][0]["run"], &json["is_cut"]), (&json!("started"), &json!(run), &json!(false)));

    for (args, count) in [(&["--exit-code", "3"][..], 1), (&["--exit-code", "4"], 0), (&["--outcome", "succeeded"], 0)] {
        let runs: Value = serde_json::from_str(&agent.run(&[&["task", "runs", "gold", "--json"], args].concat())).unwrap();
        assert_eq!(runs["runs"].as_array().unwrap().len(), count, "{args:?}");
    }

    let tried = agent.folder.path().join("gold.toml");
    fs::write(&tried, "name = \"gold\"\nshell = \"true\"\nrules = [\"@every 1h\"]\n").unwrap();
    let text = agent.run(&["task", "rehearse", tried.to_str().unwrap(), "--days", "2"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].ends_with(", on the durations of 1 run") && lines[1] == "48 due, 48 starts" && lines[2].starts_with("0 overlaps, "),
        "{text}"
    );
    fs::write(&tried, "name = \"gold\"\nrulse = []\n").unwrap();
    let wrong = agent.command(&["task", "rehearse", tried.to_str().unwrap()]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8(wrong).unwrap().contains("gold.toml:2:1: rulse: there is no such key; did you mean rules?"));

    agent.run(&["task", "pause", "--all", "--until", "2h"]);
    let list = agent.command(&["task", "list"]).assert().success().get_output().stderr.clone();
    assert!(String::from_utf8(list).unwrap().contains("the agent is paused until 20"));
    agent.run(&["task", "resume", "--all"]);
    assert!(agent.command(&["task", "list"]).assert().success().get_output().stderr.is_empty());
    agent.command(&["task", "pause"]).assert().code(2);
    agent.command(&["task", "pause", "gold", "--all"]).assert().code(2);
}
