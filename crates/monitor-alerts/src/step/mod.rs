//! The one place where it is decided who is told what and when.

mod fire;
mod relief;
mod tell;
mod tick;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertState, Decision, Hush, Note};
use crate::cause::Cause;
use crate::channel::Channel;
use crate::message::Message;
use crate::rule::{Rule, Times};
use crate::sign::{Sign, What};
use crate::state::{Key, State};

/// So long alerts with the same words join one message, counted from the last that joined.
pub(crate) const JOINING_US: u64 = 30_000_000;
/// So long at most a group is open.
pub(crate) const LONGEST_JOINING_US: u64 = 300_000_000;
/// What comes back within this time is the same alert.
pub(crate) const FLAPPING_US: u64 = 600_000_000;
/// A process that fails within this time after one below it has failed is not told.
pub(crate) const LEAF_US: u64 = 60_000_000;
/// So long a lost run is held back: if its machine isn't heard of either, that is told instead.
pub(crate) const HOLD_US: u64 = 30_000_000;
/// So far apart at least are looks at what time has brought before a sign.
const LOOK_US: u64 = 1_000_000;
/// Names that a message lists at most.
pub(crate) const MOST_NAMES: usize = 20;

/// What alerts are decided by, apart from signs.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// Rules: see [`rules`].
    pub rules: &'a [Rule],
    /// Channels by name.
    pub channels: &'a BTreeMap<String, Channel>,
    /// Snoozes and maintenance.
    pub hushes: &'a [Hush],
}

/// The rules that hold: those of the file, then those of the page, then the built-in ones whose names are not taken.
pub fn rules(of_file: &[Rule], of_page: &[Rule]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for rule in of_file.iter().chain(of_page).chain(&crate::builtin()) {
        if rules.iter().all(|known| known.name != rule.name) {
            rules.push(rule.clone());
        }
    }
    rules
}

/// What a step decided.
#[derive(Debug, Default)]
pub struct Step {
    /// What is to be sent.
    pub messages: Vec<Message>,
    /// Decisions.
    pub notes: Vec<Note>,
    /// Alerts that began or changed, as they are now.
    pub alerts: BTreeMap<u64, Alert>,
    /// Tasks to be started.
    pub orders: Vec<Order>,
    /// When the next step is due even without a sign, in Unix microseconds.
    pub wake_us: Option<u64>,
}

/// A task to be started because of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The alert. It starts one run at most.
    pub alert: u64,
    /// When that was decided, in Unix microseconds.
    pub time_us: u64,
    /// The rule that says so.
    pub rule: String,
    /// Name of the task.
    pub task: String,
    /// The run that is repeated, if it is one.
    pub repeats: Option<String>,
    /// The agent that ran it.
    pub agent: Option<String>,
}

/// Takes signs and the time, and decides. Each sign is taken in its own time: one that was stored before a crash and is taken after it means
/// what it would have meant, and what was due before it comes first.
pub fn step(state: &mut State, world: World<'_>, signs: &[Sign], now_us: u64) -> Step {
    let mut stepper = Stepper { state, world, now_us: 0, out: Step::default() };
    let mut looked_us = None::<u64>;
    for sign in signs {
        stepper.now_us = sign.time_us.min(now_us).max(stepper.now_us);
        // Many signs of one moment are one look.
        if looked_us.is_none_or(|looked_us| looked_us + LOOK_US <= stepper.now_us) {
            looked_us = Some(stepper.now_us);
            stepper.pass();
        }
        stepper.take(sign);
    }
    stepper.now_us = now_us.max(stepper.now_us);
    stepper.tick();
    stepper.out.wake_us = stepper.wake_us();
    stepper.out
}

/// Notes that somebody looks after an alert: it isn't escalated, and nobody is reminded. Returns false if it doesn't fire.
pub fn acknowledge(state: &mut State, alert: u64, who: &str, now_us: u64) -> Option<Step> {
    let key = state.key_of(alert)?;
    let live = state.live(&key).filter(|live| live.is_firing())?;
    live.alert.acknowledged_by = Some(who.to_owned());
    live.remind_us = None;
    let mut out = Step::default();
    out.alerts.insert(alert, live.alert.clone());
    let what = Decision::Acknowledged;
    out.notes.push(Note { alert, sign: 0, time_us: now_us, rule: key.rule, what, who: Some(who.to_owned()), detail: None });
    Some(out)
}

