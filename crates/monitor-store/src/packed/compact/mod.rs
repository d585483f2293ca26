//! A batch in few bytes, as the log of events keeps it: what its events say, without what only its sender's row needs.
//!
//! It begins with the words (names, errors and whatever is rare, as JSON), compressed. Each start or end follows in 4 to 15 bytes. They
//! are told by what came before: an id that is the last one of its thread plus one, a parent that is open, an end by how many starts
//! have come since its own, a time by what has passed.
//!
//! The first byte of an event:
//!
//! | bits | start | end |
//! |---|---|---|
//! | 0, 1 | 0; 3 for one that begins its tree and has the id that follows from the tree's (`RootId::own_process`) | 1; 2 for all other events, which have no more than this byte |
//! | 2 | same tree as the event before | same; not looked at if bit 7 is set |
//! | 3 | same site as the start before | \ outcome |
//! | 4 | same thread as the start before | / |
//! | 5 | has a batch mark | has an error, an exit code, a signal or a reason |
//! | 6 | \ parent: none, the innermost open start, | has a duration |
//! | 7 | / as the start before, or an id that follows | its start is open, and its depth among those follows |
//!
//! In a start of kind 3, which has no parent, bit 6 says that its tree is the next one in the list of trees that no event before belongs to.

mod compression;
mod read;
#[cfg(test)]
mod tests;
mod write;

use monitor_wire::ProcessId;

pub use self::compression::{compress, compress_little, decompress};
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

/// An end looks for its start among so many of those that began last and are open.
const MAX_DEPTH: usize = 16;
/// So many open starts are remembered at most; the oldest ones are forgotten.
const MAX_OPEN: usize = 1_024;

/// What the writer and the reader remember of the events before.
struct Before {
    time_us: u64,
    root: Place,
    /// The first tree that no event belongs to so far.
    next_root: Place,
    site: Place,
    thread: Place,
    parent: Option<ProcessId>,
    /// The last id that started, by thread; the first place is that of no thread.
    ids: Vec<u64>,
    open: Vec<Open>,
}

/// A start whose end has not come.
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

    /// The last id of a thread, which must be one of the batch's.
    fn id_of(&mut self, thread: Place) -> &mut u64 {
        &mut self.ids[thread.wrapping_add(1) as usize]
    }

    fn begin(&mut self, open: Open) {
        if self.open.len() == MAX_OPEN {
            self.open.drain(..MAX_OPEN / 2);
        }
        self.open.push(open);
    }

    /// How many starts have come since that of this process, if it is one of the last ones that are open.
    fn depth_of(&self, id: ProcessId, root: Place) -> Option<usize> {
        self.open.iter().rev().take(MAX_DEPTH).position(|open| open.id == id && open.root == root)
    }

    fn end(&mut self, depth: usize) -> Option<Open> {
        let place = self.open.len().checked_sub(depth + 1)?;
        Some(self.open.remove(place))
    }
}

/// How long an end says it took beyond what its times say, in nanoseconds.
fn beyond(elapsed_ns: u64, started_us: u64, ended_us: u64) -> i64 {
    elapsed_ns.wrapping_sub(ended_us.wrapping_sub(started_us).wrapping_mul(1_000)) as i64
}
