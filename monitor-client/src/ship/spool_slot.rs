//! The folder of this program in the spool.

use std::sync::Arc;

use monitor_core::image::LAYOUT;
use monitor_core::keep::Keeper;
use monitor_core::queue::{Clock, Taken};
use monitor_spool::settings::Settings;
use monitor_spool::{About, Begun, Calibration, ClockSample, Folder, Journal, Meta, Parcel, Program, Spool, SpoolError, SpoolKeeper};
use monitor_wire::{Dropped, WorkerRef};

use super::to_wire;
use monitor_spool::now_us;

/// Journal of numbered events that the server has not stored, with the progress of numbering.
#[derive(Debug)]
pub(super) struct SpoolSlot {
    folder: Arc<Folder>,
    program: Program,
    journal: Journal,
    keeper: &'static SpoolKeeper,
}

impl SpoolSlot {
    /// Creates the folder. `None` if the spool is disabled.
    ///
    /// # Errors
    /// When the disk refuses, or the existing folder may belong to another user.
    pub(super) fn begin(settings: &Settings, worker: &WorkerRef) -> Result<Option<Self>, SpoolError> {
        let Some(dir) = &settings.spool_dir else { return Ok(None) };
        let fold_below_ns = settings.fold_below.map_or(0, |below| below.as_nanos() as u64);
        let about = About { fold_below_ns, ..About::this(worker.clone(), env!("CARGO_PKG_VERSION"), now_us()) };
        let Clock { ticks, wall_ns, is_counter, .. } = Clock::now();
        let sample = ClockSample { ticks, wall_ns, is_counter };
        let begun = Spool::open(dir)?.begin(&about, crate::registered(), u64::from(LAYOUT), sample, settings.spool_bytes)?;
        let Begun { folder, program, journal, lane, pieces } = begun;
        let keeper = Box::leak(Box::new(SpoolKeeper::new(pieces, lane, program.marks(), to_wire::json)));
        // A forked child inherits the sites that its parent has seen.
        monitor_core::span::sites().for_each(|(number, site)| keeper.site(number, site));
        Ok(Some(SpoolSlot { folder, program, journal, keeper }))
    }

    /// Returns the keeper of records.
    pub(super) fn keeper(&self) -> &'static SpoolKeeper {
        self.keeper
    }

    /// Appends a parcel to the journal and marks the records up to `taken` as read. Returns false on failure.
    pub(super) fn put(&mut self, parcel: &Parcel, taken: &Taken, dropped: Vec<Dropped>) -> bool {
        if !self.keeper.is_good() {
            return false;
        }
        let meta =
            Meta { taken: taken.rings.iter().copied().collect(), lane: taken.queue, held: taken.held.clone(), dropped, ..Meta::default() };
        match self.journal.append(parcel, &meta) {
            Ok(()) => {
                self.program.advance(parcel.last() + 1, taken.queue);
                self.keeper.settled(taken.settled);
                true
            }
            Err(why) => {
                self.keeper.fail(why);
                false
            }
        }
    }

    /// Appends a parcel at the end of the program, even after earlier failures. If the disk is full, older events are deleted. Returns the
    /// reason if any event had to be given up.
    pub(super) fn put_last(&mut self, parcel: &Parcel, dropped: Vec<Dropped>) -> Option<SpoolError> {
        let why = self.journal.append_on_full_disk(parcel, &Meta { dropped, ..Meta::default() });
        self.program.advance(parcel.last() + 1, 0);
        why
    }

    /// Marks the worker as ended if the journal contains the offline event with this number. Otherwise, the
    /// process that ships the journal sends one.
    pub(super) fn said_goodbye(&self, number: u64) {
        if self.journal.last_waiting() == Some(number) {
            self.keeper.ended(0);
        }
    }

    /// Stores the number of events that are only in memory.
    pub(super) fn in_memory(&self, events: u64) {
        self.program.in_memory(events);
    }

    /// Marks all numbers below `next` as used.
    pub(super) fn advance(&mut self, next: u64) {
        self.program.advance(next, 0);
    }

    /// Stores the calibration of the clock's ticks.
    pub(super) fn calibrate(&mut self, clock: Clock) {
        let Clock { ticks, wall_ns, ns_per_tick, .. } = clock;
        self.program.calibrate(Calibration { ticks, wall_ns, ns_per_tick });
    }

    /// Returns the oldest parcel that the server has not stored.
    pub(super) fn front(&mut self) -> Option<Parcel> {
        self.journal.front_joined()
    }

    /// Returns the number of the first event that the server has not stored.
    pub(super) fn first_waiting(&self) -> Option<u64> {
        self.journal.first_waiting()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.journal.is_empty()
    }

    /// Returns the number of events that the server has not stored.
    pub(super) fn waiting(&self) -> u64 {
        self.journal.waiting()
    }

    /// Records that the server has stored all events up to this number.
    pub(super) fn acknowledge(&mut self, number: u64) {
        self.program.acknowledge(number);
        self.journal.acknowledge(number);
    }

    /// Returns the events that could not be kept.
    pub(super) fn dropped(&self) -> Vec<Dropped> {
        self.journal.dropped()
    }

    /// Deletes the files of unnumbered records. The events that the server has not stored are in the journal.
    pub(super) fn remove_memory(&self) {
        self.keeper.release_lane();
        self.folder.remove_memory();
    }

    /// Deletes the folder, after the server has stored everything.
    pub(super) fn remove(&self) {
        // If this fails, the next program that ships the spools of dead programs finds the folder empty.
        let _ = self.folder.delete();
    }
}
