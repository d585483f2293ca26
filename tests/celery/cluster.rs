//! A cluster of Celery with a server and a bridge, all as real programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use monitor_tests::{Finished, RabbitMq, Redis, Sentinel, Server, command, run, terminate, wait_for};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A cluster, its server, and its bridge.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) server: Server,
    pub(crate) broker: String,
    results: String,
    bridge: Option<Child>,
    workers: Vec<Child>,
    folder: TempDir,
    more: Vec<String>,
    /// Settings of Celery.
    conf: Value,
    /// Folder of the module of `monitor celery hook`.
    hook: Option<PathBuf>,
}

/// Name of a node that sends no events about tasks, and of its queue.
pub(crate) const SILENT: &str = "silent";

/// Broker of a cluster.
#[derive(Debug)]
pub(crate) enum Kind<'a> {
    Redis(&'a Redis),
    RabbitMq(&'a RabbitMq, &'a Redis),
    Sentinel(&'a Sentinel, &'a Redis),
}

/// The address of a Redis server as Celery writes it.
pub(crate) fn of_celery(redis: &Redis, db: u8) -> String {
    format!("{}?virtual_host={db}", redis.url().replace("redis+unix://", "redis+socket://"))
}

/// A program of the environment with Celery. `cargo xtask soak celery` sets another one.
pub(crate) fn python(program: &str) -> Command {
    let target =
        || std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let folder = std::env::var_os("MONITOR_CELERY_PYTHON").map_or_else(|| target().join("celery-python/bin"), PathBuf::from);
    let program = folder.join(program);
    assert!(program.exists(), "{} is missing: `cargo xtask test` installs Celery", program.display());
    let mut command = Command::new(program);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("celery")).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

impl Cluster {
    /// Starts a server, a node, and a bridge with further arguments.
    pub(crate) fn start(kind: &Kind<'_>, more: &[&str]) -> Self {
        Self::start_with_conf(kind, more, json!({}))
    }

    /// Like [`start`](Self::start), with settings of Celery.
    pub(crate) fn start_with_conf(kind: &Kind<'_>, more: &[&str], conf: Value) -> Self {
        Self::start_by(Server::start(), kind, more, conf, None)
    }

