//! A process as a row. Columns have the facts that nearly all processes have, and `more` has all facts of the others.

use std::sync::Arc;

use monitor_state::{Definition, ProcessFacts, Stamp, Told, WorkerStatus};
use monitor_store::packed::{Ending, PlainOutcome};
use monitor_wire::{Attachment, Fields, Kind, Process, ProcessId, RootId, State, WorkerId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, Statement};

use super::dictionary::{Dictionary, EndingKeys, Site};
use super::{ids, more};

/// Columns that [`ProcessRow::read`] reads, in this order.
pub(super) const COLUMNS: &str = "id, parent, site, origin, at, skew, elapsed, state, start_no, end_no, error, cause, batch, more";

/// The facts about a process.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// Facts that the columns can represent.
    Plain(Plain),
    /// All facts, if the columns can't represent them.
    Full(Box<ProcessFacts>),
}

/// Start and end of the first attempt, reported by the worker that runs it, without rare data. Texts are keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Plain {
    /// Key of the worker; 0 while nothing is known.
    pub worker: i64,
    /// Key of worker and thread.
    pub origin: i64,
    pub start: Option<Start>,
    pub end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub time_us: u64,
    pub number: u64,
    pub parent_id: Option<ProcessId>,
    pub site: i64,
    pub batch: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub time_us: u64,
    pub number: u64,
    pub elapsed_ns: Option<u64>,
    pub outcome: PlainOutcome,
    pub ending: Option<EndingKeys>,
}

/// Values that the keys of a plain process refer to.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub worker: WorkerId,
    pub thread: Option<Arc<str>>,
    pub site: Option<Arc<Site>>,
    pub batch: Option<Arc<str>>,
    pub ending: Option<Arc<Ending>>,
}

impl End {
    /// Returns the keys of the error's message and of the other data of the end, if it has an error.
    pub(super) fn error(&self) -> Option<(i64, i64)> {
        self.ending.and_then(|(message, rest)| message.zip(Some(rest)))
    }
}

