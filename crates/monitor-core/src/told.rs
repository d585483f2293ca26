//! Values that an attribute records for a call in addition to its start and end: arguments, fields, the
//! returned value, and a name made of these.

use std::any::type_name;
use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Debug, Display, Write};
use std::hash::{Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use crate::inside;
use crate::outcome::guarded;
use crate::own::Own;
use crate::record::{Fields, Site, Value};

/// Maximum length of a recorded value, in bytes.
const LONGEST: usize = 1024;
/// Maximum number of names of the calls of one function. Further calls are named by the pattern itself.
const MOST_NAMES: usize = 1_000;
/// Text in place of a value that must not leave the program.
const MASKED: &str = "[masked]";

/// Collected fields, and possibly a name.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub(crate) name: Option<String>,
    pub(crate) fields: Fields,
}

impl Told {
    /// Collects the values that `tell` adds. A panic ends the collection and is caught. Calls made by `tell` are not recorded.
    #[inline(never)]
    pub(crate) fn collect(tell: impl FnOnce(&mut Told)) -> Self {
        let _inside = inside::enter();
        let mut told = Told::default();
        guarded(AssertUnwindSafe(|| tell(&mut told)));
        told
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.name.is_none() && self.fields.is_empty()
    }

    /// Adds a value formatted by `Debug`. Numbers and booleans are added as such.
    pub fn debug<T: Debug + ?Sized>(&mut self, key: &'static str, value: &T) {
        let text = cut(format_args!("{value:?}"));
        let value = number(type_name::<T>().trim_start_matches('&'), &text).unwrap_or(Value::Text(text));
        self.fields.push((Cow::Borrowed(key), value));
    }

    /// Adds a value formatted by `Display`.
    pub fn display<T: Display + ?Sized>(&mut self, key: &'static str, value: &T) {
        self.fields.push((Cow::Borrowed(key), Value::Text(cut(format_args!("{value}")))));
    }

    /// Adds a placeholder for a value that must not be recorded.
    pub fn masked(&mut self, key: &'static str) {
        self.fields.push((Cow::Borrowed(key), Value::Text(MASKED.to_owned())));
    }

    /// Sets the name of this call, unless the function's calls have too many names.
    pub fn name(&mut self, site: &'static Site, name: fmt::Arguments<'_>) {
        let name = cut(name);
        if !name.trim().is_empty() && is_admitted(site, &name) {
            self.name = Some(name);
        }
    }
}

/// Parses numbers and booleans, so that they are recorded with their own type.
fn number(type_name: &str, text: &str) -> Option<Value> {
    match type_name {
        "bool" => text.parse().ok().map(Value::Bool),
        "i8" | "i16" | "i32" | "i64" | "isize" => text.parse().ok().map(Value::Signed),
        "u8" | "u16" | "u32" | "u64" | "usize" => text.parse::<u64>().ok().map(Value::from),
        "f32" | "f64" => text.parse().ok().map(Value::Float),
        _ => None,
    }
}

/// Hashes of the names of each site's calls.
static NAMES: Own<Mutex<HashMap<usize, HashSet<u64>>>> = Own::new();

fn is_admitted(site: &'static Site, name: &str) -> bool {
    if NAMES.get().is_none() {
        NAMES.set(Mutex::default());
    }
    let Some(names) = NAMES.get() else { return false };
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.entry(std::ptr::from_ref(site).addr()).or_default();
    names.contains(&hasher.finish()) || names.len() < MOST_NAMES && names.insert(hasher.finish())
}

/// Removes all entries in a forked child, because another thread of the parent may have been changing them.
pub(crate) fn forget() {
    NAMES.forget();
}

/// Returns the part of a text that fits, with the number of bytes cut. The rest is never held in memory.
fn cut(text: fmt::Arguments<'_>) -> String {
    let mut kept = Kept { text: String::new(), cut: 0 };
    if guarded(AssertUnwindSafe(|| kept.write_fmt(text))).is_none() {
        return "(its own description panicked)".to_owned();
    }
    if kept.cut > 0 {
        let Kept { text, cut } = &mut kept;
        let _ = write!(text, "… [{cut} bytes cut]");
    }
    kept.text
}

struct Kept {
    text: String,
    cut: usize,
}

impl Write for Kept {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = if self.cut > 0 { 0 } else { LONGEST - self.text.len() };
        let end = (0..=more.len().min(room)).rfind(|at| more.is_char_boundary(*at)).unwrap_or(0);
        self.text.push_str(&more[..end]);
        self.cut += more.len() - end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tell: impl FnOnce(&mut Told)) -> Vec<Value> {
        Told::collect(tell).fields.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn numbers_stay_numbers_and_other_values_become_text() {
        let values = told(|told| {
            told.debug("", &&7_u8);
            told.debug("", &-7_i64);
            told.debug("", &u64::MAX);
            told.debug("", &true);
            told.debug("", &0.5_f32);
            told.debug("", "text");
            told.debug("", &Some(7));
            told.debug("", &u128::MAX);
            told.display("", "text");
        });
        let text = |text: &str| Value::Text(text.to_owned());
        let numbers = [Value::Signed(7), Value::Signed(-7), Value::Unsigned(u64::MAX), Value::Bool(true), Value::Float(0.5)];
        let texts = [text("\"text\""), text("Some(7)"), text("340282366920938463463374607431768211455"), text("text")];
        assert_eq!(values, [numbers.as_slice(), texts.as_slice()].concat());
    }

    #[test]
    fn a_long_value_is_cut_between_characters_and_notes_the_cut_length() {
        let long = "ä".repeat(2_000);
        let values = told(|told| {
            told.display("", &long);
            told.debug("", &vec![0_u8; 1 << 20]);
            told.display("", &"x".repeat(LONGEST));
        });
        let texts: Vec<_> = values.iter().map(|value| if let Value::Text(text) = value { text.as_str() } else { "" }).collect();
        assert_eq!(texts[0], format!("{}… [2976 bytes cut]", "ä".repeat(512)));
        assert!(texts[1].starts_with("[0, 0,") && texts[1].ends_with(&format!("… [{} bytes cut]", 3 * (1 << 20) - 1024)), "{}", texts[1]);
        assert_eq!(texts[2], "x".repeat(LONGEST));
    }

    #[test]
    fn a_panic_ends_the_collection_and_keeps_the_earlier_values() {
        let values = told(|told| {
            told.debug("", &1);
            panic!("in an expression of the user's");
        });
        assert_eq!(values, [Value::Signed(1)]);
    }

    #[test]
    fn the_number_of_names_of_a_function_is_limited() {
        static SITE: Site = Site::new("import {table}", "normal", "", 0);
        let name = |n: usize| Told::collect(|told| told.name(&SITE, format_args!("import {n}"))).name;
        for n in 0..MOST_NAMES {
            assert_eq!(name(n), Some(format!("import {n}")));
        }
        assert_eq!((name(MOST_NAMES), name(0)), (None, Some("import 0".to_owned())));
    }
}
