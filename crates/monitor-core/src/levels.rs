//! Levels that determine which starts are reported: a level for all processes, and further levels for kinds and names (`MONITOR_EVENTS`).
//!
//! The level applies when a process begins. If the start was reported, the end is reported too, regardless of the level at that time. The
//! levels may change while the program runs. Each site caches its level and looks it up again after a change.

mod glob;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::own::Own;
use crate::record::{Origin, Site};
use crate::{filter, inside, site};

/// Maximum number of directives of a program.
pub const MOST_RULES: usize = 64;
/// Maximum length of a kind or of a pattern of names, in bytes.
pub const LONGEST_PATTERN: usize = 512;

/// Selection of the starts that are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum EventLevel {
    /// All processes.
    #[default]
    All = 0,
    /// Processes that begin a tree or this program's part of a tree, queue tasks, and failures.
    Roots = 1,
    /// No processes.
    Off = 2,
    /// Like [`Roots`](Self::Roots), and like [`All`](Self::All) while a client watches this program.
    Watched = 3,
}

impl EventLevel {
    /// Names of all levels.
    pub const NAMES: [&str; 4] = ["all", "roots", "off", "watched"];

    /// Returns the name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    fn of(number: u8) -> Option<Self> {
        [Self::All, Self::Roots, Self::Off, Self::Watched].get(usize::from(number)).copied()
    }

    /// Returns the level that `Watched` currently corresponds to; other levels are returned unchanged.
    fn settled(self) -> Self {
        match self {
            Self::Watched if IS_WATCHED.load(Ordering::Relaxed) => Self::All,
            Self::Watched => Self::Roots,
            level => level,
        }
    }
}

impl FromStr for EventLevel {
    type Err = NoLevels;

    fn from_str(text: &str) -> Result<Self, NoLevels> {
        let name = text.trim();
        let number = Self::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
        number.and_then(|number| Self::of(number as u8)).ok_or(NoLevels)
    }
}

/// A directive: the level of processes with a kind, with a name that matches a pattern, with both, or of all processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Kind. `None` for all kinds.
    pub kind: Option<String>,
    /// Pattern of names, with `*` for any characters and `?` for a single character. `None` for all names.
    pub name: Option<String>,
    /// Level of the matching processes.
    pub level: EventLevel,
}

impl Rule {
    /// Creates the rule for all processes.
    pub fn of_all(level: EventLevel) -> Self {
        Self { kind: None, name: None, level }
    }

    /// Returns true if the rule applies to all processes.
    pub fn is_of_all(&self) -> bool {
        self.kind.is_none() && self.name.is_none()
    }

    fn fits(&self, kind: &str, name: &str) -> bool {
        self.kind.as_ref().is_none_or(|own| own == kind) && self.name.as_ref().is_none_or(|pattern| glob::fits(pattern, name))
    }
}

/// Parses `LEVEL`, `KIND:LEVEL`, `NAME=LEVEL` or `KIND:NAME=LEVEL`. A name may contain colons: a double colon
/// doesn't separate a kind from a name.
impl FromStr for Rule {
    type Err = NoLevels;

    fn from_str(text: &str) -> Result<Self, NoLevels> {
        let pattern = |text: &str| Some(text.to_owned()).filter(|text| (1..=LONGEST_PATTERN).contains(&text.len())).ok_or(NoLevels);
        if let Some((named, level)) = text.rsplit_once('=') {
            let (kind, name) = match named.trim().split_once(':') {
                Some((kind, name)) if is_kind(kind) && !name.starts_with(':') => (Some(kind.to_owned()), name),
                _ => (None, named.trim()),
            };
            return Ok(Self { kind, name: Some(pattern(name.trim())?), level: level.parse()? });
        }
        match text.rsplit_once(':') {
            Some((kind, level)) if is_kind(kind.trim()) => {
                Ok(Self { kind: Some(pattern(kind.trim())?), name: None, level: level.parse()? })
            }
            Some(_) => Err(NoLevels),
            None => Ok(Self::of_all(text.parse()?)),
        }
    }
}

