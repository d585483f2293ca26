//! Time rules, which determine when a task is due.
//!
//! A rule consists of five, six or seven fields, or is a name such as `@daily`, an interval such as `@every 90s`, `@boot`, or a single
//! time. Fields are split and read here, so that errors contain positions. croner searches in civil time, and [`dst`] maps the results to
//! instants.

pub mod dst;
mod error;
mod field;
mod search;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

pub use error::RuleError;
pub(crate) use field::hash;
use search::Calendar;

use crate::near::{did_you_mean, shown};

/// Maximum length of a rule, in bytes.
const LONGEST: usize = 1_000;

/// Names with their equivalent fields.
const NAMES: [(&str, &str); 8] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
    ("@minutely", "* * * * *"),
];

/// A parsed time rule.
#[derive(Debug, Clone)]
pub struct Rule {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Fields of civil time.
    Calendar(Box<Calendar>),
    /// Each multiple of this number of seconds since 1970-01-01T00:00:00Z.
    Every(i64),
    /// Each boot of the machine.
    Boot,
    /// A civil time in the task's zone.
    OnceCivil(civil::DateTime),
    /// An instant, written with its offset.
    Once(Timestamp),
}

impl Rule {
    /// Parses a rule. The values of `H` are derived from the task's name.
    ///
    /// # Errors
    /// The first mistake with its position.
    pub fn parse(text: &str, task: &str) -> Result<Self, RuleError> {
        if text.len() > LONGEST {
            return Err(RuleError::new(1, format!("a rule has at most {LONGEST} bytes, and this one has {}", text.len())));
        }
        let trimmed = text.trim();
        let kind = if let Some(name) = trimmed.strip_prefix('@') {
            named(text, name, task)?
        } else if looks_like_a_date(trimmed) {
            once(trimmed)?
        } else {
            Kind::Calendar(Box::new(Calendar::parse(text, task)?))
        };
        Ok(Self { text: trimmed.to_owned(), kind })
    }

    /// Returns the rule as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if the rule fires only at boot.
    pub fn is_boot(&self) -> bool {
        matches!(self.kind, Kind::Boot)
    }

    /// Returns the first due time after `after`, in whole seconds. `None` if there is none.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.kind {
            Kind::Calendar(calendar) => calendar.next(after, zone),
            Kind::Every(seconds) => {
                let whole = after.as_nanosecond().div_euclid(1_000_000_000) as i64;
                Timestamp::from_second((whole.div_euclid(*seconds) + 1).checked_mul(*seconds)?).ok()
            }
            Kind::Boot => None,
            Kind::OnceCivil(at) => Some(dst::instant(*at, zone)?).filter(|at| *at > after),
            Kind::Once(at) => Some(*at).filter(|at| *at > after),
        }
    }

    /// Returns the civil time in the rule that corresponds to `due`, if the clock skips that time and the task is due at the first instant
    /// after the gap.
    pub fn moved_from(&self, due: Timestamp, zone: &TimeZone) -> Option<civil::DateTime> {
        let (from, to) = dst::gap_that_ends_at(due, zone)?;
        let named = match &self.kind {
            Kind::Calendar(calendar) => calendar.first_between(from, to)?,
            Kind::OnceCivil(at) => *at,
            _ => return None,
        };
        (from <= named && named < to).then_some(named)
    }
}

/// Returns the first due time of several rules after `after`.
pub fn next_of(rules: &[Rule], after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    rules.iter().filter_map(|rule| rule.next(after, zone)).min()
}

fn named(text: &str, name: &str, task: &str) -> Result<Kind, RuleError> {
    let column = text.chars().take_while(|c| c.is_whitespace()).count() + 1;
    let mut words = name.splitn(2, char::is_whitespace);
    let word = format!("@{}", words.next().unwrap_or_default().to_lowercase());
    let rest = words.next().unwrap_or_default().trim();
    if word == "@every" {
        let at = column + 7;
        let every = monitor_duration::read(rest).map_err(|expected| RuleError::new(at, format!("{}: {expected}", shown(rest))))?;
        if every.as_secs() == 0 || every.subsec_nanos() != 0 {
            return Err(RuleError::new(at, format!("{}: @every takes whole seconds, one at least", shown(rest))));
        }
        return Ok(Kind::Every(every.as_secs() as i64));
    }
    let known = NAMES.iter().map(|(name, _)| *name).chain(["@boot", "@reboot", "@every"]);
    let fields = NAMES.iter().find(|(name, _)| *name == word).map(|(_, fields)| *fields);
    if !rest.is_empty() && (fields.is_some() || word == "@boot" || word == "@reboot") {
        let at = column + word.chars().count() + 1;
        return Err(RuleError::new(at, format!("nothing follows {word}, but {} does", shown(rest))));
    }
    match fields {
        Some(fields) => Ok(Kind::Calendar(Box::new(Calendar::parse(fields, task)?))),
        None if word == "@boot" || word == "@reboot" => Ok(Kind::Boot),
        None => {
            let all = known.clone().collect::<Vec<_>>().join(", ");
            Err(RuleError::new(
                column,
                format!("{} is no name of a rule{} Names are {all}", shown(&word), ended(&did_you_mean(&word, known))),
            ))
        }
    }
}

/// Formats a hint as the end of a sentence.
fn ended(hint: &str) -> String {
    if hint.is_empty() { ".".to_owned() } else { hint.to_owned() }
}

/// Returns true for `2026-12-24…`, which can't be the start of a field.
fn looks_like_a_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 7
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5].is_ascii_digit()
        && bytes[6].is_ascii_digit()
        && bytes.get(7) == Some(&b'-')
}

fn once(text: &str) -> Result<Kind, RuleError> {
    let whole_seconds = |nanoseconds: i32| nanoseconds == 0;
    if let Ok(at) = text.parse::<Timestamp>() {
        if whole_seconds(at.subsec_nanosecond()) {
            return Ok(Kind::Once(at));
        }
    } else if let Ok(at) = text.parse::<civil::DateTime>()
        && whole_seconds(at.subsec_nanosecond())
    {
        return Ok(Kind::OnceCivil(at));
    }
    Err(RuleError::new(
        1,
        format!(
            "{} is no time: expected one such as 2026-12-24T18:00, or with an offset 2026-12-24T18:00:00+01:00, in whole seconds",
            shown(text)
        ),
    ))
}
