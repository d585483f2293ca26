//! What a server is told before it begins. One table makes the fields, their defaults, flags, environment variables and keys.

mod file;
mod kinds;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use monitor_store::KeepEvents;
use monitor_store::packed::Limits;
use monitor_store::retention::{Retention, Rule};
use url::Url;

use crate::commands::AllowedCommands;
use crate::forward::{OtlpFilter, OtlpHeaders};

pub use self::file::{File, FileError};
pub use self::kinds::Form;
use self::kinds::{
    ADDRESS, AGENT, BYTES, CLAIM, CLIENT, COMMANDS, COUNT, DURATION, FILE, FILTER, FOLDER, FREE_BYTES, HEADERS, ISSUER, LOOPBACK, MCP,
    NETWORKS, ORIGIN, RECEIVER, ROLES, RULES, SCOPES, SOME_BYTES, SOME_COUNT, SOME_DURATION, SPOOL, SWITCH,
};
use crate::oidc::RolesOfGroups;

/// Writes [`Config`] and [`SETTINGS`]: `field: Type = default, how it is written;`. `max_body_bytes` is the flag
/// `--max-body-bytes`, the variable `MONITOR_MAX_BODY_BYTES` and the key `max-body-bytes`.
macro_rules! settings {
    ($($(#[doc = $help:literal])+ $field:ident: $type:ty = $default:expr, $kind:ident;)+) => {
        /// How a server listens, where it keeps what it is told, and its limits.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// All settings, in the order of `--help`.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            field: stringify!($field),
            help: concat!($($help),+),
            placeholder: $kind.placeholder,
            form: $kind.form,
            set: |config, text| {
                config.$field = ($kind.read)(text)?;
                Ok(())
            },
            show: |config| ($kind.show)(&config.$field),
        },)+];
    };
}

