//! Events for the server. They stay in the agent's database until the server has accepted them.
//!
//! An event is written in the same transaction as the change that it reports, so that a crash can't separate them. It keeps its number when it
//! is sent again, so that the server can recognize it. If more than `MOST_KEPT` events wait, the oldest are dropped and counted.

use jiff::Timestamp;
use monitor_spool::{Answer, Batches, Head, Parcel, Settled};
use monitor_tasks::plan::{Action, Plan};
use monitor_tasks::{Definition, EndReason, Paused, RunId};
use monitor_wire::{
    AgentDecided, AgentOrder, BatchStatus, BatchTaskChanged, Dropped, Error, ErrorKind, Event, Fields, MissedReason, Outcome, ProcessEnded,
    ProcessStarted, ProcessUpdated, RunMissed, RunSkipped, SkipReason, WorkerId, WorkerOffline, WorkerOnline, WorkerRef, WorkerRole,
};
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde_json::{Value, json};

use crate::data::Database;
use crate::random::random;
use crate::spec;
use crate::verdict::{Recorded, RunVerdict};

/// Maximum number of events in a batch.
const MOST: u64 = 500;
/// Maximum number of waiting events. If there are more, the oldest are dropped.
const MOST_KEPT: i64 = 1_000_000;
/// Interval of the agent's heartbeat, in milliseconds. The heartbeat reports how far the agent has decided.
pub(crate) const HEARTBEAT_MS: u64 = 10_000;

/// Writes events of the agent to the outbox. Each start of the agent is a separate worker.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    pub(crate) worker: WorkerRef,
    /// The agent's name.
    pub(crate) agent: String,
    /// True if the agent accepts no tasks from the server.
    files_only: bool,
}

impl Teller {
    /// Creates a worker with a new id. Its hostname is the agent's name, so that the server can address orders to the agent on any machine.
    pub(crate) fn new(agent: &str, files_only: bool) -> Self {
        let (id, agent) = (random_id(), agent.to_owned());
        let worker = WorkerRef { id, hostname: agent.clone(), pid: std::process::id(), program: AgentOrder::PROGRAM.to_owned() };
        Self { worker, agent, files_only }
    }

    /// Reports that the agent has started.
    pub(crate) fn online(&self, transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
        let event = WorkerOnline {
            time_us: us(now),
            started_us: us(now),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            heartbeat_interval_ms: HEARTBEAT_MS,
            registered: Vec::new(),
            role: WorkerRole::AGENT,
            capabilities: crate::link::methods().split(',').map(str::to_owned).collect(),
            worker: None,
        };
        self.tell(transaction, &Event::WorkerOnline(event))
    }

    /// Reports that the agent ends.
    pub(crate) fn offline(&self, transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
        self.tell(transaction, &Event::WorkerOffline(WorkerOffline { time_us: us(now), worker: None }))
    }

    /// Reports the time up to which the agent has decided, the agent's pause, and the mistakes in its files. Replaces the previous report if it
    /// is the newest event and was not sent yet.
    pub(crate) fn decided(
        &self,
        transaction: &Transaction<'_>,
        now: Timestamp,
        paused: Option<Paused>,
        mistakes: &[String],
    ) -> rusqlite::Result<()> {
        let event = Event::AgentDecided(AgentDecided {
            time_us: us(now),
            agent: self.agent.clone(),
            until_us: us(now),
            paused_from_us: paused.map(|paused| us(paused.from)),
            paused_until_us: paused.and_then(|paused| paused.until).map(us),
            files_only: self.files_only,
            mistakes: mistakes.to_vec(),
        });
        let sql = "UPDATE outbox SET event = ? WHERE number = (SELECT max(number) FROM outbox) AND worker = ? AND is_sent = 0
                   AND event ->> 'type' = 'agent-decided'";
        match transaction.prepare_cached(sql)?.execute(params![json(&event), json(&self.worker)])? {
            0 => self.tell(transaction, &event),
            _ => Ok(()),
        }
    }

