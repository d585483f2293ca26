//! Redis and RabbitMQ from the system's packages, each as a separate server for one test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

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
        let socket = folder.join("socket");
        let mut command = Command::new(found(&["/usr/bin/redis-server", "/usr/local/bin/redis-server"], "redis-server"));
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket).arg("--dir").arg(folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("redis-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let is_ready = lines.by_ref().any(|line| line.contains("ready to accept connections"));
        assert!(is_ready, "redis-server ended: {:?}", child.wait());
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    /// Address of the server.
    pub fn url(&self) -> &str {
        &self.0.url
    }
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

/// Ports that are currently free.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
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
