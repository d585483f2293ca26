//! The only writer of the database. It stores several batches in one transaction and returns the changes for the stream.
//!
//! A transaction has two phases. Gathering collects the events that are not stored yet and looks up the keys of their texts. Settling sorts
//! the events by root and process, folds the events of each process, merges the result with the stored row, and writes each affected
//! process, root, roll-up and worker once, in key order.

pub(super) mod alerts;
mod batch;
mod changes;
pub(super) mod drops;
mod entries;
pub(super) mod event_log;
mod failures;
mod heartbeat;
mod insert;
mod liveness;
mod logs;
pub(super) mod overdue;
mod queue;
pub(super) mod rollups;
pub(super) mod roots;
mod rows;
pub(super) mod settle;
mod timings;
pub(super) mod waiting;
mod workers;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use monitor_state::{ProcessEvent, about_worker};
use monitor_store::packed::{Ending, NOWHERE, Packed, PackedEvent, Place};
use monitor_store::{Changes, KeepEvents};
use monitor_wire::{Event, MAX_TIME_US, ProcessId, RootId, WorkerId};
use rusqlite::{Connection, OptionalExtension, Result, TransactionBehavior, params};

use self::changes::{Happened, Line, NONE};
use self::entries::Item;
use self::failures::Failures;
use self::logs::Line as LogLine;
use self::overdue::{Begun, Watch};
use self::rollups::Rollups;
use self::roots::{RootCache, Roots};
use self::timings::{Step, Timings};
use self::workers::Workers;
use super::dictionary::{Dictionary, EndingKeys, MAX_BYTES, hash};
use super::ids;
use super::row::Words;

/// Values of the column `what` in `tally`.
pub(super) mod tally {
    pub(in super::super) const ROOTS: i64 = 0;
    pub(in super::super) const PROCESSES: i64 = 1;
    pub(in super::super) const WORKERS: i64 = 2;
    pub(in super::super) const UNKNOWN: i64 = 3;
    pub(in super::super) const WAITING: i64 = 4;
}

/// Workers that are lost or idle at ?1. Silence before ?2 does not count.
pub(super) const DUE: &str = "SELECT id FROM worker INDEXED BY worker_due \
    WHERE due IS NOT NULL AND due <= ?1 AND max(last_seen, ?2) + (due - last_seen) <= ?1 ORDER BY due";

/// Write connection, with the state that is kept between transactions.
pub(super) struct Writer {
    connection: Connection,
    dictionary: Dictionary,
    workers: Workers,
    roots: RootCache,
    rollups: Rollups,
    counter: Counter,
    /// Number of first log lines kept per process; the same number of last lines is kept.
    logs_kept: usize,
    /// Maximum number of processes stored per root.
    most_processes: u64,
    /// Maximum number of events that wait until another event names the tree of their process.
    most_waiting: i64,
    watch: Watch,
    /// True if the cached state matches the database. False during a transaction and after one that failed; the next one reloads the
    /// caches.
    is_trusted: bool,
    /// True while free pages are being returned to the disk.
    is_shrinking: bool,
    /// True if the disk is nearly full.
    is_sparing: bool,
    /// Size of the write-ahead log, in bytes, at which a checkpoint starts.
    log_bytes: i64,
    keep_events: KeepEvents,
    names: alerts::WatchedNames,
    last_sign: u64,
}

/// Row of `counter`.
#[derive(Clone, Copy, Default)]
struct Counter {
    seq: u64,
    events: u64,
    root: i64,
    longest: i64,
    earliest: i64,
    rolled: i64,
    /// Size of the log of events, in bytes.
    logged: i64,
}