settings! {
    /// The address to listen on; port 0 takes a free one
    listen: SocketAddr = Config::DEFAULT_LISTEN, ADDRESS;
    /// The folder of the database, made if it is missing [default: `monitor` in the user's data folder]
    data: PathBuf = PathBuf::new(), FOLDER;
    /// The address that others reach the server by, if it is another; whoever comes then needs a token or a login
    public_url: Option<Url> = None, ORIGIN;
    /// The proxies before the server, addresses and networks between commas: `X-Forwarded-For` is read from its right, past these and no
    /// further
    trusted_proxies: Vec<IpNet> = Vec::new(), NETWORKS;
    /// Who may record and read by loopback: `open`, everybody on this machine, or `token`, whoever has a token or a login
    loopback: Loopback = Loopback::Open, LOOPBACK;
    /// Lets everybody who reaches it record and read without a token
    insecure: bool = false, SWITCH;
    /// The largest batch, compressed and decompressed
    max_body_bytes: usize = 32 << 20, BYTES;
    /// The most events in a batch
    max_batch_events: usize = 100_000, COUNT;
    /// The largest event, once what follows is cut; larger ones are refused, each by itself
    max_event_bytes: usize = Limits::DEFAULT.event_bytes, BYTES;
    /// The longest name, batch mark, thread, file or id of another system; longer ones are cut and say so
    max_name_bytes: usize = Limits::DEFAULT.name_bytes, BYTES;
    /// The longest error, its causes together, reason, or line of a log; longer ones are cut and say so
    max_text_bytes: usize = Limits::DEFAULT.text_bytes, BYTES;
    /// The most bytes in an event's fields; those beyond are left out and counted
    max_fields_bytes: usize = Limits::DEFAULT.fields_bytes, BYTES;
    /// How many bytes of request bodies may be in memory at once; more are told to come again
    max_pending_bytes: usize = 512 << 20, BYTES;
    /// How many bytes of trees may be in memory at once to be sent to those who read them; others wait a moment, or are told to come again
    max_answer_bytes: usize = 256 << 20, BYTES;
    /// How many bytes of batches may wait for the disk, decoded; more are told to come again
    max_queue_bytes: usize = crate::ingest::DEFAULT_QUEUE_BYTES, BYTES;
    /// How many connections are open at once; who comes then takes the place of one that idles, or waits
    max_connections: usize = 16_384, COUNT;
    /// How many of them one client may have
    max_connections_per_client: usize = 8_192, COUNT;
    /// How many read the stream at once
    max_subscribers: usize = 2_000, COUNT;
    /// How many workers hold a channel for commands at once, but never more than half of `max-connections` and of
    /// `max-connections-per-client`
    max_channels: usize = 4_096, COUNT;
    /// Which commands are passed on to programs: `all`; `read`, those that only tell something; `read,cancel,pause`, these methods too;
    /// `off`, none
    commands: AllowedCommands = AllowedCommands::All, COMMANDS;
    /// Tools for coding assistants at `/mcp`: `read`, those that change nothing; `operate`, also those that run, pause, cancel, acknowledge
    /// and retry, for callers with the scope `operate`; `off`, none
    mcp: Mcp = Mcp::Read, MCP;
    /// How many of the first lines of each process's log are kept, and as many of the last; those between are counted
    logs_kept: usize = Config::LOGS_KEPT, COUNT;
    /// How many processes are kept of one root; what is said of more is counted with the tree as dropped
    max_processes_per_root: usize = 10_000_000, COUNT;
    /// How deep a tree is shown; what would hang deeper hangs below its root's own process and is counted
    max_depth: usize = 10_000, COUNT;
    /// How long a tree is kept after it has ended; `off` for ever
    retention_age: Option<Duration> = None, SOME_DURATION;
    /// How long one is kept that failed or was lost [default: as all others]
    retention_failed_age: Option<Duration> = None, SOME_DURATION;
    /// How many trees of each name are kept, the newest; `off` for all
    retention_count: Option<u64> = None, SOME_COUNT;
    /// How large the database may be before the oldest trees go; `off` for any size
    retention_size: Option<u64> = None, SOME_BYTES;
    /// Rules for trees of some names and outcomes, before those above, like `[{ name = "nightly*", state = ["failed"], age = "90d",
    /// count = 100 }]`: the first that is for a tree decides, one without a limit keeps for ever
    retention: Vec<Rule> = Vec::new(), RULES;
    /// How much stays free on the disk of the data folder: batches are refused while less is, and reading and deleting go on; `off` for
    /// nothing [default: 256MiB, or a tenth of the disk if that is less]
    min_free_bytes: Option<u64> = None, FREE_BYTES;
    /// Keeps a copy of the database in the data folder, for a week at least, when a new version brings it up to date
    migration_copy: bool = true, SWITCH;
    /// How many names have figures of their own at `/metrics`, those with the most runs; the others have them together
    metrics_names: usize = 100, COUNT;
    /// How many requests a client may send per second; more are told to come again
    max_requests_per_second: usize = 10_000, COUNT;
    /// How long a login lasts
    session_lifetime: Duration = Duration::from_secs(7 * 24 * 3_600), DURATION;
    /// The provider of OpenID Connect that people log in by, beside users with passwords: its issuer, letter by letter as it says it itself
    oidc_issuer: Option<String> = None, ISSUER;
    /// This server's name there
    oidc_client_id: Option<String> = None, CLIENT;
    /// The file with its secret there, read at every login; none for a client without a secret
    oidc_client_secret_file: Option<PathBuf> = None, FILE;
    /// What is asked for of whoever logs in, between spaces
    oidc_scopes: Vec<String> = ["openid", "profile", "email"].map(str::to_owned).to_vec(), SCOPES;
    /// The claim with the groups of whoever logs in; `realm_access.roles` is one within another
    oidc_groups_claim: String = "groups".to_owned(), CLAIM;
    /// Which groups may come in, between commas: `GROUP=ROLE` with the role `viewer`, `operator` or `admin`, the highest of several; `*` is
    /// everybody whom the provider lets in; commas and percent signs in names are percent-encoded
    oidc_roles: RolesOfGroups = RolesOfGroups::default(), ROLES;
    /// How many bytes of past events the stream resumes from at once, out of memory
    stream_buffer_bytes: usize = 64 << 20, BYTES;
    /// How many bytes of past events are kept in the database, for whoever resumes the stream later; no more than a quarter of
    /// `retention-size`; `off` for none
    stream_keep_bytes: Option<u64> = Some(KeepEvents::DEFAULT.bytes), FREE_BYTES;
    /// How long they are kept
    stream_keep: Duration = KeepEvents::DEFAULT.age, DURATION;
    /// How often a stream without events says that it lives
    stream_heartbeat: Duration = Duration::from_secs(10), DURATION;
    /// How long a connection may take to send a request's head
    header_timeout: Duration = Duration::from_secs(8), DURATION;
    /// How long a connection may idle between requests
    idle_timeout: Duration = Duration::from_secs(75), DURATION;
    /// How long a request's body or an answer's reader may stand still
    stall_timeout: Duration = Duration::from_secs(15), DURATION;
    /// How many bytes of a request's body must come per second, beyond one `stall-timeout` in all
    min_body_rate_bytes: usize = 1 << 10, BYTES;
    /// The server's certificate and those between it and its root, as PEM: then it speaks https only
    tls_cert: Option<PathBuf> = None, FILE;
    /// The certificate's private key, as PEM
    tls_key: Option<PathBuf> = None, FILE;
    /// How often these files are looked at, and taken if they have changed
    tls_interval: Duration = Duration::from_secs(10), DURATION;
    /// Browsers that have come by https use nothing else for a year (`Strict-Transport-Security`), on every port of this server's host name
    hsts: bool = false, SWITCH;
    /// Where dead programs of this machine leave what they had recorded, to be taken in; `off` leaves it there [default: as the
    /// programs have it, `monitor/spool` in the user's folder for state]
    spool_dir: Option<PathBuf> = None, SPOOL;
    /// How often to look there
    spool_interval: Duration = Duration::from_secs(60), DURATION;
    /// Where what has ended is sent on as spans, by OTLP over HTTP: a collector, or whatever takes OTLP at `/v1/traces` below this address
    otlp_endpoint: Option<Url> = None, RECEIVER;
    /// What to say there in headers, between commas: `NAME=VALUE`, percent-encoded as in `OTEL_EXPORTER_OTLP_HEADERS`, `NAME=file:PATH` or
    /// `NAME=env:VARIABLE`
    otlp_headers: OtlpHeaders = OtlpHeaders::default(), HEADERS;
    /// Which processes are sent on, by conditions that must all be fulfilled, like `root=nightly* kind!=span state={failed,lost}`; the keys
    /// are name, kind, state, root, program and host [default: all]
    otlp_filter: OtlpFilter = OtlpFilter::default(), FILTER;
    /// The file with rules and channels of alerts, looked at every second [default: `alerts.toml` beside the settings file]
    alerts_file: Option<PathBuf> = None, FILE;
    /// Starts an agent that runs batch tasks on this machine: `on`, `off`, or `auto`, if only this machine reaches the server
    agent: StartAgent = StartAgent::Auto, AGENT;
    /// How long requests may go on after the server was told to stop
    stop_timeout: Duration = Duration::from_secs(10), DURATION;
}