    /// Reports the due times that a plan skips or declares missed.
    pub(crate) fn plan(&self, transaction: &Transaction<'_>, plan: &Plan, now: Timestamp) -> rusqlite::Result<()> {
        for action in &plan.actions {
            let event = match action {
                Action::Skip { task, version, dues, reason, blocked_by, .. } => Event::RunSkipped(RunSkipped {
                    time_us: us(now),
                    task: task.clone(),
                    agent: self.agent.clone(),
                    version: *version,
                    due_us: us(dues.first),
                    last_due_us: (dues.last != dues.first).then(|| us(dues.last)),
                    count: dues.count.into(),
                    reason: SkipReason::from(reason.word().to_owned()),
                    blocked_by: blocked_by.as_ref().map(RunId::to_string),
                }),
                Action::Missed { task, version, dues, reason, .. } => Event::RunMissed(RunMissed {
                    time_us: us(now),
                    task: task.clone(),
                    agent: self.agent.clone(),
                    version: *version,
                    first_due_us: us(dues.first),
                    last_due_us: us(dues.last),
                    count: dues.count.into(),
                    reason: MissedReason::from(reason.word().to_owned()),
                }),
                _ => continue,
            };
            self.tell(transaction, &event)?;
        }
        Ok(())
    }

    /// Reports that a requested run was given up before its start.
    pub(crate) fn given_up(
        &self,
        transaction: &Transaction<'_>,
        start: ProcessStarted,
        (reason, words): (&str, &str),
    ) -> rusqlite::Result<()> {
        let (root_id, id, time_us) = (start.root_id, start.id, start.time_us);
        self.tell(transaction, &Event::ProcessStarted(start))?;
        let ended = ProcessEnded {
            error: Some(Error::new(ErrorKind::ERROR, words.to_owned())),
            reason: Some(reason.to_owned()),
            ..ProcessEnded::new(root_id, id, time_us, Outcome::CANCELLED)
        };
        self.tell(transaction, &Event::ProcessEnded(ended))
    }

    /// Reports the facts about the end of a run that its launcher has not recorded:
    ///
    /// - the result code, if it differs from the recorded exit code
    /// - the reason, if it differs from the recorded reason
    /// - the end, if the definition turns a recorded success into a failure, or a recorded failure into a success
    /// - the start and the end, if no launcher was started
    pub(crate) fn ended(&self, transaction: &Transaction<'_>, run: &RunId, at: Timestamp, verdict: &RunVerdict) -> rusqlite::Result<()> {
        let (root_id, id) = spec::wire_ids(run);
        let reason = verdict.reason.map(EndReason::word);
        let (mut recorded_code, mut recorded_reason) = (None, None);
        let is_ended = match &verdict.recorded {
            Recorded::End { exit_code, reason, is_success } => {
                (recorded_code, recorded_reason) = (*exit_code, reason.as_deref());
                *is_success == verdict.is_success()
            }
            Recorded::Nothing => true,
            Recorded::NoLauncher(start) => {
                self.tell(transaction, &Event::ProcessStarted((**start).clone()))?;
                false
            }
        };
        let mut fields = Fields::new();
        if recorded_code != Some(verdict.result_code.into()) {
            fields.insert("task.result_code".to_owned(), verdict.result_code.into());
        }
        if let Some(reason) = reason.filter(|reason| recorded_reason != Some(reason)) {
            fields.insert("task.reason".to_owned(), reason.into());
        }
        if !fields.is_empty() {
            self.tell(transaction, &Event::ProcessUpdated(ProcessUpdated::new(root_id, id, us(at), fields)))?;
        }
        if is_ended {
            return Ok(());
        }
        let error = verdict.words.clone().filter(|_| !verdict.is_success()).map(|message| Error::new(ErrorKind::ERROR, message));
        let outcome = if verdict.is_success() { Outcome::SUCCEEDED } else { Outcome::FAILED };
        self.tell(
            transaction,
            &Event::ProcessEnded(ProcessEnded {
                error,
                exit_code: verdict.exit_code,
                signal: verdict.signal,
                reason: reason.map(str::to_owned),
                // The command ended before the launcher recorded its end. The earliest end of a process counts.
                ..ProcessEnded::new(root_id, id, us(at), outcome)
            }),
        )
    }

