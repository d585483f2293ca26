//! Failures as annotations of GitHub Actions: `::error file=…,line=…,title=…::message`.

use std::path::Path;

use monitor_state::parents;
use monitor_wire::{Process, Source, State};

use super::{Run, place};
use crate::text::visible;

/// GitHub shows this many errors per step.
const MOST: usize = 10;
/// Maximum number of characters of a message.
const LONGEST: usize = 2_000;

/// Lines for the failures of a run: each failed process below which nothing failed and above which nothing succeeded. The order is that of
/// the tree.
pub(crate) fn annotations(run: Run<'_>) -> Vec<String> {
    let parents = parents(run.processes);
    let has_failed = |process: &Process| process.state == State::FAILED || process.state == State::LOST;
    let mut is_on_path = vec![false; run.processes.len()];
    let mut is_above = vec![false; run.processes.len()];
    for (index, process) in run.processes.iter().enumerate() {
        is_on_path[index] = has_failed(process) && parents[index].is_none_or(|parent| is_on_path[parent]);
        if let Some(parent) = parents[index].filter(|_| is_on_path[index]) {
            is_above[parent] = true;
        }
    }
    let failures = run.processes.iter().enumerate().filter(|(index, _)| is_on_path[*index] && !is_above[*index]);
    let line = |(_, process): (usize, &Process)| {
        let error = process.error.as_ref();
        let reason = || process.reason.clone().unwrap_or_else(|| process.state.as_str().to_owned());
        annotation(&process.name, &error.map_or_else(reason, |error| error.line(str::to_owned)), place(process))
    };
    failures.take(MOST).map(line).collect()
}

/// One annotation.
pub(crate) fn annotation(title: &str, message: &str, source: Option<&Source>) -> String {
    let place = source.map(|source| format!("file={},line={},", property(&in_workspace(&source.file)), source.line)).unwrap_or_default();
    let message: String = message.chars().take(LONGEST).collect();
    let message: Vec<_> = message.lines().map(data).collect();
    let title: String = title.chars().take(LONGEST / 10).collect();
    format!("::error {place}title={}::{}", property(&title), message.join("%0A"))
}

/// The path below the folder of the workflow, which is how GitHub finds the file.
fn in_workspace(file: &str) -> String {
    let workspace = std::env::var_os("GITHUB_WORKSPACE").filter(|folder| !folder.is_empty());
    let below = workspace.and_then(|folder| Some(Path::new(file).strip_prefix(folder).ok()?.to_string_lossy().into_owned()));
    below.unwrap_or_else(|| file.to_owned())
}

/// Text of one line, escaped for a message.
fn data(text: &str) -> String {
    visible(text).replace('%', "%25")
}

/// Text, escaped for a property. Line ends are control characters, which are shown.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_stays_one_annotation() {
        let source = Source { file: "src/a:b,c%.rs".into(), line: 7 };
        let line = annotation("x,title=y::\r\n::error::z", "50 % off\r\n::set-output name=a::b\u{1b}[31m", Some(&source));
        assert_eq!(
            line,
            "::error file=src/a%3Ab%2Cc%25.rs,line=7,title=x%2Ctitle=y%3A%3A␍␊%3A%3Aerror%3A%3Az::50 %25 off%0A::set-output name=a::b␛[31m"
        );
        assert_eq!(line.lines().count(), 1);
    }
}
