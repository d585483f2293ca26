//! Redis and RabbitMQ from the system's packages, each as a separate server for one test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

/// A server that ends with its test.
#[derive(Debug)]
struct Broker {
    child: Child,
    url: String,
    folder: TempDir,
}

/// A Redis server. It loses all data when it ends.
#[derive(Debug)]
pub struct Redis(Broker);

impl Redis {
    /// Starts Redis and waits until it answers. It listens only on a socket in its folder.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let child = Self::spawn(folder.path());
        Self(Broker { child, url: format!("redis+unix://{}", folder.path().join("socket").display()), folder })
    }

    /// Ends Redis, and starts it again with the same address and without data.
    pub fn restart(&mut self) {
        let _ = self.0.child.kill().and_then(|()| self.0.child.wait());
        self.0.child = Self::spawn(self.0.folder.path());
    }

    fn spawn(folder: &Path) -> Child {
        let mut command = redis_server();
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(folder.join("socket"));
        until(command.arg("--dir").arg(folder), "ready to accept connections").0
    }

    /// Address of the server.
    pub fn url(&self) -> &str {
        &self.0.url
    }
}

/// A master of Redis, a copy of it, and a Sentinel that makes the copy the master if the master ends.
#[derive(Debug)]
pub struct Sentinel {
    server: Broker,
    /// The master, and its copy.
    servers: [Child; 2],
    said: Receiver<String>,
}

impl Sentinel {
    /// Starts all three, on local ports, and waits until the Sentinel knows both servers. The master is named `shop`.
    ///
    /// # Panics
    /// If one of them ends.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Like [`start`](Self::start), with further lines in the settings of the Sentinel.
    ///
    /// # Panics
    /// If one of them ends.
    pub fn start_with(more: &[&str]) -> Self {
        let [master, copy, port] = free_ports();
        let folder = tempfile::tempdir().expect("a folder");
        let server = |port: u16, more: &[&str], words: &str| {
            let dir = folder.path().join(port.to_string());
            std::fs::create_dir(&dir).expect("a folder");
            let mut command = redis_server();
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]).args(more);
            until(command.arg("--dir").arg(dir), words).0
        };
        let servers = [
            server(master, &["--repl-diskless-sync-delay", "0"], "Ready to accept connections"),
            // A Sentinel chooses only a copy that is complete.
            server(copy, &["--replicaof", "127.0.0.1", &master.to_string()], "sync: Finished with success"),
        ];
        let settings = folder.path().join("sentinel.conf");
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.path().display()),
            format!("sentinel monitor shop 127.0.0.1 {master} 1"),
            "sentinel down-after-milliseconds shop 5000".to_owned(),
            "sentinel failover-timeout shop 1000".to_owned(),
        ];
        let lines: Vec<_> = lines.iter().map(String::as_str).chain(more.iter().copied()).collect();
        std::fs::write(&settings, lines.join("\n")).expect("written");
        let (child, said) = until(redis_server().arg(settings).arg("--sentinel"), "+slave ");
        let url = format!("sentinel://127.0.0.1:{port}/0?master_name=shop");
        Self { server: Broker { child, url, folder }, servers, said }
    }

    /// Kills the master, and waits until the Sentinel has chosen the other server.
    ///
    /// # Panics
    /// If the Sentinel ends.
    pub fn kill_master(&mut self) {
        self.servers[0].kill().and_then(|()| self.servers[0].wait()).expect("it ends");
        self.expect("+switch-master");
        self.servers.reverse();
    }

    /// Makes the copy the master. The former master becomes a copy, and continues to answer.
    ///
    /// # Panics
    /// If the Sentinel refuses it, or ends.
    pub fn switch_master(&mut self) {
        let (place, _) = self.url().trim_start_matches("sentinel://").split_once('/').expect("an address");
        let client = redis::Client::open(format!("redis://{place}")).expect("an address");
        let mut connection = client.get_connection().expect("the Sentinel");
        redis::cmd("SENTINEL").arg("FAILOVER").arg("shop").exec(&mut connection).expect("it begins");
        self.expect("+switch-master");
        self.servers.reverse();
        // The former master is a copy now.
        self.expect("+slave ");
    }

    fn expect(&self, words: &str) {
        assert!(self.said.iter().any(|line| line.contains(words)), "the Sentinel has ended");
    }

    /// Address of the Sentinel, with the name of the master.
    pub fn url(&self) -> &str {
        &self.server.url
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn redis_server() -> Command {
    Command::new(found(&["/usr/bin/redis-server", "/usr/local/bin/redis-server"], "redis-server"))
}

/// Starts a server, and waits until it prints these words. Returns the lines after them, too.
fn until(command: &mut Command, words: &str) -> (Child, Receiver<String>) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let is_ready = lines.by_ref().inspect(|line| said.push(line.clone())).any(|line| line.contains(words));
    assert!(is_ready, "the server ended: {:?}\n{}", child.wait(), said.join("\n"));
    let (to, from) = channel();
    std::thread::spawn(move || lines.for_each(|line| drop(to.send(line))));
    (child, from)
}

