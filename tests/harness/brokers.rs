//! Redis and RabbitMQ, each as a server of its own for one test, from the system's packages.

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
    _folder: TempDir,
}

/// Redis, which forgets all when it ends.
#[derive(Debug)]
pub struct Redis(Broker);

impl Redis {
    /// Starts it, and waits until it can be asked. It listens on a socket in its folder alone.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("socket");
        let mut command = Command::new(found(&["/usr/bin/redis-server", "/usr/local/bin/redis-server"], "redis-server"));
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket).arg("--dir").arg(folder.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("redis-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let is_ready = lines.by_ref().any(|line| line.contains("ready to accept connections"));
        assert!(is_ready, "redis-server ended: {:?}", child.wait());
        std::thread::spawn(move || lines.for_each(drop));
        Self(Broker { child, url: format!("redis+unix://{}", socket.display()), _folder: folder })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.0.url
    }
}

/// RabbitMQ, with a server of names of its own.
#[derive(Debug)]
pub struct RabbitMq {
    broker: Broker,
    names: u16,
}

/// Not the script of the same name in `/usr/sbin`, which wants to be root or `rabbitmq`.
const RABBITMQ: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

impl RabbitMq {
    /// All that it keeps is in its folder, and it listens on ports of its own on this machine alone.
    pub fn start() -> Self {
        // Somebody else may take a port between its choice and the broker's start, so that it ends: others are tried then.
        Self::started()
            .or_else(|_| Self::started())
            .or_else(|_| Self::started())
            .unwrap_or_else(|said| panic!("rabbitmq-server ended:\n{said}"))
    }

    /// The broker, or what it said before it ended.
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
        // It may be ended while it still believes that the broker lives.
        command.env("ERL_EPMD_RELAXED_COMMAND_CHECK", "1");
        // The script is the parent of what it starts: all of them end together.
        let mut child = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("rabbitmq-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let url = format!("amqp://127.0.0.1:{port}/%2f");
        let rabbit = Self { broker: Broker { child, url, _folder: folder }, names };
        let mut said = Vec::new();
        if !lines.by_ref().inspect(|line| said.push(line.clone())).any(|line| line.contains("Server startup complete")) {
            return Err(said.join("\n"));
        }
        std::thread::spawn(move || lines.for_each(drop));
        Ok(rabbit)
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.broker.url
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        let group = self.broker.child.id().cast_signed();
        #[allow(unsafe_code, reason = "ends the processes that the script has started")]
        // SAFETY: a signal to a group that this test has made, whose leader was not waited for.
        unsafe {
            libc::kill(-group, libc::SIGKILL);
        }
        // The server of names puts itself into a group of its own.
        let _ = Command::new("epmd").args(["-port", &self.names.to_string(), "-kill"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Ports that nobody listens on, as far as is known.
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
