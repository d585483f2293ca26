//! Fields of a time rule: split, checked, and expanded to plain numbers.

use std::collections::BTreeSet;

use super::error::RuleError;
use crate::near::{did_you_mean, shown};

/// A kind of field with its name and permitted values.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    first: u16,
    last: u16,
    /// Largest value that `H` and steps can produce.
    last_spread: u16,
    names: &'static [&'static str],
    /// Value of the first name.
    first_name: u16,
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const fn kind(name: &'static str, first: u16, last: u16) -> Kind {
    Kind { name, first, last, last_spread: last, names: &[], first_name: 0 }
}

const DAY: usize = 3;
const WEEKDAY: usize = 5;
const KINDS: [Kind; 7] = [
    kind("second", 0, 59),
    kind("minute", 0, 59),
    kind("hour", 0, 23),
    // Every month has at least 28 days.
    Kind { last_spread: 28, ..kind("day of month", 1, 31) },
    Kind { names: MONTHS, first_name: 1, ..kind("month", 1, 12) },
    Kind { last_spread: 6, names: WEEKDAYS, ..kind("day of week", 0, 7) },
    kind("year", 1970, 2199),
];

/// A parsed field.
#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// Column in the rule, in characters, from 1.
    pub(super) column: usize,
    /// True if the field starts with `*` or `?`.
    pub(super) begins_with_star: bool,
    /// Plain values in ascending order. Empty for `*`.
    pub(super) values: Vec<u16>,
    /// The field in croner's syntax: `*`, or plain values and those with `L`, `W`, `#`.
    pub(super) text: String,
}

/// Splits a rule into second, minute, hour, day, month, weekday and year.
pub(super) fn split(rule: &str, task: &str) -> Result<[Field; 7], RuleError> {
    let words = words(rule);
    let first = match words.len() {
        5 => 1,
        6 | 7 => 0,
        0 => return Err(RuleError::new(1, "the rule is empty: expected fields such as 30 2 * * 1-5, or a name such as @daily")),
        count => {
            let fields = "5 fields (minute hour day month weekday), 6 (second before them) or 7 (year behind them)";
            let column = words.get(7).or(words.last()).map_or(1, |(column, _)| *column);
            return Err(RuleError::new(column, format!("expected {fields}, and there are {count}")));
        }
    };
    let mut fields: [Field; 7] = std::array::from_fn(|index| Field { name: KINDS[index].name, column: 1, ..Field::default() });
    fields[0].values = vec![0];
    "0".clone_into(&mut fields[0].text);
    "*".clone_into(&mut fields[6].text);
    for (index, (column, word)) in words.into_iter().enumerate() {
        let index = index + first;
        fields[index] = Reader { index, kind: KINDS[index], task }.field(column, &word)?;
    }
    Ok(fields)
}

/// Splits the rule into words with their columns. Parentheses, as in `H(0-29)`, may contain spaces.
fn words(rule: &str) -> Vec<(usize, String)> {
    let mut words: Vec<(usize, String)> = Vec::new();
    let mut is_within = false;
    for (at, c) in rule.chars().enumerate() {
        match (c.is_whitespace(), is_within) {
            (true, _) => {}
            (false, true) => words.last_mut().expect("a word was begun").1.push(c),
            (false, false) => words.push((at + 1, c.to_string())),
        }
        is_within = !c.is_whitespace();
    }
    words
}

struct Reader<'a> {
    index: usize,
    kind: Kind,
    task: &'a str,
}

/// Values of an item in a list.
enum Item {
    All,
    Values(Vec<u16>),
    /// A value with `L`, `W` or `#`, in croner's syntax.
    Special(String),
}

