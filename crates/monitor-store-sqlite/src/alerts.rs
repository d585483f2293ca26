//! Queries for alerts.

use std::sync::atomic::Ordering;

use monitor_alerts::{Alert, AlertState, Decision, Hush, HushKind, Note, Sign, Subject, What};
use monitor_store::StoreError;
use monitor_store::alerts::{AlertMemory, AlertQueries, AlertsQuery, DeliveriesOf, Delivery, DeliveryState, FollowUp, NotesOf, StoredRule};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension as _, Result, Row, params};
use serde::de::DeserializeOwned;

use super::SqliteStore;

pub(super) const SIGNS: &str = "SELECT seq, time, cause, subject, root, process, agent, detail FROM sign";
/// Signs after a number.
pub(super) const SIGNS_AFTER: &str = " WHERE seq > ?1 ORDER BY seq LIMIT ?2";
/// Signs in a range of time, newest first.
pub(super) const SIGNS_BETWEEN: &str = " WHERE time >= ?1 AND time < ?2 ORDER BY time DESC, seq DESC LIMIT ?3";
/// Signs of a tree.
pub(super) const SIGNS_OF: &str = " WHERE root = ?1 AND (?2 IS NULL OR process = ?2) ORDER BY seq LIMIT ?3";
const DELIVERIES: &str = "SELECT body, state, attempts, next_at, answer FROM outbox";
/// Messages that are due.
pub(super) const DUE: &str = " WHERE state = 'waiting' AND next_at <= ?1 ORDER BY next_at LIMIT ?2";
/// Due time of the next message.
pub(super) const NEXT: &str = "SELECT next_at FROM outbox WHERE state = 'waiting' ORDER BY next_at LIMIT 1";

impl AlertQueries for SqliteStore {
    fn last_sign(&self) -> u64 {
        self.last_sign.load(Ordering::Acquire)
    }

    fn signs_after(&self, seq: u64, limit: usize) -> Result<Vec<Sign>, StoreError> {
        self.read("read signs", |snapshot| Ok(signs_after(snapshot, seq, limit)?))
    }

    fn signs_between(&self, time: (u64, u64), limit: usize) -> Result<Vec<Sign>, StoreError> {
        self.read("read signs", |snapshot| Ok(signs_between(snapshot, time, limit)?))
    }

    fn signs_of(&self, root: &str, process: Option<&str>, limit: usize) -> Result<Vec<Sign>, StoreError> {
        self.read("read signs", |snapshot| Ok(signs_of(snapshot, root, process, limit)?))
    }

    fn alert_memory(&self) -> Result<AlertMemory, StoreError> {
        self.read("read what is remembered of alerts", |snapshot| Ok(memory(snapshot)?))
    }

    fn alerts(&self, query: &AlertsQuery) -> Result<Vec<Alert>, StoreError> {
        self.read("list alerts", |snapshot| Ok(alerts(snapshot, query)?))
    }

    fn alert(&self, id: u64) -> Result<Option<Alert>, StoreError> {
        self.read("read an alert", |snapshot| Ok(alert(snapshot, id)?))
    }

    fn alert_notes(&self, of: NotesOf, limit: usize) -> Result<Vec<Note>, StoreError> {
        self.read("read decisions on alerts", |snapshot| Ok(notes(snapshot, of, limit)?))
    }

    fn follow_ups_due(&self, now_us: u64, limit: usize) -> Result<Vec<FollowUp>, StoreError> {
        self.read("read what alerts start", |snapshot| Ok(follow_ups_due(snapshot, now_us, limit)?))
    }

    fn deliveries_due(&self, now_us: u64, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.read("read messages", |snapshot| Ok(deliveries_due(snapshot, now_us, limit)?))
    }

    fn next_delivery_us(&self) -> Result<Option<u64>, StoreError> {
        self.read("read messages", |snapshot| Ok(next_delivery(snapshot)?))
    }

    fn deliveries(&self, of: DeliveriesOf<'_>, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.read("read messages", |snapshot| Ok(deliveries(snapshot, of, limit)?))
    }

    fn hushes(&self, now_us: u64) -> Result<Vec<(u64, Hush)>, StoreError> {
        self.read("read hushes", |snapshot| Ok(hushes(snapshot, now_us)?))
    }

