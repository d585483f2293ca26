//! Reads server-sent events with the fields that a channel needs: type and data.

/// Maximum length of a line and its event. Our server sends no longer lines.
const LONGEST: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) event: String,
    pub(super) data: String,
}

/// Parses events from chunks of any size.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    message: Message,
    has_returned: bool,
}

/// Error for a line or an event that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Reader {
    /// Parses more bytes. Returns the events that they complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        for byte in bytes {
            // A line ends with CR, LF or CRLF.
            let is_second = std::mem::replace(&mut self.has_returned, *byte == b'\r') && *byte == b'\n';
            match byte {
                _ if is_second => {}
                b'\r' | b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    messages.extend(self.end_line(&String::from_utf8_lossy(&line)));
                }
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.message.data.len() > LONGEST {
                return Err(TooLong);
            }
        }
        Ok(messages)
    }

    fn end_line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return (!message.data.is_empty()).then_some(message);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            // Ignore comments and other fields.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = ": hi\nevent: open\ndata: {\"a\":1}\n\n\nid: 7\r\nevent:command\r\ndata: one\r\ndata: two\r\n\r\nevent: empty\n\ndata\n\nretry: 1\n: alive\n\n";
        let message = |event: &str, data: &str| Message { event: event.to_owned(), data: data.to_owned() };
        let expected = [message("open", "{\"a\":1}"), message("command", "one\ntwo")];
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let read: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| reader.take(piece).unwrap()).collect();
            assert_eq!(read, expected, "{size}");
        }
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut reader = Reader::default();
        let result = (0..1_000).try_for_each(|_| reader.take(&[b'x'; 2_000]).map(drop));
        assert_eq!(result, Err(TooLong));
        let mut reader = Reader::default();
        let result = (0..1_000_000).try_for_each(|_| reader.take(b"data: xx\n").map(drop));
        assert_eq!(result, Err(TooLong));
    }
}
