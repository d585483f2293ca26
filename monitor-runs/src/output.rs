//! Output of a detached run: one file in the order in which it came, and beside it which part of it is whose.
//!
//! `output.streams` has a line for each place where another stream goes on: the offset in `output.log`, and `stdout` or `stderr`. The line
//! is written before the output itself, so that no output is ever taken for that of the other stream.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::bounded::{Bounded, Part, part};

/// File of all output, in the folder of a run.
pub const LOG: &str = "output.log";
const STREAMS: &str = "output.streams";
/// As much is read at a time.
const AT_ONCE: u64 = 1 << 20;

/// The stream that output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Stdout.
    Stdout,
    /// Stderr.
    Stderr,
}

impl Origin {
    fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Stdout, Self::Stderr].into_iter().find(|origin| origin.word() == word)
    }
}

/// Takes the output of a run, from several threads.
#[derive(Debug)]
pub struct OutputLog(Mutex<Writer>);

#[derive(Debug)]
struct Writer {
    log: Bounded,
    streams: Bounded,
    last: Option<Origin>,
}

impl OutputLog {
    /// Opens the output of the run of this folder, of which so many bytes are kept.
    ///
    /// # Errors
    /// When its files can't be opened.
    pub fn open(folder: &Path, most: u64) -> io::Result<Self> {
        let bounded = |name| Ok::<_, io::Error>(Bounded::new(open(folder, name)?, most));
        let (log, streams) = (bounded(LOG)?, bounded(STREAMS)?);
        Ok(Self(Mutex::new(Writer { log, streams, last: None })))
    }

    /// Adds output.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, origin: Origin, bytes: &[u8]) -> io::Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.last != Some(origin) {
            // Others may have written as well: a launcher that ends with an error says it there.
            let at = writer.log.file().seek(SeekFrom::End(0))?;
            writer.streams.write(format!("{at} {}\n", origin.word()).as_bytes())?;
            writer.last = Some(origin);
        }
        writer.log.write(bytes)
    }
}

pub(crate) fn open(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(folder.join(name))
}

/// Reads output from `position` on, which is moved; only that of one stream if `origin` is given. Empty at the end.
pub(crate) fn read(folder: &Path, position: &mut u64, origin: Option<Origin>) -> io::Result<Vec<u8>> {
    let mut log = File::open(folder.join(LOG))?;
    let length = log.metadata()?.len();
    let Some(origin) = origin else {
        return Ok(part(&mut log, position, length, AT_ONCE)?.shown());
    };
    // The file may have grown since: a part whose stream is not told yet is not read.
    let turns = turns(folder);
    while *position < length {
        let next = turns.iter().map(|(at, _)| *at).find(|at| at > position).unwrap_or(length).min(length);
        // Output of earlier versions, which told no streams apart, is stdout.
        let whose = turns.iter().rev().find(|(at, _)| at <= position).map_or(Origin::Stdout, |(_, whose)| *whose);
        if whose == origin {
            return Ok(part(&mut log, position, next, AT_ONCE)?.shown());
        }
        *position = next;
    }
    Ok(Vec::new())
}

/// Where which stream goes on. Lines that make no sense are left out.
fn turns(folder: &Path) -> Vec<(u64, Origin)> {
    let text = String::from_utf8(kept(&folder.join(STREAMS)).unwrap_or_default()).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| line.split_once(' ').and_then(|(at, word)| Some((at.parse().ok()?, Origin::of(word)?)));
    whole.lines().filter_map(line).collect()
}

/// What is kept of a file.
fn kept(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, mut position, mut all) = (File::open(path)?, 0, Vec::new());
    let length = file.metadata()?.len();
    loop {
        match part(&mut file, &mut position, length, u64::MAX)? {
            Part::Bytes(bytes) if bytes.is_empty() => return Ok(all),
            Part::Bytes(bytes) => all.extend(bytes),
            Part::Missing(_) => all.push(b'\n'),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(folder: &Path, origin: Option<Origin>) -> String {
        let (mut position, mut text) = (0, Vec::new());
        loop {
            let more = read(folder, &mut position, origin).unwrap();
            if more.is_empty() {
                return String::from_utf8(text).unwrap();
            }
            text.extend(more);
        }
    }

    #[test]
    fn streams_are_told_apart_and_stay_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let log = OutputLog::open(folder.path(), 1 << 20).unwrap();
        for (origin, text) in [(Origin::Stdout, "a\n"), (Origin::Stdout, "b\n"), (Origin::Stderr, "c\n"), (Origin::Stdout, "d\n")] {
            log.write(origin, text.as_bytes()).unwrap();
        }
        // Whoever goes on knows nothing of who wrote before.
        OutputLog::open(folder.path(), 1 << 20).unwrap().write(Origin::Stderr, b"e\n").unwrap();
        let seen = [None, Some(Origin::Stdout), Some(Origin::Stderr)].map(|origin| all(folder.path(), origin));
        assert_eq!(seen, ["a\nb\nc\nd\ne\n", "a\nb\nd\n", "c\ne\n"]);
    }

    #[test]
    fn a_damaged_or_absent_list_of_streams_loses_no_output() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOG), "abcdef").unwrap();
        assert_eq!(all(folder.path(), Some(Origin::Stdout)), "abcdef");
        fs::write(folder.path().join(STREAMS), "x y\n-1 stderr\n2 stderr\n\n4 stdin\n99 stdout\n3 st").unwrap();
        assert_eq!(all(folder.path(), None), "abcdef");
        assert_eq!((all(folder.path(), Some(Origin::Stdout)), all(folder.path(), Some(Origin::Stderr))), ("ab".into(), "cdef".into()));
    }
}
