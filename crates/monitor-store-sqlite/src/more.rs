//! A compact encoding of all facts of a process, for rows whose columns can't represent them.
//!
//! Most values occur several times in the facts and in the row: the same worker reports the same name and kind at about the same time. So
//! texts and workers are numbered by their first use, after those of the row's columns. Times are relative to the row's time, and the number
//! of an event to that of the event before. Data that only few processes have (folds, progress, links, attempts, contradicting ends) follows
//! as JSON, and then the facts of a queue task. The result is compressed if that makes it smaller.

mod task;

use std::sync::Arc;

use monitor_state::{Definition, End, ProcessFacts, Stamp, Told};
use monitor_store::packed::compact::{
    Malformed, Reader, bare, bytes, compress, compress_little, decompress, decompress_bare, number, signed,
};
use monitor_wire::{Attachment, Fields, Kind, Outcome, ProcessId, Source, WorkerId};

use super::dictionary::Site;

/// First byte of facts that are not compressed.
const PLAIN: u8 = 3;
/// First byte of facts that are compressed.
const COMPRESSED: u8 = 4;
/// First byte of the facts of schemas up to 26, which have the whole number of each event.
const FORMER: u8 = 1;
/// First byte of such facts that are compressed. Their uncompressed length follows, and then the compressed bytes, beginning with
/// [`FORMER`].
const FORMER_COMPRESSED: u8 = 2;

/// Facts with fewer bytes are not compressed, because it would save little.
const COMPRESSED_FROM_BYTES: usize = 112;
/// Facts with fewer bytes are compressed with a faster method, which saves a little less.
const LITTLE_BYTES: usize = 1 << 10;
/// Maximum number of bytes of facts. The limit for a process's fields keeps them below it.
const MAX_BYTES: usize = 1 << 30;

const QUEUED: u64 = 1;
const STARTED: u64 = 1 << 1;
const ENDED: u64 = 1 << 2;
const SIGN: u64 = 1 << 3;
const PARENT: u64 = 1 << 4;
const NAME: u64 = 1 << 5;
const BATCH: u64 = 1 << 6;
const FIELDS: u64 = 1 << 7;
const NATIVE_ID: u64 = 1 << 8;
const REST: u64 = 1 << 9;
/// The native id is a UUID, so it has 16 bytes.
const NATIVE_UUID: u64 = 1 << 10;
const TASK: u64 = 1 << 11;

/// Flags for the parts of a definition.
mod definition {
    pub(super) const ROWS_PARENT: u8 = 1;
    pub(super) const OTHER_PARENT: u8 = 1 << 1;
    pub(super) const BATCH: u8 = 1 << 2;
    pub(super) const THREAD: u8 = 1 << 3;
    pub(super) const SOURCE: u8 = 1 << 4;
    pub(super) const FIELDS: u8 = 1 << 5;
    pub(super) const TIMEOUT: u8 = 1 << 6;
    pub(super) const ATTEMPTS: u8 = 1 << 7;
}

/// Flags for the parts of an end.
mod end {
    pub(super) const ELAPSED: u8 = 1;
    pub(super) const ERROR: u8 = 1 << 1;
    pub(super) const EXIT_CODE: u8 = 1 << 2;
    pub(super) const SIGNAL: u8 = 1 << 3;
    pub(super) const REASON: u8 = 1 << 4;
    pub(super) const RETRY: u8 = 1 << 5;
}

/// Values in the columns of a row, which the facts refer to by number.
pub(super) struct Seeds {
    at_us: u64,
    parent: Option<ProcessId>,
    workers: Vec<WorkerId>,
    texts: Vec<Arc<str>>,
}

/// Texts that nearly all facts have.
const WORDS: [&str; 4] = ["explicit", "succeeded", "failed", "cancelled"];

