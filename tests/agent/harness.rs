//! `monitor agent` as a child process with a separate folder.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use monitor_tests::{Finished, Server, command, run, terminate, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// An agent with a separate folder. It ends with the test, together with its runs.
pub(crate) struct Agent {
    child: Option<Child>,
    folder: TempDir,
    env: Vec<(&'static str, OsString)>,
}

impl Agent {
    /// Starts an agent with these tasks. Each task consists of a name and the rest of its definition.
    pub(crate) fn start(tasks: &[(&str, &str)]) -> Self {
        Self::start_with(tasks, Vec::new())
    }

    /// An agent with the token of the server's data folder.
    pub(crate) fn start_for(server: &Server, tasks: &[(&str, &str)]) -> Self {
        let env = vec![
            ("MONITOR_SERVER_URL", server.url().into()),
            ("MONITOR_SPOOL_DIR", server.spool().into()),
            ("MONITOR_TOKEN", server.token().into()),
        ];
        Self::start_with(tasks, env)
    }

    /// Starts an agent whose token contains its name and whose tasks come from the server.
    pub(crate) fn of_server(server: &Server, name: &str, tasks: &[(&str, &str)]) -> Self {
        let file = token(server, name);
        let env = vec![
            ("MONITOR_SERVER_URL", server.url().into()),
            ("MONITOR_SPOOL_DIR", server.spool().into()),
            ("MONITOR_TOKEN_FILE", file.into()),
        ];
        Self::start_with(tasks, env)
    }

    /// Sets an environment variable for all further starts.
    pub(crate) fn set_env(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, value.into()));
    }

    pub(crate) fn start_with(tasks: &[(&str, &str)], env: Vec<(&'static str, OsString)>) -> Self {
        let mut env = env;
        if !env.iter().any(|(name, _)| *name == "MONITOR_SERVER_URL") {
            // No server listens there.
            env.push(("MONITOR_SERVER_URL", "http://127.0.0.1:1".into()));
        }
        let mut agent = Self { child: None, folder: tempfile::tempdir().expect("a folder"), env };
        fs::create_dir(agent.path("tasks")).expect("a folder");
        for (name, rest) in tasks {
            agent.define(name, rest);
        }
        agent.start_again();
        agent
    }

    /// Writes the definition of a task in a single step, as an editor does.
    pub(crate) fn define(&self, name: &str, rest: &str) {
        self.write_file(name, &format!("name = \"{name}\"\n{rest}\n"));
    }

    pub(crate) fn write_file(&self, name: &str, text: &str) {
        let (new, file) = (self.path("new"), self.path("tasks").join(format!("{name}.toml")));
        fs::write(&new, text).and_then(|()| fs::rename(new, file)).expect("a file");
    }

    pub(crate) fn start_again(&mut self) {
        let tasks = self.path("tasks");
        self.start_as(&["--tasks", tasks.to_str().expect("a path of the tests")]);
    }

    /// Starts the agent with these arguments.
    pub(crate) fn start_as(&mut self, args: &[&str]) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("a file");
        let mut agent = self.command(&[&["agent"], args].concat());
        agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(agent.spawn().expect("the agent starts"));
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).expect("it was there");
        }
    }

    /// Sends SIGTERM and waits until the agent has ended successfully.
    pub(crate) fn stop(&mut self) {
        terminate(self.child.as_mut().expect("it runs"));
        self.child = None;
    }

    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = command("monitor");
        command.args(args).env("MONITOR_AGENT_DATA", self.path("data")).env("TZ", "UTC").envs(self.env.iter().cloned());
        command
    }

    /// Runs `monitor task …` and waits for its end.
    pub(crate) fn ask(&self, args: &[&str]) -> Finished {
        run(self.command(&[&["task"], args].concat()))
    }

    /// Runs `monitor task …`, which must succeed. Returns its output.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let finished = self.ask(args);
        assert_eq!(finished.code, Some(0), "{args:?}: {}\n{}", finished.stderr, self.log());
        finished.stdout.trim().to_owned()
    }

    /// Runs of a task, oldest first.
    pub(crate) fn runs(&self, task: &str) -> Vec<Value> {
        let finished = self.ask(&["runs", task, "-n", "10000", "--json"]);
        // Before the first start of the agent there is no database, and the command fails.
        let answer: Value = if finished.code == Some(0) { serde_json::from_str(&finished.stdout).expect("JSON") } else { Value::Null };
        let mut runs = answer["runs"].as_array().cloned().unwrap_or_default();
        runs.reverse();
        runs
    }

    /// Runs of a task, as soon as there are this many and all have ended.
    pub(crate) fn ended(&self, task: &str, count: usize) -> Vec<Value> {
        wait_for("runs to end", || {
            let runs = self.runs(task);
            (runs.len() >= count && runs.iter().all(|run| run["ended_us"].is_i64())).then_some(runs)
        })
    }

    /// Decisions of one kind about a task: reason, first and last due time in seconds, count.
    pub(crate) fn decisions(&self, what: &str, task: &str) -> Vec<(String, i64, i64, i64)> {
        let Ok(database) = rusqlite::Connection::open(self.path("data/agent.db")) else { return Vec::new() };
        let sql = "SELECT reason, first_due_us / 1000000, last_due_us / 1000000, count FROM decision WHERE what = ? AND task = ?";
        let Ok(mut rows) = database.prepare(sql) else { return Vec::new() };
        let rows = rows.query_map([what, task], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until the log contains these words.
    pub(crate) fn wait_for_log(&self, words: &str) {
        wait_for(words, || self.log().contains(words).then_some(()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lines that commands have written to a file in the agent's folder.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Process ids of the launchers and helpers of this agent's runs.
    pub(crate) fn launchers(&self) -> Vec<i32> {
        let runs = format!("--from\0{}", self.path("data/runs").display());
        let pids = fs::read_dir("/proc").expect("a system with it").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_ours = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&runs));
        pids.filter(is_ours).collect()
    }
}

/// Creates a token with this name and scope `agent`. Returns the path of the file that contains it.
pub(crate) fn token(server: &Server, name: &str) -> PathBuf {
    let mut create = command("monitor");
    create.args(["token", "create", name, "--scope", "agent", "--data"]).arg(server.data());
    let created = run(create);
    assert_eq!(created.code, Some(0), "{}", created.stderr);
    let file = server.data().join(format!("{name}.token"));
    fs::write(&file, created.stdout.trim()).expect("a file");
    file
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        for entry in fs::read_dir(self.path("data/runs")).into_iter().flatten().flatten() {
            if !entry.path().join("outcome.json").exists() {
                let mut kill = self.command(&["detached", "kill", "--now"]);
                kill.arg(entry.file_name()).env("MONITOR_RUNS_DIR", self.path("data/runs"));
                run(kill);
            }
        }
        if std::thread::panicking() {
            eprint!("{}", self.log());
        }
    }
}