/// A write transaction and its intermediate results.
struct Transaction<'a> {
    connection: &'a Connection,
    dictionary: &'a mut Dictionary,
    workers: &'a mut Workers,
    cache: &'a mut RootCache,
    rollups: &'a mut Rollups,
    counter: Counter,
    /// Server clock, in Unix microseconds.
    now_us: u64,
    /// Time at which the gathered batches were received. `None` if the transaction stores no batches.
    heard_us: Option<i64>,
    batches: Vec<Gathered>,
    /// One line per new event, in order, with the models that the event affects.
    lines: Vec<Line>,
    /// Events made by the server.
    own: Vec<(WorkerId, Event)>,
    items: Vec<Item>,
    logs: Vec<LogLine>,
    logs_kept: usize,
    /// Limits of the log of events, and true if the disk is nearly full.
    keep_events: (KeepEvents, bool),
    most_processes: u64,
    most_waiting: i64,
    /// Processes that are not stored because their root has the maximum number of processes: root number and process key.
    refused: HashSet<(i64, i64)>,
    /// Trees named by events of this transaction for processes with an id of another system, by process and hash of that id.
    named: HashMap<(ProcessId, i64), u32>,
    /// Lines of events that do not name a tree.
    unplaced: Vec<u32>,
    /// New rows of the side tables `rare`, `native` and `linked`.
    side_rows: rows::NewSideRows,
    watch: &'a mut Watch,
    names: &'a mut alerts::WatchedNames,
    /// Signs to write: events that may match an alert rule.
    signs: Vec<monitor_alerts::Sign>,
    /// Ended processes that may be signs: time of the end, name key if a rule watches the name, and the sign.
    ends: Vec<(u64, Option<i64>, monitor_alerts::Sign)>,
    /// Latest successful end for each watched name, by name key.
    latest_well: HashMap<i64, u64>,
    /// Workers lost in this transaction, apart from agents.
    lost_workers: Vec<WorkerId>,
    /// Workers with a lost process that is a sign itself.
    signed_lost: HashSet<WorkerId>,
    begun: Vec<Begun>,
    /// Number of new events by worker key and event type.
    counted: HashMap<(i64, Cow<'static, str>), i64>,
    roots: Roots,
    words: TransactionWords,
    failures: Failures,
    /// Changes to the counts in `tally`.
    tallies: BTreeMap<(i64, i64), i64>,
    timings: Timings,
}

/// A batch with the database keys of its texts and places.
struct Gathered {
    packed: Arc<Packed>,
    worker: WorkerId,
    worker_key: i64,
    /// Origin key of the worker without a thread, and its origin keys for each thread of the batch.
    origin: i64,
    origins: Vec<i64>,
    sites: Vec<i64>,
    marks: Vec<i64>,
    endings: Vec<EndingKeys>,
    /// Index in [`Roots`] for each root of the batch; [`NONE`] until an event of the root is gathered.
    roots: Vec<u32>,
}

/// Texts, sites and endings behind the keys of the plain processes in the transaction.
#[derive(Default)]
struct TransactionWords {
    origins: HashMap<i64, (WorkerId, Option<Arc<str>>)>,
    sites: HashMap<i64, Arc<super::dictionary::Site>>,
    texts: HashMap<i64, Arc<str>>,
    endings: HashMap<EndingKeys, Arc<Ending>>,
}

impl Writer {
    /// `log_bytes` is the size of the write-ahead log at which a checkpoint starts.
    pub(super) fn new(connection: Connection, log_bytes: u64) -> Result<Self> {
        let mut writer = Self {
            connection,
            log_bytes: log_bytes as i64,
            dictionary: Dictionary::default(),
            workers: Workers::default(),
            roots: RootCache::default(),
            rollups: Rollups::default(),
            counter: Counter::default(),
            logs_kept: monitor_store::LOGS_KEPT,
            most_processes: u64::MAX,
            most_waiting: waiting::MOST,
            watch: Watch::default(),
            is_trusted: false,
            is_shrinking: false,
            is_sparing: false,
            keep_events: KeepEvents::DEFAULT,
            names: alerts::WatchedNames::default(),
            last_sign: 0,
        };
        writer.limit_log()?;
        writer.transaction(0, |_| Ok(()))?;
        writer.last_sign = super::alerts::last_sign(&writer.connection)?;
        Ok(writer)
    }

