//! The programs that start a script on all hosts: their commands, and the outcomes in their output.

use std::path::PathBuf;
use std::process::Command;

use crate::hosts::{CONTROL, COUNT, Controller, inside, name};

/// A program and the way it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    Ours,
    AnsibleCommand,
    AnsibleRaw,
    Clush,
    Salt,
}

impl Contender {
    /// Name in the tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Ours => "ours: monitor job run",
            Self::AnsibleCommand => "ansible -f 50 -m command",
            Self::AnsibleRaw => "ansible -f 50 -m raw",
            Self::Clush => "clush -f 50",
            Self::Salt => "salt cmd.retcode",
        }
    }

    /// Returns the number of hosts whose outcome is in the output. `clush` prints outcomes only of hosts that have failed, so its scripts
    /// must print `done`.
    pub(super) fn outcomes(self, output: &str) -> usize {
        let is_outcome = |line: &str| match self {
            Self::Ours => line.contains("succeeded") && is_host(line.split_whitespace().next().unwrap_or_default()),
            Self::AnsibleCommand | Self::AnsibleRaw => {
                line.split_once(" | ").is_some_and(|(host, outcome)| is_host(host) && outcome.contains("rc=0"))
            }
            Self::Clush => line.strip_suffix(": done").is_some_and(is_host),
            Self::Salt => line.strip_suffix(": 0").is_some_and(is_host),
        };
        output.lines().filter(|line| is_outcome(line)).count()
    }
}

/// True if the word is the name of a host.
fn is_host(word: &str) -> bool {
    (0..COUNT).any(|place| name(place) == word)
}

/// The installed programs with their settings.
pub(super) struct Programs {
    /// Environments of Python: `ansible`, `clush` and `salt`.
    pub(super) rivals: PathBuf,
    /// Folder of this benchmark, with the settings.
    pub(super) folder: PathBuf,
}

impl Programs {
    /// Returns the command that runs a shell command, in `script` for our server, on all hosts. It ends after the last outcome.
    pub(super) fn command(&self, contender: Contender, controller: &Controller, shell: &str, script: &str) -> Command {
        match contender {
            Contender::Ours => controller.command(&["job", "run", "--host", "h*", script]),
            Contender::AnsibleCommand => self.ansible("command", shell),
            Contender::AnsibleRaw => self.ansible("raw", shell),
            Contender::Clush => {
                let mut clush = inside(CONTROL, self.rivals.join("clush/bin/clush"));
                clush.args(["-S", "-f", "50", "-w", &format!("h[01-{COUNT}]"), "-o"]);
                clush.arg(format!("-F {}", self.folder.join("ssh/config").display())).arg(shell);
                clush
            }
            Contender::Salt => self.salt("salt", &["-v", "--out=txt", "*", "cmd.retcode", shell]),
        }
    }

    fn ansible(&self, module: &str, shell: &str) -> Command {
        let mut ansible = inside(CONTROL, self.rivals.join("ansible/bin/ansible"));
        ansible.args(["all", "-f", "50", "-m", module, "-a", shell]).env("ANSIBLE_CONFIG", self.folder.join("ansible.cfg"));
        ansible
    }

    /// Returns a command of Salt with the settings of the master.
    pub(super) fn salt(&self, program: &str, args: &[&str]) -> Command {
        let mut salt = inside(CONTROL, self.rivals.join("salt/bin").join(program));
        salt.arg("-c").arg(self.folder.join("salt/master")).args(args);
        salt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_host() {
        for (contender, output, expected) in [
            (Contender::Ours, "job 1 started\nh01  succeeded  0.1 s\nh02  succeeded\n2 hosts: 2 succeeded\n", 2),
            (Contender::AnsibleCommand, "h01 | CHANGED | rc=0 >>\n\nh02 | FAILED | rc=1 >>\nh99 | CHANGED | rc=0 >>\n", 1),
            (Contender::AnsibleRaw, "h01 | CHANGED | rc=0 >>\ndone\n\nh02 | UNREACHABLE! => {\n", 1),
            (Contender::Clush, "h01: done\nclush: h02: exited with exit code 1\nh50: done\n", 2),
            (Contender::Salt, "Executing job with jid 2026\n---\nh01: 0\nh02: 1\nh03: Minion did not return\n", 1),
        ] {
            assert_eq!(contender.outcomes(output), expected, "{contender:?}");
        }
    }
}
