//! Events for the server. They are in the agent's database until the server has accepted them. An event is written in the same transaction
//! as the change that it reports, so that no event is lost or sent twice, however long the server is away.

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

/// Most events of a batch.
const MOST: u64 = 500;
/// Events are given up beyond so many, the oldest first.
const MOST_KEPT: i64 = 1_000_000;
/// Heartbeats of the agent: it tells so often how far it has decided.
pub(crate) const HEARTBEAT_MS: u64 = 10_000;

/// Writes events of the agent. Each start of the agent is a worker of its own.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    pub(crate) worker: WorkerRef,
    /// The agent's name.
    pub(crate) agent: String,
    /// It takes no tasks from the server.
    files_only: bool,
}

impl Teller {
    /// A new worker: another one each time that the agent begins. It has the agent's name for its host, by which the server addresses what
    /// it orders, whatever machine the agent is on.
    pub(crate) fn new(agent: &str, files_only: bool) -> Self {
        let (id, agent) = (random_id(), agent.to_owned());
        let worker = WorkerRef { id, hostname: agent.clone(), pid: std::process::id(), program: AgentOrder::PROGRAM.to_owned() };
        Self { worker, agent, files_only }
    }

    /// Tells that the agent has begun.
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

    /// Tells that the agent ends.
    pub(crate) fn offline(&self, transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
        self.tell(transaction, &Event::WorkerOffline(WorkerOffline { time_us: us(now), worker: None }))
    }

    /// Reports up to which time the agent has decided, whether it is paused, and mistakes in its files. Replaces an earlier report that was not sent yet.
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

    /// Reports due times for which a plan starts nothing.
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

    /// Tells that a run which somebody asked for is given up before its start.
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

    /// Tells what the launcher of a run has not recorded of its end: its result code, if that is not the exit code of the command; its
    /// reason, for which the launcher may have another word; its outcome, if the definition makes another one of the command's; and all of
    /// it, if there was no launcher.
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
                // The launcher has recorded its end after the command's. The earliest end of a process counts.
                ..ProcessEnded::new(root_id, id, us(at), outcome)
            }),
        )
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
        let event = BatchTaskChanged {
            status: if paused.is_some() { BatchStatus::PAUSED } else { BatchStatus::ACTIVE },
            until_us: paused.and_then(|paused| paused.until).map(us),
            definition: serde_json::to_value(definition).ok().and_then(|definition| serde_json::from_value(definition).ok()),
            ..self.gone_task(&definition.name, version, who, now)
        };
        self.tell(transaction, &Event::BatchTaskChanged(event))
    }

    /// Tells that a task is gone.
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

    /// Raises an alert by a notification. It stays in the database until the server has it.
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

/// The events of an alert: a process of this name that fails, with a notification.
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

/// What waits, in batches of one worker each, as the loop of all who send takes them.
#[derive(Debug)]
pub(crate) struct Outbox<'a> {
    database: &'a mut Database,
    /// Most events of the next batch: fewer after one that was too large.
    most: u64,
    next: Option<Waiting>,
    /// The database can't be read or written now.
    is_stuck: bool,
}

/// Events in the order of their numbers, all of one worker.
#[derive(Debug)]
struct Waiting {
    worker: WorkerRef,
    dropped: Vec<Dropped>,
    parcel: Parcel,
    /// Places of the first and the last in the outbox.
    places: (i64, i64),
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(database: &'a mut Database) -> Self {
        Self { database, most: MOST, next: None, is_stuck: false }
    }

    /// Returns true if something may wait that can't be read or forgotten now.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Dates the events that wait next, as far as they are dated after `now_us`, at that time: the clock was set back since they were decided, and the
    /// server accepts none that is ahead of its own clock.
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
        let changed = self.database.write(change).inspect_err(|error| tracing::error!(%error, "what the server is to be told waits"));
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

/// The oldest events that wait. They are marked as sent: from here on they stay as they are.
fn take(transaction: &Transaction<'_>, most: u64) -> rusqlite::Result<Option<Waiting>> {
    let sql = "SELECT number, worker, sequence, event FROM outbox
               WHERE worker = (SELECT worker FROM outbox ORDER BY number LIMIT 1) ORDER BY number LIMIT ?";
    let mut rows: Vec<(i64, String, i64, String)> = transaction
        .prepare_cached(sql)?
        .query_map([most as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    let Some((place, worker, sequence, _)) = rows.first().cloned() else { return Ok(None) };
    // After a gap, as where an event was given up, another batch begins.
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

/// Gives up the events that meet a condition with one number, counts them as dropped, and logs it. Returns their number.
fn give_up(transaction: &Transaction<'_>, condition: &str, number: i64, reason: &str) -> rusqlite::Result<usize> {
    let sql = format!("DELETE FROM outbox WHERE {condition} RETURNING worker, event ->> 'type'");
    let given_up: Vec<(String, String)> =
        transaction.prepare_cached(&sql)?.query_map([number], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (worker, event_type) in &given_up {
        tracing::error!(event = event_type, reason, "an event is given up: the server will never be told of it");
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

/// A time in Unix microseconds.
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

    /// The batch that is next: its worker, the number of its first event, and its events; with what its worker has given up.
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
    fn events_wait_in_order_until_they_are_taken_and_keep_their_numbers() {
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
        // It may have reached the server: what is told now is another event.
        database.write(|transaction| first.decided(transaction, at(20), None, &[])).unwrap();
        let mut outbox = Outbox::new(&mut database);
        assert_eq!(next(&mut outbox).unwrap().0.events.len(), 4, "nobody has taken any");
        assert_eq!(outbox.settle(&Answer::Away { why: String::new() }), Settled::Waits);
        assert_eq!(next(&mut outbox).unwrap().0.events.len(), 4, "nobody has taken any");
        assert_eq!(outbox.settle(&Answer::Accepted), Settled::Taken);
        assert!(next(&mut outbox).is_none());
        database.write(|transaction| first.decided(transaction, at(25), None, &[])).unwrap();
        // The agent begins anew, and another worker tells.
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
    fn what_the_server_can_not_take_is_given_up_alone_and_counted() {
        let data = tempfile::tempdir().unwrap();
        let mut database = Database::open(data.path()).unwrap();
        let teller = Teller::new("db-1", false);
        database.write(|transaction| teller.online(transaction, at(10))).unwrap();
        for count in 2..=8 {
            database.write(|transaction| teller.plan(transaction, &missed(count), at(10))).unwrap();
        }
        let mut outbox = Outbox::new(&mut database);
        // Number 3 can't be read: those before it go, and then those behind it.
        assert_eq!(next(&mut outbox).unwrap().0.events.len(), 8);
        assert_eq!(outbox.settle(&Answer::Unreadable { number: 3, why: String::new() }), Settled::GivenUp);
        let (batch, dropped) = next(&mut outbox).unwrap();
        assert_eq!((batch.sequence, batch.events.len()), (1, 2));
        let given_up = |count| vec![Dropped { event_type: "run-missed".to_owned(), reason: "rejected".to_owned(), root_id: None, count }];
        assert_eq!(dropped, given_up(1));
        assert_eq!(outbox.settle(&Answer::Accepted), Settled::Taken);
        // What is too large is halved, down to the one event that is.
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
