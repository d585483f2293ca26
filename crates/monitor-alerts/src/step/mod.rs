//! Decides about each alert: recipients, channel and time of its messages. [`step()`] is the entry point.

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

/// Time that a group waits for further alerts, counted from the last alert that joined.
pub(crate) const JOINING_US: u64 = 30_000_000;
/// Maximum time that a group stays open.
pub(crate) const LONGEST_JOINING_US: u64 = 300_000_000;
/// Time after its end within which a recurring alert is reopened.
pub(crate) const FLAPPING_US: u64 = 600_000_000;
/// Time after which an alert about a job on many hosts ends by itself, in microseconds: a day. Unlike a task, a job may never run again.
pub(crate) const JOB_US: u64 = 86_400_000_000;
/// Time after the failure of a process that suppresses failures of its ancestors.
pub(crate) const LEAF_US: u64 = 60_000_000;
/// Time that a lost run is held back. If its machine turns out to be lost, the machine's alert is sent instead.
pub(crate) const HOLD_US: u64 = 30_000_000;
/// Minimum time between two checks for time-driven work while signs are processed.
const LOOK_US: u64 = 1_000_000;
/// Maximum number of names in a message.
pub(crate) const MOST_NAMES: usize = 20;

/// Settings that decisions depend on.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// Rules in effect, see [`rules`].
    pub rules: &'a [Rule],
    /// Channels by name.
    pub channels: &'a BTreeMap<String, Channel>,
    /// Snoozes and maintenance windows.
    pub hushes: &'a [Hush],
}

/// Returns the rules in effect: those of the file, then those of the page, then the built-in rules whose names are not taken.
pub fn rules(of_file: &[Rule], of_page: &[Rule]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for rule in of_file.iter().chain(of_page).chain(&crate::builtin()) {
        if rules.iter().all(|known| known.name != rule.name) {
            rules.push(rule.clone());
        }
    }
    rules
}

/// Result of a step.
#[derive(Debug, Default)]
pub struct Step {
    /// Messages to send.
    pub messages: Vec<Message>,
    /// Decisions, for the record.
    pub notes: Vec<Note>,
    /// Started or changed alerts, in their new state.
    pub alerts: BTreeMap<u64, Alert>,
    /// Tasks to start.
    pub orders: Vec<Order>,
    /// Time at which the next step is due even without a sign, in Unix microseconds.
    pub wake_us: Option<u64>,
}

/// A task to start because of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Number of the alert. An alert starts at most one run.
    pub alert: u64,
    /// Time of the decision, in Unix microseconds.
    pub time_us: u64,
    /// Name of the rule.
    pub rule: String,
    /// Name of the task.
    pub task: String,
    /// Id of the run to repeat, if the rule repeats runs.
    pub repeats: Option<String>,
    /// Agent that executed the run.
    pub agent: Option<String>,
}

/// Processes signs and the passage of time. Each sign is evaluated at the time at which it was stored, after all work that was due before
/// it. A sign that was stored before a crash and processed after it therefore has the same effect.
pub fn step(state: &mut State, world: World<'_>, signs: &[Sign], now_us: u64) -> Step {
    let mut stepper = Stepper { state, world, now_us: 0, out: Step::default() };
    let mut looked_us = None::<u64>;
    for sign in signs {
        stepper.now_us = sign.time_us.min(now_us).max(stepper.now_us);
        // Signs that are less than `LOOK_US` apart share one check.
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

/// Acknowledges an alert: escalation and reminders stop. Returns `None` if the alert is not firing.
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

/// Ends an alert at a person's request. Returns `None` if the alert is not firing.
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

    /// Evaluates all rules for a bad sign.
    fn bad(&mut self, sign: &Sign, cause: Cause) {
        let world = self.world;
        let is_asked = |rule: &Rule| match &sign.facts.rule {
            // The sign was derived for one rule, because each rule has its own share.
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
                // Written rules that only counted the sign produce no notes, so the built-in rule is not recorded as overruled either.
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
