//! Batches on disk that wait for the server.
//!
//! Each batch is a file, so that a killed bridge loses no event. The next bridge sends the remaining files. A file also contains digests of the broker's
//! messages, because RabbitMQ delivers messages again until they are acknowledged, and each message counts once.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use monitor_spool::{Answer, Batches, Head, Parcel, Rejected, Settled};
use monitor_wire::{Dropped, Event, WorkerRef};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use crate::ids::random_hex;
use crate::translate::Retry;

/// Maximum size of the waiting batches, in bytes.
const LARGEST: u64 = 256 << 20;
/// Number of sent batches whose digests are kept: the broker may not have received their acknowledgements.
const MOST_DONE: usize = 64;
/// Size of the file of attempts above which its older half is dropped at the start, in bytes.
const LARGEST_ATTEMPTS: u64 = 8 << 20;

/// Behind the number of a started attempt in that file.
const STARTED: &str = "s";

/// Beginning of the SHA-256 of a message.
pub(crate) type Digest = u128;

/// Messages that the broker forgets once their events are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Connection that delivered them.
    pub(crate) session: u64,
    /// The broker's number of the last one.
    pub(crate) tag: u64,
}

/// The waiting batches of a bridge.
#[derive(Debug)]
pub(crate) struct Outbox {
    folder: PathBuf,
    worker: WorkerRef,
    /// Number of the next event.
    next: u64,
    /// Number of the next file.
    next_file: u64,
    waiting: VecDeque<Waiting>,
    /// Size of the waiting files.
    bytes: u64,
    /// Parts of the first waiting batch, with its worker.
    front: Option<(WorkerRef, VecDeque<Parcel>)>,
    done: VecDeque<u64>,
    digests: HashSet<Digest>,
    digests_of: VecDeque<(u64, Vec<Digest>)>,
    dropped: Vec<Dropped>,
    acknowledge: UnboundedSender<Receipt>,
    /// Held while the bridge uses the folder.
    _lock: File,
}

#[derive(Debug)]
struct Waiting {
    file: u64,
    bytes: u64,
    receipt: Option<Receipt>,
}

/// Content of a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    worker: WorkerRef,
    first: u64,
    count: u64,
    digests: Vec<String>,
    events: Box<RawValue>,
}

/// The folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another bridge uses it.
    #[error("another bridge uses the folder {0}: stop that bridge, or use another --name or --data")]
    InUse(PathBuf),
    /// It can't be read or written.
    #[error("the folder {path} can't be used: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// Returns the digest of a message.
pub(crate) fn digest(body: &[u8]) -> Digest {
    let bytes: [u8; 32] = Sha256::digest(body).into();
    u128::from_be_bytes(*bytes.first_chunk().expect("32 bytes"))
}

