//! JUnit's XML, in the form that Jenkins, GitLab and GitHub actions read.
//!
//! A process named `tests of NAME`, as `cargo monitor test` records each program of tests, is a suite, and each of its children is a test case.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use jiff::Timestamp;
use monitor_store::{Outline, Standing};
use monitor_wire::{LogEntry, Process, ProcessId, State, Worker};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::Form;

/// Beginning of the name of a program of tests.
const SUITE: &str = "tests of ";
/// Maximum size of an output stream in a test case.
const MAX_STREAM_BYTES: usize = 64 << 10;
/// Maximum size of all output in the document.
const MAX_OUTPUT_BYTES: usize = 16 << 20;

/// The document, which is written at the end, because each suite begins with its counts.
#[derive(Default)]
pub(super) struct Junit {
    title: String,
    suites: Vec<Suite>,
    /// Depth of the suite that the next processes may belong to.
    open: Option<u32>,
    /// Suite and case of each process below a suite.
    places: HashMap<ProcessId, (usize, usize)>,
    output_bytes: usize,
}

/// A program of tests.
struct Suite {
    name: String,
    started_us: Option<u64>,
    elapsed_ns: u64,
    cases: Vec<Case>,
}

/// A test.
struct Case {
    name: String,
    elapsed_ns: u64,
    result: Outcome,
    out: Stream,
    err: Stream,
}

/// An output stream of a test.
#[derive(Default)]
struct Stream {
    text: String,
    is_cut: bool,
}

/// The outcome of a test, as an element of the form.
enum Outcome {
    Passed,
    /// Name of the element, with its type, message and text.
    Other(&'static str, String, String, String),
}

impl Outcome {
    fn of(process: &Process) -> Self {
        let state = process.state.as_str().to_owned();
        let element = match &process.state {
            state if *state == State::SUCCEEDED => return Self::Passed,
            state if *state == State::FAILED => "failure",
            state if *state == State::LOST => "error",
            _ => "skipped",
        };
        let Some(error) = &process.error else {
            let message = process.reason.clone().unwrap_or_else(|| state.clone());
            return Self::Other(element, state, message, String::new());
        };
        let mut text = error.message.clone();
        for cause in &error.chain {
            let _ = write!(text, "\ncaused by: {cause}");
        }
        if let Some(source) = error.source.as_ref().or(process.source.as_ref()) {
            let _ = write!(text, "\nat {}:{}", source.file, source.line);
        }
        if let Some(tail) = &error.tail {
            let _ = write!(text, "\n{tail}");
        }
        let message = error.message.lines().next().unwrap_or_default().to_owned();
        Self::Other(element, error.type_name.clone().unwrap_or_else(|| error.kind.as_str().to_owned()), message, text)
    }

    fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Other(element, ..) if *element == wanted)
    }
}

impl Stream {
    /// Adds a line, unless the stream or the document is full; returns the bytes added.
    fn add(&mut self, line: &str, free: usize) -> usize {
        if self.is_cut || self.text.len() + line.len() >= MAX_STREAM_BYTES || line.len() >= free {
            self.is_cut = true;
            return 0;
        }
        self.text.push_str(line);
        self.text.push('\n');
        line.len() + 1
    }

    fn write(&self, element: &str, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        if self.text.is_empty() && !self.is_cut {
            return Ok(());
        }
        let mut text = legal(&self.text, true);
        if self.is_cut {
            text.push_str("… the rest is left out: see the log of the process\n");
        }
        writer.create_element(element).write_text_content(BytesText::new(&text))?;
        Ok(())
    }
}

impl Suite {
    fn count(&self, element: &str) -> usize {
        self.cases.iter().filter(|case| case.result.is(element)).count()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let began = self.started_us.and_then(|time| Timestamp::from_microsecond(i64::try_from(time).ok()?).ok());
        let name = legal(&self.name, false);
        let mut suite = writer.create_element("testsuite").with_attributes([
            ("name", name.as_str()),
            ("tests", &self.cases.len().to_string()),
            ("failures", &self.count("failure").to_string()),
            ("errors", &self.count("error").to_string()),
            ("skipped", &self.count("skipped").to_string()),
            ("time", &seconds(self.elapsed_ns)),
        ]);
        if let Some(began) = began {
            suite = suite.with_attribute(("timestamp", began.strftime("%Y-%m-%dT%H:%M:%S").to_string().as_str()));
        }
        suite.write_inner_content(|writer| self.cases.iter().try_for_each(|case| case.write(&name, writer)))?;
        Ok(())
    }
}