    /// Sets the number of first and of last log lines kept per process; the minimum is 1.
    pub(super) fn keep_logs(&mut self, lines: usize) {
        // The upper bound exceeds the possible number of rows.
        self.logs_kept = lines.clamp(1, 1 << 40);
    }

    /// Sets the maximum number of processes per root; the minimum is 1.
    pub(super) fn keep_processes(&mut self, most: u64) {
        self.most_processes = most.max(1);
    }

    pub(super) fn append(&mut self, batches: &[Arc<Packed>], now_us: u64) -> Result<Changes> {
        self.transaction(now_us, |transaction| {
            transaction.heard_us = Some(now_us.min(MAX_TIME_US) as i64);
            batches.iter().try_for_each(|batch| {
                transaction.gather(batch, now_us)?;
                if batch.lost { transaction.lose(batch.worker.id, now_us) } else { Ok(()) }
            })
        })
    }

    pub(super) fn lose_workers(&mut self, now_us: u64, since_us: u64) -> Result<Changes> {
        // Usually no worker is due, and no transaction is needed.
        let due: Vec<WorkerId> = {
            let mut statement = self.connection.prepare_cached(DUE)?;
            statement.query_map([now_us as i64, since_us as i64], |row| ids::worker(row, 0))?.collect::<Result<_>>()?
        };
        let is_old = waiting::is_old(&self.connection, now_us)?;
        if due.is_empty() && !is_old {
            return Ok(Changes::none());
        }
        self.transaction(now_us, |transaction| {
            if is_old {
                transaction.give_up_old(now_us)?;
            }
            due.into_iter().try_for_each(|id| transaction.give_up(id, now_us))
        })
    }

    /// Runs one transaction. `now_us` is the server clock, or 0 if the transaction does not use it.
    fn transaction<'a>(&'a mut self, now_us: u64, gather: impl FnOnce(&mut Transaction<'a>) -> Result<()>) -> Result<Changes> {
        if !self.is_trusted {
            self.dictionary.forget();
            self.workers = Workers::default();
            self.roots = RootCache::default();
            self.rollups = Rollups::default();
            self.watch = Watch::new(&self.connection)?;
            self.names.forget();
            let sql = "SELECT seq, events, root, longest, earliest, rolled, logged FROM counter";
            self.counter = self.connection.query_row(sql, [], |row| {
                Ok(Counter {
                    seq: row.get::<_, i64>(0)? as u64,
                    events: row.get::<_, i64>(1)? as u64,
                    root: row.get(2)?,
                    longest: row.get(3)?,
                    earliest: row.get(4)?,
                    rolled: row.get(5)?,
                    logged: row.get(6)?,
                })
            })?;
        }
        self.is_trusted = false;
        self.dictionary.trim(MAX_BYTES);
        self.roots.trim();
        self.rollups.trim();
        self.workers.begin();
        let connection = &self.connection;
        let sql_transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let mut transaction = Transaction {
            connection,
            dictionary: &mut self.dictionary,
            workers: &mut self.workers,
            cache: &mut self.roots,
            rollups: &mut self.rollups,
            counter: self.counter,
            now_us,
            heard_us: None,
            batches: Vec::new(),
            lines: Vec::new(),
            own: Vec::new(),
            items: Vec::new(),
            logs: Vec::new(),
            logs_kept: self.logs_kept,
            keep_events: (self.keep_events, self.is_sparing),
            most_processes: self.most_processes,
            most_waiting: self.most_waiting,
            refused: HashSet::default(),
            side_rows: rows::NewSideRows::default(),
            named: HashMap::default(),
            unplaced: Vec::new(),
            watch: &mut self.watch,
            names: &mut self.names,
            signs: Vec::new(),
            ends: Vec::new(),
            latest_well: HashMap::default(),
            lost_workers: Vec::new(),
            signed_lost: HashSet::default(),
            begun: Vec::new(),
            counted: HashMap::default(),
            roots: Roots::default(),
            words: TransactionWords::default(),
            failures: Failures::default(),
            tallies: BTreeMap::new(),
            timings: Timings::begin(),
        };
        gather(&mut transaction)?;
        transaction.timings.done(Step::Gather);
        let (first_seq, events) = (transaction.counter.seq + 1, transaction.lines.len());
        let (told, counter, mut timings, signed): (Happened, Counter, Timings, Option<u64>) = transaction.settle()?;
        sql_transaction.commit()?;
        self.last_sign = signed.unwrap_or(self.last_sign);
        timings.done(Step::Commit);
        timings.tell(events);
        self.counter = counter;
        self.is_trusted = true;
        Ok(Changes::new(first_seq, told))
    }
}

