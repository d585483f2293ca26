//! A body as a packed batch.

use monitor_wire::{Batch, DecodeError};

use super::{Packed, scan};

/// Why a body was not taken.
#[derive(Debug)]
pub enum Refused {
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
    pub fn from_json(body: &[u8], max_events: usize) -> Result<Self, Refused> {
        if let Some(batch) = scan::batch(body, max_events) {
            return Ok(batch);
        }
        // Whatever is wrong, or only unusual, is read with care, which finds the words for what is wrong.
        if count_events(body) > max_events {
            return Err(Refused::TooMany);
        }
        Ok(Batch::from_json(body).map_err(Refused::Decode)?.into())
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
