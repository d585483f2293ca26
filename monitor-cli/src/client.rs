//! Asks the server's HTTP API.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use monitor_server::access::Local;
use monitor_spool::{Answer, Sent, certificate_hint};
use monitor_wire::Problem;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::settings;
use crate::text::visible;

/// A server that is asked says something within so long.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// A download may take so long.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(6 * 3_600);
/// No token is nearly as long, in bytes.
const LONGEST_TOKEN: u64 = 64 << 10;

/// How the server is reached, and in which form its answer is shown.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The server's address
    #[arg(long = "server", value_name = "URL", env = "MONITOR_SERVER_URL", default_value = "http://127.0.0.1:60010", value_parser = read_url)]
    server: Url,
    /// Shown to the server: one of `monitor token create`. Everybody on this machine can read it in the list of processes: better say
    /// it by --token-file or `MONITOR_TOKEN` [default: the one in the data folder of a server on this machine]
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// The file whose first line is the token
    #[arg(long, value_name = "FILE", value_parser = read_token_file)]
    token_file: Option<Secret>,
    /// Prints the API's JSON instead of text for people
    #[arg(short = 'j', long)]
    pub(crate) json: bool,
}

pub(crate) fn read_url(text: &str) -> Result<Url, String> {
    let mut url: Url = text.parse().map_err(|error| format!("{error}; expected a URL like http://127.0.0.1:60010"))?;
    let path = monitor_spool::settings::base_path(url.path()).to_owned();
    if path != url.path().trim_end_matches('/') {
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
    }
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err("expected a URL like http://127.0.0.1:60010".to_owned()),
    }
}

/// What is shown nowhere.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The first line of a file.
fn read_token_file(path: &str) -> Result<Secret, String> {
    let mut line = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    std::io::BufReader::new(file.take(LONGEST_TOKEN)).read_line(&mut line).map_err(|error| error.to_string())?;
    let token = line.trim();
    if token.is_empty() { Err("its first line holds no token".to_owned()) } else { Ok(Secret(token.to_owned())) }
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("the server at {url} was not reached")]
    Unreachable { url: Url, source: reqwest::Error },
    #[error("the server at {url} broke off its answer")]
    Broken { url: Url, source: reqwest::Error },
    #[error("{}", .0.detail)]
    Refused(Problem),
    #[error("{url} answered {status}, but not as Process Monitor does: is it another program's address?")]
    Foreign { url: Url, status: StatusCode },
    #[error("the token holds characters that none has (--token, --token-file, MONITOR_TOKEN)")]
    Token,
    #[error("the server's answer can't be read: is it of another version than this command?")]
    Unreadable(#[source] serde_json::Error),
}

impl ClientError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => 3,
            Self::Refused(problem) if matches!(problem.status, 404 | 410) => 4,
            Self::Refused(problem) if problem.status == 400 => 2,
            _ => 1,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } => Some(match certificate_hint(&causes(source)) {
                Some(hint) => format!("hint: {hint}"),
                None => "hint: is it running? start it with `monitor server`, or name its address with --server or MONITOR_SERVER_URL"
                    .to_owned(),
            }),
            _ => None,
        }
    }
}

