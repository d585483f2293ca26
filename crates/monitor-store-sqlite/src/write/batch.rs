//! Batch tasks: changes requested by users, and reports from agents. Runs are written together with their processes.

use monitor_store::batch::{KEPT_US, TaskChange, TaskRow, TasksChanged, agent_of, decision_of, latest_decision_us, run_of};
use monitor_store::signs::of_pause;
use monitor_store::{Changes, Refused};
use monitor_wire::{BatchDecision, BatchTaskChanged, Event, Process};
use rusqlite::{OptionalExtension as _, Result, params};

use super::changes::NONE;
use super::{Transaction, Writer};
use crate::batch::{RUN_COLUMNS, TASK, json, task_row};

impl Writer {
    /// Changes all of these tasks, or none. Returns their versions, or the first change that was refused.
    pub(in super::super) fn change_tasks(&mut self, changes: &[TaskChange], now_us: u64) -> Result<(TasksChanged, Changes)> {
        let mut outcome: TasksChanged = Ok(Vec::new());
        let told = self.transaction(now_us, |transaction| {
            let mut edited = Vec::new();
            for change in changes {
                let row = transaction.task(&change.name)?;
                if TaskRow::is_new(row.as_ref(), change) && transaction.heartbeat(&change.name)?.is_some() {
                    outcome = Err((change.name.clone(), Refused::OfHeartbeat));
                    return Ok(());
                }
                match TaskRow::edited(row.as_ref(), change, now_us) {
                    Ok(new) => edited.push((row, new)),
                    Err(refused) => {
                        outcome = Err((change.name.clone(), refused));
                        return Ok(());
                    }
                }
            }
            let mut versions = Vec::new();
            for (row, new) in edited {
                versions.push(new.as_ref().or(row.as_ref()).map_or(0, |row| row.version));
                if let Some(new) = new {
                    transaction.write_task(row.as_ref(), &new)?;
                    transaction.sign_of_task(row.as_ref(), &new);
                    transaction.push_event(Event::BatchTaskChanged(new.event()), NONE);
                }
            }
            outcome = Ok(versions);
            Ok(())
        })?;
        Ok((outcome, told))
    }
}