impl Case {
    fn write(&self, suite: &str, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let element = writer.create_element("testcase").with_attributes([
            ("name", legal(&self.name, false).as_str()),
            ("classname", suite),
            ("time", &seconds(self.elapsed_ns)),
        ]);
        element.write_inner_content(|writer| {
            if let Outcome::Other(element, type_name, message, text) = &self.result {
                let attributes = [("message", legal(message, false)), ("type", legal(type_name, false))];
                let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
                let element = writer.create_element(*element).with_attributes(attributes);
                element.write_text_content(BytesText::new(&legal(text, true)))?;
            }
            self.out.write("system-out", writer)?;
            self.err.write("system-err", writer)
        })?;
        Ok(())
    }
}

impl Junit {
    fn document(&self) -> io::Result<Vec<u8>> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 1);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let count = |element| self.suites.iter().map(|suite| suite.count(element)).sum::<usize>().to_string();
        let suites = writer.create_element("testsuites").with_attributes([
            ("name", legal(&self.title, false).as_str()),
            ("tests", &self.suites.iter().map(|suite| suite.cases.len()).sum::<usize>().to_string()),
            ("failures", &count("failure")),
            ("errors", &count("error")),
            ("time", &seconds(self.suites.iter().map(|suite| suite.elapsed_ns).sum())),
        ]);
        suites.write_inner_content(|writer| self.suites.iter().try_for_each(|suite| suite.write(writer)))?;
        Ok(writer.into_inner())
    }
}

impl Form for Junit {
    fn begin(&mut self, outline: &Outline) -> String {
        self.title.clone_from(&outline.root.title);
        String::new()
    }

    fn worker(&mut self, _: &Worker) -> String {
        String::new()
    }

    fn process(&mut self, process: &Process, standing: Standing) -> String {
        let depth = standing.depth;
        if self.open.is_none_or(|open| depth <= open) {
            self.open = process.name.strip_prefix(SUITE).map(|name| {
                let name = name.to_owned();
                self.suites.push(Suite { name, started_us: process.started_us, elapsed_ns: elapsed(process), cases: Vec::new() });
                depth
            });
            return String::new();
        }
        let (Some(open), Some(index)) = (self.open, self.suites.len().checked_sub(1)) else { return String::new() };
        let cases = &mut self.suites[index].cases;
        if depth == open + 1 && !standing.is_orphan {
            let (name, result) = (process.name.clone(), Outcome::of(process));
            cases.push(Case { name, elapsed_ns: elapsed(process), result, out: Stream::default(), err: Stream::default() });
        }
        if let Some(case) = cases.len().checked_sub(1) {
            self.places.insert(process.id, (index, case));
        }
        String::new()
    }

    fn logs(&mut self) -> String {
        String::new()
    }

    fn log(&mut self, entry: &LogEntry) -> String {
        if let Some((suite, case)) = self.places.get(&entry.process_id) {
            let case = &mut self.suites[*suite].cases[*case];
            let free = MAX_OUTPUT_BYTES.saturating_sub(self.output_bytes);
            self.output_bytes += match entry.stream.as_deref() {
                Some("stderr") => case.err.add(&entry.message, free),
                Some(_) => case.out.add(&entry.message, free),
                None => case.out.add(&format!("{} {}", entry.level.to_uppercase(), entry.message), free),
            };
        }
        String::new()
    }

    fn end(&mut self) -> String {
        let document = self.document().expect("memory takes all");
        let mut text = String::from_utf8(document).expect("text is UTF-8");
        text.push('\n');
        text
    }
}

fn elapsed(process: &Process) -> u64 {
    process.elapsed_ns.or(process.fold.as_ref().map(|fold| fold.total_ns)).unwrap_or(0)
}

fn seconds(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000)
}

/// Replaces control characters by visible ones, because XML forbids most of them. Line ends and tabs are kept if `are_lines`.
fn legal(text: &str, are_lines: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' if are_lines => shown.push(c),
            // The pictures of these characters are in the same order.
            '\0'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => shown.push('\u{2421}'),
            '\u{fffe}' | '\u{ffff}' => shown.push('\u{fffd}'),
            _ if c.is_control() => {
                let _ = write!(shown, "<U+{:04X}>", u32::from(c));
            }
            _ => shown.push(c),
        }
    }
    shown
}
