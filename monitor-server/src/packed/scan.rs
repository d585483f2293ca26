//! Reads a body of the usual form in one pass, without a copy of its texts: serde looks at every event three times as long. Whatever
//! is unusual in an event is left to serde, event by event, and whatever is unusual about the batch to [`monitor_wire::Batch`],
//! which finds the words for what is wrong. So nothing is taken here that is not taken there.

use monitor_wire::{Dropped, ProcessId, RootId, VERSION, WorkerRef};

use super::{Ended, Ending, EndingKey, Packed, PackedEvent, Packing, PlainOutcome, Started};

/// The batch in a body; none if it has to be read with care.
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

/// A usual event is about so long.
const BYTES_OF_AN_EVENT: usize = 160;

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// A start or an end as it stands there.
#[derive(Default)]
struct Seen<'a> {
    /// A bit for each key.
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
}

/// The keys of starts and ends; by their places the bits of [`Seen::keys`].
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
    /// What both have.
    pub(super) const BOTH: u32 = TYPE | ROOT_ID | ID | TIME_US;
    pub(super) const RARE: u32 = ATTACHMENT | FIELDS | LINKS | ATTEMPT;
    pub(super) const START: u32 = BOTH | RARE | PARENT_ID | KIND | NAME | BATCH | THREAD | SOURCE;
    pub(super) const END: u32 = BOTH | LINKS | ATTEMPT | ELAPSED_NS | OUTCOME | ERROR | EXIT_CODE | SIGNAL | REASON;
}

impl<'a> Scan<'a> {
    fn peek(&self) -> u8 {
        // No token is zero.
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn eat(&mut self, token: u8) -> Option<()> {
        self.skip_space();
        let is_there = self.peek() == token;
        self.at += usize::from(is_there);
        is_there.then_some(())
    }

    fn eat_word(&mut self, word: &str) -> Option<()> {
        self.skip_space();
        let is_there = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if is_there { word.len() } else { 0 };
        is_there.then_some(())
    }

    /// The next key of an object, whose value comes next; none at its end.
    #[allow(clippy::option_option, reason = "the outer one is for `?`: it stops reading")]
    fn key(&mut self, is_first: &mut bool) -> Option<Option<&'a str>> {
        if *is_first {
            self.eat(b'{')?;
        }
        if self.eat(b'}').is_some() {
            return Some(None);
        }
        if !std::mem::take(is_first) {
            self.eat(b',')?;
        }
        let key = self.string()?;
        self.eat(b':')?;
        Some(Some(key))
    }

    /// A text without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.eat(b'"')?;
        let begin = self.at;
        let bytes = &self.text.as_bytes()[begin..];
        let mut length = 0;
        for word in bytes.as_chunks::<8>().0 {
            let special = special(u64::from_le_bytes(*word));
            if special != 0 {
                length += special.trailing_zeros() as usize / 8;
                return self.close(begin, length);
            }
            length += 8;
        }
        length += bytes[length..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        self.close(begin, length)
    }

