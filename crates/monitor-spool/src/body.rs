//! Events as they are sent, and what the server's answers make of them.

use monitor_wire::{Batch, DecodeError, Dropped, Event, VERSION, WorkerRef};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::encoding;
use crate::events::{self, Known};
use crate::parcel::{Parcel, Rejected};

/// Events of a parcel, decoded, are never longer.
const LONGEST: u64 = 256 << 20;

/// What stands before the events of a request.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// Who reports.
    pub worker: &'a WorkerRef,
    /// When it is sent, in Unix microseconds.
    pub sent_us: u64,
    /// What was dropped since the worker began.
    pub dropped: &'a [Dropped],
    /// Who reports is gone, and somebody else sends it.
    pub lost: bool,
}

impl Parcel {
    /// Encodes events, the first of which has the number `first`; `None` if there is none, or one has no JSON.
    pub fn encode(first: u64, events: &[Event]) -> Option<Self> {
        Self::of(first, events)
    }

    /// As [`encode`](Self::encode), of anything that is events in JSON.
    pub(crate) fn of<T: Serialize>(first: u64, events: &[T]) -> Option<Self> {
        let json = serde_json::to_vec(events).ok().filter(|_| !events.is_empty())?;
        let frame = encoding::compress(&json)?;
        Some(Self::kept(first, events.len() as u64, frame))
    }

    /// The same of events that are JSON already.
    pub(crate) fn of_json(first: u64, events: &[&[u8]]) -> Option<Self> {
        let json = [b"[", &events.join(&b","[..])[..], b"]"].concat();
        Some(Self::kept(first, events.len() as u64, encoding::compress(&json)?))
    }

    /// What is left without the events of these numbers, as parcels without gaps; `None` if it can't be read.
    pub(crate) fn without_all(&self, is_left_out: impl Fn(u64) -> bool) -> Option<Vec<Self>> {
        let json = self.json()?;
        let events = events::split(&json).filter(|events| events.len() as u64 == self.count())?;
        let numbered: Vec<(u64, &[u8])> = (self.first()..).zip(events).filter(|(number, _)| !is_left_out(*number)).collect();
        let runs = numbered.chunk_by(|(number, _), (next, _)| number + 1 == *next);
        runs.map(|run| Self::of_json(run[0].0, &run.iter().map(|(_, event)| *event).collect::<Vec<_>>())).collect()
    }

    /// No events, before the number `first`: a request that only tells what was dropped.
    pub fn empty(first: u64) -> Self {
        Self::kept(first, 0, encoding::compress(b"[]").unwrap_or_default())
    }

    /// The body of a request, to be sent as `application/json` with its [`content_encoding`](crate::content_encoding): pieces one behind
    /// the other.
    pub fn body(&self, head: &Head<'_>) -> Vec<u8> {
        let mut body = encoding::beside(self.frame(), &opening(head, self.first()));
        body.extend_from_slice(self.frame());
        body.extend_from_slice(&encoding::beside(self.frame(), b"}"));
        body
    }

    /// What it holds, as the server's ingest takes it.
    ///
    /// # Errors
    /// Says which event can't be read, if it is one event.
    pub fn batch(&self, head: &Head<'_>) -> Result<Batch, DecodeError> {
        let unreadable =
            || DecodeError { message: "what was compressed can't be read".to_owned(), event_number: None, wrong_version: false };
        let mut json = opening(head, self.first());
        json.extend_from_slice(&self.json().ok_or_else(unreadable)?);
        json.push(b'}');
        Batch::from_json(&json)
    }

    /// Parcels whose numbers follow each other as one; none if one of them can't be read, or they are too long together.
    pub(crate) fn joined(parcels: &[Self]) -> Option<Self> {
        let mut json = vec![b'['];
        for parcel in parcels.iter().filter(|parcel| parcel.count() > 0) {
            let part = parcel.json().filter(|part| ((json.len() + part.len()) as u64) < LONGEST)?;
            // One list, for each of them is one.
            if json.len() > 1 {
                json.push(b',');
            }
            json.extend_from_slice(part.strip_prefix(b"[")?.strip_suffix(b"]")?);
        }
        json.push(b']');
        let count = parcels.iter().fold(0_u64, |sum, parcel| sum.saturating_add(parcel.count()));
        Some(Self::kept(parcels.first()?.first(), count, encoding::compress(&json)?))
    }

    /// Both halves of it, in the order of their numbers; `None` if it is one event, or can't be read.
    pub fn halve(&self) -> Option<(Self, Self)> {
        let json = self.json()?;
        let events: Vec<&RawValue> = serde_json::from_slice(&json).ok()?;
        let (before, behind) = events.split_at(events.len() / 2);
        Some((Self::of(self.first(), before)?, Self::of(self.first() + before.len() as u64, behind)?))
    }

    /// What stands before and behind the event of this number, and that one; `None` if it has none of this number, or can't
    /// be read.
    pub fn without(&self, number: u64) -> Option<(Option<Self>, Rejected, Option<Self>)> {
        let index = usize::try_from(number.checked_sub(self.first())?).ok()?;
        let json = self.json()?;
        let events: Vec<&RawValue> = serde_json::from_slice(&json).ok()?;
        let rejected = Known::of(events.get(index)?.get().as_bytes()).rejected();
        Some((Self::of(self.first(), &events[..index]), rejected, Self::of(number + 1, &events[index + 1..])))
    }

    /// Returns true if it is no list of as many events as it says: whoever reads it, nothing can be made of it.
    pub(crate) fn is_damaged(&self) -> bool {
        let json = self.json().unwrap_or_default();
        serde_json::from_slice::<Vec<&RawValue>>(&json).map_or(true, |events| events.len() as u64 != self.count())
    }

    pub(crate) fn json(&self) -> Option<Vec<u8>> {
        encoding::decompress(self.frame(), LONGEST)
    }
}

/// The JSON of a request up to its events.
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
    // Numbers and texts: nothing in it has no JSON.
    let mut json = serde_json::to_vec(&envelope).unwrap_or_default();
    json.pop();
    json.extend_from_slice(b",\"events\":");
    json
}
