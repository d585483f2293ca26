//! Writing the log of events, in the transaction that stores them, and trimming it.

use std::borrow::Cow;

use monitor_state::ProcessEvent;
use monitor_store::event_log::{Run, write};
use monitor_store::packed::{PackedEvent, compact};
use monitor_store::{KeepEvents, Subject};
use monitor_wire::Event;
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::changes::{Happened, Line, NONE};
use super::{Transaction, Writer};

/// The oldest piece: its first event, when it was written, and how many bytes it has.
pub(in super::super) const FIRST: &str = "SELECT first, time, length(piece) FROM event_log ORDER BY first LIMIT 1";
/// What a row counts for besides its piece.
const ROW_BYTES: i64 = 32;
/// A transaction trims so many times the bytes that it writes, so that a log which is too large becomes smaller.
const TRIMMED_PER_WRITTEN: i64 = 2;
/// So many bytes are trimmed in a step beside ingest.
const STEP_BYTES: i64 = 8 << 20;
/// And so many pieces.
const STEP_PIECES: usize = 500;
/// On a disk that has little room, only one in so many of the bytes of the log are kept.
const SPARING_PART: u64 = 16;

/// Largest size of the log, in bytes.
fn most_bytes(keep: KeepEvents, is_sparing: bool) -> i64 {
    let bytes = if is_sparing { keep.bytes / SPARING_PART } else { keep.bytes };
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Transaction<'_> {
    /// Appends what the transaction tells to the log of events, and trims what is too much.
    pub(super) fn log_events(&mut self, told: &Happened) -> Result<()> {
        let (keep, is_sparing) = self.keep_events;
        if told.lines.is_empty() || keep.bytes == 0 {
            return Ok(());
        }
        let piece = told.piece();
        let (first, last) = (self.counter.seq + 1 - told.lines.len() as u64, self.counter.seq);
        let sql = "INSERT INTO event_log(first, last, time, piece) VALUES(?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute(params![first as i64, last as i64, self.now_us as i64, piece])?;
        let bytes = piece.len() as i64 + ROW_BYTES;
        self.counter.logged += bytes;
        let enough = Enough { bytes: bytes * TRIMMED_PER_WRITTEN, pieces: usize::MAX };
        trim(self.connection, &mut self.counter.logged, (most_bytes(keep, is_sparing), i64::MIN), enough).map(drop)
    }
}

impl Happened {
    /// A piece of the log of events that tells the same.
    fn piece(&self) -> Vec<u8> {
        let mut runs: Vec<Run> = Vec::new();
        let mut last = Line { batch: NONE, event: NONE, root: NONE, entry: NONE, worker: NONE };
        for line in &self.lines {
            let follows = line.batch != NONE && line.batch == last.batch && line.event == last.event + 1 && line.worker == last.worker;
            let is_alone = self.is_alone(*line);
            match runs.last_mut().filter(|run| follows && !is_alone && !run.is_alone) {
                Some(run) => run.count += 1,
                None => runs.push(self.run(*line, is_alone)),
            }
            last = *line;
        }
        let batches: Vec<Cow<'_, [u8]>> = self
            .batches
            .iter()
            .map(|batch| if batch.logged.is_empty() { compact::write(batch).into() } else { batch.logged.as_slice().into() })
            .collect();
        let own: Vec<&Event> = self.own.iter().map(|(_, event)| event).collect();
        write(batches.iter().map(|batch| &**batch), &own, &runs)
    }

    /// An event of the server's own, or one of a worker's that is told once more for a process which that left.
    fn is_alone(&self, line: Line) -> bool {
        let Some(batch) = self.batches.get(line.batch as usize) else { return true };
        match &batch.events[line.event as usize] {
            PackedEvent::Started(_) | PackedEvent::Ended(_) => false,
            PackedEvent::Other(event) => line.root != NONE && ProcessEvent::of(event).is_none(),
        }
    }

