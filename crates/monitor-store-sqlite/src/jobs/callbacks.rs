//! Callbacks of jobs and their deliveries.

use monitor_store::jobs::new_delivery;
use monitor_wire::{CallbackDelivery, DeliveryState, JobCallback};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::{from_json, int, number, to_json};

/// The columns that [`delivery`] reads.
const COLUMNS: &str =
    "callback.id, callback.body, callback.attempts, callback.answer, callback.tried, callback.next, callback.is_delivered";

fn delivery(row: &Row<'_>) -> rusqlite::Result<CallbackDelivery> {
    let next_us = number(row, 5)?;
    Ok(CallbackDelivery {
        id: row.get::<_, i64>(0)? as u64,
        callback: from_json(row, 1)?,
        state: match (next_us, row.get(6)?) {
            (Some(_), _) => DeliveryState::Waiting,
            (None, true) => DeliveryState::Delivered,
            (None, false) => DeliveryState::GivenUp,
        },
        attempts: row.get(2)?,
        answer: row.get(3)?,
        tried_us: number(row, 4)?,
        next_us,
    })
}

/// Adds a delivery, unless the newest one of the job has the same content and was not tried yet.
pub(super) fn add(to: &Connection, callback: &JobCallback) -> rusqlite::Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM callback WHERE job = ? ORDER BY id DESC LIMIT 1");
    let newest = to.prepare_cached(&sql)?.query_row([int(callback.job_instance_id)], delivery).optional()?;
    if newest.is_some_and(|newest| newest.attempts == 0 && newest.callback.has_same_content(callback)) {
        return Ok(());
    }
    // The database assigns the number.
    let new = new_delivery(0, callback);
    let sql = "INSERT INTO callback(job, body, attempts, next, is_delivered) VALUES(?, ?, ?, ?, FALSE)";
    to.prepare_cached(sql)?.execute(params![int(callback.job_instance_id), to_json(callback), new.attempts, new.next_us.map(int)])?;
    Ok(())
}

pub(super) fn waiting(from: &Connection, limit: usize) -> rusqlite::Result<Vec<(String, CallbackDelivery)>> {
    let sql = format!(
        "SELECT {COLUMNS}, job.request ->> 'callback_url' FROM callback JOIN job ON job.id = callback.job
         WHERE callback.id IN (SELECT min(id) FROM callback WHERE next IS NOT NULL GROUP BY job)
         ORDER BY callback.next, callback.id LIMIT ?"
    );
    from.prepare_cached(&sql)?.query_map([int(limit as u64)], |row| Ok((row.get(7)?, delivery(row)?)))?.collect()
}

pub(super) fn put(to: &Connection, delivery: &CallbackDelivery) -> rusqlite::Result<()> {
    let CallbackDelivery { id, state, attempts, answer, tried_us, next_us, .. } = delivery;
    let sql = "UPDATE callback SET attempts = ?2, answer = ?3, tried = ?4, next = ?5, is_delivered = ?6 WHERE id = ?1";
    let is_delivered = *state == DeliveryState::Delivered;
    to.prepare_cached(sql)?.execute(params![int(*id), attempts, answer, tried_us.map(int), next_us.map(int), is_delivered])?;
    Ok(())
}

pub(super) fn page(from: &Connection, job: u64, before: Option<u64>, limit: usize) -> rusqlite::Result<Option<Vec<CallbackDelivery>>> {
    let exists: bool = from.prepare_cached("SELECT EXISTS(SELECT 1 FROM job WHERE id = ?)")?.query_row([int(job)], |row| row.get(0))?;
    if !exists {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM callback WHERE job = ? AND id < ? ORDER BY id DESC LIMIT ?");
    let before = before.unwrap_or(u64::MAX);
    let rows = params![int(job), int(before), int(limit as u64)];
    from.prepare_cached(&sql)?.query_map(rows, delivery)?.collect::<rusqlite::Result<_>>().map(Some)
}
