//! Converts the records of rings and lane to wire events.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use monitor_core::image::{Call, End};
use monitor_core::record::Attachment;
use monitor_wire as wire;
use monitor_wire::{Event, MAX_TIME_US, ProcessEnded, ProcessId, ProcessStarted, RootId};
use serde::Deserialize;
use serde_json::Value;

use super::briefs::Rows;
use super::folds::Folds;
use super::{Estate, Queued};
use crate::program::{self, Calibration, ClockSample};

/// Replacement for an error message that was not found.
const NOT_FOUND: &str = "(its words were not found in the spool)";
const UNKNOWN: &str = "(unknown)";

/// Events that are in no batch yet, in order of time. They are serialized lazily, because their JSON is many times larger than the ring
/// records.
pub(crate) struct Events<'a> {
    estate: &'a Estate,
    clock: Clock,
    /// Errors of failed calls, by process.
    words: HashMap<u64, &'a Queued>,
    folds: Folds<'a>,
    rows: Rows,
    /// Time in ticks, a rank for events at the same time, and the source of the event.
    found: Vec<(u64, u8, Source<'a>)>,
}

enum Source<'a> {
    Start(&'a Call),
    End(&'a Call),
    Entry(&'a Queued),
    Fold(Box<Event>),
}

impl<'a> Events<'a> {
    pub(crate) fn of(estate: &'a Estate) -> Self {
        let clock = Clock::of(estate);
        let (mut words, mut found, mut started) = (HashMap::new(), Vec::new(), HashSet::new());
        for entry in &estate.entries {
            if entry.is_words {
                words.insert(entry.a, entry);
            } else {
                let (is_start, id) = told_by(entry);
                started.extend(id.filter(|_| is_start));
                found.push((entry.at, u8::from(!is_start), Source::Entry(entry)));
            }
        }
        // A program that was killed after writing the record and before clearing the frame leaves both. The call has ended.
        let ended: HashSet<u64> = estate.images.values().flat_map(|image| &image.ended).map(|call| call.id).collect();
        let mut seen = HashSet::new();
        let (mut folds, mut rows) = (Folds::of(estate), Rows::of(estate));
        for image in estate.images.values() {
            let is_told = |call: &Call, folds: &mut Folds<'_>| {
                let is_over = call.end.is_none() && ended.contains(&call.id);
                !is_over && seen.insert(call.id) && !folds.take(call, &clock)
            };
            for call in rows.told(estate, image, &clock, &mut folds, is_told) {
                if !started.contains(&call.id) {
                    found.push((call.start, 0, Source::Start(call)));
                }
                if let Some((at, _)) = call.end {
                    found.push((at, 1, Source::End(call)));
                }
            }
        }
        let message = |id: u64| Some(serde_json::from_slice::<wire::Error>(&words.get(&id)?.json).ok()?.message);
        let counted = folds.events(&clock).into_iter().chain(rows.events(estate, &folds, &clock, &message));
        found.extend(counted.map(|(at, event)| (at, 0, Source::Fold(Box::new(event)))));
        found.sort_by_key(|(at, order, _)| (*at, *order));
        Self { estate, clock, words, folds, rows, found }
    }

    /// Returns all events in batches of `count`.
    pub(crate) fn batches(&self, count: usize) -> impl Iterator<Item = Vec<Value>> {
        let batches = self.found.chunks(count).map(|found| found.iter().filter_map(|(.., source)| self.event(source)).collect::<Vec<_>>());
        batches.filter(|batch| !batch.is_empty())
    }

    fn event(&self, source: &Source<'_>) -> Option<Value> {
        let Self { estate, clock, words, folds, rows, .. } = self;
        match source {
            Source::Start(call) => start(estate, call, rows.parent_of(call, folds), clock),
            Source::End(call) => call.end.and_then(|(at, how)| end(estate, call, at, how, words, clock)),
            Source::Entry(entry) => stamped(entry, clock),
            Source::Fold(event) => serde_json::to_value(event).ok(),
        }
    }
}

/// Returns true if the entry is a start, and the process that it is about.
fn told_by(entry: &Queued) -> (bool, Option<u64>) {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type", borrow)]
        event_type: Cow<'a, str>,
        #[serde(default)]
        id: Option<ProcessId>,
    }
    let head: Option<Head<'_>> = serde_json::from_slice(&entry.json).ok();
    head.map_or((false, None), |head| (head.event_type == "process-started", head.id.map(ProcessId::get)))
}

/// Adds the times to an entry's event.
fn stamped(entry: &Queued, clock: &Clock) -> Option<Value> {
    let mut event: Value = serde_json::from_slice(&entry.json).ok()?;
    let fields = event.as_object_mut()?;
    let is_end = fields.get("type")?.as_str()? == "process-ended";
    fields.insert("time_us".to_owned(), clock.time_us(entry.at).into());
    // The start may be unknown where the process ends.
    if is_end && entry.a != 0 {
        fields.insert("elapsed_ns".to_owned(), clock.elapsed_ns(entry.a, entry.at).into());
    }
    Some(event)
}

