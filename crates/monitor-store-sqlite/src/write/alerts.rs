//! Writes signs in the transaction of their events, and stores the state of alerts. A sign is an event that may match an alert rule.

use foldhash::HashMap;
use monitor_alerts::{Alert, Message, Note, Order, Relief, Sign, What};
use monitor_store::alerts::{ATTEMPTS, AlertsChange, Attempt, DeliveryState, FollowUpAttempt, KEPT_US, RuleEdit, definition_of};
use monitor_store::batch::{TaskRow, run_of};
use monitor_store::signs::{self, Watched};
use monitor_wire::{BatchRun, Event, Process, ProcessId, WorkerId};
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::entries::Entry;
use super::workers::WorkerRow;
use super::{Transaction, Writer};
use crate::batch::past_ns;
use crate::ids::code;
use crate::row::{Known, ProcessRow};

/// Process names that alert rules watch.
#[derive(Default)]
pub(super) struct WatchedNames {
    pub watched: Watched,
    /// By name key: `None` if no rule watches the name, otherwise true if its last sign was a failure, as far as is known.
    known: HashMap<i64, Option<bool>>,
}

impl WatchedNames {
    /// Replaces the watched names.
    pub(super) fn set(&mut self, watched: Watched) {
        if self.watched != watched {
            self.watched = watched;
            self.known.clear();
        }
    }

    /// Clears the cache, after a failed transaction.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// True if no rule watches a name.
    fn is_empty(&self) -> bool {
        self.watched.names.is_empty()
    }

    /// True if a rule watches this name.
    fn has(&mut self, name_key: i64, name: &str) -> bool {
        let watched = &self.watched;
        // The last outcome is unknown after a restart, so a failure is assumed and the next success is a sign.
        self.known.entry(name_key).or_insert_with(|| watched.has(name).then_some(true)).is_some()
    }

    /// True if this end is a sign. A success is a sign only if it follows a failure of the same name.
    fn takes(&mut self, name_key: i64, is_bad: bool) -> bool {
        let Some(Some(was_bad)) = self.known.get_mut(&name_key) else { return false };
        let takes = is_bad || *was_bad;
        *was_bad = is_bad;
        takes
    }
}

/// Maximum number of rows deleted per statement. The SQL in [`forget_old`] contains the same number.
const MOST_FORGOTTEN: usize = 10_000;

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys is JSON")
}

fn number(number: u64) -> i64 {
    number.min(i64::MAX as u64) as i64
}

impl Writer {
    /// Sets the process names whose ends and overdue times are written as signs.
    pub(in super::super) fn watch(&mut self, watched: Watched) {
        self.names.set(watched);
    }

    /// Deletes expired rows, up to a limit. Returns true if more remain.
    pub(in super::super) fn trim_alerts(&mut self, now_us: u64) -> Result<bool> {
        forget_old(&self.connection, now_us)
    }

    pub(in super::super) fn last_sign(&self) -> u64 {
        self.last_sign
    }