impl Outbox {
    /// Opens the outbox in a folder, with the batches that an earlier bridge has left there.
    pub(crate) fn open(folder: &Path, worker: WorkerRef, acknowledge: UnboundedSender<Receipt>) -> Result<Self, FolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| FolderError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(FolderError::Io { path, source }),
        }
        let mut outbox = Self {
            folder: folder.to_owned(),
            worker,
            next: 1,
            next_file: 1,
            waiting: VecDeque::new(),
            bytes: 0,
            front: None,
            done: VecDeque::new(),
            digests: HashSet::new(),
            digests_of: VecDeque::new(),
            dropped: Vec::new(),
            acknowledge,
            _lock: lock,
        };
        outbox.load().map_err(failed(folder))?;
        Ok(outbox)
    }

    fn load(&mut self) -> io::Result<()> {
        let mut files: Vec<(u64, bool)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            match (number, path.extension().and_then(|ending| ending.to_str())) {
                (Some(number), Some("batch")) => files.push((number, true)),
                (Some(number), Some("done")) => files.push((number, false)),
                // A write that was not finished. Its messages were not acknowledged.
                (_, Some("tmp")) => fs::remove_file(&path)?,
                _ => {}
            }
        }
        files.sort_unstable();
        for (file, is_waiting) in files {
            self.next_file = file + 1;
            let path = self.path(file, if is_waiting { "batch" } else { "done" });
            let text = fs::read(&path)?;
            let Ok(stored) = serde_json::from_slice::<Stored>(&text) else {
                tracing::warn!(file = %path.display(), "a file of events is damaged, and is not sent");
                fs::rename(&path, path.with_extension("damaged"))?;
                continue;
            };
            let digests = stored.digests.iter().filter_map(|digest| u128::from_str_radix(digest, 16).ok()).collect();
            self.keep_digests(file, digests);
            if is_waiting {
                let bytes = text.len() as u64;
                self.bytes += bytes;
                self.waiting.push_back(Waiting { file, bytes, receipt: None });
            } else {
                self.done.push_back(file);
            }
        }
        Ok(())
    }

    /// Returns true if a message with this digest was received before.
    pub(crate) fn has(&self, digest: Digest) -> bool {
        self.digests.contains(&digest)
    }

    /// Returns true if no more batches should be added.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= LARGEST
    }

    /// Number of batches that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes a batch, which is sent after those before it. Its receipt is used once the server has stored the events.
    pub(crate) fn add(&mut self, events: &[Event], digests: Vec<Digest>, receipt: Option<Receipt>) -> Result<(), FolderError> {
        if events.is_empty() {
            if let Some(receipt) = receipt {
                self.acknowledge_after_last(receipt);
            }
            return Ok(());
        }
        let file = self.next_file;
        let path = self.path(file, "batch");
        let failed = |source: io::Error| FolderError::Io { path: path.clone(), source };
        let stored = Stored {
            worker: self.worker.clone(),
            first: self.next,
            count: events.len() as u64,
            digests: digests.iter().map(|digest| format!("{digest:032x}")).collect(),
            events: serde_json::value::to_raw_value(events).map_err(|error| failed(error.into()))?,
        };
        let text = serde_json::to_vec(&stored).map_err(|error| failed(error.into()))?;
        let unfinished = path.with_extension("tmp");
        let written = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished);
        written.and_then(|mut file| file.write_all(&text)).and_then(|()| fs::rename(&unfinished, &path)).map_err(failed)?;
        self.next_file += 1;
        self.next += stored.count;
        self.bytes += text.len() as u64;
        self.waiting.push_back(Waiting { file, bytes: text.len() as u64, receipt });
        self.keep_digests(file, digests);
        Ok(())
    }

    /// Counts events that are not kept, for a reason such as `spool`.
    pub(crate) fn count_dropped<'a>(&mut self, event_types: impl Iterator<Item = &'a str>, reason: &str) {
        for event_type in event_types {
            let known = self.dropped.iter_mut().find(|of| of.event_type == event_type && of.reason == reason);
            if let Some(known) = known {
                known.count += 1;
            } else {
                self.dropped.push(Dropped { event_type: event_type.to_owned(), reason: reason.to_owned(), root_id: None, count: 1 });
            }
        }
    }

    /// Acknowledges messages that have no events, after all before them.
    fn acknowledge_after_last(&mut self, receipt: Receipt) {
        match self.waiting.back_mut() {
            Some(last) => last.receipt = Some(receipt),
            None => drop(self.acknowledge.send(receipt)),
        }
    }

    fn keep_digests(&mut self, file: u64, digests: Vec<Digest>) {
        self.digests.extend(&digests);
        self.digests_of.push_back((file, digests));
    }

    fn path(&self, file: u64, ending: &str) -> PathBuf {
        self.folder.join(format!("{file:016}.{ending}"))
    }

    /// Reads the first waiting batch. Skips files that can't be read.
    fn load_front(&mut self) {
        while self.front.is_none()
            && let Some(first) = self.waiting.front()
        {
            let path = self.path(first.file, "batch");
            let stored = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Stored>(&text).ok());
            if let Some(stored) = stored {
                let parcel = Parcel::plain(stored.first, stored.count, stored.events.get().as_bytes());
                self.front = Some((stored.worker, [parcel].into()));
            } else {
                tracing::error!(file = %path.display(), "a file of events can't be read, and is not sent");
                self.finish_front();
            }
        }
    }

    /// Removes the first waiting batch, because the server has stored it.
    fn finish_front(&mut self) {
        self.front = None;
        let Some(first) = self.waiting.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(first.bytes);
        let path = self.path(first.file, "batch");
        if let Err(error) = fs::rename(&path, self.path(first.file, "done")) {
            tracing::warn!(file = %path.display(), %error, "a sent file of events can't be renamed");
        }
        self.done.push_back(first.file);
        while self.done.len() > MOST_DONE
            && let Some(file) = self.done.pop_front()
        {
            let _ = fs::remove_file(self.path(file, "done"));
            while self.digests_of.front().is_some_and(|(of, _)| *of <= file)
                && let Some((_, digests)) = self.digests_of.pop_front()
            {
                for digest in &digests {
                    self.digests.remove(digest);
                }
            }
        }
        if let Some(receipt) = first.receipt {
            let _ = self.acknowledge.send(receipt);
        }
    }

    fn reject(&mut self, rejected: &Rejected) {
        tracing::error!(event = rejected.event_type, "the server refuses an event, which is never sent again");
        self.count_dropped([rejected.event_type.as_str()].into_iter(), "rejected");
    }

    fn settle_front(&mut self, answer: &Answer) -> Settled {
        let Some((_, parts)) = &mut self.front else { return Settled::Waits };
        let Some(part) = parts.pop_front() else { return Settled::Waits };
        let (settled, rejected, rest) = match answer {
            Answer::Accepted => (Settled::Taken, None, Vec::new()),
            Answer::Unreadable { number, .. } => match part.without(*number) {
                Some((before, rejected, behind)) => (Settled::GivenUp, Some(rejected), [before, behind].into_iter().flatten().collect()),
                None => (Settled::Waits, None, vec![part]),
            },
            Answer::TooLarge { .. } => match part.halve() {
                Some((before, behind)) => (Settled::Taken, None, vec![before, behind]),
                None => (Settled::GivenUp, part.kinds().into_iter().next(), Vec::new()),
            },
            Answer::Refused { .. } | Answer::Busy { .. } | Answer::Away { .. } => (Settled::Waits, None, vec![part]),
        };
        for part in rest.into_iter().rev() {
            parts.push_front(part);
        }
        let is_over = parts.is_empty();
        if let Some(rejected) = rejected {
            self.reject(&rejected);
        }
        if is_over {
            self.finish_front();
        }
        settled
    }
}