    fn run(&self, line: Line, is_alone: bool) -> Run {
        let worker_id = self.workers.get(line.worker as usize).map(|worker| worker.id);
        let about = if is_alone {
            let root_id = self.roots.get(line.root as usize).map(|root| root.row.id);
            Subject { root_id, process_id: self.entries.get(line.entry as usize).map(|entry| entry.id), worker_id }
        } else {
            Subject { worker_id, ..Subject::default() }
        };
        Run { batch: Some(line.batch).filter(|batch| *batch != NONE), event: line.event, count: 1, about, is_alone }
    }
}

/// How much is trimmed at once.
#[derive(Clone, Copy)]
struct Enough {
    bytes: i64,
    pieces: usize,
}

/// Deletes the oldest pieces while the log has more bytes than it may, or they were written before a time. True if there are more.
fn trim(connection: &Connection, logged: &mut i64, (most_bytes, before_us): (i64, i64), enough: Enough) -> Result<bool> {
    let (mut bytes, mut pieces) = (0, 0);
    loop {
        let mut first = connection.prepare_cached(FIRST)?;
        let oldest = first.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))).optional()?;
        let Some((seq, time_us, piece_bytes)) = oldest else {
            *logged = 0;
            return Ok(false);
        };
        if *logged <= most_bytes && time_us >= before_us {
            return Ok(false);
        }
        if bytes >= enough.bytes || pieces >= enough.pieces {
            return Ok(true);
        }
        connection.prepare_cached("DELETE FROM event_log WHERE first = ?1")?.execute([seq])?;
        *logged -= piece_bytes + ROW_BYTES;
        bytes += piece_bytes + ROW_BYTES;
        pieces += 1;
    }
}

/// Moves a cursor in the transaction of what was done. False, and nothing is changed, if it isn't where it is said to be.
pub(in super::super) fn move_cursor(connection: &Connection, name: &str, from: Option<u64>, to: u64) -> Result<bool> {
    let to = i64::try_from(to).unwrap_or(i64::MAX);
    let moved = match from {
        None => connection.prepare_cached("INSERT OR IGNORE INTO cursor(name, seq) VALUES(?1, ?2)")?.execute(params![name, to])?,
        Some(from) => {
            let sql = "UPDATE cursor SET seq = ?3 WHERE name = ?1 AND seq = ?2";
            connection.prepare_cached(sql)?.execute(params![name, i64::try_from(from).unwrap_or(i64::MAX), to])?
        }
    };
    Ok(moved == 1)
}

impl Writer {
    /// Keeps so much of the log of events from now on.
    pub(in super::super) fn keep_events(&mut self, keep: KeepEvents) {
        self.keep_events = keep;
    }

    /// Trims some of the log of events; true if there is more to trim.
    pub(in super::super) fn trim_events(&mut self, now_us: u64) -> Result<bool> {
        let keep = self.keep_events;
        let before_us = now_us.saturating_sub(u64::try_from(keep.age.as_micros()).unwrap_or(u64::MAX)).min(i64::MAX as u64) as i64;
        let most_bytes = most_bytes(keep, self.is_sparing);
        let oldest: Option<i64> = self.connection.prepare_cached(FIRST)?.query_row([], |row| row.get(1)).optional()?;
        // Mostly nothing is due, and then nothing is written.
        if oldest.is_none_or(|oldest| oldest >= before_us) && self.is_trusted && self.counter.logged <= most_bytes {
            return Ok(false);
        }
        let mut is_more = false;
        self.transaction(0, |transaction| {
            let enough = Enough { bytes: STEP_BYTES, pieces: STEP_PIECES };
            is_more = trim(transaction.connection, &mut transaction.counter.logged, (most_bytes, before_us), enough)?;
            Ok(())
        })?;
        Ok(is_more)
    }

    /// As [`move_cursor`], in a transaction of its own.
    pub(in super::super) fn move_cursor(&mut self, name: &str, from: Option<u64>, to: u64) -> Result<bool> {
        move_cursor(&self.connection, name, from, to)
    }
}
