//! What an event may hold. Texts that are longer are cut, and say by how much: a name or an error's words are no reason to lose an end.

use std::borrow::Cow;

use monitor_wire::{Error, Event, Fields, Source};

use super::{Packed, PackedEvent};

/// The most that an event's parts may hold, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A name, a batch mark, a thread, a file, an id of another system.
    pub name_bytes: usize,
    /// An error's words, each of its causes, a reason, what is logged.
    pub text_bytes: usize,
    /// All fields of an event, as JSON.
    pub fields_bytes: usize,
    /// All of it, once that is done; one that is larger is refused.
    pub event_bytes: usize,
}

impl Limits {
    /// Unless told otherwise.
    pub const DEFAULT: Self = Self { name_bytes: 4 << 10, text_bytes: 64 << 10, fields_bytes: 64 << 10, event_bytes: 1 << 20 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Stands among fields for those that were left out: how many.
pub const CUT_FIELDS: &str = "monitor.cut";

impl Packed {
    /// Cuts what is too long. What is the same before is the same after.
    ///
    /// # Errors
    /// Number and size of the first event that is too large all the same.
    pub(crate) fn cut(&mut self, limits: &Limits) -> Result<(), (u64, usize)> {
        for site in &mut self.sites {
            cut_box(&mut site.name, limits.name_bytes);
            site.source.iter_mut().for_each(|source| cut_source(source, limits));
        }
        self.threads.iter_mut().chain(&mut self.marks).for_each(|text| cut_box(text, limits.name_bytes));
        self.errors.iter_mut().for_each(|error| cut_error(error, limits));
        for (number, event) in (self.sequence..).zip(&mut self.events) {
            let PackedEvent::Other(event) = event else { continue };
            cut_event(event, limits);
            let size = super::size::of_event(event);
            if size > limits.event_bytes {
                return Err((number, size));
            }
        }
        Ok(())
    }
}

fn cut_each<'a>(texts: impl IntoIterator<Item = &'a mut String>, most: usize) {
    for text in texts {
        cut_text(text, most);
    }
}

fn cut_event(event: &mut Event, limits: &Limits) {
    let Limits { name_bytes, text_bytes, .. } = *limits;
    macro_rules! cut {
        ($($text:expr => $most:expr),+) => {{ $( cut_each($text, $most); )+ }};
    }
    match event {
        Event::ProcessQueued(of) => {
            cut!([&mut of.name] => name_bytes, &mut of.batch => name_bytes, &mut of.native_id => name_bytes);
            cut_fields(&mut of.fields, limits);
        }
        Event::ProcessStarted(of) => {
            cut!([&mut of.name] => name_bytes, &mut of.batch => name_bytes, &mut of.thread => name_bytes, &mut of.native_id => name_bytes);
            of.source.iter_mut().for_each(|source| cut_source(source, limits));
            cut_fields(&mut of.fields, limits);
        }
        Event::ProcessUpdated(of) => {
            cut!(&mut of.name => name_bytes, &mut of.batch => name_bytes, &mut of.native_id => name_bytes);
            cut_fields(&mut of.fields, limits);
        }
        Event::ProcessProgressed(of) => cut!(&mut of.unit => name_bytes, &mut of.native_id => name_bytes),
        Event::ProcessLogged(of) => {
            cut!([&mut of.message] => text_bytes, &mut of.target => name_bytes, &mut of.native_id => name_bytes);
            cut_fields(&mut of.fields, limits);
        }
        // Its name is part of its id.
        Event::ProcessFolded(of) => cut!(&mut of.native_id => name_bytes),
        Event::ProcessEnded(of) => {
            cut!(&mut of.reason => text_bytes, &mut of.native_id => name_bytes);
            of.error.iter_mut().for_each(|error| cut_error(error, limits));
        }
        Event::WorkerOnline(_)
        | Event::WorkerHeartbeat(_)
        | Event::WorkerOffline(_)
        | Event::WorkerLost(_)
        | Event::WorkerFound(_)
        | Event::ProcessOverdue(_)
        | Event::Unknown(_) => {}
    }
}

fn cut_error(error: &mut Error, limits: &Limits) {
    cut_text(&mut error.message, limits.text_bytes);
    error.type_name.iter_mut().for_each(|text| cut_text(text, limits.name_bytes));
    error.source.iter_mut().for_each(|source| cut_source(source, limits));
    // The chain as a whole: nearest causes first.
    let (mut left, mut kept) = (limits.text_bytes, 0);
    for cause in &mut error.chain {
        if left == 0 {
            break;
        }
        cut_text(cause, left);
        left = left.saturating_sub(cause.len());
        kept += 1;
    }
    let gone = error.chain.len() - kept;
    if gone > 0 {
        error.chain.truncate(kept);
        error.chain.push(format!("[{gone} more causes]"));
    }
}

fn cut_source(source: &mut Source, limits: &Limits) {
    cut_text(&mut source.file, limits.name_bytes);
}

/// Keeps as many fields as there is room for, by their names, and says how many others there were.
fn cut_fields(fields: &mut Fields, limits: &Limits) {
    let (count, mut bytes) = (fields.len(), 0);
    fields.retain(|key, value| {
        bytes += key.len() + super::size::of_value(value);
        bytes <= limits.fields_bytes
    });
    let gone = count - fields.len();
    if gone > 0 {
        fields.insert(CUT_FIELDS.to_owned(), gone.into());
    }
}

fn cut_box(text: &mut Box<str>, most: usize) {
    if let Cow::Owned(cut) = shortened(text, most) {
        *text = cut.into();
    }
}

fn cut_text(text: &mut String, most: usize) {
    if let Cow::Owned(cut) = shortened(text, most) {
        *text = cut;
    }
}

/// Its first bytes, and how many more there were.
fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let kept = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    Cow::Owned(format!("{}… [{} bytes cut]", &text[..kept], text.len() - kept))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LIMITS: Limits = Limits { name_bytes: 10, text_bytes: 20, fields_bytes: 30, event_bytes: 1_000 };

