//! Reads single values and collects mistakes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::mistake::Mistake;
use super::source::{Source, child};
use crate::near::{did_you_mean, shown as short};

/// Maximum number of reported mistakes. Locating each of them scans the whole file.
pub(crate) const MOST_MISTAKES: usize = 100;

/// Collects mistakes while values are read.
pub struct Reader<'a> {
    source: &'a Source,
    mistakes: Vec<Mistake>,
}

/// A table that is read key by key. Keys that were never requested are unknown keys.
pub struct Table<'a> {
    path: String,
    map: &'a Map<String, Value>,
    asked: BTreeSet<&'static str>,
}

/// A value with its path.
pub type Found<'a> = (String, &'a Value);

impl<'a> Table<'a> {
    /// Returns the value of a key and marks the key as known.
    pub fn get(&mut self, key: &'static str) -> Option<Found<'a>> {
        self.asked.insert(key);
        self.map.get(key).map(|value| (child(&self.path, key), value))
    }

    /// Returns true if the key exists.
    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Returns all keys with their values.
    pub fn all(&self) -> impl Iterator<Item = (&'a String, Found<'a>)> + use<'a> {
        let path = self.path.clone();
        self.map.iter().map(move |(key, value)| (key, (child(&path, key), value)))
    }
}

impl<'a> Reader<'a> {
    /// Creates a reader.
    pub fn new(source: &'a Source) -> Self {
        Self { source, mistakes: Vec::new() }
    }

    /// Returns the top-level table.
    pub fn top(&mut self) -> Option<Table<'a>> {
        let source = self.source;
        self.table((String::new(), &source.value))
    }

    /// Returns the result, or all mistakes in the order of the file.
    ///
    /// # Errors
    /// The mistakes.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Vec<Mistake>> {
        let mut mistakes = self.mistakes;
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        read.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }

    /// Creates a warning about the value at a path.
    pub fn warning(&self, path: &str, message: impl Into<String>) -> Mistake {
        self.source.mistake(path, false, 0, message.into())
    }

    /// Adds a mistake about the value at a path.
    pub fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.wrong_within(path, 0, message);
    }

    /// Adds a mistake at an offset, in characters, within a text.
    pub fn wrong_within(&mut self, path: &str, within: usize, message: impl Into<String>) {
        self.add(path, false, within, message.into());
    }

    /// Adds a mistake about the key at a path.
    pub fn wrong_key(&mut self, path: &str, message: impl Into<String>) {
        self.add(path, true, 0, message.into());
    }

    fn add(&mut self, path: &str, is_key: bool, within: usize, message: String) {
        if self.mistakes.len() < MOST_MISTAKES {
            self.mistakes.push(self.source.mistake(path, is_key, within, message));
        }
    }

    /// Reads a table.
    pub fn table(&mut self, (path, value): Found<'a>) -> Option<Table<'a>> {
        match value {
            Value::Object(map) => Some(Table { path, map, asked: BTreeSet::new() }),
            other => self.expected(&path, "a table", other),
        }
    }

    /// Adds a mistake for each key that was not requested.
    pub fn end(&mut self, table: &Table<'a>) {
        for key in table.map.keys().filter(|key| !table.asked.contains(key.as_str())).take(MOST_MISTAKES) {
            let hint = did_you_mean(key, table.asked.iter().copied());
            let hint = if hint.is_empty() { format!("; there are {}", Vec::from_iter(table.asked.clone()).join(", ")) } else { hint };
            self.wrong_key(&child(&table.path, key), format!("there is no such key{hint}"));
        }
    }

    /// Reads a non-empty text.
    pub fn text(&mut self, (path, value): Found<'a>) -> Option<&'a str> {
        match value.as_str() {
            Some("") => {
                self.wrong(&path, "a text that is not empty is expected");
                None
            }
            Some(text) if text.contains('\0') => {
                self.wrong(&path, "a text without NUL is expected");
                None
            }
            Some(text) => Some(text),
            None => self.expected(&path, "a text", value),
        }
    }

    /// Returns the items of a list.
    pub fn list(&mut self, (path, value): Found<'a>) -> Vec<Found<'a>> {
        match value {
            Value::Array(items) => items.iter().enumerate().map(|(index, item)| (format!("{path}/{index}"), item)).collect(),
            other => self.expected(&path, "a list", other).unwrap_or_default(),
        }
    }

    /// Reads a list of texts.
    pub fn texts(&mut self, found: Option<Found<'a>>) -> Vec<String> {
        let Some(found) = found else { return Vec::new() };
        self.list(found).into_iter().filter_map(|item| self.text(item).map(str::to_owned)).collect()
    }

    /// Reads a whole number that is at least `least`.
    pub fn number(&mut self, (path, value): Found<'a>, least: u32) -> Option<u32> {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| (least..=1_000_000).contains(number));
        number.or_else(|| self.expected(&path, &format!("a whole number from {least} to 1000000"), value))
    }

    /// Reads `true` or `false`.
    pub fn truth(&mut self, (path, value): Found<'a>) -> Option<bool> {
        value.as_bool().or_else(|| self.expected(&path, "true or false", value))
    }

    /// Reads a duration such as `10m`.
    pub fn duration(&mut self, found: Option<Found<'a>>) -> Option<Duration> {
        let found = found?;
        let path = found.0.clone();
        let text = self.text(found)?;
        match monitor_duration::read(text) {
            Ok(duration) => Some(duration),
            Err(expected) => {
                self.wrong(&path, format!("{:?}: {expected}", short(text)));
                None
            }
        }
    }

    /// Reads a number of bytes such as `64K`, `500M` or `2G`.
    pub fn bytes(&mut self, found: Option<Found<'a>>) -> Option<u64> {
        let found = found?;
        let path = found.0.clone();
        let text = self.text(found)?;
        let bytes = read_bytes(text);
        if bytes.is_none() {
            self.wrong(&path, format!("{:?}: expected a number of bytes such as 500M or 2G", short(text)));
        }
        bytes
    }

    /// Reads one of several words.
    pub fn word<T: Copy>(&mut self, found: Found<'a>, words: &[(&'static str, T)]) -> Option<T> {
        let path = found.0.clone();
        let text = self.text(found)?;
        let meant = words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
        if meant.is_none() {
            let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
            let hint = did_you_mean(text, all.iter().copied());
            self.wrong(&path, format!("{:?} is none of {}{hint}", short(text), all.join(", ")));
        }
        meant
    }

    /// Adds a mistake about an unexpected kind of value.
    pub fn expected<T>(&mut self, path: &str, what: &str, found: &Value) -> Option<T> {
        let found = match found {
            Value::Null => "nothing".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a table".to_owned(),
            Value::String(text) => format!("the text {:?}", short(text)),
            other => short(&other.to_string()),
        };
        self.wrong(path, format!("{what} is expected, and not {found}"));
        None
    }
}

/// Units of bytes, largest first.
pub(crate) const UNITS: [(&str, u32); 4] = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];

/// Parses whole numbers of bytes: `500000`, `64K`, `500M`, `2GiB`.
fn read_bytes(text: &str) -> Option<u64> {
    let plain = text.strip_suffix("iB").or_else(|| text.strip_suffix('B')).unwrap_or(text);
    let unit = UNITS.iter().find_map(|(unit, bits)| Some((plain.strip_suffix(unit)?, *bits)));
    let (number, bits) = unit.unwrap_or((plain, 0));
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|number| is_number && *number > 0)?.checked_mul(1 << bits)
}
