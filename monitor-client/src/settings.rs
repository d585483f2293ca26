//! Settings from the environment: the recording settings of every program, and the destination of events.

use std::ffi::OsString;
use std::fmt;

use monitor_spool::settings::{Reader, Settings as Recording};
use reqwest::Url;
use serde_json::{Value, json};

const SERVER_URL: &str = "http://127.0.0.1:60010";

/// The client's settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Settings of recording and of the spool.
    pub(crate) recording: Recording,
    /// URL for posting events.
    pub(crate) events_url: Url,
    /// Token, sent as `Authorization: Bearer`.
    pub(crate) token: Option<String>,
    /// File of the only trusted certificate. `None` to use the certificates that the machine trusts.
    #[cfg(feature = "tls")]
    pub(crate) certificate_file: Option<std::path::PathBuf>,
    /// Commands that the program executes.
    pub(crate) commands: Allowed,
    /// True if ended processes are sent to an OTLP receiver at `events_url`, and nothing to a Process Monitor server.
    pub(crate) is_otlp: bool,
    /// Headers of the requests to that receiver.
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Option<monitor_otlp::OtlpHeaders>,
}

/// Commands that a program executes when the server requests them (`MONITOR_COMMANDS`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Commands that only return information, and commands with these names.
    Read(Vec<String>),
    /// All commands, including the program's own methods.
    All,
    /// None. The program opens no channel to the server.
    Off,
}

impl Allowed {
    fn read(text: &str) -> Option<Self> {
        match text.trim() {
            "all" => return Some(Self::All),
            "off" => return Some(Self::Off),
            _ => {}
        }
        let words = text.split(',').map(str::trim).filter(|word| !matches!(*word, "" | "read"));
        let is_name = |word: &str| !matches!(word, "all" | "off") && crate::commands::is_method(word);
        words.map(|word| is_name(word).then(|| word.to_owned())).collect::<Option<_>>().map(Self::Read)
    }

    /// Returns true if a method that may change something is allowed.
    pub(crate) fn allows(&self, method: &str) -> bool {
        match self {
            Self::Read(names) => names.iter().any(|name| name == method),
            Self::All => true,
            Self::Off => false,
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(names) if names.is_empty() => f.write_str("read"),
            Self::Read(names) => write!(f, "read,{}", names.join(",")),
            Self::All => f.write_str("all"),
            Self::Off => f.write_str("off"),
        }
    }
}

impl Settings {
    /// Returns the settings without secrets, for the command `conf`.
    pub(crate) fn conf(&self) -> Value {
        let Recording { buffer_bytes, spool_dir, spool_bytes, fold_after, heartbeat, exit_timeout, .. } = &self.recording;
        let mut server = self.events_url.clone();
        // Remove the user name and password from the displayed URL. An http URL always accepts this.
        let _ = (server.set_username(""), server.set_password(None));
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "events_url": server.as_str(),
            "has_token": self.token.is_some(),
            "commands": self.commands.to_string(),
            "buffer_bytes": buffer_bytes,
            "spool_dir": spool_dir,
            "spool_bytes": spool_bytes,
            "fold_after": fold_after,
            "heartbeat_ms": heartbeat.as_millis() as u64,
            "exit_timeout_ms": exit_timeout.as_millis() as u64,
        })
    }

    /// Reads the settings through `get`, and returns the problems found.
    pub(crate) fn read(get: &dyn Fn(&str) -> Option<OsString>) -> (Self, Vec<String>) {
        let mut reader = Reader::new(get);
        let mut settings = Self {
            recording: Recording::read(&mut reader),
            events_url: events_url(&Url::parse(SERVER_URL).expect("a constant")),
            token: None,
            #[cfg(feature = "tls")]
            certificate_file: None,
            commands: Allowed::Read(Vec::new()),
            is_otlp: false,
            #[cfg(feature = "otlp")]
            otlp: None,
        };
        if settings.recording.enabled {
            let wanted = "a URL such as http://127.0.0.1:60010";
            let read = |text: &str| url(text.trim()).map(|base| events_url(&base));
            settings.events_url = reader.value("MONITOR_SERVER_URL", wanted, settings.events_url, read);
            let token = reader.secret("MONITOR_TOKEN", "printable characters", None, |text| token(text).map(Some));
            #[cfg(feature = "tls")]
            {
                let file = |text: &str| Some((!text.is_empty()).then(|| text.into()));
                settings.certificate_file = reader.value("MONITOR_SERVER_CERT", "a file", None, file);
            }
            let wanted = "read, all, off, or names of methods between commas";
            settings.commands = reader.value("MONITOR_COMMANDS", wanted, Allowed::Read(Vec::new()), Allowed::read);
            settings.token = token.filter(|token| !token.is_empty());
            #[cfg(feature = "otlp")]
            settings.send_by_otlp(&mut reader);
        }
        (settings, reader.problems())
    }
}

