//! Log lines of processes. The first and the last lines of each process are kept; the lines between them are only counted.
//!
//! Lines are sorted by (time, worker, number), so the result does not depend on the order of arrival.

use monitor_state::ProcessEvent;
use monitor_store::packed::PackedEvent;
use monitor_wire::{Event, ProcessLogged, WorkerId};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::Transaction;
use crate::ids;

/// A gathered line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Root number and process key.
    of: (i64, i64),
    at: LinePlace,
    /// Index of the batch, and of the event in the batch.
    event: (u32, u32),
}

/// Sort key of a line in the log of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LinePlace {
    time: i64,
    /// Worker key of the batch's sender.
    worker: i64,
    number: i64,
}

/// Row of `log_kept`.
#[derive(Debug, Default)]
#[allow(clippy::struct_field_names, reason = "named as the table's columns")]
struct Kept {
    lines: i64,
    missing: i64,
    /// Number of lines before the gap.
    head: i64,
    /// Last line before the gap and first line after it.
    gap: Option<(LinePlace, LinePlace)>,
}

impl Transaction<'_> {
    pub(super) fn gather_log(
        &mut self,
        root: u32,
        (index, number): (u32, u64),
        batch_worker: WorkerId,
        logged: &ProcessLogged,
    ) -> Result<()> {
        let entry = &mut self.roots.entries[root as usize];
        if entry.before.is_none() {
            entry.row.base_us = entry.row.base_us.min(logged.time_us as i64);
        }
        entry.row.last_us = entry.row.last_us.max(logged.time_us as i64);
        let of = (entry.row.number, ids::process_key(logged.id));
        let worker = self.workers.get(self.connection, &mut self.tallies, batch_worker)?.key;
        // Index of the batch that is being gathered, which is added to `batches` afterwards.
        let event = (self.batches.len() as u32, index);
        self.logs.push(Line { of, at: LinePlace { time: logged.time_us as i64, worker, number: number as i64 }, event });
        Ok(())
    }

    /// Writes the gathered lines that are kept.
    pub(super) fn settle_logs(&mut self) -> Result<()> {
        let mut lines = std::mem::take(&mut self.logs);
        if !self.refused.is_empty() {
            lines.retain(|line| !self.refused.contains(&line.of));
        }
        lines.sort_unstable_by_key(|line| (line.of, line.at));
        lines.chunk_by(|a, b| a.of == b.of).try_for_each(|lines| self.keep_lines(lines))
    }

    fn keep_lines(&mut self, lines: &[Line]) -> Result<()> {
        let (of, most) = (lines[0].of, self.logs_kept);
        let mut kept = Kept::read(self.connection, of)?;
        // A line with at least `most` lines before and after it in this transaction is not kept.
        let between = if lines.len() > 2 * most { most..lines.len() - most } else { 0..0 };
        kept.missing += between.len() as i64;
        for line in lines[..between.start].iter().chain(&lines[between.end..]) {
            match kept.gap {
                Some((last, first)) if last < line.at && line.at < first => kept.missing += 1,
                Some((last, first)) if line.at < last => {
                    if self.insert_log(line)? {
                        remove(self.connection, of, last, last)?;
                        kept.missing += 1;
                        kept.gap = Some((before(self.connection, of, last)?, first));
                    }
                }
                _ => kept.lines += i64::from(self.insert_log(line)?),
            }
        }
        kept.trim(self.connection, of, most as i64)?;
        kept.write(self.connection, of)
    }

    /// Inserts a line. Returns true if it was not stored already.
    fn insert_log(&mut self, line: &Line) -> Result<bool> {
        let batch = self.batches[line.event.0 as usize].packed.clone();
        let PackedEvent::Other(event) = &batch.events[line.event.1 as usize] else { return Ok(false) };
        let Event::ProcessLogged(logged) = &**event else { return Ok(false) };
        let relayed = ProcessEvent::of(event).and_then(|about| about.worker).map(|worker| worker.id).filter(|id| *id != batch.worker.id);
        let about = match relayed {
            Some(id) => Some(self.workers.get(self.connection, &mut self.tallies, id)?.key),
            None => None,
        };
        let level = self.dictionary.text_key(self.connection, &logged.level)?;
        let mut text = |text: Option<&String>| text.map(|text| self.dictionary.text_key(self.connection, text)).transpose();
        let (target, stream) = (text(logged.target.as_ref())?, text(logged.stream.as_ref())?);
        let sql = "INSERT OR IGNORE INTO log(root, process, time, worker, number, about, level, target, stream, message, fields) \
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let inserted = self.connection.prepare_cached(sql)?.execute(params![
            line.of.0,
            line.of.1,
            line.at.time,
            line.at.worker,
            line.at.number,
            about,
            level,
            target,
            stream,
            logged.message,
            (!logged.fields.is_empty()).then(|| ids::to_json(&logged.fields))
        ])?;
        Ok(inserted > 0)
    }
}

