//! Alerts about jobs on many hosts, with a real agent.

use std::ffi::OsString;
use std::fs::{self, File};
use std::process::{Child, Stdio};

use monitor_tests::{Finished, Server, command, run, wait_for};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::start;
use crate::receiver::Receiver;

const HOST: &str = "web-1";

/// An agent that runs jobs. Its folder also contains the scripts.
struct Agent {
    child: Child,
    folder: TempDir,
}

impl Agent {
    fn start(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let token = monitor(server, &["token", "create", HOST, "--scope", "agent"]).stdout;
        fs::write(file("token"), token).unwrap();
        let mut join = command("monitor");
        join.args(["agent", "join", server.url(), "--token-file"]).arg(file("token"));
        let joined = run(with_folders(join.arg("--config").arg(file("agent.toml")), &folder));
        assert_eq!(joined.code, Some(0), "{}", joined.stderr);
        let user = run({
            let mut id = std::process::Command::new("id");
            id.arg("-un");
            id
        });
        let settings = fs::read_to_string(file("agent.toml")).unwrap();
        fs::write(file("agent.toml"), format!("{settings}\n[jobs]\naccounts = [{:?}]\n", user.stdout.trim())).unwrap();
        let mut agent = command("monitor");
        agent.args(["agent", "--config"]).arg(file("agent.toml")).env("MONITOR_SPOOL_DIR", "off");
        let mut agent = with_folders(&mut agent, &folder);
        let log = File::create(file("log")).unwrap();
        let child = agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let agent = Self { child, folder };
        wait_for("the agent to connect", || {
            let hosts = server.get("/hosts");
            hosts["hosts"].as_array().unwrap().iter().any(|host| host["name"] == HOST && host["is_online"] == true).then_some(())
        });
        agent
    }

    fn signal(&self, name: &str) {
        let mut kill = std::process::Command::new("kill");
        kill.args([name, &self.child.id().to_string()]);
        assert_eq!(run(kill).code, Some(0));
    }

    /// Runs a script with `monitor job run`. Returns the exit code.
    fn job(&self, server: &Server, name: &str, script: &str, args: &[&str]) -> Option<i32> {
        let path = self.folder.path().join(name);
        fs::write(&path, script).unwrap();
        monitor(server, &[&["job", "run", "--host", HOST], args, &[path.to_str().unwrap()]].concat()).code
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).unwrap();
        if std::thread::panicking() {
            eprint!("{}", fs::read_to_string(self.folder.path().join("log")).unwrap());
        }
    }
}

/// Lets an agent keep all its files in this folder.
fn with_folders(command: &mut std::process::Command, folder: &TempDir) -> std::process::Command {
    let mut command = std::mem::replace(command, std::process::Command::new("true"));
    command.arg("--data").arg(folder.path().join("data")).env("XDG_STATE_HOME", folder.path());
    command
}

fn monitor(server: &Server, args: &[&str]) -> Finished {
    let mut monitor = command("monitor");
    monitor.args(args).env("MONITOR_SERVER_URL", server.url()).env("MONITOR_DATA", OsString::from(server.data()));
    run(monitor)
}

/// Waits for a message of this kind and cause about a job.
fn told(receiver: &Receiver, kind: &str, cause: &str, job: &str) -> Value {
    wait_for(&format!("{kind} {cause} {job}"), || {
        let messages = receiver.messages(0);
        let subject = json!({"kind": "job", "name": job});
        messages.into_iter().find(|of| of["kind"] == kind && of["cause"] == cause && of["subject"] == subject)
    })
}

#[test]
fn a_job_that_fails_times_out_or_loses_a_host_is_told_with_its_number_time_and_reason() {
    let (server, receiver, _folder) = start("");
    let agent = Agent::start(&server);

    assert_eq!(agent.job(&server, "check", "exit 3", &[]), Some(6));
    let failed = told(&receiver, "fired", "failed", "check");
    let facts = &failed["facts"];
    assert_eq!((&facts["job"], &facts["error"]), (&json!(1), &json!("check: failed on 1 of 1 hosts (1 exit code not 0)")), "{failed:#}");
    let ended_us = server.get("/jobs/1")["ended_us"].clone();
    assert!(ended_us.is_u64() && facts["ended_us"] == ended_us, "{failed:#}");
    assert!(facts["link"].as_str().unwrap().ends_with("/tasks/jobs?job=1"), "{failed:#}");
    assert_eq!(agent.job(&server, "check", "exit 0", &[]), Some(0));
    assert_eq!(told(&receiver, "resolved", "failed", "check")["alert"], failed["alert"]);

    assert_eq!(agent.job(&server, "slow", "exec sleep 600", &["--timeout", "1s"]), Some(6));
    let late = told(&receiver, "fired", "timeout", "slow");
    assert_eq!((&late["facts"]["job"], &late["facts"]["reason"]), (&json!(3), &json!("timeout")), "{late:#}");

    // The agent stands still for longer than two heartbeats, then it goes on.
    let go = agent.folder.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.1; done", go.display());
    assert_eq!(agent.job(&server, "deploy", &script, &["--detach"]), Some(0));
    wait_for("the script to run", || (server.get("/jobs/4/hosts")["hosts"][0]["status"] == 7).then_some(()));
    agent.signal("-STOP");
    let lost = told(&receiver, "fired", "lost", "deploy");
    assert_eq!((&lost["facts"]["job"], &lost["facts"]["machine"]), (&json!(4), &json!(HOST)), "{lost:#}");
    assert!(lost["facts"]["error"].as_str().unwrap().starts_with("agent not reachable: "), "{lost:#}");
    told(&receiver, "fired", "failed", "deploy");
    agent.signal("-CONT");
    fs::write(go, "").unwrap();
    for cause in ["lost", "failed"] {
        told(&receiver, "resolved", cause, "deploy");
    }
    assert_eq!(server.get("/jobs/4")["status"], 3);

    // Its own decisions explain each alert, and its tree is a run like any other.
    let root = server.get("/jobs/4")["root_id"].as_str().unwrap().to_owned();
    let explained = monitor(&server, &["alert", "explain", &root]);
    assert_eq!(explained.code, Some(0), "{}", explained.stderr);
    for words in ["lost  job:deploy", "failed  job:deploy", "succeeded  job:deploy"] {
        assert!(explained.stdout.contains(words), "{words}: {}", explained.stdout);
    }
}
