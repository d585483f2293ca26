//! Workers of a transaction, and the workers cached by the writer.

use std::collections::BTreeMap;

use foldhash::HashMap;
use monitor_state::{Ranges, WorkerFacts, WorkerStatus};
use monitor_store::worker;
use monitor_wire::{Dropped, Event, RootId, Worker, WorkerId, WorkerRef, WorkerState, WorkerTasks};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::super::ids;
use super::tally;

/// Time without a report after which a worker that never announced itself is offline.
const IDLE_US: u64 = 15 * 60 * 1_000_000;
/// Maximum number of workers cached between transactions.
const MAX_REMEMBERED: usize = 10_000;

/// Minimum interval between two signs that the same worker drops events, in microseconds.
const SAID_EVERY_US: u64 = 60_000_000;

/// Cached workers, and the ids of the workers that the transaction touches.
#[derive(Default)]
pub(super) struct Workers {
    rows: HashMap<WorkerId, WorkerRow>,
    touched: Vec<WorkerId>,
}

/// Row of `worker`, with its rows of `dropped`.
pub(super) struct WorkerRow {
    pub key: i64,
    id: WorkerId,
    facts: WorkerFacts,
    pub applied: Ranges,
    last_seen_us: u64,
    /// Its silence up to this time is excused, because the workers that relay its events were silent.
    spared_us: u64,
    clock: Clock,
    /// Number of open processes of the worker.
    pub open: i64,
    dropped: HashMap<Reason, u64>,
    pub tasks: WorkerTasks,
    /// Increase of `dropped` in the transaction.
    risen: HashMap<Reason, u64>,
    /// Number of dropped events since the last sign, and the time of that sign.
    unsaid: u64,
    said_us: Option<u64>,
    /// State before the transaction; `None` for a new worker.
    before: Option<WorkerState>,
    status_before: WorkerStatus,
    is_touched: bool,
    is_told_of: bool,
}

/// Event type, reason and tree of dropped events.
type Reason = (String, String, Option<RootId>);

impl Workers {
    /// Starts a new transaction.
    pub(super) fn begin(&mut self) {
        if self.rows.len() > MAX_REMEMBERED {
            self.rows.clear();
        }
        for id in self.touched.drain(..) {
            if let Some(row) = self.rows.get_mut(&id) {
                row.begin();
            }
        }
    }

    /// Returns a worker and marks it as touched. Creates it if it does not exist.
    pub(super) fn get(&mut self, connection: &Connection, tallies: &mut BTreeMap<(i64, i64), i64>, id: WorkerId) -> Result<&mut WorkerRow> {
        self.load(connection, tallies, id)?;
        let row = self.rows.get_mut(&id).expect("just loaded");
        if !row.is_touched {
            row.is_touched = true;
            self.touched.push(id);
        }
        Ok(row)
    }

    /// Loads or creates a worker, so that its status is available.
    pub(super) fn load(&mut self, connection: &Connection, tallies: &mut BTreeMap<(i64, i64), i64>, id: WorkerId) -> Result<()> {
        if self.rows.contains_key(&id) {
            return Ok(());
        }
        let row = if let Some(row) = WorkerRow::find(connection, id)? {
            row
        } else {
            let row = WorkerRow::create(connection, id)?;
            *tallies.entry((tally::WORKERS, 0)).or_default() += 1;
            self.touched.push(id);
            row
        };
        self.rows.insert(id, row);
        Ok(())
    }

    /// Folds an event about a worker that is loaded.
    pub(super) fn apply(&mut self, about: WorkerId, number: u64, batch_worker: WorkerId, event: &Event) {
        let row = self.rows.get_mut(&about).expect("loaded before its events are folded");
        row.facts.apply(about, number, batch_worker, event);
        row.is_told_of = true;
    }

    /// Returns the status of a worker. The default is [`WorkerStatus::Online`] if it is not loaded.
    pub(super) fn status(&self, id: WorkerId) -> WorkerStatus {
        self.rows.get(&id).map(|row| row.facts.status()).unwrap_or_default()
    }

    /// Returns a loaded worker.
    pub(super) fn known(&self, id: WorkerId) -> Option<&WorkerRow> {
        self.rows.get(&id)
    }

    /// Returns the workers that dropped events in this transaction, with program, host and the number of events since their last sign.
    /// Returns each worker at most once a minute.
    pub(super) fn take_drops(&mut self, now_us: u64) -> Vec<(String, String, u64)> {
        let mut drops = Vec::new();
        for id in &self.touched {
            let Some(row) = self.rows.get_mut(id).filter(|row| !row.risen.is_empty()) else { continue };
            row.unsaid = row.risen.values().fold(row.unsaid, |sum, more| sum.saturating_add(*more));
            if row.said_us.is_none_or(|said_us| now_us.saturating_sub(said_us) >= SAID_EVERY_US) {
                row.said_us = Some(now_us);
                drops.push((row.facts.program().to_owned(), row.facts.hostname().to_owned(), std::mem::take(&mut row.unsaid)));
            }
        }
        drops
    }