impl Seeds {
    /// `workers` are those of the origin, and `texts` are the thread and the batch mark.
    pub(super) fn new(
        at_us: u64,
        parent: Option<ProcessId>,
        workers: Vec<WorkerId>,
        site: Option<&Site>,
        texts: [Option<Arc<str>>; 2],
    ) -> Self {
        let mut all = Vec::with_capacity(5);
        if let Some(site) = site {
            all.extend([site.name.clone(), Arc::from(site.kind.as_str())]);
            all.extend(site.source.as_ref().map(|source| Arc::from(source.file.as_str())));
        }
        all.extend(texts.into_iter().flatten());
        Self { at_us, parent, workers, texts: all }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        WORDS.into_iter().chain(self.texts.iter().map(|text| &**text))
    }
}

/// Encodes all facts. [`read`] needs the same seeds to decode them.
pub(super) fn write(facts: &ProcessFacts, seeds: &Seeds) -> Vec<u8> {
    let mut to = Writer { to: vec![PLAIN], seeds, texts: Vec::new(), workers: Vec::new(), events: Vec::new(), number: 0 };
    to.facts(facts);
    compressed(&to.to[1..]).unwrap_or(to.to)
}

/// Returns the compressed bytes; `None` if they are not smaller.
fn compressed(plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() < COMPRESSED_FROM_BYTES {
        return None;
    }
    let compress = if plain.len() < LITTLE_BYTES { compress_little } else { compress };
    Some([&[COMPRESSED], bare(&compress(plain)?)].concat())
}

struct Writer<'a> {
    to: Vec<u8>,
    seeds: &'a Seeds,
    /// Texts that are not in the seeds.
    texts: Vec<&'a str>,
    /// Workers that are not in the seeds.
    workers: Vec<WorkerId>,
    /// Events that the facts so far are from.
    events: Vec<Heard>,
    /// Number of the last event.
    number: u64,
}

/// The event that a fact is from: attempt, stamp, and the worker that it is about.
type Heard = (u32, Stamp, WorkerId);

/// Returns `flag` if there is a value, otherwise 0.
fn flag<T>(value: Option<&T>, flag: u64) -> u64 {
    if value.is_some() { flag } else { 0 }
}

impl<'a> Writer<'a> {
    fn facts(&mut self, facts: &'a ProcessFacts) {
        let ProcessFacts { attempt, queued, started, ended, sign, parent_id, name, batch, fields, native_id, task, .. } = facts;
        let rest = rest(facts);
        number(&mut self.to, (*attempt).into());
        let definitions = flag(queued.as_ref(), QUEUED) | flag(started.as_ref(), STARTED);
        let told = definitions | flag(ended.as_ref(), ENDED) | flag(sign.as_ref(), SIGN) | flag(parent_id.as_ref(), PARENT);
        let uuid = native_id.as_ref().and_then(|(_, id)| uuid(id));
        let native = flag(native_id.as_ref(), if uuid.is_some() { NATIVE_UUID } else { NATIVE_ID });
        let latest = flag(name.as_ref(), NAME) | flag(batch.as_ref(), BATCH) | native;
        let fielded = if fields.is_empty() { 0 } else { FIELDS };
        number(&mut self.to, told | latest | fielded | flag(rest.as_ref(), REST) | flag(task.as_ref(), TASK));
        for definition in [queued, started].into_iter().flatten() {
            self.told(definition);
            self.definition(&definition.what);
        }
        if let Some(ended) = ended {
            self.told(ended);
            self.end(&ended.what);
        }
        if let Some(sign) = sign {
            self.told(sign);
        }
        if let Some((stamp, parent)) = parent_id {
            self.stamp(*stamp);
            self.to.extend_from_slice(&parent.get().to_le_bytes());
        }
        for (stamp, text) in [name, batch].into_iter().flatten() {
            self.stamp(*stamp);
            self.text(text);
        }
        if let Some((stamp, id)) = native_id {
            self.stamp(*stamp);
            match uuid {
                Some(uuid) => self.to.extend_from_slice(&uuid.to_be_bytes()),
                None => self.text(id),
            }
        }
        if !fields.is_empty() {
            number(&mut self.to, fields.len() as u64);
            for (key, (stamp, value)) in fields {
                bytes(&mut self.to, key.as_bytes());
                self.stamp(*stamp);
                self.json(value);
            }
        }
        if let Some(rest) = rest {
            self.json(&rest);
        }
        if let Some(task) = task {
            self.task(task);
        }
    }