impl Plain {
    /// Returns true if nothing is known.
    pub(super) fn is_nothing(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    /// Adds the facts of `other`. Returns false and changes nothing if they are from another worker, or have another end.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        if self.worker != 0 && other.worker != 0 && self.worker != other.worker {
            return false;
        }
        // Only `ProcessFacts` can keep a second end, which may contradict the one that counts or an end that is received later.
        if let (Some(end), Some(other)) = (self.end, other.end)
            && (end.time_us, end.number) != (other.time_us, other.number)
        {
            return false;
        }
        if let Some(start) = other.start
            && self.start.is_none_or(|kept| (start.time_us, start.number) < (kept.time_us, kept.number))
        {
            self.start = Some(start);
            self.origin = other.origin;
        }
        if let Some(end) = other.end
            && self.end.is_none_or(|kept| (end.time_us, end.number) < (kept.time_us, kept.number))
        {
            self.end = Some(end);
        }
        if self.worker == 0 {
            (self.worker, self.origin) = (other.worker, other.origin);
        }
        true
    }

    /// Returns the start, or the end if the start is unknown.
    pub(super) fn at_us(&self) -> u64 {
        self.start.map(|start| start.time_us).or(self.end.map(|end| end.time_us)).unwrap_or(0)
    }

    /// Returns true if the state depends on that of the worker.
    pub(super) fn is_open(&self) -> bool {
        self.start.is_some() && self.end.is_none()
    }

    /// Returns the duration.
    pub(super) fn elapsed_ns(&self) -> Option<u64> {
        let end = self.end?;
        let between = |start: Start| end.time_us.saturating_sub(start.time_us).saturating_mul(1_000);
        end.elapsed_ns.or_else(|| self.start.map(between))
    }

    /// Returns the state, given the status of the worker.
    pub(super) fn state(&self, status: WorkerStatus) -> State {
        match (self.end, status) {
            (Some(end), _) => end.outcome.state(),
            (None, WorkerStatus::Lost) => State::LOST,
            (None, WorkerStatus::Offline { .. }) => State::CANCELLED,
            (None, WorkerStatus::Online) => State::RUNNING,
        }
    }

    /// Returns the end and the duration, given the status of the worker.
    pub(super) fn ended(&self, status: WorkerStatus) -> (Option<u64>, Option<u64>) {
        match (self.start, status) {
            (Some(start), WorkerStatus::Offline { time_us }) if self.end.is_none() => {
                let left_us = time_us.max(start.time_us);
                (Some(left_us), Some((left_us - start.time_us).saturating_mul(1_000)))
            }
            _ => (self.end.map(|end| end.time_us), self.elapsed_ns()),
        }
    }

    /// Returns the process as clients receive it.
    pub(super) fn view(&self, words: &Words, root_id: RootId, id: ProcessId, status: WorkerStatus) -> Process {
        let status = if self.is_open() { status } else { WorkerStatus::Online };
        let started_us = self.start.map(|start| start.time_us);
        let (ended_us, elapsed_ns) = self.ended(status);
        let is_left = matches!(status, WorkerStatus::Offline { .. });
        let site = words.site.as_deref();
        let Ending { error, exit_code, signal, reason } = words.ending.as_deref().cloned().unwrap_or_default();
        Process {
            id,
            root_id,
            parent_id: self.start.and_then(|start| start.parent_id),
            name: site.map(|site| site.name.to_string()).unwrap_or_default(),
            kind: site.map_or_else(|| Kind::from(""), |site| site.kind.clone()),
            state: self.state(status),
            native_id: None,
            attempt: 1,
            started_us,
            ended_us,
            elapsed_ns,
            worker_id: Some(words.worker),
            thread: words.thread.as_ref().filter(|_| self.start.is_some()).map(ToString::to_string),
            source: site.and_then(|site| site.source.clone()),
            error,
            reason: if is_left { Some("exited".to_owned()) } else { reason },
            exit_code,
            signal,
            attachment: Attachment::EXPLICIT,
            orphan: false,
            links: Vec::new(),
            fields: Fields::new(),
            progress: None,
            fold: None,
            depth: None,
            expected_ns: None,
            expected_p95_ns: None,
            overdue: false,
            contradictions: 0,
            attempts: Vec::new(),
            attempts_of: None,
            next_attempt_us: None,
            task: None,
        }
    }

    /// Returns all facts.
    pub(super) fn facts(&self, words: &Words) -> ProcessFacts {
        let stamp = |time_us, number| Stamp { time_us, worker: words.worker, number };
        let started = self.start.zip(words.site.as_deref()).map(|(start, site)| Told {
            attempt: 1,
            stamp: stamp(start.time_us, start.number),
            worker: words.worker,
            what: Definition {
                parent_id: start.parent_id,
                kind: site.kind.clone(),
                name: site.name.to_string(),
                batch: words.batch.as_ref().map(ToString::to_string),
                thread: words.thread.as_ref().map(ToString::to_string),
                source: site.source.clone(),
                attachment: Attachment::EXPLICIT,
                fields: Fields::new(),
                timeout_ms: None,
                attempts_of: None,
            },
        });
        let Ending { error, exit_code, signal, reason } = words.ending.as_deref().cloned().unwrap_or_default();
        let ended = self.end.map(|End { time_us, number, elapsed_ns, outcome, .. }| Told {
            attempt: 1,
            stamp: stamp(time_us, number),
            worker: words.worker,
            what: monitor_state::End { elapsed_ns, outcome: outcome.outcome(), error, exit_code, signal, reason, retry: None },
        });
        ProcessFacts { attempt: u32::from(!self.is_nothing()), started, ended, ..ProcessFacts::default() }
    }

    /// Looks up the values that the keys refer to.
    pub(super) fn words(&self, connection: &Connection, dictionary: &mut Dictionary) -> Result<Words> {
        let (worker, thread) = dictionary.origin(connection, self.origin)?;
        let site = self.start.map(|start| dictionary.site(connection, start.site)).transpose()?;
        let batch = self.start.and_then(|start| start.batch).map(|batch| dictionary.text(connection, batch)).transpose()?;
        let ending = self.end.and_then(|end| end.ending).map(|keys| dictionary.ending(connection, keys)).transpose()?;
        Ok(Words { worker: dictionary.worker_id(connection, worker)?, thread, site, batch, ending })
    }
}

/// A row of `process`, without its root. Times are Unix microseconds.
#[derive(Debug)]
pub(super) struct ProcessRow {
    pub id: i64,
    pub parent: Option<i64>,
    pub site: Option<i64>,
    pub origin: Option<i64>,
    pub at: i64,
    pub ended: Option<i64>,
    pub elapsed: Option<i64>,
    pub state: i64,
    pub start_no: Option<i64>,
    pub end_no: Option<i64>,
    pub error: Option<i64>,
    pub cause: Option<i64>,
    pub batch: Option<i64>,
    pub more: Option<Vec<u8>>,
}

/// Returns the worker that numbered the events of a process, if it is another one than `view.worker_id`.
pub(super) fn relay(facts: &ProcessFacts, view: &Process) -> Option<WorkerId> {
    let task = facts.task.as_deref();
    let (sent, received) = (task.and_then(|task| task.sent.as_ref()), task.and_then(|task| task.received.as_ref()));
    // The first event of a task is there from the beginning, so that its row keeps its origin.
    let (first, ended) = (sent.or(received).map(|told| told.stamp), facts.ended.as_ref().map(|told| told.stamp));
    let stamp = first.or(ended).or(facts.started.as_ref().map(|told| told.stamp))?;
    view.worker_id.filter(|own| *own != stamp.worker).map(|_| stamp.worker)
}

