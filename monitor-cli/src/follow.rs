//! Follows the server's event stream.

use std::ops::ControlFlow;
use std::time::Duration;

use monitor_wire::StreamMessage;
use serde_json::Value;

use crate::client::{ClientError, Connection, Query};

/// Between two tries to go on.
const PAUSE: Duration = Duration::from_secs(1);

/// What the stream tells.
pub(crate) enum Told {
    /// Something happened.
    Message(Box<StreamMessage>),
    /// Not all that happened is known any more.
    Reset,
    /// The server went away; it is asked again and again.
    Broken(ClientError),
}

/// Tells what happens after change number `after`, until told to stop. A stream that breaks off is taken up where it was.
///
/// # Errors
/// When the server refuses to tell, or `tell` fails.
pub(crate) fn follow(
    connection: &Connection,
    query: &Query<'_>,
    mut after: u64,
    mut tell: impl FnMut(Told) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut is_said = false;
    loop {
        let (error, is_over) = match runtime.block_on(open(connection, query, after)) {
            Ok(mut response) => {
                let mut events = Events::default();
                loop {
                    // Told outside of the runtime: whoever is told may ask the server.
                    let bytes = match runtime.block_on(response.chunk()) {
                        Ok(Some(bytes)) => bytes,
                        Ok(None) => break (None, false),
                        Err(error) => break (Some(connection.broken(error)), false),
                    };
                    is_said = false;
                    if tell_all(events.push(&bytes), &mut after, &mut tell)?.is_break() {
                        break (None, true);
                    }
                }
            }
            Err(error @ (ClientError::Unreachable { .. } | ClientError::Broken { .. })) => (Some(error), false),
            Err(error) => return Err(error.into()),
        };
        if let Some(error) = error.filter(|_| !is_said) {
            is_said = true;
            if tell(Told::Broken(error))?.is_break() {
                return Ok(());
            }
        }
        if is_over {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Tells these, and remembers where to go on.
fn tell_all(
    events: Vec<Event>,
    after: &mut u64,
    tell: &mut impl FnMut(Told) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<ControlFlow<()>> {
    for event in events {
        *after = event.id.unwrap_or(*after);
        let told = match event.name.as_str() {
            "" => continue,
            "reset" => Told::Reset,
            _ => Told::Message(serde_json::from_value(event.data).map_err(ClientError::Unreadable)?),
        };
        if tell(told)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

async fn open(connection: &Connection, query: &Query<'_>, after: u64) -> Result<reqwest::Response, ClientError> {
    let (url, client) = connection.prepare(&["api", "v1", "stream"])?;
    connection.answer(client.get(url).query(query).query(&[("after", after)])).await
}

/// Server-sent events, as they come together from pieces.
#[derive(Default)]
struct Events {
    line: Vec<u8>,
    event: Event,
}

/// One event; a comment with an id has no name.
#[derive(Debug, Default, PartialEq)]
struct Event {
    id: Option<u64>,
    name: String,
    data: Value,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.line.clear();
            match line.split_once(": ") {
                _ if line.is_empty() => events.push(std::mem::take(&mut self.event)),
                Some(("id", id)) => self.event.id = id.parse().ok(),
                Some(("event", name)) => name.clone_into(&mut self.event.name),
                Some(("data", data)) => self.event.data = serde_json::from_str(data).unwrap_or_default(),
                _ => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_together_from_any_pieces() {
        let text = "retry: 1000\nid: 4\n: connected\n\nid: 5\nevent: process-logged\ndata: {\"a\":\"根\"}\n\n";
        for size in 1..text.len() {
            let mut events = Events::default();
            let told: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| events.push(piece)).collect();
            let logged = Event { id: Some(5), name: "process-logged".to_owned(), data: serde_json::json!({"a": "根"}) };
            assert_eq!(told, [Event { id: Some(4), ..Event::default() }, logged]);
        }
    }
}
