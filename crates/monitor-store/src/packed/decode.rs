//! Decodes request bodies into packed batches.

use monitor_wire::{Batch, DecodeError};

use super::{Packed, scan};

/// Reason why a body is refused.
#[derive(Debug)]
pub enum Refused {
    /// The body is not a valid batch.
    Decode(DecodeError),
    /// The batch has more events than allowed.
    TooMany,
}

impl Packed {
    /// Decodes a batch of at most `max_events` events.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Batch::from_json`], or if the batch has more events.
    pub fn from_json(body: &[u8], max_events: usize) -> Result<Self, Refused> {
        if let Some(batch) = scan::batch(body, max_events) {
            return Ok(batch);
        }
        // The fast path refuses invalid and unusual bodies alike. The full decoder accepts the unusual bodies and describes the error in
        // the others.
        if count_events(body) > max_events {
            return Err(Refused::TooMany);
        }
        Ok(Batch::from_json(body).map_err(Refused::Decode)?.into())
    }
}

/// Returns the number of objects that begin two levels deep: the events of the batch, and the few reports of dropped events. They are
/// counted before the full decoding, because an event of a dozen bytes may take kilobytes once it is decoded.
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
