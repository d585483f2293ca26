//! Receivers of alerts with configurable behaviour: a webhook, a chat and a mail server.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

/// Behaviour of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Takes,
    /// Answers with this status.
    Status(u16),
    /// Answers with status 200 and an error number in the body.
    Errcode,
    /// Never answers.
    Silent,
}

/// Accepted messages by id, with all copies. Messages without an id are only counted.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) mode: Option<Mode>,
    pub(crate) messages: BTreeMap<String, Vec<Value>>,
    pub(crate) unnamed: usize,
    pub(crate) refused: usize,
}

/// HTTP receiver of a channel.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::<Mutex<Taken>>::default());
        let of = taken.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = of.clone();
                std::thread::spawn(move || serve(&stream, &taken));
            }
        });
        Self { address, taken }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap()
    }

    /// True if it accepts messages.
    pub(crate) fn takes(&self) -> bool {
        self.lock().mode.unwrap_or(Mode::Takes) == Mode::Takes
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.lock().mode = Some(mode);
    }
}

/// Answers the requests of a connection.
fn serve(stream: &TcpStream, taken: &Mutex<Taken>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let message: Value = serde_json::from_slice(&body).expect("JSON");
        let mut taken = taken.lock().unwrap();
        let mode = taken.mode.unwrap_or(Mode::Takes);
        let (status, answer) = match mode {
            Mode::Takes => {
                match message["id"].as_str() {
                    Some(id) => taken.messages.entry(id.to_owned()).or_default().push(message.clone()),
                    None => taken.unnamed += 1,
                }
                (200, r#"{"errcode":0}"#)
            }
            Mode::Status(status) => (status, "{}"),
            Mode::Errcode => (200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#),
            Mode::Silent => (0, ""),
        };
        taken.refused += usize::from(mode != Mode::Takes);
        drop(taken);
        if status == 0 {
            // Holds the connection until the client gives up.
            let _ = reader.read(&mut [0; 1]);
            return None;
        }
        let head =
            format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\ncontent-type: application/json\r\nretry-after: 1\r\n\r\n", answer.len());
        let mut stream = stream;
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

/// A mail server that does not answer until it is opened.
pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    listener: Option<TcpListener>,
    /// `Message-ID` of each accepted mail.
    taken: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    /// The port is bound, but nothing accepts connections.
    pub(crate) fn away() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { address: listener.local_addr().unwrap(), listener: Some(listener), taken: Arc::default() }
    }

    /// Starts to accept mails.
    pub(crate) fn open(&mut self) {
        let (listener, taken) = (self.listener.take().expect("it is away"), self.taken.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = taken.clone();
                std::thread::spawn(move || converse(&stream, &taken));
            }
        });
    }

    /// True if it accepts mails.
    pub(crate) fn takes(&self) -> bool {
        self.listener.is_none()
    }

    pub(crate) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

fn converse(mut stream: &TcpStream, taken: &Mutex<Vec<String>>) -> Option<()> {
    stream.write_all(b"220 mail.example.com\r\n").ok()?;
    let (mut id, mut is_data) = (String::new(), false);
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if is_data {
            if let Some(found) = line.strip_prefix("Message-ID: ") {
                found.clone_into(&mut id);
            }
            if line != "." {
                continue;
            }
            is_data = false;
            taken.lock().unwrap().push(std::mem::take(&mut id));
        }
        let answer: &[u8] = match line.split([' ', ':']).next()? {
            "EHLO" => b"250 SIZE 1000000\r\n",
            "DATA" => {
                is_data = true;
                b"354 go on\r\n"
            }
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).ok()?;
    }
    None
}
