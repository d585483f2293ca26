//! Filter for the processes to forward.

use globset::{Glob, GlobMatcher};
use monitor_wire::{Process, Root, Worker};

/// Conditions that a process must meet to be forwarded, such as `name=db* kind!=span state={failed,lost}`.
#[derive(Debug, Clone, Default)]
pub struct OtlpFilter {
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
struct Term {
    key: Key,
    /// True if the pattern must not match.
    is_not: bool,
    pattern: GlobMatcher,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Name,
    Kind,
    State,
    Root,
    Program,
    Host,
}

const KEYS: [(&str, Key); 6] =
    [("name", Key::Name), ("kind", Key::Kind), ("state", Key::State), ("root", Key::Root), ("program", Key::Program), ("host", Key::Host)];

impl OtlpFilter {
    /// Parses conditions separated by spaces.
    ///
    /// # Errors
    /// Describes the invalid condition and the expected syntax.
    pub fn read(text: &str) -> Result<Self, String> {
        Ok(Self { terms: text.split_whitespace().map(Term::read).collect::<Result<_, _>>()? })
    }

    /// Formats the conditions so that they can be parsed again.
    pub fn show(&self) -> String {
        self.terms.iter().map(Term::show).collect::<Vec<_>>().join(" ")
    }

    /// True if the process with this root and worker is forwarded.
    pub(super) fn admits(&self, process: &Process, root: &Root, worker: Option<&Worker>) -> bool {
        self.terms.iter().all(|term| {
            let value = match term.key {
                Key::Name => &process.name,
                Key::Kind => process.kind.as_str(),
                Key::State => process.state.as_str(),
                Key::Root => &root.name,
                Key::Program => worker.map_or("", |worker| &worker.program),
                Key::Host => worker.map_or("", |worker| &worker.hostname),
            };
            term.pattern.is_match(value) != term.is_not
        })
    }
}

impl Term {
    fn read(text: &str) -> Result<Self, String> {
        let keys = KEYS.map(|(key, _)| key).join(", ");
        let expected = || format!("{text:?}: expected KEY=PATTERN or KEY!=PATTERN with one of {keys}, like name=db*");
        let (key, pattern) = text.split_once('=').ok_or_else(expected)?;
        let (key, is_not) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
        let (_, key) = KEYS.into_iter().find(|(name, _)| *name == key).ok_or_else(expected)?;
        let glob = Glob::new(pattern).map_err(|error| format!("{text:?}: {}", error.kind()))?;
        Ok(Self { key, is_not, pattern: glob.compile_matcher() })
    }

    fn show(&self) -> String {
        let (key, _) = KEYS.into_iter().find(|(_, key)| *key == self.key).expect("all keys are there");
        format!("{key}{}={}", if self.is_not { "!" } else { "" }, self.pattern.glob())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_filters_can_be_parsed_again_and_invalid_filters_are_refused() {
        for text in ["", "name=db*", "name=db* kind!=span state={failed,lost}", "root=nightly* program=shop host=till-?"] {
            assert_eq!(OtlpFilter::read(text).unwrap().show(), text);
        }
        for text in ["name", "=x", "colour=red", "name=[", "name = db", "!name=x", "name=a{b"] {
            assert!(OtlpFilter::read(text).is_err(), "{text:?}");
        }
        assert!(OtlpFilter::read("kind=span colour=red").unwrap_err().contains("\"colour=red\": expected KEY=PATTERN"));
    }
}
