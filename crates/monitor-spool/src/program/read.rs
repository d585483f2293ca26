//! Reads the file `program`.

use std::collections::HashMap;

use monitor_wire::{Registered, WorkerId};

use super::{
    About, Calibration, ClockSample, DROPS, ENDED, FACTOR, FOLLOWED, GIVEN_UP, IN_MEMORY, MAGIC, PAGE, STATES, State, TYPES, VERSION, check,
};
use crate::block::{self, Magic};

/// Maximum number of threads that may be between the two words of a counter when the program dies.
const BETWEEN: u64 = 64;

impl State {
    fn of([revision, acknowledged, next, ticks, wall_ns, ns_per_tick, lane]: [u64; 7]) -> Self {
        let ns_per_tick = f64::from_bits(ns_per_tick);
        let clock = (ns_per_tick.is_finite() && ns_per_tick > 0.0).then_some(Calibration { ticks, wall_ns, ns_per_tick });
        Self { revision, acknowledged, next, clock, lane }
    }
}

/// Content of the file `program`, as far as it is valid.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Layout of the rings and the first sample of the clocks. `None` if the header is damaged, or of another version.
    pub(crate) header: Option<(u64, ClockSample)>,
    /// Version of the file, if it differs from this build's.
    pub(crate) other_version: Option<u64>,
    pub(crate) state: Option<State>,
    pub(crate) about: Option<About>,
    /// Number of the last event acknowledged through a follower.
    pub(crate) followed: u64,
    /// Time at which the program exited, in Unix microseconds. `None` if it left no note.
    pub(crate) ended_us: Option<u64>,
    /// Call sites by number. Damaged sites are missing.
    pub(crate) sites: HashMap<u64, Registered>,
    /// Types and counts of dropped events.
    pub(crate) dropped: Vec<(&'static str, u64)>,
    /// True if only the journal must be sent.
    pub(crate) is_given_up: bool,
    /// Number of events that were only in the program's memory.
    pub(crate) in_memory: u64,
    pub(crate) damaged: u64,
}

impl Written {
    pub(crate) fn read(worker: WorkerId, bytes: &[u8]) -> Self {
        let mut written = Self::default();
        match line(worker, bytes, 0) {
            Some([MAGIC, VERSION, layout, is_counter, ticks, wall_ns, _]) => {
                written.header = Some((layout, ClockSample { ticks, wall_ns, is_counter: is_counter != 0 }));
            }
            Some([MAGIC, version, ..]) => written.other_version = Some(version),
            _ => written.damaged += 1,
        }
        let states = STATES.map(|at| line(worker, bytes, at).map(State::of));
        written.state = states.into_iter().flatten().max_by_key(|state| state.revision);
        written.damaged += u64::from(written.state.is_none());
        for (index, event_type) in TYPES.into_iter().enumerate() {
            let count = word(bytes, DROPS + index * 16);
            let again = word(bytes, DROPS + index * 16 + 8).wrapping_mul(INVERSE);
            if count.wrapping_sub(again) > BETWEEN {
                written.damaged += 1;
            } else if count > 0 {
                written.dropped.push((event_type, count));
            }
        }
        let twice = |at| super::twice([at, at + 8].map(|at| word(bytes, at)));
        written.followed = twice(FOLLOWED);
        written.in_memory = twice(IN_MEMORY);
        written.ended_us = Some(twice(ENDED)).filter(|time_us| (1..=monitor_wire::MAX_TIME_US).contains(time_us));
        // Decided by the majority of the bits, so that a single damaged bit has no effect.
        written.is_given_up = word(bytes, GIVEN_UP).count_ones() > 32;
        for item in block::Blocks::new(worker, bytes.get(PAGE..).unwrap_or_default()) {
            match item {
                block::Item::Block { header, payload, .. } if header.magic == Magic::Site && header.number == u64::MAX => {
                    written.about = serde_json::from_slice(payload).ok();
                }
                block::Item::Block { header, payload, .. } if header.magic == Magic::Site => {
                    written.sites.extend(serde_json::from_slice(payload).ok().map(|site| (header.number, site)));
                }
                _ => written.damaged += 1,
            }
        }
        written
    }
}

/// Multiplicative inverse of [`FACTOR`].
const INVERSE: u64 = {
    let (mut inverse, mut step) = (FACTOR, 0);
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(FACTOR.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
};

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

fn line(worker: WorkerId, bytes: &[u8], at: usize) -> Option<[u64; 7]> {
    bytes.get(at..at + 64)?;
    let words: [u64; 7] = std::array::from_fn(|index| word(bytes, at + index * 8));
    (word(bytes, at + 56) == check(worker, words)).then_some(words)
}
