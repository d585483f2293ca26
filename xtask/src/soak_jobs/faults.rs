//! The faults of a round, from a seed.

use std::time::Duration;

use crate::hosts::COUNT;

/// Period with new faults.
const WINDOW_MS: u64 = 10_000;

/// An action at a time of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    StartJob,
    /// Starts the hosts again that have not accepted the order.
    RetryNotStarted,
    KillServer,
    StartServer,
    KillAgent(usize),
    StartAgent(usize),
    /// Sets the links of these hosts down.
    Cut(Vec<usize>),
    /// Sets the links of these hosts up.
    Heal(Vec<usize>),
}

/// Everything that happens in a round.
#[derive(Debug)]
pub(super) struct Plan {
    /// The actions in the order of their times.
    pub(super) actions: Vec<(Duration, Action)>,
    /// Duration of the script in seconds.
    pub(super) script_s: u64,
    /// Value of `--retry`: the number of times that the server tries hosts again that it could not reach.
    pub(super) retries: u64,
}

impl Plan {
    /// Returns the plan of a seed. Two plans in ten cut hosts while their orders are sent.
    pub(super) fn new(seed: u64) -> Self {
        match seed % 10 {
            8 => Self::of_cut_orders(seed, Some(ms(35_000))),
            9 => Self::of_cut_orders(seed, None),
            _ => Self::of_faults(seed),
        }
    }

    /// Returns a plan that cuts hosts one by one while orders and their confirmations are sent, until the server has given them up. They are
    /// tried again, by a command at `retry` or by the server. A host that has begun must not begin again.
    fn of_cut_orders(seed: u64, retry: Option<Duration>) -> Self {
        let mut random = Random(seed);
        let mut actions = vec![(Duration::ZERO, Action::StartJob)];
        // The server itself tries again when the order has expired, after a minute.
        let length = if retry.is_some() { 42_000 } else { 60_000 };
        for place in random.places(COUNT / 2) {
            let begin = 20 + random.below(250);
            actions.push((ms(begin), Action::Cut(vec![place])));
            actions.push((ms(begin + length + random.below(10_000)), Action::Heal(vec![place])));
        }
        actions.extend(retry.map(|at| (at, Action::RetryNotStarted)));
        actions.sort_by_key(|(at, _)| *at);
        Self { actions, script_s: 1 + random.below(6), retries: if retry.is_some() { 0 } else { 2 } }
    }

    /// Returns a plan with all kinds of faults.
    fn of_faults(seed: u64) -> Self {
        let mut random = Random(seed);
        let start = random.below(WINDOW_MS / 2);
        let mut actions = vec![(ms(start), Action::StartJob)];
        let mut add = |begin: u64, duration: u64, first: Action, last: Action| {
            actions.push((ms(begin), first));
            actions.push((ms(begin + duration), last));
        };
        // Times at which the server is down do not overlap, so that it is never started twice.
        let mut free = 0;
        for _ in 0..random.below(3) {
            let (begin, duration) = (random.moment(start).max(free), random.below(3_000));
            add(begin, duration, Action::KillServer, Action::StartServer);
            free = begin + duration + 500;
        }
        let killed = random.below(13) as usize;
        for place in random.places(killed) {
            let (begin, duration) = (random.moment(start), random.below(5_000));
            add(begin, duration, Action::KillAgent(place), Action::StartAgent(place));
        }
        // A host that misses two heartbeats in 20 seconds is reported as unreachable: one cut in three is longer.
        for _ in 0..random.below(3) {
            let cut = 1 + random.below(20) as usize;
            let places = random.places(cut);
            let is_long = random.below(3) == 0;
            let duration = if is_long { 20_000 + random.below(20_000) } else { random.below(8_000) };
            add(random.moment(start), duration, Action::Cut(places.clone()), Action::Heal(places));
        }
        actions.sort_by_key(|(at, _)| *at);
        let retries = if random.below(3) == 0 { 2 } else { 0 };
        Self { actions, script_s: 1 + random.below(6), retries }
    }

    /// Describes the plan in a line.
    pub(super) fn summary(&self) -> String {
        let count = |is_counted: fn(&Action) -> bool| self.actions.iter().filter(|(_, action)| is_counted(action)).count();
        let server = count(|action| matches!(action, Action::KillServer));
        let agents = count(|action| matches!(action, Action::KillAgent(_)));
        let cuts = self.actions.iter().filter_map(|(_, action)| if let Action::Cut(places) = action { Some(places.len()) } else { None });
        let cut: usize = cuts.sum();
        let length = self.actions.last().map_or(0, |(at, _)| at.as_secs());
        format!(
            "script {} s, kills: server {server}, agents {agents}; links down {cut}; --retry {}; faults for {length} s",
            self.script_s, self.retries
        )
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A generator of numbers (`SplitMix64`), so that a seed repeats a round.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Returns the begin of a fault. Half of the faults begin in the second after the start of the job, while orders are sent and accepted.
    fn moment(&mut self, start: u64) -> u64 {
        if self.below(2) == 0 { start + self.below(1_000) } else { self.below(WINDOW_MS) }
    }

    /// Returns `number` different hosts.
    fn places(&mut self, number: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..COUNT).collect();
        for at in (1..places.len()).rev() {
            places.swap(at, self.below(at as u64 + 1) as usize);
        }
        places.truncate(number);
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_plan_and_each_fault_ends() {
        for seed in 0..500 {
            let plan = Plan::new(seed);
            assert_eq!(plan.actions, Plan::new(seed).actions);
            let count = |is_counted: &dyn Fn(&Action) -> bool| plan.actions.iter().filter(|(_, action)| is_counted(action)).count();
            assert_eq!(count(&|action| *action == Action::StartJob), 1);
            let kills = count(&|action| matches!(action, Action::KillAgent(_)));
            assert_eq!(kills, count(&|action| matches!(action, Action::StartAgent(_))));
            let cuts = count(&|action| matches!(action, Action::Cut(_)));
            assert_eq!(cuts, count(&|action| matches!(action, Action::Heal(_))));
            let mut is_up = true;
            for (_, action) in &plan.actions {
                match action {
                    Action::KillServer => assert!(std::mem::replace(&mut is_up, false), "seed {seed}"),
                    Action::StartServer => assert!(!std::mem::replace(&mut is_up, true), "seed {seed}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn the_plans_differ() {
        let plans: Vec<Plan> = (0..100).map(Plan::new).collect();
        let with =
            |is_found: fn(&Action) -> bool| plans.iter().filter(|plan| plan.actions.iter().any(|(_, action)| is_found(action))).count();
        assert!((30..100).contains(&with(|action| *action == Action::KillServer)));
        assert!((30..100).contains(&with(|action| matches!(action, Action::Cut(_)))));
        assert!((10..80).contains(&plans.iter().filter(|plan| plan.retries > 0).count()));
    }
}
