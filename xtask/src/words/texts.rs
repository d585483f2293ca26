//! The texts in a file that a reader meets: comments, documents, messages, and names of tests.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// A kind of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// All comments of a program.
    Comments,
    /// Public documentation alone: `///` and `//!`.
    PublicDocs,
    /// Texts of errors: `#[error]`, `anyhow!`, `bail!`, `context`.
    Errors,
    /// Log lines.
    Logs,
    /// Names of tests, as words.
    TestNames,
    /// Texts of the page.
    Locale,
    /// A document in Markdown.
    Document,
}

/// A text and its place.
#[derive(Debug)]
pub(super) struct Text {
    /// File and line.
    pub(super) place: String,
    pub(super) words: String,
}

/// Crate whose public documentation is counted alone, because users read it without the code.
const PUBLIC: &str = "monitor-client/src/";

static ERROR: LazyLock<Regex> = LazyLock::new(|| {
    literal(r"#\[error\(\s*|\b(?:anyhow|bail|ensure)!\((?:[^;\x22]*,)?\s*|\.(?:context|with_context)\((?:\|\| )?(?:format!\()?\s*")
});
static LOG: LazyLock<Regex> = LazyLock::new(|| literal(r"\btracing::(?:error|warn|info|debug)!\((?:[^;\x22]*?,)?\s*"));
static TEST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"#\[(?:tokio::)?test(?:\([^\]]*\))?\]\s*(?:#\[[^\]]*\]\s*)*(?:pub )?(?:async )?fn ([a-z0-9_]+)").expect("a pattern")
});
static LOCALE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(?m):\s*"(.*)",?$"#).expect("a pattern"));
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{[^}]*\}|\\\s+").expect("a pattern"));

/// Returns a pattern of a string literal that follows `begin`.
fn literal(begin: &str) -> Regex {
    Regex::new(&format!(r#"(?:{begin})"((?:[^"\\]|\\(?s:.))*)""#)).expect("a pattern")
}

impl Kind {
    /// Returns the kinds of text that a file contains.
    pub(super) fn of(file: &Path) -> &'static [Self] {
        let path = file.to_string_lossy();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") if path.starts_with(PUBLIC) => &[Self::Comments, Self::PublicDocs, Self::Errors, Self::Logs, Self::TestNames],
            Some("rs") => &[Self::Comments, Self::Errors, Self::Logs, Self::TestNames],
            Some("ts") if path.contains("/locales/") => &[Self::Locale],
            Some("ts" | "tsx" | "mjs") => &[Self::Comments],
            Some("md") => &[Self::Document],
            _ => &[],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Comments => "comments",
            Self::PublicDocs => "public docs",
            Self::Errors => "errors",
            Self::Logs => "log lines",
            Self::TestNames => "names of tests",
            Self::Locale => "page texts",
            Self::Document => "documents",
        }
    }

    /// True if the limit of documents applies.
    pub(super) fn is_document(self) -> bool {
        matches!(self, Self::Locale | Self::Document)
    }

    /// True if the first words of a text must name its subject.
    pub(super) fn has_openings(self) -> bool {
        matches!(self, Self::Comments | Self::PublicDocs)
    }

    /// Returns the texts of this kind in a file.
    pub(super) fn texts(self, file: &str, text: &str) -> Vec<Text> {
        match self {
            Self::Comments if Path::new(file).extension().is_some_and(|extension| extension == "rs") => {
                blocks(file, text, &["///", "//!", "//"])
            }
            Self::Comments => blocks(file, text, &["//", "/**", "*/", "*"]),
            Self::PublicDocs => blocks(file, text, &["///", "//!"]),
            Self::Errors => found(file, text, &ERROR, |words| PLACEHOLDER.replace_all(words, " X ").into_owned()),
            Self::Logs => found(file, text, &LOG, |words| PLACEHOLDER.replace_all(words, " X ").into_owned()),
            Self::TestNames => found(file, text, &TEST, |name| name.replace('_', " ")),
            Self::Locale => found(file, text, &LOCALE, str::to_owned),
            Self::Document => paragraphs(file, text),
        }
    }
}

/// Returns blocks of consecutive comment lines that begin with the same of `leads`.
fn blocks(file: &str, text: &str, leads: &[&'static str]) -> Vec<Text> {
    let mut all: Vec<Text> = Vec::new();
    let mut current = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let lead = leads.iter().find(|lead| line.starts_with(**lead)).copied();
        if let Some(lead) = lead {
            let words = line[lead.len()..].trim();
            match all.last_mut().filter(|_| current == Some(lead)) {
                Some(block) => {
                    block.words.push('\n');
                    block.words.push_str(words);
                }
                None => all.push(Text { place: format!("{file}:{number}"), words: words.to_owned() }),
            }
        }
        current = lead;
    }
    all
}

/// Returns the first group of each match.
fn found(file: &str, text: &str, pattern: &Regex, words: impl Fn(&str) -> String) -> Vec<Text> {
    let matches = pattern.captures_iter(text).filter_map(|captures| captures.get(1));
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    matches.map(|group| Text { place: format!("{file}:{}", line(group.start())), words: words(group.as_str()) }).collect()
}

/// Returns the paragraphs of a document.
fn paragraphs(file: &str, text: &str) -> Vec<Text> {
    // A block of code may contain empty lines, so it is removed before the text is split.
    let mut all = Vec::new();
    let (mut words, mut begun, mut is_code) = (String::new(), 1, false);
    for (number, line) in (1..).zip(text.lines().chain([""])) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code && line.trim().is_empty() {
            if !words.is_empty() {
                all.push(Text { place: format!("{file}:{begun}"), words: std::mem::take(&mut words) });
            }
            begun = number + 1;
        } else if !is_code {
            words.push_str(line);
            words.push('\n');
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(kind: Kind, file: &str, text: &str) -> Vec<String> {
        kind.texts(file, text).into_iter().map(|text| format!("{} {}", text.place, text.words)).collect()
    }

    #[test]
    fn each_kind_of_text_is_found_with_its_line() {
        let program = "//! A module\n//! of two lines.\n\n/// A function.\n// A remark.\n#[test]\nfn a_name_is_read() {\n    bail!(\"{x} is wrong\");\n    \
                       tracing::warn!(%run, \"a run \\\n      can't be ended\");\n}\n#[error(\"there is no {0:?}\")]\n";
        assert_eq!(words(Kind::Comments, "a.rs", program), ["a.rs:1 A module\nof two lines.", "a.rs:4 A function.", "a.rs:5 A remark."]);
        assert_eq!(words(Kind::PublicDocs, "a.rs", program), ["a.rs:1 A module\nof two lines.", "a.rs:4 A function."]);
        assert_eq!(words(Kind::TestNames, "a.rs", program), ["a.rs:7 a name is read"]);
        assert_eq!(words(Kind::Errors, "a.rs", program), ["a.rs:8  X  is wrong", "a.rs:12 there is no  X "]);
        assert_eq!(words(Kind::Logs, "a.rs", program), ["a.rs:9 a run  X can't be ended"]);
        assert_eq!(words(Kind::Locale, "locales/a.en.ts", "  \"a.b\": \"A text\",\n"), ["locales/a.en.ts:1 A text"]);
        let document = "# Title\n\nOne\ntwo.\n\n```sh\nsomebody\n\nsays\n```\n\nEnd.";
        assert_eq!(words(Kind::Document, "a.md", document), ["a.md:1 # Title\n", "a.md:3 One\ntwo.\n", "a.md:12 End.\n"]);
    }
}
