//! Reads names, commands, time zones and references.

use super::{Found, Reader, shown};
use crate::definition::Variable;
use crate::zone;

/// Maximum length of an argument on Linux, in bytes: `MAX_ARG_STRLEN` without the terminating zero.
const LONGEST_WORD: usize = (128 << 10) - 1;

impl<'a> Reader<'a> {
    /// Reads a name that is valid in a path and in an id.
    pub fn name(&mut self, found: Found<'a>) -> Option<String> {
        let path = found.0.clone();
        let text = self.text(found)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.len() <= 100 && text.chars().all(is_plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Some(text.to_owned());
        }
        self.wrong(
            &path,
            format!("{:?} is no name: at most 100 letters, digits, `-`, `_` and `.`, the first a letter or digit", shown(text)),
        );
        None
    }

    /// Reads a list of names.
    pub fn names(&mut self, found: Option<Found<'a>>) -> Vec<String> {
        let Some(found) = found else { return Vec::new() };
        self.list(found).into_iter().filter_map(|item| self.name(item)).collect()
    }

    /// Reads an optional text.
    pub fn maybe_text(&mut self, found: Option<Found<'a>>) -> Option<String> {
        self.text(found?).map(str::to_owned)
    }

    /// Reads a program and its arguments. Arguments may be empty.
    pub fn command(&mut self, found: Found<'a>) -> Vec<String> {
        let path = found.0.clone();
        // Other invalid values already cause mistakes of their own.
        let is_empty = found.1.as_array().is_some_and(Vec::is_empty);
        let mut words = Vec::new();
        for (index, item) in self.list(found).into_iter().enumerate() {
            let is_empty_argument = index > 0 && item.1.as_str() == Some("");
            words.extend(if is_empty_argument { Some(String::new()) } else { self.text(item).map(str::to_owned) });
        }
        for (index, word) in words.iter().enumerate() {
            self.check_word(&format!("{path}/{index}"), word);
        }
        if is_empty {
            self.wrong(&path, "a program is missing: command = [\"node\", \"index.js\"]");
        }
        words
    }

    /// Adds a mistake if a word of a command is longer than Linux accepts.
    pub fn check_word(&mut self, path: &str, word: &str) {
        if word.len() > LONGEST_WORD {
            let message =
                format!("Linux accepts {LONGEST_WORD} bytes in one argument, and this one has {}: put it into a file", word.len());
            self.wrong(path, message);
        }
    }

    /// Reads the name of an IANA time zone.
    pub fn zone(&mut self, found: Option<Found<'a>>) -> Option<String> {
        let found = found?;
        let path = found.0.clone();
        let text = self.text(found)?;
        zone::find(text).map(|_| text.to_owned()).map_err(|message| self.wrong(&path, message)).ok()
    }

    /// Reads a reference to a value.
    pub fn reference(&mut self, found: Found<'a>) -> Option<Variable> {
        let path = found.0.clone();
        let mut table = self.table(found)?;
        let (file, env) = (table.get("file"), table.get("env"));
        self.end(&table);
        match (file, env) {
            (Some(file), None) => self.maybe_text(Some(file)).map(|file| Variable::File { file }),
            (None, Some(env)) => self.maybe_text(Some(env)).map(|env| Variable::Env { env }),
            _ => {
                self.wrong(&path, "a text, { file = \"/path\" } or { env = \"NAME\" } is expected");
                None
            }
        }
    }
}