    /// Applies all parts of the change, or none if the cursor has moved since the change was computed. Returns true if it was applied.
    pub(in super::super) fn change_alerts(&mut self, change: &AlertsChange, now_us: u64) -> Result<bool> {
        let transaction = rusqlite::Transaction::new_unchecked(&self.connection, rusqlite::TransactionBehavior::Immediate)?;
        if let Some((from, to)) = change.cursor {
            let sql = "UPDATE alert_common SET cursor = ?2 WHERE cursor = ?1";
            if transaction.prepare_cached(sql)?.execute([number(from), number(to)])? == 0 {
                return Ok(false);
            }
        }
        for (key, entry) in &change.entries {
            let (subject, rule) = (key.subject.to_string(), &key.rule);
            let Some(entry) = entry else {
                let sql = "DELETE FROM alert_entry WHERE subject = ?1 AND rule = ?2";
                transaction.prepare_cached(sql)?.execute(params![subject, rule])?;
                continue;
            };
            let sql = "INSERT OR REPLACE INTO alert_entry(subject, rule, state) VALUES(?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![subject, rule, json(entry)])?;
        }
        if let Some(common) = &change.common {
            transaction.prepare_cached("UPDATE alert_common SET state = ?1")?.execute([json(common)])?;
        }
        change.alerts.iter().try_for_each(|alert| write_alert(&transaction, alert))?;
        change.notes.iter().try_for_each(|note| write_note(&transaction, note))?;
        change.messages.iter().try_for_each(|message| write_message(&transaction, message))?;
        change.attempts.iter().try_for_each(|attempt| write_attempt(&transaction, attempt, now_us))?;
        change.orders.iter().try_for_each(|order| write_order(&transaction, order))?;
        change.followed.iter().try_for_each(|attempt| write_followed(&transaction, attempt))?;
        for hush in &change.hushes {
            let sql = "INSERT INTO hush(scope, \"from\", until, who, why, kind) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
            let row = params![hush.scope, number(hush.from_us), number(hush.until_us), hush.who, hush.why, hush.kind.as_str()];
            transaction.prepare_cached(sql)?.execute(row)?;
        }
        for id in &change.ended_hushes {
            let sql = "UPDATE hush SET until = min(until, ?2) WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute([number(*id), number(now_us)])?;
        }
        change.rules.iter().try_for_each(|edit| write_rule(&transaction, edit, now_us))?;
        let mut last_sign = None;
        for sign in &change.signs {
            last_sign = Some(write_sign(&transaction, sign)?);
        }
        transaction.commit()?;
        self.last_sign = last_sign.unwrap_or(self.last_sign);
        Ok(true)
    }
}

/// Writes a sign and returns its number.
fn write_sign(connection: &Connection, sign: &Sign) -> Result<u64> {
    let sql = "INSERT INTO sign(time, cause, subject, root, process, agent, detail) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let subject = sign.subject.to_string();
    let row = params![number(sign.time_us), sign.what.as_str(), subject, sign.root, sign.process, sign.agent, json(&sign.facts)];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(connection.last_insert_rowid() as u64)
}

fn write_alert(connection: &Connection, alert: &Alert) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO alert(id, rule, subject, cause, severity, state, since, resolved, count, root, process, \
               acknowledged_by, detail) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    connection.prepare_cached(sql)?.execute(params![
        number(alert.id),
        alert.rule,
        alert.subject.to_string(),
        alert.cause.as_str(),
        alert.severity.as_str(),
        alert.state.as_str(),
        number(alert.since_us),
        alert.resolved_us.map(number),
        number(alert.count),
        alert.facts.root_id,
        alert.facts.process_id,
        alert.acknowledged_by,
        json(alert),
    ])?;
    Ok(())
}

fn write_note(connection: &Connection, note: &Note) -> Result<()> {
    let sql = "INSERT INTO alert_note(alert, sign, time, rule, what, who, detail) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (alert, sign, time) = (number(note.alert), number(note.sign), number(note.time_us));
    connection.prepare_cached(sql)?.execute(params![alert, sign, time, note.rule, note.what.as_str(), note.who, note.detail])?;
    Ok(())
}

fn write_message(connection: &Connection, message: &Message) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO outbox(id, alert, channel, \"to\", kind, body, made, attempts, next_at, state) \
               VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?7, 'waiting')";
    let (alert, made, kind) = (number(message.alert), number(message.time_us), message.kind.as_str());
    connection.prepare_cached(sql)?.execute(params![message.id, alert, message.channel, message.address, kind, json(message), made])?;
    Ok(())
}

fn write_attempt(connection: &Connection, attempt: &Attempt, now_us: u64) -> Result<()> {
    let sql = "UPDATE outbox SET attempts = attempts + 1, next_at = ?2, state = ?3, answer = ?4 WHERE id = ?1 AND state = 'waiting'";
    let row = params![attempt.message, number(attempt.next_us), attempt.state.as_str(), attempt.answer];
    if connection.prepare_cached(sql)?.execute(row)? == 0 {
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO outbox_attempt(message, number, time, answer) SELECT id, attempts, ?2, ?3 FROM outbox WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![attempt.message, number(now_us), attempt.answer])?;
    let sql = "DELETE FROM outbox_attempt WHERE message = ?1 AND number <= (SELECT attempts FROM outbox WHERE id = ?1) - ?2";
    connection.prepare_cached(sql)?.execute(params![attempt.message, ATTEMPTS as i64])?;
    if attempt.state == DeliveryState::Undelivered {
        tracing::warn!(message = attempt.message, "a message could not be delivered: {}", attempt.answer);
    }
    Ok(())
}