/// An outbox that batches are added to while others are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a>(pub(crate) &'a Mutex<Outbox>);

impl Batches for Shared<'_> {
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T> {
        let mut outbox = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outbox.load_front();
        let Outbox { front, dropped, worker: own, .. } = &*outbox;
        let (worker, parts) = front.as_ref()?;
        // The counts are those of this bridge, not those of an earlier one.
        let dropped = if worker.id == own.id { dropped.as_slice() } else { &[] };
        Some(make(parts.front()?, &Head { worker, sent_us, dropped, lost: false }))
    }

    fn settle(&mut self, answer: &Answer) -> Settled {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).settle_front(answer)
    }
}

/// Attempts of tasks in a file that outlives the bridge. Events of Celery after the receipt of a task don't contain its attempt.
#[derive(Debug)]
pub(crate) struct Attempts(File);

impl Attempts {
    /// Opens the file, and returns the attempts in it, oldest first.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Vec<Retry>), FolderError> {
        let path = folder.join("attempts");
        let failed = |source| FolderError::Io { path: path.clone(), source };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let mut lines: Vec<&str> = text.lines().collect();
        if text.len() as u64 > LARGEST_ATTEMPTS {
            lines.drain(..lines.len() / 2);
            fs::write(&path, lines.join("\n") + "\n").map_err(failed)?;
        }
        let attempt = |line: &&str| {
            let (attempt, task) = line.split_once(' ')?;
            let (attempt, has_started) = attempt.strip_suffix(STARTED).map_or((attempt, false), |attempt| (attempt, true));
            Some(Retry { task: task.to_owned(), attempt: attempt.parse().ok()?, has_started })
        };
        let known = lines.iter().filter_map(attempt).collect();
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
        Ok((Self(file), known))
    }

    /// Adds attempts.
    pub(crate) fn add(&mut self, attempts: &[Retry]) -> io::Result<()> {
        if attempts.is_empty() {
            return Ok(());
        }
        // An id with a line break can't be written as a line.
        let lines = attempts.iter().filter(|of| !of.task.contains('\n')).map(|Retry { task, attempt, has_started }| {
            let started = if *has_started { STARTED } else { "" };
            format!("{attempt}{started} {task}\n")
        });
        self.0.write_all(lines.collect::<String>().as_bytes())
    }
}

