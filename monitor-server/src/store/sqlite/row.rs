//! A process as a row: columns for what nearly all processes have, JSON for the rest.

use monitor_state::{Definition, End, ProcessFacts, Stamp, Told};
use monitor_wire::{Attachment, Outcome, Process, ProcessId, State};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::dictionary::Dictionary;
use super::ids;

/// The columns, in the order in which [`ProcessRow::read`] takes them.
pub(super) const COLUMNS: &str = "id, parent, site, origin, at, ended, elapsed, state, start_no, end_no, error, more";

/// A row of `process`, apart from its root.
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
    pub more: Option<Vec<u8>>,
}

impl ProcessRow {
    pub(super) fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            parent: row.get(1)?,
            site: row.get(2)?,
            origin: row.get(3)?,
            at: row.get(4)?,
            ended: row.get(5)?,
            elapsed: row.get(6)?,
            state: row.get(7)?,
            start_no: row.get(8)?,
            end_no: row.get(9)?,
            error: row.get(10)?,
            more: row.get(11)?,
        })
    }

    pub(super) fn find(connection: &Connection, root: i64, id: ProcessId) -> Result<Option<Self>> {
        let sql = "SELECT id, parent, site, origin, at, ended, elapsed, state, start_no, end_no, error, more FROM process \
                   WHERE root = ?1 AND id = ?2";
        connection.prepare_cached(sql)?.query_row([root, ids::process_key(id)], Self::read).optional()
    }

    /// The row of these facts, shown as `view`. `worker` is the key of `view.worker_id`.
    pub(super) fn of(
        connection: &Connection,
        dictionary: &mut Dictionary,
        facts: &ProcessFacts,
        view: &Process,
        worker: Option<i64>,
    ) -> Result<Self> {
        let plain = plain(facts);
        let site = facts.is_defined().then(|| dictionary.site_key(connection, &view.name, &view.kind, view.source.as_ref()));
        let message = view.error.as_ref().filter(|_| view.state == State::FAILED).map(|error| &error.message);
        let number = |stamp: Stamp| stamp.number as i64;
        Ok(Self {
            id: ids::process_key(view.id),
            parent: view.parent_id.map(ids::process_key),
            site: site.transpose()?,
            origin: worker.map(|worker| dictionary.origin_key(connection, worker, view.thread.as_deref())).transpose()?,
            at: facts.at_us() as i64,
            ended: view.ended_us.map(|ended| ended as i64),
            elapsed: match &plain {
                // What the end said and nothing else: what is derived is derived again.
                Some((_, end)) => end.and_then(|end| end.what.elapsed_ns),
                None => view.elapsed_ns,
            }
            .map(|elapsed| elapsed as i64),
            state: ids::state_code(connection, dictionary, &view.state)?,
            start_no: plain.map(|(start, _)| number(start.stamp)),
            end_no: plain.and_then(|(_, end)| end).map(|end| number(end.stamp)),
            error: message.map(|message| dictionary.text_key(connection, message)).transpose()?,
            more: plain.is_none().then(|| ids::to_json(facts)),
        })
    }

    /// The facts that the row was made of.
    pub(super) fn facts(&self, connection: &Connection, dictionary: &mut Dictionary) -> Result<ProcessFacts> {
        if let Some(more) = &self.more {
            return ids::from_json(11, more);
        }
        let missing = || ids::damaged(8, Type::Null, "a process has neither columns nor more");
        let (worker, thread) = dictionary.origin(connection, self.origin.ok_or_else(missing)?)?;
        let worker = dictionary.worker_id(connection, worker)?;
        let site = dictionary.site(connection, self.site.ok_or_else(missing)?)?;
        let stamp = |time: i64, number: i64| Stamp { time_us: time as u64, worker, number: number as u64 };
        let started = Told {
            attempt: 1,
            stamp: stamp(self.at, self.start_no.ok_or_else(missing)?),
            worker,
            what: Definition {
                parent_id: self.parent.map(ids::process_id).transpose()?,
                kind: site.kind,
                name: site.name.to_string(),
                batch: None,
                thread: thread.map(|thread| thread.to_string()),
                source: site.source,
                attachment: Attachment::EXPLICIT,
                fields: monitor_wire::Fields::new(),
                timeout_ms: None,
            },
        };
        let ended = match self.end_no {
            Some(number) => Some(Told {
                attempt: 1,
                stamp: stamp(self.ended.ok_or_else(missing)?, number),
                worker,
                what: End {
                    elapsed_ns: self.elapsed.map(|elapsed| elapsed as u64),
                    outcome: Outcome::from(ids::state(connection, dictionary, self.state)?.as_str()),
                    error: None,
                    exit_code: None,
                    signal: None,
                    reason: None,
                },
            }),
            None => None,
        };
        Ok(ProcessFacts { attempt: 1, started: Some(started), ended, ..ProcessFacts::default() })
    }

    pub(super) fn write(&self, connection: &Connection, root: i64) -> Result<()> {
        let sql = "INSERT INTO process(root, id, parent, site, origin, at, ended, elapsed, state, start_no, end_no, error, more) \
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO UPDATE SET \
                   parent = ?3, site = ?4, origin = ?5, at = ?6, ended = ?7, elapsed = ?8, state = ?9, start_no = ?10, end_no = ?11, \
                   error = ?12, more = ?13";
        connection.prepare_cached(sql)?.execute(params![
            root,
            self.id,
            self.parent,
            self.site,
            self.origin,
            self.at,
            self.ended,
            self.elapsed,
            self.state,
            self.start_no,
            self.end_no,
            self.error,
            self.more
        ])?;
        Ok(())
    }
}

/// The start and the end, if the columns say all there is. Whoever adds a fact decides here whether a plain process may have it.
fn plain(facts: &ProcessFacts) -> Option<(&Told<Definition>, Option<&Told<End>>)> {
    let ProcessFacts {
        attempt: 1,
        queued: None,
        started: Some(started),
        ended,
        sign: None,
        parent_id: None,
        name: None,
        batch: None,
        fields,
        progress: None,
        shards,
        native_id: None,
        links,
    } = facts
    else {
        return None;
    };
    let Definition { parent_id: _, kind: _, name: _, batch: None, thread: _, source: _, attachment, fields: own_fields, timeout_ms: None } =
        &started.what
    else {
        return None;
    };
    let is_empty = fields.is_empty() && shards.is_empty() && links.is_empty() && own_fields.is_empty();
    let is_first = |attempt: u32, stamp: Stamp, worker| attempt == 1 && stamp.worker == worker && worker == started.worker;
    if !is_empty || *attachment != Attachment::EXPLICIT || !is_first(started.attempt, started.stamp, started.worker) {
        return None;
    }
    let Some(ended) = ended else { return Some((started, None)) };
    let End { elapsed_ns: _, outcome: _, error: None, exit_code: None, signal: None, reason: None } = &ended.what else { return None };
    is_first(ended.attempt, ended.stamp, ended.worker).then_some((started, Some(ended)))
}
