//! Applies rules to stored signs, so that a draft of a rule can be tried before it is used.

use crate::alert::Alert;
use crate::sign::Sign;
use crate::state::State;
use crate::step::{Step, World, step};

/// Applies the rules of `world` to `signs` (oldest first) and lets time pass until `until_us`.
pub fn replay(world: World<'_>, signs: &[Sign], until_us: u64) -> Replayed {
    let mut state = State::default();
    let mut all = Replayed::default();
    let mut wake_us = None;
    for sign in signs {
        pass(&mut state, world, &mut wake_us, sign.time_us, &mut all);
        let made = step(&mut state, world, std::slice::from_ref(sign), sign.time_us);
        wake_us = made.wake_us;
        all.add(made);
    }
    pass(&mut state, world, &mut wake_us, until_us, &mut all);
    all
}

/// Executes every step that is due without a sign until `until_us`.
fn pass(state: &mut State, world: World<'_>, wake_us: &mut Option<u64>, until_us: u64, all: &mut Replayed) {
    while let Some(at_us) = wake_us.filter(|at_us| *at_us <= until_us) {
        let made = step(state, world, &[], at_us);
        // Advance by at least a microsecond, so that the loop ends even if a step changes nothing.
        *wake_us = made.wake_us.map(|next_us| next_us.max(at_us + 1));
        all.add(made);
    }
}

/// Result of applying rules to stored signs.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Alerts by number, in their final state.
    pub alerts: std::collections::BTreeMap<u64, Alert>,
    /// Messages that would have been sent.
    pub messages: Vec<crate::Message>,
    /// Decisions that would have been recorded.
    pub notes: Vec<crate::Note>,
}

impl Replayed {
    fn add(&mut self, made: Step) {
        self.alerts.extend(made.alerts);
        self.messages.extend(made.messages);
        self.notes.extend(made.notes);
    }
}
