//! Omits the events below tests that passed within a second, and below most of the programs that slow tests start.
//!
//! `cargo monitor test` starts a program of tests. [`PassedTests`] reads all events of that program, and of the programs that its tests
//! start, before they are sent. An event stays in the spool until its fate is decided, so a crash loses none. A test that has not ended
//! when its program is dead is shown with all its rows.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use monitor_wire::{Outcome, ProcessId, RootId, WorkerId, WorkerRef};
use serde::Deserialize;

use crate::events;

/// Duration above which a test keeps its rows, and so does a program that a test has started.
const LONGEST: Duration = Duration::from_secs(1);
/// Number of programs per test that keep their rows if the test does, in addition to failed and slow programs.
const MAX_PROGRAMS: u32 = 3;
/// Default time after which events with an unknown test are shown. The start of a process above them was lost, and unacknowledged events
/// fill the spool.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Default limit of held events per program, in bytes.
const MAX_HELD_BYTES: usize = 64 << 20;
/// Maximum number of remembered processes that have ended. Above it, the oldest are forgotten.
const MAX_KNOWN: usize = 500_000;
/// Maximum number of steps from a process up to its test. A damaged spool may contain cycles.
const MAX_STEPS: usize = 1_000;

/// Decides for all programs of a launch which events are below a test that passed within a second.
#[derive(Debug)]
pub struct PassedTests {
    /// Pid of the program of tests.
    pid: u32,
    /// Process of the program; its children are the tests.
    program: Option<(RootId, ProcessId)>,
    tests: HashMap<ProcessId, Test>,
    /// Processes below tests.
    above: HashMap<ProcessId, Above>,
    /// Number of ended programs per test that keep their rows.
    programs: HashMap<ProcessId, u32>,
    /// Programs started by tests, whose events have all been read.
    dead: HashSet<WorkerId>,
    /// Folded calls and ended calls, oldest first.
    order: VecDeque<ProcessId>,
    max_held_bytes: usize,
    longest_wait: Duration,
    /// True if a spool of the program was found.
    is_found: bool,
    /// True if all events of the program were read.
    is_over: bool,
}

/// A process below a test.
#[derive(Debug, Clone, Copy)]
struct Above {
    /// The test, or the nearest known process above it. In a program that a test has started, this is the uppermost known process of that
    /// program. For that process itself, it is the call that started the program.
    up: ProcessId,
    worker: WorkerId,
    /// True if no rows are shown below it in a slow test. `None` while it runs.
    is_plain: Option<bool>,
}

/// A child of the process of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Runs {
        started_us: u64,
    },
    /// Passed within a second.
    Passed,
    /// Took longer, or has been running for longer.
    Slow,
    /// Failed or cancelled.
    Shown,
}

/// Decision about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Shown,
    LeftOut,
    /// Not decided yet.
    Open,
}

/// Tree and process of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EventKey {
    root_id: RootId,
    id: ProcessId,
}

/// Members of an event that the decision depends on.
#[derive(Debug, Deserialize)]
pub(crate) struct EventHead<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(default)]
    root_id: Option<RootId>,
    #[serde(default)]
    id: Option<ProcessId>,
    #[serde(default)]
    parent_id: Option<ProcessId>,
    #[serde(default)]
    time_us: u64,
    #[serde(default)]
    elapsed_ns: Option<u64>,
    #[serde(default)]
    outcome: Option<Outcome>,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    running: u64,
}

impl<'a> EventHead<'a> {
    /// Parses the events of a JSON array, each with its bytes. `None` if one of them is not an event.
    pub(crate) fn all(json: &'a [u8]) -> Option<Vec<(&'a [u8], Self)>> {
        events::split(json)?.into_iter().map(|event| Some((event, serde_json::from_slice(event).ok()?))).collect()
    }

    /// Returns `None` for an event without a process, such as a heartbeat.
    pub(crate) fn key(&self) -> Option<EventKey> {
        Some(EventKey { root_id: self.root_id?, id: self.id? })
    }
}

