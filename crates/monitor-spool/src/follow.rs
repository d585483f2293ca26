//! Ships what a living program writes that doesn't ship itself.

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

/// Events, and bytes as they are kept, of one request.
const EVENTS: u64 = 5_000;
const BYTES: usize = 1 << 20;

/// Reads the journal of a program behind it, and removes files of it that the server has. What is recorded and not in the journal
/// yet, a batch that can't be read and all behind it, and the rest if this breaks off, are for [`Replay`](crate::Replay), once the
/// program is dead.
#[derive(Debug)]
pub struct Follower {
    dir: Dir,
    about: About,
    /// The journal's file that is read, and how far.
    file: u64,
    at: u64,
    /// Bytes of the file when it was last looked at.
    seen: u64,
    /// Where the batch ends that is next, and the number of its last event.
    end: u64,
    last: u64,
    /// Number of the last event that the server has.
    acknowledged: u64,
    dropped: Vec<Dropped>,
    /// What was read and waits, of a program that belongs to tests.
    sieve: Sieve,
}

impl Spool {
    /// Programs of this [`launch`](About::launch), and whether they live.
    ///
    /// # Errors
    /// When the spool can't be read.
    pub fn launched(&self, launch: &str) -> Result<Vec<(WorkerRef, Life)>, SpoolError> {
        let of = |worker| {
            let dir = self.folder(worker).ok()?;
            let about = crate::found::about(&dir, worker).filter(|about| about.launch.as_deref() == Some(launch))?;
            Some((about.worker, life(&dir, worker).ok()?.0))
        };
        Ok(self.workers()?.into_iter().filter_map(of).collect())
    }

    /// Follows a program; `None` if its folder is gone, or doesn't say whose it is.
    ///
    /// # Errors
    /// When the folder is not trusted, or can't be read.
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
    /// Who records.
    pub fn worker(&self) -> &WorkerRef {
        &self.about.worker
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Number of the last event that the server has.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The batch that is next. Until it is accepted it begins with the same event, and may come to hold more;
    /// `None` while nothing is written.
    #[allow(clippy::should_implement_trait, reason = "the same one until it is accepted")]
    pub fn next(&mut self) -> Option<Parcel> {
        loop {
            if let Some(parcel) = self.batch() {
                return Some(parcel);
            }
            // Before it is looked whether that was all: nothing more comes into a file behind which there is another one.
            let following = self.files().into_iter().find(|file| *file > self.file)?;
            if !self.is_at_end() {
                return None;
            }
            (self.file, self.at, self.seen) = (following, 0, 0);
        }
    }

    /// The server has what was next, up to the event of this number.
    fn accepted(&mut self, last: u64) {
        self.acknowledged = self.acknowledged.max(last);
        self.at = self.end;
        // Without it the program may count as given up what the server has.
        let _ = program::follow(&self.dir, self.acknowledged);
        for file in self.files().into_iter().filter(|file| *file < self.file) {
            // It is found again, and dropped by its numbers.
            let _ = self.dir.remove_file(&journal::name(file));
        }
    }

    /// Whether all that stands in the file is taken. One that is gone was given up.
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

    /// What stands whole in the file from here on, as one batch.
    fn batch(&mut self) -> Option<Parcel> {
        let file = self.dir.file(&journal::name(self.file), false).ok()?;
        let whole = sys::file_status(&file).ok()?.bytes.min(LONGEST_FILE);
        // The program has given up a part of it: what is left begins anew, and some of it the server has.
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

    /// A batch that isn't stored as it is waits until the program is dead, and is taken apart then.
    fn settle(&mut self, answer: &Answer) -> Settled {
        if *answer != Answer::Accepted {
            return Settled::Waits;
        }
        self.accepted(self.last);
        Settled::Taken
    }
}
