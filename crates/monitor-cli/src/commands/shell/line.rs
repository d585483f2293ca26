//! Parses a line into a command.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::client::Connection;

/// A parsed line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A blank line or a comment.
    Empty,
    Exit,
    /// The words of a command, without `monitor`.
    Command(Vec<String>),
    /// A line that can't be run, with the reason.
    Wrong(String),
}

impl Line {
    pub(super) fn read(line: &str) -> Self {
        let Some(mut words) = shlex::split(line) else {
            return Self::Wrong("a quotation mark has no end, or a backslash nothing behind it".to_owned());
        };
        // Accepts lines that were copied from another shell.
        if words.first().is_some_and(|word| word == "monitor") {
            words.remove(0);
        }
        match words.first().map(String::as_str) {
            None => Self::Empty,
            Some("exit" | "quit") if words.len() == 1 => Self::Exit,
            Some("shell") => Self::Wrong("this is the shell already: type what comes behind `monitor`, or `exit`".to_owned()),
            Some(_) => Self::Command(words),
        }
    }
}

/// Runs each command in a process of its own, so that no command affects the next one.
pub(super) struct Runner {
    program: PathBuf,
    server: Vec<(&'static str, String)>,
    /// True if the commands are typed at a terminal.
    is_attended: bool,
}

impl Runner {
    pub(super) fn new(connection: &Connection, is_attended: bool) -> anyhow::Result<Self> {
        if is_attended {
            outlive_interrupts().context("Ctrl-C can't be watched")?;
        }
        let program = std::env::current_exe().context("this program can't be found")?;
        Ok(Self { program, server: connection.environment(), is_attended })
    }

    /// Runs a command to its end. Returns its exit code.
    pub(super) fn run(&self, words: &[String]) -> anyhow::Result<u8> {
        let mut command = Command::new(&self.program);
        command.args(words).envs(self.server.iter().map(|(name, value)| (*name, value)));
        if !self.is_attended {
            // The stdin of the shell is the script.
            command.stdin(Stdio::null());
        }
        let status = command.status().with_context(|| format!("{} can't be started", self.program.display()))?;
        Ok(status.code().map_or_else(|| signalled(status), |code| code as u8))
    }
}

/// The exit code that shells report: 128 plus the number of the signal.
fn signalled(status: std::process::ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default();
    #[cfg(not(unix))]
    let signal = i32::from(status.success());
    128_u8.saturating_add(signal as u8)
}

/// Ignores Ctrl-C in the shell. Started programs get the default action back.
fn outlive_interrupts() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _runs = runtime.enter();
    #[cfg(unix)]
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?);
    #[cfg(windows)]
    drop(tokio::signal::windows::ctrl_c()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_shells_do() {
        let command = |words: &[&str]| Line::Command(words.iter().map(ToString::to_string).collect());
        for (line, expected) in [
            ("", Line::Empty),
            ("  # only a comment", Line::Empty),
            ("monitor", Line::Empty),
            (" exit ", Line::Exit),
            ("quit", Line::Exit),
            ("roots --name 'two words' # the rest", command(&["roots", "--name", "two words"])),
            ("monitor status", command(&["status"])),
            ("tree 根", command(&["tree", "根"])),
            ("exit 3", command(&["exit", "3"])),
        ] {
            assert_eq!(Line::read(line), expected, "{line:?}");
        }
        for line in ["roots 'open", "tree \\", "shell", "monitor shell --server x"] {
            assert!(matches!(Line::read(line), Line::Wrong(_)), "{line:?}");
        }
    }
}
