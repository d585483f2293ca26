//! Rules tried on stored signs.

use crate::alert::Alert;
use crate::sign::Sign;
use crate::state::State;
use crate::step::{Step, World, step};

/// What rules would have made of signs, the oldest first, up to a time.
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

/// Lets time pass.
fn pass(state: &mut State, world: World<'_>, wake_us: &mut Option<u64>, until_us: u64, all: &mut Replayed) {
    while let Some(at_us) = wake_us.filter(|at_us| *at_us <= until_us) {
        let made = step(state, world, &[], at_us);
        // Time goes on even if nothing came of it.
        *wake_us = made.wake_us.map(|next_us| next_us.max(at_us + 1));
        all.add(made);
    }
}

/// What rules would have made of signs.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The alerts, by number, as they were at the end.
    pub alerts: std::collections::BTreeMap<u64, Alert>,
    /// The messages.
    pub messages: Vec<crate::Message>,
    /// The decisions.
    pub notes: Vec<crate::Note>,
}

impl Replayed {
    fn add(&mut self, made: Step) {
        self.alerts.extend(made.alerts);
        self.messages.extend(made.messages);
        self.notes.extend(made.notes);
    }
}
