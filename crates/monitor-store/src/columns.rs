//! A whole tree as binary columns, over which the page lays typed arrays. The format is documented in `docs/internals/columns.md`.

use std::fmt::Write as _;

use foldhash::{HashMap, HashMapExt as _};
use monitor_state::{Node, Placed};
use monitor_wire::{Dropped, Error, Kind, Process, ProcessId, Root, Source, State, WorkerId};
use serde::Serialize;
use serde_json::Value;

/// Media type of the format.
pub const MEDIA_TYPE: &str = "application/vnd.process-monitor.tree";

const MAGIC: &[u8; 8] = b"PMTREE01";
/// Index of a missing table entry.
pub const NOWHERE: u32 = u32::MAX;
/// Code of states without a code of their own. The name of such a state is one of the rare values of a process.
const OTHER_STATE: u8 = 255;
const IS_ORPHAN: u8 = 1;
const HAS_MORE: u8 = 2;
const IS_DEEP: u8 = 4;
/// Maximum number of processes or table entries in one part.
const PART: usize = 16_384;

/// Codes of the kinds of parts.
mod kind {
    pub(super) const END: u32 = 0;
    pub(super) const HEAD: u32 = 1;
    pub(super) const SITES: u32 = 2;
    pub(super) const ORIGINS: u32 = 3;
    pub(super) const ERRORS: u32 = 4;
    pub(super) const PROCESSES: u32 = 5;
    pub(super) const MORE: u32 = 6;
}

/// A tree that was read from one snapshot. The iterator returns the parts of the response.
pub struct TreeColumns {
    /// Values of the tree as a whole.
    pub head: Head,
    /// Table of names, kinds and source locations.
    pub sites: Vec<Site>,
    /// Table of workers and threads.
    pub origins: Vec<Origin>,
    /// Table of errors.
    pub errors: Vec<Error>,
    /// Processes, in no particular order.
    pub rows: Vec<Cells>,
    /// Rare values of processes as JSON, by index in `rows`.
    pub more: HashMap<u32, String>,
    /// Positions of the processes in pre-order, with indexes in `rows`.
    pub placed: Vec<Placed>,
    next: Next,
}

/// Values of the tree as a whole.
#[derive(Serialize)]
pub struct Head {
    /// The root as lists show it.
    pub root: Root,
    /// Number of parents that were ignored because they would close a cycle.
    pub ignored_parents: u64,
    /// Number of parents that were ignored because the process would be deeper than the server's `max-depth`.
    pub deep_parents: u64,
    /// Numbers of events of the tree that workers dropped.
    pub dropped: Vec<Dropped>,
    /// Number of the latest change that is included.
    pub as_of: u64,
    /// Number of processes.
    pub count: usize,
}

/// Name, kind and source location that several processes may share.
#[derive(Serialize)]
pub struct Site {
    /// Name of the processes.
    pub name: String,
    /// Their kind.
    pub kind: Kind,
    /// Source file and line.
    pub source: Option<Source>,
}

/// Worker and thread that several processes may share.
#[derive(Serialize)]
pub struct Origin {
    /// The worker.
    pub worker_id: Option<WorkerId>,
    /// Name of the thread.
    pub thread: Option<String>,
}

/// Values of a process. Unknown times are [`UNKNOWN`], indexes of missing entries are [`NOWHERE`].
#[derive(Debug, Clone, Copy)]
pub struct Cells {
    /// Id of the process.
    pub id: ProcessId,
    /// Start, in Unix microseconds.
    pub started_us: u64,
    /// End, in Unix microseconds.
    pub ended_us: u64,
    /// Duration, in nanoseconds.
    pub elapsed_ns: u64,
    /// Index in [`TreeColumns::sites`].
    pub site: u32,
    /// Index in [`TreeColumns::origins`].
    pub origin: u32,
    /// Index in [`TreeColumns::errors`].
    pub error: u32,
    /// Code of the state, see [`state_code`].
    pub state: u8,
}

/// An unknown time or duration.
pub const UNKNOWN: u64 = u64::MAX;

enum Next {
    Head,
    Sites(usize),
    Origins(usize),
    Errors(usize),
    Processes(usize),
    More(usize, usize),
    Nothing,
}

impl TreeColumns {
    /// Creates a tree without processes and reserves space for `count` of them.
    pub fn new(head: Head, count: usize) -> Self {
        let (rows, more) = (Vec::with_capacity(count), HashMap::new());
        Self { head, sites: Vec::new(), origins: Vec::new(), errors: Vec::new(), rows, more, placed: Vec::new(), next: Next::Head }
    }

    /// Returns the approximate number of bytes needed to read a tree of `count` processes.
    pub fn bytes_of(count: usize) -> usize {
        count.saturating_mul(size_of::<Cells>() + size_of::<Placed>() + size_of::<Node>())
    }

    /// Returns the approximate memory size in bytes.
    pub fn bytes(&self) -> usize {
        let more: usize = self.more.values().map(|more| size_of::<(u32, String)>() + more.len()).sum();
        size_of_val(&*self.rows) + size_of_val(&*self.placed) + more
    }

