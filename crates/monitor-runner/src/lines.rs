//! Splits output into lines. Each line becomes a log of the process, up to a rate that the server can handle.

use std::fmt::Write as _;
use std::time::Instant;

use memchr::memchr;

/// Maximum length of a line, in bytes. Longer lines are cut.
const LONGEST_LINE: usize = 8 << 10;
/// Length of an unfinished line, in bytes, beyond which searching for its end counts against the budget.
const ENDLESS: u64 = 1 << 20;
/// Number of lines and bytes that can be logged at once; `RATE` is the refill per second.
const BURST: (f64, f64) = (10_000.0, (4 << 20) as f64);
const RATE: (f64, f64) = (1_000.0, (1 << 20) as f64);

/// Splits a stream into lines within a budget.
#[derive(Debug)]
pub(crate) struct Lines {
    budget: Budget,
    /// Unfinished line up to [`LONGEST_LINE`], and the number of bytes beyond that.
    line: Vec<u8>,
    beyond: u64,
    /// True if the beginning of the current line was skipped. Its rest is not logged.
    is_torn: bool,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self::by(Instant::now)
    }

    fn by(now: fn() -> Instant) -> Self {
        Self { budget: Budget { lines: BURST.0, bytes: BURST.1, filled: now(), now }, line: Vec::new(), beyond: 0, is_torn: false }
    }

    /// Adds output and calls `log` for each complete line. Returns the number of bytes that were not logged.
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

    /// Returns true if the budget is used up, so that output does not need to be read.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.budget.is_used_up()
    }

    /// Skips bytes that were not read. Returns the number of bytes that are not logged.
    pub(crate) fn skip(&mut self, bytes: u64) -> u64 {
        let line = std::mem::take(&mut self.line);
        self.is_torn = true;
        bytes + line.len() as u64 + std::mem::take(&mut self.beyond)
    }

    /// Ends the stream. An unfinished line is logged, too.
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
        // Reuse its memory.
        line.clear();
        self.line = line;
        cut
    }
}

/// Returns the final appearance of a line on a terminal: without colors and without overwritten text.
pub(crate) fn text_of(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let stripped = anstream::adapter::strip_str(&text).to_string();
    let shown = stripped.strip_suffix('\r').unwrap_or(&stripped);
    shown.rsplit('\r').next().unwrap_or(shown).to_owned()
}

/// Budget of lines and bytes to log.
#[derive(Debug)]
struct Budget {
    lines: f64,
    bytes: f64,
    filled: Instant,
    now: fn() -> Instant,
}

impl Budget {
    /// Spends one line of `bytes`.
    fn take(&mut self, bytes: usize) {
        self.lines -= 1.0;
        self.spend(bytes as u64);
    }

    /// Spends bytes that were scanned.
    fn spend(&mut self, bytes: u64) {
        self.bytes -= bytes as f64;
    }

    fn is_used_up(&mut self) -> bool {
        if self.lines < 1.0 || self.bytes < 0.0 {
            let seconds = ((self.now)() - self.filled).as_secs_f64();
            // Limits how often the clock is read while the budget is used up.
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
    fn a_line_is_the_text_visible_at_its_end() {
        for (line, expected) in [
            (&b"\x1b[1;31mred\x1b[0m end\r"[..], "red end"),
            (b"10 %\r50 %\r100 %", "100 %"),
            (b"\xff\xfe caf\xc3\xa9", "\u{fffd}\u{fffd} café"),
            (b"", ""),
        ] {
            assert_eq!(text_of(line), expected);
        }
    }

    /// A stopped clock, so that the budget is not refilled.
    fn still() -> Instant {
        static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
        *NOW
    }

    /// Returns the logged lines of these pieces, and the number of bytes that were not logged.
    fn lines(pieces: &[&[u8]]) -> (Vec<String>, u64) {
        let (mut lines, mut logged) = (Lines::by(still), Vec::new());
        let mut cut: u64 = pieces.iter().map(|piece| lines.feed(piece, &mut |line| logged.push(line))).sum();
        cut += lines.finish(&mut |line| logged.push(line));
        (logged, cut)
    }

    #[test]
    fn lines_are_the_same_however_they_are_split() {
        for pieces in [&[&b"one\n\ntwo\nno end"[..]][..], &[b"on", b"e\n", b"\nt", b"wo", b"\nno ", b"end"]] {
            let expected = ["one", "", "two", "no end"].map(str::to_owned).to_vec();
            assert_eq!(lines(pieces), (expected, 0));
        }
    }

    #[test]
    fn a_long_line_is_cut_and_counted_and_an_endless_line_is_skipped() {
        let (logged, cut) = lines(&[&[b'x'; 8_000], &[b'x'; 12_000], b"\nnext\n"]);
        assert!(logged[0].ends_with("x… (11808 bytes cut)") && logged[1] == "next", "{logged:?}");
        assert_eq!(cut, 11_808);
        // The line after the overlong line is logged.
        let (endless, zeros) = (vec![b'x'; 1 << 18], (20 << 18) + 4);
        let pieces: Vec<&[u8]> = std::iter::repeat_n(&endless[..], 8).chain([&b"end\nnext\n"[..]]).collect();
        let (logged, cut) = lines(&pieces);
        assert!(logged.len() == 2 && logged[0].contains("bytes cut") && logged[1] == "next", "{}", logged.len());
        assert_eq!(cut, (8 << 18) + 3 - (8 << 10));
        // Scanning an overlong line uses up the budget.
        let pieces: Vec<&[u8]> = std::iter::repeat_n(&endless[..], 20).chain([&b"end\n"[..]]).collect();
        let (logged, cut) = lines(&pieces);
        assert_eq!((logged.len(), cut), (1, zeros - (8 << 10)));
    }

    #[test]
    fn a_flood_exhausts_the_log_budget_and_every_byte_is_counted() {
        let (logged, cut) = lines(&[&b"y\n".repeat(20_000)]);
        assert_eq!((logged.len(), cut), (10_000, 20_000));
        let line = [&[b'y'; 7_999][..], b"\n"].concat();
        let (logged, cut) = lines(&[&line.repeat(2_000)]);
        assert!((500..600).contains(&logged.len()), "{}", logged.len());
        assert_eq!(cut, (2_000 - logged.len() as u64) * 8_000);
    }

    #[test]
    fn skipped_output_discards_the_lines_that_it_breaks() {
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
