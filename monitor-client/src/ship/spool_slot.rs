//! This program's folder in the spool.

use std::sync::Arc;

use monitor_core::image::LAYOUT;
use monitor_core::keep::Keeper;
use monitor_core::queue::{Clock, Taken};
use monitor_spool::settings::Settings;
use monitor_spool::{About, Begun, Calibration, ClockSample, Folder, Journal, Meta, Parcel, Program, Spool, SpoolError, SpoolKeeper};
use monitor_wire::{Dropped, WorkerRef};

use super::to_wire;
use monitor_spool::now_us;

/// What is numbered, until the server has it; and how far that is.
#[derive(Debug)]
pub(super) struct SpoolSlot {
    folder: Arc<Folder>,
    program: Program,
    journal: Journal,
    keeper: &'static SpoolKeeper,
}

impl SpoolSlot {
    /// Makes the folder; none if the settings say so.
    ///
    /// # Errors
    /// When the disk refuses, or somebody else may have made what is there.
    pub(super) fn begin(settings: &Settings, worker: &WorkerRef) -> Result<Option<Self>, SpoolError> {
        let Some(dir) = &settings.spool_dir else { return Ok(None) };
        let fold_below_ns = settings.fold_below.map_or(0, |below| below.as_nanos() as u64);
        let about = About { fold_below_ns, ..About::this(worker.clone(), env!("CARGO_PKG_VERSION"), now_us()) };
        let Clock { ticks, wall_ns, is_counter, .. } = Clock::now();
        let sample = ClockSample { ticks, wall_ns, is_counter };
        let begun = Spool::open(dir)?.begin(&about, crate::registered(), u64::from(LAYOUT), sample, settings.spool_bytes)?;
        let Begun { folder, program, journal, lane, pieces } = begun;
        let keeper = Box::leak(Box::new(SpoolKeeper::new(pieces, lane, program.marks(), to_wire::json)));
        // A forked child has those that its parent has met.
        monitor_core::span::sites().for_each(|(number, site)| keeper.site(number, site));
        Ok(Some(SpoolSlot { folder, program, journal, keeper }))
    }

    /// Keeps what is recorded from now on.
    pub(super) fn keeper(&self) -> &'static SpoolKeeper {
        self.keeper
    }

    /// Keeps a parcel, behind which is what was `taken`; `false` if it can't.
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

    /// As [`put`](Self::put), at the end of the program, whatever has failed before: older events are given up for it if the disk is
    /// full. Returns why anything had to be given up.
    pub(super) fn put_last(&mut self, parcel: &Parcel, dropped: Vec<Dropped>) -> Option<SpoolError> {
        let why = self.journal.append_on_full_disk(parcel, &Meta { dropped, ..Meta::default() });
        self.program.advance(parcel.last() + 1, 0);
        why
    }

    /// If the event of this number, the goodbye, is in the journal, nobody else has to send one.
    pub(super) fn said_goodbye(&self, number: u64) {
        if self.journal.last_waiting() == Some(number) {
            self.keeper.ended(0);
        }
    }

    /// So many events are in memory alone.
    pub(super) fn in_memory(&self, events: u64) {
        self.program.in_memory(events);
    }

    /// All numbers below are used, whatever becomes of them.
    pub(super) fn advance(&mut self, next: u64) {
        self.program.advance(next, 0);
    }

    /// What ticks mean.
    pub(super) fn calibrate(&mut self, clock: Clock) {
        let Clock { ticks, wall_ns, ns_per_tick, .. } = clock;
        self.program.calibrate(Calibration { ticks, wall_ns, ns_per_tick });
    }

    /// The oldest parcel that the server has not.
    pub(super) fn front(&mut self) -> Option<Parcel> {
        self.journal.front_joined()
    }

    /// Number of the first event that the server has not.
    pub(super) fn first_waiting(&self) -> Option<u64> {
        self.journal.first_waiting()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.journal.is_empty()
    }

    /// Events that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.journal.waiting()
    }

    /// The server has all up to this number.
    pub(super) fn acknowledge(&mut self, number: u64) {
        self.program.acknowledge(number);
        self.journal.acknowledge(number);
    }

    /// What it could not keep.
    pub(super) fn dropped(&self) -> Vec<Dropped> {
        self.journal.dropped()
    }

    /// All is said, and what the server has not is in the journal: nothing else is left behind.
    pub(super) fn remove_memory(&self) {
        self.keeper.release_lane();
        self.folder.remove_memory();
    }

    /// All is said: nothing is left behind.
    pub(super) fn remove(&self) {
        // What stays is found to be empty by whoever looks for what the dead left.
        let _ = self.folder.delete();
    }
}
