//! The settings file `monitor.toml`: the rules that select functions for weaving, their kinds and process names.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use monitor_spool::settings;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::pattern;
use crate::source::Function;

pub(crate) const FILE: &str = "monitor.toml";

/// One `[[function]]` table: a rule for all functions that match its pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// Index among the tables of the file. Reports use it to find the rule.
    pub(crate) index: usize,
    pub(crate) path: String,
    pub(crate) kind: TaskKind,
    pub(crate) name: Option<String>,
    pub(crate) batch: Option<String>,
    pub(crate) exclude: Vec<String>,
    /// Patterns of functions that are woven although they would be left out by default.
    #[serde(default)]
    pub(crate) include: Vec<String>,
    pub(crate) min_lines: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskKind {
    Root,
    #[default]
    Normal,
    CrossThread,
    CrossProcess,
}

impl TaskKind {
    /// Returns the kind as the woven attribute spells it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Normal => "normal",
            Self::CrossThread => "cross_thread",
            Self::CrossProcess => "cross_process",
        }
    }

    /// Returns the name of the corresponding attribute of `monitor-client`.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::Root => "root_task",
            Self::Normal => "normal_task",
            Self::CrossThread => "cross_thread",
            Self::CrossProcess => "cross_process",
        }
    }
}

impl Rule {
    /// Returns the rule that is used without a file: weave all functions.
    fn all() -> Self {
        Self {
            index: 0,
            path: "**".to_owned(),
            kind: TaskKind::Normal,
            name: None,
            batch: None,
            exclude: Vec::new(),
            include: Vec::new(),
            min_lines: 0,
        }
    }

    pub(crate) fn takes(&self, function: &Function) -> bool {
        let is_included = |include: &String| pattern::matches(include, &function.path);
        self.matches(function) && (function.left_out.is_none() || self.names_it() || self.include.iter().any(is_included))
    }

    /// Returns true if the rule applies to the function, including a function that is left out by default.
    pub(crate) fn matches(&self, function: &Function) -> bool {
        pattern::matches(&self.path, &function.path)
            && function.body_lines >= self.min_lines
            && !self.exclude.iter().any(|exclude| pattern::matches(exclude, &function.path))
    }

    /// Returns true if `path` is an exact function path. Such a function is always woven, and each of its calls is recorded.
    pub(crate) fn names_it(&self) -> bool {
        !self.path.contains('*')
    }

    /// Returns the rule with only the patterns that may match functions of the crate; `None` if its own pattern can't match any.
    pub(crate) fn for_crate(&self, name: &str) -> Option<Self> {
        pattern::may_match_crate(&self.path, name).then(|| {
            let of_it = |patterns: &[String]| patterns.iter().filter(|of| pattern::may_match_crate(of, name)).cloned().collect();
            Self { exclude: of_it(&self.exclude), include: of_it(&self.include), ..self.clone() }
        })
    }
}

/// The parsed settings file.
#[derive(Debug)]
pub(crate) struct Config {
    /// Path and text of the file; `None` if there is no file.
    pub(crate) file: Option<(PathBuf, String)>,
    pub(crate) rules: Vec<Rule>,
    /// Calls shorter than this duration are counted instead of recorded individually; passed on to the program in `MONITOR_FOLD_BELOW`.
    pub(crate) fold_below: Option<String>,
    /// Byte range of each rule's pattern in the file, for messages.
    places: Vec<Range<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    fold_below: Option<Spanned<String>>,
    #[serde(default)]
    function: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    path: Spanned<String>,
    #[serde(default)]
    kind: TaskKind,
    #[serde(default)]
    name: Option<Spanned<String>>,
    #[serde(default)]
    batch: Option<Spanned<String>>,
    #[serde(default)]
    exclude: Vec<Spanned<String>>,
    #[serde(default)]
    include: Vec<Spanned<String>>,
    #[serde(default)]
    min_lines: usize,
}

