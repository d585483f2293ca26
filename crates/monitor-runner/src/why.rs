//! Finds the line of a command's output that explains best why it failed.
//!
//! [`find`] tries the rules of [`RULES`] in order, each on the whole end of a stream. A program's own error format (a traceback, a panic, a
//! compiler's message) is preferred to a line that only looks like an error, and both to the last line. Lines that only repeat that
//! something failed are removed first ([`NOISE`]).

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
    /// A program's own error format.
    Strong,
    /// A line that looks like an error.
    Weak,
}

use Strength::{Strong, Weak};
use Which::{First, Last};

#[rustfmt::skip]
const RULES: &[Rule] = &[
    // pytest's summary, which follows all tracebacks.
    Rule { pattern: r"^=+ short test summary info =+\n(?:.*\n)*?(?:FAILED|ERROR) (?<why>.*)", shown: "$why", which: First, strength: Strong },
    // A failed test in Go, with the first line of its output.
    Rule { pattern: r"^\s*--- FAIL: (?<test>\S+).*\n\s+(?<why>\S+_test\.go:\d+: .*)", shown: "$test: $why", which: First, strength: Strong },
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
    Rule { pattern: r"^(?<why>\S.*?:\d+(?::\d+)?: (?:fatal )?error: .*)", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>\S+(?:\(\d+,\d+\):|:\d+:\d+ -) error \w+: .*)", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>\S+\.go:\d+:\d+: .*)", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>.*: undefined reference to .*)", shown: "$why", which: First, strength: Strong },
    // `error: …`, `fatal: …`, `tool: error: …`, `Error from server: …`.
    Rule { pattern: r"^(?<why>(?:[^:\n]{1,60}: ?){0,3}(?i-u:fatal error|error|fatal)\b[^:\n]{0,60}:.*)", shown: "$why", which: Last, strength: Strong },
    // Output of loggers, and of apt.
    Rule { pattern: r"^(?<why>.*\b(?:ERROR|FATAL|CRITICAL|SEVERE)\b.*)", shown: "$why", which: Last, strength: Strong },
    Rule { pattern: r"^(?<why>E: .*)", shown: "$why", which: Last, strength: Strong },
    Rule { pattern: r"(?<why>curl: \(\d+\) .*)", shown: "$why", which: Last, strength: Strong },
    Rule { pattern: r"^(?<why>npm (?:error|ERR!) \S.*)", shown: "$why", which: First, strength: Strong },
    Rule { pattern: r"^(?<why>g?make(?:\[\d+\])?: \*\*\* .*)", shown: "$why", which: First, strength: Strong },
    // A line with a word that indicates failure.
    Rule {
        pattern: r"^(?<why>.*\b(?i-u:failed|failure|cannot|can't|could not|couldn't|can not|denied|not found|no such|not permitted|unable to|refused|timed out|invalid|unreachable|aborted|segmentation fault|syntax error|permission denied|out of memory|no space left|does not exist|doesn't exist)\b.*)",
        shown: "$why", which: Last, strength: Weak,
    },
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
";

struct Ready {
    rules: Vec<(&'static Rule, Regex)>,
    noise: Regex,
}

static READY: LazyLock<Ready> = LazyLock::new(|| Ready {
    rules: RULES.iter().map(|rule| (rule, Regex::new(&format!("(?m){}", rule.pattern)).expect("a test compiles every rule"))).collect(),
    noise: Regex::new(NOISE).expect("a test compiles it"),
});

/// Returns the line that explains best why a command failed, given the ends of its streams, stderr first. `None` if there is no such line.
pub(crate) fn find(streams: &[(Stream, &[String])]) -> Option<Why> {
    let meaningful: Vec<(Stream, Vec<&str>)> = streams.iter().map(|(stream, lines)| (*stream, meaningful(lines))).collect();
    let by = |strength| meaningful.iter().find_map(|(_, lines)| by_rules(strength, &lines.join("\n")));
    let last = || meaningful.iter().filter(|(stream, _)| *stream == Stream::Errors).find_map(|(_, lines)| lines.last());
    let summary = || streams.iter().find_map(|(_, lines)| by_rules(Strong, &lines.join("\n")));
    let found = by(Strong).or_else(|| by(Weak)).or_else(|| last().map(|line| Why { line: cut(line), type_name: None }));
    found.or_else(summary)
}

/// Returns the lines that are not noise, without the bar that some tools draw at their left.
fn meaningful(lines: &[String]) -> Vec<&str> {
    let bare = lines.iter().map(|line| line.strip_prefix('│').map_or(line.as_str(), str::trim_start));
    bare.filter(|line| !READY.noise.is_match(line)).collect()
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
