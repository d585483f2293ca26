//! Requests to the server's HTTP API.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::io::{Read, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::Context as _;
use clap::Args;
use monitor_api::{Call, Client, Download, Error, InvalidSetting, Method, Settings, Token};
use monitor_server::access::Local;
use monitor_wire::is_loopback;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;
use url::Url;

use crate::settings;
use crate::text::visible;
pub(crate) use crate::text::{Escaping, escape_controls, print_json};

/// Address and token of the server, and the form of the output.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// URL of the server
    #[arg(long = "server", value_name = "URL", env = "MONITOR_SERVER_URL", default_value = "http://127.0.0.1:60010", value_parser = read_url)]
    server: Url,
    /// Token for the server, from `monitor token create`. Other users of this machine can see it in the process list, so prefer
    /// --token-file or `MONITOR_TOKEN` [default: the token of a server on this machine, in its data folder, which `MONITOR_DATA` names if
    /// it is not the default one]
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the token in its first line; `MONITOR_TOKEN_FILE` names one, too
    #[arg(long, value_name = "FILE", value_parser = read_token_file)]
    token_file: Option<Token>,
    /// Print JSON instead of text
    #[arg(short = 'j', long)]
    pub(crate) json: bool,
    #[arg(skip)]
    asking: OnceCell<Box<Asking>>,
}

/// Client and runtime, created at the first request.
#[derive(Debug)]
struct Asking {
    client: Client,
    runtime: Runtime,
}

/// Variable with the path of a file with the token. It is not part of `--token-file`, which `--token` excludes.
const TOKEN_FILE: &str = "MONITOR_TOKEN_FILE";
/// Variable with the path of the only certificate to trust.
const CERTIFICATE: &str = "MONITOR_SERVER_CERT";

/// Settings for the server at `url`.
pub(crate) fn settings_of(url: Url, token: Option<Token>, certificate_file: Option<PathBuf>) -> Settings {
    let settings = Settings::for_url(url);
    let settings = if let Some(token) = token { settings.token(token) } else { settings };
    let certificate_file = certificate_file.filter(|path| !path.as_os_str().is_empty());
    if let Some(path) = certificate_file { settings.certificate_file(path) } else { settings }
}

pub(crate) fn read_url(text: &str) -> Result<Url, String> {
    monitor_api::server_url(text).map_err(|invalid| invalid.why)
}

/// Reads the token in the first line of a file.
pub(crate) fn read_token_file(path: &str) -> Result<Token, String> {
    Token::from_file(Path::new(path)).map_err(|invalid| invalid.why)
}

