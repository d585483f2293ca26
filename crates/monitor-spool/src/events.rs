//! Minimal JSON parser for batches, with which the journal drops parts of a batch. Written by hand, because woven programs have no serde.

use crate::parcel::Rejected;

/// Splits a JSON array into its elements. `None` if it is not an array.
pub(crate) fn split(json: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = json.trim_ascii().strip_prefix(b"[")?.trim_ascii_start();
    let mut events = Vec::new();
    if rest == b"]" {
        return Some(events);
    }
    loop {
        let end = value(rest)?;
        events.push(&rest[..end]);
        rest = rest[end..].trim_ascii_start();
        match rest.split_first()? {
            (b',', after) => rest = after.trim_ascii_start(),
            (b']', []) => return Some(events),
            _ => return None,
        }
    }
}

/// Returns the length of the value at the start of `json`.
fn value(json: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match json.get(at)? {
            b'"' => at = text(json, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            // A number or a literal.
            _ => at += json[at..].iter().position(|byte| b"\",{}[]".contains(byte)).filter(|length| *length > 0).unwrap_or(1),
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Returns the end of the string that starts at `at`, after its closing quote.
fn text(json: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    loop {
        match json.get(end)? {
            b'\\' => end += 2,
            b'"' => return Some(end + 1),
            _ => end += 1,
        }
    }
}

/// Fields of an event that the journal needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known<'a> {
    pub(crate) event_type: Option<&'a str>,
    pub(crate) root_id: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// Reads top-level members of an object.
    pub(crate) fn of(event: &'a [u8]) -> Self {
        let mut known = Self::default();
        let _ = known.read(event);
        known
    }

    fn read(&mut self, event: &'a [u8]) -> Option<()> {
        let mut rest = event.strip_prefix(b"{")?;
        loop {
            rest = rest.trim_ascii_start();
            let key_end = text(rest, 0).filter(|_| rest.first() == Some(&b'"'))?;
            let key = &rest[1..key_end - 1];
            rest = rest[key_end..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
            let end = value(rest)?;
            let word = || std::str::from_utf8(rest[..end].strip_prefix(b"\"")?.strip_suffix(b"\"")?).ok();
            match key {
                b"type" => self.event_type = word(),
                b"root_id" => self.root_id = word(),
                b"id" => self.id = word(),
                _ => {}
            }
            rest = rest[end..].trim_ascii_start().strip_prefix(b",")?;
        }
    }

    /// Returns the description under which the event is counted as dropped.
    pub(crate) fn rejected(&self) -> Rejected {
        Rejected { event_type: self.event_type.unwrap_or("unknown").to_owned(), root_id: self.root_id.and_then(|root| root.parse().ok()) }
    }
}

#[cfg(all(test, feature = "read"))]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn arrays_are_split_as_serde_reads_them(values in prop::collection::vec(any_json(), 0..6), is_pretty in any::<bool>()) {
            let json = if is_pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
            let parts = split(json.as_bytes()).unwrap();
            let read: Vec<Value> = parts.iter().map(|part| serde_json::from_slice(part).unwrap()).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn members_are_found_with_any_neighbours(other in any_json(), event_type in "[a-z-]{1,20}", root in 1_u128..) {
            let root = format!("{root:032x}");
            let event = json!({"a": other, "type": event_type, "root_id": root, "z": {"type": "no", "id": "no"}}).to_string();
            let known = Known::of(event.as_bytes());
            prop_assert_eq!(known, Known { event_type: Some(&event_type), root_id: Some(&root), id: None });
            prop_assert_eq!(known.rejected().root_id, Some(root.parse().unwrap()));
        }

        #[test]
        fn garbage_is_no_array_and_no_event(bytes: Vec<u8>) {
            if let Some(parts) = split(&bytes) {
                for part in parts {
                    let _ = Known::of(part);
                }
            }
            let _ = Known::of(&bytes);
        }
    }

    #[test]
    fn a_truncated_array_is_refused() {
        let whole = br#"[{"type":"a","x":"\"]"},{"id":"b","n":[1,2]}]"#;
        assert_eq!(split(whole).unwrap().len(), 2);
        for length in 0..whole.len() {
            assert_eq!(split(&whole[..length]), None, "{length}");
        }
    }
}
