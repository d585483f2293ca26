//! Events that the server is to be told, kept in the agent's database until it has taken them: in the same transaction as what they tell
//! of, so that none is lost or told twice, however long the server is away.

use jiff::Timestamp;
use monitor_tasks::plan::{Action, Plan};
use monitor_tasks::{Definition, Paused, RunId};
use monitor_wire::{Event, WorkerId, WorkerRef};
use rusqlite::{Connection, Transaction, params};
use serde_json::{Value, json};

/// Most events of a batch.
const MOST: u32 = 500;
/// Events are given up beyond so many, the oldest first.
const MOST_KEPT: i64 = 1_000_000;
/// Heartbeats of the agent: it tells so often how far it has decided.
pub(crate) const HEARTBEAT_MS: u64 = 10_000;

/// Who tells: the agent since it began.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    pub(crate) worker: WorkerRef,
    /// The agent's name.
    pub(crate) agent: String,
}

/// Events in the order of their numbers, all of one worker.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) worker: WorkerRef,
    /// Number of the first.
    pub(crate) sequence: u64,
    pub(crate) events: Vec<Event>,
    /// Place of the last in the outbox.
    pub(crate) last: i64,
}

impl Teller {
    /// A new worker of this machine: another one each time that the agent begins.
    pub(crate) fn new(agent: &str, hostname: String) -> Self {
        let id = random_id();
        Self { worker: WorkerRef { id, hostname, pid: std::process::id(), program: "monitor-agent".to_owned() }, agent: agent.to_owned() }
    }

    /// Tells that the agent has begun.
    pub(crate) fn online(&self, transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
        let event = json!({
            "type": "worker-online",
            "time_us": now.as_microsecond(),
            "started_us": now.as_microsecond(),
            "version": env!("CARGO_PKG_VERSION"),
            "heartbeat_interval_ms": HEARTBEAT_MS,
            "role": "agent",
        });
        self.tell(transaction, &event)
    }

    /// Tells that the agent ends.
    pub(crate) fn offline(&self, transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
        self.tell(transaction, &json!({ "type": "worker-offline", "time_us": now.as_microsecond() }))
    }

    /// Tells how far the agent has decided. What was told so before and was not sent yet is told no more.
    pub(crate) fn decided(&self, transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
        let now_us = now.as_microsecond();
        let event = json!({ "type": "agent-decided", "time_us": now_us, "agent": self.agent, "until_us": now_us });
        let sql = "UPDATE outbox SET event = ? WHERE number = (SELECT max(number) FROM outbox) AND worker = ? AND is_sent = 0
                   AND event ->> 'type' = 'agent-decided'";
        match transaction.prepare_cached(sql)?.execute(params![event.to_string(), self.worker_text()])? {
            0 => self.tell(transaction, &event),
            _ => Ok(()),
        }
    }

    /// Tells of due times for which a plan starts nothing.
    pub(crate) fn plan(&self, transaction: &Transaction<'_>, plan: &Plan, now: Timestamp) -> rusqlite::Result<()> {
        let now_us = now.as_microsecond();
        for action in &plan.actions {
            let event = match action {
                Action::Skip { task, version, dues, reason, blocked_by, .. } => json!({
                    "type": "run-skipped",
                    "time_us": now_us,
                    "task": task,
                    "agent": self.agent,
                    "version": version,
                    "due_us": dues.first.as_microsecond(),
                    "last_due_us": dues.last.as_microsecond(),
                    "count": dues.count,
                    "reason": reason.word(),
                    "blocked_by": blocked_by.as_ref().map(RunId::to_string),
                }),
                Action::Missed { task, version, dues, reason, .. } => json!({
                    "type": "run-missed",
                    "time_us": now_us,
                    "task": task,
                    "agent": self.agent,
                    "version": version,
                    "first_due_us": dues.first.as_microsecond(),
                    "last_due_us": dues.last.as_microsecond(),
                    "count": dues.count,
                    "reason": reason.word(),
                }),
                _ => continue,
            };
            self.tell(transaction, &event)?;
        }
        Ok(())
    }

    /// Tells that a task is new, has changed, or is paused or resumed.
    pub(crate) fn task(
        &self,
        transaction: &Transaction<'_>,
        (definition, version): (&Definition, u64),
        paused: Option<Paused>,
        who: &str,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let event = json!({
            "type": "batch-task-changed",
            "time_us": now.as_microsecond(),
            "task": definition.name,
            "version": version,
            "status": if paused.is_some() { "paused" } else { "active" },
            "who": who,
            "agent": self.agent,
            "until_us": paused.and_then(|paused| paused.until).map(Timestamp::as_microsecond),
            "definition": definition,
        });
        self.tell(transaction, &event)
    }

    /// Tells that a task is gone.
    pub(crate) fn gone(&self, transaction: &Transaction<'_>, task: &str, version: u64, who: &str, now: Timestamp) -> rusqlite::Result<()> {
        let event = json!({
            "type": "batch-task-changed",
            "time_us": now.as_microsecond(),
            "task": task,
            "version": version,
            "status": "deleted",
            "who": who,
            "agent": self.agent,
        });
        self.tell(transaction, &event)
    }