/// Fields of settings that few servers change.
const ADVANCED: [&str; 20] = [
    "max_batch_events",
    "max_event_bytes",
    "max_name_bytes",
    "max_text_bytes",
    "max_fields_bytes",
    "max_pending_bytes",
    "max_answer_bytes",
    "max_queue_bytes",
    "max_connections_per_client",
    "max_subscribers",
    "max_channels",
    "max_depth",
    "stream_buffer_bytes",
    "stream_heartbeat",
    "header_timeout",
    "idle_timeout",
    "stall_timeout",
    "min_body_rate_bytes",
    "tls_interval",
    "spool_interval",
];

/// Who may record and read by loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// Everybody on this machine.
    Open,
    /// Whoever has a token or a login.
    Token,
}

/// Which tools for coding assistants exist at `/mcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mcp {
    /// None.
    Off,
    /// Those that change nothing.
    Read,
    /// All.
    Operate,
}

/// Says whether a server starts an agent of its own machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAgent {
    /// If only this machine reaches the server.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Config {
    /// The address to listen on unless told otherwise.
    pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 60010);

    /// What events may hold.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            name_bytes: self.max_name_bytes,
            text_bytes: self.max_text_bytes,
            fields_bytes: self.max_fields_bytes,
            event_bytes: self.max_event_bytes,
        }
    }

    /// Returns true if this is an address of a proxy whose `X-Forwarded-For` is believed.
    pub(crate) fn trusts_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// The file with rules and channels of alerts: `alerts-file`, or `alerts.toml` in the data folder.
    pub fn alerts_path(&self) -> PathBuf {
        self.alerts_file.clone().unwrap_or_else(|| self.data.join("alerts.toml"))
    }

    /// The copy of that file as it was last without mistakes.
    pub fn alerts_copy(&self) -> PathBuf {
        self.data.join("alerts.last-good.toml")
    }

    /// Whether others than this machine reach it.
    pub fn is_open(&self) -> bool {
        let is_public = |url: &Url| !url.host_str().is_some_and(monitor_wire::is_loopback);
        !self.listen.ip().to_canonical().is_loopback() || self.public_url.as_ref().is_some_and(is_public)
    }

    /// Returns true if the server has an agent of its own machine.
    pub fn starts_agent(&self) -> bool {
        match self.agent {
            StartAgent::Auto => !self.is_open(),
            StartAgent::On => true,
            StartAgent::Off => false,
        }
    }

    /// So many of the first lines of a process's log are kept, and as many of the last, unless told otherwise.
    pub const LOGS_KEPT: usize = monitor_store::LOGS_KEPT;

    /// What is kept.
    pub fn keeps(&self) -> Retention {
        let (age, failed_age) = (self.retention_age, self.retention_failed_age);
        Retention::new(self.retention.clone(), age, failed_age, self.retention_count, self.retention_size)
    }

    /// How much of the log of events is kept.
    pub(crate) fn keeps_events(&self) -> KeepEvents {
        let most = self.retention_size.map_or(u64::MAX, |size| size / 4);
        KeepEvents { bytes: self.stream_keep_bytes.unwrap_or(KeepEvents::DEFAULT.bytes).min(most), age: self.stream_keep }
    }

    /// A server on `data` that keeps to the defaults for all else.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Setting {
    field: &'static str,
    /// What it is for, as `--help` says it.
    pub help: &'static str,
    /// Stands for its value in `--help`.
    pub placeholder: &'static str,
    /// How the file has it.
    pub form: Form,
    set: fn(&mut Config, &str) -> Result<(), String>,
    show: fn(&Config) -> String,
}

impl Setting {
    /// Its name as a flag and as a key.
    pub fn key(&self) -> String {
        self.field.replace('_', "-")
    }

    /// Its name in the environment.
    pub fn variable(&self) -> String {
        format!("MONITOR_{}", self.field.to_uppercase())
    }

    /// Returns true if few servers change it. `--help` lists such settings in a section of their own.
    pub fn is_advanced(&self) -> bool {
        ADVANCED.contains(&self.field)
    }

    /// Takes the value.
    ///
    /// # Errors
    /// What was expected, if it is none.
    pub fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        (self.set)(config, text)
    }

    /// Its value as the file has it; none if it is unset.
    pub fn show(&self, config: &Config) -> Option<String> {
        let text = (self.show)(config);
        match self.form {
            _ if text.is_empty() => None,
            Form::Switch | Form::Tables => Some(text),
            Form::Number if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(text),
            Form::Number | Form::Text | Form::Secret => Some(toml::Value::String(text).to_string()),
        }
    }
}
