//! A body as a packed batch, in one pass without a copy of its texts; what is rare is read a second time, as a whole.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use monitor_wire::{Batch, DecodeError, Dropped, Error, Event, ProcessId, RootId, VERSION, WorkerRef};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Ended, Packed, PackedEvent, Packing, PlainOutcome, Started};

/// Why a body was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is no batch.
    Decode(DecodeError),
    /// It has more events than are read.
    TooMany,
}

impl Packed {
    /// Reads a batch of at most `max_events` events.
    ///
    /// # Errors
    /// As [`Batch::from_json`], or if there are more events.
    pub(crate) fn from_json(body: &[u8], max_events: usize) -> Result<Self, Refused> {
        // Mostly all events are of the common kind; if not, each is looked at twice.
        for all_common in [true, false] {
            let too_many = Cell::new(false);
            let seed = Reading { too_many: &too_many, max_events, all_common };
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            if let Ok(Some(batch)) = seed.deserialize(&mut deserializer).and_then(|batch| deserializer.end().map(|()| batch)) {
                return Ok(batch);
            }
            if too_many.get() {
                return Err(Refused::TooMany);
            }
        }
        // Whatever is wrong, or only unusual, is read with care, which finds the words for what is wrong.
        if count_events(body) > max_events {
            return Err(Refused::TooMany);
        }
        Ok(Batch::from_json(body).map_err(Refused::Decode)?.into())
    }
}

/// A start or an end of the common kind, as far as its texts say; all else says what it lacks.
#[derive(Deserialize)]
struct Quick<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Text<'a>,
    root_id: Option<RootId>,
    id: Option<ProcessId>,
    time_us: Option<u64>,
    parent_id: Option<ProcessId>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    batch: Option<Text<'a>>,
    #[serde(borrow)]
    thread: Option<Text<'a>>,
    #[serde(borrow)]
    source: Option<QuickSource<'a>>,
    elapsed_ns: Option<u64>,
    #[serde(borrow)]
    outcome: Option<Text<'a>>,
    error: Option<Error>,
    #[serde(default, rename = "attachment")]
    _attachment: Explicit,
    #[serde(default, rename = "fields")]
    _fields: Empty<false>,
    #[serde(default, rename = "links")]
    _links: Empty<true>,
    timeout_ms: Option<u64>,
    #[serde(default, rename = "attempt")]
    _attempt: First,
    worker: Option<IgnoredAny>,
    native_id: Option<IgnoredAny>,
    exit_code: Option<IgnoredAny>,
    signal: Option<IgnoredAny>,
    reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct QuickSource<'a> {
    #[serde(borrow)]
    file: Text<'a>,
    line: u32,
}

/// A text as it stands in the body, which it does unless it has escapes.
struct Text<'a>(&'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(Text)
    }
}

/// Nothing but `explicit`; anything else is an error, and so read with care.
#[derive(Default)]
struct Explicit;

impl<'de> Deserialize<'de> for Explicit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match &*Cow::<str>::deserialize(deserializer)? {
            "explicit" => Ok(Self),
            _ => Err(de::Error::custom("not the common kind")),
        }
    }
}

/// Nothing but 1.
#[derive(Default)]
struct First;

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if u32::deserialize(deserializer)? == 1 { Ok(Self) } else { Err(de::Error::custom("not the common kind")) }
    }
}

/// A list without content, or else an object.
#[derive(Default)]
struct Empty<const LIST: bool>;

impl<'de, const LIST: bool> Deserialize<'de> for Empty<LIST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Nothing<const LIST: bool>;
        impl<'de, const LIST: bool> Visitor<'de> for Nothing<LIST> {
            type Value = Empty<LIST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nothing")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Empty<LIST>, A::Error> {
                match map.next_key::<IgnoredAny>()? {
                    None if !LIST => Ok(Empty),
                    _ => Err(de::Error::custom("not the common kind")),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Empty<LIST>, A::Error> {
                match seq.next_element::<IgnoredAny>()? {
                    None if LIST => Ok(Empty),
                    _ => Err(de::Error::custom("not the common kind")),
                }
            }
        }
        deserializer.deserialize_any(Nothing)
    }
}

/// Reads a batch at once; none if it has to be read with care.
struct Reading<'c> {
    too_many: &'c Cell<bool>,
    max_events: usize,
    /// Every event has to be of the common kind.
    all_common: bool,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Option<Packed>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Packed>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Option<Packed>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Packed>, A::Error> {
        let (mut version, mut worker, mut sequence, mut sent_us, mut dropped) = (None::<u32>, None, None::<u64>, None::<u64>, None);
        let (mut packing, mut lost) = (Packing::default(), false);
        let mut events = None;
        while let Some(Text(key)) = map.next_key()? {
            match key {
                "version" => version = Some(map.next_value()?),
                "worker" => worker = Some(map.next_value::<WorkerRef>()?),
                "sequence" => sequence = Some(map.next_value()?),
                "sent_us" => sent_us = Some(map.next_value()?),
                "dropped" => dropped = Some(map.next_value::<Vec<Dropped>>()?),
                "lost" => lost = map.next_value()?,
                "events" if events.is_none() => {
                    events = Some(map.next_value_seed(Events { packing: &mut packing, reading: &self })?);
                }
                "events" => return Err(de::Error::custom("read with care")),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let (Some(VERSION), Some(worker), Some(sequence), Some(_), Some(events)) = (version, worker, sequence, sent_us, events) else {
            return Ok(None);
        };
        if sequence == 0 || sequence.checked_add(events.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Ok(None);
        }
        Ok(Some(Packed { lost, ..packing.close(worker, sequence, dropped.unwrap_or_default(), events) }))
    }
}

struct Events<'p, 'c, 'de> {
    packing: &'p mut Packing<'de>,
    reading: &'p Reading<'c>,
}

