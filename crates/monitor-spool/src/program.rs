//! The file `program`: who recorded, from which call sites, by which clock, and how far the server has taken it.
//!
//! ```text
//!    0  header  8 words: magic, version, layout of the rings, clock, first ticks, first wall time, 0, check
//!  128  state   8 words: revision, acknowledged, next number, ticks, wall time, ns per tick, lane, check
//!  256  state   the same; the two are written in turn, so that one of them is whole at any moment
//!  384  drops   8 words: how many events of 4 types were dropped, each as it is and times an odd number
//!  512  1 word: not 0 once the program records elsewhere
//!  520  2 words: acknowledged, as one who ships for the program says it, as it is and times an odd number
//!  536  2 words: when the program ended of its own accord, in Unix microseconds, as it is and times an odd number
//!  552  2 words: how many events are numbered and in memory alone, as it is and times an odd number
//! 4096  blocks  who it is (JSON), then its call sites (JSON), in their order; then, as they are met, places that were made at run time
//! ```

#![allow(unsafe_code, reason = "words in mapped memory")]

#[cfg(feature = "read")]
mod read;

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::block::{self, Magic};
use crate::folder::Folder;
use crate::sys::{self, Mapping};
use crate::wire::{Registered, WorkerId, WorkerRef};
use crate::{SpoolError, json};

#[cfg(feature = "read")]
pub(crate) use read::Written;

pub(crate) const NAME: &str = "program";
pub(crate) const VERSION: u64 = 1;
/// Read on a machine with the other order of bytes it is another word.
const MAGIC: u64 = u64::from_be_bytes(*b"MONSPOOL");
pub(crate) const PAGE: usize = 4_096;
/// Who it is stands within these bytes of the file.
pub(crate) const HEAD: usize = 4 * PAGE;
const STATES: [usize; 2] = [128, 256];
const DROPS: usize = 384;
const GIVEN_UP: usize = 512;
const FOLLOWED: usize = 520;
const ENDED: usize = 536;
const IN_MEMORY: usize = 552;

/// Types of events that are counted apart when they are dropped.
pub(crate) const TYPES: [&str; 4] = ["process-started", "process-updated", "process-ended", OTHER];
/// All that are not.
pub(crate) const OTHER: &str = "other";
/// Odd, so that it can be undone.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Who records.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "read", derive(serde::Serialize, serde::Deserialize))]
pub struct About {
    /// As it stands in every batch.
    pub worker: WorkerRef,
    /// Version of what records.
    pub version: String,
    /// When it began to record, in Unix microseconds.
    pub started_us: u64,
    /// When the operating-system process began, as the system counts; 0 if it doesn't say.
    pub process_start: u64,
    /// Which run of the machine it is; empty if the system doesn't say.
    pub boot_id: String,
    /// Names the one who ships what this program writes, while it writes it; none if it ships itself.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "Option::is_none"))]
    pub launch: Option<String>,
    /// Woven calls that took less are counted, in nanoseconds; 0 for none.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "is_zero"))]
    pub fold_below_ns: u64,
}

#[cfg(feature = "read")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl About {
    /// This program, as `worker`.
    pub fn this(worker: WorkerRef, version: &str, started_us: u64) -> Self {
        let process_start = process_start(worker.pid).unwrap_or(0);
        Self { worker, version: version.to_owned(), started_us, process_start, boot_id: boot_id(), launch: None, fold_below_ns: 0 }
    }
}

