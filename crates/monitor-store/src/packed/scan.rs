//! Decodes a body of the usual form in one pass without copying its texts. Decoding with serde takes about three times as long. Single
//! unusual events are decoded by serde. A batch that is unusual or invalid as a whole is left to [`monitor_wire::Batch`], which also
//! describes errors. Every body that is accepted here is accepted there as well.

mod json;

use monitor_wire::{
    Dropped, Event, Fields, Kind, Outcome, ProcessEnded, ProcessId, ProcessQueued, ProcessStarted, ProcessUpdated, RootId, Source, VERSION,
    WorkerRef,
};

use self::json::Scan;
use super::{Ended, Ending, EndingKey, Packed, PackedEvent, Packing, PlainOutcome, Started};

/// Decodes a batch. Returns `None` if it needs the full decoder.
pub(super) fn batch(body: &[u8], max_events: usize) -> Option<Packed> {
    let mut scan = Scan { text: std::str::from_utf8(body).ok()?, at: 0 };
    let (mut version, mut worker, mut sequence, mut sent_us, mut dropped, mut events) = (None, None, None, None, None, None);
    let mut packing = Packing::default();
    let mut is_first = true;
    while let Some(key) = scan.key(&mut is_first)? {
        match key {
            "version" if version.is_none() => version = Some(scan.number()?),
            "worker" if worker.is_none() => worker = Some(serde_json::from_str::<WorkerRef>(scan.value()?).ok()?),
            "sequence" if sequence.is_none() => sequence = Some(scan.number()?),
            "sent_us" if sent_us.is_none() => sent_us = Some(scan.number()?),
            "dropped" if dropped.is_none() => dropped = Some(serde_json::from_str::<Vec<Dropped>>(scan.value()?).ok()?),
            "events" if events.is_none() => events = Some(scan.events(&mut packing, max_events)?),
            _ => return None,
        }
    }
    scan.skip_space();
    let (version, worker, sequence, sent_us, events) = (version?, worker?, sequence?, sent_us?, events?);
    let is_usual = scan.at == body.len() && version == u64::from(VERSION) && sequence > 0;
    is_usual.then(|| packing.close(worker, (sequence, sent_us), dropped.unwrap_or_default(), events))
}

/// Approximate size of a usual event in JSON, to reserve space for the list of events.
const BYTES_OF_AN_EVENT: usize = 160;

/// Values of a start, an end, a queueing or an update, borrowed from the body.
#[derive(Default)]
struct Seen<'a> {
    /// Set of keys that were read, as bits of [`key`].
    keys: u32,
    event_type: &'a str,
    root_id: &'a str,
    id: Option<ProcessId>,
    parent_id: Option<ProcessId>,
    time_us: u64,
    kind: &'a str,
    name: &'a str,
    batch: Option<&'a str>,
    thread: Option<&'a str>,
    source: Option<(&'a str, u32)>,
    elapsed_ns: Option<u64>,
    outcome: &'a str,
    error: Option<&'a str>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    reason: Option<&'a str>,
    attempt: Option<u32>,
    native_id: Option<&'a str>,
    /// JSON text of the worker.
    worker: Option<&'a str>,
    fields: Fields,
}

