//! An HTTP receiver that records all posted alert messages with the time of their arrival.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

/// A message that was posted.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) at: Instant,
    /// Key of the alert, the same for repeated messages.
    pub(crate) id: Option<String>,
    /// True if the message is about the beginning of an alert, and not about its continuation or end.
    is_first: bool,
    /// Names of the objects that it is about.
    pub(crate) names: Vec<String>,
}

/// Takes messages until the program ends.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let receiver = Self { address: listener.local_addr()?, messages: Arc::default() };
        let messages = receiver.messages.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let messages = messages.clone();
                // The sender may be killed in the middle of a request.
                std::thread::spawn(move || take(&socket, &messages));
            }
        });
        Ok(receiver)
    }

    /// Returns the URL for messages.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All messages so far.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.lock().clone()
    }

    /// Returns the messages about the beginning of alerts, by object.
    pub(crate) fn told(&self) -> BTreeMap<String, Vec<Message>> {
        let mut told = BTreeMap::<String, Vec<Message>>::new();
        for message in self.messages().into_iter().filter(|message| message.is_first) {
            for name in &message.names {
                told.entry(name.clone()).or_default().push(message.clone());
            }
        }
        told
    }

    /// Waits until no message has arrived for `quiet`, at most for `longest`.
    pub(crate) fn wait_until_quiet(&self, quiet: Duration, longest: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < longest {
            let last = self.lock().last().map_or(begin, |message| message.at.max(begin));
            if last.elapsed() >= quiet {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn take(socket: &TcpStream, messages: &Mutex<Vec<Message>>) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(socket);
    loop {
        let (mut line, mut length, mut id) = (String::new(), None, None);
        while {
            line.clear();
            reader.read_line(&mut line)? > 0 && !line.trim_end().is_empty()
        } {
            let Some((name, value)) = line.trim_end().split_once(": ") else { continue };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.parse::<usize>()?),
                "idempotency-key" => id = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length.context("a message has no header `content-length`")?];
        reader.read_exact(&mut body)?;
        let at = Instant::now();
        let message = read(&serde_json::from_slice(&body)?, at, id);
        messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

/// Reads a message of ours, or one of Alertmanager, which has a list of alerts.
fn read(body: &Value, at: Instant, id: Option<String>) -> Message {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match body["alerts"].as_array() {
        Some(alerts) => {
            let names = alerts.iter().map(|alert| text(&alert["labels"]["instance"])).collect();
            Message { at, id, is_first: body["status"] == "firing", names }
        }
        None => Message { at, id, is_first: body["kind"] == "fired", names: vec![text(&body["subject"]["name"])] },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_of_both_systems_are_read() {
        let alerts = json!({"status": "firing", "alerts": [{"labels": {"instance": "a"}}, {"labels": {"instance": "b"}}]});
        let theirs = read(&alerts, Instant::now(), None);
        assert!(theirs.is_first && theirs.names == ["a", "b"]);
        let ours = read(&json!({"kind": "updated", "subject": {"kind": "task", "name": "a"}}), Instant::now(), None);
        assert!(!ours.is_first && ours.names == ["a"]);
    }

    #[test]
    fn posted_messages_are_stored_with_their_idempotency_key() {
        let receiver = Receiver::start().unwrap();
        let mut socket = TcpStream::connect(receiver.address).unwrap();
        let body = json!({"kind": "fired", "subject": {"name": "gold"}}).to_string();
        let post = format!("POST /hook HTTP/1.1\r\nIdempotency-Key: 1.hook\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut answer = [0; 12];
        for _ in 0..2 {
            socket.write_all(post.as_bytes()).unwrap();
            socket.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            socket.read_exact(&mut [0; 26]).unwrap();
        }
        let told = receiver.told();
        assert_eq!((told.len(), told["gold"].len(), told["gold"][0].id.as_deref()), (1, 2, Some("1.hook")));
    }
}