/// Returns true if the text is a valid kind.
pub fn is_kind(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level.as_str();
        match (&self.kind, &self.name) {
            (None, None) => f.write_str(level),
            (Some(kind), None) => write!(f, "{kind}:{level}"),
            (None, Some(name)) => write!(f, "{name}={level}"),
            (Some(kind), Some(name)) => write!(f, "{kind}:{name}={level}"),
        }
    }
}

/// All directives of a program, separated by commas. The last matching directive applies. Without a matching directive, the level is `all`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels(pub Vec<Rule>);

/// Error for a directive that can't be parsed, or for too many directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoLevels;

impl FromStr for Levels {
    type Err = NoLevels;

    fn from_str(text: &str) -> Result<Self, NoLevels> {
        let directives = text.split(',').map(str::trim).filter(|directive| !directive.is_empty());
        let rules: Vec<Rule> = directives.map(str::parse).collect::<Result<_, _>>()?;
        if rules.len() > MOST_RULES { Err(NoLevels) } else { Ok(Self(rules)) }
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(EventLevel::All.as_str());
        }
        self.0.iter().enumerate().try_for_each(|(at, rule)| write!(f, "{}{rule}", if at > 0 { "," } else { "" }))
    }
}

impl Levels {
    /// Returns the level of processes with this kind and name.
    pub fn level(&self, kind: &str, name: &str) -> EventLevel {
        self.0.iter().rev().find(|rule| rule.fits(kind, name)).map_or(EventLevel::All, |rule| rule.level)
    }

    /// Returns the levels that processes may have.
    fn possible(&self) -> impl Iterator<Item = EventLevel> {
        let last_of_all = self.0.iter().rposition(Rule::is_of_all);
        let rest = if last_of_all.is_none() { Some(EventLevel::All) } else { None };
        self.0[last_of_all.unwrap_or(0)..].iter().map(|rule| rule.level).chain(rest)
    }

    /// Returns the level of all processes. `None` if they may have different levels.
    fn of_all(&self) -> Option<EventLevel> {
        let mut possible = self.possible();
        let first = possible.next()?;
        possible.all(|level| level == first).then_some(first)
    }
}

/// Value of a cached level that must be looked up.
const UNKNOWN: u8 = u8::MAX;

/// The current directives. A forked child sets them again.
static RULES: Own<RwLock<Levels>> = Own::new();
/// The level of all processes, if they have the same level.
static OF_ALL: AtomicU8 = AtomicU8::new(EventLevel::All as u8);
static IS_WATCHED: AtomicBool = AtomicBool::new(false);
/// Cached level of each attributed function, by number.
static SITES: Own<Box<[AtomicU8]>> = Own::new();
/// Cached levels of the callsites of spans.
static CALLSITES: [AtomicU8; site::MOST] = [const { AtomicU8::new(UNKNOWN) }; site::MOST];

