//! Asks the server's HTTP API.

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
    token_file: Option<Token>,
    /// Prints the API's JSON instead of text for people
    #[arg(short = 'j', long)]
    pub(crate) json: bool,
    #[arg(skip)]
    asking: OnceCell<Box<Asking>>,
}

/// What asks, made when there is something to ask.
#[derive(Debug)]
struct Asking {
    client: Client,
    runtime: Runtime,
}

/// The file of the only certificate that is trusted.
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

/// The first line of a file.
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
    /// The address that questions go to.
    pub(crate) fn server(&self) -> &Url {
        &self.server
    }

    /// What tells other commands of the same server.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let token = self.token.clone().or_else(|| Some(self.token_file.as_ref()?.as_str().to_owned()));
        let server = ("MONITOR_SERVER_URL", self.server.to_string());
        [Some(server), token.map(|token| ("MONITOR_TOKEN", token))].into_iter().flatten().collect()
    }

    /// The server's API.
    ///
    /// # Errors
    /// When the token is none.
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

    /// A server, with the token of `MONITOR_TOKEN` or that of a server on this machine.
    pub(crate) fn to(server: Url) -> Self {
        Self { server, token: None, token_file: None, json: false, asking: OnceCell::new() }
    }

    /// One of two servers, and its token. `MONITOR_TOKEN` is shown to neither, for nobody can tell whose it is.
    ///
    /// # Errors
    /// When the token of a server on this machine is none.
    pub(crate) fn one_of_two(server: &Url, token: Option<Token>) -> Result<Self, Error> {
        let (url, token) = if token.is_some() { (server.clone(), token) } else { found(server)? };
        let asking = OnceCell::from(Box::new(Asking::new(url, token)));
        Ok(Self { server: server.clone(), token: None, token_file: None, json: false, asking })
    }

    /// Waits for whatever the client does.
    pub(crate) fn wait<T>(&self, doing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.asking()?.runtime.block_on(doing)
    }

    /// The answer to a question.
    pub(crate) fn ask<T: DeserializeOwned>(&self, call: Call<T>) -> Result<T, Error> {
        self.wait(call.send())
    }

    /// Prints the answer to a question: as JSON if that is wanted, else as `show` does.
    pub(crate) fn show<T: DeserializeOwned>(&self, call: Call<T>, show: impl FnOnce(T) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if self.json { print_json(&self.wait(call.json())?) } else { show(self.ask(call)?) }
    }

    /// Posts JSON, again if it is refused for now: no sooner than the server says, and why is said once.
    pub(crate) fn post(&self, path: &[&str], body: &[u8]) -> Result<Value, Error> {
        let mut is_said = false;
        let call: Call<Value> = self.client()?.call(Method::POST, path).json_body(body);
        self.wait(call.send_again(|error, _| {
            // A server that isn't there may be one that never was.
            if error.status().is_none() {
                return ControlFlow::Break(());
            }
            if !std::mem::replace(&mut is_said, true) {
                let _ = writeln!(anstream::stderr(), "monitor: trying again: {}", visible(&error.to_string()));
            }
            ControlFlow::Continue(())
        }))
    }

    /// Writes an answer into a new file, which is whole or not there; how many bytes it has.
    pub(crate) fn save(&self, call: Call<Download>, file: &Path) -> anyhow::Result<u64> {
        anyhow::ensure!(!file.exists(), "{} is there already: name another file, or move that one away", file.display());
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

    /// Opens an answer that is read as it comes.
    pub(crate) fn open(&self, call: Call<Download>) -> Result<Opened<'_>, Error> {
        Ok(Opened { connection: self, download: self.wait(call.open())?, rest: VecDeque::new() })
    }

    /// Writes an answer as it comes; how many bytes.
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

    /// The address to ask, and the token to show there: the one that was given; else that of the server of this machine's data folder,
    /// if it is the one that is meant. Then its own address is asked: what else a name may stand for can be another user's program.
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
            (None, None, None) => None,
        };
        if given.is_some() {
            return Ok((self.server.clone(), given));
        }
        Ok(found(&self.server)?)
    }
}

/// An answer that is read as it comes.
pub(crate) struct Opened<'a> {
    connection: &'a Connection,
    download: Download,
    /// What has come and is not read yet.
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

/// The address to ask, and the token that is found on this machine.
fn found(server: &Url) -> Result<(Url, Option<Token>), InvalidSetting> {
    let local = local(server)?;
    Ok(local.map_or_else(|| (server.clone(), None), |(url, token)| (url, Some(token))))
}

/// The address and token of the server of this machine's data folder, if that server is meant.
pub(crate) fn local(server: &Url) -> Result<Option<(Url, Token)>, InvalidSetting> {
    let found = || server.host_str().is_some_and(is_loopback).then(|| Local::find(&settings::data_folder().ok()?)).flatten();
    let Some(local) = found().filter(|local| is_meant(server, &local.url)) else { return Ok(None) };
    // A certificate is for a name, and proves by itself who answers to it.
    let url = if local.url.scheme() == "https" { server.clone() } else { local.url };
    Ok(Some((url, Token::new(&local.token)?)))
}

/// Whether a loopback address that was typed means the server that says `own` of itself. One that listens on all addresses of IPv6 has
/// those of IPv4, too.
fn is_meant(typed: &Url, own: &Url) -> bool {
    let is_same_host = typed.host() == own.host() || typed.host_str() == Some("localhost") || own.host_str() == Some("[::1]");
    is_same_host && typed.path() == "/" && typed.scheme() == own.scheme() && typed.port_or_known_default() == own.port_or_known_default()
}

/// The answer as what it should be.
pub(crate) fn read<T: DeserializeOwned>(answer: Value) -> anyhow::Result<T> {
    serde_json::from_value(answer).context("the server's answer can't be read: is it of another version than this command?")
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