    /// Reports that a task is new, has changed, or was paused or resumed.
    pub(crate) fn task(
        &self,
        transaction: &Transaction<'_>,
        (definition, version): (&Definition, u64),
        paused: Option<Paused>,
        who: &str,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let event = BatchTaskChanged {
            status: if paused.is_some() { BatchStatus::PAUSED } else { BatchStatus::ACTIVE },
            until_us: paused.and_then(|paused| paused.until).map(us),
            definition: serde_json::to_value(definition).ok().and_then(|definition| serde_json::from_value(definition).ok()),
            ..self.gone_task(&definition.name, version, who, now)
        };
        self.tell(transaction, &Event::BatchTaskChanged(event))
    }

    /// Reports that a task was removed.
    pub(crate) fn gone(&self, transaction: &Transaction<'_>, task: &str, version: u64, who: &str, now: Timestamp) -> rusqlite::Result<()> {
        self.tell(transaction, &Event::BatchTaskChanged(self.gone_task(task, version, who, now)))
    }

    fn gone_task(&self, task: &str, version: u64, who: &str, now: Timestamp) -> BatchTaskChanged {
        BatchTaskChanged {
            time_us: us(now),
            task: task.to_owned(),
            version,
            status: BatchStatus::DELETED,
            who: Some(who.to_owned()),
            agent: Some(self.agent.clone()),
            until_us: None,
            definition: None,
        }
    }

    /// Raises an alert by a notification. Its events stay in the database until the server has accepted them.
    pub(crate) fn alert(&self, transaction: &Transaction<'_>, key: &str, title: &str, text: &str, now: Timestamp) -> rusqlite::Result<()> {
        let events = alert("agent", key, title, text, us(now));
        events.into_iter().filter_map(|event| serde_json::from_value(event).ok()).try_for_each(|event| self.tell(transaction, &event))
    }

    fn tell(&self, transaction: &Transaction<'_>, event: &Event) -> rusqlite::Result<()> {
        let sql = "INSERT INTO teller(worker, last) VALUES(?, 1) ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last";
        let worker = json(&self.worker);
        let sequence: i64 = transaction.prepare_cached(sql)?.query_row([&worker], |row| row.get(0))?;
        let sql = "INSERT INTO outbox(worker, sequence, event) VALUES(?, ?, ?)";
        transaction.prepare_cached(sql)?.execute(params![worker, sequence, json(event)])?;
        give_up(transaction, "number <= ?", transaction.last_insert_rowid() - MOST_KEPT, "spool").map(drop)
    }
}

/// Events of an alert: a process with the given name that sends a notification and fails.
pub(crate) fn alert(name: &str, key: &str, title: &str, text: &str, time_us: u64) -> [Value; 3] {
    let root = random();
    let with = |event: Value| {
        let mut whole = json!({"root_id": root, "id": &root[16..], "time_us": time_us});
        if let (Some(whole), Value::Object(event)) = (whole.as_object_mut(), event) {
            whole.extend(event);
        }
        whole
    };
    [
        with(json!({"type": "process-started", "kind": "root", "name": name})),
        with(json!({"type": "process-notified", "severity": "error", "title": title, "text": text, "key": key})),
        with(json!({"type": "process-ended", "outcome": "failed", "error": {"kind": "error", "message": title}})),
    ]
}

/// Waiting events, in batches for the sending loop. Each batch contains events of a single worker.
#[derive(Debug)]
pub(crate) struct Outbox<'a> {
    database: &'a mut Database,
    /// Maximum number of events in the next batch. It is reduced after a batch that was too large.
    most: u64,
    next: Option<Waiting>,
    /// True if the last transaction failed.
    is_stuck: bool,
}