    /// Returns the touched workers whose status has changed.
    pub(super) fn changed(&self) -> Vec<WorkerId> {
        let is_changed = |id: &&WorkerId| self.rows[*id].facts.status() != self.rows[*id].status_before;
        self.touched.iter().filter(is_changed).copied().collect()
    }

    /// Returns the view of a loaded worker.
    pub(super) fn view(&self, id: WorkerId) -> Option<Worker> {
        self.rows.get(&id).map(|row| row.view(|relay| self.status(relay) == WorkerStatus::Online))
    }

    /// True if the worker was created by this transaction.
    pub(super) fn is_new(&self, id: WorkerId) -> bool {
        self.rows.get(&id).is_some_and(|row| row.before.is_none())
    }

    /// Writes the touched workers.
    pub(super) fn write(&mut self, connection: &Connection, tallies: &mut BTreeMap<(i64, i64), i64>) -> Result<()> {
        self.touched.sort_unstable_by_key(|id| self.rows[id].key);
        for id in &self.touched {
            let row = &self.rows[id];
            row.write(connection)?;
            let before = row.before.as_ref().map_or(0, ids::worker_state_code);
            *tallies.entry((tally::WORKERS, before)).or_default() -= 1;
            *tallies.entry((tally::WORKERS, ids::worker_state_code(&row.facts.state()))).or_default() += 1;
        }
        Ok(())
    }
}

impl WorkerRow {
    fn begin(&mut self) {
        self.before = Some(self.facts.state());
        self.status_before = self.facts.status();
        (self.is_touched, self.is_told_of) = (false, false);
        self.risen.clear();
    }

    fn find(connection: &Connection, id: WorkerId) -> Result<Option<Self>> {
        let found = connection
            .prepare_cached("SELECT key, last_seen, open, applied, facts, lag FROM worker WHERE id = ?1")?
            .query_row([ids::worker_key(id)], |row| {
                let applied = Ranges::from_bytes(row.get_ref(3)?.as_blob()?);
                Ok(Self {
                    key: row.get(0)?,
                    id,
                    facts: ids::from_json(4, row.get_ref(4)?.as_blob()?)?,
                    applied: applied.ok_or_else(|| ids::damaged(3, Type::Blob, "no ranges"))?,
                    last_seen_us: row.get::<_, i64>(1)? as u64,
                    spared_us: 0,
                    clock: Clock { known: row.get(5)?, ..Clock::default() },
                    open: row.get(2)?,
                    dropped: HashMap::default(),
                    tasks: WorkerTasks::default(),
                    risen: HashMap::default(),
                    unsaid: 0,
                    said_us: None,
                    before: None,
                    status_before: WorkerStatus::Online,
                    is_touched: false,
                    is_told_of: false,
                })
            })
            .optional()?;
        let Some(mut row) = found else { return Ok(None) };
        let dropped = super::super::workers::dropped(connection, row.key)?;
        row.tasks = super::super::workers::tasks(connection, row.key)?;
        row.dropped = dropped.into_iter().map(|of| ((of.event_type, of.reason, of.root_id), of.count)).collect();
        row.begin();
        Ok(Some(row))
    }

    fn create(connection: &Connection, id: WorkerId) -> Result<Self> {
        let sql = "INSERT INTO worker(id, state, last_seen, open, applied, facts) VALUES(?1, 0, 0, 0, x'', x'7b7d')";
        connection.prepare_cached(sql)?.execute([ids::worker_key(id)])?;
        Ok(Self {
            key: connection.last_insert_rowid(),
            id,
            facts: WorkerFacts::default(),
            applied: Ranges::default(),
            last_seen_us: 0,
            spared_us: 0,
            clock: Clock::default(),
            open: 0,
            dropped: HashMap::default(),
            tasks: WorkerTasks::default(),
            risen: HashMap::default(),
            unsaid: 0,
            said_us: None,
            before: None,
            status_before: WorkerStatus::Online,
            is_touched: true,
            is_told_of: true,
        })
    }

    pub(super) fn describe(&mut self, worker: &WorkerRef) {
        self.is_told_of |= self.facts.describe(worker);
    }

    /// Returns the names of its program and its host.
    pub(super) fn names(&self) -> (&str, &str) {
        (self.facts.program(), self.facts.hostname())
    }

    pub(super) fn hear(&mut self, now_us: u64) {
        self.last_seen_us = self.last_seen_us.max(now_us);
    }

    /// Stores the description of this worker that the worker `by` has relayed.
    pub(super) fn describe_relayed(&mut self, worker: &WorkerRef, by: WorkerId) {
        self.is_told_of |= self.facts.describe_relayed(worker, by);
    }

