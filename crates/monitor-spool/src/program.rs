//! The file `program`: description of the recording program, its call sites, its clock, and the number of the last acknowledged event.
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
/// Byte-order sensitive, so that a machine with another byte order does not recognize it.
const MAGIC: u64 = u64::from_be_bytes(*b"MONSPOOL");
pub(crate) const PAGE: usize = 4_096;
/// Size of the file's beginning that contains the description of the program.
pub(crate) const HEAD: usize = 4 * PAGE;
const STATES: [usize; 2] = [128, 256];
const DROPS: usize = 384;
const GIVEN_UP: usize = 512;
const FOLLOWED: usize = 520;
const ENDED: usize = 536;
const IN_MEMORY: usize = 552;

/// Types of events that are counted separately when they are dropped.
pub(crate) const TYPES: [&str; 4] = ["process-started", "process-updated", "process-ended", OTHER];
/// Name for all other types.
pub(crate) const OTHER: &str = "other";
/// Odd, so that the multiplication is invertible.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Description of a recording program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "read", derive(serde::Serialize, serde::Deserialize))]
pub struct About {
    /// Worker as in every batch.
    pub worker: WorkerRef,
    /// Version of the recorder.
    pub version: String,
    /// Start of the recording, in Unix microseconds.
    pub started_us: u64,
    /// Start time of the operating-system process, in system ticks; 0 if unknown.
    pub process_start: u64,
    /// Boot id of the machine; empty if unknown.
    pub boot_id: String,
    /// Id of the launch whose launcher ships this program's records while it runs. `None` if the program ships them itself.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "Option::is_none"))]
    pub launch: Option<String>,
    /// Duration in nanoseconds below which woven calls are counted instead of recorded; 0 for none.
    #[cfg_attr(feature = "read", serde(default, skip_serializing_if = "is_zero"))]
    pub fold_below_ns: u64,
}

#[cfg(feature = "read")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl About {
    /// Describes this program as `worker`.
    pub fn this(worker: WorkerRef, version: &str, started_us: u64) -> Self {
        let process_start = process_start(worker.pid).unwrap_or(0);
        Self { worker, version: version.to_owned(), started_us, process_start, boot_id: boot_id(), launch: None, fold_below_ns: 0 }
    }
}

/// Returns the start time of a process, in clock ticks since boot.
pub(crate) fn process_start(pid: u32) -> Option<u64> {
    let stat = read_line(&format!("/proc/{pid}/stat"))?;
    // The name may contain any characters, but the fields after it contain no parenthesis.
    stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Returns the boot id.
pub(crate) fn boot_id() -> String {
    read_line("/proc/sys/kernel/random/boot_id").map_or_else(String::new, |id| id.trim().to_owned())
}

/// Reads a short file of the system with one call, because the first recorded call of a program waits for it.
fn read_line(path: &str) -> Option<String> {
    let mut bytes = [0; 1_024];
    let read = File::open(path).ok()?.read(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

/// Readings of both clocks at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockSample {
    /// Reading of the recorder's clock.
    pub ticks: u64,
    /// Unix nanoseconds.
    pub wall_ns: u64,
    /// True if a tick is one of the processor's counter, and not a nanosecond.
    pub is_counter: bool,
}

/// Conversion of ticks to time: `wall_ns + (ticks - ticks_at) * ns_per_tick`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Ticks at a reference moment.
    pub ticks: u64,
    /// Unix nanoseconds at the reference moment.
    pub wall_ns: u64,
    /// Length of a tick, in nanoseconds.
    pub ns_per_tick: f64,
}

/// Variable state of the program.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct State {
    pub(crate) revision: u64,
    /// Number of the last acknowledged event.
    pub(crate) acknowledged: u64,
    /// No event with this number or a greater number was ever sent.
    pub(crate) next: u64,
    /// `None` while all fields are zero.
    pub(crate) clock: Option<Calibration>,
    /// Lane entries up to this number have event numbers.
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
    // Never zero, so that zeroed memory is invalid.
    u64::from(block::checksum(worker, &bytes)) | 1 << 32
}

/// Writer of the file `program`.
#[derive(Debug)]
pub struct Program {
    folder: Arc<Folder>,
    page: Arc<Page>,
    end: Arc<Mutex<Option<u64>>>,
    state: State,
}

/// First page of the file.
#[derive(Debug)]
struct Page(Mapping);

/// Notes that any thread can make at any time.
#[derive(Debug, Clone)]
pub struct Marks {
    folder: Arc<Folder>,
    page: Arc<Page>,
    /// Length of the file, where call sites are appended. `None` for a dead program's file.
    end: Arc<Mutex<Option<u64>>>,
}

impl Marks {
    /// Counts an event of this type as dropped for lack of memory.
    pub fn dropped(&self, event_type: &str) {
        let index = TYPES.iter().position(|known| *known == event_type).unwrap_or(TYPES.len() - 1);
        self.page.word(DROPS + index * 16).fetch_add(1, Ordering::Relaxed);
        self.page.word(DROPS + index * 16 + 8).fetch_add(FACTOR, Ordering::Release);
    }