/// The words of an error and of all that caused it.
fn causes(error: &dyn Error) -> String {
    let all = std::iter::successors(Some(error), |error| (*error).source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// How OTLP tells what is wrong.
#[derive(serde::Deserialize)]
struct RpcStatus {
    message: String,
}

/// A query: names and values.
pub(crate) type Query<'a> = Vec<(&'a str, String)>;

impl Connection {
    /// The address that questions go to.
    pub(crate) fn server(&self) -> &Url {
        &self.server
    }

    /// One answer.
    pub(crate) fn get(&self, path: &[&str], query: &Query<'_>) -> Result<Value, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        runtime.block_on(self.ask(path, query))
    }

    /// Writes an answer into a new file, which is whole or not there; how many bytes it has.
    pub(crate) fn save(&self, path: &[&str], file: &Path) -> anyhow::Result<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        anyhow::ensure!(!file.exists(), "{} is there already: name another file, or move that one away", file.display());
        let name = file.file_name().with_context(|| format!("{} is no file's name", file.display()))?;
        let mut part = name.to_owned();
        part.push(".part");
        let part = file.with_file_name(part);
        let written = runtime.block_on(self.save_into(path, &part));
        let written = written.and_then(|bytes| {
            std::fs::rename(&part, file).with_context(|| format!("could not create {}", file.display()))?;
            Ok(bytes)
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        written
    }

    async fn save_into(&self, path: &[&str], part: &Path) -> anyhow::Result<u64> {
        // It is made before the first byte of it comes, which may take as long as a disk takes to copy all.
        let (url, client) = self.prepare_to_wait(path, None)?;
        let mut response = self.answer(client.post(url).timeout(DOWNLOAD_TIMEOUT)).await?;
        let expected = response.content_length();
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(part).with_context(|| format!("could not create {}", part.display()))?;
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            bytes += chunk.len() as u64;
            file.write_all(&chunk).with_context(|| format!("could not write {}", part.display()))?;
        }
        anyhow::ensure!(expected == Some(bytes), "the server broke off: {bytes} bytes came");
        file.sync_all().with_context(|| format!("could not write {}", part.display()))?;
        Ok(bytes)
    }

    /// Posts a batch, compressed. A refusal, or that nobody answered, is an error, whose words are for who reads them.
    pub(crate) async fn post_events(&self, body: Vec<u8>, sent: Sent) -> Result<Answer, ClientError> {
        let (url, client) = self.prepare(&["api", "v1", "events"])?;
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("content-encoding", monitor_spool::content_encoding(&body))
            .body(body);
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        match Answer::of(sent, status.as_u16(), retry_after.as_deref(), &body) {
            Answer::Refused { .. } => Err(serde_json::from_slice(&body).map_or_else(|_| self.foreign(status), ClientError::Refused)),
            answer => Ok(answer),
        }
    }

    /// Posts JSON; what is too much for now is sent again when the server says, and why is said once.
    pub(crate) fn post(&self, path: &[&str], body: &[u8]) -> Result<Value, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        let mut is_said = false;
        loop {
            match runtime.block_on(self.try_post(path, body.to_vec()))? {
                Ok(answer) => return Ok(answer),
                Err((pause, why)) => {
                    if !std::mem::replace(&mut is_said, true) {
                        let _ = writeln!(anstream::stderr(), "monitor: trying again: {}", visible(&why));
                    }
                    std::thread::sleep(pause);
                }
            }
        }
    }

    async fn try_post(&self, path: &[&str], body: Vec<u8>) -> Result<Result<Value, (Duration, String)>, ClientError> {
        let (url, client) = self.prepare(path)?;
        let response = self.send(client.post(url).header("content-type", "application/json").body(body)).await?;
        let status = response.status();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        match status {
            _ if status.is_success() => serde_json::from_slice(&body).map(Ok).map_err(|_| self.foreign(status)),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Ok(Err((Duration::from_secs(retry_after.unwrap_or(1)), self.refusal(status, &body).to_string())))
            }
            _ => Err(self.refusal(status, &body)),
        }
    }

    /// Writes an answer as it comes; how many bytes.
    pub(crate) fn download(&self, path: &[&str], query: &Query<'_>, out: &mut impl std::io::Write) -> anyhow::Result<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        let (url, client) = self.prepare(path)?;
        let mut response = runtime.block_on(self.answer(client.get(url).query(query)))?;
        let mut bytes = 0;
        while let Some(piece) = runtime.block_on(response.chunk()).map_err(|error| self.broken(error))? {
            bytes += piece.len() as u64;
            out.write_all(&piece)?;
        }
        out.flush()?;
        Ok(bytes)
    }

    /// The answer to a request, unless it is a refusal.
    pub(crate) async fn answer(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        Err(self.refusal(status, &body))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|error| if error.is_connect() { self.unreachable(error) } else { self.broken(error) })
    }

    /// The server's words, as a problem or as OTLP's `google.rpc.Status`.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> ClientError {
        let told = serde_json::from_slice(body).or_else(|_| {
            let of_otlp: RpcStatus = serde_json::from_slice(body)?;
            Ok::<_, serde_json::Error>(Problem {
                problem_type: "about:blank".to_owned(),
                title: status.canonical_reason().unwrap_or_default().to_owned(),
                status: status.as_u16(),
                detail: of_otlp.message,
                parameter: None,
                event_number: None,
            })
        });
        told.map_or_else(|_| self.foreign(status), ClientError::Refused)
    }

    fn foreign(&self, status: StatusCode) -> ClientError {
        ClientError::Foreign { url: self.server.clone(), status }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.server.clone(), source: source.without_url() }
    }

    pub(crate) fn broken(&self, source: reqwest::Error) -> ClientError {
        ClientError::Broken { url: self.server.clone(), source: source.without_url() }
    }

    /// Whom to ask, and by what.
    pub(crate) fn prepare(&self, path: &[&str]) -> Result<(Url, reqwest::Client), ClientError> {
        self.prepare_to_wait(path, Some(READ_TIMEOUT))
    }

    /// As [`Connection::prepare`], for a server that may say nothing for so long.
    fn prepare_to_wait(&self, path: &[&str], silence: Option<Duration>) -> Result<(Url, reqwest::Client), ClientError> {
        let (mut url, token) = self.whom();
        let is_local = is_loopback(&url);
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(path);
        let mut client = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).tcp_keepalive(Duration::from_secs(30));
        if let Some(silence) = silence {
            client = client.read_timeout(silence);
        }
        if is_local {
            client = client.no_proxy();
        }
        if url.scheme() == "http" {
            // No certificate is ever looked at: none has to be read, and none has to be there.
            client = client.tls_certs_only([]);
        }
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            client = client.default_headers([(AUTHORIZATION, value)].into_iter().collect());
        }
        Ok((url, client.build().map_err(|error| self.unreachable(error))?))
    }

    /// The address to ask, and the token to show there: the one that was given; else that of the server of this machine's data folder,
    /// if it is the one that is meant. Then its own address is asked: what else a name may stand for can be another user's program.
    fn whom(&self) -> (Url, Option<String>) {
        static WARNED: Once = Once::new();
        if self.token.is_some() {
            WARNED.call_once(|| {
                let text =
                    "monitor: everybody on this machine can read --token in the list of processes: use --token-file or MONITOR_TOKEN";
                let _ = writeln!(anstream::stderr(), "{text}");
            });
        }
        let in_file = || self.token_file.as_ref().map(|Secret(token)| token.clone());
        let given = self.token.clone().or_else(in_file).or_else(|| std::env::var("MONITOR_TOKEN").ok()).filter(|token| !token.is_empty());
        let local = || {
            let local = is_loopback(&self.server).then(|| Local::find(&settings::data_folder().ok()?)).flatten()?;
            is_meant(&self.server, &local.url).then_some(local)
        };
        match given {
            Some(token) => (self.server.clone(), Some(token)),
            None => match local() {
                // A certificate is for a name, and proves by itself who answers to it.
                Some(local) if local.url.scheme() == "https" => (self.server.clone(), Some(local.token)),
                Some(local) => (local.url, Some(local.token)),
                None => (self.server.clone(), None),
            },
        }
    }

    /// Has the server change something: its answer, or null if it has none.
    pub(crate) fn change(&self, method: Method, path: &[&str], query: &Query<'_>) -> Result<Value, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        runtime.block_on(async {
            let (url, client) = self.prepare(path)?;
            let response = self.answer(client.request(method, url).query(query)).await?;
            let status = response.status();
            let body = response.bytes().await.map_err(|error| self.broken(error))?;
            if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body).map_err(|_| self.foreign(status)) }
        })
    }

    async fn ask(&self, path: &[&str], query: &Query<'_>) -> Result<Value, ClientError> {
        let (url, client) = self.prepare(path)?;
        let response = self.answer(client.get(url).query(query)).await?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        serde_json::from_slice(&body).map_err(|_| self.foreign(status))
    }
}