impl Transaction<'_> {
    pub(super) fn task(&self, name: &str) -> Result<Option<TaskRow>> {
        self.connection.prepare_cached(&format!("{TASK} WHERE name = ?1"))?.query_row([name], task_row).optional()
    }

    /// Writes a task, and a row for its version if that is new.
    fn write_task(&self, before: Option<&TaskRow>, row: &TaskRow) -> Result<()> {
        let TaskRow { name, version, status, until_us, agent, changed_us, who, definition } = row;
        let sql = "INSERT OR REPLACE INTO batch_task(name, version, revision, status, until, agent, changed, who, definition) \
                   VALUES(?1, ?2, 1 + (SELECT coalesce(max(revision), 0) FROM batch_task), ?3, ?4, ?5, ?6, ?7, ?8)";
        let definition = json(definition);
        let (version, until, changed) = (*version as i64, until_us.map(|us| us as i64), *changed_us as i64);
        self.connection.prepare_cached(sql)?.execute(params![name, version, status.as_str(), until, agent, changed, who, definition])?;
        if row.is_version_after(before) {
            let sql = "INSERT OR REPLACE INTO batch_version(task, version, time, who, status, definition) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
            self.connection.prepare_cached(sql)?.execute(params![name, version, changed, who, status.as_str(), definition])?;
        }
        Ok(())
    }

    /// Adds the sign that a task has been paused for long, or that such a pause is over, and records that the sign was written.
    pub(super) fn tell_pause(&mut self, task: &TaskRow, is_over: bool) -> Result<()> {
        let sql = "UPDATE batch_task SET pause_told = pause_told + 1 WHERE name = ?1";
        self.connection.prepare_cached(sql)?.execute([&task.name])?;
        self.sign(of_pause(task, is_over, self.now_us));
        Ok(())
    }

    /// Stores an event about batch tasks: a changed task, how far an agent has decided, or due times without a run. Ignores other events.
    pub(super) fn gather_batch(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::BatchTaskChanged(changed) => self.told_of_task(changed),
            Event::AgentDecided(decided) => {
                let sql = "INSERT INTO batch_agent(name, until, paused_from, paused_until, mistakes, files_only) \
                           VALUES(?1, ?2, ?3, ?4, ?6, ?7) ON CONFLICT DO UPDATE SET until = ?2, paused_from = ?3, paused_until = ?4, \
                           mistakes = ?6, files_only = ?7 WHERE ?2 >= until OR until > ?5";
                let of = agent_of(decided);
                let latest = latest_decision_us(self.now_us).min(i64::MAX as u64) as i64;
                let pause = [of.paused_from_us, of.paused_until_us].map(|us| us.map(|us| us as i64));
                let mistakes = serde_json::to_string(&of.mistakes).unwrap_or_default();
                let values = params![of.name, of.decided_us as i64, pause[0], pause[1], latest, mistakes, of.files_only];
                self.connection.prepare_cached(sql)?.execute(values).map(drop)
            }
            event => {
                let Some(decision) = decision_of(event) else { return Ok(()) };
                self.sign_of_decision(event, &decision.task)?;
                self.write_decision(&decision)
            }
        }
    }

    fn told_of_task(&mut self, event: &BatchTaskChanged) -> Result<()> {
        let row = self.task(&event.task)?;
        match TaskRow::told(row.as_ref(), event) {
            Some(new) => {
                self.sign_of_task(row.as_ref(), &new);
                self.write_task(row.as_ref(), &new)
            }
            None => Ok(()),
        }
    }

    fn write_decision(&self, of: &BatchDecision) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO batch_decision(task, first, last, agent, what, reason, version, count, blocked_by) \
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let (first, last) = (of.first_due_us as i64, of.last_due_us as i64);
        let (version, count) = (of.version.min(i64::MAX as u64) as i64, of.count.min(i64::MAX as u64) as i64);
        let row = params![of.task, first, last, of.agent, of.what, of.reason, version, count, of.blocked_by];
        self.connection.prepare_cached(sql)?.execute(row)?;
        let kept_from = of.last_due_us.saturating_sub(KEPT_US) as i64;
        let sql = "DELETE FROM batch_decision WHERE task = ?1 AND first < ?2";
        self.connection.prepare_cached(sql)?.execute(params![of.task, kept_from]).map(drop)
    }

    /// Writes the row of a run and deletes runs of its task that are too old. Does nothing if the process is not a run.
    pub(super) fn settle_run(&self, process: &Process) -> Result<()> {
        let Some(run) = run_of(process) else { return Ok(()) };
        self.settle_ping(&run)?;
        let sql = format!("INSERT OR REPLACE INTO batch_run({RUN_COLUMNS}) VALUES(?{})", ", ?".repeat(RUN_COLUMNS.split(',').count() - 1));
        let number = |number: Option<u64>| number.map(|number| number.min(i64::MAX as u64) as i64);
        self.connection.prepare_cached(&sql)?.execute(params![
            run.task,
            number(Some(run.due_us)),
            run.run,
            number(Some(run.version)),
            run.agent,
            run.trigger,
            run.by,
            run.root_id.to_string(),
            run.process_id.to_string(),
            number(run.started_us),
            number(run.ended_us),
            number(run.elapsed_ns),
            run.outcome.as_str(),
            run.exit_code,
            run.result_code,
            run.signal,
            run.reason,
            run.error,
        ])?;
        let sql = "DELETE FROM batch_run WHERE task = ?1 AND due < ?2";
        self.connection.prepare_cached(sql)?.execute(params![run.task, number(Some(run.due_us.saturating_sub(KEPT_US)))]).map(drop)
    }
}