/// Bits for the keys of these events.
mod key {
    pub(super) const TYPE: u32 = 1;
    pub(super) const ROOT_ID: u32 = 1 << 1;
    pub(super) const ID: u32 = 1 << 2;
    pub(super) const TIME_US: u32 = 1 << 3;
    pub(super) const PARENT_ID: u32 = 1 << 4;
    pub(super) const KIND: u32 = 1 << 5;
    pub(super) const NAME: u32 = 1 << 6;
    pub(super) const BATCH: u32 = 1 << 7;
    pub(super) const THREAD: u32 = 1 << 8;
    pub(super) const SOURCE: u32 = 1 << 9;
    pub(super) const ELAPSED_NS: u32 = 1 << 10;
    pub(super) const OUTCOME: u32 = 1 << 11;
    pub(super) const ERROR: u32 = 1 << 12;
    pub(super) const ATTACHMENT: u32 = 1 << 13;
    pub(super) const FIELDS: u32 = 1 << 14;
    pub(super) const LINKS: u32 = 1 << 15;
    pub(super) const ATTEMPT: u32 = 1 << 16;
    pub(super) const EXIT_CODE: u32 = 1 << 17;
    pub(super) const SIGNAL: u32 = 1 << 18;
    pub(super) const REASON: u32 = 1 << 19;
    pub(super) const NATIVE_ID: u32 = 1 << 20;
    pub(super) const WORKER: u32 = 1 << 21;
    /// Keys that every event must have.
    pub(super) const NEEDED: u32 = TYPE | ROOT_ID | ID | TIME_US;
    /// Keys that every event may have.
    const ALL: u32 = NEEDED | LINKS | ATTEMPT | NATIVE_ID | WORKER;
    pub(super) const UPDATE: u32 = ALL | PARENT_ID | NAME | BATCH | FIELDS;
    pub(super) const QUEUEING: u32 = UPDATE | KIND;
    pub(super) const START: u32 = QUEUEING | ATTACHMENT | THREAD | SOURCE;
    pub(super) const END: u32 = ALL | ELAPSED_NS | OUTCOME | ERROR | EXIT_CODE | SIGNAL | REASON;
}

impl<'a> Scan<'a> {
    fn events(&mut self, packing: &mut Packing<'a>, max_events: usize) -> Option<Vec<PackedEvent>> {
        self.eat(b'[')?;
        let about = (self.text.len() - self.at) / BYTES_OF_AN_EVENT;
        let mut events = Vec::with_capacity(about.min(max_events));
        if self.eat(b']').is_some() {
            return Some(events);
        }
        loop {
            if events.len() == max_events {
                return None;
            }
            let begin = self.at;
            let event = if let Some(event) = self.event(packing) {
                event
            } else {
                self.at = begin;
                packing.event(serde_json::from_str(self.value()?).ok()?)
            };
            events.push(event);
            if self.eat(b']').is_some() {
                return Some(events);
            }
            self.eat(b',')?;
        }
    }

    /// Reads an event of these types. Returns `None` for other events.
    fn event(&mut self, packing: &mut Packing<'a>) -> Option<PackedEvent> {
        let mut seen = Seen::default();
        let mut is_first = true;
        while let Some(name) = self.key(&mut is_first)? {
            let key = self.read(name, &mut seen)?;
            if seen.keys & key != 0 {
                return None;
            }
            seen.keys |= key;
        }
        seen.pack(packing)
    }

    /// Reads the value of a key into `seen`. Returns the bit of the key, or `None` if the key is unknown or the value is unusual.
    fn read(&mut self, name: &str, seen: &mut Seen<'a>) -> Option<u32> {
        Some(match name {
            "type" => {
                seen.event_type = self.string()?;
                key::TYPE
            }
            "root_id" => {
                seen.root_id = self.string()?;
                key::ROOT_ID
            }
            "id" => {
                seen.id = Some(self.string()?.parse().ok()?);
                key::ID
            }
            "time_us" => {
                seen.time_us = self.number()?;
                key::TIME_US
            }
            "parent_id" => {
                seen.parent_id = self.or_null(|scan| scan.string()?.parse().ok())?;
                key::PARENT_ID
            }
            "kind" => {
                seen.kind = self.string()?;
                key::KIND
            }
            "name" => {
                seen.name = self.string()?;
                key::NAME
            }
            "batch" => {
                seen.batch = self.or_null(Self::string)?;
                key::BATCH
            }
            "thread" => {
                seen.thread = self.or_null(Self::string)?;
                key::THREAD
            }
            "source" => {
                seen.source = self.or_null(Self::source)?;
                key::SOURCE
            }
            "elapsed_ns" => {
                seen.elapsed_ns = self.or_null(Self::number)?;
                key::ELAPSED_NS
            }
            "outcome" => {
                seen.outcome = self.string()?;
                key::OUTCOME
            }
            "error" => {
                seen.error = self.or_null(Self::value)?;
                key::ERROR
            }
            "exit_code" => {
                seen.exit_code = self.or_null(Self::small)?;
                key::EXIT_CODE
            }
            "signal" => {
                seen.signal = self.or_null(Self::small)?;
                key::SIGNAL
            }
            "reason" => {
                seen.reason = self.or_null(Self::string)?;
                key::REASON
            }
            "attachment" => {
                self.eat_word("\"explicit\"")?;
                key::ATTACHMENT
            }
            "fields" => {
                seen.fields = self.fields()?;
                key::FIELDS
            }
            "native_id" => {
                seen.native_id = self.or_null(Self::string)?;
                key::NATIVE_ID
            }
            "worker" => {
                seen.worker = self.or_null(Self::value)?;
                key::WORKER
            }
            "links" => {
                self.eat(b'[')?;
                self.eat(b']')?;
                key::LINKS
            }
            "attempt" => {
                seen.attempt = Some(u32::try_from(self.number()?).ok()?);
                key::ATTEMPT
            }
            _ => return None,
        })
    }

