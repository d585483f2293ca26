//! Requests with events: encoding, and splitting after a server's answer.

use monitor_wire::{Batch, DecodeError, Dropped, Event, VERSION, WorkerRef};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::encoding;
use crate::events::{self, Known};
use crate::parcel::{Parcel, Rejected};

/// Maximum length of the decoded events of a parcel.
const LONGEST: u64 = 256 << 20;

/// Fields of a request before its events.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// Worker that reports.
    pub worker: &'a WorkerRef,
    /// Time of sending, in Unix microseconds.
    pub sent_us: u64,
    /// Dropped events since the worker started.
    pub dropped: &'a [Dropped],
    /// True if the worker is dead and another process sends its events.
    pub lost: bool,
}

impl Parcel {
    /// Encodes events; `first` is the number of the first event. `None` if there are no events, or an event can't be serialized.
    pub fn encode(first: u64, events: &[Event]) -> Option<Self> {
        Self::of(first, events)
    }

    /// Like [`encode`](Self::encode), for any values that serialize as events.
    pub(crate) fn of<T: Serialize>(first: u64, events: &[T]) -> Option<Self> {
        let json = serde_json::to_vec(events).ok().filter(|_| !events.is_empty())?;
        let frame = encoding::compress(&json)?;
        Some(Self::kept(first, events.len() as u64, frame))
    }

    /// Like [`encode`](Self::encode), for events already in JSON.
    pub(crate) fn of_json(first: u64, events: &[&[u8]]) -> Option<Self> {
        let json = [b"[", &events.join(&b","[..])[..], b"]"].concat();
        Some(Self::kept(first, events.len() as u64, encoding::compress(&json)?))
    }

    /// Removes events by number. Returns the remaining events as parcels without gaps. `None` if the parcel can't be read.
    pub(crate) fn without_all(&self, is_left_out: impl Fn(u64) -> bool) -> Option<Vec<Self>> {
        let json = self.json()?;
        let events = events::split(&json).filter(|events| events.len() as u64 == self.count())?;
        let numbered: Vec<(u64, &[u8])> = (self.first()..).zip(events).filter(|(number, _)| !is_left_out(*number)).collect();
        let runs = numbered.chunk_by(|(number, _), (next, _)| number + 1 == *next);
        runs.map(|run| Self::of_json(run[0].0, &run.iter().map(|(_, event)| *event).collect::<Vec<_>>())).collect()
    }

    /// Creates a parcel without events. A request with it only reports dropped events.
    pub fn empty(first: u64) -> Self {
        Self::kept(first, 0, encoding::compress(b"[]").unwrap_or_default())
    }

    /// Creates the body of a request, to be sent as `application/json` with its [`content_encoding`](crate::content_encoding). The body is
    /// a concatenation of compressed pieces.
    pub fn body(&self, head: &Head<'_>) -> Vec<u8> {
        let mut body = encoding::beside(self.frame(), &opening(head, self.first()));
        body.extend_from_slice(self.frame());
        body.extend_from_slice(&encoding::beside(self.frame(), b"}"));
        body
    }

    /// Decodes the batch, as the server's ingest receives it.
    ///
    /// # Errors
    /// If the batch can't be read. The error names the event if a single event is the cause.
    pub fn batch(&self, head: &Head<'_>) -> Result<Batch, DecodeError> {
        let unreadable =
            || DecodeError { message: "what was compressed can't be read".to_owned(), event_number: None, wrong_version: false };
        let mut json = opening(head, self.first());
        json.extend_from_slice(&self.json().ok_or_else(unreadable)?);
        json.push(b'}');
        Batch::from_json(&json)
    }

    /// Joins parcels with consecutive numbers. `None` if a parcel can't be read, or the result is too long.
    pub(crate) fn joined(parcels: &[Self]) -> Option<Self> {
        let mut json = vec![b'['];
        for parcel in parcels.iter().filter(|parcel| parcel.count() > 0) {
            let part = parcel.json().filter(|part| ((json.len() + part.len()) as u64) < LONGEST)?;
            // Each parcel is a JSON array. Join them to a single array.
            if json.len() > 1 {
                json.push(b',');
            }
            json.extend_from_slice(part.strip_prefix(b"[")?.strip_suffix(b"]")?);
        }
        json.push(b']');
        let count = parcels.iter().fold(0_u64, |sum, parcel| sum.saturating_add(parcel.count()));
        Some(Self::kept(parcels.first()?.first(), count, encoding::compress(&json)?))
    }

    /// Splits the parcel into halves. `None` if it has a single event, or can't be read.
    pub fn halve(&self) -> Option<(Self, Self)> {
        let json = self.json()?;
        let events: Vec<&RawValue> = serde_json::from_slice(&json).ok()?;
        let (before, behind) = events.split_at(events.len() / 2);
        Some((Self::of(self.first(), before)?, Self::of(self.first() + before.len() as u64, behind)?))
    }

    /// Splits the parcel at an event: the events before it, a description of the event, and the events after it. `None` if the parcel does
    /// not contain the event, or can't be read.
    pub fn without(&self, number: u64) -> Option<(Option<Self>, Rejected, Option<Self>)> {
        let index = usize::try_from(number.checked_sub(self.first())?).ok()?;
        let json = self.json()?;
        let events: Vec<&RawValue> = serde_json::from_slice(&json).ok()?;
        let rejected = Known::of(events.get(index)?.get().as_bytes()).rejected();
        Some((Self::of(self.first(), &events[..index]), rejected, Self::of(number + 1, &events[index + 1..])))
    }

    /// Returns true if the content is not an array with the stated number of events, so that no reader can use it.
    pub(crate) fn is_damaged(&self) -> bool {
        let json = self.json().unwrap_or_default();
        serde_json::from_slice::<Vec<&RawValue>>(&json).map_or(true, |events| events.len() as u64 != self.count())
    }

    pub(crate) fn json(&self) -> Option<Vec<u8>> {
        encoding::decompress(self.frame(), LONGEST)
    }
}

/// Serializes the JSON of a request up to its events.
fn opening(head: &Head<'_>, sequence: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Envelope<'a> {
        version: u32,
        worker: &'a WorkerRef,
        sequence: u64,
        sent_us: u64,
        #[serde(skip_serializing_if = "<[Dropped]>::is_empty")]
        dropped: &'a [Dropped],
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        lost: bool,
    }
    let Head { worker, sent_us, dropped, lost } = head;
    let envelope = Envelope { version: VERSION, worker, sequence, sent_us: *sent_us, dropped, lost: *lost };
    // Consists of numbers and texts, so serialization can't fail.
    let mut json = serde_json::to_vec(&envelope).unwrap_or_default();
    json.pop();
    json.extend_from_slice(b",\"events\":");
    json
}
