//! Simulates a month of outages and flapping from a seed and compares the messages with a simple model that handles one subject at a time.
//! The state is serialized and restored at random moments, as after a crash. In a second mode, signs are processed late and in batches.

use std::collections::BTreeMap;

use monitor_alerts::{Cause, Facts, Relief, Settings, Sign, State, Subject, SubjectKind, What, World, rules, step};

const SECOND: u64 = 1_000_000;
const JOINING: u64 = 30 * SECOND;
const LONGEST: u64 = 300 * SECOND;
const FLAPPING: u64 = 600 * SECOND;
const BEGIN: u64 = 1_772_452_800 * SECOND;

/// Xorshift generator: the same sequence for a seed on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Simple model of a subject.
#[derive(Default)]
struct Model {
    is_firing: bool,
    /// End time of the alert, if it has ended.
    ended: Option<u64>,
    has_alert: bool,
    returns: u32,
    recovery_is_told: bool,
    /// Time until which failures join a message, time at which the message was opened, and true if failures have joined.
    burst: Option<(u64, u64, bool)>,
    settles: Option<u64>,
    told: Vec<(u64, &'static str)>,
}

impl Model {
    fn pass(&mut self, now: u64) {
        if let Some((until, _, grew)) = self.burst.filter(|(until, ..)| *until <= now) {
            if grew && self.is_firing {
                self.told.push((until, "updated"));
            }
            self.burst = None;
        }
        if let Some(at) = self.settles.filter(|at| *at <= now) {
            self.told.push((at, "resolved"));
            self.recovery_is_told = true;
            self.settles = None;
        }
        if !self.is_firing && self.settles.is_none() && self.ended.is_some_and(|ended| ended + FLAPPING <= now) {
            *self = Self { told: std::mem::take(&mut self.told), ..Self::default() };
        }
    }

    fn fails(&mut self, now: u64) {
        self.pass(now);
        if self.is_firing {
            self.burst = self.burst.map(|(_, from, _)| ((now + JOINING).min(from + LONGEST), from, true));
        } else if !self.has_alert {
            self.told.push((now, "fired"));
            self.burst = Some((now + JOINING, now, false));
        } else {
            self.returns += 1;
            self.settles = None;
            self.burst = None;
            if self.recovery_is_told {
                self.told.push((now, "updated"));
                self.burst = Some((now + JOINING, now, false));
            }
        }
        (self.is_firing, self.has_alert, self.recovery_is_told) = (true, true, false);
    }

    fn succeeds(&mut self, now: u64) {
        self.pass(now);
        if !self.is_firing {
            return;
        }
        (self.is_firing, self.ended) = (false, Some(now));
        if self.returns == 0 {
            self.told.push((now, "resolved"));
            self.recovery_is_told = true;
            self.burst = None;
        } else {
            self.settles = Some(now + FLAPPING);
        }
    }
}

fn sign(seq: u64, now: u64, subject: &str, is_bad: bool) -> Sign {
    let what = if is_bad { What::Cause(Cause::Failed) } else { What::Relief(Relief::Succeeded) };
    let facts = Facts { shape: Some(format!("words of {subject}")), ..Facts::default() };
    let subject = Subject::new(SubjectKind::Task, subject);
    Sign { seq, time_us: now, what, subject, root: None, process: None, agent: None, ancestors: Vec::new(), facts }
}

/// Processing mode of signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// Each sign at once, and time-driven steps when they are due.
    AtOnce,
    /// Several signs in one step, with no steps in between.
    Late,
}

fn simulate(seed: u64, taking: Taking) {
    let text = "[[rule]]\nname = \"own\"\non = { cause = [\"failed\"] }\nto = [\"ops\"]\n\
                [channel.ops]\nkind = \"slack\"\nurl = \"http://127.0.0.1:9/\"\nrate = 1000000\n";
    let settings = Settings::from_toml(text).unwrap();
    let rules = rules(&settings.rules, &[]);
    let world = World { rules: &rules, channels: &settings.channels, hushes: &[] };
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut state = State::default();
    let mut models: BTreeMap<String, Model> = (0..5).map(|n| (format!("task-{n}"), Model::default())).collect();
    let (mut now, mut wake, mut told) = (BEGIN, None::<u64>, Vec::new());
    let mut waiting: Vec<Sign> = Vec::new();
    for seq in 1..=3_000 {
        // Random distances, mostly short, sometimes hours. Microseconds make collisions with other due times unlikely.
        let pause = match random.below(10) {
            0 => random.below(7_200_000),
            1..=3 => random.below(700_000),
            _ => random.below(40_000),
        };
        // Signs in one step that are less than a second apart are treated as simultaneous.
        let least = if taking == Taking::Late { SECOND } else { 1 };
        let next = now + 1_000 * pause + least + random.below(999);
        while let Some(at) = wake.filter(|at| *at <= next && waiting.is_empty()) {
            let made = step(&mut state, world, &[], at);
            told.extend(made.messages);
            wake = made.wake_us.map(|wake| wake.max(at + 1));
        }
        now = next;
        let subject = format!("task-{}", random.below(5));
        let is_bad = random.below(3) > 0;
        let model = models.get_mut(&subject).unwrap();
        if is_bad {
            model.fails(now);
        } else {
            model.succeeds(now);
        }
        waiting.push(sign(seq, now, &subject, is_bad));
        if taking == Taking::Late && random.below(3) > 0 {
            continue;
        }
        let made = step(&mut state, world, &std::mem::take(&mut waiting), now);
        told.extend(made.messages);
        wake = made.wake_us;
        if random.below(50) == 0 {
            let read = |text: String| serde_json::from_str(&text).unwrap();
            let entries: Vec<_> = state.entries().map(|(key, entry)| (key.clone(), read(serde_json::to_string(entry).unwrap()))).collect();
            let common = serde_json::from_str(&serde_json::to_string(state.common()).unwrap()).unwrap();
            state = State::new(entries, common);
        }
    }
    told.extend(step(&mut state, world, &waiting, now).messages);
    let ids: std::collections::BTreeSet<_> = told.iter().map(|message| &message.id).collect();
    assert_eq!(ids.len(), told.len(), "seed {seed}: each message has an id of its own");
    for (subject, mut model) in models {
        model.pass(now);
        let mut found: Vec<_> =
            told.iter().filter(|message| message.subject.name == subject).map(|message| (message.time_us, message.kind.as_str())).collect();
        assert!(model.told.len() > 20, "seed {seed}: {subject} is a case");
        if taking == Taking::Late {
            // Time-driven messages are sent with the next step, so their times are not compared.
            found.iter_mut().chain(&mut model.told).for_each(|(time_us, _)| *time_us = 0);
        }
        assert_eq!(found, model.told, "seed {seed}: {subject}");
    }
}

#[test]
fn messages_are_those_of_a_simple_model() {
    for seed in 1..=20 {
        simulate(seed, Taking::AtOnce);
    }
}

#[test]
fn signs_processed_late_have_the_same_effect_as_in_time() {
    for seed in 1..=20 {
        simulate(seed, Taking::Late);
    }
}