impl Transaction<'_> {
    /// Gathers the events of a batch that are not stored yet.
    fn gather(&mut self, packed: &Arc<Packed>, now_us: u64) -> Result<()> {
        let id = packed.worker.id;
        // The rest of a lost worker's events, delivered by another sender, does not prove that the worker is alive.
        if !packed.lost {
            self.hear_of(id, now_us)?;
        }
        let worker = self.workers.get(self.connection, &mut self.tallies, id)?;
        worker.describe(&packed.worker);
        worker.drop_counts(&packed.dropped);
        if !packed.lost {
            worker.tell_time(packed.sent_us, now_us);
        }
        if packed.is_empty() {
            return Ok(());
        }
        let (first, last) = (packed.sequence, packed.last_number());
        let before = worker.applied.overlaps(first, last).then(|| worker.applied.clone());
        worker.applied.insert(first, last);
        let worker_key = worker.key;
        let is_fresh = |number| before.as_ref().is_none_or(|before| !before.contains(number));
        if !(first..=last).any(is_fresh) {
            return Ok(());
        }
        let batch = self.batches.len() as u32;
        let mut gathered = self.look_up(packed, worker_key)?;
        self.lines.reserve(packed.len());
        self.items.reserve(packed.len());
        let mut counts = [0; 2];
        for (index, (number, event)) in (first..).zip(&packed.events).enumerate().filter(|(_, (number, _))| is_fresh(*number)) {
            match event {
                PackedEvent::Started(_) => counts[0] += 1,
                PackedEvent::Ended(_) => counts[1] += 1,
                // Counted in `gather_other`, for the worker that the event is about.
                PackedEvent::Other(_) => {}
            }
            let (root, id) = match event {
                PackedEvent::Started(started) => (self.root_at(&mut gathered, started.root)?, started.id),
                PackedEvent::Ended(ended) => (self.root_at(&mut gathered, ended.root)?, ended.id),
                PackedEvent::Other(event) => {
                    self.gather_other(id, (index as u32, number), event, now_us)?;
                    let Some(about) = ProcessEvent::of(event) else {
                        if matches!(**event, Event::Unplaced(_)) {
                            self.unplaced.push(self.lines.len() as u32);
                        }
                        self.lines.push(Line { batch, event: index as u32, root: NONE, entry: NONE, worker: NONE });
                        continue;
                    };
                    let root = self.root(about.root_id)?;
                    if let Some(native_id) = about.native_id().filter(|_| about.is_fact()) {
                        self.named.entry((about.id, hash(native_id))).or_insert(root);
                    }
                    (root, about.id)
                }
            };
            let number = self.roots.entries[root as usize].row.number;
            self.items.push(Item { number, id, root, line: self.lines.len() as u32 });
            self.lines.push(Line { batch, event: index as u32, root, entry: NONE, worker: NONE });
        }
        for (name, count) in ["process-started", "process-ended"].into_iter().zip(counts) {
            *self.counted.entry((worker_key, Cow::Borrowed(name))).or_default() += count;
        }
        self.batches.push(gathered);
        Ok(())
    }

    /// Handles an event that is not packed: relayed workers, log lines, notifications, events about workers and batch tasks, and unknown
    /// types.
    fn gather_other(&mut self, id: WorkerId, (index, number): (u32, u64), event: &Event, now_us: u64) -> Result<()> {
        let about = ProcessEvent::of(event);
        let relayed = match event {
            Event::Unplaced(unplaced) => ProcessEvent::of(unplaced.event()).and_then(|about| about.worker),
            event => about.as_ref().map_or_else(|| about_worker(event, id).1, |about| about.worker),
        };
        let mut is_void = false;
        if let Some(relayed) = relayed {
            let worker = self.workers.get(self.connection, &mut self.tallies, relayed.id)?;
            if relayed.id == id {
                worker.describe(relayed);
            } else {
                worker.describe_relayed(relayed, id);
                is_void = worker.reports_itself();
                if !is_void {
                    self.hear_of(relayed.id, now_us)?;
                }
            }
        }
        let of = relayed.filter(|_| !is_void).map_or(id, |relayed| relayed.id);
        let (worker, event_type) = (self.workers.get(self.connection, &mut self.tallies, of)?, type_of(event));
        worker.tasks.add(&event_type, 1);
        *self.counted.entry((worker.key, event_type)).or_default() += 1;
        match (about, event) {
            (Some(about), Event::ProcessLogged(logged)) => {
                let root = self.root(about.root_id)?;
                self.gather_log(root, (index, number), id, logged)
            }
            (Some(_), Event::ProcessNotified(notified)) => {
                self.sign(monitor_store::signs::of_notification(notified, now_us));
                Ok(())
            }
            (Some(_), _) | (None, Event::Unplaced(_)) => Ok(()),
            (None, Event::Unknown(unknown)) => self.keep_unknown(number, id, unknown),
            (None, event) => {
                let about = about_worker(event, id).0;
                self.workers.get(self.connection, &mut self.tallies, about)?;
                self.workers.apply(about, number, id, event);
                if matches!(event, Event::WorkerOnline(_)) && !is_void {
                    self.sign_of_found_worker(about)?;
                }
                // Must precede `gather_batch`: the sign that the agent has returned comes before the signs of the due times that it missed.
                if let Some(agent) = monitor_store::signs::agent_of(event) {
                    self.hear_of_agent(agent, about)?;
                }
                self.gather_batch(event)
            }
        }
    }

    /// Looks up the keys of all texts, sites, threads and endings in a batch.
    fn look_up(&mut self, packed: &Arc<Packed>, worker_key: i64) -> Result<Gathered> {
        let (connection, dictionary, words) = (self.connection, &mut *self.dictionary, &mut self.words);
        let worker = packed.worker.id;
        let mut origin = |thread: Option<&str>| -> Result<i64> {
            let key = dictionary.origin_key(connection, worker_key, thread, 0)?;
            words.origins.entry(key).or_insert_with(|| (worker, thread.map(Arc::from)));
            Ok(key)
        };
        let own = origin(None)?;
        let origins = packed.threads.iter().map(|thread| origin(Some(thread))).collect::<Result<_>>()?;
        let site = |site: &monitor_store::packed::Site| -> Result<i64> {
            let key = dictionary.site_key(connection, &site.name, &site.kind, site.source.as_ref())?;
            words.sites.insert(key, dictionary.site(connection, key)?);
            Ok(key)
        };
        let sites = packed.sites.iter().map(site).collect::<Result<_>>()?;
        let mut mark = |mark: &str| -> Result<i64> {
            let key = dictionary.searched_key(connection, mark)?;
            words.texts.insert(key, dictionary.text(connection, key)?);
            Ok(key)
        };
        let marks = packed.marks.iter().map(|text| mark(text)).collect::<Result<_>>()?;
        let ending = |ending: &Ending| -> Result<EndingKeys> {
            let (ending, keys) = dictionary.shared_ending(connection, ending)?;
            words.endings.insert(keys, ending);
            Ok(keys)
        };
        let endings = packed.endings.iter().map(ending).collect::<Result<_>>()?;
        let roots = vec![NONE; packed.roots.len()];
        Ok(Gathered { packed: packed.clone(), worker, worker_key, origin: own, origins, sites, marks, endings, roots })
    }

    fn root_at(&mut self, gathered: &mut Gathered, place: Place) -> Result<u32> {
        let place = place as usize;
        if gathered.roots[place] == NONE {
            gathered.roots[place] = self.root(gathered.packed.roots[place])?;
        }
        Ok(gathered.roots[place])
    }

    fn count(&mut self, what: i64, of: i64, change: i64) {
        *self.tallies.entry((what, of)).or_default() += change;
    }

    fn write_counts(&mut self) -> Result<()> {
        let sql = "INSERT INTO worker_events(worker, type, count) VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET count = count + ?3";
        for ((worker, name), count) in std::mem::take(&mut self.counted).into_iter().filter(|(_, count)| *count > 0) {
            let name = self.dictionary.text_key(self.connection, &name)?;
            self.connection.prepare_cached(sql)?.execute([worker, name, count])?;
        }
        Ok(())
    }

    fn write_sums(&mut self) -> Result<()> {
        let sql = "INSERT INTO tally(what, of, count) VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET count = count + ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        for ((what, of), change) in self.tallies.iter().filter(|(_, change)| **change != 0) {
            statement.execute(params![what, of, change])?;
        }
        let Counter { seq, events, root, longest, earliest, rolled, logged } = self.counter;
        let sql = "UPDATE counter SET seq = ?1, events = ?2, root = ?3, longest = ?4, earliest = ?5, rolled = ?6, logged = ?7";
        self.connection.prepare_cached(sql)?.execute(params![seq as i64, events as i64, root, longest, earliest, rolled, logged])?;
        Ok(())
    }
}