    /// Reads fields whose values are strings, whole numbers, `true`, `false` or `null`.
    fn fields(&mut self) -> Option<Fields> {
        let (mut fields, mut is_first) = (Fields::new(), true);
        while let Some(key) = self.key(&mut is_first)? {
            self.skip_space();
            let value = match self.peek() {
                b'"' => serde_json::Value::String(self.text()?),
                b't' => self.eat_word("true").map(|()| true.into())?,
                b'f' => self.eat_word("false").map(|()| false.into())?,
                b'n' => self.eat_word("null").map(|()| serde_json::Value::Null)?,
                _ => self.number()?.into(),
            };
            fields.insert(key.to_owned(), value);
        }
        Some(fields)
    }

    fn source(&mut self) -> Option<(&'a str, u32)> {
        let (mut file, mut line, mut is_first) = (None, None, true);
        while let Some(key) = self.key(&mut is_first)? {
            match key {
                "file" if file.is_none() => file = Some(self.string()?),
                "line" if line.is_none() => line = Some(u32::try_from(self.number()?).ok()?),
                _ => return None,
            }
        }
        file.zip(line)
    }
}

impl<'a> Seen<'a> {
    fn has(&self, keys: u32) -> bool {
        self.keys & keys == keys
    }

    fn pack(self, packing: &mut Packing<'a>) -> Option<PackedEvent> {
        if !self.has(key::NEEDED) {
            return None;
        }
        let (id, time_us) = (self.id?, self.time_us);
        let is_plain =
            self.native_id.is_none() && self.worker.is_none() && self.fields.is_empty() && self.attempt.is_none_or(|attempt| attempt == 1);
        match self.event_type {
            "process-started" if is_plain && self.has(key::KIND | key::NAME) && self.keys & !key::START == 0 => {
                let root = packing.root_named(self.root_id)?;
                Some(PackedEvent::Started(Started {
                    root,
                    site: packing.site(self.name, self.kind, self.source),
                    thread: packing.thread(self.thread),
                    mark: packing.mark(self.batch),
                    id,
                    parent_id: self.parent_id,
                    time_us,
                }))
            }
            "process-ended" if is_plain && self.has(key::OUTCOME) && self.keys & !key::END == 0 => {
                let outcome = PlainOutcome::of(self.outcome)?;
                let root = packing.root_named(self.root_id)?;
                let ending = packing.ending_of((self.error, self.exit_code, self.signal, self.reason))?;
                Some(PackedEvent::Ended(Ended { root, ending, outcome, id, time_us, elapsed_ns: self.elapsed_ns }))
            }
            _ => self.event(id, packing).map(|event| PackedEvent::Other(Box::new(event))),
        }
    }

