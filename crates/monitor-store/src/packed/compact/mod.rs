//! The compact encoding of a batch in the event log. It contains the events and the worker's id, but not the worker's host and program, the
//! time of sending, or the numbers of dropped events.
//!
//! An encoded batch has these parts:
//!
//! - the worker id, the number of the first event, and the ids of the roots
//! - the words, compressed: sites, threads, batch marks, endings, and all events that are not packed, as JSON
//! - the number of events, and the events
//!
//! A packed start or end usually takes 4 to 15 bytes, because its values are encoded relative to earlier events: an id as the difference
//! from the last id of its thread, a parent as an open start, an end by the depth of its start among the open starts, and a time as the
//! difference from the time of the event before.
//!
//! The first byte of an event:
//!
//! | bits | start | end |
//! |---|---|---|
//! | 0, 1 | 0; 3 if it begins its tree and has the id `RootId::own_process` | 1; 2 for an event that is not packed, without more bytes |
//! | 2 | same root as the event before | same; ignored if bit 7 is set |
//! | 3 | same site as the start before | \ outcome |
//! | 4 | same thread as the start before | / |
//! | 5 | has a batch mark | has an error, an exit code, a signal or a reason |
//! | 6 | \ parent: none, the innermost open start, | has a duration |
//! | 7 | / same as for the start before, or an id that follows | its start is open, and the depth of the start follows |
//!
//! A start of kind 3 has no parent. Its bit 6 means that its root follows the last root in the list that an earlier start or end has used.

mod compression;
mod read;
#[cfg(test)]
mod tests;
mod write;

use monitor_wire::ProcessId;

pub use self::compression::{bare, compress, compress_little, decompress, decompress_bare};
pub use self::read::{Malformed, Reader, read};
pub use self::write::{bytes, number, signed, write};
use super::Place;

const STARTED: u8 = 0;
const ENDED: u8 = 1;
const OTHER: u8 = 2;
const STARTED_TREE: u8 = 3;
const KIND: u8 = 0b11;
const SAME_ROOT: u8 = 1 << 2;
const SAME_SITE: u8 = 1 << 3;
const SAME_THREAD: u8 = 1 << 4;
const HAS_TEXT: u8 = 1 << 5;
const NEXT_ROOT: u8 = 1 << 6;
const PARENT_SHIFT: u8 = 6;
const NO_PARENT: u8 = 0;
const OPEN_PARENT: u8 = 1;
const LAST_PARENT: u8 = 2;
const OTHER_PARENT: u8 = 3;
const OUTCOME_SHIFT: u8 = 3;
const HAS_ELAPSED: u8 = 1 << 6;
const IS_OPEN: u8 = 1 << 7;

/// Maximum number of open starts, latest first, that are searched for the start of an end.
const MAX_DEPTH: usize = 16;
/// Maximum number of open starts that are remembered. The older half is forgotten when it is reached.
const MAX_OPEN: usize = 1_024;

/// State that the writer and the reader derive from the events before the current one.
struct Before {
    time_us: u64,
    root: Place,
    /// Index after the last root in the list that a start or end has used so far.
    next_root: Place,
    site: Place,
    thread: Place,
    parent: Option<ProcessId>,
    /// Last started id by thread. Index 0 is for events without a thread.
    ids: Vec<u64>,
    open: Vec<Open>,
}

/// A start without an end so far.
struct Open {
    id: ProcessId,
    root: Place,
    time_us: u64,
}

impl Before {
    fn new(threads: usize) -> Self {
        Self {
            time_us: 0,
            root: 0,
            next_root: 0,
            site: 0,
            thread: super::NOWHERE,
            parent: None,
            ids: vec![0; threads + 1],
            open: Vec::new(),
        }
    }

    fn belongs(&mut self, root: Place) {
        self.root = root;
        self.next_root = self.next_root.max(root.saturating_add(1));
    }

    /// Returns the last id of a thread. `thread` must be an index in the batch's list of threads, or `NOWHERE`.
    fn id_of(&mut self, thread: Place) -> &mut u64 {
        &mut self.ids[thread.wrapping_add(1) as usize]
    }

    fn begin(&mut self, open: Open) {
        if self.open.len() == MAX_OPEN {
            self.open.drain(..MAX_OPEN / 2);
        }
        self.open.push(open);
    }

    /// Returns the number of open starts after the start of this process. Returns `None` if it is not among the latest [`MAX_DEPTH`] open
    /// starts.
    fn depth_of(&self, id: ProcessId, root: Place) -> Option<usize> {
        self.open.iter().rev().take(MAX_DEPTH).position(|open| open.id == id && open.root == root)
    }

    fn end(&mut self, depth: usize) -> Option<Open> {
        let place = self.open.len().checked_sub(depth + 1)?;
        Some(self.open.remove(place))
    }
}

/// Returns the difference between the reported duration of a process and the duration computed from its times, in nanoseconds.
fn beyond(elapsed_ns: u64, started_us: u64, ended_us: u64) -> i64 {
    elapsed_ns.wrapping_sub(ended_us.wrapping_sub(started_us).wrapping_mul(1_000)) as i64
}
