//! Queue tasks, written together with their processes.

use monitor_store::queue::worker_of;
use monitor_wire::Process;
use rusqlite::{Result, params};

use super::Transaction;
use crate::ids;
use crate::queue::ids::indexed;
use crate::row::ProcessRow;

impl Transaction<'_> {
    /// Writes the row of a process that is a task of a queue. An existing row gets a new id in the queue only if `is_renamed`, so that the
    /// index of ids is not updated for each event.
    pub(super) fn settle_task(&mut self, root: i64, row: &ProcessRow, process: &Process, is_renamed: bool) -> Result<()> {
        let Some(task) = &process.task else { return Ok(()) };
        let worker = self.worker_key(worker_of(process))?;
        let name = match row.site {
            Some(site) => self.dictionary.site(self.connection, site)?.name_key,
            None => 0,
        };
        let phase = ids::phase_code(self.connection, self.dictionary, &task.phase)?;
        macro_rules! upsert {
            ($more:literal) => {
                concat!(
                    "INSERT INTO queue_task(root, id, name, state, phase, queue, worker, received, started, runtime, native) ",
                    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(root, id) DO UPDATE SET name = ?3, state = ?4, ",
                    "phase = ?5, queue = ?6, worker = ?7, received = ?8, started = ?9, runtime = ?10",
                    $more
                )
            };
        }
        let sql = if is_renamed { upsert!(", native = ?11") } else { upsert!("") };
        let number = |number: Option<u64>| number.unwrap_or(0).min(i64::MAX as u64) as i64;
        self.connection.prepare_cached(sql)?.execute(params![
            root,
            row.id,
            name,
            row.state,
            phase,
            task.queue.as_deref().unwrap_or_default(),
            worker,
            number(task.received_us),
            number(process.started_us),
            number(process.elapsed_ns),
            indexed(process),
        ])?;
        Ok(())
    }
}