/// Returns the secret of a folder. The keys of the workers' channels are derived from it, because they must be the same after a restart.
pub(crate) fn secret(folder: &Path) -> Result<String, FolderError> {
    let path = folder.join("key");
    let failed = |source| FolderError::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(secret) if secret.len() == 32 => return Ok(secret),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let secret = random_hex();
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(secret.as_bytes()).map_err(failed)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use monitor_wire::{WorkerHeartbeat, WorkerId};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn worker(id: u128) -> WorkerRef {
        WorkerRef { id: WorkerId::new(id).unwrap(), hostname: "h".to_owned(), pid: 1, program: "celery-bridge".to_owned() }
    }

    fn open(folder: &Path, id: u128) -> (Mutex<Outbox>, UnboundedReceiver<Receipt>) {
        let (to, receipts) = unbounded_channel();
        (Mutex::new(Outbox::open(folder, worker(id), to).unwrap()), receipts)
    }

    fn events(count: usize) -> Vec<Event> {
        (0..count).map(|at| Event::WorkerHeartbeat(WorkerHeartbeat { time_us: at as u64 + 1, ..WorkerHeartbeat::default() })).collect()
    }

    /// The worker, and the numbers of the first and the last event of the next batch.
    fn next(outbox: &Mutex<Outbox>) -> Option<(u128, u64, u64)> {
        Shared(outbox).request(1, |parcel, head| (head.worker.id.get(), parcel.first(), parcel.last()))
    }

    fn receipt(tag: u64) -> Receipt {
        Receipt { session: 1, tag }
    }

    #[test]
    fn batches_of_a_killed_bridge_are_sent_first_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (outbox, _) = open(folder.path(), 1);
        outbox.lock().unwrap().add(&events(3), vec![7], Some(receipt(1))).unwrap();
        outbox.lock().unwrap().add(&events(2), vec![8], Some(receipt(2))).unwrap();
        assert!(matches!(Outbox::open(folder.path(), worker(2), unbounded_channel().0), Err(FolderError::InUse(_))));
        Shared(&outbox).request(1, |_, _| ()).unwrap();
        Shared(&outbox).settle(&Answer::Accepted);
        drop(outbox);

        fs::write(folder.path().join("0000000000000003.batch"), "{").unwrap();
        fs::write(folder.path().join("0000000000000004.tmp"), "{").unwrap();
        let (outbox, mut receipts) = open(folder.path(), 2);
        assert!([7, 8].iter().all(|digest| outbox.lock().unwrap().has(*digest)), "also of the batch that was sent");
        outbox.lock().unwrap().add(&events(1), vec![9], Some(receipt(5))).unwrap();
        assert_eq!(next(&outbox), Some((1, 4, 5)));
        Shared(&outbox).settle(&Answer::Accepted);
        assert!(receipts.try_recv().is_err(), "the connection of that bridge has ended");
        assert_eq!(next(&outbox), Some((2, 1, 1)));
        Shared(&outbox).settle(&Answer::Accepted);
        assert_eq!((next(&outbox), receipts.try_recv().ok()), (None, Some(receipt(5))));
    }

    #[test]
    fn messages_are_acknowledged_after_all_events_before_them_are_stored() {
        let folder = tempfile::tempdir().unwrap();
        let (outbox, mut receipts) = open(folder.path(), 1);
        outbox.lock().unwrap().add(&[], vec![], Some(receipt(1))).unwrap();
        assert_eq!(receipts.try_recv().ok(), Some(receipt(1)), "nothing waits");
        outbox.lock().unwrap().add(&events(4), vec![], Some(receipt(2))).unwrap();
        outbox.lock().unwrap().add(&[], vec![], Some(receipt(3))).unwrap();
        next(&outbox);
        for answer in [Answer::Away { why: String::new() }, Answer::TooLarge { why: String::new() }, Answer::Accepted] {
            Shared(&outbox).settle(&answer);
            assert!(receipts.try_recv().is_err());
        }
        assert_eq!(next(&outbox), Some((1, 3, 4)), "the second half");
        assert_eq!(Shared(&outbox).settle(&Answer::Unreadable { number: 3, why: String::new() }), Settled::GivenUp);
        assert_eq!(next(&outbox), Some((1, 4, 4)));
        Shared(&outbox).settle(&Answer::Accepted);
        assert_eq!((receipts.try_recv().ok(), outbox.lock().unwrap().bytes), (Some(receipt(3)), 0));
        assert_eq!(outbox.lock().unwrap().dropped[0].reason, "rejected");
    }

    #[test]
    fn events_that_could_not_be_written_count_as_not_received() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("bridge"), folder.path().join("moved"));
        let (outbox, mut receipts) = open(&path, 1);
        fs::rename(&path, &moved).unwrap();
        assert!(outbox.lock().unwrap().add(&events(2), vec![7], Some(receipt(1))).is_err());
        fs::rename(&moved, &path).unwrap();
        assert!(!outbox.lock().unwrap().has(7) && next(&outbox).is_none() && receipts.try_recv().is_err());
        // The broker has delivered them again.
        outbox.lock().unwrap().add(&events(2), vec![7], Some(receipt(2))).unwrap();
        assert_eq!(next(&outbox), Some((1, 1, 2)));
        Shared(&outbox).settle(&Answer::Accepted);
        assert_eq!(receipts.try_recv().ok(), Some(receipt(2)));
    }

    #[test]
    fn digests_and_files_of_sent_batches_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (outbox, _) = open(folder.path(), 1);
        for digest in 0..3 * MOST_DONE as u128 {
            outbox.lock().unwrap().add(&events(1), vec![digest], None).unwrap();
            next(&outbox);
            Shared(&outbox).settle(&Answer::Accepted);
        }
        let outbox = outbox.lock().unwrap();
        assert!(!outbox.has(0) && outbox.has(3 * MOST_DONE as u128 - 1) && outbox.digests.len() == MOST_DONE);
        let files = fs::read_dir(folder.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().extension().is_some());
        assert_eq!(files.count(), MOST_DONE);
    }

    #[test]
    fn attempts_and_the_secret_outlive_the_bridge() {
        let folder = tempfile::tempdir().unwrap();
        let (mut attempts, known) = Attempts::open(folder.path()).unwrap();
        assert!(known.is_empty());
        let attempt = |task: &str, attempt, has_started| Retry { task: task.to_owned(), attempt, has_started };
        attempts.add(&[attempt("u 1", 2, true), attempt("a\nb", 3, false)]).unwrap();
        attempts.add(&[attempt("视频", 4, false)]).unwrap();
        let (_, known) = Attempts::open(folder.path()).unwrap();
        assert_eq!(known, [attempt("u 1", 2, true), attempt("视频", 4, false)]);
        assert_eq!(secret(folder.path()).unwrap(), secret(folder.path()).unwrap());
    }
}
