//! Output as lines: each a log of the process, as many as the server can do with.

use std::fmt::Write as _;
use std::time::Instant;

use memchr::memchr;

/// A longer line is cut.
const LONGEST_LINE: usize = 8 << 10;
/// What goes on for longer without an end is not looked at for one at any cost.
const ENDLESS: u64 = 1 << 20;
/// Lines and bytes that are logged at once, and that many more a second.
const BURST: (f64, f64) = (10_000.0, (4 << 20) as f64);
const RATE: (f64, f64) = (1_000.0, (1 << 20) as f64);

/// Cuts a stream into lines, within a budget.
#[derive(Debug)]
pub(crate) struct Lines {
    budget: Budget,
    /// The line that is not over yet, up to its bound, and what is beyond.
    line: Vec<u8>,
    beyond: u64,
    /// The rest of a line whose beginning nobody has seen is nothing to be logged.
    is_torn: bool,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self::by(Instant::now)
    }

    fn by(now: fn() -> Instant) -> Self {
        Self { budget: Budget { lines: BURST.0, bytes: BURST.1, filled: now(), now }, line: Vec::new(), beyond: 0, is_torn: false }
    }

    /// Takes what was written: `log` gets each line that is over. How many bytes turned out to be no log.
    pub(crate) fn feed(&mut self, bytes: &[u8], log: &mut dyn FnMut(String)) -> u64 {
        let (mut rest, mut cut) = (bytes, 0);
        while !rest.is_empty() {
            if self.budget.is_used_up() {
                cut += self.skip(rest.len() as u64);
                self.is_torn = !rest.ends_with(b"\n");
                break;
            }
            let end = memchr(b'\n', rest);
            self.grow(&rest[..end.unwrap_or(rest.len())]);
            if self.beyond > ENDLESS {
                self.budget.spend(self.beyond);
                cut += self.end_line(log);
                self.is_torn = true;
            }
            let Some(end) = end else { break };
            cut += self.end_line(log);
            rest = &rest[end + 1..];
        }
        cut
    }

    /// Whether nothing would be logged of what comes next, so that nobody needs to look at it.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.budget.is_used_up()
    }

    /// So many bytes went by unseen; how many are no log.
    pub(crate) fn skip(&mut self, bytes: u64) -> u64 {
        let line = std::mem::take(&mut self.line);
        self.is_torn = true;
        bytes + line.len() as u64 + std::mem::take(&mut self.beyond)
    }

    /// Nothing more comes: what stands without an end is a line too.
    pub(crate) fn finish(&mut self, log: &mut dyn FnMut(String)) -> u64 {
        let cut = if self.line.is_empty() { 0 } else { self.end_line(log) };
        self.is_torn = false;
        cut
    }

    fn grow(&mut self, bytes: &[u8]) {
        let fits = (LONGEST_LINE - self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..fits]);
        self.beyond += (bytes.len() - fits) as u64;
    }

    fn end_line(&mut self, log: &mut dyn FnMut(String)) -> u64 {
        let (mut line, beyond) = (std::mem::take(&mut self.line), std::mem::take(&mut self.beyond));
        let mut cut = beyond;
        if std::mem::take(&mut self.is_torn) {
            cut += line.len() as u64;
        } else {
            self.budget.take(line.len());
            let mut text = text_of(&line);
            if beyond > 0 {
                let _ = write!(text, "… ({beyond} bytes cut)");
            }
            log(text);
        }
        // Its memory is used again.
        line.clear();
        self.line = line;
        cut
    }
}

/// What a person would have seen of a line at the end: without colours, and without what was overwritten.
pub(crate) fn text_of(line: &[u8]) -> String {
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
    now: fn() -> Instant,
}

impl Budget {
    /// A line of so many bytes is logged.
    fn take(&mut self, bytes: usize) {
        self.lines -= 1.0;
        self.spend(bytes as u64);
    }

    /// So many bytes were looked at.
    fn spend(&mut self, bytes: u64) {
        self.bytes -= bytes as f64;
    }