    /// Creates the full event for values that can't be packed.
    fn event(self, id: ProcessId, packing: &mut Packing<'a>) -> Option<Event> {
        let Self { keys, time_us, parent_id, elapsed_ns, exit_code, signal, .. } = self;
        let has = |needed: u32, allowed: u32| keys & needed == needed && keys & !allowed == 0;
        let root_id = self.root_id.parse::<RootId>().ok()?;
        let attempt = self.attempt.unwrap_or(1);
        let worker = self.worker.map(|worker| packing.worker(worker)).transpose().ok()?;
        let text = |text: Option<&str>| text.map(str::to_owned);
        let (batch, native_id, kind) = (text(self.batch), text(self.native_id), Kind::from(self.kind));
        Some(match self.event_type {
            "process-queued" if has(key::KIND | key::NAME, key::QUEUEING) => Event::ProcessQueued(ProcessQueued {
                root_id,
                id,
                time_us,
                parent_id,
                kind,
                name: self.name.to_owned(),
                batch,
                fields: self.fields,
                attempt,
                worker,
                native_id,
                links: Vec::new(),
            }),
            "process-started" if has(key::KIND | key::NAME, key::START) => Event::ProcessStarted(ProcessStarted {
                parent_id,
                batch,
                thread: text(self.thread),
                source: self.source.map(|(file, line)| Source { file: file.to_owned(), line }),
                fields: self.fields,
                attempt,
                worker,
                native_id,
                ..ProcessStarted::new(root_id, id, time_us, kind, self.name.to_owned())
            }),
            "process-updated" if has(0, key::UPDATE) => Event::ProcessUpdated(ProcessUpdated {
                root_id,
                id,
                time_us,
                parent_id,
                name: (keys & key::NAME != 0).then(|| self.name.to_owned()),
                batch,
                fields: self.fields,
                attempt,
                worker,
                native_id,
                links: Vec::new(),
            }),
            "process-ended" if has(key::OUTCOME, key::END) => Event::ProcessEnded(ProcessEnded {
                elapsed_ns,
                error: self.error.map(serde_json::from_str).transpose().ok()?,
                exit_code,
                signal,
                reason: text(self.reason),
                attempt,
                worker,
                native_id,
                ..ProcessEnded::new(root_id, id, time_us, Outcome::from(self.outcome))
            }),
            _ => return None,
        })
    }
}

impl<'a> Packing<'a> {
    /// Returns the index of a root from the text of its id. Most events have the same root as the event before.
    fn root_named(&mut self, text: &'a str) -> Option<super::Place> {
        if let Some((last, place)) = self.last_root_text
            && last == text
        {
            return Some(place);
        }
        let place = self.root(text.parse::<RootId>().ok()?);
        self.last_root_text = Some((text, place));
        Some(place)
    }

    /// Returns the worker from its JSON text. Most events have the same worker as the event before.
    fn worker(&mut self, json: &'a str) -> serde_json::Result<WorkerRef> {
        if let Some((last, worker)) = &self.last_worker
            && *last == json
        {
            return Ok(worker.clone());
        }
        let worker: WorkerRef = serde_json::from_str(json)?;
        self.last_worker = Some((json, worker.clone()));
        Ok(worker)
    }

    /// Returns the index of the values of an end apart from its outcome.
    fn ending_of(&mut self, key: EndingKey<'a>) -> Option<super::Place> {
        if key == (None, None, None, None) {
            return Some(super::NOWHERE);
        }
        if let Some(place) = self.endings.get(&key) {
            return Some(*place);
        }
        let (error, exit_code, signal, reason) = key;
        let error = error.map(serde_json::from_str).transpose().ok()?;
        let place = self.ending(Ending { error, exit_code, signal, reason: reason.map(str::to_owned) });
        self.endings.insert(key, place);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of queue tasks take the fast path, too, without serde.
    #[test]
    fn queueings_updates_starts_and_ends_of_tasks_are_read_in_one_pass() {
        let common = r#""root_id":"0199a3ce929d0e0e47360199a3ce929d","id":"a3ce929d0e0e4736","time_us":5,"native_id":"q-1""#;
        let worker = r#""worker":{"id":"ce1e0000000000000000000000000007","hostname":"q\"3","pid":7,"program":"celery"}"#;
        for text in [
            format!(r#"{{"type":"process-queued",{common},"parent_id":null,"kind":"task","name":"n","fields":{{"args":"[1, \"a\"]"}}}}"#),
            format!(r#"{{"type":"process-updated",{common},{worker},"fields":{{"at":7,"is_late":true,"eta":null}}}}"#),
            format!(r#"{{"type":"process-started",{common},{worker},"kind":"task","name":"n","attempt":2}}"#),
            format!(r#"{{"type":"process-ended",{common},{worker},"outcome":"failed","error":{{"kind":"error","message":"m"}}}}"#),
        ] {
            let read = Scan { text: &text, at: 0 }.event(&mut Packing::default());
            let Some(PackedEvent::Other(event)) = read else { panic!("{text}: {read:?}") };
            assert_eq!(*event, serde_json::from_str(&text).unwrap());
        }
    }
}
