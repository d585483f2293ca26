//! Finds the line of a command's output that explains best why it failed.
//!
//! [`find`] tries the rules of [`RULES`] in order, each on the whole end of a stream. A tool's own error format (a traceback, a panic, a
//! compiler's message) counts on either stream. Otherwise stderr is preferred as a whole, unless it contains nothing but noise: in it the errors of
//! loggers, then lines that look like an error, then the last line. Lines that only repeat that something failed ([`NOISE`]) and those of
//! lower levels ([`QUIET`]) are removed first.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Maximum length of the result. Longer lines are cut.
const LONGEST_WHY: usize = 500;

/// The line that explains a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) line: String,
    /// Type of the error, if the line contains it.
    pub(crate) type_name: Option<String>,
}

/// Origin of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard error, alone or mixed with standard output. Its last line counts if no rule matches.
    Errors,
    /// Standard output alone. Only a line that matches a rule counts.
    Output,
}

/// An error format used by programs.
struct Rule {
    /// A regular expression over all lines. Its group `type` is the type of the error.
    pattern: &'static str,
    /// Template of the result with names of groups, see [`Captures::expand`].
    shown: &'static str,
    /// Selects the first or the last match.
    which: Which,
    strength: Strength,
}

#[derive(Debug, Clone, Copy)]
enum Which {
    First,
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// A tool's own error format.
    Strong,
    /// A line that is marked as an error.
    Marked,
    /// A line that looks like an error. It counts only near the end.
    Weak,
}

/// Number of lines at the end in which a [`Weak`] rule may match.
const NEAR_END: usize = 10;

use Strength::{Marked, Strong, Weak};
use Which::{First, Last};