fn write_order(connection: &Connection, order: &Order) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO follow_up(alert, made, attempts, next_at, state, body) VALUES(?1, ?2, 0, ?2, 'waiting', ?3)";
    connection.prepare_cached(sql)?.execute(params![number(order.alert), number(order.time_us), json(order)])?;
    Ok(())
}

fn write_followed(connection: &Connection, attempt: &FollowUpAttempt) -> Result<()> {
    let sql = "UPDATE follow_up SET attempts = attempts + 1, next_at = ?2, state = ?3, answer = ?4 WHERE alert = ?1 AND state = 'waiting'";
    let row = params![number(attempt.alert), number(attempt.next_us), attempt.state.as_str(), attempt.answer];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

fn write_rule(connection: &Connection, edit: &RuleEdit, now_us: u64) -> Result<()> {
    let definition = edit.rule.as_ref().map(|rule| json(&definition_of(rule)));
    let sql = "INSERT INTO rule(name, version, changed, who, definition) VALUES(?1, 1, ?2, ?3, ?4) \
               ON CONFLICT DO UPDATE SET version = version + 1, changed = ?2, who = ?3, definition = ?4";
    connection.prepare_cached(sql)?.execute(params![edit.name, number(now_us), edit.who, definition])?;
    let sql = "INSERT INTO rule_version(name, version, time, who, definition) SELECT name, version, changed, who, definition FROM rule WHERE name = ?1";
    connection.prepare_cached(sql)?.execute([&edit.name])?;
    Ok(())
}

/// Deletes signs, alerts, messages and other rows older than [`KEPT_US`]. Returns true if more may remain.
fn forget_old(connection: &Connection, now_us: u64) -> Result<bool> {
    let before = number(now_us.saturating_sub(KEPT_US));
    let mut is_more = false;
    for sql in [
        "DELETE FROM sign WHERE seq IN (SELECT seq FROM sign WHERE time < ?1 ORDER BY time LIMIT 10000)",
        "DELETE FROM alert_note WHERE number IN (SELECT number FROM alert_note WHERE time < ?1 ORDER BY time LIMIT 10000)",
        "DELETE FROM outbox_attempt WHERE message IN (SELECT id FROM outbox WHERE made < ?1 AND state <> 'waiting')",
        "DELETE FROM outbox WHERE made < ?1 AND state <> 'waiting'",
        "DELETE FROM follow_up WHERE made < ?1 AND state <> 'waiting'",
        "DELETE FROM alert WHERE state = 'resolved' AND resolved < ?1",
        "DELETE FROM hush WHERE until < ?1",
    ] {
        is_more |= connection.prepare_cached(sql)?.execute([before])? >= MOST_FORGOTTEN;
    }
    Ok(is_more)
}

impl Transaction<'_> {
    pub(super) fn sign(&mut self, sign: Sign) {
        self.signs.push(sign);
    }

    /// Writes the signs of the transaction in order. Returns the number of the last one.
    pub(super) fn write_signs(&mut self) -> Result<Option<u64>> {
        let mut last = None;
        let mut ends = std::mem::take(&mut self.ends);
        ends.sort_by_key(|(ended_us, ..)| *ended_us);
        for (ended_us, name, sign) in ends {
            let is_bad = matches!(sign.what, What::Cause(_));
            let is_latest = |name: &i64| is_bad || self.latest_well.get(name) == Some(&ended_us);
            if name.is_none_or(|name| is_latest(&name) && self.names.takes(name, is_bad)) {
                self.signs.push(sign);
            }
        }
        self.sign_of_workers()?;
        for sign in std::mem::take(&mut self.signs) {
            last = Some(write_sign(self.connection, &sign)?);
        }
        Ok(last)
    }

    /// Adds signs for workers that dropped events or were lost with open processes. Omits the second kind for workers whose lost processes
    /// are signs themselves.
    fn sign_of_workers(&mut self) -> Result<()> {
        for (program, host, count) in self.workers.take_drops(self.now_us) {
            self.sign(signs::of_drops(&program, &host, count, self.now_us));
        }
        for id in std::mem::take(&mut self.lost_workers) {
            // Checked only now, because the last batch of a worker may have ended its open processes.
            let Some(worker) = self.workers.known(id).filter(|worker| worker.open > 0 && !self.signed_lost.contains(&id)) else {
                continue;
            };
            let (open, (program, host)) = (worker.open as u64, worker.names());
            let (program, host) = (program.to_owned(), host.to_owned());
            let sql = "INSERT OR IGNORE INTO lost_worker(name) VALUES(?1)";
            self.connection.prepare_cached(sql)?.execute([signs::worker_name(&program, &host)])?;
            self.sign(signs::of_worker(&program, &host, open, false, self.now_us));
        }
        Ok(())
    }

    /// Adds the signs of a run whose state has changed: a late start, its end, and an end after an unusually short time.
    fn sign_of_run(&mut self, view: &Process, run: &BatchRun, before: Option<i64>, state: i64) -> Result<()> {
        let definition = self.task(&run.task)?.map(|row| row.definition);
        let has_started = |state: i64| state != code::PENDING;
        if has_started(state) && !before.is_some_and(has_started) {
            self.signs.extend(signs::of_start(view, definition.as_ref(), self.now_us));
        }
        let Some(what) = signs::says(&view.state, view.reason.as_deref()) else { return Ok(()) };
        if state == code::LOST {
            self.signed_lost.extend(view.worker_id);
        }
        let sign = signs::of_process(view, what, definition.as_ref(), self.now_us);
        let ended_us = sign.facts.ended_us.unwrap_or(self.now_us);
        self.ends.push((ended_us, None, sign));
        if what == What::Relief(Relief::Succeeded) && self.names.watched.fast {
            let fast = signs::of_fast(view, past_ns(self.connection, &run.task, &run.run)?, definition.as_ref(), self.now_us);
            self.ends.extend(fast.map(|sign| (ended_us, None, sign)));
        }
        Ok(())
    }

    /// Adds the sign of a process whose state has changed from `before`, if the process is a run or a rule watches its name.
    pub(super) fn sign_of_process(&mut self, entry: &Entry, row: &ProcessRow, before: Option<i64>) -> Result<()> {
        let run = entry.view.as_deref().and_then(|view| Some((view, run_of(view)?)));
        if let Some((view, run)) = run {
            return self.sign_of_run(view, &run, before, row.state);
        }
        if let Some(sign) = entry.view.as_deref().and_then(|view| signs::of_job(view, self.now_us)) {
            self.ends.push((sign.facts.ended_us.unwrap_or(self.now_us), None, sign));
        }
        if !matches!(row.state, code::FAILED | code::LOST | code::SUCCEEDED) {
            return Ok(());
        }
        let Some(site) = row.site.filter(|_| !self.names.is_empty()) else { return Ok(()) };
        let site = self.dictionary.site(self.connection, site)?;
        let is_bad = row.state != code::SUCCEEDED;
        if !self.names.has(site.name_key, &site.name) {
            return Ok(());
        }
        let ended_us = row.ended.map_or(self.now_us, |ended| ended as u64);
        if !is_bad {
            // Only the latest success of a name is a sign.
            let latest = self.latest_well.entry(site.name_key).or_default();
            if *latest > ended_us {
                return Ok(());
            }
            *latest = ended_us;
        }
        let root = self.roots.entries[entry.root as usize].row.id;
        let view = match (&entry.view, &entry.known) {
            (Some(view), _) => (**view).clone(),
            (None, Known::Plain(plain)) => plain.view(&self.words.of(plain), root, entry.id, entry.status),
            (None, Known::Full(_)) => return Ok(()),
        };
        let Some(what) = signs::says(&view.state, view.reason.as_deref()) else { return Ok(()) };
        if row.state == code::LOST {
            self.signed_lost.extend(view.worker_id);
        }
        self.ends.push((ended_us, Some(site.name_key), signs::of_process(&view, what, None, self.now_us)));
        Ok(())
    }

    /// Adds the sign of an overdue process, if the process is a run or a rule watches its name.
    pub(super) fn sign_of_overdue(&mut self, of: (i64, i64), root: u32, id: ProcessId, (by_timeout, limit_ns): (bool, u64)) -> Result<()> {
        let (place, root_id) = {
            let row = &self.roots.entries[root as usize].row;
            (row.place(), row.id)
        };
        debug_assert_eq!(place.0, of.0);
        let Some(row) = ProcessRow::find(self.connection, place, id)? else { return Ok(()) };
        let online = monitor_state::WorkerStatus::Online;
        let view = match row.known(self.connection, self.dictionary)? {
            Known::Full(facts) => facts.view(root_id, id, &mut |_| online),
            Known::Plain(plain) => plain.view(&plain.words(self.connection, self.dictionary)?, root_id, id, online),
        };
        let run = run_of(&view);
        if run.is_none() && !self.names.watched.has(&view.name) {
            return Ok(());
        }
        let definition = match run {
            Some(run) => self.task(&run.task)?.map(|row| row.definition),
            None => None,
        };
        self.sign(signs::of_overdue(&view, by_timeout, limit_ns, definition.as_ref(), self.now_us));
        Ok(())
    }

    /// Records that an agent reported through this worker. Adds a sign if the agent was away.
    pub(super) fn hear_of_agent(&mut self, agent: &str, worker: WorkerId) -> Result<()> {
        let sql = "SELECT worker, away FROM agent_heard WHERE name = ?1";
        let found: Option<(String, bool)> =
            self.connection.prepare_cached(sql)?.query_row([agent], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let worker = worker.to_string();
        let is_away = found.as_ref().is_some_and(|(_, is_away)| *is_away);
        if is_away || found.is_none_or(|(known, _)| known != worker) {
            let sql = "INSERT OR REPLACE INTO agent_heard(name, worker, away) VALUES(?1, ?2, 0)";
            self.connection.prepare_cached(sql)?.execute([agent, &worker])?;
        }
        if is_away {
            self.sign(signs::of_agent(agent, true, self.now_us));
        }
        Ok(())
    }

    /// Marks the agents that ran as this lost worker as away, and adds a sign for each. Any other worker is kept for
    /// [`Self::sign_of_workers`].
    pub(super) fn sign_of_lost_worker(&mut self, id: WorkerId) -> Result<()> {
        let mut statement = self.connection.prepare_cached("SELECT name FROM agent_heard WHERE worker = ?1 AND away = 0")?;
        let agents: Vec<String> = statement.query_map([id.to_string()], |row| row.get(0))?.collect::<Result<_>>()?;
        for agent in &agents {
            self.connection.prepare_cached("UPDATE agent_heard SET away = 1 WHERE name = ?1")?.execute([agent])?;
            self.sign(signs::of_agent(agent, false, self.now_us));
        }
        if agents.is_empty() {
            self.lost_workers.push(id);
        }
        Ok(())
    }

    /// Adds a sign if a worker of the same program and host was lost.
    pub(super) fn sign_of_found_worker(&mut self, id: WorkerId) -> Result<()> {
        let Some((program, host)) = self.workers.known(id).map(WorkerRow::names) else { return Ok(()) };
        let sql = "DELETE FROM lost_worker WHERE name = ?1";
        if self.connection.prepare_cached(sql)?.execute([signs::worker_name(program, host)])? > 0 {
            let sign = signs::of_worker(program, host, 0, true, self.now_us);
            self.sign(sign);
        }
        Ok(())
    }

    /// Adds the sign of due times without a run.
    pub(super) fn sign_of_decision(&mut self, event: &Event, task: &str) -> Result<()> {
        let definition = self.task(task)?.map(|row| row.definition);
        self.signs.extend(signs::of_decision(event, definition.as_ref(), self.now_us));
        Ok(())
    }

    /// Adds the sign of a task that was deleted, restored or resumed.
    pub(super) fn sign_of_task(&mut self, before: Option<&TaskRow>, after: &TaskRow) {
        let before = before.map(|row| &row.status);
        self.signs.extend(signs::of_task_change(before, &after.event(), Some(&after.definition), self.now_us));
    }
}
