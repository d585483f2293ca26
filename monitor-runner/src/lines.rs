//! Output as lines: each a log of the process, as many as the server can do with; the last ones of stderr for its error.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::fs::FileType;

use crate::record::Record;

/// A longer line is cut.
const LONGEST_LINE: usize = 8 << 10;
/// Lines and bytes that are logged at once, and that many more a second.
const BURST: (f64, f64) = (10_000.0, (4 << 20) as f64);
const RATE: (f64, f64) = (1_000.0, (1 << 20) as f64);
/// What an error tells of stderr.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4 << 10;

/// Takes what one stream says.
#[derive(Debug)]
pub(crate) struct Sink {
    stream: &'static str,
    record: Arc<Record>,
    budget: Budget,
    /// The line that is not over yet, up to its bound, and what is beyond.
    line: Vec<u8>,
    beyond: u64,
    /// The rest of a line whose beginning nobody has seen is nothing to be logged.
    is_torn: bool,
    tail: Option<Arc<Mutex<Tail>>>,
}

impl Sink {
    pub(crate) fn new(stream: &'static str, record: Arc<Record>, tail: Option<Arc<Mutex<Tail>>>) -> Self {
        Self { stream, record, budget: Budget::new(), line: Vec::new(), beyond: 0, is_torn: false, tail }
    }

    /// Takes what was written.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.record.count_output(bytes.len() as u64);
        self.record.to_file(bytes);
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.grow(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.grow(rest);
    }

    /// Whether nothing would be done with what comes next, so that nobody needs to look at it.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.tail.is_none() && self.record.is_file_idle() && self.budget.is_used_up()
    }

    /// So many bytes went by unseen.
    pub(crate) fn pass(&mut self, bytes: u64) {
        self.record.count_output(bytes);
        self.record.skip_in_file(bytes);
        self.record.count_cut(bytes + self.line.len() as u64 + self.beyond);
        self.line.clear();
        self.beyond = 0;
        self.is_torn = true;
    }

    /// Nothing more comes: what stands without an end is a line too.
    pub(crate) fn finish(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.is_torn = false;
    }

    fn grow(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE - self.line.len();
        let fits = room.min(bytes.len());
        self.line.extend_from_slice(&bytes[..fits]);
        self.beyond += (bytes.len() - fits) as u64;
    }

    fn end_line(&mut self) {
        let (line, beyond) = (std::mem::take(&mut self.line), std::mem::take(&mut self.beyond));
        if let Some(tail) = &self.tail {
            tail.lock().unwrap_or_else(PoisonError::into_inner).push(text_of(&line));
        }
        if std::mem::take(&mut self.is_torn) || !self.budget.take(line.len()) {
            return self.record.count_cut(line.len() as u64 + beyond);
        }
        let mut text = text_of(&line);
        if beyond > 0 {
            self.record.count_cut(beyond);
            let _ = write!(text, "… ({beyond} bytes cut)");
        }
        self.record.log(self.stream, text);
        // Its memory is used again.
        self.line = line;
        self.line.clear();
    }
}

/// What a person would have seen of a line at the end: without colours, and without what was overwritten.
fn text_of(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let stripped = anstream::adapter::strip_str(&text).to_string();
    let shown = stripped.strip_suffix('\r').unwrap_or(&stripped);
    shown.rsplit('\r').next().unwrap_or(shown).to_owned()
}

/// How many lines may still be logged.
#[derive(Debug)]
struct Budget {
    lines: f64,
    bytes: f64,
    filled: Instant,
}

impl Budget {
    fn new() -> Self {
        Self { lines: BURST.0, bytes: BURST.1, filled: Instant::now() }
    }

    fn take(&mut self, bytes: usize) -> bool {
        if self.is_used_up() {
            return false;
        }
        self.lines -= 1.0;
        self.bytes -= bytes as f64;
        true
    }

    fn is_used_up(&mut self) -> bool {
        if self.lines < 1.0 || self.bytes < 0.0 {
            let seconds = self.filled.elapsed().as_secs_f64();
            // Not for each line that comes: only when it is worth looking again.
            if seconds < 0.5 {
                return true;
            }
        }
        let seconds = self.filled.elapsed().as_secs_f64();
        if seconds > 0.5 {
            self.filled = Instant::now();
            self.lines = (self.lines + RATE.0 * seconds).min(BURST.0);
            self.bytes = (self.bytes + RATE.1 * seconds).min(BURST.1);
        }
        self.lines < 1.0 || self.bytes < 0.0
    }
}

/// The last lines of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > TAIL_LINES || (self.bytes > TAIL_BYTES && self.lines.len() > 1) {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }

    /// All of it, which is forgotten.
    pub(crate) fn take(&mut self) -> String {
        let lines: Vec<String> = std::mem::take(self).lines.into();
        lines.join("\n").trim().to_owned()
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
        let mut tail = Tail::default();
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        let from = self.before.max(length.saturating_sub(TAIL_BYTES as u64));
        let mut text = vec![0; length.saturating_sub(from) as usize];
        if self.file.read_exact_at(&mut text, from).is_ok() {
            text.split(|byte| *byte == b'\n').for_each(|line| tail.push(text_of(line)));
        }
        self.before = length;
        tail.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_was_to_be_seen_at_the_end() {
        for (line, expected) in [
            (&b"\x1b[1;31mred\x1b[0m end\r"[..], "red end"),
            (b"10 %\r50 %\r100 %", "100 %"),
            (b"\xff\xfe caf\xc3\xa9", "\u{fffd}\u{fffd} café"),
            (b"", ""),
        ] {
            assert_eq!(text_of(line), expected);
        }
    }

    #[test]
    fn the_tail_is_bounded_in_lines_and_bytes() {
        let mut tail = Tail::default();
        (0..100).for_each(|number| tail.push(format!("line {number}")));
        let text = tail.take();
        assert!(text.starts_with("line 80\n") && text.ends_with("\nline 99"), "{text}");
        (0..10).for_each(|_| tail.push("x".repeat(1_000)));
        assert!(tail.take().len() <= TAIL_BYTES);
    }

    #[test]
    fn a_flood_uses_up_what_may_be_logged() {
        let mut budget = Budget::new();
        assert_eq!((0..20_000).filter(|_| budget.take(10)).count(), 10_000);
        let mut budget = Budget::new();
        assert!((0..20_000).filter(|_| budget.take(8_000)).count() < 600);
    }
}