fn start(estate: &Estate, call: &Call, parent_id: Option<ProcessId>, clock: &Clock) -> Option<Value> {
    let site = estate.program.sites.get(&u64::from(call.site));
    let thread = estate.images.values().find(|image| image.thread == call.thread && !image.thread_name.is_empty());
    let kind = site.map_or_else(|| wire::Kind::from("normal"), |site| site.kind.clone());
    let name = site.map_or_else(|| UNKNOWN.to_owned(), |site| site.name.clone());
    value(Event::ProcessStarted(ProcessStarted {
        parent_id,
        thread: Some(thread.map_or_else(|| "ended".to_owned(), |image| image.thread_name.clone())),
        source: site.map(|site| site.source.clone()),
        attachment: match call.attachment {
            Attachment::Explicit => wire::Attachment::EXPLICIT,
            Attachment::Inferred => wire::Attachment::INFERRED,
            Attachment::Unattached => wire::Attachment::UNATTACHED,
        },
        ..ProcessStarted::new(RootId::new(call.root)?, ProcessId::new(call.id)?, clock.time_us(call.start), kind, name)
    }))
}

fn end(estate: &Estate, call: &Call, at: u64, how: End, words: &HashMap<u64, &Queued>, clock: &Clock) -> Option<Value> {
    let error = |kind: &str| {
        let told = words.get(&call.id).and_then(|entry| serde_json::from_slice(&entry.json).ok());
        told.unwrap_or_else(|| wire::Error {
            kind: wire::ErrorKind::from(kind),
            type_name: None,
            message: NOT_FOUND.to_owned(),
            chain: Vec::new(),
            source: estate.program.sites.get(&u64::from(call.site)).filter(|_| kind == "error").map(|site| site.source.clone()),
            code: None,
            tail: None,
        })
    };
    let (outcome, error) = match how {
        End::Succeeded => (wire::Outcome::SUCCEEDED, None),
        End::Cancelled => (wire::Outcome::CANCELLED, None),
        End::Error => (wire::Outcome::FAILED, Some(error("error"))),
        End::Panic => (wire::Outcome::FAILED, Some(error("panic"))),
    };
    value(Event::ProcessEnded(ProcessEnded {
        elapsed_ns: Some(clock.elapsed_ns(call.start, at)),
        error,
        ..ProcessEnded::new(RootId::new(call.root)?, ProcessId::new(call.id)?, clock.time_us(at), outcome)
    }))
}

fn value(event: Event) -> Option<Value> {
    serde_json::to_value(event).ok()
}

/// Conversion of the program's ticks to time, as far as it is known.
pub(super) struct Clock(Calibration);

impl Clock {
    fn of(estate: &Estate) -> Self {
        let first = estate.program.header.map_or_else(ClockSample::default, |(_, clock)| clock);
        let known = estate.program.state.and_then(|state| state.clock);
        Self(known.unwrap_or_else(|| {
            let is_same_boot = estate.program.about.as_ref().is_some_and(|about| about.boot_id == program::boot_id());
            let ns_per_tick = if first.is_counter { measured(&first, is_same_boot) } else { 1.0 };
            Calibration { ticks: first.ticks, wall_ns: first.wall_ns, ns_per_tick }
        }))
    }

    /// Converts ticks to Unix microseconds.
    pub(super) fn time_us(&self, ticks: u64) -> u64 {
        let Self(Calibration { ticks: from, wall_ns, ns_per_tick }) = *self;
        let distance_ns = ticks.wrapping_sub(from) as i64 as f64 * ns_per_tick;
        let time_ns = i128::from(wall_ns).saturating_add(distance_ns as i128);
        u64::try_from(time_ns / 1_000).unwrap_or(0).min(MAX_TIME_US)
    }

    pub(super) fn elapsed_ns(&self, from: u64, to: u64) -> u64 {
        ((to.saturating_sub(from) as f64 * self.0.ns_per_tick) as u64).min(i64::MAX as u64)
    }
}

/// Estimates the length of a tick if the program did not live long enough to measure it: from the counter's progress since the program's
/// start, if the machine was not rebooted.
fn measured(first: &ClockSample, is_same_boot: bool) -> f64 {
    const LIKELY: f64 = 0.4;
    let now_ns = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let ticks = counter().saturating_sub(first.ticks);
    let measured = now_ns.saturating_sub(first.wall_ns) as f64 / ticks.max(1) as f64;
    // Valid frequencies are 200 MHz to 20 GHz. Otherwise the clock was set in between.
    if is_same_boot && (0.05..5.0).contains(&measured) { measured } else { LIKELY }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, unused_unsafe, reason = "whether the instruction is safe to call depends on the compiler's version")]
fn counter() -> u64 {
    // SAFETY: this is called only for a program on the same machine that has used the counter itself.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}