    fn alert_rules(&self) -> Result<Vec<StoredRule>, StoreError> {
        self.read("read rules", |snapshot| Ok(rules(snapshot)?))
    }
}

/// Returns the error of a column with an invalid value.
fn damaged(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| damaged(column, error))
}

fn number(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get::<_, i64>(column).map(|number| number as u64)
}

fn sign(row: &Row<'_>) -> Result<Sign> {
    let what: String = row.get(2)?;
    let subject: String = row.get(3)?;
    Ok(Sign {
        seq: number(row, 0)?,
        time_us: number(row, 1)?,
        what: What::from_word(&what).ok_or_else(|| damaged(2, "no such cause"))?,
        subject: Subject::parse(&subject).ok_or_else(|| damaged(3, "no such subject"))?,
        root: row.get(4)?,
        process: row.get(5)?,
        agent: row.get(6)?,
        ancestors: Vec::new(),
        facts: json(row, 7)?,
    })
}

pub(super) fn last_sign(connection: &Connection) -> Result<u64> {
    // The last sign may have been deleted, so its number is read from the table's sequence.
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'sign'";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| number(row, 0)).optional()?.unwrap_or(0))
}

fn signs_after(connection: &Connection, seq: u64, limit: usize) -> Result<Vec<Sign>> {
    let mut statement = connection.prepare_cached(&format!("{SIGNS}{SIGNS_AFTER}"))?;
    statement.query_map([seq as i64, limit as i64], sign)?.collect()
}

fn signs_between(connection: &Connection, (from, to): (u64, u64), limit: usize) -> Result<Vec<Sign>> {
    let mut statement = connection.prepare_cached(&format!("{SIGNS}{SIGNS_BETWEEN}"))?;
    let newest = statement.query_map([from.min(i64::MAX as u64) as i64, to.min(i64::MAX as u64) as i64, limit as i64], sign)?;
    let mut signs: Vec<Sign> = newest.collect::<Result<_>>()?;
    signs.reverse();
    Ok(signs)
}

fn signs_of(connection: &Connection, root: &str, process: Option<&str>, limit: usize) -> Result<Vec<Sign>> {
    let mut statement = connection.prepare_cached(&format!("{SIGNS}{SIGNS_OF}"))?;
    statement.query_map(params![root, process, limit as i64], sign)?.collect()
}

fn memory(connection: &Connection) -> Result<AlertMemory> {
    let sql = "SELECT cursor, state FROM alert_common";
    let (cursor, common) = connection.prepare_cached(sql)?.query_row([], |row| Ok((number(row, 0)?, json(row, 1)?)))?;
    let mut statement = connection.prepare_cached("SELECT subject, rule, state FROM alert_entry")?;
    let entries = statement.query_map([], |row| {
        let subject = Subject::parse(row.get_ref(0)?.as_str()?).ok_or_else(|| damaged(0, "no such subject"))?;
        Ok((monitor_alerts::Key { subject, rule: row.get(1)? }, json(row, 2)?))
    })?;
    Ok((cursor, entries.collect::<Result<_>>()?, common))
}

fn alerts(connection: &Connection, query: &AlertsQuery) -> Result<Vec<Alert>> {
    let sql =
        "SELECT detail FROM alert WHERE id < ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR subject = ?3) ORDER BY id DESC LIMIT ?4";
    let before = query.before.map_or(i64::MAX, |before| before.min(i64::MAX as u64) as i64);
    let state = query.state.map(AlertState::as_str);
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params![before, state, query.subject, query.limit as i64], |row| json(row, 0))?.collect()
}

fn alert(connection: &Connection, id: u64) -> Result<Option<Alert>> {
    let sql = "SELECT detail FROM alert WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([id.min(i64::MAX as u64) as i64], |row| json(row, 0)).optional()
}