#[rustfmt::skip]
const RULES: &[Rule] = &[
    // pytest's summary, which follows all tracebacks.
    Rule { pattern: r"^=+ short test summary info =+\n(?:.*\n)*?(?:FAILED|ERROR) (?<why>.*)", shown: "$why", which: First, strength: Strong },
    // A failed test in Go, with the first line of its output.
    Rule { pattern: r"^\s*--- FAIL: (?<test>\S+).*\n\s+(?<why>\S+_test\.go:\d+: .*)", shown: "$test: $why", which: First, strength: Strong },
    // The first failed test of Jest, with the first line of its reason.
    Rule { pattern: r"^\s*● (?<test>\S.*)\n\s+(?<why>\S.*)", shown: "$test: $why", which: First, strength: Strong },
    // A failed test in TAP, as Node prints it.
    Rule { pattern: r"^\s*not ok \d+ - (?<test>.*)\n(?:(?:\s+.*)?\n)*?\s+error: '?(?<why>.*?)'?$", shown: "$test: $why", which: First, strength: Strong },
    // The first error of ESLint, after the name of its file.
    Rule { pattern: r"^(?<file>\S.*)\n(?:\s+\d+:\d+\s+warning\s.*\n)*\s+(?<why>\d+:\d+\s+error\s.*)", shown: "$file:$why", which: First, strength: Strong },
    // The goal of Maven, and the task of Gradle.
    Rule { pattern: r"^\[ERROR\] (?<why>Failed to execute goal .*?)(?: -> \[Help \d+\])?$", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^\* What went wrong:\n(?<why>\S.*)", shown: "$why", which: First, strength: Strong },
    // An assertion in C.
    Rule { pattern: r"^(?<why>.*: Assertion `.*' failed\.)$", shown: "$why", which: Last, strength: Strong },
    // Python: the first unindented line after a traceback.
    Rule {
        pattern: r"^[\s+|]*(?:Exception Group )?Traceback \(most recent call last\):\n(?:[ \t].*\n)*(?<why>(?<type>[A-Za-z_][\w.]*)(?::.*)?)$",
        shown: "$why", which: Last, strength: Strong,
    },
    // A panic in Rust: place and message. The first match, because other panics may follow from it.
    Rule { pattern: r"^thread '.*?'(?: \(\d+\))? panicked at (?<place>.*):\n(?<why>.+)", shown: "panicked at $place: $why", which: First, strength: Strong },
    Rule { pattern: r"^thread '.*?' panicked at (?<why>'.*)", shown: "panicked at $why", which: First, strength: Strong },
    // A panic in Go.
    Rule { pattern: r"^(?<why>panic: .+)", shown: "$why", which: First, strength: Strong },
    // An uncaught exception in C++.
    Rule {
        pattern: r"^terminate called after throwing an instance of '(?<type>[^']+)'\n\s+what\(\):\s+(?<why>.*)",
        shown: "$type: $why", which: Last, strength: Strong,
    },
    // Exceptions of Java, JavaScript, .NET, and of Python without a traceback. The last match, because causes follow.
    Rule {
        pattern: r#"^(?:Exception in thread ".*?" |Uncaught |Unhandled exception\. |Caused by: |\s+\[cause\]: )*(?<why>(?<type>(?:[\w$]+[.:\\]+)*(?:[A-Z][\w$]*)?(?:Error|Exception))(?: \[\w+\])?(?::.*)?)$"#,
        shown: "$why", which: Last, strength: Strong,
    },
    // Ruby.
    Rule { pattern: r"^\S+:\d+:in .*?: (?<why>.*) \((?<type>[A-Z][\w:]*)\)$", shown: "$type: $why", which: First, strength: Strong },
    // PHP.
    Rule { pattern: r"^(?:PHP )?Fatal error:\s+Uncaught (?<why>(?<type>[\w\\]+): .*)", shown: "$why", which: First, strength: Strong },
    // Compilers and linkers. The first match, because other errors may follow from it.
    Rule { pattern: r"^(?<why>error(?:\[\w+\])?: .*)\n\s*--> ", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>\S.*?:\d+(?::\d+)?: (?:(?:fatal )?error: |(?:致命)?错误[：:]).*)", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>\S+(?:\(\d+,\d+\):|:\d+:\d+ -) error \w+: .*)", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>\S+\.go:\d+:\d+: .*)", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>.*: undefined reference to .*)", shown: "$why", which: First, strength: Strong },
    // `error: …`, `fatal: …`, `tool: error: …`, `Error from server: …`.
    Rule { pattern: r"^(?<why>(?:[^:\n]{1,60}: ?){0,3}(?i-u:fatal error|error|fatal)\b[^:\n]{0,60}:.*)", shown: "$why", which: Last, strength: Marked },
    Rule { pattern: r"^(?<why>(?:[^:：\n]{1,60}[:：] ?){0,3}(?:致命)?错误[:：].*)", shown: "$why", which: Last, strength: Marked },
    // Output of loggers, and of apt.
    Rule { pattern: r"^(?<why>.*\b(?:ERROR|FATAL|CRITICAL|SEVERE)\b.*)", shown: "$why", which: Last, strength: Marked },
    Rule { pattern: r"^(?<why>E: .*)", shown: "$why", which: Last, strength: Marked },
    Rule { pattern: r"(?<why>curl: \(\d+\) .*)", shown: "$why", which: Last, strength: Strong },
    Rule { pattern: r"^(?<why>npm (?:error|ERR!) \S.*)", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>g?make(?:\[\d+\])?: \*\*\* .*)", shown: "$why", which: First, strength: Strong },
    // A line with a word that indicates failure.
    Rule {
        pattern: r"^(?<why>.*\b(?i-u:failed|failure|cannot|can't|could not|couldn't|can not|denied|not found|no such|not permitted|unable to|refused|timed out|invalid|unreachable|aborted|segmentation fault|syntax error|permission denied|out of memory|no space left|does not exist|doesn't exist)\b.*)",
        shown: "$why", which: Last, strength: Weak,
    },
    Rule { pattern: r"^(?<why>.*(?:失败|无法|拒绝|超时|异常|不存在|没有那个|没有规则|未找到|找不到|权限不够|已放弃|段错误).*)", shown: "$why", which: Last, strength: Weak },
];