impl PassedTests {
    /// Creates the decisions for the launch whose first process has this pid.
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            program: None,
            tests: HashMap::new(),
            above: HashMap::new(),
            programs: HashMap::new(),
            dead: HashSet::new(),
            order: VecDeque::new(),
            max_held_bytes: MAX_HELD_BYTES,
            longest_wait: LONGEST_WAIT,
            is_found: false,
            is_over: false,
        }
    }

    /// Limits the bytes of held events per program. Above the limit, the test with the most bytes is shown with all its rows.
    #[must_use]
    pub fn holding_back(self, max_held_bytes: usize) -> Self {
        Self { max_held_bytes, ..self }
    }

    /// Shows events whose test is unknown after this time.
    #[must_use]
    pub fn waiting_for_tests(self, longest_wait: Duration) -> Self {
        Self { longest_wait, ..self }
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    pub(crate) fn max_held_bytes(&self) -> usize {
        self.max_held_bytes
    }

    /// Returns true if the worker is the program of tests, and not a program started by a test.
    pub fn is_program(&self, worker: &WorkerRef) -> bool {
        worker.pid == self.pid
    }

    /// Notes that the spool of the program of tests was found. From here on, events of programs started by its tests wait for the events in
    /// it.
    pub fn found_program(&mut self) {
        self.is_found = true;
    }

    /// Notes that all events of the program of tests were read. Tests that have not ended are shown with all their rows.
    pub fn program_is_over(&mut self) {
        self.is_over = true;
        for test in self.tests.values_mut().filter(|test| matches!(test, Test::Runs { .. })) {
            *test = Test::Shown;
        }
    }

    /// Shows tests that run for more than a second.
    pub(crate) fn show_slow(&mut self, slow_tests: impl IntoIterator<Item = ProcessId>) {
        for id in slow_tests {
            if let Some(test @ Test::Runs { .. }) = self.tests.get_mut(&id) {
                *test = Test::Slow;
            }
        }
    }

    /// Notes that all events of a program were read. Processes that have not ended keep their rows.
    pub(crate) fn is_dead(&mut self, worker: &WorkerRef) {
        self.dead.insert(worker.id);
    }

    /// Reads the events of a batch. A parent may come after its children.
    pub(crate) fn learn<'a, 'b: 'a>(&mut self, worker: &WorkerRef, heads: impl Iterator<Item = &'a EventHead<'b>> + Clone) {
        let is_program = self.is_program(worker);
        if is_program && self.program.is_none() {
            let root = heads.clone().find(|head| head.event_type == "process-started" && head.parent_id.is_none());
            self.program = root.and_then(|head| head.root_id.zip(head.id));
        }
        for head in heads.clone().filter(|head| matches!(&*head.event_type, "process-started" | "process-folded")) {
            self.begun(worker, is_program, head);
        }
        for head in heads.filter(|head| head.event_type == "process-ended") {
            self.ended(is_program, head);
        }
    }

    fn begun(&mut self, worker: &WorkerRef, is_program: bool, head: &EventHead<'_>) {
        let (Some(id), Some(parent)) = (head.id, head.parent_id) else { return };
        if !is_program || self.program.is_none_or(|(_, program)| program != parent) {
            let up = match self.above.get(&parent).filter(|_| !self.tests.contains_key(&parent)) {
                Some(above) if is_program || self.is_in(worker.id, above.up) => above.up,
                _ => parent,
            };
            let is_plain = self.above.get(&id).and_then(|above| above.is_plain);
            let is_new = self.above.insert(id, Above { up, worker: worker.id, is_plain }).is_none();
            if is_new && head.event_type == "process-folded" {
                self.forget_later(id);
            }
        } else if head.event_type == "process-started" {
            self.tests.entry(id).or_insert_with(|| Test::Runs { started_us: head.time_us });
        } else if head.failed > 0 || head.running > 0 {
            self.tests.insert(id, Test::Shown);
        } else {
            // A brief test is folded. Each folded call took less than a second.
            self.tests.entry(id).or_insert(Test::Passed);
        }
    }

    /// Remembers that a process has ended, and forgets the oldest if there are too many.
    fn forget_later(&mut self, id: ProcessId) {
        self.order.push_back(id);
        if self.order.len() > MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.above.remove(&oldest);
        }
    }

    fn ended(&mut self, is_program: bool, head: &EventHead<'_>) {
        if let Some((id, above)) = head.id.and_then(|id| Some((id, *self.above.get(&id)?))) {
            if !is_program && !self.is_in(above.worker, above.up) {
                self.program_ended(id, head);
            }
            return self.forget_later(id);
        }
        let Some(test @ Test::Runs { .. }) = head.id.and_then(|id| self.tests.get_mut(&id)) else { return };
        let Test::Runs { started_us } = *test else { return };
        let elapsed = head.elapsed_ns.map_or_else(|| Duration::from_micros(head.time_us.saturating_sub(started_us)), Duration::from_nanos);
        *test = match head.outcome == Some(Outcome::SUCCEEDED) {
            _ if elapsed > LONGEST => Test::Slow,
            true => Test::Passed,
            false => Test::Shown,
        };
    }

    /// Handles the end of the uppermost process of a program that a test has started.
    fn program_ended(&mut self, id: ProcessId, head: &EventHead<'_>) {
        let is_brief = head.elapsed_ns.is_some_and(|elapsed| Duration::from_nanos(elapsed) <= LONGEST);
        let programs = self.programs.entry(self.top_of(id)).or_default();
        let may_be_plain = *programs >= MAX_PROGRAMS;
        *programs = MAX_PROGRAMS.min(*programs + 1);
        if let Some(above) = self.above.get_mut(&id) {
            above.is_plain = Some(may_be_plain && is_brief && head.outcome == Some(Outcome::SUCCEEDED));
        }
    }

    /// Returns true if the process is known and belongs to this program.
    fn is_in(&self, worker: WorkerId, id: ProcessId) -> bool {
        self.above.get(&id).is_some_and(|above| above.worker == worker)
    }

    /// Returns the uppermost process of the program that a test has started, above or equal to the process of an event.
    fn program_of(&self, worker: WorkerId, id: ProcessId) -> ProcessId {
        let up = |id: &ProcessId| Some(self.above.get(id)?.up).filter(|up| self.is_in(worker, *up));
        std::iter::successors(Some(id), up).take(MAX_STEPS).last().unwrap_or(id)
    }

    /// Decides about an event of a worker, based on the events read so far.
    pub(crate) fn fate(&self, worker: &WorkerRef, key: EventKey) -> Fate {
        let is_program = self.is_program(worker);
        match self.program {
            // Another tree, or the process of the program itself.
            Some((root_id, id)) if root_id != key.root_id || id == key.id => return Fate::Shown,
            Some(_) => {}
            None if is_program || self.is_over || !self.is_found => return Fate::Shown,
            None => return Fate::Open,
        }
        if self.tests.contains_key(&key.id) && !self.above.contains_key(&key.id) {
            return Fate::Shown;
        }
        match self.tests.get(&self.top(key)) {
            Some(Test::Runs { .. }) => Fate::Open,
            Some(Test::Passed) => Fate::LeftOut,
            // The call above it has not been written yet.
            None if !self.is_over => Fate::Open,
            Some(Test::Slow) if !is_program => self.fate_in_program(worker.id, key.id),
            Some(Test::Shown | Test::Slow) | None => Fate::Shown,
        }
    }

    /// Decides about an event of a program that a slow test has started.
    fn fate_in_program(&self, worker: WorkerId, id: ProcessId) -> Fate {
        let program = self.program_of(worker, id);
        match self.above.get(&program).and_then(|above| above.is_plain) {
            _ if program == id => Fate::Shown,
            Some(true) => Fate::LeftOut,
            None if !self.is_over && !self.dead.contains(&worker) => Fate::Open,
            Some(false) | None => Fate::Shown,
        }
    }

    /// Shows the processes below a program that has run for long, if its test is slow.
    pub(crate) fn show_program(&mut self, worker: &WorkerRef, key: EventKey) {
        if self.tests.get(&self.top(key)) == Some(&Test::Slow) {
            let program = self.program_of(worker.id, key.id);
            if let Some(above) = self.above.get_mut(&program) {
                above.is_plain = above.is_plain.or(Some(false));
            }
        }
    }

    /// Shows all events below the test above this event, even if the test passes.
    pub(crate) fn show(&mut self, key: EventKey) {
        self.tests.insert(self.top(key), Test::Shown);
    }

    /// Returns true if a test is known above the process of an event. Otherwise the start of a call between them is not written yet, or is
    /// lost.
    pub(crate) fn has_test(&self, key: EventKey) -> bool {
        self.tests.contains_key(&self.top(key))
    }

    /// Returns the test above the process of an event, or the uppermost known process.
    pub(crate) fn top(&self, key: EventKey) -> ProcessId {
        self.top_of(key.id)
    }

    fn top_of(&self, mut id: ProcessId) -> ProcessId {
        for _ in 0..MAX_STEPS {
            match self.above.get(&id) {
                Some(above) if !self.tests.contains_key(&id) => id = above.up,
                _ => break,
            }
        }
        id
    }

    /// Returns the process whose end decides about an event: the test, or the uppermost process of the program that the test has started.
    pub(crate) fn decided_by(&self, worker: &WorkerRef, key: EventKey) -> ProcessId {
        let program = self.program_of(worker.id, key.id);
        if self.is_program(worker) || program == key.id { self.top(key) } else { program }
    }
}