fn notes(connection: &Connection, of: NotesOf, limit: usize) -> Result<Vec<Note>> {
    let (column, of) = match of {
        NotesOf::Alert(id) => ("alert", id),
        NotesOf::Sign(seq) => ("sign", seq),
    };
    if of == 0 {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT alert, sign, time, rule, what, who, detail FROM alert_note WHERE {column} = ?1 AND {column} > 0 ORDER BY number LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let notes = statement.query_map([of.min(i64::MAX as u64) as i64, limit as i64], |row| {
        Ok(Note {
            alert: number(row, 0)?,
            sign: number(row, 1)?,
            time_us: number(row, 2)?,
            rule: row.get(3)?,
            what: Decision::from_word(row.get_ref(4)?.as_str()?).ok_or_else(|| damaged(4, "no such decision"))?,
            who: row.get(5)?,
            detail: row.get(6)?,
        })
    })?;
    notes.collect()
}

/// Tasks that alerts start and that must be requested from their agents now.
pub(super) const FOLLOW_UPS: &str =
    "SELECT body, attempts FROM follow_up WHERE state = 'waiting' AND next_at <= ?1 ORDER BY next_at LIMIT ?2";

fn follow_ups_due(connection: &Connection, now_us: u64, limit: usize) -> Result<Vec<FollowUp>> {
    let mut statement = connection.prepare_cached(FOLLOW_UPS)?;
    let rows = statement.query_map([now_us.min(i64::MAX as u64) as i64, limit as i64], |row| {
        Ok(FollowUp { order: json(row, 0)?, attempts: number(row, 1)? })
    })?;
    rows.collect()
}

fn delivery(row: &Row<'_>) -> Result<Delivery> {
    Ok(Delivery {
        message: json(row, 0)?,
        state: DeliveryState::from_word(row.get_ref(1)?.as_str()?),
        attempts: number(row, 2)?,
        next_us: number(row, 3)?,
        answer: row.get(4)?,
    })
}

fn deliveries_due(connection: &Connection, now_us: u64, limit: usize) -> Result<Vec<Delivery>> {
    let mut statement = connection.prepare_cached(&format!("{DELIVERIES}{DUE}"))?;
    statement.query_map([now_us.min(i64::MAX as u64) as i64, limit as i64], delivery)?.collect()
}

fn next_delivery(connection: &Connection) -> Result<Option<u64>> {
    connection.prepare_cached(NEXT)?.query_row([], |row| number(row, 0)).optional()
}

fn deliveries(connection: &Connection, of: DeliveriesOf<'_>, limit: usize) -> Result<Vec<Delivery>> {
    match of {
        DeliveriesOf::Alert(alert) => {
            let mut statement = connection.prepare_cached(&format!("{DELIVERIES} WHERE alert = ?1 ORDER BY number DESC LIMIT ?2"))?;
            statement.query_map([alert.min(i64::MAX as u64) as i64, limit as i64], delivery)?.collect()
        }
        DeliveriesOf::Channel(channel) => {
            let mut statement = connection.prepare_cached(&format!("{DELIVERIES} WHERE channel = ?1 ORDER BY number DESC LIMIT ?2"))?;
            statement.query_map(params![channel, limit as i64], delivery)?.collect()
        }
    }
}

fn hushes(connection: &Connection, now_us: u64) -> Result<Vec<(u64, Hush)>> {
    let sql = "SELECT id, scope, \"from\", until, who, why, kind FROM hush WHERE until > ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let hushes = statement.query_map([now_us.min(i64::MAX as u64) as i64], |row| {
        let kind = HushKind::from_word(row.get_ref(6)?.as_str()?).unwrap_or(HushKind::Snooze);
        let (from_us, until_us) = (number(row, 2)?, number(row, 3)?);
        Ok((number(row, 0)?, Hush { scope: row.get(1)?, from_us, until_us, who: row.get(4)?, why: row.get(5)?, kind }))
    })?;
    hushes.collect()
}

fn rules(connection: &Connection) -> Result<Vec<StoredRule>> {
    let mut statement = connection.prepare_cached("SELECT name, version, changed, who, definition FROM rule ORDER BY name")?;
    let rules = statement.query_map([], |row| {
        let is_there = row.get_ref(4)? != rusqlite::types::ValueRef::Null;
        let definition = if is_there { Some(json(row, 4)?) } else { None };
        Ok(StoredRule { name: row.get(0)?, version: number(row, 1)?, changed_us: number(row, 2)?, who: row.get(3)?, definition })
    })?;
    rules.collect()
}