    fn cut(event: &Value) -> Result<Event, (u64, usize)> {
        let batch = json!({
            "version": 1, "worker": {"id": "5b0c0000000000000000000000000001", "hostname": "h", "pid": 1, "program": "p"},
            "sequence": 7, "sent_us": 1, "events": [event],
        });
        let mut packed = Packed::from_json(batch.to_string().as_bytes(), 10).unwrap();
        packed.cut(&LIMITS).map(|()| packed.event(0))
    }

    fn of(more: &Value) -> Value {
        let mut event = json!({"root_id": "00000000000000000000000000000001", "id": "0000000000000001", "time_us": 1});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_by_how_much() {
        let long = "根".repeat(100);
        for (more, pointer, expected) in [
            (json!({"type": "process-started", "kind": "root", "name": "exactly 10"}), "/name", json!("exactly 10")),
            (json!({"type": "process-started", "kind": "root", "name": long}), "/name", json!("根根根… [291 bytes cut]")),
            (json!({"type": "process-started", "kind": "root", "name": long, "attempt": 2}), "/name", json!("根根根… [291 bytes cut]")),
            (json!({"type": "process-started", "kind": "root", "name": "a", "batch": long}), "/batch", json!("根根根… [291 bytes cut]")),
            (json!({"type": "process-logged", "level": "info", "message": long}), "/message", json!("根根根根根根… [282 bytes cut]")),
            (
                json!({"type": "process-ended", "outcome": "failed", "error": {"kind": "error", "message": long}}),
                "/error/message",
                json!("根根根根根根… [282 bytes cut]"),
            ),
            (
                json!({"type": "process-ended", "outcome": "failed", "error": {"kind": "error", "message": "a", "chain": ["12345678901234567890", "b", "c"]}}),
                "/error/chain",
                json!(["12345678901234567890", "[2 more causes]"]),
            ),
            (
                json!({"type": "process-updated", "fields": {"a": "123456789", "b": long, "c": 1}}),
                "/fields",
                json!({"a": "123456789", CUT_FIELDS: 2}),
            ),
        ] {
            let event = serde_json::to_value(cut(&of(&more)).unwrap()).unwrap();
            assert_eq!(event.pointer(pointer), Some(&expected), "{more}");
        }
    }

    #[test]
    fn what_is_too_large_all_the_same_is_named() {
        let huge = json!({"type": "of-another-kind", "payload": "x".repeat(2_000)});
        assert!(matches!(cut(&of(&huge)), Err((7, size)) if size > 2_000));
    }
}
