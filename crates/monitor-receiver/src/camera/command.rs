//! The camera that starts a command.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Camera, Picture, Result};
use crate::state::{Mark, State};

/// A command may take so long.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A command that runs is looked at so often.
const LOOK: Duration = Duration::from_millis(10);
/// No more of what a command says on its standard error is told, in bytes.
const LONGEST_WORDS: u64 = 2_000;

/// Starts a command for each [`Picture`], which has it as JSON on its standard input. It must end well within 60 seconds.
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
    /// A camera that starts this program with these arguments.
    pub fn new(program: impl Into<String>, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, timeout: TIMEOUT, mark: Mark::default() }
    }

    /// Lets a command take so long before it is killed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn run(&self, json: &[u8]) -> Result {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("could not start {}: {error}", self.program))?;
        let (mut input, error_output) = (child.stdin.take().expect("piped"), child.stderr.take().expect("piped"));
        // Both pipes may fill, and what the command started may hold them open for longer than it runs itself: nobody waits for these threads.
        let json = json.to_owned();
        std::thread::spawn(move || {
            // A command need not read all of it.
            let _ = input.write_all(&json);
        });
        let (words, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let mut error_output = error_output;
            let _ = error_output.by_ref().take(LONGEST_WORDS).read_to_end(&mut text);
            let _ = words.send(text);
            let _ = io::copy(&mut error_output, &mut io::sink());
        });
        let Some(status) = wait(&mut child, self.timeout)? else {
            return Err(format!("{} did not end within {:?} and was killed", self.program, self.timeout).into());
        };
        if status.success() {
            return Ok(());
        }
        let words = said.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let words = if words.trim().is_empty() { String::new() } else { format!(": {}", words.trim()) };
        Err(format!("{} ended with {status}{words}", self.program).into())
    }
}

/// Waits for the end of a command; none if it had to be killed.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            // It may have ended meanwhile.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
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
    fn a_command_that_fails_hangs_or_is_not_there_is_told() {
        let error = |mut camera: CommandCamera| camera.shutter(&State::default()).unwrap_err().to_string();
        let shell = |script: &str| CommandCamera::new("sh", ["-c", script]);
        assert!(error(shell("echo 'no disk' >&2; exit 3")).contains("exit status: 3: no disk"));
        assert!(error(shell("head -c 100000 /dev/zero >&2; exit 1")).contains("exit status: 1"));
        assert!(error(shell("sleep 60").timeout(Duration::from_millis(50))).contains("was killed"));
        assert!(error(CommandCamera::new("/no/such/program", [""; 0])).contains("could not start /no/such/program"));
        shell("exit 0").shutter(&State::default()).unwrap();
    }
}
