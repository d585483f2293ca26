//! The camera that runs a command.

use std::process::{Child, Command};
use std::time::Duration;

use monitor_notify::command::{self, Captured, Ended};

use super::{Camera, Picture, Result};
use crate::state::{Mark, State};

/// Default time after which a command is killed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a command for each [`Picture`], which is passed as JSON on standard input. The command must exit successfully within 60 seconds.
///
/// ```
/// use monitor_receiver::{Camera, State, camera::CommandCamera};
///
/// let mut camera = CommandCamera::new("sh", ["-c", "grep -q event_count"]);
/// camera.shutter(&State::default())?;
/// # Ok::<(), monitor_receiver::camera::Failure>(())
/// ```
#[derive(Debug)]
pub struct CommandCamera {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
    mark: Mark,
}

impl CommandCamera {
    /// Creates a camera that runs this program with these arguments.
    pub fn new(program: impl Into<String>, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, timeout: TIMEOUT, mark: Mark::default() }
    }

    /// Sets the time after which a command is killed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn run(&self, json: &[u8]) -> Result {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        let kill = |child: &mut Child| drop(child.kill());
        let ended = command::run(command, Captured::Stderr, json, self.timeout, kill);
        let Ended { status, output } = ended.map_err(|error| format!("could not start {}: {error}", self.program))?;
        let colon = if output.is_empty() { "" } else { ": " };
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("{} ended with {status}{colon}{output}", self.program).into()),
            None => Err(format!("{} did not end within {:?} and was killed", self.program, self.timeout).into()),
        }
    }
}

impl Camera for CommandCamera {
    fn shutter(&mut self, state: &State) -> Result {
        self.run(&serde_json::to_vec(&Picture::since(state, self.mark))?)?;
        self.mark = state.mark();
        Ok(())
    }

    fn name(&self) -> String {
        format!("command:{}", self.program)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_hanging_or_missing_command_is_an_error() {
        let error = |mut camera: CommandCamera| camera.shutter(&State::default()).unwrap_err().to_string();
        let shell = |script: &str| CommandCamera::new("sh", ["-c", script]);
        assert!(error(shell("echo 'no disk' >&2; exit 3")).contains("exit status: 3: no disk"));
        assert!(error(shell("head -c 100000 /dev/zero >&2; exit 1")).contains("exit status: 1"));
        assert!(error(shell("sleep 60").timeout(Duration::from_millis(50))).contains("was killed"));
        assert!(error(CommandCamera::new("/no/such/program", [""; 0])).contains("could not start /no/such/program"));
        shell("exit 0").shutter(&State::default()).unwrap();
    }
}