    /// Notes that the program ends at this time, in Unix microseconds. The process that ships its records sends the goodbye.
    pub fn ended(&self, time_us: u64) {
        self.page.store_twice(ENDED, time_us);
    }

    /// Notes that the program records elsewhere from here on, so that only the journal of this folder is sent.
    pub fn given_up(&self) {
        self.page.word(GIVEN_UP).store(u64::MAX, Ordering::Release);
    }

    /// Adds a call site that was created at run time. Rings refer to it by `number`.
    ///
    /// # Errors
    /// If writing fails, or the folder's limit is reached.
    pub fn site(&self, number: u64, site: &Registered) -> Result<(), SpoolError> {
        let block = block::block(self.folder.worker(), Magic::Site, number, 0, 0, &json::site(site));
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(end) = end.as_mut() else { return Ok(()) };
        if !self.folder.room().take(block.len() as u64) {
            return Err(self.folder.full());
        }
        // The file is opened again for each write, because the program may close any descriptor, and its number may then belong to another
        // file.
        let written = self.folder.dir().file(NAME, true).and_then(|file| sys::write_at(&file, &block, *end));
        written.map_err(SpoolError::disk("write", self.folder.path().join(NAME)))?;
        *end += block.len() as u64;
        Ok(())
    }
}

impl Program {
    /// Creates the file. `layout` is the version of the memory layout of pieces.
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

    /// Opens the file of a dead program to continue it.
    #[cfg(feature = "read")]
    pub(crate) fn open(folder: &Arc<Folder>, state: State) -> Result<Self, SpoolError> {
        let failed = || SpoolError::disk("open", folder.path().join(NAME));
        let file = folder.dir().file(NAME, true).map_err(failed())?;
        // A store into a mapped page without disk space would kill this program. Write the page once by a call that returns an error
        // instead.
        let mut page = vec![0; PAGE];
        sys::read_at(&file, &mut page, 0).and_then(|_| sys::write_at(&file, &page, 0)).map_err(failed())?;
        let page = Arc::new(Page(Mapping::new(&file, PAGE, true).map_err(failed())?));
        Ok(Self { folder: folder.clone(), page, end: Arc::default(), state })
    }

    /// Returns a handle for other threads.
    pub fn marks(&self) -> Marks {
        Marks { folder: self.folder.clone(), page: self.page.clone(), end: self.end.clone() }
    }

    /// Stores that the server has all events up to `number`.
    pub fn acknowledge(&mut self, number: u64) {
        if number > self.state.acknowledged {
            self.state.acknowledged = number;
            self.save();
        }
    }

    /// Must be called before an event with a number below `next` is sent, or when a batch is in the journal. Lane entries up to `lane` have
    /// numbers below `next`.
    pub fn advance(&mut self, next: u64, lane: u64) {
        self.state.next = self.state.next.max(next);
        self.state.lane = self.state.lane.max(lane);
        self.save();
    }

    /// Stores the number of events that are numbered, unacknowledged, and only in memory. If the program is killed now, they are lost.
    pub fn in_memory(&self, events: u64) {
        self.page.store_twice(IN_MEMORY, events);
    }

    /// Stores the current conversion of ticks to time.
    pub fn calibrate(&mut self, calibration: Calibration) {
        if self.state.clock != Some(calibration) {
            self.state.clock = Some(calibration);
            self.save();
        }
    }

    /// Returns the number of the last acknowledged event.
    pub fn acknowledged(&self) -> u64 {
        self.state.acknowledged
    }

    /// Returns the number of the last event acknowledged through a [`Follower`](crate::Follower).
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

/// Decodes a number that is stored together with its product with `FACTOR`. Returns 0 if the words do not match.
fn twice([number, again]: [u64; 2]) -> u64 {
    if number.wrapping_mul(FACTOR) == again { number } else { 0 }
}

/// Writes the number of the last acknowledged event into the file of a living program.
#[cfg(feature = "read")]
pub(crate) fn follow(dir: &sys::Dir, number: u64) -> std::io::Result<()> {
    let words = [number.to_ne_bytes(), number.wrapping_mul(FACTOR).to_ne_bytes()];
    sys::write_at(&dir.file(NAME, true)?, words.as_flattened(), FOLLOWED as u64)
}

impl Page {
    /// Stores a number and its product with `FACTOR`.
    fn store_twice(&self, at: usize, number: u64) {
        self.word(at).store(number, Ordering::Relaxed);
        self.word(at + 8).store(number.wrapping_mul(FACTOR), Ordering::Release);
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= PAGE);
        // SAFETY: within the mapped page, aligned, and accessed only as an atomic word.
        unsafe { self.0.start().add(at).cast::<AtomicU64>().as_ref() }
    }
}
