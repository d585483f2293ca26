//! Workers as the writer knows them.

use std::collections::BTreeMap;

use foldhash::HashMap;
use monitor_state::{Ranges, WorkerFacts, WorkerStatus};
use monitor_store::worker;
use monitor_wire::{Dropped, Event, RootId, Worker, WorkerId, WorkerRef, WorkerState, WorkerTasks};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::super::ids;
use super::tally;

/// How long a worker that never announced itself may say nothing before it counts as offline.
const IDLE_US: u64 = 15 * 60 * 1_000_000;
/// At most so many workers are remembered between transactions.
const MAX_REMEMBERED: usize = 10_000;

/// How often a worker that drops events is told of, in microseconds.
const SAID_EVERY_US: u64 = 60_000_000;

/// The workers that were asked for lately.
#[derive(Default)]
pub(super) struct Workers {
    rows: HashMap<WorkerId, WorkerRow>,
    touched: Vec<WorkerId>,
}

/// A row of `worker`, and its rows of `dropped`.
pub(super) struct WorkerRow {
    pub key: i64,
    id: WorkerId,
    facts: WorkerFacts,
    pub applied: Ranges,
    last_seen_us: u64,
    /// Until when its silence says nothing, for those who relay what it says were silent.
    spared_us: u64,
    clock: Clock,
    /// How many processes are open there.
    pub open: i64,
    dropped: HashMap<Reason, u64>,
    pub tasks: WorkerTasks,
    /// By how much these rose in the transaction.
    risen: HashMap<Reason, u64>,
    /// Events dropped since somebody was told of it, and when that was.
    unsaid: u64,
    said_us: Option<u64>,
    /// Where it was when the transaction began; none if it was not known.
    before: Option<WorkerState>,
    status_before: WorkerStatus,
    is_touched: bool,
    is_told_of: bool,
}

/// What was dropped: type of the event, why, and of which tree.
type Reason = (String, String, Option<RootId>);

impl Workers {
    /// A new transaction begins.
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

    /// A worker, made if need be. From here on it counts as touched.
    pub(super) fn get(&mut self, connection: &Connection, tallies: &mut BTreeMap<(i64, i64), i64>, id: WorkerId) -> Result<&mut WorkerRow> {
        self.load(connection, tallies, id)?;
        let row = self.rows.get_mut(&id).expect("just loaded");
        if !row.is_touched {
            row.is_touched = true;
            self.touched.push(id);
        }
        Ok(row)
    }

    /// Makes sure that a worker is there, to be asked for its status.
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

    /// A worker's status, if it is loaded.
    pub(super) fn status(&self, id: WorkerId) -> WorkerStatus {
        self.rows.get(&id).map(|row| row.facts.status()).unwrap_or_default()
    }

    /// A worker that is loaded.
    pub(super) fn known(&self, id: WorkerId) -> Option<&WorkerRow> {
        self.rows.get(&id)
    }

    /// Workers that dropped events in this transaction, by program and host, and how many since they were told of last. Each is told of at
    /// most once a minute.
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

    /// Workers whose status is another than when the transaction began.
    pub(super) fn changed(&self) -> Vec<WorkerId> {
        let is_changed = |id: &&WorkerId| self.rows[*id].facts.status() != self.rows[*id].status_before;
        self.touched.iter().filter(is_changed).copied().collect()
    }

    /// A worker as shown.
    pub(super) fn view(&self, id: WorkerId) -> Option<Worker> {
        self.rows.get(&id).map(|row| row.view(|relay| self.status(relay) == WorkerStatus::Online))
    }

    /// Whether the worker is first heard of in this transaction.
    pub(super) fn is_new(&self, id: WorkerId) -> bool {
        self.rows.get(&id).is_some_and(|row| row.before.is_none())
    }

    /// Writes what was touched.
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

    /// Names of its program and its host.
    pub(super) fn names(&self) -> (&str, &str) {
        (self.facts.program(), self.facts.hostname())
    }

    pub(super) fn hear(&mut self, now_us: u64) {
        self.last_seen_us = self.last_seen_us.max(now_us);
    }