impl Asking {
    fn new(url: Url, token: Option<Token>) -> Self {
        let client = Client::new(settings_of(url, token, std::env::var_os(CERTIFICATE).map(PathBuf::from)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        Self { client, runtime }
    }
}

impl Connection {
    /// The server's address.
    pub(crate) fn server(&self) -> &Url {
        &self.server
    }

    /// Variables that pass the server and the token on to other commands.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let token = self.token.clone().or_else(|| Some(self.token_file.as_ref()?.as_str().to_owned()));
        let server = ("MONITOR_SERVER_URL", self.server.to_string());
        [Some(server), token.map(|token| ("MONITOR_TOKEN", token))].into_iter().flatten().collect()
    }

    /// The client for the server's API.
    ///
    /// # Errors
    /// If the token is invalid.
    pub(crate) fn client(&self) -> Result<&Client, Error> {
        Ok(&self.asking()?.client)
    }

    fn asking(&self) -> Result<&Asking, Error> {
        if let Some(asking) = self.asking.get() {
            return Ok(asking);
        }
        let (url, token) = self.whom()?;
        Ok(self.asking.get_or_init(|| Box::new(Asking::new(url, token))))
    }

    /// A connection to `server`, with the token in `MONITOR_TOKEN` or that of a server on this machine.
    pub(crate) fn to(server: Url) -> Self {
        Self { server, token: None, token_file: None, json: false, asking: OnceCell::new() }
    }

    /// A connection to one of two servers, with its own token. `MONITOR_TOKEN` is sent to neither, because it is unknown which server it
    /// belongs to.
    ///
    /// # Errors
    /// If the token of a server on this machine is invalid.
    pub(crate) fn one_of_two(server: &Url, token: Option<Token>) -> Result<Self, Error> {
        let (url, token) = if token.is_some() { (server.clone(), token) } else { found(server)? };
        let asking = OnceCell::from(Box::new(Asking::new(url, token)));
        Ok(Self { server: server.clone(), token: None, token_file: None, json: false, asking })
    }

    /// Runs a future of the client to its end.
    pub(crate) fn wait<T>(&self, doing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.asking()?.runtime.block_on(doing)
    }

    /// Sends a request and returns the answer.
    pub(crate) fn ask<T: DeserializeOwned>(&self, call: Call<T>) -> Result<T, Error> {
        self.wait(call.send())
    }

    /// Sends a request and prints the answer: as JSON with `--json`, else through `show`.
    pub(crate) fn show<T: DeserializeOwned>(&self, call: Call<T>, show: impl FnOnce(T) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if self.json { print_json(&self.wait(call.json())?) } else { show(self.ask(call)?) }
    }

    /// Posts JSON. Repeats a request that is refused temporarily, after the time that the server specifies. The reason is printed once.
    pub(crate) fn post(&self, path: &[&str], body: &[u8]) -> Result<Value, Error> {
        let mut is_said = false;
        let call: Call<Value> = self.client()?.call(Method::POST, path).json_body(body);
        self.wait(call.send_again(|error, _| {
            // Without an answer, the server may not exist at all, so don't retry.
            if error.status().is_none() {
                return ControlFlow::Break(());
            }
            if !std::mem::replace(&mut is_said, true) {
                let _ = writeln!(anstream::stderr(), "monitor: trying again: {}", visible(&error.to_string()));
            }
            ControlFlow::Continue(())
        }))
    }

    /// Writes the answer into a new file, which is either complete or absent. Returns its size in bytes.
    pub(crate) fn save(&self, call: Call<Download>, file: &Path) -> anyhow::Result<u64> {
        anyhow::ensure!(!file.exists(), "{} is there already: name another file, or move the existing file away", file.display());
        let name = file.file_name().with_context(|| format!("{} is no file's name", file.display()))?;
        let mut part = name.to_owned();
        part.push(".part");
        let part = file.with_file_name(part);
        let written = self.save_into(call, &part).and_then(|bytes| {
            std::fs::rename(&part, file).with_context(|| format!("could not create {}", file.display()))?;
            Ok(bytes)
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        written
    }

    fn save_into(&self, call: Call<Download>, part: &Path) -> anyhow::Result<u64> {
        let mut download = self.wait(call.open())?;
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(part).with_context(|| format!("could not create {}", part.display()))?;
        let bytes = self.write(&mut download, &mut file).with_context(|| format!("could not write {}", part.display()))?;
        anyhow::ensure!(download.length_bytes() == Some(bytes), "the server broke off: {bytes} bytes came");
        file.sync_all().with_context(|| format!("could not write {}", part.display()))?;
        Ok(bytes)
    }

    /// Opens an answer that is read while it is received.
    pub(crate) fn open(&self, call: Call<Download>) -> Result<Opened<'_>, Error> {
        Ok(Opened { connection: self, download: self.wait(call.open())?, rest: VecDeque::new() })
    }

    /// Writes an answer while it is received. Returns its size in bytes.
    pub(crate) fn download(&self, call: Call<Download>, out: &mut impl std::io::Write) -> anyhow::Result<u64> {
        let mut download = self.wait(call.open())?;
        self.write(&mut download, out)
    }

    fn write(&self, download: &mut Download, out: &mut impl std::io::Write) -> anyhow::Result<u64> {
        let mut bytes = 0;
        while let Some(chunk) = self.wait(download.chunk())? {
            bytes += chunk.as_ref().len() as u64;
            out.write_all(chunk.as_ref())?;
        }
        out.flush()?;
        Ok(bytes)
    }

    /// Returns the address and token to use: the token that was given, or else the address and token in the data folder of this machine's
    /// server, if `--server` refers to that server. The server's own address is used then, because another name for the host could lead to
    /// another user's program.
    fn whom(&self) -> Result<(Url, Option<Token>), Error> {
        static WARNED: Once = Once::new();
        if self.token.is_some() {
            WARNED.call_once(|| {
                let text =
                    "monitor: everybody on this machine can read --token in the list of processes: use --token-file or MONITOR_TOKEN";
                let _ = writeln!(anstream::stderr(), "{text}");
            });
        }
        let named = |name: &str, text: &str| Token::new(text).map_err(|invalid| InvalidSetting { name: name.to_owned(), ..invalid });
        let is_some = |text: &String| !text.trim().is_empty();
        let given = match (&self.token, &self.token_file, std::env::var("MONITOR_TOKEN").ok().filter(is_some)) {
            (Some(text), ..) => Some(named("--token", text)?),
            (None, Some(token), _) => Some(token.clone()),
            (None, None, Some(text)) => Some(named("MONITOR_TOKEN", &text)?),
            (None, None, None) => file_in_environment()?,
        };
        if given.is_some() {
            return Ok((self.server.clone(), given));
        }
        Ok(found(&self.server)?)
    }
}

/// Reads the token in the file that the environment names.
fn file_in_environment() -> Result<Option<Token>, InvalidSetting> {
    let path = std::env::var_os(TOKEN_FILE).filter(|path| !path.is_empty());
    let in_file = |invalid: InvalidSetting| InvalidSetting { name: format!("{TOKEN_FILE}: {}", invalid.name), ..invalid };
    path.map(|path| Token::from_file(Path::new(&path)).map_err(in_file)).transpose()
}

/// An answer that is read while it is received.
pub(crate) struct Opened<'a> {
    connection: &'a Connection,
    download: Download,
    /// Bytes that were received and not read yet.
    rest: VecDeque<u8>,
}

impl Read for Opened<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.connection.wait(self.download.chunk()).map_err(std::io::Error::other)? {
                Some(chunk) => self.rest.extend(chunk.as_ref()),
                None => return Ok(0),
            }
        }
        self.rest.read(into)
    }
}