/// Whether a loopback address that was typed means the server that says `own` of itself. One that listens on all addresses of IPv6 has
/// those of IPv4, too.
fn is_meant(typed: &Url, own: &Url) -> bool {
    let is_same_host = typed.host() == own.host() || typed.host_str() == Some("localhost") || own.host_str() == Some("[::1]");
    is_same_host && typed.path() == "/" && typed.scheme() == own.scheme() && typed.port_or_known_default() == own.port_or_known_default()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The answer as what it should be.
pub(crate) fn read<T: DeserializeOwned>(answer: Value) -> Result<T, ClientError> {
    serde_json::from_value(answer).map_err(ClientError::Unreadable)
}

/// The answer as it came.
pub(crate) fn print_json(answer: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    // Piped or not: a JSON text escapes control characters below U+0020, but not those above U+007E.
    writeln!(out, "{}", escape_controls(&serde_json::to_string_pretty(answer)?))?;
    Ok(out.flush()?)
}

/// Passes JSON on with the control characters that it lets stand as the escapes that it reads, however it is cut into pieces.
pub(crate) struct Escaping<W> {
    out: W,
    /// The byte that begins a control character above U+007F came last.
    is_begun: bool,
}

impl<W: std::io::Write> Escaping<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, is_begun: false }
    }
}