impl Gathered {
    /// Returns the origin key of a thread of the batch's worker.
    fn origin(&self, thread: Place) -> i64 {
        if thread == NOWHERE { self.origin } else { self.origins[thread as usize] }
    }
}

impl TransactionWords {
    /// Returns the texts for the keys of a plain process. All keys must be known.
    fn of(&self, plain: &super::row::Plain) -> Words {
        let (worker, thread) = self.origins[&plain.origin].clone();
        Words {
            worker,
            thread,
            site: plain.start.map(|start| self.sites[&start.site].clone()),
            batch: plain.start.and_then(|start| start.batch).map(|batch| self.texts[&batch].clone()),
            ending: plain.end.and_then(|end| end.ending).map(|keys| self.endings[&keys].clone()),
        }
    }

    /// Adds the texts of a stored process.
    fn learn(&mut self, plain: &super::row::Plain, words: Words) {
        self.origins.insert(plain.origin, (words.worker, words.thread));
        if let (Some(start), Some(site)) = (plain.start, words.site) {
            self.sites.insert(start.site, site);
            self.texts.extend(start.batch.zip(words.batch));
        }
        self.endings.extend(plain.end.and_then(|end| end.ending).zip(words.ending));
    }
}

/// Returns the id of the root with this number. `None` if the root was dropped.
fn root_id(connection: &Connection, number: i64) -> Result<Option<RootId>> {
    connection.prepare_cached("SELECT id FROM root WHERE number = ?1")?.query_row([number], |row| ids::root(row, 0)).optional()
}

/// Returns the type of an event. Frequent types need no allocation.
fn type_of(event: &Event) -> Cow<'static, str> {
    Cow::Borrowed(match event {
        Event::ProcessQueued(_) => "process-queued",
        Event::ProcessStarted(_) => "process-started",
        Event::ProcessUpdated(_) => "process-updated",
        Event::ProcessProgressed(_) => "process-progressed",
        Event::ProcessLogged(_) => "process-logged",
        Event::ProcessFolded(_) => "process-folded",
        Event::ProcessEnded(_) => "process-ended",
        Event::TaskSent(_) => "task-sent",
        Event::TaskReceived(_) => "task-received",
        Event::TaskStarted(_) => "task-started",
        Event::TaskSucceeded(_) => "task-succeeded",
        Event::TaskFailed(_) => "task-failed",
        event => return Cow::Owned(event.type_name().to_owned()),
    })
}