    fn is_used_up(&mut self) -> bool {
        if self.lines < 1.0 || self.bytes < 0.0 {
            let seconds = ((self.now)() - self.filled).as_secs_f64();
            // Not for each line that comes: only when it is worth looking again.
            if seconds < 0.5 {
                return true;
            }
        }
        let seconds = ((self.now)() - self.filled).as_secs_f64();
        if seconds > 0.5 {
            self.filled = (self.now)();
            self.lines = (self.lines + RATE.0 * seconds).min(BURST.0);
            self.bytes = (self.bytes + RATE.1 * seconds).min(BURST.1);
        }
        self.lines < 1.0 || self.bytes < 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

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

    /// Where no time passes, nothing more may be logged.
    fn still() -> Instant {
        static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
        *NOW
    }

    /// What is logged of these pieces, and how many bytes are no log.
    fn lines(pieces: &[&[u8]]) -> (Vec<String>, u64) {
        let (mut lines, mut logged) = (Lines::by(still), Vec::new());
        let mut cut: u64 = pieces.iter().map(|piece| lines.feed(piece, &mut |line| logged.push(line))).sum();
        cut += lines.finish(&mut |line| logged.push(line));
        (logged, cut)
    }

    #[test]
    fn a_line_is_one_however_it_comes() {
        for pieces in [&[&b"one\n\ntwo\nno end"[..]][..], &[b"on", b"e\n", b"\nt", b"wo", b"\nno ", b"end"]] {
            let expected = ["one", "", "two", "no end"].map(str::to_owned).to_vec();
            assert_eq!(lines(pieces), (expected, 0));
        }
    }

    #[test]
    fn a_long_line_is_cut_and_counted_and_an_endless_one_is_left() {
        let (logged, cut) = lines(&[&[b'x'; 8_000], &[b'x'; 12_000], b"\nnext\n"]);
        assert!(logged[0].ends_with("x… (11808 bytes cut)") && logged[1] == "next", "{logged:?}");
        assert_eq!(cut, 11_808);
        // What follows its newline is a line again.
        let (endless, zeros) = (vec![b'x'; 1 << 18], (20 << 18) + 4);
        let pieces: Vec<&[u8]> = std::iter::repeat_n(&endless[..], 8).chain([&b"end\nnext\n"[..]]).collect();
        let (logged, cut) = lines(&pieces);
        assert!(logged.len() == 2 && logged[0].contains("bytes cut") && logged[1] == "next", "{}", logged.len());
        assert_eq!(cut, (8 << 18) + 3 - (8 << 10));
        // It uses up what may be looked at.
        let pieces: Vec<&[u8]> = std::iter::repeat_n(&endless[..], 20).chain([&b"end\n"[..]]).collect();
        let (logged, cut) = lines(&pieces);
        assert_eq!((logged.len(), cut), (1, zeros - (8 << 10)));
    }

    #[test]
    fn a_flood_uses_up_what_may_be_logged_and_every_byte_is_counted() {
        let (logged, cut) = lines(&[&b"y\n".repeat(20_000)]);
        assert_eq!((logged.len(), cut), (10_000, 20_000));
        let line = [&[b'y'; 7_999][..], b"\n"].concat();
        let (logged, cut) = lines(&[&line.repeat(2_000)]);
        assert!((500..600).contains(&logged.len()), "{}", logged.len());
        assert_eq!(cut, (2_000 - logged.len() as u64) * 8_000);
    }

    #[test]
    fn what_was_not_seen_tears_the_line_it_ended_in() {
        let (mut lines, mut logged) = (Lines::by(still), Vec::new());
        let mut log = |line| logged.push(line);
        assert_eq!(lines.feed(b"whole\nbegun", &mut log), 0);
        assert_eq!(lines.skip(100), 105);
        assert_eq!(lines.feed(b"torn\nwhole again\n", &mut log), 4);
        assert_eq!(lines.skip(7), 7);
        assert_eq!(lines.finish(&mut log), 0);
        assert_eq!(lines.feed(b"of the next attempt\n", &mut log), 0);
        assert_eq!(logged, ["whole", "whole again", "of the next attempt"]);
    }
}