#[cfg(feature = "otlp")]
impl Settings {
    /// Sends ended processes to the receiver in `MONITOR_OTLP_ENDPOINT`, if it is set. Disables the spool, which keeps events for a server,
    /// and commands, which are received from one.
    fn send_by_otlp(&mut self, reader: &mut Reader<'_>) {
        use monitor_otlp::OtlpHeaders;

        let wanted =
            "a URL such as http://127.0.0.1:4318 without a password, which is not that of the Process Monitor server (MONITOR_SERVER_URL)";
        let server = self.events_url.clone();
        // Read as a secret, because the URL may contain a password.
        let endpoint = reader.secret("MONITOR_OTLP_ENDPOINT", wanted, None, |text| match text.trim() {
            "" => Some(None),
            text => url(text).filter(|endpoint| endpoint.password().is_none() && !is_same_place(endpoint, &server)).map(Some),
        });
        let wanted = "NAME=VALUE, NAME=file:PATH or NAME=env:VARIABLE, with commas between them";
        let headers = reader.secret("MONITOR_OTLP_HEADERS", wanted, OtlpHeaders::default(), |text| OtlpHeaders::read(text).ok());
        let Some(mut endpoint) = endpoint else { return };
        endpoint.set_path(&monitor_otlp::traces_path(endpoint.path()));
        endpoint.set_fragment(None);
        (self.events_url, self.is_otlp, self.otlp) = (endpoint, true, Some(headers));
        (self.token, self.commands, self.recording.spool_dir) = (None, Allowed::Off, None);
    }
}

/// Returns true if both URLs have the same port and host. All loopback names count as the same host.
#[cfg(feature = "otlp")]
fn is_same_place(one: &Url, other: &Url) -> bool {
    let host =
        |url: &Url| url.host_str().map(|host| if monitor_wire::is_loopback(host) { "localhost".to_owned() } else { host.to_owned() });
    (host(one), one.port_or_known_default()) == (host(other), other.port_or_known_default())
}

fn url(text: &str) -> Option<Url> {
    if text.is_empty() {
        return Url::parse(SERVER_URL).ok();
    }
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn events_url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&format!("{}/api/v1/events", monitor_spool::settings::base_path(base.path())));
    url
}

fn token(text: &str) -> Option<String> {
    let text = text.trim();
    text.bytes().all(|b| (0x21..0x7f).contains(&b)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Settings, Vec<String>) {
        Settings::read(&|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn a_bad_value_is_reported_and_the_default_used() {
        let long = "x".repeat(100_000);
        for (name, value) in [
            ("MONITOR_SERVER_URL", "not a url"),
            ("MONITOR_SERVER_URL", "ftp://host"),
            ("MONITOR_SERVER_URL", long.as_str()),
            ("MONITOR_TOKEN", "two words\n"),
            ("MONITOR_BUFFER_BYTES", "64XiB"),
            ("MONITOR_COMMANDS", "some words"),
            ("MONITOR_COMMANDS", "read,off"),
        ] {
            let (settings, problems) = read(&[("MONITOR_ENABLED", "1"), (name, value)]);
            assert_eq!(settings, read(&[("MONITOR_ENABLED", "1")]).0, "{name}");
            assert_eq!(problems.len(), 1, "{name}: {problems:?}");
            assert!(problems[0].starts_with(name) && problems[0].contains("expected") && problems[0].len() < 400, "{problems:?}");
            assert!(name != "MONITOR_TOKEN" || !problems[0].contains("two words"), "{problems:?}");
            assert_eq!(read(&[("MONITOR_ENABLED", "0"), (name, value)]).1, Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn the_address_of_the_page_is_accepted_as_that_of_the_server() {
        for (url, expected) in [
            ("http://h:60010/tasks", "http://h:60010/api/v1/events"),
            ("http://h:60010/tasks/", "http://h:60010/api/v1/events"),
            ("https://h/below/tasks/0199a3ce929d0e0e47360199a3ce929d?tab=logs#x", "https://h/below/api/v1/events"),
            ("http://h:60010/taskset", "http://h:60010/taskset/api/v1/events"),
        ] {
            let (settings, problems) = read(&[("MONITOR_ENABLED", "1"), ("MONITOR_SERVER_URL", url)]);
            assert_eq!((settings.events_url.as_str(), problems), (expected, vec![]), "{url}");
        }
    }

    #[test]
    fn good_values_are_taken() {
        let (settings, problems) = read(&[
            ("MONITOR_ENABLED", "yes"),
            ("MONITOR_SERVER_URL", "http://monitor.example:1234/below/?x=1#y"),
            ("MONITOR_TOKEN", "secret"),
            ("MONITOR_BUFFER_BYTES", "1000000"),
            ("MONITOR_COMMANDS", "all"),
        ]);
        assert_eq!(settings.commands, Allowed::All);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(settings.events_url.as_str(), "http://monitor.example:1234/below/api/v1/events");
        assert_eq!((settings.token.as_deref(), settings.recording.buffer_bytes), (Some("secret"), 1_000_000));
        for (text, allowed) in [("read", &[][..]), ("cancel", &["cancel"]), ("read, cancel,cache-clear", &["cancel", "cache-clear"])] {
            let (settings, problems) = read(&[("MONITOR_ENABLED", "1"), ("MONITOR_COMMANDS", text)]);
            assert_eq!((settings.commands.allows("shutdown"), problems.len()), (false, 0), "{text}");
            assert!(allowed.iter().all(|name| settings.commands.allows(name)), "{text}");
        }
        let plain = read(&[("MONITOR_ENABLED", "1"), ("MONITOR_SERVER_URL", " "), ("MONITOR_TOKEN", "")]);
        assert_eq!((plain.0.events_url.as_str(), plain.0.token, plain.1), ("http://127.0.0.1:60010/api/v1/events", None, vec![]));
    }
}
