//! Hosts for the benchmark and the long test of jobs: network namespaces of this machine with real agents, next to a namespace with the
//! real server. A bridge connects them.

mod agent;
mod controller;
mod process;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};

pub(crate) use agent::{Agent, start_all};
pub(crate) use controller::Controller;
pub(crate) use process::{Running, output, wait_for};

use crate::run::command;

/// Number of hosts.
pub(crate) const COUNT: usize = 50;
/// Address of the server, and of the controllers that are measured next to it. The network is reserved for benchmarks (RFC 2544).
pub(crate) const SERVER: &str = "198.18.77.1";
/// Namespace of the server.
pub(crate) const CONTROL: &str = "monitor-xtask-control";
/// First part of the names of all namespaces. Namespaces with it are removed at the start and at the end.
const PREFIX: &str = "monitor-xtask-";
/// Folder of the namespaces that `ip` has created.
const NAMESPACES: &str = "/run/netns";
/// File that is locked while the namespaces are in use. It is the same for all copies of the repository, as the namespaces are.
const LOCK: &str = "/run/monitor-xtask.lock";

/// True after Ctrl-C or SIGTERM.
static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Returns the name of a host: h01 to h50.
pub(crate) fn name(place: usize) -> String {
    format!("h{:02}", place + 1)
}

/// Returns the address of a host.
pub(crate) fn address(place: usize) -> String {
    format!("198.18.77.{}", place + 11)
}

/// Returns the namespace of a host.
pub(crate) fn namespace(place: usize) -> String {
    format!("{PREFIX}{}", name(place))
}

/// Returns a command that runs in a namespace, without variables of the user's own Process Monitor and of proxies. Its process is the program
/// itself.
pub(crate) fn inside(namespace: &str, program: impl AsRef<Path>) -> Command {
    let mut inside = command("nsenter", &[&format!("--net={NAMESPACES}/{namespace}")]);
    inside.arg(program.as_ref()).stdin(Stdio::null());
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy().to_ascii_uppercase();
        if name.starts_with("MONITOR_") || name.ends_with("_PROXY") {
            inside.env_remove(variable);
        }
    }
    inside
}

/// Returns an error after Ctrl-C, so that the caller ends and removes what it has made.
pub(crate) fn check_interrupt() -> Result<()> {
    ensure!(!IS_INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(())
}

/// The namespaces with their bridge. They and all processes in them end with this value.
pub(crate) struct Network {
    _lock: File,
}

impl Network {
    /// Creates the namespaces. Removes those of an earlier run that was killed.
    ///
    /// # Errors
    /// If this process does not run as root, a program is missing, or another process uses the namespaces.
    pub(crate) fn create() -> Result<Self> {
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        ensure!(is_root, "network namespaces need root: run the command again as root, such as with `sudo -E cargo xtask …`");
        for (program, package) in [("ip", "iproute2"), ("nsenter", "util-linux")] {
            let found = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
            ensure!(found.is_ok(), "{program} is missing: sudo apt-get install {package}, or your system's package");
        }
        let lock = File::create(LOCK).with_context(|| format!("can't create {LOCK}"))?;
        if lock.try_lock().is_err() {
            bail!("another run uses the hosts ({LOCK} is locked): wait for its end");
        }
        ctrlc::set_handler(|| IS_INTERRUPTED.store(true, Ordering::Relaxed))?;
        remove()?;
        let network = Self { _lock: lock };
        let all: Vec<String> = (0..COUNT).map(namespace).chain([CONTROL.to_owned()]).map(|name| format!("netns add {name}")).collect();
        ip(None, &all)?;
        let bridge =
            ["link set lo up", "link add bridge type bridge", &format!("address add {SERVER}/24 dev bridge"), "link set bridge up"];
        let mut control = bridge.map(str::to_owned).to_vec();
        for place in 0..COUNT {
            let (name, namespace) = (name(place), namespace(place));
            control.push(format!("link add {name} type veth peer name eth0 netns {namespace}"));
            control.push(format!("link set {name} master bridge up"));
        }
        ip(Some(CONTROL), &control)?;
        for place in 0..COUNT {
            let address = format!("address add {}/24 dev eth0", address(place));
            ip(Some(&namespace(place)), &["link set lo up".to_owned(), address, "link set eth0 up".to_owned()])?;
        }
        Ok(network)
    }

    /// Cuts the connections of hosts, or restores them.
    #[expect(clippy::unused_self, reason = "the links exist as long as the network")]
    pub(crate) fn connect(&self, places: &[usize], is_up: bool) -> Result<()> {
        let state = if is_up { "up" } else { "down" };
        ip(Some(CONTROL), &places.iter().map(|place| format!("link set {} {state}", name(*place))).collect::<Vec<_>>())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = remove() {
            eprintln!("xtask: the hosts could not be removed; the next run removes them: {error:#}");
        }
    }
}

/// Executes lines of `ip -batch` in a namespace.
fn ip(namespace: Option<&str>, lines: &[String]) -> Result<()> {
    let mut ip = Command::new("ip");
    ip.args(namespace.iter().flat_map(|namespace| ["-n", *namespace])).args(["-batch", "-"]);
    let mut child = ip.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().context("can't run ip")?;
    child.stdin.take().context("ip has no stdin")?.write_all((lines.join("\n") + "\n").as_bytes())?;
    let done = child.wait_with_output()?;
    ensure!(done.status.success(), "ip failed ({}): {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}

/// Removes all namespaces with [`PREFIX`] and the processes in them.
fn remove() -> Result<()> {
    let names: Vec<String> = fs::read_dir(NAMESPACES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
        .collect();
    let inodes: HashSet<u64> =
        names.iter().filter_map(|name| fs::metadata(Path::new(NAMESPACES).join(name)).ok()).map(|namespace| namespace.ino()).collect();
    // A process can start another one during the scan, so the scan is repeated until it finds none.
    let is_empty = (0..50).any(|_| {
        let processes = processes_in(&inodes);
        if !processes.is_empty() {
            let _ = Command::new("kill").arg("-KILL").args(&processes).stderr(Stdio::null()).status();
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        processes.is_empty()
    });
    ensure!(is_empty, "the processes in the namespaces {PREFIX}… can't be ended");
    if names.is_empty() {
        return Ok(());
    }
    ip(None, &names.iter().map(|name| format!("netns del {name}")).collect::<Vec<_>>())
}

/// Returns the numbers of the processes in namespaces, without zombies.
fn processes_in(inodes: &HashSet<u64>) -> Vec<String> {
    let is_inside = |process: &String| fs::metadata(format!("/proc/{process}/ns/net")).is_ok_and(|network| inodes.contains(&network.ino()));
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(is_inside)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_an_address_of_its_own() {
        let addresses: HashSet<String> = (0..COUNT).map(address).collect();
        assert_eq!(addresses.len(), COUNT);
        assert!(!addresses.contains(SERVER));
        assert_eq!((name(0), name(COUNT - 1)), ("h01".to_owned(), "h50".to_owned()));
    }
}
