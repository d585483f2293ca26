//! Generates trees as a program would record them, and the corresponding batches.

use std::fmt::Write as _;

/// The names of the processes; the first is the root's.
const NAMES: [&str; 20] = [
    "nightly build",
    "fetch sources",
    "resolve dependencies",
    "compile module",
    "link",
    "run unit tests",
    "run browser tests",
    "load table",
    "validate rows",
    "transform rows",
    "write partition",
    "upload artifact",
    "sign package",
    "publish",
    "notify",
    "open connection",
    "read page",
    "解析订单",
    "rebuild index",
    "clean up",
];
const MAX_DEPTH: usize = 5;
/// Number of single roots with the same batch mark.
pub(crate) const SHARED: u64 = 100;
/// 2026-01-01.
const BEGIN_US: u64 = 1_767_225_600_000_000;

/// How the processes of a load hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Trees of this number of processes, one after another on each connection.
    Trees(u32),
    /// Roots alone, [`SHARED`] of them in a row with the same batch mark.
    Batches,
    /// One tree per connection with all processes; ids ascend, as those of a recording thread do.
    Huge,
    /// Like `Huge` with random ids, as other recorders generate them.
    HugeRandom,
    /// Trees of 200 commands: of a kind of their own, with an exit code.
    Scripts,
    /// Trees of 200 queue tasks, reported by a bridge: sent with 200 bytes of arguments, received, started and ended, with the queue's id.
    Tasks,
}

impl Shape {
    /// Returns the number of events per process.
    pub(crate) fn events_per_process(self) -> u64 {
        if self == Self::Tasks { 4 } else { 2 }
    }
}

/// The worker that runs the tasks of [`Shape::Tasks`].
const RUNNER: &str = r#"{"id":"ce1e0000000000000000000000000007","hostname":"queue-3","pid":77,"program":"celery"}"#;

/// A process as it must be when all is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) name: usize,
    pub(crate) started_us: u64,
    pub(crate) elapsed_ns: u64,
    /// Number of its error, if it failed.
    pub(crate) error: Option<u64>,
    thread: usize,
}

/// A tree and the order of its events: +n starts process n - 1, -n ends it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: u128,
    pub(crate) batch: String,
    pub(crate) processes: Vec<Process>,
    events: Vec<i32>,
    shape: Shape,
}

impl Process {
    pub(crate) fn name(&self) -> &'static str {
        NAMES[self.name]
    }

    pub(crate) fn message(&self) -> Option<String> {
        self.error.map(|error| format!("no row for order {error} in table orders_{}", error % 7))
    }
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Tree number `number` of connection `connection`; the same numbers give the same tree.
pub(crate) fn tree(connection: u64, number: u64, size: u32, ids: Shape) -> Tree {
    let mut random = Random(connection << 40 | number);
    let mut now = BEGIN_US + number * 1_000_000 + connection * 1_000;
    // The client assigns ids in this way: the lower half of a tree's id is the id of its first process.
    let first_id = random.next() >> 1;
    let root = u128::from(now / 1_000) << 80 | u128::from(random.below(1 << 16)) << 64 | u128::from(first_id);
    let mut processes: Vec<Process> = Vec::with_capacity(size as usize);
    let mut events = Vec::with_capacity(2 * size as usize);
    let mut open: Vec<usize> = Vec::new();
    loop {
        now += 20 + random.below(3_000);
        let is_full = processes.len() == size as usize;
        let may_end = is_full || open.len() == MAX_DEPTH || (open.len() > 1 && random.below(2) == 0);
        if may_end {
            let Some(index) = open.pop() else { break };
            let process = &mut processes[index];
            process.elapsed_ns = (now - process.started_us) * 1_000 + random.below(1_000);
            process.error = (random.below(20) == 0).then(|| random.below(2_000));
            events.push(-(index as i32 + 1));
            if open.is_empty() {
                break;
            }
        } else {
            let index = processes.len();
            let id = if ids == Shape::HugeRandom && index > 0 { random.next() } else { first_id + index as u64 };
            processes.push(Process {
                id,
                parent: open.last().map(|parent| processes[*parent].id),
                name: if index == 0 { 0 } else { 1 + random.below(NAMES.len() as u64 - 1) as usize },
                started_us: now,
                elapsed_ns: 0,
                error: None,
                thread: open.len().min(2),
            });
            open.push(index);
            events.push(index as i32 + 1);
        }
    }
    let batch = if ids == Shape::Batches { number / SHARED } else { number };
    Tree { root, batch: format!("batch{connection:02}-{batch:06}"), processes, events, shape: ids }
}

