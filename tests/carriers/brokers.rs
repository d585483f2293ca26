//! Redis, as a server of its own for one test, from the system's package.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A server that ends with its test.
struct Broker {
    child: Child,
    url: String,
    _folder: TempDir,
}

pub(crate) struct Redis(Broker);

impl Redis {
    /// It listens on a socket in its folder alone.
    pub(crate) fn start() -> Self {
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

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }
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
