//! The agent that a server starts on its own machine.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use monitor_tests::{Server, command, terminate, wait_for};
use serde_json::{Value, json};

/// The agent of a server's data folder. It ends with the test, after the server.
struct OwnAgent(PathBuf);

impl OwnAgent {
    fn pids(&self) -> Vec<i32> {
        let folder = format!("--data\0{}\0", self.0.display());
        let pids = fs::read_dir("/proc").expect("a system with it").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_it = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&folder));
        pids.filter(is_it).collect()
    }

    /// Its process, once there is one, and one alone.
    fn pid(&self) -> i32 {
        wait_for("the agent", || if let [pid] = self.pids()[..] { Some(pid) } else { None })
    }
}

/// A server with its agent. The server ends first, for it would start another agent.
struct Both {
    server: Server,
    agent: OwnAgent,
}

impl Both {
    fn start(env: &[(&'static str, &str)]) -> Self {
        let server = Server::start_with(env.iter().map(|(key, value)| (*key, (*value).into())).collect());
        let agent = OwnAgent(server.data().join("agent"));
        Self { server, agent }
    }
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        self.pids().iter().for_each(|pid| kill(*pid));
        if std::thread::panicking() {
            eprint!("{}", fs::read_to_string(self.0.join("log")).unwrap_or_default());
        }
    }
}

fn kill(pid: i32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

/// Runs a task of the server's own agent. Returns once it has ended well.
fn run(server: &Server, task: &str) {
    let count = || server.get(&format!("/batch-tasks/runs?task={task}&agent=local&outcome=succeeded"))["runs"].as_array().unwrap().len();
    let before = count();
    let (status, command) = server.order("POST", &format!("/batch-tasks/{task}/run"), &json!({}));
    assert_eq!(status, 200, "{command}");
    wait_for("a run", || (count() > before).then_some(()));
}

#[test]
fn a_server_on_loopback_has_an_agent_that_outlives_it_and_is_found_again() {
    let mut both = Both::start(&[("MONITOR_AGENT", "auto")]);
    let Both { server, agent } = &mut both;
    let task = json!({"name": "gold", "command": ["true"]});
    assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    run(server, "gold");
    let first = agent.pid();
    server.kill();
    assert_eq!(agent.pid(), first, "it outlives the server");
    server.start_again();
    run(server, "gold");
    assert_eq!(agent.pid(), first, "the next server finds it");
    kill(first);
    let second = wait_for("another agent", || Some(agent.pid()).filter(|pid| *pid != first));
    run(server, "gold");
    server.kill();
    server.start_again();
    run(server, "gold");
    assert_eq!(agent.pid(), second);
    server.stop();
    assert!(agent.pids().is_empty(), "a server that is told to stop ends it, though another one has started it");
    server.start_again();
    run(server, "gold");
    server.stop();
    assert!(agent.pids().is_empty());
}

#[test]
fn a_server_that_others_reach_or_is_told_so_has_no_agent() {
    for (env, is_there) in [
        (vec![("MONITOR_AGENT", "off")], false),
        (vec![("MONITOR_AGENT", "auto"), ("MONITOR_PUBLIC_URL", "https://monitor.example.com"), ("MONITOR_INSECURE", "true")], false),
        (vec![("MONITOR_AGENT", "on"), ("MONITOR_PUBLIC_URL", "https://monitor.example.com"), ("MONITOR_INSECURE", "true")], true),
    ] {
        let mut both = Both::start(&env);
        let Both { server, agent } = &mut both;
        if is_there {
            agent.pid();
        }
        // Whoever is told to stop has begun before.
        server.stop();
        assert_eq!(server.log().contains("started an agent"), is_there, "{env:?}: {}", server.log());
        assert!(agent.pids().is_empty());
        assert_eq!(server.data().join("agent").exists(), is_there);
    }
}

#[test]
fn an_agent_of_a_server_at_another_address_is_replaced() {
    let mut both = Both::start(&[("MONITOR_AGENT", "on")]);
    let Both { server, agent } = &mut both;
    let first = agent.pid();
    wait_for("its database", || agent.0.join("agent.db").exists().then_some(()));
    wait_for("its worker", || server.get("/workers")["workers"].as_array().is_some_and(|workers| !workers.is_empty()).then_some(()));
    server.kill();
    server.move_to_another_port();
    wait_for("another agent", || Some(agent.pid()).filter(|pid| *pid != first));
    let task = json!({"name": "gold", "command": ["true"]});
    let (status, problem): (u16, Value) = server.order("POST", "/batch-tasks", &task);
    assert_eq!(status, 201, "{problem}");
    run(server, "gold");
    server.stop();
    assert!(agent.pids().is_empty());
}

#[test]
fn a_data_folder_that_is_named_from_where_one_stands_has_an_agent_as_well() {
    let place = tempfile::tempdir().unwrap();
    let agent = OwnAgent(place.path().join("data/agent"));
    let mut server = command("monitor");
    server.args(["server", "--listen", "127.0.0.1:0", "--data", "data"]).current_dir(&place).stdout(Stdio::null()).stderr(Stdio::null());
    server.env("MONITOR_AGENT", "auto").env("MONITOR_SPOOL_DIR", place.path().join("spool"));
    let mut server = server.spawn().unwrap();
    wait_for("an agent that decides", || {
        let mut asked = command("monitor");
        asked.arg("check-alive").arg(&agent.0);
        (monitor_tests::run(asked).code == Some(0)).then_some(())
    });
    agent.pid();
    terminate(&mut server);
    assert!(agent.pids().is_empty());
}