impl<'de> DeserializeSeed<'de> for Events<'_, '_, 'de> {
    type Value = Vec<PackedEvent>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<PackedEvent>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Events<'_, '_, 'de> {
    type Value = Vec<PackedEvent>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<PackedEvent>, A::Error> {
        let mut events = Vec::new();
        loop {
            let event = if self.reading.all_common {
                seq.next_element::<Quick<'de>>()?.map(|quick| self.packing.quick(quick))
            } else {
                seq.next_element::<Either<'de>>()?.map(|either| match either {
                    Either::Quick(quick) => self.packing.quick(*quick),
                    Either::Whole(event) => Some(self.packing.event(*event)),
                })
            };
            let Some(event) = event else { return Ok(events) };
            if events.len() == self.reading.max_events {
                self.reading.too_many.set(true);
                return Err(de::Error::custom("too many events"));
            }
            events.push(event.ok_or_else(|| de::Error::custom("not of the common kind"))?);
        }
    }
}

/// What an event turned out to be.
enum Either<'a> {
    Quick(Box<Quick<'a>>),
    Whole(Box<Event>),
}

impl<'de> Deserialize<'de> for Either<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        if let Ok(quick) = serde_json::from_str::<Quick<'de>>(raw.get())
            && quick.is_common()
        {
            return Ok(Self::Quick(Box::new(quick)));
        }
        serde_json::from_str(raw.get()).map(Self::Whole).map_err(de::Error::custom)
    }
}

impl Quick<'_> {
    fn is_common(&self) -> bool {
        let is_known = self.root_id.is_some() && self.id.is_some() && self.time_us.is_some();
        let is_rare = self.timeout_ms.is_some()
            || self.worker.is_some()
            || self.native_id.is_some()
            || self.exit_code.is_some()
            || self.signal.is_some()
            || self.reason.is_some();
        is_known
            && !is_rare
            && match self.event_type.0 {
                "process-started" => self.kind.is_some() && self.name.is_some(),
                "process-ended" => self.outcome.as_ref().is_some_and(|outcome| PlainOutcome::of(outcome.0).is_some()),
                _ => false,
            }
    }
}

impl<'a> Packing<'a> {
    /// An event of the common kind; none if it is another.
    fn quick(&mut self, quick: Quick<'a>) -> Option<PackedEvent> {
        if !quick.is_common() {
            return None;
        }
        let root = self.root(quick.root_id?);
        let (id, time_us) = (quick.id?, quick.time_us?);
        if quick.event_type.0 == "process-ended" {
            let outcome = PlainOutcome::of(quick.outcome?.0)?;
            let error = self.error(quick.error);
            return Some(PackedEvent::Ended(Ended { root, error, outcome, id, time_us, elapsed_ns: quick.elapsed_ns }));
        }
        Some(PackedEvent::Started(Started {
            root,
            site: self.site(quick.name?.0, quick.kind?.0, quick.source.map(|source| (source.file.0, source.line))),
            thread: self.thread(quick.thread.map(|thread| thread.0)),
            mark: self.mark(quick.batch.map(|mark| mark.0)),
            id,
            parent_id: quick.parent_id,
            time_us,
        }))
    }
}

/// How many objects begin two levels deep: the batch's events, and the few reports of dropped ones. Counted before they are read
/// with care, for an event of a dozen bytes takes kilobytes then.
fn count_events(body: &[u8]) -> usize {
    let (mut depth, mut count) = (0_usize, 0);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => {
                count += usize::from(depth == 2 && *byte == b'{');
                depth += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    count
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_before_they_are_read() {
        for (body, expected) in [
            (r#"{"events": [{"a": [{}, {"b": {}}]}, {}], "dropped": [{}]}"#, 3),
            (r#"{"events": [{"name": "}],\"{\\"}, {"x": "[{"}]}"#, 2),
            (r#"{"worker": {"x": [{}]}, "events": []}"#, 0),
            (r#"{"events": [{}"#, 1),
            (r#"{"events": [{"#, 1),
            (r#"{"events": ["\"#, 0),
            ("]]]}}}{[{", 1),
            ("", 0),
        ] {
            assert_eq!(count_events(body.as_bytes()), expected, "{body}");
        }
    }
}
