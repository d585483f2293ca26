//! Child processes that end with their owner, and waits that have a limit.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::check_interrupt;

/// Interval at which a child process is checked. It limits the precision of measured times.
const PERIOD: Duration = Duration::from_millis(1);
/// Interval at which other conditions are checked.
const CONDITION_PERIOD: Duration = Duration::from_millis(100);

/// A child process in a process group of its own. It is killed when this value is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a command whose output is appended to a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log).with_context(|| format!("can't open {}", log.display()))?;
        // A process group of its own, because Ctrl-C in a terminal would otherwise reach the child as well.
        let child = command.stdout(file.try_clone()?).stderr(file).process_group(0).spawn();
        Ok(Self(child.with_context(|| format!("can't run {command:?}"))?))
    }

    /// Waits for the end of the process.
    pub(crate) fn end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            check_interrupt()?;
            if begin.elapsed() > limit {
                bail!("process {} did not end within {limit:?}", self.0.id());
            }
            std::thread::sleep(PERIOD);
        }
    }

    /// True if the process has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Kills the process by SIGKILL, but not its children.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Kills the process and its children by SIGKILL.
    pub(crate) fn kill_group(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_alive() {
            self.kill();
        }
    }
}

/// Runs a command to its end, and returns its exit status, its time and its output.
pub(crate) fn output(command: &mut Command, log: &Path, limit: Duration) -> Result<(ExitStatus, Duration, String)> {
    if log.exists() {
        std::fs::remove_file(log)?;
    }
    let begin = Instant::now();
    let status = Running::start(command, log)?.end(limit).with_context(|| format!("{command:?}"))?;
    Ok((status, begin.elapsed(), std::fs::read_to_string(log)?))
}

/// Waits until `condition` returns a value.
///
/// # Errors
/// If the limit is over, or after Ctrl-C.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        check_interrupt()?;
        if begin.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        std::thread::sleep(CONDITION_PERIOD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_limit_and_its_output_is_read() {
        let log = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
        let mut shell = Command::new("sh");
        let (status, _, text) = output(shell.args(["-c", "echo out; echo err >&2; exit 3"]), &log, Duration::from_secs(10)).unwrap();
        assert_eq!((status.code(), text.as_str()), (Some(3), "out\nerr\n"));
        let error = output(Command::new("sleep").arg("60"), &log, Duration::from_millis(50)).unwrap_err();
        assert!(format!("{error:#}").contains("did not end within"), "{error:#}");
        std::fs::remove_file(log).unwrap();
    }
}
