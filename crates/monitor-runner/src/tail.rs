//! The last lines of what a command wrote, for the error of one that failed.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FileType;

use crate::lines::text_of;
use crate::secrets::Secrets;
use crate::why::{self, Stream, Why};

/// What an error tells of them.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4 << 10;
/// What is kept of a stream, with colours and all that was overwritten: enough to find the line that says why.
const TAIL_RAW: usize = 16 << 10;

/// The ends of what a command writes.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    /// Stderr, alone or together with stdout.
    pub(crate) errors: Mutex<Tail>,
    /// Stdout alone.
    pub(crate) output: Mutex<Tail>,
}

impl Tails {
    pub(crate) fn of(&self, stream: Stream) -> MutexGuard<'_, Tail> {
        let tail = if stream == Stream::Errors { &self.errors } else { &self.output };
        tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a command said at the end of an attempt.
#[derive(Debug, Default)]
pub(crate) struct Said(Vec<(Stream, Vec<String>)>);

impl Said {
    /// Takes the ends that went through the launcher, or stand in files that the command wrote itself.
    /// Values of secrets are masked: a file that the command wrote itself has them.
    pub(crate) fn take(tails: &Tails, files: &mut [(Stream, FileTail)], secrets: &Secrets) -> Self {
        let mut said: Vec<_> = [Stream::Errors, Stream::Output].map(|stream| (stream, std::mem::take(&mut *tails.of(stream)))).into();
        said.extend(files.iter_mut().map(|(stream, file)| (*stream, file.take())));
        said.retain(|(_, tail)| !tail.is_empty());
        said.sort_by_key(|(stream, _)| *stream == Stream::Output);
        Self(said.into_iter().map(|(stream, mut tail)| (stream, tail.take(secrets))).collect())
    }

    /// The line that says best why the command failed.
    pub(crate) fn why(&self) -> Option<Why> {
        why::find(&self.0.iter().map(|(stream, lines)| (*stream, &lines[..])).collect::<Vec<_>>())
    }

    /// The last lines of stderr, or where nothing was written there, of stdout; or of the stream that says `why`.
    pub(crate) fn tail(&self, why: Option<&Why>) -> Option<String> {
        let tails: Vec<String> = self.0.iter().map(|(_, lines)| shown(lines)).collect();
        let has_why = |tail: &&String| why.is_some_and(|why| tail.contains(&why.line));
        let tail = tails.iter().find(has_why).or(tails.first())?;
        // One line that was told already is nothing new.
        Some(tail.clone()).filter(|tail| why.is_none_or(|why| tail.trim() != why.line))
    }
}

/// The end of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// Something was before these.
    is_cut: bool,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(TAIL_RAW)..];
        let over = (self.bytes.len() + kept.len()).saturating_sub(TAIL_RAW);
        self.is_cut |= over > 0 || kept.len() < bytes.len();
        self.bytes.drain(..over);
        self.bytes.extend_from_slice(kept);
    }

    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }

    /// Something went by that nobody looked at: what was before it is no end any more.
    pub(crate) fn skip(&mut self) {
        self.bytes.clear();
        self.is_cut = true;
    }

    /// Takes the last lines of it as a person would have seen them, with values of secrets masked.
    pub(crate) fn take(&mut self, secrets: &Secrets) -> Vec<String> {
        let Self { bytes, is_cut } = std::mem::take(self);
        let bytes = secrets.mask_bytes(bytes, is_cut);
        // Colours are removed from a line, which may join the parts of a value.
        let line = |line| secrets.mask(text_of(line));
        let mut lines: Vec<String> = bytes.trim_ascii_end().split(|byte| *byte == b'\n').map(line).collect();
        // A line that is there from its middle on is better than none.
        if is_cut && lines.len() > 1 {
            lines.remove(0);
        }
        lines
    }
}

/// What an error tells of these lines: as many of the last ones as it has room for, without empty ones around them.
pub(crate) fn shown(lines: &[String]) -> String {
    let mut room = TAIL_BYTES;
    let fits = |line: &&String| {
        let left = room.checked_sub(line.len() + 1);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let count = lines.iter().rev().take(TAIL_LINES).take_while(fits).count();
    match lines.last() {
        Some(long) if count == 0 => {
            let end = long.char_indices().map(|(at, _)| at).take_while(|at| *at <= TAIL_BYTES - 3).last().unwrap_or(0);
            format!("{}…", &long[..end])
        }
        _ => {
            let kept = &lines[lines.len() - count..];
            let empty = kept.iter().take_while(|line| line.trim().is_empty()).count();
            kept[empty..].join("\n").trim_end().to_owned()
        }
    }
}

/// The end of what is written to stdout or stderr where that is a file, and nobody looks at it on its way.
#[derive(Debug)]
pub(crate) struct FileTail {
    file: File,
    /// How long it was.
    before: u64,
}

impl FileTail {
    /// None if it is no file, or one that must not be read.
    pub(crate) fn of(stream: BorrowedFd<'_>) -> Option<Self> {
        let stat = rustix::fs::fstat(stream).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let file = File::open(format!("/proc/self/fd/{}", stream.as_raw_fd())).ok()?;
        Some(Self { file, before: stat.st_size as u64 })
    }

    /// The end of what was written since then.
    pub(crate) fn take(&mut self) -> Tail {
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        let from = self.before.max(length.saturating_sub(TAIL_RAW as u64));
        let mut bytes = vec![0; length.saturating_sub(from) as usize];
        if self.file.read_exact_at(&mut bytes, from).is_err() {
            bytes.clear();
        }
        let tail = Tail { bytes, is_cut: from > self.before };
        self.before = length;
        tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_in_lines_and_bytes() {
        let mut tail = Tail::default();
        (0..100).for_each(|number| tail.push(format!("line {number}\n").as_bytes()));
        let text = shown(&tail.take(&Secrets::default()));
        assert!(text.starts_with("line 80\n") && text.ends_with("\nline 99"), "{text}");
        assert_eq!(shown(&tail.take(&Secrets::default())), "");
        for (line, lines) in [("x".repeat(1_000), 4), ("ü".repeat(100_000), 1), ("\x1b[31m".repeat(10_000) + "red", 1)] {
            (0..10).for_each(|_| tail.push((line.clone() + "\n").as_bytes()));
            let text = shown(&tail.take(&Secrets::default()));
            assert!(text.len() <= TAIL_BYTES && text.lines().count() == lines, "{text}");
        }
    }
}