    /// Another worker relays what this one says.
    pub(super) fn describe_relayed(&mut self, worker: &WorkerRef, by: WorkerId) {
        self.is_told_of |= self.facts.describe_relayed(worker, by);
    }

    /// True if it has sent a batch itself: what others relay about it has no effect.
    pub(super) fn reports_itself(&self) -> bool {
        self.facts.reports_itself()
    }

    /// The workers that relay what it says.
    pub(super) fn relays(&self) -> Vec<WorkerId> {
        self.facts.relayed_by().collect()
    }

    /// Takes it that its silence up to a time says nothing. Returns true if it need not be judged yet because of that.
    pub(super) fn is_spared(&mut self, until_us: u64, now_us: u64) -> bool {
        self.spared_us = self.spared_us.max(until_us);
        until_us > 0 && self.due_us().is_none_or(|due_us| due_us > now_us)
    }

    /// When it was found again, by the server's clock; 0 if it never was.
    pub(super) fn found_us(&self) -> u64 {
        self.facts.changed().map_or(0, |(time_us, is_found)| if is_found { time_us } else { 0 })
    }

    /// Returns true if it is online, and not about to be lost.
    pub(super) fn is_heard(&self, now_us: u64) -> bool {
        self.is_online() && self.due_us().is_none_or(|due_us| due_us > now_us)
    }

    /// A batch of its own came.
    pub(super) fn tell_time(&mut self, sent_us: u64, now_us: u64) {
        self.clock.tell(sent_us, now_us);
    }

    /// By how much its clock is ahead of the server's.
    pub(super) fn clock_offset_us(&self) -> i64 {
        self.clock.lag().map_or(0, |lag| -lag)
    }

    /// It was never heard of while it lived.
    pub(super) fn hear_first(&mut self, now_us: u64) {
        if self.last_seen_us == 0 {
            self.hear(now_us);
        }
    }

    /// Takes cumulative counts: the greatest is the latest.
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

    /// Counts what the server itself does not keep, of a tree if it is one's.
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

    /// Returns true if it never announced itself, as what comes by OTLP doesn't.
    pub(super) fn is_unannounced(&self) -> bool {
        self.facts.online().is_none()
    }

    /// The time of the next loss or find: later than the one before, whatever the clock says, for the latest decides.
    pub(super) fn change_us(&self, now_us: u64) -> u64 {
        self.facts.judged_us().map_or(now_us, |before_us| now_us.max(before_us.saturating_add(1)))
    }

    /// When it is lost or idle unless it is heard of; none if it is gone already, or announced itself and promised no heartbeat, or has
    /// something open that nobody promised to end.
    fn due_us(&self) -> Option<u64> {
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
    /// Writes the counts that rose, and adds them to those of all workers.
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

/// How long a worker's batches are compared to find the one that came quickest.
const WINDOW_US: u64 = 600_000_000;

/// What a worker's batches tell of its clock: each arrives later than it was sent, and the quickest one hardly later.
#[derive(Debug, Default)]
struct Clock {
    /// From before this server knew the worker.
    known: Option<i64>,
    /// Since when the window is open, and the least lag in it.
    window: Option<(u64, i64)>,
    /// The least lag of the window before.
    before: Option<i64>,
}

impl Clock {
    fn tell(&mut self, sent_us: u64, now_us: u64) {
        if sent_us == 0 {
            return;
        }
        let lag = now_us.min(i64::MAX as u64) as i64 - sent_us.min(i64::MAX as u64) as i64;
        self.window = match self.window {
            // A clock that was set back, of either side, begins anew as well.
            Some((since, least)) if now_us.checked_sub(since).is_some_and(|age| age <= WINDOW_US) => Some((since, least.min(lag))),
            Some((_, least)) => {
                self.before = Some(least);
                Some((now_us, lag))
            }
            None => Some((now_us, lag)),
        };
    }

    /// By how much the worker's clock is behind the server's, in microseconds.
    fn lag(&self) -> Option<i64> {
        self.window.map(|(_, least)| least).into_iter().chain(self.before).min().or(self.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_batch_of_two_windows_tells_the_clock() {
        let mut clock = Clock { known: Some(7), ..Clock::default() };
        assert_eq!(clock.lag(), Some(7));
        // A day ahead; the network takes 50, 2 and 90 µs.
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