    /// True if it has sent a batch itself. In that case, other workers' reports about it have no effect.
    pub(super) fn reports_itself(&self) -> bool {
        self.facts.reports_itself()
    }

    /// Returns the workers that relay its events.
    pub(super) fn relays(&self) -> Vec<WorkerId> {
        self.facts.relayed_by().collect()
    }

    /// Excuses its silence up to `until_us`. Returns true if it is therefore not due yet.
    pub(super) fn is_spared(&mut self, until_us: u64, now_us: u64) -> bool {
        self.spared_us = self.spared_us.max(until_us);
        until_us > 0 && self.due_us().is_none_or(|due_us| due_us > now_us)
    }

    /// Time at which it was found again, by the server's clock; 0 if it was never found or has been lost since.
    pub(super) fn found_us(&self) -> u64 {
        self.facts.changed().map_or(0, |(time_us, is_found)| if is_found { time_us } else { 0 })
    }

    /// True if it is online and not due to be lost.
    pub(super) fn is_heard(&self, now_us: u64) -> bool {
        self.is_online() && self.due_us().is_none_or(|due_us| due_us > now_us)
    }

    /// True if it has reported at this time or later, or has no heartbeats.
    pub(super) fn has_reported_since(&self, since_us: u64) -> bool {
        self.last_seen_us >= since_us || self.due_us().is_none()
    }

    /// Measures its clock with a batch that it has sent itself.
    pub(super) fn tell_time(&mut self, sent_us: u64, now_us: u64) {
        self.clock.tell(sent_us, now_us);
    }

    /// Lead of its clock over the server's, in microseconds; 0 if unknown.
    pub(super) fn clock_offset_us(&self) -> i64 {
        self.clock.lag().map_or(0, |lag| -lag)
    }

    /// Sets the last report to now if there was none.
    pub(super) fn hear_first(&mut self, now_us: u64) {
        if self.last_seen_us == 0 {
            self.hear(now_us);
        }
    }

    /// Updates the numbers of dropped events from cumulative counts. The greatest count is the latest.
    pub(super) fn drop_counts(&mut self, dropped: &[Dropped]) {
        for Dropped { event_type, reason, root_id, count } in dropped {
            let (of, count) = ((event_type.clone(), reason.clone(), *root_id), (*count).min(i64::MAX as u64));
            let before = self.dropped.get(&of).copied().unwrap_or(0);
            if count > before {
                *self.risen.entry(of.clone()).or_default() += count - before;
                self.dropped.insert(of, count);
            }
        }
    }

    /// Counts events that the server itself has dropped.
    pub(super) fn drop_more(&mut self, event_type: &str, reason: &str, root: Option<RootId>, more: u64) {
        let of = (event_type.to_owned(), reason.to_owned(), root);
        *self.risen.entry(of.clone()).or_default() += more;
        let count = self.dropped.entry(of).or_default();
        *count = count.saturating_add(more).min(i64::MAX as u64);
    }

    pub(super) fn is_online(&self) -> bool {
        self.facts.status() == WorkerStatus::Online
    }

    pub(super) fn is_missed(&self) -> bool {
        self.facts.is_missed()
    }

    /// True if it never announced itself. Senders of OTLP do not.
    pub(super) fn is_unannounced(&self) -> bool {
        self.facts.online().is_none()
    }

    /// Time of the next change of status: now, but later than the previous change, because the latest change applies even if the clock was
    /// set back.
    pub(super) fn change_us(&self, now_us: u64) -> u64 {
        self.facts.judged_us().map_or(now_us, |before_us| now_us.max(before_us.saturating_add(1)))
    }

    /// Time at which it is lost or idle without another report. `None` if it is not online. Also `None` if it announced itself without
    /// heartbeats, or never announced itself and has open processes.
    pub(super) fn due_us(&self) -> Option<u64> {
        let patience_us = if self.is_unannounced() {
            Some(IDLE_US).filter(|_| self.open == 0)
        } else {
            self.facts.heartbeat_interval_ms().map(|interval| interval.saturating_mul(2_000))
        };
        patience_us.filter(|_| self.is_online()).map(|patience_us| self.last_seen_us.max(self.spared_us).saturating_add(patience_us))
    }

    fn view(&self, is_online: impl FnMut(WorkerId) -> bool) -> Worker {
        let dropped = self.dropped.iter().map(|((event_type, reason, root_id), count)| Dropped {
            event_type: event_type.clone(),
            reason: reason.clone(),
            root_id: *root_id,
            count: *count,
        });
        let is_unheard = self.facts.is_behind_silence(is_online);
        worker::view(self.id, &self.facts, is_unheard, (self.last_seen_us, self.clock.lag()), self.open, dropped.collect(), self.tasks)
    }

