//! Parsed values of a file with their positions.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;
use super::values::MOST_MISTAKES;
use crate::near::shown;

/// Maximum length of a text, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;

/// Values with their positions.
#[derive(Debug)]
pub struct Source {
    pub(super) value: Value,
    places: Option<Places>,
}

/// Positions in a file.
#[derive(Debug)]
struct Places {
    text: String,
    keys: HashMap<String, Range<usize>>,
    values: HashMap<String, Range<usize>>,
}

impl Source {
    /// Creates a source from values without positions.
    pub fn json(value: Value) -> Self {
        Self { value, places: None }
    }

    /// Parses a TOML file.
    ///
    /// # Errors
    /// The position of a syntax error, or that the text is too long.
    pub fn toml(text: &str) -> Result<Self, Vec<Mistake>> {
        if text.len() > LONGEST {
            let message = format!("at most {LONGEST} bytes are read, and this text has {}", text.len());
            return Err(vec![Mistake { path: String::new(), line: Some(1), column: Some(1), message }]);
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let mistake = |error: toml::de::Error| {
                let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
                Mistake { path: String::new(), line: Some(line), column: Some(column), message: shown(error.message()) }
            };
            return Err(errors.into_iter().take(MOST_MISTAKES).map(mistake).collect());
        }
        let mut places = Places { text: text.to_owned(), keys: HashMap::new(), values: HashMap::new() };
        let value = places.table("", table.get_ref());
        Ok(Source { value, places: Some(places) })
    }

    /// Returns the values.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Creates a mistake about the value at `path`.
    pub fn mistake_at(&self, path: &str, message: String) -> Mistake {
        self.mistake(path, false, 0, message)
    }

    /// Creates a mistake about the value at `path` or its key, `within` characters after its start.
    pub(super) fn mistake(&self, path: &str, is_key: bool, within: usize, message: String) -> Mistake {
        let at = self.places.as_ref().map(|places| places.find(path, is_key, within));
        Mistake { path: path.to_owned(), line: at.map(|at| at.0), column: at.map(|at| at.1), message }
    }
}

impl Places {
    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let path = child(path, key.get_ref());
            self.keys.insert(path.clone(), key.span());
            let plain = self.value(&path, value.get_ref(), value.span());
            map.insert(key.get_ref().to_string(), plain);
        }
        Value::Object(map)
    }

    fn value(&mut self, path: &str, value: &DeValue<'_>, span: Range<usize>) -> Value {
        self.values.insert(path.to_owned(), span);
        match value {
            DeValue::String(text) => Value::String(text.to_string()),
            // A number too large for any setting is kept as text, which is rejected later.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::String(number.as_str().to_owned()), |number| Value::Number(number.into())),
            DeValue::Float(number) => number.as_str().parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
            DeValue::Boolean(is_true) => Value::Bool(*is_true),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(array) => {
                let items = array.iter().enumerate();
                Value::Array(items.map(|(index, item)| self.value(&format!("{path}/{index}"), item.get_ref(), item.span())).collect())
            }
            DeValue::Table(table) => self.table(path, table),
        }
    }

    /// Returns line and column of a value, or of the nearest enclosing value.
    fn find(&self, path: &str, is_key: bool, within: usize) -> (usize, usize) {
        let mut path = path;
        loop {
            let (first, second) = if is_key { (&self.keys, &self.values) } else { (&self.values, &self.keys) };
            if let Some(span) = first.get(path).or_else(|| second.get(path)) {
                let (line, column) = line_and_column(&self.text, span.start);
                return (line, column + self.inside(span, within));
            }
            let Some((parent, _)) = path.rsplit_once('/') else { return (1, 1) };
            path = parent;
        }
    }

    /// Returns the offset within a string. Only in a plain string does each character correspond to one in the file.
    fn inside(&self, span: &Range<usize>, within: usize) -> usize {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let is_plain = text.starts_with(['"', '\'']) && !text.starts_with("\"\"\"") && !text.starts_with("'''") && !text.contains('\\');
        if within > 0 && is_plain { within } else { 0 }
    }
}

/// Returns the JSON pointer of a key.
pub(super) fn child(path: &str, key: &str) -> String {
    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&text.as_bytes()[..at.min(text.len())]);
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}
