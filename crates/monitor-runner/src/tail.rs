//! Keeps the last lines of a command's output, for the error message of a failed command.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FileType;

use crate::lines::text_of;
use crate::secrets::Secrets;
use crate::why::{self, Stream, Why};

/// Limits on the lines that an error contains.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4 << 10;
/// Number of bytes kept per stream, with colors and overwritten text. Enough to find the line with the reason.
const TAIL_RAW: usize = 16 << 10;

/// Ends of a command's output streams.
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

/// Last lines of a command at the end of an attempt.
#[derive(Debug, Default)]
pub(crate) struct Said(Vec<(Stream, Vec<String>)>);

impl Said {
    /// Consumes the ends of streams that went through the launcher, and those that the command wrote directly to `files`. Secrets are
    /// masked, because such files contain them.
    pub(crate) fn take(tails: &Tails, files: Vec<(Stream, Tail)>, secrets: &Secrets) -> Self {
        let mut said: Vec<_> = [Stream::Errors, Stream::Output].map(|stream| (stream, std::mem::take(&mut *tails.of(stream)))).into();
        said.extend(files);
        said.retain(|(_, tail)| !tail.is_empty());
        said.sort_by_key(|(stream, _)| *stream == Stream::Output);
        Self(said.into_iter().map(|(stream, mut tail)| (stream, tail.take(secrets))).collect())
    }

    /// Returns the line that explains the failure best.
    pub(crate) fn why(&self) -> Option<Why> {
        why::find(&self.0.iter().map(|(stream, lines)| (*stream, &lines[..])).collect::<Vec<_>>())
    }

    /// Returns the last lines of stderr, or of stdout if stderr is empty. If `why` is set, returns those of the stream that contains it.
    pub(crate) fn tail(&self, why: Option<&Why>) -> Option<String> {
        let tails: Vec<String> = self.0.iter().map(|(_, lines)| shown(lines)).collect();
        let has_why = |tail: &&String| why.is_some_and(|why| tail.contains(&why.line));
        let tail = tails.iter().find(has_why).or(tails.first())?;
        // A single line that equals `why` adds no information.
        Some(tail.clone()).filter(|tail| why.is_none_or(|why| tail.trim() != why.line))
    }
}

/// End of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// True if earlier bytes were dropped.
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

    /// Returns true if the stream contains only whitespace.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }

    /// Marks a gap: bytes were passed on without being read, so the bytes before them are not the end any more.
    pub(crate) fn skip(&mut self) {
        self.bytes.clear();
        self.is_cut = true;
    }

    /// Consumes the end and returns its lines as displayed on a terminal, with secrets masked.
    pub(crate) fn take(&mut self, secrets: &Secrets) -> Vec<String> {
        let Self { bytes, is_cut } = std::mem::take(self);
        let bytes = secrets.mask_bytes(bytes, is_cut);
        // Removing colors from a line can join the parts of a value, so the line is masked again.
        let line = |line| secrets.mask(text_of(line));
        let mut lines: Vec<String> = bytes.trim_ascii_end().split(|byte| *byte == b'\n').map(line).collect();
        // Keep an incomplete line if it is the only line.
        if is_cut && lines.len() > 1 {
            lines.remove(0);
        }
        lines
    }
}

/// Returns the last lines that fit into an error message, without surrounding empty lines.
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

/// End of stdout or stderr if that is a file, which the command writes directly, during one attempt. Between attempts, other programs may
/// append to the same file.
#[derive(Debug)]
pub(crate) struct FileTail {
    file: File,
    /// Length of the file at the start of the attempt.
    before: u64,
}

impl FileTail {
    /// Returns `None` for anything but a readable regular file.
    pub(crate) fn of(stream: BorrowedFd<'_>) -> Option<Self> {
        let stat = rustix::fs::fstat(stream).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let file = File::open(format!("/proc/self/fd/{}", stream.as_raw_fd())).ok()?;
        Some(Self { file, before: stat.st_size as u64 })
    }

    /// Returns the end of the bytes written since the start.
    pub(crate) fn end(self) -> Tail {
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        let from = self.before.max(length.saturating_sub(TAIL_RAW as u64));
        let mut bytes = vec![0; length.saturating_sub(from) as usize];
        if self.file.read_exact_at(&mut bytes, from).is_err() {
            bytes.clear();
        }
        Tail { bytes, is_cut: from > self.before }
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