impl Config {
    /// Reads the file `asked`, or `monitor.toml` in the project's folder. If there is no such file, all functions are woven.
    ///
    /// # Errors
    /// If the file can't be read or is invalid. The message contains its name, line and column.
    pub(crate) fn read(asked: Option<&Path>, project: &Path) -> anyhow::Result<Self> {
        let path = asked.map_or_else(|| project.join(FILE), Path::to_owned);
        if asked.is_none() && !path.exists() {
            return Ok(Self { file: None, rules: vec![Rule::all()], fold_below: None, places: Vec::new() });
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
        Self::parse(path, text)
    }

    fn parse(path: PathBuf, text: String) -> anyhow::Result<Self> {
        let at = |place: Range<usize>, message: &str| anyhow::anyhow!("{}", At { path: &path, text: &text, place, message });
        let document: Document = match toml::from_str(&text) {
            Ok(document) => document,
            Err(error) => return Err(at(error.span().unwrap_or(0..0), error.message())),
        };
        let (mut rules, mut places) = (Vec::new(), Vec::new());
        for (index, table) in document.function.into_iter().enumerate() {
            for text in std::iter::once(&table.path).chain(&table.exclude).chain(&table.include) {
                if let Some(mistake) = pattern::mistake(text.get_ref()) {
                    return Err(at(text.span(), &mistake));
                }
            }
            if let Some(name) = table.name.as_ref().filter(|name| name.get_ref().trim().is_empty()) {
                return Err(at(name.span(), "a process needs a name; leave it out for the function's path"));
            }
            if let Some(batch) = table.batch.as_ref().filter(|_| table.kind != TaskKind::Root) {
                return Err(at(batch.span(), "only functions of kind \"root\" have a batch"));
            }
            places.push(table.path.span());
            rules.push(Rule {
                index,
                path: table.path.into_inner(),
                kind: table.kind,
                name: table.name.map(Spanned::into_inner),
                batch: table.batch.map(Spanned::into_inner),
                exclude: table.exclude.into_iter().map(Spanned::into_inner).collect(),
                include: table.include.into_iter().map(Spanned::into_inner).collect(),
                min_lines: table.min_lines,
            });
        }
        if rules.is_empty() {
            bail!("{} has no [[function]]: nothing would be woven; `cargo monitor init` writes one", path.display());
        }
        let fold_below = document.fold_below;
        if let Some(below) = fold_below.as_ref().filter(|below| settings::fold_below(below.get_ref()).is_none()) {
            return Err(at(below.span(), "expected a duration up to 1s, such as \"100us\" or \"1ms\", or \"off\""));
        }
        Ok(Self { file: Some((path, text)), rules, fold_below: fold_below.map(Spanned::into_inner), places })
    }

    /// Returns the message that a rule matches none of these functions, with up to three similar paths.
    pub(crate) fn matches_nothing(&self, rule: &Rule, functions: &[&str]) -> String {
        let misses = pattern::near_misses(&rule.path, functions.iter().copied());
        let mut message = format!("the pattern `{}` matches no function", rule.path);
        if !misses.is_empty() {
            message = message + "; much like it: " + &misses.join(", ");
        }
        match &self.file {
            Some((path, text)) => At { path, text, place: self.places[rule.index].clone(), message: &message }.to_string(),
            None => message,
        }
    }
}

/// A message about a range in a file; its `Display` shows the line with the range underlined.
struct At<'a> {
    path: &'a Path,
    text: &'a str,
    place: Range<usize>,
    message: &'a str,
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = (0..=self.place.start).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let before = &self.text[..start];
        let (line, from) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |at| at + 1));
        let column = before[from..].chars().count() + 1;
        let shown = self.text[from..].lines().next().unwrap_or_default();
        let width = self.text.get(start..self.place.end).map_or(1, |text| text.lines().next().unwrap_or_default().chars().count().max(1));
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{}:{line}:{column}: {}", self.path.display(), self.message)?;
        writeln!(f, "{margin} |\n{number} | {shown}")?;
        write!(f, "{margin} | {}{}", " ".repeat(column - 1), "^".repeat(width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Config> {
        Config::parse("monitor.toml".into(), text.to_owned())
    }

    #[test]
    fn a_configuration_file_selects_the_woven_functions() {
        let text = "[[function]]\npath = \"app::main\"\nkind = \"root\"\nname = \"nightly\"\n\n[[function]]\npath = \"app::**\"\nexclude = [\"**::fmt\"]\nmin-lines = 3\n";
        let config = parse(text).unwrap();
        assert_eq!((config.rules[0].kind, config.rules[0].name.as_deref()), (TaskKind::Root, Some("nightly")));
        assert_eq!((config.rules[1].exclude.as_slice(), config.rules[1].min_lines), (&["**::fmt".to_owned()][..], 3));
    }

    /// Checks the position and a word of each error message.
    #[test]
    fn a_mistake_is_reported_with_line_and_column() {
        for (text, place, words) in [
            ("[[function]]\npath = \"app::main\"\nkind = \"rot\"\n", "monitor.toml:3:8:", "rot"),
            ("[[function]]\npth = \"app::main\"\n", "monitor.toml:2:1:", "pth"),
            ("[[function]]\npath = \"app:::main\"\n", "monitor.toml:2:8:", "`:`"),
            ("[[function]]\npath = \"app\"\nexclude = [\"a\", \"\"]\n", "monitor.toml:3:17:", "something"),
            ("[[function]]\npath = \"app\"\ninclude = [\"a:b\"]\n", "monitor.toml:3:12:", "`:`"),
            ("[[function]]\npath = \"app\"\nbatch = \"b\"\n", "monitor.toml:3:9:", "root"),
            ("[[function]]\npath = \"app\n", "monitor.toml:2:12:", "string"),
            ("[[function]]\nkind = \"root\"\n", "monitor.toml:1:1:", "path"),
            ("[[function]]\npath = \"app\"\nmin-lines = \"3\"\n", "monitor.toml:3:13:", "usize"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(place) && error.contains(words), "{text}\n{error}");
        }
        assert!(parse("").unwrap_err().to_string().contains("cargo monitor init"));
    }
}
