//! Appends to the log of events, in the transaction that stores the events, and trims it.

use std::borrow::Cow;

use monitor_state::ProcessEvent;
use monitor_store::event_log::{Run, write};
use monitor_store::packed::{PackedEvent, compact};
use monitor_store::{KeepEvents, Subject};
use monitor_wire::Event;
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::changes::{Happened, Line, NONE};
use super::{Transaction, Writer};

/// Oldest piece: number of its first event, time of writing, and size in bytes.
pub(in super::super) const FIRST: &str = "SELECT first, time, length(piece) FROM event_log ORDER BY first LIMIT 1";
/// Size added to each piece for the rest of its row, in bytes.
const ROW_BYTES: i64 = 32;
/// Ratio of trimmed to written bytes per transaction, so that a log above its limit shrinks.
const TRIMMED_PER_WRITTEN: i64 = 2;
/// Maximum number of bytes trimmed in a housekeeping step.
const STEP_BYTES: i64 = 8 << 20;
/// Maximum number of pieces trimmed in a housekeeping step.
const STEP_PIECES: usize = 500;
/// Divisor of the size limit while the disk is nearly full.
const SPARING_PART: u64 = 16;

/// Returns the maximum size of the log of events, in bytes.
fn most_bytes(keep: KeepEvents, is_sparing: bool) -> i64 {
    let bytes = if is_sparing { keep.bytes / SPARING_PART } else { keep.bytes };
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Transaction<'_> {
    /// Appends the changes of the transaction to the log of events, and trims the log to its maximum size.
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
    /// Encodes the changes as a piece of the log of events.
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

    /// True if the line needs a run of its own with ids of its models: an event made by the server, an event about a worker that is
    /// repeated for a process or tree, or an event whose tree was found by the transaction.
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

/// Maximum amount of trimming.
#[derive(Clone, Copy)]
struct Enough {
    bytes: i64,
    pieces: usize,
}

/// Deletes the oldest pieces while the log exceeds `most_bytes` or its oldest piece was written before `before_us`. Returns true if it
/// stopped at `enough` with more to delete.
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

/// Moves a cursor in the caller's transaction. Returns false and changes nothing if the cursor is not at `from`. With `from` of `None` the
/// cursor must not exist.
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
    /// Sets the limits of the log of events.
    pub(in super::super) fn keep_events(&mut self, keep: KeepEvents) {
        self.keep_events = keep;
    }

    /// Trims the log of events, up to a limit. Returns true if more remains to trim.
    pub(in super::super) fn trim_events(&mut self, now_us: u64) -> Result<bool> {
        let keep = self.keep_events;
        let before_us = now_us.saturating_sub(u64::try_from(keep.age.as_micros()).unwrap_or(u64::MAX)).min(i64::MAX as u64) as i64;
        let most_bytes = most_bytes(keep, self.is_sparing);
        let oldest: Option<i64> = self.connection.prepare_cached(FIRST)?.query_row([], |row| row.get(1)).optional()?;
        // Usually nothing is due, and no transaction is needed.
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

    /// Calls [`move_cursor`] in a transaction of its own.
    pub(in super::super) fn move_cursor(&mut self, name: &str, from: Option<u64>, to: u64) -> Result<bool> {
        move_cursor(&self.connection, name, from, to)
    }
}
