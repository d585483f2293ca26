//! Messages between launcher and helper: one line of JSON each.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use monitor_client::launcher::Left;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Messages from the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// The run is recorded with these ids of tree and process.
    Began { ids: Option<(String, String)> },
    /// Start the command or a hook with this environment.
    Spawn { part: Part, env: Env },
    /// Send a signal.
    Signal { signal: i32, whom: Whom },
    /// Reap the command, whose end was processed.
    Reap,
    /// Kill the whole tree below the command.
    KillAll,
    /// Report whether a process of the command is left.
    Left,
    /// The reader of this output has closed it.
    Close { pump: usize },
    /// Nothing more will be started: close the write ends of the streams.
    LetGo,
    /// End. If `goes_on`, first copy output until no process can write any more. If `left` is set, send the records in the spool once the
    /// launcher has ended.
    End { goes_on: bool, left: Option<Left> },
}

/// Variables to set, or to remove if the value is `None`.
pub(crate) type Env = Vec<(OsString, Option<OsString>)>;

/// A part of a run, each a separate command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// The hook before the first attempt.
    Before,
    /// An attempt, with its number.
    Attempt(u32),
    /// The hook after the last attempt.
    After,
}

/// Recipients of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Whom {
    /// Only the command.
    Command,
    /// The command's process group.
    Group,
    /// The whole tree below the command.
    Tree,
}

/// Messages from the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Tell {
    /// The command runs.
    Spawned { pid: u32 },
    /// The command could not be started. `stage` is the step that failed.
    NotSpawned { stage: Stage, errno: i32 },
    /// The command was stopped.
    Stopped,
    /// The command has ended. It stays a zombie until [`Ask::Reap`], so that its pid still identifies it as the sender of a signal.
    Ended { code: Option<i32>, signal: Option<i32>, cpu_us: u64, peak_bytes: u64, io_bytes: Option<(u64, u64)> },
    /// True if a process of the command is left.
    Left(bool),
    /// The write ends of the streams are closed.
    HasLetGo,
}

/// Step in the start of a command, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(crate) enum Stage {
    Folder,
    Memory,
    Cpu,
    Nice,
    Terminal,
    Step,
    User,
    Start,
}

/// One end of the connection.
#[derive(Debug)]
pub(crate) struct Line<Out, In> {
    stream: UnixStream,
    read: Vec<u8>,
    ready: VecDeque<In>,
    /// True if the other end has closed the connection.
    pub(crate) is_over: bool,
    out: PhantomData<Out>,
}

impl<Out: Serialize, In: DeserializeOwned> Line<Out, In> {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, read: Vec::new(), ready: VecDeque::new(), is_over: false, out: PhantomData }
    }

    /// Sends a message. Errors are ignored, because the other end may be dead.
    pub(crate) fn say(&mut self, message: &Out) {
        let mut text = serde_json::to_vec(message).unwrap_or_default();
        text.push(b'\n');
        let _ = self.stream.write_all(&text);
    }

    /// Reads available messages. Blocks if there is none and the connection is open.
    pub(crate) fn listen(&mut self) {
        let mut buffer = [0; 4_096];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_over = true,
            Ok(length) => {
                self.read.extend_from_slice(&buffer[..length]);
                while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.read.drain(..=end).collect();
                    self.ready.extend(serde_json::from_slice::<In>(&line).ok());
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(_) => self.is_over = true,
        }
    }

    /// Returns the oldest received message.
    pub(crate) fn next(&mut self) -> Option<In> {
        self.ready.pop_front()
    }
}

impl<Out, In> AsFd for Line<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_however_they_are_split_and_invalid_text_is_skipped() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut line: Line<Ask, Tell> = Line::new(ours);
        let text = b"{\"Spawned\":{\"pid\":7}}\n{\"NoSuchWord\":1}\n\xff\n\n\"Stopped\"\n\"HasLet";
        for piece in text.chunks(5) {
            theirs.write_all(piece).unwrap();
            line.listen();
        }
        assert!(matches!(line.next(), Some(Tell::Spawned { pid: 7 })));
        assert!(matches!(line.next(), Some(Tell::Stopped)));
        assert!(line.next().is_none() && !line.is_over);
        drop(theirs);
        line.listen();
        assert!(line.is_over && line.next().is_none());
        // Sending to a closed connection is no error.
        line.say(&Ask::LetGo);
    }

    #[test]
    fn an_environment_of_any_bytes_and_any_length_arrives() {
        use std::os::unix::ffi::OsStringExt;

        let (ours, theirs) = UnixStream::pair().unwrap();
        let env =
            vec![(OsString::from("A"), Some(OsString::from_vec(vec![b'x', 0xff, b'\n']))), ("B".into(), Some("y".repeat(300_000).into()))];
        let said = env.clone();
        let speaker = std::thread::spawn(move || Line::<Ask, Tell>::new(ours).say(&Ask::Spawn { part: Part::Attempt(1), env: said }));
        let mut line: Line<Tell, Ask> = Line::new(theirs);
        let heard = loop {
            line.listen();
            if let Some(ask) = line.next() {
                break ask;
            }
        };
        speaker.join().unwrap();
        assert!(matches!(heard, Ask::Spawn { part: Part::Attempt(1), env: heard } if heard == env));
    }
}
