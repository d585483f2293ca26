//! Ships the records of a living program that does not ship them itself.

mod of_tests;

use std::path::Path;

use monitor_wire::{Dropped, ProcessId, WorkerId, WorkerRef};

use crate::block::{HEADER, read_one, size};
use crate::found::{Life, life};
use crate::journal::{self, LONGEST_FILE, Meta};
use crate::parcel::Parcel;
use crate::program::{self, About};
use crate::sending::{Batches, Settled};
use crate::sys::{self, Dir};
use crate::{Answer, Head, Spool, SpoolError};
pub use of_tests::FollowerOfTests;
use of_tests::Sieve;

/// Maximum number of events, and of stored bytes, in a request.
const EVENTS: u64 = 5_000;
const BYTES: usize = 1 << 20;

/// Reads the journal of a living program and removes files whose events the server has. [`Replay`](crate::Replay) ships the rest after the
/// program has ended: records that are not in the journal yet, an unreadable batch and all batches after it, and the remainder if this
/// process ends earlier.
#[derive(Debug)]
pub struct Follower {
    dir: Dir,
    about: About,
    /// Number of the journal file being read, and the offset up to which events are acknowledged.
    file: u64,
    at: u64,
    /// Size of the file at the last check.
    seen: u64,
    /// Offset after the next batch, and the number of its last event.
    end: u64,
    last: u64,
    /// Number of the last acknowledged event.
    acknowledged: u64,
    dropped: Vec<Dropped>,
    /// Events that are held back, if the program belongs to tests.
    sieve: Sieve,
}

impl Spool {
    /// Lists the programs of a [`launch`](About::launch) with their state.
    ///
    /// # Errors
    /// If the spool can't be read.
    pub fn launched(&self, launch: &str) -> Result<Vec<(WorkerRef, Life)>, SpoolError> {
        let of = |worker| {
            let dir = self.folder(worker).ok()?;
            let about = crate::found::about(&dir, worker).filter(|about| about.launch.as_deref() == Some(launch))?;
            Some((about.worker, life(&dir, worker).ok()?.0))
        };
        Ok(self.workers()?.into_iter().filter_map(of).collect())
    }

    /// Follows a program. `None` if its folder does not exist or has no readable description.
    ///
    /// # Errors
    /// If the folder is not trusted, or can't be read.
    pub fn follow(&self, worker: WorkerId) -> Result<Option<Follower>, SpoolError> {
        let dir = match self.folder(worker) {
            Err(SpoolError::Disk { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        let about = crate::found::about(&dir, worker);
        Ok(about.map(|about| Follower {
            dir,
            about,
            file: 0,
            at: 0,
            seen: 0,
            end: 0,
            last: 0,
            acknowledged: 0,
            dropped: Vec::new(),
            sieve: Sieve::default(),
        }))
    }
}

impl Follower {
    /// Returns the worker whose records are followed.
    pub fn worker(&self) -> &WorkerRef {
        &self.about.worker
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the number of the last acknowledged event.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Returns the next batch. Until it is accepted, the batch starts with the same event, and may grow. `None` if there are no new events.
    #[allow(clippy::should_implement_trait, reason = "the same one until it is accepted")]
    pub fn next(&mut self) -> Option<Parcel> {
        loop {
            if let Some(parcel) = self.batch() {
                return Some(parcel);
            }
            // List the files before checking the end of the current file: once a later file exists, nothing is appended to the current
            // file.
            let following = self.files().into_iter().find(|file| *file > self.file)?;
            if !self.is_at_end() {
                return None;
            }
            (self.file, self.at, self.seen) = (following, 0, 0);
        }
    }

    /// Handles the acknowledgement of all events up to the number `last`.
    fn accepted(&mut self, last: u64) {
        self.acknowledged = self.acknowledged.max(last);
        self.at = self.end;
        // If this fails, the program may count acknowledged events as dropped.
        let _ = program::follow(&self.dir, self.acknowledged);
        for file in self.files().into_iter().filter(|file| *file < self.file) {
            // If this fails, the file is found again and its events are skipped by their numbers.
            let _ = self.dir.remove_file(&journal::name(file));
        }
    }

    /// Returns true if all bytes of the file are acknowledged. A missing file was dropped by the program.
    fn is_at_end(&self) -> bool {
        match self.dir.status_in(&journal::name(self.file)) {
            Ok(status) => status.bytes <= self.at,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    fn files(&self) -> Vec<u64> {
        let mut files: Vec<u64> = self.dir.names().unwrap_or_default().iter().filter_map(|name| journal::number(name)).collect();
        files.sort_unstable();
        files
    }

    /// Reads all complete batches after the current offset and joins them.
    fn batch(&mut self) -> Option<Parcel> {
        let file = self.dir.file(&journal::name(self.file), false).ok()?;
        let whole = sys::file_status(&file).ok()?.bytes.min(LONGEST_FILE);
        // The file has shrunk, because the program has dropped a part of it. Start from its beginning; events that the server has are
        // skipped by number.
        if whole < std::mem::replace(&mut self.seen, whole) {
            self.at = 0;
        }
        let length = whole.saturating_sub(self.at);
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let read = sys::read_at(&file, &mut bytes, self.at).ok()?;
        let (mut rest, mut parcels, mut kept, mut events) = (&bytes[..read], Vec::<Parcel>::new(), 0, 0);
        self.end = self.at;
        while let Some((header, payload)) = read_one(self.about.worker.id, rest) {
            let (meta, frame) = payload.split_at_checked(header.b as u32 as usize)?;
            let is_next = parcels.last().is_none_or(|before| before.last() + 1 == header.number);
            if !parcels.is_empty() && (!is_next || events + header.a > EVENTS || kept + frame.len() > BYTES) {
                break;
            }
            if let Ok(meta) = serde_json::from_slice::<Meta>(meta) {
                self.dropped = meta.dropped;
                self.sieve.slow_tests.extend(meta.slow_tests.into_iter().filter_map(ProcessId::new));
            }
            (kept, events) = (kept + frame.len(), events + header.a);
            parcels.push(Parcel::kept(header.number, header.a, frame.to_vec()));
            let whole = size(header.length);
            self.end += whole as u64;
            rest = rest.get(whole..).unwrap_or_default();
            if rest.len() < HEADER {
                break;
            }
        }
        Parcel::joined(&parcels)
    }
}

impl Batches for Follower {
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T> {
        let parcel = self.next()?;
        self.last = parcel.last();
        Some(make(&parcel, &Head { worker: &self.about.worker, sent_us, dropped: &self.dropped, lost: false }))
    }

    /// Settles the batch. Unless it was accepted as a whole, it waits until the program is dead; then [`Replay`](crate::Replay) splits it.
    fn settle(&mut self, answer: &Answer) -> Settled {
        if *answer != Answer::Accepted {
            return Settled::Waits;
        }
        self.accepted(self.last);
        Settled::Taken
    }
}