    fn told<T>(&mut self, told: &Told<T>) {
        self.events.push((told.attempt, told.stamp, told.worker));
        number(&mut self.to, told.attempt.into());
        self.stamp(told.stamp);
        self.worker(told.worker);
    }

    fn stamp(&mut self, stamp: Stamp) {
        signed(&mut self.to, stamp.time_us.wrapping_sub(self.seeds.at_us) as i64);
        self.worker(stamp.worker);
        signed(&mut self.to, stamp.number.wrapping_sub(self.number) as i64);
        self.number = stamp.number;
    }

    /// Writes the number of a known worker, or 0 and the id of another worker.
    fn worker(&mut self, worker: WorkerId) {
        if let Some(place) = self.seeds.workers.iter().chain(&self.workers).position(|known| *known == worker) {
            number(&mut self.to, place as u64 + 1);
            return;
        }
        self.to.push(0);
        self.to.extend_from_slice(&worker.get().to_be_bytes());
        self.workers.push(worker);
    }

    /// Writes the number of a known text, or 0 and another text.
    fn text(&mut self, text: &'a str) {
        let mut known = self.seeds.texts().chain(self.texts.iter().copied());
        if let Some(place) = known.position(|known| known == text) {
            number(&mut self.to, place as u64 + 1);
            return;
        }
        self.to.push(0);
        bytes(&mut self.to, text.as_bytes());
        self.texts.push(text);
    }

    fn json<T: serde::Serialize>(&mut self, value: &T) {
        bytes(&mut self.to, &serde_json::to_vec(value).expect("plain data with text keys is JSON"));
    }

    fn definition(&mut self, of: &'a Definition) {
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        let parent = match of.parent_id {
            None => 0,
            parent if parent == self.seeds.parent => definition::ROWS_PARENT,
            Some(_) => definition::OTHER_PARENT,
        };
        self.to.push(
            parent
                | flag(of.batch.is_some(), definition::BATCH)
                | flag(of.thread.is_some(), definition::THREAD)
                | flag(of.source.is_some(), definition::SOURCE)
                | flag(!of.fields.is_empty(), definition::FIELDS)
                | flag(of.timeout_ms.is_some(), definition::TIMEOUT)
                | flag(of.attempts_of.is_some(), definition::ATTEMPTS),
        );
        if let (definition::OTHER_PARENT, Some(parent_id)) = (parent, of.parent_id) {
            self.to.extend_from_slice(&parent_id.get().to_le_bytes());
        }
        self.text(of.kind.as_str());
        self.text(&of.name);
        self.text(of.attachment.as_str());
        of.batch.iter().chain(&of.thread).for_each(|text| self.text(text));
        if let Some(source) = &of.source {
            self.text(&source.file);
            number(&mut self.to, source.line.into());
        }
        if !of.fields.is_empty() {
            self.json(&of.fields);
        }
        of.timeout_ms.iter().for_each(|timeout_ms| number(&mut self.to, *timeout_ms));
        of.attempts_of.iter().for_each(|attempts| number(&mut self.to, (*attempts).into()));
    }

    fn end(&mut self, of: &'a End) {
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        self.to.push(
            flag(of.elapsed_ns.is_some(), end::ELAPSED)
                | flag(of.error.is_some(), end::ERROR)
                | flag(of.exit_code.is_some(), end::EXIT_CODE)
                | flag(of.signal.is_some(), end::SIGNAL)
                | flag(of.reason.is_some(), end::REASON)
                | flag(of.retry.is_some(), end::RETRY),
        );
        self.text(of.outcome.as_str());
        of.elapsed_ns.iter().for_each(|elapsed_ns| number(&mut self.to, *elapsed_ns));
        of.error.iter().for_each(|error| self.json(error));
        of.exit_code.iter().chain(&of.signal).for_each(|code| signed(&mut self.to, (*code).into()));
        of.reason.iter().for_each(|reason| self.text(reason));
        of.retry.iter().for_each(|retry| self.json(retry));
    }
}

