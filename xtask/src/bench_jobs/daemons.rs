//! The services that the other programs need: an sshd on each host, and a Salt master with a minion on each host.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::contenders::Programs;
use crate::hosts::{COUNT, Running, SERVER, address, inside, name, namespace, output, wait_for};

/// Place of the server of ssh in Debian. It must be started by its absolute path.
const SSHD: &str = "/usr/sbin/sshd";
/// Folder that sshd requires for processes without rights.
const SSHD_FOLDER: &str = "/run/sshd";
/// Maximum time until all minions have answered. They load their modules at the same time.
const MINIONS: Duration = Duration::from_secs(600);

/// Starts an sshd on each host, and writes the settings of ssh and Ansible.
pub(super) fn start_sshd(folder: &Path) -> Result<Vec<Running>> {
    ensure!(Path::new(SSHD).exists(), "{SSHD} is missing: sudo apt-get install openssh-server");
    fs::create_dir_all(SSHD_FOLDER).with_context(|| format!("can't create {SSHD_FOLDER}"))?;
    let ssh = folder.join("ssh");
    fs::create_dir_all(&ssh)?;
    for key in ["host", "user"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(ssh.join(key)).stdin(Stdio::null());
        ensure!(keygen.status().context("can't run ssh-keygen")?.success(), "ssh-keygen failed");
    }
    let path = |name: &str| ssh.join(name).display().to_string();
    fs::copy(ssh.join("user.pub"), ssh.join("authorized"))?;
    let mut config = String::new();
    let (mut known, mut inventory) = (String::new(), String::new());
    let host_key = fs::read_to_string(ssh.join("host.pub"))?;
    for place in 0..COUNT {
        let (name, address) = (name(place), address(place));
        writeln!(config, "Host {name}\n    HostName {address}")?;
        write!(known, "{address} {host_key}")?;
        writeln!(inventory, "{name} ansible_python_interpreter=/usr/bin/python3")?;
    }
    write!(config, "Host *\n    User root\n    IdentityFile {}\n    IdentitiesOnly yes\n", path("user"))?;
    write!(config, "    UserKnownHostsFile {}\n    StrictHostKeyChecking yes\n", path("known"))?;
    fs::write(ssh.join("config"), config)?;
    fs::write(ssh.join("known"), known)?;
    fs::write(folder.join("inventory"), inventory)?;
    // The options of Ansible's own default, with the settings of this benchmark.
    let ansible = format!(
        "[defaults]\ninventory = {}\n[ssh_connection]\nssh_args = -F {} -C -o ControlMaster=auto -o ControlPersist=60s\n",
        folder.join("inventory").display(),
        path("config")
    );
    fs::write(folder.join("ansible.cfg"), ansible)?;
    let (host, authorized) = (path("host"), path("authorized"));
    let start = |place| {
        let config = ssh.join(format!("sshd-{}", name(place)));
        let text = format!(
            "ListenAddress {}:22\nHostKey {host}\nAuthorizedKeysFile {authorized}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n",
            address(place)
        );
        fs::write(&config, text)?;
        let mut sshd = inside(&namespace(place), SSHD);
        Running::start(sshd.args(["-D", "-e", "-f"]).arg(&config), &ssh.join("sshd.log"))
    };
    (0..COUNT).map(start).collect()
}

/// A Salt master, and the minions of all hosts.
pub(super) struct Salt {
    master: Running,
    log: PathBuf,
    _minions: Vec<Running>,
}

impl Salt {
    /// Starts master and minions, and waits until all minions have answered.
    pub(super) fn start(programs: &Programs) -> Result<Self> {
        let folder = programs.folder.join("salt");
        write_config(&folder, "master", &format!("interface: {SERVER}\nauto_accept: True\n"))?;
        let log = folder.join("log");
        let master = Running::start(&mut programs.salt("salt-master", &[]), &log)?;
        let start = |place| {
            let name = name(place);
            // Without these facts about a machine, a minion starts earlier.
            let facts = "enable_gpu_grains: False\nenable_fqdns_grains: False\n";
            write_config(&folder, &name, &format!("id: {name}\nmaster: {SERVER}\n{facts}"))?;
            let mut minion = inside(&namespace(place), programs.rivals.join("salt/bin/salt-minion"));
            Running::start(minion.arg("--disable-keepalive").arg("-c").arg(folder.join(name)), &log)
        };
        let minions = (0..COUNT).map(start).collect::<Result<Vec<_>>>()?;
        let mut salt = Self { master, log, _minions: minions };
        let mut answered = 0;
        let all = wait_for("all minions answer", MINIONS, || {
            ensure!(salt.master.is_alive(), "the master has ended");
            let mut ping = programs.salt("salt", &["--out=txt", "-t", "20", "*", "test.ping"]);
            let (_, _, text) = output(&mut ping, &folder.join("ping"), Duration::from_secs(120))?;
            answered = text.lines().filter(|line| line.ends_with(": True")).count();
            Ok((answered == COUNT).then_some(()))
        });
        all.with_context(|| format!("{answered} of {COUNT} minions answered; see {}", salt.log.display()))?;
        Ok(salt)
    }

    /// Kills the master with all its processes by SIGKILL.
    pub(super) fn kill_master(&mut self) {
        self.master.kill_group();
    }

    /// Starts the master on its folder.
    pub(super) fn start_master(&mut self, programs: &Programs) -> Result<()> {
        self.master = Running::start(&mut programs.salt("salt-master", &[]), &self.log)?;
        Ok(())
    }
}

impl Drop for Salt {
    fn drop(&mut self) {
        self.kill_master();
    }
}

/// Writes the settings file of a master or a minion.
fn write_config(folder: &Path, name: &str, text: &str) -> Result<()> {
    let own = folder.join(name);
    fs::create_dir_all(&own)?;
    let kind = if name == "master" { "master" } else { "minion" };
    let common = format!("user: root\nroot_dir: {0}\npki_dir: {0}/pki\nlog_level_logfile: quiet\n", own.display());
    Ok(fs::write(own.join(kind), common + text)?)
}

/// Returns the number of outcomes that the master has stored for the job in the output of `salt -v`.
pub(super) fn stored_outcomes(programs: &Programs, output_of_salt: &str) -> Result<usize> {
    let jid = output_of_salt.lines().find_map(|line| line.strip_prefix("Executing job with jid "));
    let Some(jid) = jid else { bail!("salt printed no jid:\n{output_of_salt}") };
    let mut look_up = programs.salt("salt-run", &["--out=json", "--out-indent=-1", "-l", "quiet", "jobs.lookup_jid", jid.trim()]);
    let output = look_up.output()?;
    Ok(outcomes_in(&String::from_utf8_lossy(&output.stdout)))
}

/// Returns the number of hosts in the answer of `jobs.lookup_jid`.
fn outcomes_in(answer: &str) -> usize {
    let last = answer.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(last).ok().and_then(|hosts| hosts.as_object().map(serde_json::Map::len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_an_answer_are_counted() {
        assert_eq!(outcomes_in("a warning\n{\"h01\": 0, \"h02\": 0}\n"), 2);
        assert_eq!(outcomes_in("{}"), 0);
        assert_eq!(outcomes_in(""), 0);
    }
}