/// Sets the directives. Other modules call [`switch::set_levels`](crate::switch::set_levels).
pub(crate) fn set(levels: &Levels) {
    let _inside = inside::enter();
    if RULES.get().is_none() {
        RULES.set(RwLock::default());
    }
    if SITES.get().is_none() {
        SITES.set(site::registered().iter().map(|_| AtomicU8::new(UNKNOWN)).collect());
    }
    let Some(rules) = RULES.get() else { return };
    let mut rules = rules.write().unwrap_or_else(PoisonError::into_inner);
    rules.clone_from(levels);
    OF_ALL.store(levels.of_all().map_or(UNKNOWN, |level| level as u8), Ordering::Relaxed);
    // A lookup stores its result while it holds the lock, so no result of the old directives is stored after this.
    for known in SITES.get().into_iter().flat_map(|sites| sites.iter()).chain(&CALLSITES) {
        known.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// Sets if a client watches this program.
pub(crate) fn set_watched(is_watched: bool) {
    IS_WATCHED.store(is_watched, Ordering::Relaxed);
}

/// Returns the current directives.
pub fn get() -> Levels {
    RULES.get().map(|rules| rules.read().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
}

/// Returns the current level of all processes, if they have the same level. Ignores the filter.
pub(crate) fn of_all() -> Option<EventLevel> {
    if let Some(level) = EventLevel::of(OF_ALL.load(Ordering::Relaxed)) {
        return Some(level.settled());
    }
    // Different levels may be equal while the program is watched, or while it isn't.
    let rules = RULES.get()?.read().unwrap_or_else(PoisonError::into_inner);
    let mut possible = rules.possible().map(EventLevel::settled);
    let first = possible.next()?;
    possible.all(|level| level == first).then_some(first)
}

/// Returns the level of processes of this site.
pub(crate) fn at(site: &'static Site) -> EventLevel {
    let number = site::number(site, site::first());
    let known = match SITES.get().and_then(|sites| sites.get(number)) {
        Some(known) => Some(known),
        None => site::callsite(site).map(|number| &CALLSITES[number]),
    };
    let level = known.and_then(|known| EventLevel::of(known.load(Ordering::Relaxed)));
    level.unwrap_or_else(|| look_up(site, known)).settled()
}

#[cold]
#[inline(never)]
fn look_up(site: &'static Site, known: Option<&AtomicU8>) -> EventLevel {
    let _inside = inside::enter();
    if !filter::allows(site) {
        if let Some(known) = known {
            known.store(EventLevel::Off as u8, Ordering::Relaxed);
        }
        return EventLevel::Off;
    }
    let Some(rules) = RULES.get() else { return EventLevel::All };
    let rules = rules.read().unwrap_or_else(PoisonError::into_inner);
    let level = rules.level(site.kind, site.name);
    if let Some(known) = known {
        known.store(level as u8, Ordering::Relaxed);
    }
    level
}

/// Returns the level of processes with this origin.
pub(crate) fn of(origin: &Origin) -> EventLevel {
    match origin {
        Origin::Site(site) => at(site),
        Origin::Named(named) => of_named(&named.kind, &named.name),
    }
}

/// Returns the level of processes with this kind and name.
pub(crate) fn of_named(kind: &str, name: &str) -> EventLevel {
    match (EventLevel::of(OF_ALL.load(Ordering::Relaxed)), RULES.get()) {
        (Some(level), _) => level.settled(),
        (None, Some(rules)) => rules.read().unwrap_or_else(PoisonError::into_inner).level(kind, name).settled(),
        (None, None) => EventLevel::All,
    }
}

/// Resets the levels in a forked child, because another thread of the parent may have held the lock. The child sets its own.
pub(crate) fn forget() {
    RULES.forget();
    OF_ALL.store(EventLevel::All as u8, Ordering::Relaxed);
    IS_WATCHED.store(false, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_directive_that_fits_decides() {
        use EventLevel::{All, Off, Roots, Watched};
        let processes = [("normal", "render a"), ("span", "render b"), ("span", "GET /"), ("root", "db::query"), ("task", "render")];
        for (text, expected, of_all) in [
            ("", [All; 5], Some(All)),
            ("roots", [Roots; 5], Some(Roots)),
            (" OFF ", [Off; 5], Some(Off)),
            ("watched,", [Watched; 5], Some(Watched)),
            ("all,span:off,render*=roots", [Roots, Roots, Off, All, Roots], None),
            ("render*=roots,span:off", [Roots, Off, Off, All, Roots], None),
            ("off,span:render*=all", [Off, All, Off, Off, Off], None),
            ("db::*=off", [All, All, All, Off, All], None),
            ("normal:all,roots", [Roots; 5], Some(Roots)),
            ("GET /=off,roots,root:roots", [Roots; 5], Some(Roots)),
            ("render ?=off", [Off, Off, All, All, All], None),
        ] {
            let levels: Levels = text.parse().expect(text);
            assert_eq!(processes.map(|(kind, name)| levels.level(kind, name)), expected, "{text}");
            assert_eq!(levels.of_all(), of_all, "{text}");
            let again: Levels = levels.to_string().parse().expect(text);
            assert_eq!(processes.map(|(kind, name)| again.level(kind, name)), expected, "{text}");
        }
    }

    #[test]
    fn invalid_directives_are_refused() {
        let many = vec!["roots"; MOST_RULES + 1].join(",");
        let long = format!("{}=off", "x".repeat(LONGEST_PATTERN + 1));
        let texts = ["loud", "render*", "span:loud", "=off", "a=", "a=loud", "span:=off", ":off", "a b:off", "a::b:off", &many, &long];
        for text in texts {
            assert_eq!(text.parse::<Levels>(), Err(NoLevels), "{text}");
        }
    }
}
