//! Logs of processes. The first and the last lines of each log are kept.

use monitor_wire::{LogEntry, LogGap, LogsPage};

use super::{MemoryStore, contains, page_of, place_of};
use crate::{LogsQuery, RootKey, StoreError};

/// Approximate limit for the messages of a page, in bytes.
const BYTES: usize = 8 << 20;

/// The log of a process: its first and last lines, and the number of lines missing between them.
#[derive(Default)]
pub(super) struct Log {
    first: Vec<LogEntry>,
    last: Vec<LogEntry>,
    missing: u64,
}

/// Returns the sort key of a line in the log of its process.
fn place(entry: &LogEntry) -> (u64, u128, u64) {
    (entry.time_us, entry.worker_id.get(), entry.number)
}

impl Log {
    /// Adds a line. Keeps up to `keep` lines at each end. Once lines are missing, the first part no longer grows.
    pub(super) fn add(&mut self, entry: LogEntry, keep: usize) {
        let is_first = self.missing == 0 || self.first.last().is_some_and(|last| place(&entry) < place(last));
        let is_last = self.last.first().is_some_and(|first| place(&entry) > place(first));
        if is_first {
            self.first.push(entry);
            self.first.sort_by_key(place);
        } else if is_last {
            self.last.push(entry);
            self.last.sort_by_key(place);
        } else {
            self.missing += 1;
        }
        if self.missing == 0 && self.first.len() > 2 * keep {
            self.last = self.first.split_off(keep);
        } else if self.missing > 0 && is_first {
            self.first.pop();
            self.missing += 1;
        }
        if !self.last.is_empty() {
            let surplus = self.last.len().saturating_sub(keep);
            self.last.drain(..surplus);
            self.missing += surplus as u64;
        }
    }

    fn gap(&self) -> Option<LogGap> {
        let (after, before) = (self.first.last()?, self.last.first()?);
        (self.missing > 0).then_some(LogGap { after_us: after.time_us, before_us: before.time_us })
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &LogEntry> {
        self.first.iter().chain(&self.last)
    }
}

impl MemoryStore {
    pub(super) fn logs_page(&self, root: RootKey, query: &LogsQuery) -> Result<Option<LogsPage>, StoreError> {
        let state = self.state();
        let Some(tree) = state.number(root).map(|number| &state.trees[&number]) else { return Ok(None) };
        let logs: Vec<&Log> = match query.process {
            Some(id) => match tree.logs.get(&id) {
                Some(log) => vec![log],
                None if state.facts.process(tree.id, id).is_none() => return Ok(None),
                None => Vec::new(),
            },
            None => tree.logs.values().collect(),
        };
        let mut lines: Vec<LogEntry> = logs.iter().flat_map(|log| log.lines()).cloned().collect();
        // Cursors consist of numbers, so a worker is represented by its index in `state.workers`.
        let at = |entry: &LogEntry| {
            let worker = state.workers.iter().position(|seen| seen.id == entry.worker_id).unwrap_or_default() as u64;
            [entry.time_us, entry.process_id.get(), worker, entry.number]
        };
        lines.sort_by_key(at);
        if query.is_newest_first {
            lines.reverse();
        }
        let shown = |entry: &LogEntry| {
            let is_in = |(key, value): (&String, &serde_json::Value)| {
                [Some(key.as_str()), value.as_str()]
                    .into_iter()
                    .flatten()
                    .any(|text| contains(text, query.text.as_deref().unwrap_or_default()))
            };
            !query.without_levels.contains(&&*entry.level)
                && query.text.as_deref().is_none_or(|text| {
                    contains(&entry.message, text)
                        || entry.target.as_deref().is_some_and(|target| contains(target, text))
                        || entry.fields.iter().any(is_in)
                })
        };
        let from = query.cursor.as_deref().map(place_of).transpose()?;
        let is_behind = |place, from| if query.is_newest_first { place < from } else { place > from };
        lines.retain(|line| shown(line) && from.is_none_or(|from| is_behind(at(line), from)));
        let mut bytes = 0;
        let fits = lines.iter().take_while(|line| {
            let is_room = bytes < BYTES;
            bytes += line.message.len();
            is_room
        });
        let limit = query.limit.min(fits.count());
        let (logs_shown, next_cursor) = page_of(lines, limit, None, at, is_behind)?;
        let missing = logs.iter().map(|log| log.missing).sum();
        let gap = logs.first().filter(|_| query.process.is_some()).and_then(|log| log.gap());
        Ok(Some(LogsPage { logs: logs_shown, next_cursor, missing, gap, as_of: state.seq }))
    }
}