impl<W: std::io::Write> std::io::Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut plain = 0;
        for (at, byte) in bytes.iter().enumerate() {
            // In UTF-8 these characters are 0xC2 and a byte from 0x80 to 0x9F.
            let escaped = match (std::mem::take(&mut self.is_begun), byte) {
                (true, 0x80..=0x9f) | (_, 0x7f) => Some(format!("\\u{byte:04x}")),
                (true, _) => {
                    self.out.write_all(&[0xc2])?;
                    None
                }
                _ => None,
            };
            self.is_begun = *byte == 0xc2;
            if escaped.is_some() || self.is_begun {
                self.out.write_all(&bytes[plain..at])?;
                plain = at + 1;
            }
            self.out.write_all(escaped.unwrap_or_default().as_bytes())?;
        }
        self.out.write_all(&bytes[plain..])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Writes the control characters that JSON lets stand as the escapes that it reads.
pub(crate) fn escape_controls(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && c.is_control() {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_json_without_raw_control_characters() {
        let value = serde_json::json!({"name": "a\u{1b}[31m\u{9b}31m\u{7f}\n根"});
        let text = escape_controls(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn control_characters_are_escaped_however_the_json_is_cut() {
        let text = "{\"a\": \"\u{9b}31m\u{80}\u{9f}\u{a0}é\u{7f}根\u{c2}\"}\n";
        for length in 1..text.len() {
            let mut escaping = Escaping::new(Vec::new());
            text.as_bytes().chunks(length).for_each(|piece| escaping.write_all(piece).unwrap());
            assert_eq!(String::from_utf8(escaping.out).unwrap(), escape_controls(text), "{length}");
        }
    }

    #[test]
    fn the_local_server_is_meant_by_its_own_address_only() {
        let own: Url = "http://127.0.0.1:60010/".parse().unwrap();
        for (typed, expected) in [
            ("http://127.0.0.1:60010", true),
            ("http://localhost:60010", true),
            ("http://127.0.0.2:60010", false),
            ("http://[::1]:60010", false),
            ("http://127.0.0.1:60011", false),
            ("https://127.0.0.1:60010", false),
            ("http://127.0.0.1:60010/behind-a-proxy", false),
        ] {
            assert_eq!(is_meant(&typed.parse().unwrap(), &own), expected, "{typed}");
        }
        assert!(is_meant(&"http://127.0.0.1:60010".parse().unwrap(), &"http://[::1]:60010/".parse().unwrap()));
    }

    /// Answers one request, and says nothing for longer than any other answer may take.
    async fn slow_server(listener: tokio::net::TcpListener, before: Duration) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        tokio::time::pause();
        tokio::time::advance(before).await;
        tokio::time::resume();
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ncopy").await.unwrap();
    }

    #[tokio::test]
    async fn a_copy_may_take_longer_to_be_made_than_an_answer_may_take() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("copy.db.part");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let connection = Connection { server, token: None, token_file: Some(Secret("t".to_owned())), json: false };
        let slow = slow_server(listener, 10 * READ_TIMEOUT);
        let (bytes, ()) = tokio::join!(connection.save_into(&["api", "v1", "backup"], &part), slow);
        assert_eq!(bytes.unwrap(), 4);
        assert_eq!(std::fs::read(&part).unwrap(), b"copy");
    }

    #[test]
    fn only_what_can_be_asked_is_a_server() {
        for bad in ["", "localhost:60010", "file:///tmp", "http://"] {
            assert!(read_url(bad).is_err(), "{bad}");
        }
        assert!(read_url("http://localhost:1/base/").is_ok() && read_url("https://monitor.example.com").is_ok());
    }
}
