//! The last lines of stderr, for the error of a command that failed.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::FileType;

use crate::lines::text_of;

/// What an error tells of stderr.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4 << 10;
/// What is kept of stderr for that, with colours and all that was overwritten.
const TAIL_RAW: usize = 16 << 10;

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

    /// The last lines of it, which is forgotten.
    pub(crate) fn take(&mut self) -> String {
        let Self { bytes, is_cut } = std::mem::take(self);
        let lines: Vec<String> = bytes.trim_ascii_end().split(|byte| *byte == b'\n').map(text_of).collect();
        // A line that is there from its middle on is better than none.
        let whole = if is_cut && lines.len() > 1 { &lines[1..] } else { &lines[..] };
        let mut room = TAIL_BYTES;
        let fits = |line: &&String| {
            let left = room.checked_sub(line.len() + 1);
            room = left.unwrap_or(0);
            left.is_some()
        };
        let count = whole.iter().rev().take(TAIL_LINES).take_while(fits).count();
        match whole.last() {
            Some(long) if count == 0 => {
                let end = long.char_indices().map(|(at, _)| at).take_while(|at| *at <= TAIL_BYTES - 3).last().unwrap_or(0);
                format!("{}…", &long[..end])
            }
            _ => whole[whole.len() - count..].join("\n").trim().to_owned(),
        }
    }
}

/// The end of what is written to stderr where that is a file, and nobody looks at it on its way.
#[derive(Debug)]
pub(crate) struct FileTail {
    file: File,
    /// How long it was.
    before: u64,
}

impl FileTail {
    /// None if stderr is no file, or one that must not be read.
    pub(crate) fn of_stderr() -> Option<Self> {
        let stderr = rustix::fs::fstat(rustix::stdio::stderr()).ok()?;
        if FileType::from_raw_mode(stderr.st_mode) != FileType::RegularFile {
            return None;
        }
        Some(Self { file: File::open("/proc/self/fd/2").ok()?, before: stderr.st_size as u64 })
    }

    /// The last lines that were written since then.
    pub(crate) fn take(&mut self) -> String {
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        let from = self.before.max(length.saturating_sub(TAIL_RAW as u64));
        let mut bytes = vec![0; length.saturating_sub(from) as usize];
        if self.file.read_exact_at(&mut bytes, from).is_err() {
            bytes.clear();
        }
        let mut tail = Tail { bytes, is_cut: from > self.before };
        self.before = length;
        tail.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_in_lines_and_bytes() {
        let mut tail = Tail::default();
        (0..100).for_each(|number| tail.push(format!("line {number}\n").as_bytes()));
        let text = tail.take();
        assert!(text.starts_with("line 80\n") && text.ends_with("\nline 99"), "{text}");
        assert_eq!(tail.take(), "");
        for (line, lines) in [("x".repeat(1_000), 4), ("ü".repeat(100_000), 1), ("\x1b[31m".repeat(10_000) + "red", 1)] {
            (0..10).for_each(|_| tail.push((line.clone() + "\n").as_bytes()));
            let text = tail.take();
            assert!(text.len() <= TAIL_BYTES && text.lines().count() == lines, "{text}");
        }
    }
}