    /// Adds the reported parent of an orphan to the rare values of the process at `index` in `rows`.
    pub fn add_told_parent(&mut self, index: u32, parent: ProcessId) {
        let more = self.more.entry(index).or_insert_with(|| "{}".to_owned());
        let rest = if more.len() > 2 { format!(",{}", &more[1..]) } else { "}".to_owned() };
        *more = format!(r#"{{"parent_id":"{parent}"{rest}"#);
    }

    fn processes(&self, first: usize) -> Vec<u8> {
        let placed = &self.placed[first..self.placed.len().min(first + PART)];
        let rows = || placed.iter().map(|placed| &self.rows[placed.index as usize]);
        let mut bytes = Vec::with_capacity(64 * placed.len() + 64);
        put_u32(&mut bytes, placed.len() as u32);
        put_u32(&mut bytes, first as u32);
        rows().for_each(|row| bytes.extend_from_slice(&row.id.get().to_le_bytes()));
        for time in [|row: &Cells| row.started_us, |row: &Cells| row.ended_us, |row: &Cells| row.elapsed_ns] {
            rows().map(time).for_each(|time| put_f64(&mut bytes, time));
        }
        placed.iter().map(|placed| placed.below.unwrap_or(NOWHERE)).for_each(|place| put_u32(&mut bytes, place));
        for place in [|row: &Cells| row.site, |row: &Cells| row.origin, |row: &Cells| row.error] {
            rows().map(place).for_each(|place| put_u32(&mut bytes, place));
        }
        placed.iter().map(|placed| placed.depth).for_each(|depth| put_u32(&mut bytes, depth));
        bytes.extend(rows().map(|row| row.state));
        bytes.extend(placed.iter().map(|placed| {
            let flag = |is_so, flag| if is_so { flag } else { 0 };
            let has_more = self.more.contains_key(&placed.index);
            flag(placed.is_orphan, IS_ORPHAN) | flag(has_more, HAS_MORE) | flag(placed.is_deep, IS_DEEP)
        }));
        part(kind::PROCESSES, bytes, 0)
    }

    /// Returns the part with the rare values of the processes from `first` to `end` in pre-order. Returns an empty list if there are none.
    fn more(&self, first: usize, end: usize) -> Vec<u8> {
        let mut json = String::new();
        for (place, placed) in (first..end).zip(&self.placed[first..end]) {
            if let Some(more) = self.more.get(&placed.index) {
                json.push(if json.is_empty() { '[' } else { ',' });
                write!(json, "[{place},{more}]").expect("a string takes all");
            }
        }
        if json.is_empty() {
            return Vec::new();
        }
        json.push(']');
        part(kind::MORE, json.into_bytes(), b' ')
    }
}

impl Iterator for TreeColumns {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let count = self.placed.len();
        let (bytes, next) = match self.next {
            Next::Head => ([MAGIC.to_vec(), json(kind::HEAD, &self.head)].concat(), Next::Sites(0)),
            Next::Sites(at) => table(kind::SITES, &self.sites, at, Next::Sites, Next::Origins(0)),
            Next::Origins(at) => table(kind::ORIGINS, &self.origins, at, Next::Origins, Next::Errors(0)),
            Next::Errors(at) => table(kind::ERRORS, &self.errors, at, Next::Errors, Next::Processes(0)),
            Next::Processes(at) if at < count => (self.processes(at), Next::More(at, count.min(at + PART))),
            Next::More(first, end) => (self.more(first, end), Next::Processes(end)),
            Next::Processes(_) => (part(kind::END, Vec::new(), 0), Next::Nothing),
            Next::Nothing => return None,
        };
        self.next = next;
        Some(bytes)
    }
}

fn table<T: Serialize>(kind: u32, table: &[T], at: usize, go_on: impl Fn(usize) -> Next, then: Next) -> (Vec<u8>, Next) {
    let end = table.len().min(at + PART);
    let bytes = if at < end { json(kind, &table[at..end]) } else { Vec::new() };
    (bytes, if end < table.len() { go_on(end) } else { then })
}

fn json(kind: u32, value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    part(kind, serde_json::to_vec(value).expect("plain data with text keys is JSON"), b' ')
}

/// Encodes a part: kind, length, and content padded to a multiple of 8 bytes.
fn part(kind: u32, mut content: Vec<u8>, filler: u8) -> Vec<u8> {
    content.resize(content.len().next_multiple_of(8), filler);
    let mut bytes = Vec::with_capacity(8 + content.len());
    put_u32(&mut bytes, kind);
    put_u32(&mut bytes, content.len() as u32);
    bytes.append(&mut content);
    bytes
}

fn put_u32(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_f64(bytes: &mut Vec<u8>, time: u64) {
    let number = if time == UNKNOWN { f64::NAN } else { time as f64 };
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// Returns the code of a state.
pub fn state_code(state: &State) -> u8 {
    match state.as_str() {
        "succeeded" => 0,
        "running" => 1,
        "pending" => 2,
        "failed" => 3,
        "cancelled" => 4,
        "lost" => 5,
        _ => OTHER_STATE,
    }
}

/// Returns the rare values of a process as JSON. Returns `None` if it has none. The parent of an orphan is added by
/// [`TreeColumns::add_told_parent`].
pub fn more(process: &Process) -> Option<String> {
    let mut more = serde_json::to_value(process).expect("plain data with text keys is JSON");
    let all = more.as_object_mut().expect("a process is an object");
    all.retain(|key, value| match (key.as_str(), value) {
        ("native_id" | "reason" | "exit_code" | "signal" | "progress" | "fold", value) => !value.is_null(),
        ("attempt", value) => *value != 1,
        // These are not in the JSON unless they have a value.
        ("expected_ns" | "expected_p95_ns" | "overdue" | "contradictions" | "attempts" | "attempts_of" | "next_attempt_us" | "task", _) => {
            true
        }
        ("attachment", value) => *value != "explicit",
        ("links", Value::Array(links)) => !links.is_empty(),
        ("fields", Value::Object(fields)) => !fields.is_empty(),
        ("state", _) => state_code(&process.state) == OTHER_STATE,
        _ => false,
    });
    (!all.is_empty()).then(|| more.to_string())
}