/// When a process began, in the system's clock ticks since it was booted.
pub(crate) fn process_start(pid: u32) -> Option<u64> {
    let stat = read_line(&format!("/proc/{pid}/stat"))?;
    // Its name may hold anything, but nothing behind it holds a parenthesis.
    stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Which run of the machine this is.
pub(crate) fn boot_id() -> String {
    read_line("/proc/sys/kernel/random/boot_id").map_or_else(String::new, |id| id.trim().to_owned())
}

/// What the system says in few words, read at once: a program's first call waits for it.
fn read_line(path: &str) -> Option<String> {
    let mut bytes = [0; 1_024];
    let read = File::open(path).ok()?.read(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockSample {
    /// What the recorder reads.
    pub ticks: u64,
    /// Unix nanoseconds.
    pub wall_ns: u64,
    /// A tick is one of the processor's counter, not a nanosecond.
    pub is_counter: bool,
}

/// What ticks mean: `wall_ns + (ticks - ticks_at) * ns_per_tick`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Ticks at one moment.
    pub ticks: u64,
    /// Unix nanoseconds at that moment.
    pub wall_ns: u64,
    /// Length of a tick.
    pub ns_per_tick: f64,
}

/// What changes as the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct State {
    pub(crate) revision: u64,
    /// Number of the last event that the server has.
    pub(crate) acknowledged: u64,
    /// No event of this number or a greater one was ever sent.
    pub(crate) next: u64,
    /// None while it is all zero.
    pub(crate) clock: Option<Calibration>,
    /// Entries of the lane up to this one are numbered.
    pub(crate) lane: u64,
}

impl State {
    fn words(&self) -> [u64; 7] {
        let clock = self.clock.unwrap_or(Calibration { ticks: 0, wall_ns: 0, ns_per_tick: 0.0 });
        [self.revision, self.acknowledged, self.next, clock.ticks, clock.wall_ns, clock.ns_per_tick.to_bits(), self.lane]
    }
}

fn check(worker: WorkerId, words: [u64; 7]) -> u64 {
    let mut bytes = [0; 56];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    // Never zero, so that zeroed memory is nothing.
    u64::from(block::checksum(worker, &bytes)) | 1 << 32
}

/// Keeps what the program says about itself, and how far it is.
#[derive(Debug)]
pub struct Program {
    folder: Arc<Folder>,
    page: Arc<Page>,
    end: Arc<Mutex<Option<u64>>>,
    state: State,
}

/// The first page of the file.
#[derive(Debug)]
struct Page(Mapping);

/// What any thread may note, at any moment.
#[derive(Debug, Clone)]
pub struct Marks {
    folder: Arc<Folder>,
    page: Arc<Page>,
    /// Where the file ends and places are added; none in that of a dead program.
    end: Arc<Mutex<Option<u64>>>,
}

impl Marks {
    /// An event of this type was dropped for want of memory.
    pub fn dropped(&self, event_type: &str) {
        let index = TYPES.iter().position(|known| *known == event_type).unwrap_or(TYPES.len() - 1);
        self.page.word(DROPS + index * 16).fetch_add(1, Ordering::Relaxed);
        self.page.word(DROPS + index * 16 + 8).fetch_add(FACTOR, Ordering::Release);
    }

    /// The program ends of its own accord at this time, in Unix microseconds. The process that ships what is here sends the goodbye
    /// for it.
    pub fn ended(&self, time_us: u64) {
        self.page.store_twice(ENDED, time_us);
    }

    /// From here on the program records elsewhere: of what lies here, only the journal is to be sent.
    pub fn given_up(&self) {
        self.page.word(GIVEN_UP).store(u64::MAX, Ordering::Release);
    }

    /// Adds a place that was made at run time: rings name it by this number.
    ///
    /// # Errors
    /// When the disk refuses, or the folder is full.
    pub fn site(&self, number: u64, site: &Registered) -> Result<(), SpoolError> {
        let block = block::block(self.folder.worker(), Magic::Site, number, 0, 0, &json::site(site));
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(end) = end.as_mut() else { return Ok(()) };
        if !self.folder.room().take(block.len() as u64) {
            return Err(self.folder.full());
        }
        // It is opened anew: what is kept open, the program may have closed, and its number may be that of another file by now.
        let written = self.folder.dir().file(NAME, true).and_then(|file| sys::write_at(&file, &block, *end));
        written.map_err(SpoolError::disk("write", self.folder.path().join(NAME)))?;
        *end += block.len() as u64;
        Ok(())
    }
}

impl Program {
    /// Writes the file. `layout` is the version of what lies in the pieces.
    pub(crate) fn make(
        folder: &Arc<Folder>,
        about: &About,
        sites: impl Iterator<Item = Registered>,
        layout: u64,
        clock: ClockSample,
    ) -> Result<Self, SpoolError> {
        let worker = folder.worker();
        let mut blocks = block::block(worker, Magic::Site, u64::MAX, 0, 0, &json::about(about));
        for (number, site) in sites.enumerate() {
            blocks.extend_from_slice(&block::block(worker, Magic::Site, number as u64, 0, 0, &json::site(&site)));
        }
        let file = folder.make(NAME, (PAGE + blocks.len()) as u64)?;
        let failed = || SpoolError::disk("write", folder.path().join(NAME));
        sys::write_at(&file, &blocks, PAGE as u64).map_err(failed())?;
        let page = Arc::new(Page(Mapping::new(&file, PAGE, true).map_err(failed())?));
        let end = Arc::new(Mutex::new(Some((PAGE + blocks.len()) as u64)));
        let mut program = Self { folder: folder.clone(), page, end, state: State { next: 1, ..State::default() } };
        program.store(0, [MAGIC, VERSION, layout, u64::from(clock.is_counter), clock.ticks, clock.wall_ns, 0]);
        program.save();
        Ok(program)
    }

    /// The file of a dead program, to go on where it stopped.
    #[cfg(feature = "read")]
    pub(crate) fn open(folder: &Arc<Folder>, state: State) -> Result<Self, SpoolError> {
        let failed = || SpoolError::disk("open", folder.path().join(NAME));
        let file = folder.dir().file(NAME, true).map_err(failed())?;
        // To store into a page that the disk has no room for would end this program: all of it is written once in a way that errs.
        let mut page = vec![0; PAGE];
        sys::read_at(&file, &mut page, 0).and_then(|_| sys::write_at(&file, &page, 0)).map_err(failed())?;
        let page = Arc::new(Page(Mapping::new(&file, PAGE, true).map_err(failed())?));
        Ok(Self { folder: folder.clone(), page, end: Arc::default(), state })
    }

    /// For other threads.
    pub fn marks(&self) -> Marks {
        Marks { folder: self.folder.clone(), page: self.page.clone(), end: self.end.clone() }
    }

    /// The server has all events up to this number.
    pub fn acknowledge(&mut self, number: u64) {
        if number > self.state.acknowledged {
            self.state.acknowledged = number;
            self.save();
        }
    }

    /// Before an event of a number below `next` is sent, or when a batch is in the journal: entries of the lane up to `lane`
    /// have numbers below it.
    pub fn advance(&mut self, next: u64, lane: u64) {
        self.state.next = self.state.next.max(next);
        self.state.lane = self.state.lane.max(lane);
        self.save();
    }

    /// So many events are numbered, not acknowledged, and nowhere but in memory: if the program is killed now, they are lost.
    pub fn in_memory(&self, events: u64) {
        self.page.store_twice(IN_MEMORY, events);
    }

    /// What ticks mean, as far as is known by now.
    pub fn calibrate(&mut self, calibration: Calibration) {
        if self.state.clock != Some(calibration) {
            self.state.clock = Some(calibration);
            self.save();
        }
    }

    /// Number of the last event that the server has.
    pub fn acknowledged(&self) -> u64 {
        self.state.acknowledged
    }

    /// Number of the last event that the server has by a [`Follower`](crate::Follower).
    pub fn followed(&self) -> u64 {
        twice([FOLLOWED, FOLLOWED + 8].map(|at| self.page.word(at).load(Ordering::Acquire)))
    }

    fn save(&mut self) {
        self.state.revision += 1;
        self.store(STATES[(self.state.revision % 2) as usize], self.state.words());
    }

    fn store(&self, at: usize, words: [u64; 7]) {
        let check = check(self.folder.worker(), words);
        for (index, word) in words.into_iter().enumerate() {
            self.page.word(at + index * 8).store(word, Ordering::Relaxed);
        }
        self.page.word(at + 56).store(check, Ordering::Release);
    }
}

/// A number that is stored as it is and times an odd number; 0 unless both words are whole.
fn twice([number, again]: [u64; 2]) -> u64 {
    if number.wrapping_mul(FACTOR) == again { number } else { 0 }
}

/// Writes into the file of a living program how far the server has it.
#[cfg(feature = "read")]
pub(crate) fn follow(dir: &sys::Dir, number: u64) -> std::io::Result<()> {
    let words = [number.to_ne_bytes(), number.wrapping_mul(FACTOR).to_ne_bytes()];
    sys::write_at(&dir.file(NAME, true)?, words.as_flattened(), FOLLOWED as u64)
}

impl Page {
    /// Stores a number as it is and times an odd number.
    fn store_twice(&self, at: usize, number: u64) {
        self.word(at).store(number, Ordering::Relaxed);
        self.word(at + 8).store(number.wrapping_mul(FACTOR), Ordering::Release);
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= PAGE);
        // SAFETY: within the mapped page, aligned, and only ever used as an atomic word.
        unsafe { self.0.start().add(at).cast::<AtomicU64>().as_ref() }
    }
}