/// Returns the duration in whole microseconds. The column `skew` is the difference between the end and the start plus this duration.
fn whole_us(elapsed_ns: Option<i64>) -> i64 {
    elapsed_ns.unwrap_or(0) / 1_000
}

impl ProcessRow {
    pub(super) fn read(row: &Row<'_>, base: i64) -> Result<Self> {
        let (at, skew, elapsed): (i64, Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?, row.get(6)?);
        let at = at + base;
        Ok(Self {
            id: row.get(0)?,
            parent: row.get(1)?,
            site: row.get(2)?,
            origin: row.get(3)?,
            at,
            ended: skew.map(|skew| at + whole_us(elapsed) + skew),
            elapsed,
            state: row.get(7)?,
            start_no: row.get(8)?,
            end_no: row.get(9)?,
            error: row.get(10)?,
            cause: row.get(11)?,
            batch: row.get(12)?,
            more: row.get(13)?,
        })
    }

    /// Reads the row of a process in the tree with this number and base.
    pub(super) fn find(connection: &Connection, (root, base): (i64, i64), id: ProcessId) -> Result<Option<Self>> {
        connection.prepare_cached(FIND)?.query_row([root, ids::process_key(id)], |row| Self::read(row, base)).optional()
    }

    /// Returns the row of a plain process.
    pub(super) fn plain(id: ProcessId, plain: &Plain, state: i64) -> Self {
        let Plain { origin, start, end, .. } = *plain;
        Self {
            id: ids::process_key(id),
            parent: start.and_then(|start| start.parent_id).map(ids::process_key),
            site: start.map(|start| start.site),
            origin: Some(origin),
            at: plain.at_us() as i64,
            ended: end.map(|end| end.time_us as i64),
            elapsed: end.and_then(|end| end.elapsed_ns).map(|elapsed| elapsed as i64),
            state,
            start_no: start.map(|start| start.number as i64),
            end_no: end.map(|end| end.number as i64),
            error: end.and_then(|end| end.ending).and_then(|(message, _)| message),
            cause: end.and_then(|end| end.ending).map(|(_, cause)| cause),
            batch: start.and_then(|start| start.batch),
            more: None,
        }
    }

    /// Returns the row of these facts, which clients receive as `view`. `worker` is the key of `view.worker_id`, and `relay` is that of
    /// [`relay`], or 0.
    pub(super) fn full(
        connection: &Connection,
        dictionary: &mut Dictionary,
        facts: &ProcessFacts,
        view: &Process,
        worker: Option<i64>,
        relay: i64,
    ) -> Result<Self> {
        let site = facts.is_defined().then(|| dictionary.site_key(connection, &view.name, &view.kind, view.source.as_ref())).transpose()?;
        let mut row = Self {
            id: ids::process_key(view.id),
            parent: view.parent_id.map(ids::process_key),
            site,
            origin: worker.map(|worker| dictionary.origin_key(connection, worker, view.thread.as_deref(), relay)).transpose()?,
            at: facts.at_us() as i64,
            ended: view.ended_us.map(|ended| ended as i64),
            elapsed: view.elapsed_ns.map(|elapsed| elapsed as i64),
            state: ids::state_code(connection, dictionary, &view.state)?,
            start_no: None,
            end_no: None,
            error: view.error.as_ref().map(|error| dictionary.searched_key(connection, &error.message)).transpose()?,
            cause: None,
            batch: facts.batch().map(|batch| dictionary.searched_key(connection, batch)).transpose()?,
            more: None,
        };
        row.more = Some(more::write(facts, &row.seeds(connection, dictionary)?));
        Ok(row)
    }

    /// Returns the values of the columns, which the encoding of all facts refers to.
    fn seeds(&self, connection: &Connection, dictionary: &mut Dictionary) -> Result<more::Seeds> {
        let site = self.site.map(|site| dictionary.site(connection, site)).transpose()?;
        let origin = self.origin.map(|origin| dictionary.origin(connection, origin)).transpose()?;
        let workers = self.origin.map(|origin| dictionary.origin_workers(connection, origin)).transpose()?;
        let batch = self.batch.map(|batch| dictionary.text(connection, batch)).transpose()?;
        let parent = self.parent.map(ids::process_id).transpose()?;
        Ok(more::Seeds::new(
            self.at as u64,
            parent,
            workers.unwrap_or_default(),
            site.as_deref(),
            [origin.and_then(|(_, thread)| thread), batch],
        ))
    }