/// Ends an alert because somebody says that it is over. None if it doesn't fire.
pub fn resolve(state: &mut State, world: World<'_>, alert: u64, who: &str, now_us: u64) -> Option<Step> {
    let key = state.key_of(alert)?;
    state.live(&key).filter(|live| live.is_firing())?;
    let mut stepper = Stepper { state, world, now_us, out: Step::default() };
    stepper.end(&key, 0, Decision::Resolved, Some(&format!("{who} says that it is over")));
    Some(stepper.out)
}

pub(crate) struct Stepper<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) world: World<'a>,
    pub(crate) now_us: u64,
    pub(crate) out: Step,
}

impl Stepper<'_> {
    fn take(&mut self, sign: &Sign) {
        match sign.what {
            What::Relief(relief) => self.relieve(sign, relief),
            What::Cause(cause) => {
                if cause == Cause::Unknown {
                    self.state.common.away.insert(sign.subject.name.clone(), sign.time_us);
                }
                self.correct_lost(sign);
                if cause == Cause::Deleted {
                    self.drop_alerts_of(sign);
                }
                self.bad(sign, cause);
            }
        }
    }

    /// Judges a bad sign by all rules.
    fn bad(&mut self, sign: &Sign, cause: Cause) {
        let world = self.world;
        let is_asked = |rule: &Rule| match &sign.facts.rule {
            // Whether a share is reached depends on the rule.
            Some(name) => rule.name == *name,
            None => !matches!(rule.times, Times::Share(..)),
        };
        let fits = |rule: &&Rule| {
            is_asked(rule) && rule.on.cause.contains(&cause) && rule.on.fits(&sign.subject, sign.agent.as_deref(), &sign.facts)
        };
        let is_own = world.rules.iter().filter(fits).any(|rule| !rule.is_builtin);
        let noted = self.out.notes.len();
        for rule in world.rules.iter().filter(fits) {
            if is_own && rule.is_builtin {
                // Of what is only counted nothing is noted.
                if self.out.notes.len() > noted {
                    self.note(0, sign.seq, &rule.name, Decision::Overruled, None, None);
                }
                continue;
            }
            self.judge(rule, sign, cause);
        }
    }

    fn judge(&mut self, rule: &Rule, sign: &Sign, cause: Cause) {
        let key = Key { subject: sign.subject.clone(), rule: rule.name.clone() };
        let entry = self.state.entry(&key);
        entry.in_a_row = entry.in_a_row.saturating_add(1);
        let (have, is_enough) = match rule.times {
            Times::InARow(times) => (entry.in_a_row as usize, entry.in_a_row >= times),
            Times::Within(times, window) => {
                entry.times_us.push(sign.time_us);
                let from_us = sign.time_us.saturating_sub(window.as_micros() as u64);
                entry.times_us.retain(|time_us| *time_us > from_us);
                let most = times as usize;
                let beyond = entry.times_us.len().saturating_sub(most);
                entry.times_us.drain(..beyond);
                (entry.times_us.len(), entry.times_us.len() >= most)
            }
            Times::Share(..) => (1, true),
        };
        match entry.live.as_ref().map(|live| live.alert.state) {
            Some(AlertState::Firing) => self.grow(&key, sign),
            Some(AlertState::Resolved) if is_enough => self.reopen(rule, &key, sign, cause),
            _ if !is_enough => {
                self.note(0, sign.seq, &rule.name, Decision::TooFew, None, Some(format!("{have}, and the rule asks for {}", rule.times)));
            }
            _ => self.fire(rule, &key, sign, cause),
        }
    }

    pub(crate) fn note(&mut self, alert: u64, sign: u64, rule: &str, what: Decision, who: Option<String>, detail: Option<String>) {
        self.out.notes.push(Note { alert, sign, time_us: self.now_us, rule: rule.to_owned(), what, who, detail });
    }

    pub(crate) fn changed(&mut self, key: &Key) {
        if let Some(live) = self.state.live(key) {
            self.out.alerts.insert(live.alert.id, live.alert.clone());
        }
    }

    pub(crate) fn rule(&self, name: &str) -> Option<&Rule> {
        self.world.rules.iter().find(|rule| rule.name == name)
    }
}
