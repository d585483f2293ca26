//! Batches: the body of a request to `POST /api/v1/events`.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, de};

use crate::event::{Event, WorkerRef};
use crate::ids::RootId;

/// Version of the wire format that this build reads and writes. It increases only if an old server would misread the data.
pub const VERSION: u32 = 1;

/// A batch of consecutively numbered events that a worker sends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Batch {
    /// Version of the wire format: 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1))]
    pub version: u32,
    /// The worker that sends the batch.
    pub worker: WorkerRef,
    /// Number of the first event. A worker numbers its events from 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub sequence: u64,
    /// Time at which the batch was sent, in Unix microseconds by the sender's clock.
    pub sent_us: u64,
    /// Numbers of events dropped since the worker started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Dropped>,
    /// True if the worker is gone and another process sends its remaining events. If the worker did not announce its end, its open processes are
    /// lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// The events. The first event has the number `sequence`.
    pub events: Vec<Event>,
}

/// Number of dropped events with a certain type and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dropped {
    /// Type of the events.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Reason: `memory`, `rejected` …
    pub reason: String,
    /// Run of the events. None for the total of all runs that are not counted separately.
    #[serde(default)]
    pub root_id: Option<RootId>,
    /// Number of dropped events since the worker started.
    pub count: u64,
}

/// The answer to a batch. The server sends it after it has stored the batch durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Accepted {
    /// Number of the batch's last event.
    pub accepted: u64,
}

/// An error that prevented a body from being read as a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The error, and its place in the body.
    pub message: String,
    /// Number of the event that caused the error. None if the error is not caused by a single event.
    pub event_number: Option<u64>,
    /// True if the body has another version of the wire format.
    pub wrong_version: bool,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event_number {
            Some(number) => write!(f, "event {number}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Batch {
    /// Returns the number of the last event, or `sequence - 1` if there are no events.
    pub fn last_number(&self) -> u64 {
        self.sequence.saturating_add(self.events.len() as u64).saturating_sub(1)
    }

    /// Parses a batch from JSON.
    ///
    /// # Errors
    /// Returns an error if the body is not a valid batch of version [`VERSION`]. The message contains the line and column of a mistake in the
    /// JSON. If a single event is invalid, the error contains the number of the event.
    pub fn from_json(body: &[u8]) -> Result<Self, DecodeError> {
        let index = Cell::new(None);
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let envelope = BatchSeed { index: &index }.deserialize(&mut deserializer).and_then(|batch| deserializer.end().map(|()| batch));
        let other_version = || {
            #[derive(Deserialize)]
            struct Version {
                version: u32,
            }
            serde_json::from_slice::<Version>(body).ok().map(|v| v.version).filter(|v| *v != VERSION)
        };
        let batch = envelope.map_err(|error| {
            if let Some(version) = other_version() {
                return wrong_version(version);
            }
            // Only invalid content is the fault of a single event. If the body is truncated, the error has no event number.
            let event_number = index.get().filter(|_| error.is_data()).and_then(|index| sequence_of(body)?.checked_add(index));
            DecodeError { message: error.to_string(), event_number, wrong_version: false }
        })?;
        if batch.version != VERSION {
            return Err(wrong_version(batch.version));
        }
        if batch.sequence == 0 || batch.sequence.checked_add(batch.events.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
            let message = format!("sequence {}: events are numbered from 1 to 2^63 - 1", batch.sequence);
            return Err(DecodeError { message, event_number: None, wrong_version: false });
        }
        Ok(batch)
    }
}

fn wrong_version(version: u32) -> DecodeError {
    let message = format!("the batch is of version {version}, this server reads version {VERSION}");
    DecodeError { message, event_number: None, wrong_version: true }
}

fn sequence_of(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Sequence {
        sequence: u64,
    }
    serde_json::from_slice::<Sequence>(body).ok().map(|s| s.sequence)
}

/// Deserializes a batch and counts the events, so that an error can name the event that caused it.
struct BatchSeed<'a> {
    index: &'a Cell<Option<u64>>,
}

impl<'de> DeserializeSeed<'de> for BatchSeed<'_> {
    type Value = Batch;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Batch, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BatchSeed<'_> {
    type Value = Batch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch: an object with version, worker, sequence, sent_us and events")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Batch, A::Error> {
        let (mut version, mut worker, mut sequence, mut sent_us, mut dropped, mut events) = (None, None, None, None, None, None);
        let mut lost = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => version = Some(map.next_value()?),
                "worker" => worker = Some(map.next_value()?),
                "sequence" => sequence = Some(map.next_value()?),
                "sent_us" => sent_us = Some(map.next_value()?),
                "dropped" => dropped = Some(map.next_value()?),
                "lost" => lost = map.next_value()?,
                "events" => events = Some(map.next_value_seed(EventsSeed { index: self.index })?),
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                }
            }
        }
        let missing = <A::Error as de::Error>::missing_field;
        Ok(Batch {
            version: version.ok_or_else(|| missing("version"))?,
            worker: worker.ok_or_else(|| missing("worker"))?,
            sequence: sequence.ok_or_else(|| missing("sequence"))?,
            sent_us: sent_us.ok_or_else(|| missing("sent_us"))?,
            dropped: dropped.unwrap_or_default(),
            lost,
            events: events.ok_or_else(|| missing("events"))?,
        })
    }
}

struct EventsSeed<'a> {
    index: &'a Cell<Option<u64>>,
}

impl<'de> DeserializeSeed<'de> for EventsSeed<'_> {
    type Value = Vec<Event>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Event>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EventsSeed<'_> {
    type Value = Vec<Event>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Event>, A::Error> {
        let mut events = Vec::new();
        self.index.set(Some(0));
        while let Some(event) = seq.next_element()? {
            events.push(event);
            self.index.set(Some(events.len() as u64));
        }
        self.index.set(None);
        Ok(events)
    }
}