/// The address, and the token found on this machine.
fn found(server: &Url) -> Result<(Url, Option<Token>), InvalidSetting> {
    let local = local(server)?;
    Ok(local.map_or_else(|| (server.clone(), None), |(url, token)| (url, Some(token))))
}

/// Address and token of the server with this machine's data folder, if `server` refers to it.
pub(crate) fn local(server: &Url) -> Result<Option<(Url, Token)>, InvalidSetting> {
    let found = || server.host_str().is_some_and(is_loopback).then(|| Local::find(&settings::data_folder().ok()?)).flatten();
    let Some(local) = found().filter(|local| is_meant(server, &local.url)) else { return Ok(None) };
    // A certificate belongs to a name and identifies the server, so the typed name is kept.
    let url = if local.url.scheme() == "https" { server.clone() } else { local.url };
    Ok(Some((url, Token::new(&local.token)?)))
}

/// Returns true if the loopback address `typed` refers to the server whose own address is `own`. A server that listens on all IPv6
/// addresses also accepts IPv4.
fn is_meant(typed: &Url, own: &Url) -> bool {
    let is_same_host = typed.host() == own.host() || typed.host_str() == Some("localhost") || own.host_str() == Some("[::1]");
    is_same_host && typed.path() == "/" && typed.scheme() == own.scheme() && typed.port_or_known_default() == own.port_or_known_default()
}

/// Converts an answer to the type `T`.
pub(crate) fn read<T: DeserializeOwned>(answer: Value) -> anyhow::Result<T> {
    serde_json::from_value(answer).context("the server's answer can't be read: is it of another version than this command?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_address_refers_to_the_local_server() {
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
}
