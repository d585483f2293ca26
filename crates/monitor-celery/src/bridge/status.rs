//! The bridge's own run, named `celery NAME`: the state of the broker, the number of unreadable messages, and a log.

use std::collections::BTreeMap;

use monitor_spool::now_us;
use monitor_wire::{Event, Fields, Kind, ProcessId, ProcessLogged, ProcessStarted, ProcessUpdated, RootId};
use serde_json::Value;

use crate::ids::random_hex;

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
        Self { root_id, id, unreadable: 0, reported: 0, lines: 0, away_us: None, events: vec![Event::ProcessStarted(started)] }
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
        let fields = Fields::from([(name.to_owned(), value)]);
        self.events.push(Event::ProcessUpdated(ProcessUpdated::new(self.root_id, self.id, now_us(), fields)));
    }

    /// Notes that there is a connection. Returns the time since which there was none, if this is not the first connection.
    pub(crate) fn is_connected(&mut self) -> Option<u64> {
        self.set("celery.state", "connected".into());
        self.away_us.take()
    }

    /// Notes that there is no connection.
    pub(crate) fn is_away(&mut self, why: &str) {
        if self.away_us.is_none() {
            self.away_us = Some(now_us());
            self.set("celery.state", "away".into());
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