    fn write(&self, connection: &Connection) -> Result<()> {
        let offline = match self.facts.status() {
            WorkerStatus::Offline { time_us } => Some(time_us as i64),
            WorkerStatus::Online | WorkerStatus::Lost => None,
        };
        let due = self.due_us().map(|due| due.min(i64::MAX as u64) as i64);
        let sql = "UPDATE worker SET state = ?2, offline = ?3, last_seen = ?4, due = ?5, open = ?6, applied = ?7, lag = ?8 WHERE key = ?1";
        connection.prepare_cached(sql)?.execute(params![
            self.key,
            ids::worker_state_code(&self.facts.state()),
            offline,
            self.last_seen_us as i64,
            due,
            self.open,
            self.applied.to_bytes(),
            self.clock.lag()
        ])?;
        if self.is_told_of {
            let sql = "UPDATE worker SET facts = ?2 WHERE key = ?1";
            connection.prepare_cached(sql)?.execute(params![self.key, ids::to_json(&self.facts)])?;
        }
        if !self.risen.is_empty() {
            self.write_dropped(connection)?;
        }
        Ok(())
    }
}

impl WorkerRow {
    /// Writes the increased numbers of dropped events, and adds the increase to the sums of all workers.
    fn write_dropped(&self, connection: &Connection) -> Result<()> {
        let mut write = connection.prepare_cached(
            "INSERT INTO dropped(worker, type, reason, root, count) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET count = ?5",
        )?;
        let mut sums = BTreeMap::<(&str, &str), u64>::new();
        for (of @ (event_type, reason, root), more) in &self.risen {
            let root = root.map(|root| ids::root_key(root).to_vec()).unwrap_or_default();
            write.execute(params![self.key, event_type, reason, root, self.dropped[of] as i64])?;
            let sum = sums.entry((event_type, reason)).or_default();
            *sum = sum.saturating_add(*more);
        }
        let mut add = connection.prepare_cached(
            "INSERT INTO dropped_sum(type, reason, count) VALUES(?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET count = iif(count > 9223372036854775807 - ?3, 9223372036854775807, count + ?3)",
        )?;
        for ((event_type, reason), more) in sums {
            add.execute(params![event_type, reason, more.min(i64::MAX as u64) as i64])?;
        }
        Ok(())
    }
}

/// Length of a window for finding the fastest batch of a worker, in microseconds.
const WINDOW_US: u64 = 600_000_000;

/// Offset of a worker's clock, measured with its batches. The time between sending and receiving is the offset plus the transmission time,
/// which is shortest for the fastest batch.
#[derive(Debug, Default)]
struct Clock {
    /// Lag read from the database.
    known: Option<i64>,
    /// Start of the current window, and the least lag in it.
    window: Option<(u64, i64)>,
    /// Least lag of the previous window.
    before: Option<i64>,
}

impl Clock {
    fn tell(&mut self, sent_us: u64, now_us: u64) {
        if sent_us == 0 {
            return;
        }
        let lag = now_us.min(i64::MAX as u64) as i64 - sent_us.min(i64::MAX as u64) as i64;
        self.window = match self.window {
            // A clock that was set back also starts a new window.
            Some((since, least)) if now_us.checked_sub(since).is_some_and(|age| age <= WINDOW_US) => Some((since, least.min(lag))),
            Some((_, least)) => {
                self.before = Some(least);
                Some((now_us, lag))
            }
            None => Some((now_us, lag)),
        };
    }

    /// Returns how far the worker's clock is behind the server's, in microseconds.
    fn lag(&self) -> Option<i64> {
        self.window.map(|(_, least)| least).into_iter().chain(self.before).min().or(self.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_batch_of_two_windows_sets_the_clock_difference() {
        let mut clock = Clock { known: Some(7), ..Clock::default() };
        assert_eq!(clock.lag(), Some(7));
        // The worker's clock is a day ahead. The network takes 50, 2 and 90 µs.
        let day = 86_400_000_000;
        for (at, latency) in [(1_000, 50), (2_000, 2), (3_000, 90)] {
            clock.tell(at + day, at + latency);
        }
        assert_eq!(clock.lag(), Some(2 - day as i64));
        clock.tell(0, 5_000);
        let later = 3_000 + WINDOW_US;
        clock.tell(later + day, later + 40);
        assert_eq!(clock.lag(), Some(2 - day as i64), "the window before counts");
        clock.tell(later + 2 * WINDOW_US, later + 2 * WINDOW_US + 30);
        assert_eq!(clock.lag(), Some(40 - day as i64), "and the one before that doesn't");
        clock.tell(later + 4 * WINDOW_US, later + 4 * WINDOW_US + 30);
        assert_eq!(clock.lag(), Some(30), "its clock was set");
    }
}
