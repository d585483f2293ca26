//! A minimal HTTP client for loading a server: writes whole requests, and reads responses by their length.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// One connection, kept open.
pub(crate) struct Connection {
    address: String,
    reader: BufReader<TcpStream>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A batch as it goes into the socket, head and all.
pub(crate) fn post(address: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Encoding: zstd\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Returns the bytes of a request with a JSON body, with additional header lines.
pub(crate) fn request(address: &str, path: &str, lines: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{lines}");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Connection {
    /// To a server by its address, without a scheme.
    pub(crate) fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).context("the server takes no connection")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        Ok(Self { address: address.to_owned(), reader: BufReader::new(stream) })
    }

    /// Sends a request made by [`post`]; how often it had to be sent again because the server was busy.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<u64> {
        for again in 0.. {
            self.reader.get_mut().write_all(request)?;
            let answer = self.read()?;
            match answer.status {
                200 => return Ok(again),
                429 | 503 if again < 10_000 => std::thread::sleep(Duration::from_millis(5)),
                status => bail!("{status}: {}", String::from_utf8_lossy(&answer.body)),
            }
        }
        unreachable!("the loop ends by itself")
    }

    /// Sends a request once.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.reader.get_mut().write_all(request)?;
        self.read()
    }

    /// The body of a page of the API.
    pub(crate) fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.reader.get_mut().write_all(request.as_bytes())?;
        let answer = self.read()?;
        if answer.status != 200 {
            bail!("{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(answer.body)
    }

    fn read(&mut self) -> Result<Answer> {
        let (mut line, mut status, mut length) = (String::new(), None, 0);
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("the server closed the connection");
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if status.is_none() {
                status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
            } else if let Some((name, value)) = text.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(Answer { status: status.context("an answer begins with a status")?, body })
    }
}