    /// Like [`start`](Self::start), with environment variables for the server.
    pub(crate) fn start_with_env(kind: &Kind<'_>, env: Vec<(&'static str, OsString)>) -> Self {
        Self::start_by(Server::start_with(env), kind, &[], json!({}), None)
    }

    /// Like [`start`](Self::start), with an application that imports the module in a folder.
    pub(crate) fn start_with_hook(kind: &Kind<'_>, hook: &Path) -> Self {
        Self::start_by(Server::start(), kind, &[], json!({}), Some(hook.to_owned()))
    }

    fn start_by(server: Server, kind: &Kind<'_>, more: &[&str], conf: Value, hook: Option<PathBuf>) -> Self {
        let (broker, results) = match kind {
            Kind::Redis(redis) => (of_celery(redis, 0), of_celery(redis, 1)),
            Kind::RabbitMq(rabbit, redis) => (rabbit.url().to_owned(), of_celery(redis, 1)),
            Kind::Sentinel(sentinel, redis) => (sentinel.url().to_owned(), of_celery(redis, 1)),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let more = more.iter().map(|&word| word.to_owned()).collect();
        let mut cluster = Self { server, broker, results, bridge: None, workers: Vec::new(), folder, more, conf, hook };
        cluster.start_bridge();
        cluster.start_worker("w1", &[]);
        cluster
    }

    /// Starts the bridge, or starts it again.
    pub(crate) fn start_bridge(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.bridge_log()).expect("a log");
        let mut bridge = self.command(&["celery", "bridge", &self.broker.clone(), "--name", "orders", "--data"]);
        bridge.arg(self.folder.path().join("bridge")).args(&self.more).stdout(Stdio::null()).stderr(log);
        self.bridge = Some(bridge.spawn().expect("the bridge starts"));
        wait_for("the bridge's connection", || self.bridge_says("connected to the broker").then_some(()));
    }

    /// Adds an option for the next bridge.
    pub(crate) fn add_option(&mut self, option: &str) {
        self.more.push(option.to_owned());
    }

    /// Starts a node, and waits until the server knows it.
    pub(crate) fn start_worker(&mut self, name: &str, more: &[&str]) {
        self.start_worker_with(name, more, &self.conf.clone());
    }

    /// Like [`start_worker`](Self::start_worker), with settings of Celery.
    pub(crate) fn start_worker_with(&mut self, name: &str, more: &[&str], conf: &Value) {
        let mut worker = self.celery(&["worker", "-n", &format!("{name}@shop"), "-c", "2", "--loglevel", "warning"]);
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("nodes.log")).expect("a log");
        worker
            .args(more)
            .env("CONF", conf.to_string())
            .env("EVENTS", if name == SILENT { "off" } else { "on" })
            .stdout(Stdio::null())
            .stderr(log);
        self.workers.push(worker.spawn().expect("the node starts"));
        wait_for("the node at the server", || self.worker(name).filter(|worker| worker["state"] == "online"));
    }

    /// Starts a node by `monitor run` with options, and waits until the server knows it.
    pub(crate) fn start_worker_by_run(&mut self, name: &str, options: &[&str], env: &[(&str, &str)]) {
        let celery = self.celery(&["worker", "-n", &format!("{name}@shop"), "-c", "2", "--loglevel", "warning"]);
        let mut worker = self.command(&["run", "--name", "worker"]);
        worker
            .args(options)
            .arg("--")
            .arg(celery.get_program())
            .args(celery.get_args())
            .current_dir(celery.get_current_dir().expect("a folder"));
        worker.envs(celery.get_envs().filter_map(|(key, value)| Some((key, value?)))).envs(env.iter().copied());
        worker.env("MONITOR", command("monitor").get_program()).env("MONITOR_SPOOL_DIR", self.server.spool());
        self.workers.push(worker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the node starts"));
        wait_for("the node at the server", || self.worker(name).filter(|worker| worker["state"] == "online"));
    }

    /// A command of Celery for this cluster.
    pub(crate) fn celery(&self, args: &[&str]) -> Command {
        let mut celery = self.python("celery");
        celery.args(["-A", "shop"]).args(args);
        celery
    }

    /// The version of Celery.
    pub(crate) fn version(&self) -> String {
        // It prints a name behind the version.
        let said = run(self.celery(&["--version"])).stdout;
        said.split(' ').next().expect("a version").to_owned()
    }

    /// A program of Python that can import the application.
    pub(crate) fn python(&self, program: &str) -> Command {
        let mut python = python(program);
        // Celery has the name in its settings.
        let (broker, master) = self.broker.split_once("?master_name=").unwrap_or((&self.broker, ""));
        python.env("BROKER", broker).env("MASTER", master).env("RESULTS", &self.results).env("CONF", self.conf.to_string());
        if let Some(hook) = &self.hook {
            python.env("HOOK", "1").env("PYTHONPATH", hook).env("MONITOR", command("monitor").get_program());
            // For the programs that tasks start.
            python.env("MONITOR_SERVER_URL", self.server.url()).env("MONITOR_TOKEN", self.server.token());
        }
        python
    }

    /// A command of `monitor` for this server, with the rights of an admin.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut monitor = command("monitor");
        monitor.args(args).env("MONITOR_SERVER_URL", self.server.url()).env("MONITOR_DATA", self.server.data());
        monitor.env("MONITOR_TOKEN", self.server.token());
        monitor
    }

    pub(crate) fn monitor(&self, args: &[&str]) -> Finished {
        run(self.command(args))
    }

    /// Runs the workload. Returns what Celery knows about each task, by its id.
    pub(crate) fn work(&self, rounds: u32) -> serde_json::Map<String, Value> {
        let mut workload = self.python("python");
        workload.args(["workload.py", &rounds.to_string()]);
        let finished = run(workload);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        serde_json::from_str::<Value>(&finished.stdout).expect("JSON").as_object().expect("an object").clone()
    }

    /// Starts a task, and returns its id.
    pub(crate) fn call(&self, task: &str, args: &str) -> String {
        self.call_in(task, args, "celery")
    }

    /// Starts a task in a queue, and returns its id.
    pub(crate) fn call_in(&self, task: &str, args: &str, queue: &str) -> String {
        let finished = run(self.celery(&["call", task, "--args", args, "--queue", queue]));
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished.stdout.trim().to_owned()
    }

    /// A task of the queue, if the server knows it.
    pub(crate) fn task(&self, id: &str) -> Option<Value> {
        let (status, text) = self.server.ask("GET", &format!("/api/v1/queue-tasks/{id}"));
        (status == 200).then(|| serde_json::from_str(&text).expect("JSON"))
    }

    /// A node as a worker of the server.
    pub(crate) fn worker(&self, name: &str) -> Option<Value> {
        let workers = self.server.get("/workers?limit=100");
        workers["workers"].as_array()?.iter().find(|worker| worker["program"] == name).cloned()
    }

    pub(crate) fn bridge_says(&self, words: &str) -> bool {
        std::fs::read_to_string(self.bridge_log()).is_ok_and(|log| log.contains(words))
    }

    /// Forgets the log of the bridge.
    pub(crate) fn clear_bridge_log(&self) {
        std::fs::write(self.bridge_log(), "").expect("the log");
    }

    fn bridge_log(&self) -> PathBuf {
        self.folder.path().join("bridge.log")
    }

    /// Ends the bridge by SIGKILL.
    pub(crate) fn kill_bridge(&mut self) {
        let mut bridge = self.bridge.take().expect("it runs");
        bridge.kill().and_then(|()| bridge.wait()).expect("it ends");
        self.clear_bridge_log();
    }

    /// Ends the bridge by SIGTERM.
    pub(crate) fn stop_bridge(&mut self) {
        terminate(&mut self.bridge.take().expect("it runs"));
    }

    /// Ends the node that was started last, with its pool, by SIGKILL.
    pub(crate) fn kill_worker(&mut self) {
        let mut worker = self.workers.pop().expect("it runs");
        kill_descendants(worker.id());
        worker.kill().and_then(|()| worker.wait()).expect("it ends");
    }
}

