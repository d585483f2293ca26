//! A summary as text for a terminal, and as Markdown that is safe wherever it is shown.
//!
//! In Markdown, all recorded text is in code spans and code blocks, which contain no markup, links, mentions or HTML. A span or block begins
//! with more backticks than the text has in a row.

use super::comparison::{Comparison, Named};
use super::{Failed, Summary};
use crate::text::{bytes, counted, duration, elapsed, ended_by, error_line, glyph, moment, one_line, visible};

/// Maximum size of a summary.
const MAX_BYTES: usize = 60_000;
/// Reserved for the end of the text: the size of omitted parts, and the link.
const END_BYTES: usize = 3_000;
/// Maximum number of characters of a name, and of a reason.
const LONGEST_NAME: usize = 200;
const LONGEST_REASON: usize = 1_500;
/// Processes that are shown at the beginning and at the end of a failing path.
const PATH_ENDS: (usize, usize) = (4, 8);
/// Causes of an error that are shown.
const CAUSES: usize = 5;

/// The form of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Markdown,
}

/// Renders a summary in at most 60,000 bytes.
pub(crate) fn render(summary: &Summary<'_>, form: Form) -> String {
    let root = summary.root;
    let took = elapsed(&root.state, root.elapsed_ns, root.started_us, summary.now_us);
    let took = if took.is_empty() { took } else { format!(" in {took}") };
    let state = form.word(root.state.as_str());
    let mut writer = Writer::new(form);
    writer.heading(&format!("{} {}: {state}{took}", glyph(&root.state), form.name(&root.title)));
    let number = counted(root.counts.total(), "process");
    let began = root.started_us.map(|time| format!(", started at {}", moment(time))).unwrap_or_default();
    writer.line(&format!("{number}{began}"));
    if let Some(error) = &root.error {
        writer.line(&format!("Reason: {}{}", form.reason(&error_line(error)), behind(&ended_by(error))));
    }
    path(&mut writer, &summary.failing_path);
    if !summary.slowest.is_empty() {
        writer.subheading("Slowest steps");
        for step in &summary.slowest {
            writer.item(0, &format!("{} {}, {:.0} %", form.name(step.name), duration(step.own_ns), step.share * 100.0));
        }
    }
    if let Some(comparison) = &summary.last_good {
        compared(&mut writer, comparison);
    }
    writer.finish(summary.url.as_deref())
}

/// Renders a summary of a run that is only known by its end.
pub(crate) fn bare(name: &str, is_success: bool, outcome: &str, reason: Option<&str>) -> String {
    let form = Form::Markdown;
    let (glyph, state) = if is_success { ("✓", "succeeded") } else { ("✗", "failed") };
    let mut writer = Writer::new(form);
    writer.heading(&format!("{glyph} {}: {state}, {}", form.name(name), form.reason(outcome)));
    if let Some(reason) = reason {
        writer.line(&format!("Reason: {}", form.reason(reason)));
    }
    writer.finish(None)
}