impl Tree {
    /// Its events in their order: which process, and whether it starts.
    pub(crate) fn order(&self) -> impl Iterator<Item = (usize, bool)> {
        self.events.iter().map(|event| (event.unsigned_abs() as usize - 1, *event > 0))
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Writes the events of a step as JSON in the wire format; returns their number.
    pub(crate) fn write_event(&self, number: usize, json: &mut String) -> usize {
        let event = self.events[number];
        if self.shape == Shape::Tasks {
            return self.write_task(event, json);
        }
        let process = &self.processes[event.unsigned_abs() as usize - 1];
        let (root, id, ended_us) = (self.root, process.id, process.started_us + process.elapsed_ns / 1_000);
        let done = if event > 0 {
            let (kind, batch) = match process.parent {
                None => ("root", format!(r#","batch":"{}""#, self.batch)),
                Some(_) if self.shape == Shape::Scripts => ("script", String::new()),
                Some(_) => (if process.thread == 2 { "cross_thread" } else { "normal" }, String::new()),
            };
            let parent = process.parent.map_or("null".to_owned(), |parent| format!(r#""{parent:016x}""#));
            let (name, thread, line) = (process.name(), ["main", "loader", "pool-1"][process.thread], 10 * process.name + 7);
            write!(
                json,
                r#"{{"type":"process-started","root_id":"{root:032x}","id":"{id:016x}","time_us":{},"parent_id":{parent},"kind":"{kind}","name":"{name}"{batch},"thread":"{thread}","source":{{"file":"src/steps.rs","line":{line}}}}}"#,
                process.started_us
            )
        } else {
            let outcome = match process.message() {
                None => r#""succeeded""#.to_owned(),
                Some(message) => format!(
                    r#""failed","error":{{"kind":"error","type":"app::Error","message":"{message}","chain":["query failed"],"source":{{"file":"src/db.rs","line":88}}}}"#
                ),
            };
            let elapsed = process.elapsed_ns;
            let outcome = match (self.shape, process.error) {
                (Shape::Scripts, error) => format!(r#"{outcome},"exit_code":{}"#, i32::from(error.is_some())),
                _ => outcome,
            };
            write!(
                json,
                r#"{{"type":"process-ended","root_id":"{root:032x}","id":"{id:016x}","time_us":{ended_us},"elapsed_ns":{elapsed},"outcome":{outcome}}}"#
            )
        };
        done.expect("a string takes all");
        1
    }

    /// Writes an event of a queue task, as a bridge sends it.
    fn write_task(&self, event: i32, json: &mut String) -> usize {
        let process = &self.processes[event.unsigned_abs() as usize - 1];
        let (root, id, at, name) = (self.root, process.id, process.started_us, process.name());
        let native = format!("{id:016x}-{:016x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let common = |at: u64| format!(r#""root_id":"{root:032x}","id":"{id:016x}","time_us":{at},"native_id":"{native}""#);
        let parent = process.parent.map_or("null".to_owned(), |parent| format!(r#""{parent:016x}""#));
        let batch = if process.parent.is_none() { format!(r#","batch":"{}""#, self.batch) } else { String::new() };
        let done = if event > 0 {
            let arguments = format!("[{id}, '{}']", "customer, order, line, ".repeat(8));
            write!(
                json,
                r#"{{"type":"process-queued",{},"parent_id":{parent},"kind":"task","name":"{name}"{batch},"fields":{{"args":"{arguments:.200}"}}}},{{"type":"process-updated",{},"worker":{RUNNER},"fields":{{"received_us":{}}}}},{{"type":"process-started",{},"worker":{RUNNER},"parent_id":{parent},"kind":"task","name":"{name}"{batch}}}"#,
                common(at - 900),
                common(at - 400),
                at - 400,
                common(at)
            )
        } else {
            let outcome = process
                .message()
                .map_or(r#""succeeded""#.to_owned(), |message| format!(r#""failed","error":{{"kind":"error","message":"{message}"}}"#));
            let elapsed = process.elapsed_ns;
            write!(
                json,
                r#"{{"type":"process-ended",{},"worker":{RUNNER},"elapsed_ns":{elapsed},"outcome":{outcome}}}"#,
                common(at + elapsed / 1_000)
            )
        };
        done.expect("a string takes all");
        if event > 0 { 3 } else { 1 }
    }
}
