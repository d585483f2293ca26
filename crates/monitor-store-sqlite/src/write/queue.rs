//! Queue tasks, written together with their processes.

use monitor_store::queue::worker_of;
use monitor_wire::Process;
use rusqlite::{Result, params};

use super::Transaction;
use crate::queue::ids;

impl Transaction<'_> {
    /// Writes the queue task of a process, if it has one. An existing row gets a new id in the queue only if `is_renamed`, so that the
    /// index of ids is not updated for each event.
    pub(super) fn settle_task(&self, (root, id): (i64, i64), process: &mut Process, is_renamed: bool) -> Result<()> {
        if process.task.is_none() {
            return Ok(());
        }
        // Lists show no attempts. They are removed temporarily, because a clone would copy the other fields, which may be large.
        let attempts = std::mem::take(&mut process.attempts);
        let body = serde_json::to_string(process).expect("plain data with text keys is JSON");
        process.attempts = attempts;
        let Some(task) = &process.task else { return Ok(()) };
        macro_rules! upsert {
            ($more:literal) => {
                concat!(
                    "INSERT INTO queue_task(root, id, name, state, phase, queue, worker, received, started, runtime, body, native) ",
                    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT(root, id) DO UPDATE SET name = ?3, state = ?4, ",
                    "phase = ?5, queue = ?6, worker = ?7, received = ?8, started = ?9, runtime = ?10, body = ?11",
                    $more
                )
            };
        }
        let sql = if is_renamed { upsert!(", native = ?12") } else { upsert!("") };
        let number = |number: Option<u64>| number.unwrap_or(0).min(i64::MAX as u64) as i64;
        self.connection.prepare_cached(sql)?.execute(params![
            root,
            id,
            process.name,
            process.state.as_str(),
            task.phase.as_str(),
            task.queue.as_deref().unwrap_or_default(),
            worker_of(process).map(|worker| worker.to_string()).unwrap_or_default(),
            number(task.received_us),
            number(process.started_us),
            number(process.elapsed_ns),
            body,
            ids::indexed(process),
        ])?;
        Ok(())
    }
}
