//! A command that reads a message from its standard input.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Bytes of a command's output that are reported.
const MOST_OUTPUT: u64 = 2_000;
/// Pause between two checks whether a command has ended.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Streams of a command that are read. The others lead to nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Captured {
    /// Standard output and standard error.
    Both,
    /// Standard error.
    Stderr,
}

/// The end of a command.
#[derive(Debug)]
pub struct Ended {
    /// Its status. `None` if it took too long and was ended.
    pub status: Option<ExitStatus>,
    /// The beginning of its output, without white space around it.
    pub output: String,
}

/// Runs a command and writes `input` to its standard input, which the command need not read. Blocks until the command has ended or the timeout
/// is over. Calls `end` in both cases: it kills the command, and may kill programs that the command has left behind.
///
/// # Errors
/// If the command can't be started or its end can't be determined.
pub fn run(mut command: Command, captured: Captured, input: &[u8], timeout: Duration, end: impl FnOnce(&mut Child)) -> io::Result<Ended> {
    let (mut reader, writer) = io::pipe()?;
    command.stdin(Stdio::piped());
    match captured {
        Captured::Both => command.stdout(writer.try_clone()?),
        Captured::Stderr => command.stdout(Stdio::null()),
    };
    let mut child = command.stderr(writer).spawn()?;
    // It has ends of the pipe as well, which keep the pipe open.
    drop(command);
    // Both pipes may be full, and programs that the command has started may hold them open after its end. So no thread waits for these two.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = reader.by_ref().take(MOST_OUTPUT).read_to_end(&mut text);
        let _ = sender.send(text);
        // A closed pipe would end a command that writes more.
        let _ = read.and_then(|_| io::copy(&mut reader, &mut io::sink()));
    });
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        std::thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let deadline = Instant::now() + timeout;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => break None,
            None => std::thread::sleep(CHECK_INTERVAL),
        }
    };
    end(&mut child);
    if status.is_none() {
        child.wait()?;
    }
    let text = receiver.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    Ok(Ended { status, output: String::from_utf8_lossy(&text).trim().to_owned() })
}