/// Events of a single worker with consecutive numbers.
#[derive(Debug)]
struct Waiting {
    worker: WorkerRef,
    dropped: Vec<Dropped>,
    parcel: Parcel,
    /// Numbers of the first and the last row in the outbox.
    places: (i64, i64),
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(database: &'a mut Database) -> Self {
        Self { database, most: MOST, next: None, is_stuck: false }
    }

    /// Returns true if the last transaction failed. Then events may still be waiting.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Sets the times of the next batch's events to `now_us` if they are later. They are later if the clock was set back after the events were
    /// written. The server refuses events that are ahead of its own clock.
    pub(crate) fn limit_times(&mut self, now_us: u64) {
        let Some((first, last)) = self.next.as_ref().map(|waiting| waiting.places) else { return };
        let sql = "UPDATE outbox SET event = json_set(event, '$.time_us', ?3, iif(event ->> 'type' = 'agent-decided', '$.until_us', '$.time_us'), ?3)
                   WHERE number BETWEEN ?1 AND ?2 AND event ->> 'time_us' > ?3";
        let changed = self.change(|transaction| transaction.prepare_cached(sql)?.execute(params![first, last, now_us as i64]));
        if changed.is_some_and(|changed| changed > 0) {
            self.next = None;
        }
    }

    fn change<T>(&mut self, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Option<T> {
        let changed = self.database.write(change).inspect_err(|error| tracing::error!(%error, "events for the server wait in the outbox"));
        self.is_stuck = changed.is_err();
        changed.ok()
    }
}

impl Batches for Outbox<'_> {
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T> {
        if self.next.is_none() {
            let most = self.most;
            self.next = self.change(|transaction| take(transaction, most))?;
        }
        let Waiting { worker, dropped, parcel, .. } = self.next.as_ref()?;
        Some(make(parcel, &Head { worker, sent_us, dropped, lost: false }))
    }

    fn settle(&mut self, answer: &Answer) -> Settled {
        let Some(waiting) = &self.next else { return Settled::Waits };
        let ((first, last), begin, count) = (waiting.places, waiting.parcel.first(), waiting.parcel.count());
        let rejected = match answer {
            Answer::Accepted => None,
            Answer::Unreadable { number, .. } => Some(first + (number - begin) as i64),
            Answer::TooLarge { .. } if count > 1 => {
                self.most = count / 2;
                self.next = None;
                return Settled::Taken;
            }
            Answer::TooLarge { .. } => Some(first),
            Answer::Refused { .. } | Answer::Busy { .. } | Answer::Away { .. } => return Settled::Waits,
        };
        let settled = self.change(|transaction| match rejected {
            Some(place) => give_up(transaction, "number = ?", place, "rejected").map(drop),
            None => transaction.prepare_cached("DELETE FROM outbox WHERE number BETWEEN ? AND ?")?.execute([first, last]).map(drop),
        });
        if settled.is_none() {
            return Settled::Waits;
        }
        self.next = None;
        if rejected.is_none() {
            self.most = MOST;
            return Settled::Taken;
        }
        Settled::GivenUp
    }
}