/// Lines without information about the cause: summaries, hints, end marks.
const NOISE: &str = r"(?x)
    ^\s*$
    | ^error:\ (could\ not\ compile|aborting\ due\ to|test\ failed|\d+\ targets?\ failed|process\ didn't\ exit\ successfully|build\ failed)
    | ^collect2:\ error | ^compilation\ terminated | ^\d+\ errors?(\ generated\.)?$ | ^BEGIN\ failed--
    | ^(g?make|ninja)(\[\d+\])?:\ (\*\*\*\ .*\ Error\ \d+|build\ stopped|Entering|Leaving)
    | ^npm\ (error|ERR!)(\ (code|errno|syscall|path|command|A\ complete\ log)\b.*|\s*)$
    | ^Node\.js\ v\d | ^(note|hint|help):\ | ^For\ more\ information\ about\ this\ error
    | ^FAIL(\s|$) | ^exit\ status\ \d+$ | ^FAILED\ \( | \b0\ (failed|failures|errors)\b
    | ^(Run|See|Try)\ '.*'\ for\ (more|help) | ^\#\ \S+$
    | ^tar:\ (Exiting\ with\ failure\ status|由于前次错误) | ^rsync\ error:\ some\ files
    | ^(?i:error\ (rate|count|ratio|budget)s?): | ^(FAILURE:\ Build\ failed|BUILD\ FAIL(ED|URE)) | ^✖\ \d+\ problems?
    | :\ line\ \d+:\s+\d+\ (Aborted|已放弃)\b | ：?第\ \d+\ 行：\d+\ 已放弃
";

/// Lines of levels below an error. They count only if there is nothing else.
const QUIET: &str =
    r"^\W{0,3}(?:[\d:.,/TZ+-]+[\s\]]+){0,3}\W{0,3}(?i-u:warn(?:ing)?|info|debug|trace|note)\b|^(?:警告|附注|信息|提示)[：:]";

/// Fields of structured log lines with the level, and with the message.
const LEVELS: [&str; 4] = ["level", "severity", "lvl", "levelname"];
const MESSAGES: [&str; 4] = ["msg", "message", "error", "err"];
/// Levels that mark an error.
const ERROR_LEVELS: [&str; 7] = ["error", "err", "fatal", "critical", "panic", "emergency", "alert"];

struct Ready {
    rules: Vec<(&'static Rule, Regex)>,
    noise: Regex,
    quiet: Regex,
    /// A pair of logfmt: its key, and its value with or without quotes.
    pair: Regex,
}

static READY: LazyLock<Ready> = LazyLock::new(|| Ready {
    rules: RULES.iter().map(|rule| (rule, Regex::new(&format!("(?m){}", rule.pattern)).expect("a test compiles every rule"))).collect(),
    noise: Regex::new(NOISE).expect("a test compiles it"),
    quiet: Regex::new(QUIET).expect("a test compiles it"),
    pair: Regex::new(r#"(?:^|\s)(?<key>\w+)=(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<bare>\S*))"#).expect("a test compiles it"),
});

/// Returns the line that explains best why a command failed, given the ends of its streams, stderr first. `None` if there is no such line.
pub(crate) fn find(streams: &[(Stream, &[String])]) -> Option<Why> {
    let meaningful: Vec<(Stream, Vec<String>)> = streams.iter().map(|(stream, lines)| (*stream, meaningful(lines))).collect();
    let strong = || meaningful.iter().find_map(|(_, lines)| by_rules(Strong, &lines.join("\n")));
    let marked =
        |lines: &[String]| lines.iter().rev().find_map(|line| structured_error(line)).or_else(|| by_rules(Marked, &lines.join("\n")));
    let weak = |lines: &[String]| by_rules(Weak, &lines[lines.len().saturating_sub(NEAR_END)..].join("\n"));
    let last =
        |stream, lines: &[String]| lines.last().filter(|_| stream == Stream::Errors).map(|line| Why { line: cut(line), type_name: None });
    let of_stream = |(stream, lines): &(Stream, Vec<String>)| marked(lines).or_else(|| weak(lines)).or_else(|| last(*stream, lines));
    let summary =
        || streams.iter().find_map(|(_, lines)| by_rules(Strong, &lines.join("\n")).or_else(|| by_rules(Marked, &lines.join("\n"))));
    let quiet =
        || streams.iter().filter(|(stream, _)| *stream == Stream::Errors).find_map(|(stream, lines)| last(*stream, &without_noise(lines)));
    strong().or_else(|| meaningful.iter().find_map(of_stream)).or_else(summary).or_else(quiet)
}

/// Returns the lines that are not noise, without the bar that some tools draw at their left.
fn without_noise(lines: &[String]) -> Vec<String> {
    let bare = lines.iter().map(|line| line.strip_prefix('│').map_or(line.as_str(), str::trim_start));
    bare.filter(|line| !READY.noise.is_match(line)).map(str::to_owned).collect()
}

/// Returns the lines that are neither noise nor of a lower level.
fn meaningful(lines: &[String]) -> Vec<String> {
    let is_quiet =
        |line: &String| READY.quiet.is_match(line) || level_of(line).is_some_and(|level| !ERROR_LEVELS.contains(&level.as_str()));
    without_noise(lines).into_iter().filter(|line| !is_quiet(line)).collect()
}

/// Returns a field of a structured log line: of a JSON object, or of logfmt.
fn field_of(line: &str, names: &[&str]) -> Option<String> {
    if line.starts_with('{') {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
        return names.iter().find_map(|name| object.get(*name)?.as_str().map(str::to_owned));
    }
    let value = |wanted: &str| {
        let found = READY.pair.captures_iter(line).find(|found| &found["key"] == wanted)?;
        let quoted = found.name("quoted").map(|text| text.as_str().replace("\\\"", "\""));
        quoted.or_else(|| Some(found.name("bare")?.as_str().to_owned()))
    };
    names.iter().find_map(|name| value(name))
}

/// Returns the level of a structured log line, in lower case.
fn level_of(line: &str) -> Option<String> {
    // Most lines have no field, and are not searched for one.
    if !line.starts_with('{') && !line.contains("l=") && !line.contains("severity=") && !line.contains("levelname=") {
        return None;
    }
    field_of(line, &LEVELS).map(|level| level.to_ascii_lowercase())
}

/// Returns the message of a structured log line whose level is an error.
fn structured_error(line: &str) -> Option<Why> {
    level_of(line).filter(|level| ERROR_LEVELS.contains(&level.as_str()))?;
    let message = field_of(line, &MESSAGES).filter(|message| !message.trim().is_empty())?;
    Some(Why { line: cut(&message), type_name: None })
}

fn by_rules(strength: Strength, text: &str) -> Option<Why> {
    READY.rules.iter().filter(|(rule, _)| rule.strength == strength).find_map(|(rule, pattern)| {
        let found: Captures<'_> = match rule.which {
            First => pattern.captures(text),
            Last => pattern.captures_iter(text).last(),
        }?;
        let mut line = String::new();
        found.expand(rule.shown, &mut line);
        let type_name = found.name("type").map(|found| found.as_str().to_owned()).filter(|name| name != "Error");
        Some(Why { line: cut(&line), type_name }).filter(|why| !why.line.is_empty())
    })
}

fn cut(line: &str) -> String {
    let line: String = line.trim().chars().map(|each| if each.is_control() { ' ' } else { each }).collect();
    match line.char_indices().nth(LONGEST_WHY) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