    fn tell(&self, transaction: &Transaction<'_>, event: &Value) -> rusqlite::Result<()> {
        let sql = "INSERT INTO outbox(worker, sequence, event)
                   SELECT ?1, coalesce((SELECT last FROM teller WHERE worker = ?1), 0) + 1, ?2";
        let worker = self.worker_text();
        // What there is nothing to say of is left out.
        let mut event = event.clone();
        if let Value::Object(event) = &mut event {
            event.retain(|_, value| !value.is_null());
        }
        transaction.prepare_cached(sql)?.execute(params![worker, event.to_string()])?;
        let number = transaction.last_insert_rowid();
        let sql = "INSERT INTO teller(worker, last) VALUES(?, 1) ON CONFLICT DO UPDATE SET last = last + 1";
        transaction.prepare_cached(sql)?.execute([&worker])?;
        transaction.prepare_cached("DELETE FROM outbox WHERE number <= ?")?.execute([number - MOST_KEPT])?;
        Ok(())
    }

    fn worker_text(&self) -> String {
        serde_json::to_string(&self.worker).unwrap_or_default()
    }
}

/// The oldest events that wait. They are marked as sent: from here on they stay as they are.
pub(crate) fn take(connection: &Connection) -> rusqlite::Result<Option<Waiting>> {
    let sql = "SELECT number, worker, sequence, event FROM outbox
               WHERE worker = (SELECT worker FROM outbox ORDER BY number LIMIT 1) ORDER BY number LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement
        .query_map([MOST], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, row.get::<_, String>(3)?)))?;
    let mut waiting: Option<Waiting> = None;
    for row in rows {
        let (number, worker, sequence, event) = row?;
        let event = serde_json::from_str(&event).ok();
        match (&mut waiting, event) {
            (None, Some(event)) => {
                let Ok(worker) = serde_json::from_str(&worker) else { break };
                waiting = Some(Waiting { worker, sequence: sequence as u64, events: vec![event], last: number });
            }
            // A gap in the numbers, as after events that were given up: another batch.
            (Some(waiting), Some(event)) if waiting.sequence + waiting.events.len() as u64 == sequence as u64 => {
                waiting.events.push(event);
                waiting.last = number;
            }
            _ => break,
        }
    }
    if let Some(waiting) = &waiting {
        connection.prepare_cached("UPDATE outbox SET is_sent = 1 WHERE number <= ?")?.execute([waiting.last])?;
    }
    Ok(waiting)
}

/// Forgets events that the server has taken.
pub(crate) fn forget(connection: &Connection, last: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM outbox WHERE number <= ?")?.execute([last]).map(drop)
}

fn random_id() -> WorkerId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().replace('-', "");
    text.trim().parse().unwrap_or_else(|_| WorkerId::new(u128::from(std::process::id()) + 1).expect("more than zero"))
}

#[cfg(test)]
mod tests {
    use monitor_tasks::Dues;
    use monitor_tasks::plan::MissedReason;

    use super::*;
    use crate::data::Database;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn types(waiting: &Waiting) -> Vec<&str> {
        waiting.events.iter().map(Event::type_name).collect()
    }

    #[test]
    fn events_wait_in_order_until_they_are_taken_and_keep_their_numbers() {
        let data = tempfile::tempdir().unwrap();
        let mut database = Database::open(data.path()).unwrap();
        let missed = |count| Plan {
            actions: vec![Action::Missed {
                task: "gold".to_owned(),
                version: 2,
                dues: Dues { first: at(1), last: at(9), count },
                reason: MissedReason::AgentDown,
                run: None,
            }],
            ..Plan::default()
        };
        let first = Teller::new("db-1", "host".to_owned());
        assert!(database.read(take).unwrap().is_none());
        database.write(|transaction| first.online(transaction, at(10))).unwrap();
        database.write(|transaction| first.plan(transaction, &missed(9), at(10))).unwrap();
        for second in 11..20 {
            database.write(|transaction| first.decided(transaction, at(second))).unwrap();
        }
        let waiting = database.read(take).unwrap().unwrap();
        assert_eq!((waiting.sequence, types(&waiting)), (1, vec!["worker-online", "run-missed", "agent-decided"]));
        let text = serde_json::to_string(&waiting.events).unwrap();
        assert!(text.contains("\"reason\":\"agent-down\"") && text.contains("\"until_us\":19000000"), "{text}");
        // It may have reached the server: what is told now is another event.
        database.write(|transaction| first.decided(transaction, at(20))).unwrap();
        assert_eq!(database.read(take).unwrap().unwrap().events.len(), 4, "nobody has taken any");
        database.read(|connection| forget(connection, waiting.last)).unwrap();
        let waiting = database.read(take).unwrap().unwrap();
        assert_eq!((waiting.sequence, types(&waiting)), (4, vec!["agent-decided"]));
        // The agent begins anew, and another worker tells.
        let second = Teller::new("db-1", "host".to_owned());
        database.write(|transaction| second.online(transaction, at(30))).unwrap();
        let waiting = database.read(take).unwrap().unwrap();
        assert_eq!((waiting.worker.id, waiting.events.len()), (first.worker.id, 1), "one worker at a time");
        database.read(|connection| forget(connection, waiting.last)).unwrap();
        let waiting = database.read(take).unwrap().unwrap();
        assert_eq!((waiting.worker.id, waiting.sequence), (second.worker.id, 1));
    }
}