/// Reads the oldest waiting events and marks them as sent. A new report doesn't replace a report that is marked as sent.
fn take(transaction: &Transaction<'_>, most: u64) -> rusqlite::Result<Option<Waiting>> {
    let sql = "SELECT number, worker, sequence, event FROM outbox
               WHERE worker = (SELECT worker FROM outbox ORDER BY number LIMIT 1) ORDER BY number LIMIT ?";
    let mut rows: Vec<(i64, String, i64, String)> = transaction
        .prepare_cached(sql)?
        .query_map([most as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    let Some((place, worker, sequence, _)) = rows.first().cloned() else { return Ok(None) };
    // The batch ends at a gap, for example at an event that was dropped.
    let gap = (0_i64..).zip(&rows).find(|(nth, row)| (row.0, row.2) != (place + nth, sequence + nth));
    if let Some((nth, _)) = gap {
        rows.truncate(nth as usize);
    }
    let last = place + rows.len() as i64 - 1;
    transaction.prepare_cached("UPDATE outbox SET is_sent = 1 WHERE number <= ?")?.execute([last])?;
    let dropped: Option<Option<String>> =
        transaction.prepare_cached("SELECT dropped FROM teller WHERE worker = ?")?.query_row([&worker], |row| row.get(0)).optional()?;
    let dropped = dropped.flatten().and_then(|dropped| serde_json::from_str(&dropped).ok()).unwrap_or_default();
    let Ok(worker) = serde_json::from_str(&worker) else { return Ok(None) };
    let events: Vec<&str> = rows.iter().map(|row| row.3.as_str()).collect();
    let parcel = Parcel::plain(sequence as u64, events.len() as u64, format!("[{}]", events.join(",")).as_bytes());
    Ok(Some(Waiting { worker, dropped, parcel, places: (place, last) }))
}

/// Drops the events that match a condition with one number, counts them as dropped, and logs them. Returns the number of dropped events.
fn give_up(transaction: &Transaction<'_>, condition: &str, number: i64, reason: &str) -> rusqlite::Result<usize> {
    let sql = format!("DELETE FROM outbox WHERE {condition} RETURNING worker, event ->> 'type'");
    let given_up: Vec<(String, String)> =
        transaction.prepare_cached(&sql)?.query_map([number], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (worker, event_type) in &given_up {
        tracing::error!(event = event_type, reason, "an event is given up: it will never be sent to the server");
        let dropped: Option<String> =
            transaction.prepare_cached("SELECT dropped FROM teller WHERE worker = ?")?.query_row([worker], |row| row.get(0))?;
        let mut dropped: Vec<Dropped> = dropped.and_then(|dropped| serde_json::from_str(&dropped).ok()).unwrap_or_default();
        match dropped.iter_mut().find(|of| of.event_type == *event_type && of.reason == reason) {
            Some(of) => of.count += 1,
            None => dropped.push(Dropped { event_type: event_type.clone(), reason: reason.to_owned(), root_id: None, count: 1 }),
        }
        transaction.prepare_cached("UPDATE teller SET dropped = ? WHERE worker = ?")?.execute(params![json(&dropped), worker])?;
    }
    Ok(given_up.len())
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data with text keys is JSON")
}

/// Converts a time to Unix microseconds.
fn us(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or_default()
}

fn random_id() -> WorkerId {
    random().parse().expect("of 128 random bits one is set")
}

#[cfg(test)]
mod tests {
    use monitor_tasks::Dues;
    use monitor_tasks::plan::MissedReason;
    use monitor_wire::Batch;

    use super::*;
    use crate::data::Database;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The next batch, and the events that its worker has dropped.
    fn next(outbox: &mut Outbox<'_>) -> Option<(Batch, Vec<Dropped>)> {
        outbox.request(1, |parcel, head| (parcel.batch(head).unwrap(), head.dropped.to_vec()))
    }

    fn types(batch: &Batch) -> Vec<&str> {
        batch.events.iter().map(Event::type_name).collect()
    }

    fn missed(count: u32) -> Plan {
        let dues = Dues { first: at(1), last: at(9), count };
        let (task, reason) = ("gold".to_owned(), MissedReason::AgentDown);
        Plan { actions: vec![Action::Missed { task, version: 2, dues, reason, run: None }], ..Plan::default() }
    }

    #[test]
    fn events_wait_in_order_until_they_are_accepted_and_keep_their_numbers() {
        let data = tempfile::tempdir().unwrap();
        let mut database = Database::open(data.path()).unwrap();
        let first = Teller::new("db-1", false);
        assert!(next(&mut Outbox::new(&mut database)).is_none());
        database.write(|transaction| first.online(transaction, at(10))).unwrap();
        database.write(|transaction| first.plan(transaction, &missed(9), at(10))).unwrap();
        for second in 11..20 {
            database.write(|transaction| first.decided(transaction, at(second), None, &[])).unwrap();
        }
        let (batch, _) = next(&mut Outbox::new(&mut database)).unwrap();
        assert_eq!((batch.sequence, types(&batch)), (1, vec!["worker-online", "run-missed", "agent-decided"]));
        let text = serde_json::to_string(&batch.events).unwrap();
        assert!(text.contains("\"reason\":\"agent-down\"") && text.contains("\"until_us\":19000000"), "{text}");
        // The earlier report may have reached the server, so the next report is a separate event.
        database.write(|transaction| first.decided(transaction, at(20), None, &[])).unwrap();
        let mut outbox = Outbox::new(&mut database);
        assert_eq!(next(&mut outbox).unwrap().0.events.len(), 4, "nobody has taken any");
        assert_eq!(outbox.settle(&Answer::Away { why: String::new() }), Settled::Waits);
        assert_eq!(next(&mut outbox).unwrap().0.events.len(), 4, "nobody has taken any");
        assert_eq!(outbox.settle(&Answer::Accepted), Settled::Taken);
        assert!(next(&mut outbox).is_none());
        database.write(|transaction| first.decided(transaction, at(25), None, &[])).unwrap();
        // The agent starts again and writes events as another worker.
        let second = Teller::new("db-1", false);
        database.write(|transaction| second.online(transaction, at(30))).unwrap();
        let mut outbox = Outbox::new(&mut database);
        let (batch, _) = next(&mut outbox).unwrap();
        assert_eq!((batch.worker.id, batch.sequence, batch.events.len()), (first.worker.id, 5, 1), "one worker at a time");
        assert_eq!(outbox.settle(&Answer::Accepted), Settled::Taken);
        let (batch, _) = next(&mut outbox).unwrap();
        assert_eq!((batch.worker.id, batch.sequence), (second.worker.id, 1));
    }

    #[test]
    fn only_events_that_the_server_refuses_are_dropped_and_counted() {
        let data = tempfile::tempdir().unwrap();
        let mut database = Database::open(data.path()).unwrap();
        let teller = Teller::new("db-1", false);
        database.write(|transaction| teller.online(transaction, at(10))).unwrap();
        for count in 2..=8 {
            database.write(|transaction| teller.plan(transaction, &missed(count), at(10))).unwrap();
        }
        let mut outbox = Outbox::new(&mut database);
        // Event 3 can't be read. The events before it are sent first, then the events after it.
        assert_eq!(next(&mut outbox).unwrap().0.events.len(), 8);
        assert_eq!(outbox.settle(&Answer::Unreadable { number: 3, why: String::new() }), Settled::GivenUp);
        let (batch, dropped) = next(&mut outbox).unwrap();
        assert_eq!((batch.sequence, batch.events.len()), (1, 2));
        let given_up = |count| vec![Dropped { event_type: "run-missed".to_owned(), reason: "rejected".to_owned(), root_id: None, count }];
        assert_eq!(dropped, given_up(1));
        assert_eq!(outbox.settle(&Answer::Accepted), Settled::Taken);
        // A batch that is too large is halved until it contains only the event that is too large.
        for (sequence, count) in [(4, 5), (4, 2), (4, 1)] {
            let (batch, _) = next(&mut outbox).unwrap();
            assert_eq!((batch.sequence, batch.events.len()), (sequence, count));
            let settled = outbox.settle(&Answer::TooLarge { why: String::new() });
            assert_eq!(settled, if count > 1 { Settled::Taken } else { Settled::GivenUp });
        }
        let mut taken = Vec::new();
        while let Some((batch, dropped)) = next(&mut outbox) {
            assert_eq!(dropped, given_up(2));
            taken.extend((batch.sequence..).take(batch.events.len()));
            outbox.settle(&Answer::Accepted);
        }
        assert_eq!(taken, [5, 6, 7, 8]);
    }
}