/// Number of a UUID that is written as usual: in lower case, with dashes.
fn uuid(id: &str) -> Option<u128> {
    let uuid = u128::from_str_radix(&id.replace('-', ""), 16).ok()?;
    (uuid_text(uuid) == id).then_some(uuid)
}

fn uuid_text(uuid: u128) -> String {
    let digits = format!("{uuid:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Returns the facts that only few processes have; `None` if this process has none of them.
fn rest(facts: &ProcessFacts) -> Option<ProcessFacts> {
    let ProcessFacts { progress, shards, other_ends, earlier, links, is_cut, .. } = facts;
    let has_lists = !shards.is_empty() || !other_ends.is_empty() || !earlier.is_empty() || !links.is_empty();
    let is_some = progress.is_some() || has_lists || *is_cut;
    is_some.then(|| ProcessFacts {
        progress: progress.clone(),
        shards: shards.clone(),
        other_ends: other_ends.clone(),
        earlier: earlier.clone(),
        links: links.clone(),
        is_cut: *is_cut,
        ..ProcessFacts::default()
    })
}

/// Decodes facts that [`write`] encoded. They are read from a file, so all of them are validated.
pub(super) fn read(more: &[u8], seeds: &Seeds) -> Result<ProcessFacts, Malformed> {
    let unknown = Malformed("facts are in a form that this build doesn't know");
    let plain;
    let (number, more) = match more.split_first() {
        Some((&PLAIN, more)) => (Some(0), more),
        Some((&COMPRESSED, more)) => {
            plain = decompress_bare(more, MAX_BYTES)?;
            (Some(0), &*plain)
        }
        Some((&FORMER, more)) => (None, more),
        Some((&FORMER_COMPRESSED, more)) => {
            let mut from = Reader::new(more);
            let bytes = usize::try_from(from.number()?).ok().filter(|bytes| *bytes <= MAX_BYTES).ok_or(Malformed("facts are too long"))?;
            plain = decompress(from.rest(), bytes)?;
            (None, plain.strip_prefix(&[FORMER]).ok_or(unknown)?)
        }
        _ => return Err(unknown),
    };
    let mut from = Reading { from: Reader::new(more), seeds, texts: Vec::new(), workers: Vec::new(), events: Vec::new(), number };
    let facts = from.facts()?;
    if from.from.is_empty() { Ok(facts) } else { Err(Malformed("facts end late")) }
}

struct Reading<'a> {
    from: Reader<'a>,
    seeds: &'a Seeds,
    texts: Vec<&'a str>,
    workers: Vec<WorkerId>,
    events: Vec<Heard>,
    /// Number of the last event; `None` in former facts, which have whole numbers.
    number: Option<u64>,
}

impl Reading<'_> {
    fn facts(&mut self) -> Result<ProcessFacts, Malformed> {
        let attempt = self.small()?;
        let parts = self.from.number()?;
        let mut facts = ProcessFacts { attempt, ..ProcessFacts::default() };
        if parts & QUEUED != 0 {
            facts.queued = Some(self.told(Self::definition)?);
        }
        if parts & STARTED != 0 {
            facts.started = Some(self.told(Self::definition)?);
        }
        if parts & ENDED != 0 {
            facts.ended = Some(self.told(Self::end)?);
        }
        if parts & SIGN != 0 {
            facts.sign = Some(self.told(|_| Ok(()))?);
        }
        if parts & PARENT != 0 {
            facts.parent_id = Some((self.stamp()?, self.from.process()?));
        }
        if parts & NAME != 0 {
            facts.name = Some((self.stamp()?, self.text()?));
        }
        if parts & BATCH != 0 {
            facts.batch = Some((self.stamp()?, self.text()?));
        }
        if parts & NATIVE_ID != 0 {
            facts.native_id = Some((self.stamp()?, self.text()?));
        }
        if parts & NATIVE_UUID != 0 {
            facts.native_id = Some((self.stamp()?, uuid_text(u128::from_be_bytes(self.from.array()?))));
        }
        if parts & FIELDS != 0 {
            for _ in 0..self.from.count()? {
                let key = self.from.text()?.to_owned();
                facts.fields.insert(key, (self.stamp()?, self.from.json()?));
            }
        }
        if parts & REST != 0 {
            let ProcessFacts { progress, shards, other_ends, earlier, links, task, is_cut, .. } = self.from.json()?;
            // Earlier builds wrote the facts of a task here.
            facts = ProcessFacts { progress, shards, other_ends, earlier, links, task, is_cut, ..facts };
        }
        if parts & TASK != 0 {
            facts.task = Some(Box::new(self.task()?));
        }
        Ok(facts)
    }

    fn told<T>(&mut self, what: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<Told<T>, Malformed> {
        let heard @ (attempt, stamp, worker) = (self.small()?, self.stamp()?, self.worker()?);
        self.events.push(heard);
        Ok(Told { attempt, stamp, worker, what: what(self)? })
    }

    fn stamp(&mut self) -> Result<Stamp, Malformed> {
        let time_us = self.seeds.at_us.wrapping_add(self.from.signed()?);
        let worker = self.worker()?;
        let number = match &mut self.number {
            Some(last) => {
                *last = last.wrapping_add(self.from.signed()?);
                *last
            }
            None => self.from.number()?,
        };
        Ok(Stamp { time_us, worker, number })
    }

    fn small(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.from.number()?).map_err(|_| Malformed("a number is too large"))
    }

    fn worker(&mut self) -> Result<WorkerId, Malformed> {
        let Some(place) = self.from.number()?.checked_sub(1) else {
            let worker = self.from.worker()?;
            self.workers.push(worker);
            return Ok(worker);
        };
        let mut known = self.seeds.workers.iter().chain(&self.workers);
        usize::try_from(place).ok().and_then(|place| known.nth(place)).copied().ok_or(Malformed("it names a worker that isn't there"))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let Some(place) = self.from.number()?.checked_sub(1) else {
            let text = self.from.text()?;
            self.texts.push(text);
            return Ok(text.to_owned());
        };
        let mut known = self.seeds.texts().chain(self.texts.iter().copied());
        let text = usize::try_from(place).ok().and_then(|place| known.nth(place));
        text.map(str::to_owned).ok_or(Malformed("it names a text that isn't there"))
    }

    fn definition(&mut self) -> Result<Definition, Malformed> {
        let parts = self.from.byte()?;
        let parent_id = if parts & definition::ROWS_PARENT != 0 {
            self.seeds.parent
        } else if parts & definition::OTHER_PARENT != 0 {
            Some(self.from.process()?)
        } else {
            None
        };
        let (kind, name, attachment) = (Kind::from(self.text()?), self.text()?, Attachment::from(self.text()?));
        let mut text = |part: u8| if parts & part == 0 { Ok(None) } else { self.text().map(Some) };
        let (batch, thread) = (text(definition::BATCH)?, text(definition::THREAD)?);
        let source = if parts & definition::SOURCE == 0 { None } else { Some(Source { file: self.text()?, line: self.small()? }) };
        let fields = if parts & definition::FIELDS == 0 { Fields::new() } else { self.from.json()? };
        let timeout_ms = if parts & definition::TIMEOUT == 0 { None } else { Some(self.from.number()?) };
        let attempts_of = if parts & definition::ATTEMPTS == 0 { None } else { Some(self.small()?) };
        Ok(Definition { parent_id, kind, name, batch, thread, source, attachment, fields, timeout_ms, attempts_of })
    }

    fn end(&mut self) -> Result<End, Malformed> {
        let parts = self.from.byte()?;
        let outcome = Outcome::from(self.text()?);
        let elapsed_ns = if parts & end::ELAPSED == 0 { None } else { Some(self.from.number()?) };
        let error = if parts & end::ERROR == 0 { None } else { Some(self.from.json()?) };
        let mut code = |part: u8| -> Result<Option<i32>, Malformed> {
            if parts & part == 0 {
                return Ok(None);
            }
            i32::try_from(self.from.signed()? as i64).map(Some).map_err(|_| Malformed("a number is too large"))
        };
        let (exit_code, signal) = (code(end::EXIT_CODE)?, code(end::SIGNAL)?);
        let reason = if parts & end::REASON == 0 { None } else { Some(self.text()?) };
        let retry = if parts & end::RETRY == 0 { None } else { Some(self.from.json()?) };
        Ok(End { elapsed_ns, outcome, error, exit_code, signal, reason, retry })
    }
}

