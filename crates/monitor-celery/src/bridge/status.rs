//! The bridge's own run, named `celery NAME`: the state of the broker, the number of unreadable messages, and a log.

use std::collections::BTreeMap;

use monitor_spool::now_us;
use monitor_wire::{Event, Fields, Kind, ProcessId, ProcessLogged, ProcessStarted, ProcessUpdated, RootId};
use serde_json::{Map, Value};

use super::depths::{Depths, Queue, Series};
use crate::flow::Counts;
use crate::ids::random_hex;
use crate::transport::{PRIORITIES, QueueState};

/// Maximum number of lines about messages that can't be read, between two heartbeats.
const MOST_LINES: usize = 20;

/// The bridge's own run.
#[derive(Debug)]
pub(crate) struct Status {
    root_id: RootId,
    id: ProcessId,
    /// Number of unreadable messages, and the number that was reported.
    unreadable: u64,
    reported: u64,
    lines: usize,
    /// Time since which the broker is away.
    away_us: Option<u64>,
    /// Number of times whose events are missing.
    gaps: u64,
    /// The last reading of the queues.
    depths: Option<Depths>,
    series: Series,
    /// Events to send.
    events: Vec<Event>,
}

impl Status {
    pub(crate) fn new(name: &str, broker: &str) -> Self {
        let root_id: RootId = random_hex().parse().expect("of 128 random bits one is set");
        let id = root_id.own_process().unwrap_or(ProcessId::new(1).expect("not zero"));
        let fields: Fields =
            BTreeMap::from([("celery.broker".to_owned(), Value::from(broker)), ("celery.cluster".to_owned(), name.into())]);
        let started = ProcessStarted { fields, ..ProcessStarted::new(root_id, id, now_us(), Kind::ROOT, format!("celery {name}")) };
        let events = vec![Event::ProcessStarted(started)];
        let series = Series::default();
        Self { root_id, id, unreadable: 0, reported: 0, lines: 0, away_us: None, gaps: 0, depths: None, series, events }
    }

    /// Returns the events since the last call.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        if self.reported != self.unreadable {
            self.reported = self.unreadable;
            self.set("celery.unreadable", self.unreadable.into());
        }
        std::mem::take(&mut self.events)
    }

    /// Permits further lines about unreadable messages.
    pub(crate) fn begin_lines(&mut self) {
        self.lines = 0;
    }

    /// Adds a line to the log.
    pub(crate) fn log(&mut self, level: &str, message: String) {
        self.events.push(Event::ProcessLogged(ProcessLogged {
            root_id: self.root_id,
            id: self.id,
            time_us: now_us(),
            level: level.to_owned(),
            message,
            target: None,
            stream: None,
            fields: Fields::new(),
            attempt: 1,
            worker: None,
            native_id: None,
            links: Vec::new(),
        }));
    }

    fn set(&mut self, name: &str, value: Value) {
        self.set_all([(name, value)]);
    }

    fn set_all<const N: usize>(&mut self, fields: [(&str, Value); N]) {
        let fields = Fields::from(fields.map(|(name, value)| (name.to_owned(), value)));
        self.events.push(Event::ProcessUpdated(ProcessUpdated::new(self.root_id, self.id, now_us(), fields)));
    }

    /// Notes that there is a connection. Returns the time since which there was none, if this is not the first connection.
    pub(crate) fn is_connected(&mut self) -> Option<u64> {
        self.set_all([("celery.state", "connected".into()), ("celery.since_us", now_us().into())]);
        self.away_us.take()
    }

    /// Counts a time whose events are missing.
    pub(crate) fn has_gap(&mut self) {
        self.gaps += 1;
        self.set("celery.gaps", self.gaps.into());
    }

    /// Notes how many tasks wait in the queues. Reports changes, and each complete minute.
    pub(crate) fn has_read(&mut self, depths: Depths) {
        if let Some(series) = self.series.add(&depths) {
            self.set("celery.queues.recent", series);
        }
        if self.depths.as_ref() == Some(&depths) {
            return;
        }
        let queues = depths.queues.iter().map(|(name, Queue { state, last_minute, oldest_us })| {
            let QueueState { waiting, consumers, by_priority } = state;
            let mut queue = serde_json::json!({"waiting": waiting, "consumers": consumers});
            if let Some(Counts { sent, ended }) = last_minute {
                (queue["sent_per_minute"], queue["ended_per_minute"]) = ((*sent).into(), (*ended).into());
            }
            if let Some(oldest_us) = oldest_us {
                queue["oldest_us"] = (*oldest_us).into();
            }
            if by_priority.iter().skip(1).any(|count| *count > 0) {
                let known = PRIORITIES.iter().zip(by_priority).filter(|(_, count)| **count > 0);
                queue["priorities"] =
                    known.map(|(priority, count)| ((*priority).to_owned(), (*count).into())).collect::<Map<_, _>>().into();
            }
            (name.clone(), queue)
        });
        let queues = queues.collect::<Map<_, _>>().into();
        match depths.unacknowledged {
            Some(count) => self.set_all([("celery.queues", queues), ("celery.unacknowledged", count.into())]),
            None => self.set("celery.queues", queues),
        }
        self.depths = Some(depths);
    }

    /// Notes that there is no connection.
    pub(crate) fn is_away(&mut self, why: &str) {
        if self.away_us.is_none() {
            let now_us = now_us();
            self.away_us = Some(now_us);
            self.set_all([("celery.state", "away".into()), ("celery.since_us", now_us.into())]);
            self.log("warn", why.to_owned());
        }
    }

    /// Counts an unreadable message, and logs the first messages.
    pub(crate) fn is_unreadable(&mut self, why: &str) {
        self.unreadable += 1;
        self.lines += 1;
        if self.lines <= MOST_LINES {
            self.log("warn", format!("a message can't be read: {why}"));
        }
    }
}
