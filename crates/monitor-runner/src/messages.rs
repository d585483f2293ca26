//! What launcher and helper say to each other: a line of JSON each.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use monitor_client::launcher::Left;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// From the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// The run is recorded, under these ids of tree and process.
    Began { ids: Option<(String, String)> },
    /// Start the command, or a hook, with this in its environment, or without.
    Spawn { part: Part, env: Env },
    /// Send a signal.
    Signal { signal: i32, whom: Whom },
    /// The command's end was heard of: let the system forget it.
    Reap,
    /// Kill all that it has started.
    KillAll,
    /// Say whether anything of it is left.
    Left,
    /// Nobody reads this output any more.
    Close { pump: usize },
    /// Nothing more will be started: let go of where output is written to.
    LetGo,
    /// End, when nobody can write output any more if some still can, and copy it until then. What the launcher has left in the
    /// spool is to be sent once it is gone.
    End { goes_on: bool, left: Option<Left> },
}

/// Variables that are set, or taken away.
pub(crate) type Env = Vec<(OsString, Option<OsString>)>;

/// A part of a run that is a command of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// The hook before the first attempt.
    Before,
    /// The attempt of this number.
    Attempt(u32),
    /// The hook after the last attempt.
    After,
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Whom {
    /// The command alone.
    Command,
    /// Its process group, which is its own.
    Group,
    /// All that it has started.
    Tree,
}

/// From the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Tell {
    /// It runs.
    Spawned { pid: u32 },
    /// It could not be started: while doing what, and why.
    NotSpawned { stage: Stage, errno: i32 },
    /// It was stopped.
    Stopped,
    /// It has ended, and is there until it is to be reaped: who sent a signal can be looked up as long.
    Ended { code: Option<i32>, signal: Option<i32>, cpu_us: u64, peak_bytes: u64, io_bytes: Option<(u64, u64)> },
    /// Whether anything of it is left.
    Left(bool),
    /// Where output is written to was let go of.
    HasLetGo,
}

/// What was being done for a command when it could not be started.
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

/// One end.
#[derive(Debug)]
pub(crate) struct Line<Out, In> {
    stream: UnixStream,
    read: Vec<u8>,
    ready: VecDeque<In>,
    /// The other end is gone.
    pub(crate) is_over: bool,
    out: PhantomData<Out>,
}

impl<Out: Serialize, In: DeserializeOwned> Line<Out, In> {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, read: Vec::new(), ready: VecDeque::new(), is_over: false, out: PhantomData }
    }

    /// Says something; nobody may be there any more.
    pub(crate) fn say(&mut self, message: &Out) {
        let mut text = serde_json::to_vec(message).unwrap_or_default();
        text.push(b'\n');
        let _ = self.stream.write_all(&text);
    }

    /// Takes what has come, when there is something or the other end is gone.
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

    /// What was said, oldest first.
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
    fn what_is_said_arrives_whole_however_it_is_cut_and_nonsense_is_left_out() {
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
        // Nobody is there any more.
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