#[cfg(test)]
mod tests {
    use monitor_state::ProcessEvent;
    use proptest::prelude::*;

    use super::*;
    use monitor_store::support::generate::event;
    use monitor_store::support::{process, worker};

    fn seeds() -> Seeds {
        let texts = [Some(Arc::from("load")), None];
        Seeds::new(5, Some(process(1)), vec![worker('A')], None, texts)
    }

    fn facts(events: &[(char, monitor_wire::Event)]) -> ProcessFacts {
        let mut facts = ProcessFacts::default();
        for (number, (letter, event)) in (1..).zip(events) {
            if let Some(about) = ProcessEvent::of(event) {
                facts.apply(number, worker(*letter), &about);
            }
        }
        facts
    }

    fn told() -> impl Strategy<Value = Vec<(char, monitor_wire::Event)>> {
        proptest::collection::vec((proptest::sample::select(&['A', 'B'][..]), event()), 0..8)
    }

    proptest! {
        #[test]
        fn written_facts_are_read_back(events in told()) {
            let facts = facts(&events);
            prop_assert_eq!(read(&write(&facts, &seeds()), &seeds()).unwrap(), facts);
        }

        #[test]
        fn damaged_facts_are_refused_or_differ(
            events in told(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = write(&facts(&events), &seeds());
            prop_assert!(read(&bytes[..cut.index(bytes.len())], &seeds()).is_err());
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let _ = read(&bytes, &seeds());
        }

        #[test]
        fn reading_any_bytes_ends(first in FORMER..=COMPRESSED, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[vec![first], bytes].concat(), &seeds());
        }

        #[test]
        fn long_texts_are_compressed_and_read_again(
            text in "[a-z ]{0,9}", times in 0..80_usize,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let facts = with_arguments(text.repeat(times));
            let mut bytes = write(&facts, &seeds());
            prop_assert!(bytes[0] == COMPRESSED || text.len() * times < 250, "{} bytes", bytes.len());
            prop_assert_eq!(read(&bytes, &seeds()).unwrap(), facts);
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let _ = read(&bytes, &seeds());
        }
    }

    fn with_arguments(args: String) -> ProcessFacts {
        let started = monitor_wire::ProcessStarted::new(monitor_store::support::root(1), process(1), 5, Kind::TASK, "send".to_owned());
        let fields = Fields::from([("args".to_owned(), args.into())]);
        facts(&[('A', monitor_wire::Event::ProcessStarted(monitor_wire::ProcessStarted { fields, ..started }))])
    }

    #[test]
    fn a_text_that_repeats_takes_little_room() {
        let length = |args: String| write(&with_arguments(args), &seeds()).len();
        let (long, empty) = (length("to the market ".repeat(30)), length(String::new()));
        assert!(long < empty + 60, "{long} bytes, and {empty} without the text");
    }

    #[test]
    fn facts_with_an_endless_length_are_refused() {
        let mut bytes = vec![FORMER_COMPRESSED];
        number(&mut bytes, u64::MAX);
        assert_eq!(read(&bytes, &seeds()).unwrap_err(), Malformed("facts are too long"));
    }
}