fn path(writer: &mut Writer, path: &[Failed<'_>]) {
    if path.is_empty() {
        return;
    }
    let form = writer.form;
    writer.subheading("Failing path");
    let hidden = path.len().saturating_sub(PATH_ENDS.0 + PATH_ENDS.1);
    let shown = path.iter().take(if hidden > 0 { PATH_ENDS.0 } else { path.len() });
    let last = path.iter().skip(if hidden > 0 { path.len() - PATH_ENDS.1 } else { path.len() });
    for (level, failed) in shown.chain(last).enumerate() {
        if hidden > 0 && level == PATH_ENDS.0 {
            writer.item(level, &format!("… {hidden} processes more …"));
        }
        let level = level + usize::from(hidden > 0 && level >= PATH_ENDS.0);
        let reason = match (failed.error, failed.reason) {
            (Some(error), _) => format!(": {}{}", form.reason(&error.message), behind(&ended_by(error))),
            (None, Some(reason)) => format!(": {}", form.reason(reason)),
            (None, None) => String::new(),
        };
        let place = failed.place.as_ref().map(|place| format!(" at {}", form.name(place))).unwrap_or_default();
        writer.item(level, &format!("{} {}{reason}{place}", form.name(failed.name), form.word(failed.state.as_str())));
        let causes = failed.error.map_or(&[][..], |error| &error.chain);
        for cause in causes.iter().take(CAUSES) {
            writer.item(level + 1, &format!("caused by {}", form.reason(cause)));
        }
        if causes.len() > CAUSES {
            writer.item(level + 1, &format!("and {} causes more", causes.len() - CAUSES));
        }
    }
    if let Some(tail) = path.iter().rev().find_map(|failed| failed.error?.tail.as_deref()) {
        writer.blank();
        writer.line("Last output:");
        writer.block(tail);
    }
}

fn compared(writer: &mut Writer, comparison: &Comparison<'_>) {
    let form = writer.form;
    let Comparison { root, elapsed_ns, failing, slower, missing } = comparison;
    writer.subheading("Compared with the last good run");
    writer.line(&format!("{}, which took {}", form.name(&root.title), duration(*elapsed_ns)));
    let times = |times: usize| if times > 1 { format!(" ({times} times)") } else { String::new() };
    let names = |steps: &[Named<'_>]| {
        let shown = steps.iter().map(|step| format!("{}{}", form.name(step.name), times(step.times)));
        shown.collect::<Vec<_>>()
    };
    let slow = slower
        .first
        .iter()
        .map(|step| format!("{} {} instead of {}", form.name(step.name), duration(step.elapsed_ns), duration(step.before_ns)));
    let lists = [
        ("New failures", names(&failing.first), failing.count),
        ("Slower", slow.collect(), slower.count),
        ("Not started", names(&missing.first), missing.count),
    ];
    let mut is_same = true;
    for (label, shown, count) in lists.into_iter().filter(|(.., count)| *count > 0) {
        is_same = false;
        let more = if count > shown.len() { format!(" and {} more", count - shown.len()) } else { String::new() };
        writer.item(0, &format!("{label}: {}{more}", shown.join(", ")));
    }
    if is_same {
        writer.line("No new failures, slower steps or missing steps.");
    }
}

impl Form {
    /// Recorded text on one line, which has no effect but to be read.
    fn code(self, text: &str, most: usize) -> String {
        let text = visible(text);
        let text = match text.char_indices().nth(most) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.into_owned(),
        };
        if self == Self::Text {
            return text;
        }
        let fence = "`".repeat(longest_run(&text) + 1);
        let is_padded = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
        let pad = if is_padded { " " } else { "" };
        format!("{fence}{pad}{text}{pad}{fence}")
    }

    fn name(self, text: &str) -> String {
        if text.trim().is_empty() { "(no name)".to_owned() } else { self.code(text, LONGEST_NAME) }
    }

    /// An error in one line: the first and the last one.
    fn reason(self, text: &str) -> String {
        let line = one_line(text);
        if line.trim().is_empty() { "(no message)".to_owned() } else { self.code(&line, LONGEST_REASON) }
    }

    /// A state, which may be any word that a program sent.
    fn word(self, text: &str) -> String {
        if text.bytes().all(|byte| byte.is_ascii_lowercase()) && !text.is_empty() { text.to_owned() } else { self.name(text) }
    }
}

/// Our own words behind recorded text.
fn behind(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(", {text}") }
}

/// The largest number of backticks in a row.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A document with a bounded size: what does not fit is left out as a whole, and so is all that would follow.
struct Writer {
    form: Form,
    text: String,
    left_out_bytes: usize,
}

impl Writer {
    fn new(form: Form) -> Self {
        Self { form, text: String::new(), left_out_bytes: 0 }
    }

    fn push(&mut self, piece: &str) {
        if self.left_out_bytes > 0 || self.text.len() + piece.len() > MAX_BYTES - END_BYTES {
            self.left_out_bytes += piece.len();
        } else {
            self.text.push_str(piece);
        }
    }

    fn heading(&mut self, text: &str) {
        self.push(&if self.form == Form::Markdown { format!("### {text}\n\n") } else { format!("{text}\n") });
    }

    fn subheading(&mut self, text: &str) {
        self.blank();
        self.push(&if self.form == Form::Markdown { format!("#### {text}\n\n") } else { format!("{text}\n") });
    }

    /// An empty line, unless there is one.
    fn blank(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.push("\n");
        }
    }

    /// A paragraph.
    fn line(&mut self, text: &str) {
        self.push(&if self.form == Form::Markdown { format!("{text}\n\n") } else { format!("{text}\n") });
    }

    fn item(&mut self, level: usize, text: &str) {
        let indent = "  ".repeat(level);
        self.push(&if self.form == Form::Markdown { format!("{indent}- {text}\n") } else { format!("  {indent}{text}\n") });
    }

    /// Lines of output.
    fn block(&mut self, text: &str) {
        let lines: Vec<String> =
            text.lines().map(|line| visible(&line.replace('\t', "    ")).chars().take(LONGEST_REASON).collect()).collect();
        if self.form == Form::Text {
            for line in &lines {
                self.item(0, line);
            }
            return;
        }
        let fence = "`".repeat(longest_run(text).max(2) + 1);
        // A paragraph before it ends the list.
        self.push(&format!("{fence}text\n{}\n{fence}\n", lines.join("\n")));
    }

    /// Ends the text with an empty line. `END_BYTES` has room for it.
    fn blank_at_end(&mut self) {
        self.text.truncate(self.text.trim_end_matches('\n').len());
        self.text.push_str("\n\n");
    }

    fn finish(mut self, url: Option<&str>) -> String {
        if self.left_out_bytes > 0 {
            let (size, left_out) = (bytes(MAX_BYTES as u64), bytes(self.left_out_bytes as u64));
            self.blank_at_end();
            self.text.extend(["A summary has at most ", &size, ". ", &left_out, " were left out.\n"]);
        }
        if let Some(url) = url {
            let link = if self.form == Form::Markdown { format!("[Open the run](<{url}>)") } else { url.to_owned() };
            self.blank_at_end();
            self.text.extend([&link, "\n"]);
        }
        self.text
    }
}