    fn close(&mut self, begin: usize, length: usize) -> Option<&'a str> {
        let end = begin + length;
        self.at = end + 1;
        (self.text.as_bytes()[end] == b'"').then(|| &self.text[begin..end])
    }

    /// A whole number, small enough that no sum of digits overflows.
    fn number(&mut self) -> Option<u64> {
        self.skip_space();
        let digits = self.text.as_bytes()[self.at..].iter().take(19).take_while(|byte| byte.is_ascii_digit());
        let (number, length) = digits.fold((0_u64, 0), |(number, length), digit| (10 * number + u64::from(digit - b'0'), length + 1));
        if !(1..19).contains(&length) || (length > 1 && self.peek() == b'0') {
            return None;
        }
        self.at += length;
        Some(number)
    }

    /// The outer one: whether it can be read; the inner one: whether it is there.
    #[allow(clippy::option_option, reason = "two different questions")]
    fn or_null<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        self.skip_space();
        if self.peek() == b'n' { self.eat_word("null").map(|()| None) } else { read(self).map(Some) }
    }

    /// The text of a value. It is as long as its brackets say; whoever reads it finds out whether it is JSON.
    fn value(&mut self) -> Option<&'a str> {
        self.skip_space();
        let (begin, bytes) = (self.at, self.text.as_bytes());
        let mut depth = 0_usize;
        loop {
            match *bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    while *bytes.get(self.at)? != b'"' {
                        self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
                    }
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b'}' | b']' if depth == 0 => return Some(&self.text[begin..self.at]),
                _ => {}
            }
            self.at += 1;
            if depth == 0 && matches!(bytes[self.at - 1], b'"' | b'}' | b']') {
                return Some(&self.text[begin..self.at]);
            }
        }
    }

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

    /// A start or an end of the common kind; none if it is another.
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

    /// Reads the value of a key, which is the common one.
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
                self.eat(b'{')?;
                self.eat(b'}')?;
                key::FIELDS
            }
            "links" => {
                self.eat(b'[')?;
                self.eat(b']')?;
                key::LINKS
            }
            "attempt" => {
                (self.number()? == 1).then_some(())?;
                key::ATTEMPT
            }
            _ => return None,
        })
    }

    /// An exit code or a signal; those below zero are unusual.
    fn small(&mut self) -> Option<i32> {
        i32::try_from(self.number()?).ok()
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
        if !self.has(key::BOTH) {
            return None;
        }
        let (id, time_us) = (self.id?, self.time_us);
        match self.event_type {
            "process-started" if self.has(key::KIND | key::NAME) && self.keys & !key::START == 0 => {
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
            "process-ended" if self.has(key::OUTCOME) && self.keys & !key::END == 0 => {
                let outcome = PlainOutcome::of(self.outcome)?;
                let root = packing.root_named(self.root_id)?;
                let ending = packing.ending_of((self.error, self.exit_code, self.signal, self.reason))?;
                Some(PackedEvent::Ended(Ended { root, ending, outcome, id, time_us, elapsed_ns: self.elapsed_ns }))
            }
            _ => None,
        }
    }
}

impl<'a> Packing<'a> {
    /// The place of a root by its id as it stands in the body: mostly that of the event before.
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

    /// The place of what an end says beside its outcome.
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

/// The top bits of bytes that end a text or its simple part: quotes, backslashes, controls. Above the first such byte there may be more.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let below = |word: u64, bound: u64| word.wrapping_sub(bound * ONES) & !word & TOPS;
    let is = |byte: u8| below(word ^ (u64::from(byte) * ONES), 1);
    is(b'"') | is(b'\\') | below(word, 0x20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_it_ends_wherever_that_is() {
        for length in 0..40 {
            for (end, is_text) in [("\"", true), ("\\\"", false), ("\n\"", false), ("", false)] {
                for filler in ['a', '\u{7f}', 'é', '订', '\u{1f600}'] {
                    let text = format!("\"{}", filler.to_string().repeat(length));
                    let mut scan = Scan { text: &format!("{text}{end},{:20}", ""), at: 0 };
                    let expected = is_text.then(|| text[1..].to_owned());
                    assert_eq!(scan.string().map(str::to_owned), expected, "{:?}", scan.text);
                    assert!(!is_text || scan.eat(b',').is_some());
                }
            }
        }
    }

    #[test]
    fn numbers_are_whole_and_fit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7 ", Some(7)),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("1000000000000000000", None),
            ("18446744073709551616", None),
            ("07", None),
            ("-1", None),
            ("", None),
            ("\"7\"", None),
        ] {
            assert_eq!(Scan { text, at: 0 }.number(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_value_is_as_long_as_its_brackets_say() {
        for (text, expected) in [
            (r#"{"a":[1,"}\"]"]},"#, Some(r#"{"a":[1,"}\"]"]}"#)),
            ("12,", Some("12")),
            (r#""a\\","b""#, Some(r#""a\\""#)),
            ("null}", Some("null")),
            (r#"{"a":1"#, None),
            (r#""a\"#, None),
            ("", None),
        ] {
            assert_eq!(Scan { text, at: 0 }.value(), expected, "{text:?}");
        }
    }
}