impl Kept {
    fn read(connection: &Connection, of: (i64, i64)) -> Result<Self> {
        let sql = "SELECT kept, missing, head, h_time, h_worker, h_number, t_time, t_worker, t_number FROM log_kept \
                   WHERE root = ?1 AND process = ?2";
        let read = |row: &Row<'_>| {
            let place = |column| -> Result<Option<LinePlace>> {
                let Some(time) = row.get(column)? else { return Ok(None) };
                Ok(Some(LinePlace { time, worker: row.get(column + 1)?, number: row.get(column + 2)? }))
            };
            Ok(Self { lines: row.get(0)?, missing: row.get(1)?, head: row.get(2)?, gap: place(3)?.zip(place(6)?) })
        };
        Ok(connection.prepare_cached(sql)?.query_row([of.0, of.1], read).optional()?.unwrap_or_default())
    }

    fn write(&self, connection: &Connection, of: (i64, i64)) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO log_kept VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let (last, first) = self.gap.unzip();
        connection.prepare_cached(sql)?.execute(params![
            of.0,
            of.1,
            self.lines,
            self.missing,
            self.head,
            last.map(|place| place.time),
            last.map(|place| place.worker),
            last.map(|place| place.number),
            first.map(|place| place.time),
            first.map(|place| place.worker),
            first.map(|place| place.number)
        ])?;
        Ok(())
    }

    /// Removes the earliest lines after the head until at most `most` remain there.
    fn trim(&mut self, connection: &Connection, of: (i64, i64), most: i64) -> Result<()> {
        let begin = match self.gap {
            Some((_, first)) => first,
            None if self.lines <= 2 * most && self.missing == 0 => return Ok(()),
            None => {
                self.head = most;
                let last = nth(connection, of, None, most - 1)?;
                let begin = nth(connection, of, None, most)?;
                self.gap = Some((last, begin));
                begin
            }
        };
        let too_many = self.lines - self.head - most;
        if too_many > 0 {
            let first = nth(connection, of, Some(begin), too_many)?;
            let removed = remove(connection, of, begin, before(connection, of, first)?)?;
            self.lines -= removed;
            self.missing += removed;
            self.gap = self.gap.map(|(last, _)| (last, first));
        }
        Ok(())
    }
}

fn place(row: &Row<'_>) -> Result<LinePlace> {
    Ok(LinePlace { time: row.get(0)?, worker: row.get(1)?, number: row.get(2)? })
}

/// Returns the line at `offset` from `begin`, or from the first line.
fn nth(connection: &Connection, of: (i64, i64), begin: Option<LinePlace>, offset: i64) -> Result<LinePlace> {
    let begin = begin.unwrap_or(LinePlace { time: 0, worker: 0, number: 0 });
    let sql = "SELECT time, worker, number FROM log WHERE root = ?1 AND process = ?2 AND (time, worker, number) >= (?3, ?4, ?5) \
               ORDER BY time, worker, number LIMIT 1 OFFSET ?6";
    connection.prepare_cached(sql)?.query_row([of.0, of.1, begin.time, begin.worker, begin.number, offset], place)
}

/// Returns the line before `end`.
fn before(connection: &Connection, of: (i64, i64), end: LinePlace) -> Result<LinePlace> {
    let sql = "SELECT time, worker, number FROM log WHERE root = ?1 AND process = ?2 AND (time, worker, number) < (?3, ?4, ?5) \
               ORDER BY time DESC, worker DESC, number DESC LIMIT 1";
    connection.prepare_cached(sql)?.query_row([of.0, of.1, end.time, end.worker, end.number], place)
}

/// Removes the lines from `first` to `last`. Returns their number.
fn remove(connection: &Connection, of: (i64, i64), first: LinePlace, last: LinePlace) -> Result<i64> {
    let sql = "DELETE FROM log WHERE root = ?1 AND process = ?2 AND (time, worker, number) BETWEEN (?3, ?4, ?5) AND (?6, ?7, ?8)";
    let places = [of.0, of.1, first.time, first.worker, first.number, last.time, last.worker, last.number];
    Ok(connection.prepare_cached(sql)?.execute(places)? as i64)
}