    /// Returns the facts in the row.
    pub(super) fn known(&self, connection: &Connection, dictionary: &mut Dictionary) -> Result<Known> {
        if let Some(more) = &self.more {
            return Ok(Known::Full(Box::new(self.all_facts(connection, dictionary, more)?)));
        }
        let missing = || ids::damaged(8, Type::Null, "a process has neither columns nor more");
        let origin = self.origin.ok_or_else(missing)?;
        let (worker, _) = dictionary.origin(connection, origin)?;
        let start = match self.start_no {
            Some(number) => Some(Start {
                time_us: self.at as u64,
                number: number as u64,
                parent_id: self.parent.map(ids::process_id).transpose()?,
                site: self.site.ok_or_else(missing)?,
                batch: self.batch,
            }),
            None => None,
        };
        let end = match self.end_no {
            Some(number) => Some(End {
                time_us: self.ended.ok_or_else(missing)? as u64,
                number: number as u64,
                elapsed_ns: self.elapsed.map(|elapsed| elapsed as u64),
                outcome: ids::plain_outcome(self.state).ok_or_else(missing)?,
                ending: self.cause.map(|cause| (self.error, cause)),
            }),
            None => None,
        };
        Ok(Known::Plain(Plain { worker, origin, start, end }))
    }

    /// Decodes the facts of a process that isn't plain.
    fn all_facts(&self, connection: &Connection, dictionary: &mut Dictionary, more: &[u8]) -> Result<ProcessFacts> {
        more::read(more, &self.seeds(connection, dictionary)?).map_err(|error| ids::damaged(13, Type::Blob, error))
    }

    /// Returns all facts in the row.
    #[cfg(test)]
    pub(super) fn facts(&self, connection: &Connection, dictionary: &mut Dictionary) -> Result<ProcessFacts> {
        Ok(match self.known(connection, dictionary)? {
            Known::Full(facts) => *facts,
            Known::Plain(plain) => plain.facts(&plain.words(connection, dictionary)?),
        })
    }

    /// Returns true if [`INSERT_SHORT`] has all columns that are not null.
    pub(super) fn is_short(&self) -> bool {
        self.error.is_none() && self.cause.is_none() && self.batch.is_none() && self.more.is_none()
    }

    /// Writes the row with [`INSERT_SHORT`], [`INSERT`] or [`UPDATE`]. Returns true if a row was written.
    pub(super) fn write(&self, statement: &mut Statement<'_>, place: (i64, i64)) -> Result<bool> {
        let count = statement.parameter_count();
        self.bind(statement, 0, count, place)?;
        Ok(statement.raw_execute()? == 1)
    }

    /// Binds the first `count` columns of [`INSERT`] to the parameters after `before`.
    pub(super) fn bind(&self, statement: &mut Statement<'_>, before: usize, count: usize, (root, base): (i64, i64)) -> Result<()> {
        let skew = self.ended.map(|ended| ended - self.at - whole_us(self.elapsed));
        let (first, last) = ([self.parent, self.site, self.origin], [self.start_no, self.end_no, self.error, self.cause, self.batch]);
        let numbers = [Some(root), Some(self.id)].into_iter().chain(first);
        let numbers = numbers.chain([Some(self.at - base), skew, self.elapsed, Some(self.state)]).chain(last);
        for (index, number) in numbers.enumerate().take(count) {
            statement.raw_bind_parameter(before + index + 1, number)?;
        }
        if count == ALL {
            statement.raw_bind_parameter(before + ALL, self.more.as_deref())?;
        }
        Ok(())
    }
}

pub(super) const FIND: &str = "SELECT id, parent, site, origin, at, skew, elapsed, state, start_no, end_no, error, cause, batch, more \
     FROM process WHERE root = ?1 AND id = ?2";
/// Number of parameters of [`INSERT`] and [`UPDATE`].
pub(super) const ALL: usize = 15;
/// Number of parameters of [`INSERT_SHORT`].
pub(super) const SHORT: usize = 11;
/// Like [`INSERT`], for a row without error, cause, batch mark and `more`.
pub(super) const INSERT_SHORT: &str = "INSERT OR IGNORE INTO process(root, id, parent, site, origin, at, skew, elapsed, state, start_no, \
     end_no) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
/// Inserts a process, unless it exists.
pub(super) const INSERT: &str = "INSERT OR IGNORE INTO process(root, id, parent, site, origin, at, skew, elapsed, state, start_no, end_no, \
     error, cause, batch, more) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
pub(super) const UPDATE: &str = "UPDATE process SET parent = ?3, site = ?4, origin = ?5, at = ?6, skew = ?7, elapsed = ?8, state = ?9, \
     start_no = ?10, end_no = ?11, error = ?12, cause = ?13, batch = ?14, more = ?15 WHERE root = ?1 AND id = ?2";