/// Ends the processes that a process has started, and those that they have started: `monitor run` starts a node through another process.
fn kill_descendants(pid: u32) {
    let (mut found, mut at) = (vec![pid.to_string()], 0);
    while at < found.len() {
        let children = Command::new("pgrep").args(["-P", &found[at]]).output().expect("pgrep runs").stdout;
        found.extend(String::from_utf8_lossy(&children).lines().map(str::to_owned));
        at += 1;
    }
    // A node would replace a process of its pool, so it ends first.
    let _ = Command::new("kill").arg("-KILL").args(&found[1..]).stderr(Stdio::null()).status();
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["bridge.log", "nodes.log"] {
                eprintln!("{name}:\n{}", std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default());
            }
        }
        for child in self.workers.iter_mut().chain(&mut self.bridge) {
            kill_descendants(child.id());
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until all tasks have the states that Celery knows, and compares all else.
pub(crate) fn expect_equal(cluster: &Cluster, ends: &serde_json::Map<String, Value>) {
    for (id, expected) in ends {
        let state = match expected["state"].as_str().expect("a state") {
            "SUCCESS" => "succeeded",
            "FAILURE" => "failed",
            "REVOKED" => "cancelled",
            other => panic!("{other}"),
        };
        let mut last = None;
        let task = wait_for(&format!("the task {id} as {state}"), || {
            let task = cluster.task(id);
            if task != last {
                eprintln!("{id}: {task:?}");
                last.clone_from(&task);
            }
            task.filter(|task| task["state"] == state)
        });
        let process = &task;
        assert_eq!(process["contradictions"].as_u64().unwrap_or(0), 0, "each event counts once: {process}");
        if state == "succeeded" {
            assert_eq!(process["task"]["result"], expected["result"], "{process}");
        }
        if let Some(root) = expected["root"].as_str() {
            assert_eq!(process["root_id"], root.replace('-', ""), "{process}");
        }
        match expected["parent"].as_str() {
            Some(parent) => {
                let parent = cluster.task(parent).expect("known");
                assert_eq!(process["parent_id"], parent["id"], "{process}");
            }
            None if expected["root"] == id.as_str() => assert!(process["parent_id"].is_null(), "{process}"),
            None => {}
        }
    }
}