/// A RabbitMQ server with a separate Erlang name server (epmd).
#[derive(Debug)]
pub struct RabbitMq {
    broker: Broker,
    names: u16,
}

/// The script in `/usr/sbin` with the same name must run as root or `rabbitmq`, so the tests use this file.
const RABBITMQ: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

impl RabbitMq {
    /// Starts RabbitMQ. All data is in its folder, and it listens only on local ports of its own.
    pub fn start() -> Self {
        // Another process may take a port between its selection and the start of the broker, which then ends. In that case, try other
        // ports.
        Self::started()
            .or_else(|_| Self::started())
            .or_else(|_| Self::started())
            .unwrap_or_else(|said| panic!("rabbitmq-server ended:\n{said}"))
    }

    /// The broker, or its output if it has ended.
    fn started() -> Result<Self, String> {
        let program = found(&[RABBITMQ], "rabbitmq-server");
        let folder = tempfile::tempdir().expect("a folder");
        let [port, names, nodes] = free_ports();
        let mut command = Command::new(program);
        command.env("HOME", folder.path()).env("RABBITMQ_NODENAME", format!("monitor-{port}@localhost"));
        command.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_NODE_PORT", port.to_string());
        for (name, file) in [
            ("MNESIA_BASE", "mnesia"),
            ("LOG_BASE", "log"),
            ("ENABLED_PLUGINS_FILE", "plugins"),
            ("CONFIG_FILE", "none"),
            ("PID_FILE", "pid"),
        ] {
            command.env(format!("RABBITMQ_{name}"), folder.path().join(file));
        }
        command.env("RABBITMQ_LOGS", "-").env("RABBITMQ_DIST_PORT", nodes.to_string());
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", names.to_string());
        // The name server accepts its end even if it still has the broker registered.
        command.env("ERL_EPMD_RELAXED_COMMAND_CHECK", "1");
        // A process group, because the script starts other processes, and all must end together.
        let mut child = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("rabbitmq-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let url = format!("amqp://127.0.0.1:{port}/%2f");
        let rabbit = Self { broker: Broker { child, url, folder }, names };
        let mut said = Vec::new();
        if !lines.by_ref().inspect(|line| said.push(line.clone())).any(|line| line.contains("Server startup complete")) {
            return Err(said.join("\n"));
        }
        std::thread::spawn(move || lines.for_each(drop));
        Ok(rabbit)
    }

    /// Address of the server.
    pub fn url(&self) -> &str {
        &self.broker.url
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        let group = self.broker.child.id().cast_signed();
        #[allow(unsafe_code, reason = "ends the processes that the script has started")]
        // SAFETY: sends a signal to a group that this test has created, whose leader was not waited for.
        unsafe {
            libc::kill(-group, libc::SIGKILL);
        }
        // The name server puts itself into a separate group.
        let _ = Command::new("epmd").args(["-port", &self.names.to_string(), "-kill"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Ports that are currently free. The kernel gives none of them to a socket that asks for any port, and tests that run at the same time
/// begin to look for them at different numbers.
///
/// # Panics
/// If there are not enough.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let first = 10_000 + u16::try_from(std::process::id() % 2_000).expect("small") * 10;
    let listeners = (first..32_000).filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let listeners: Vec<_> = listeners.take(COUNT).collect();
    let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().expect("bound").port()).collect();
    ports.try_into().expect("there are free ports")
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn found(places: &[&'static str], package: &str) -> &'static str {
    let found = places.iter().find(|place| Path::new(place).exists());
    found.unwrap_or_else(|| panic!("{package} is missing, which the tests of what carries a tree want: sudo apt-get install {package}"))
}