impl Reader<'_> {
    fn field(&self, column: usize, word: &str) -> Result<Field, RuleError> {
        let (mut values, mut specials, mut is_all, mut at) = (BTreeSet::new(), BTreeSet::new(), false, column);
        for item in word.split(',') {
            match self.item(at, item)? {
                Item::All => is_all = true,
                Item::Values(more) => values.extend(more),
                Item::Special(special) => drop(specials.insert(special)),
            }
            at += item.chars().count() + 1;
        }
        if specials.contains("L") && specials.contains("LW") {
            return Err(self.wrong(column, "L and LW don't stand together: write two rules"));
        }
        let text = if is_all {
            values.clear();
            "*".to_owned()
        } else {
            values.iter().map(u16::to_string).chain(specials).collect::<Vec<_>>().join(",")
        };
        let values = values.into_iter().collect();
        Ok(Field { name: self.kind.name, column, begins_with_star: word.starts_with(['*', '?']), values, text })
    }

    fn item(&self, at: usize, item: &str) -> Result<Item, RuleError> {
        let upper = item.to_uppercase();
        // Uppercasing can change the length of a non-ASCII character, and no valid word contains one.
        if item.is_empty() || !item.is_ascii() {
            return Err(self.unknown(at, item));
        }
        let (base, step) = match upper.split_once('/') {
            None => (upper.as_str(), None),
            Some((base, step)) => (base, Some((at + base.len() + 1, step))),
        };
        let step = match step {
            None => None,
            Some((at, text)) => Some(self.step(at, text)?),
        };
        let spread =
            |first: u16, last: u16, step: u16| Item::Values((first..=last).step_by(usize::from(step)).map(|v| self.plain(v)).collect());
        let all = if self.index == WEEKDAY { 6 } else { self.kind.last };
        match (base, step) {
            ("*", None) => return Ok(Item::All),
            ("?", None) if matches!(self.index, DAY | WEEKDAY) => return Ok(Item::All),
            ("*", Some(step)) => return Ok(spread(self.kind.first, all, step)),
            _ => {}
        }
        if let Some(range) = base.strip_prefix('H') {
            return self.hashed(at, range, step);
        }
        if step.is_none()
            && let Some(special) = self.special(at, base)?
        {
            return Ok(Item::Special(special));
        }
        if let Some((first, last)) = base.split_once('-') {
            let (first, last) = self.range(at, first, last)?;
            return Ok(spread(first, last, step.unwrap_or(1)));
        }
        let value = self.value(at, base)?;
        Ok(step.map_or_else(|| Item::Values(vec![self.plain(value)]), |step| spread(value, all.max(value), step)))
    }

    /// Maps 7 to 0, because both are Sunday.
    fn plain(&self, value: u16) -> u16 {
        if self.index == WEEKDAY { value % 7 } else { value }
    }

    fn range(&self, at: usize, first: &str, last: &str) -> Result<(u16, u16), RuleError> {
        let (from, mut to) = (self.value(at, first)?, self.value(at + first.len() + 1, last)?);
        if self.index == WEEKDAY && to == 0 && from > 0 {
            to = 7;
        }
        if from > to {
            let (top, bottom) = (if self.index == WEEKDAY { 6 } else { self.kind.last }, self.kind.first);
            return Err(self.wrong(at, format!("{first}-{last} runs backwards: write {from}-{top},{bottom}-{to}")));
        }
        Ok((from, to))
    }

    fn value(&self, at: usize, text: &str) -> Result<u16, RuleError> {
        if let Some(index) = self.kind.names.iter().position(|name| *name == text) {
            return Ok(self.kind.first_name + index as u16);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.unknown(at, text));
        }
        let value = text.parse().ok().filter(|value| (self.kind.first..=self.kind.last).contains(value));
        value.ok_or_else(|| self.wrong(at, format!("{} is not in {}", shown(text), self.allowed())))
    }

    fn step(&self, at: usize, text: &str) -> Result<u16, RuleError> {
        let step = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok());
        let longest = self.kind.last - self.kind.first + 1;
        step.filter(|step| (1..=longest).contains(step))
            .ok_or_else(|| self.wrong(at, format!("a step is a number from 1 to {longest}, and not {:?}", shown(text))))
    }

    /// Reads `H`, `H/15`, `H(0-29)` or `H(0-29)/10`: values that are derived from the task's name and never change.
    fn hashed(&self, at: usize, range: &str, step: Option<u16>) -> Result<Item, RuleError> {
        if self.kind.name == "year" {
            return Err(self.wrong(at, "H stands for no year"));
        }
        let (first, last) = if range.is_empty() {
            (self.kind.first, self.kind.last_spread)
        } else {
            let inner = range.strip_prefix('(').and_then(|range| range.strip_suffix(')')).and_then(|range| range.split_once('-'));
            let (first, last) =
                inner.ok_or_else(|| self.wrong(at, format!("expected H, H/5, H(0-29) or H(0-29)/5, and not H{}", shown(range))))?;
            self.range(at + 2, first, last)?
        };
        let span = step.map_or(last - first + 1, |step| step.min(last - first + 1));
        let start = first + (hash(self.task, self.index) % u64::from(span)) as u16;
        let values = (start..=last).step_by(usize::from(step.unwrap_or(u16::MAX)));
        Ok(Item::Values(values.map(|value| self.plain(value)).collect()))
    }

    /// Reads `L`, `LW`, `15W` for days of the month, and `5L`, `FRI#2` for weekdays.
    fn special(&self, at: usize, text: &str) -> Result<Option<String>, RuleError> {
        match self.index {
            DAY if text == "L" || text == "LW" => Ok(Some(text.to_owned())),
            DAY if text.ends_with('W') => {
                let day = self.value(at, text.strip_suffix('W').unwrap_or_default())?;
                Ok(Some(format!("{day}W")))
            }
            WEEKDAY if text == "L" => Err(self.wrong(at, "L follows a weekday here: 5L is the last Friday of the month")),
            WEEKDAY if text.ends_with('L') => {
                let day = self.value(at, text.strip_suffix('L').unwrap_or_default())?;
                Ok(Some(format!("{}L", self.plain(day))))
            }
            WEEKDAY => {
                let Some((day, nth)) = text.split_once('#') else { return Ok(None) };
                let plain = self.plain(self.value(at, day)?);
                let is_nth = matches!(nth, "1" | "2" | "3" | "4" | "5");
                let wrong = || self.wrong(at + day.len() + 1, format!("behind # stands 1 to 5, and not {:?}", shown(nth)));
                if is_nth { Ok(Some(format!("{plain}#{nth}"))) } else { Err(wrong()) }
            }
            _ => Ok(None),
        }
    }

    fn allowed(&self) -> String {
        let Kind { first, last, names, .. } = self.kind;
        match names {
            [] => format!("{first} to {last}"),
            [name, .., end] => format!("{first} to {last}, {name} to {end}"),
            [name] => format!("{first} to {last}, {name}"),
        }
    }

    fn unknown(&self, at: usize, text: &str) -> RuleError {
        let what = if text.is_empty() { "nothing stands where a value should".to_owned() } else { format!("{} is no value", shown(text)) };
        let special = match self.index {
            DAY => ", *, ?, L, LW, 15W",
            WEEKDAY => ", *, ?, 5L, 5#2",
            _ => ", *",
        };
        let hint = did_you_mean(text, self.kind.names.iter().copied());
        self.wrong(at, format!("{what}: allowed are {}{special}, lists, ranges 1-5 and steps */2{hint}", self.allowed()))
    }

    fn wrong(&self, column: usize, message: impl Into<String>) -> RuleError {
        RuleError { field: Some(self.kind.name), column, message: message.into() }
    }
}

/// FNV-1a hash of the task's name and the field. It must never change, because the times of every `H` depend on it.
pub(crate) fn hash(task: &str, field: usize) -> u64 {
    let bytes = task.bytes().chain([0xff, field as u8]);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The low bits of FNV are weak, so mix them.
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}
