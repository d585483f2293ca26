//! Settings of a server. One table defines the fields, their defaults, flags, environment variables and keys in the file.

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

/// Generates [`Config`] and [`SETTINGS`] from entries of the form `field: Type = default, kind;`. The doc comment of an entry is also its
/// text in `--help`. `max_body_bytes` becomes the flag `--max-body-bytes`, the variable `MONITOR_MAX_BODY_BYTES` and the key
/// `max-body-bytes`.
macro_rules! settings {
    ($($(#[doc = $help:literal])+ $field:ident: $type:ty = $default:expr, $kind:ident;)+) => {
        /// Address, data folder and limits of a server.
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
    /// Address to listen on; port 0 selects a free port
    listen: SocketAddr = Config::DEFAULT_LISTEN, ADDRESS;
    /// Folder of the database, created if it is missing [default: `monitor` in the user's data folder]
    data: PathBuf = PathBuf::new(), FOLDER;
    /// URL under which other machines reach the server; requests through it need a token or a login
    public_url: Option<Url> = None, ORIGIN;
    /// Proxies in front of the server, comma-separated addresses and networks: `X-Forwarded-For` is read from the right, up to the first
    /// address that is not one of them
    trusted_proxies: Vec<IpNet> = Vec::new(), NETWORKS;
    /// Access through loopback for recording and reading: `open` for everyone on this machine, or `token` to require a token or a login
    loopback: Loopback = Loopback::Open, LOOPBACK;
    /// Allow everyone who can reach the server to record and read without a token
    insecure: bool = false, SWITCH;
    /// Maximum size of a batch, compressed and decompressed
    max_body_bytes: usize = 32 << 20, BYTES;
    /// Maximum number of events in a batch
    max_batch_events: usize = 100_000, COUNT;
    /// Maximum size of an event, after its texts have been cut as below; a larger event is refused by itself
    max_event_bytes: usize = Limits::DEFAULT.event_bytes, BYTES;
    /// Maximum length of a name, batch mark, thread, file or id of another system; longer texts are cut and marked
    max_name_bytes: usize = Limits::DEFAULT.name_bytes, BYTES;
    /// Maximum length of an error with its causes, a reason, or a log line; longer ones are cut and marked
    max_text_bytes: usize = Limits::DEFAULT.text_bytes, BYTES;
    /// Maximum total size of an event's fields; further fields are omitted and counted
    max_fields_bytes: usize = Limits::DEFAULT.fields_bytes, BYTES;
    /// Memory for request bodies, in bytes; beyond it, clients must send again later
    max_pending_bytes: usize = 512 << 20, BYTES;
    /// Memory for large responses that are being sent, in bytes; beyond it, requests wait briefly and are then refused for now
    max_answer_bytes: usize = 256 << 20, BYTES;
    /// Memory for decoded batches that wait for the disk, in bytes; beyond it, clients must send again later
    max_queue_bytes: usize = crate::ingest::DEFAULT_QUEUE_BYTES, BYTES;
    /// Maximum number of open connections; beyond it, a new connection replaces an idle one, or waits
    max_connections: usize = 16_384, COUNT;
    /// Maximum number of open connections per client
    max_connections_per_client: usize = 8_192, COUNT;
    /// Maximum number of clients that read the stream
    max_subscribers: usize = 2_000, COUNT;
    /// Maximum number of workers with an open command channel; at most half of `max-connections` and of `max-connections-per-client`
    max_channels: usize = 4_096, COUNT;
    /// Commands that are passed on to programs: `all`; `read` for those that only query; `read,cancel,pause` for these methods too; `off`
    /// for none
    commands: AllowedCommands = AllowedCommands::All, COMMANDS;
    /// Tools for coding assistants at `/mcp`: `read` for those that change nothing; `operate` also for those that run, pause, cancel,
    /// acknowledge and retry, for callers with the scope `operate`; `off` for none
    mcp: Mcp = Mcp::Read, MCP;
    /// Number of first and of last log lines kept per process; the lines between them are counted
    logs_kept: usize = Config::LOGS_KEPT, COUNT;
    /// Maximum number of processes per root; events about further processes are counted as dropped
    max_processes_per_root: usize = 10_000_000, COUNT;
    /// Maximum depth of a tree; deeper processes are attached to the root's own process and counted
    max_depth: usize = 10_000, COUNT;
    /// Time to keep a run after its end; `off` for unlimited
    retention_age: Option<Duration> = None, SOME_DURATION;
    /// Time to keep a run that failed or was lost [default: as all others]
    retention_failed_age: Option<Duration> = None, SOME_DURATION;
    /// Number of newest runs to keep per name; `off` for all
    retention_count: Option<u64> = None, SOME_COUNT;
    /// Size of the database beyond which the oldest runs are deleted; `off` for unlimited
    retention_size: Option<u64> = None, SOME_BYTES;
    /// Rules for runs of some names and outcomes, which precede the settings above, such as `[{ name = "nightly*", state = ["failed"], age
    /// = "90d", count = 100 }]`: the first matching rule decides, and a rule without a limit keeps runs permanently
    retention: Vec<Rule> = Vec::new(), RULES;
    /// Free space to leave on the disk of the data folder: with less, batches are refused, and reading and deleting continue; `off` for
    /// none [default: 256MiB, or a tenth of the disk if that is less]
    min_free_bytes: Option<u64> = None, FREE_BYTES;
    /// Keep a copy of the database in the data folder, for at least a week, when a new version migrates it
    migration_copy: bool = true, SWITCH;
    /// Number of names with metrics of their own at `/metrics`, those with the most runs; the others are summed
    metrics_names: usize = 100, COUNT;
    /// Maximum number of requests per second and client; beyond it, clients must send again later
    max_requests_per_second: usize = 10_000, COUNT;
    /// Lifetime of a login
    session_lifetime: Duration = Duration::from_secs(7 * 24 * 3_600), DURATION;
    /// OpenID Connect provider for logins, in addition to users with passwords: its issuer, exactly as the provider reports it
    oidc_issuer: Option<String> = None, ISSUER;
    /// Client id of this server at the provider
    oidc_client_id: Option<String> = None, CLIENT;
    /// File with the client secret, read at every login; not set for a client without a secret
    oidc_client_secret_file: Option<PathBuf> = None, FILE;
    /// Scopes to request at login, separated by spaces
    oidc_scopes: Vec<String> = ["openid", "profile", "email"].map(str::to_owned).to_vec(), SCOPES;
    /// Claim that contains the user's groups; `realm_access.roles` for a nested claim
    oidc_groups_claim: String = "groups".to_owned(), CLAIM;
    /// Groups that may log in, comma-separated `GROUP=ROLE` with the role `viewer`, `operator` or `admin`, the highest of several; `*` for
    /// all users of the provider; commas and percent signs in names are percent-encoded
    oidc_roles: RolesOfGroups = RolesOfGroups::default(), ROLES;
    /// Memory for recent events, which the stream can resume without reading the disk, in bytes
    stream_buffer_bytes: usize = 64 << 20, BYTES;
    /// Size of the log of past events in the database, which the stream can resume later, in bytes; at most a quarter of `retention-size`;
    /// `off` for none
    stream_keep_bytes: Option<u64> = Some(KeepEvents::DEFAULT.bytes), FREE_BYTES;
    /// Time to keep past events
    stream_keep: Duration = KeepEvents::DEFAULT.age, DURATION;
    /// Interval of the heartbeat messages of a stream without events
    stream_heartbeat: Duration = Duration::from_secs(10), DURATION;
    /// Maximum time to receive the head of a request
    header_timeout: Duration = Duration::from_secs(8), DURATION;
    /// Maximum idle time of a connection between requests
    idle_timeout: Duration = Duration::from_secs(75), DURATION;
    /// Maximum time without progress while a body is received or a response is sent
    stall_timeout: Duration = Duration::from_secs(15), DURATION;
    /// Minimum number of bytes per second of a request's body, after one `stall-timeout` in total
    min_body_rate_bytes: usize = 1 << 10, BYTES;
    /// Server certificate and intermediate certificates, as PEM; the server then uses https only
    tls_cert: Option<PathBuf> = None, FILE;
    /// Private key of the certificate, as PEM
    tls_key: Option<PathBuf> = None, FILE;
    /// Interval of checking these files for changes
    tls_interval: Duration = Duration::from_secs(10), DURATION;
    /// Make browsers use only https for a year (`Strict-Transport-Security`), on every port of this server's host name
    hsts: bool = false, SWITCH;
    /// Folder in which dead programs of this machine leave their records, which the server stores; `off` to leave them there [default: as
    /// for the programs, `monitor/spool` in the user's state folder]
    spool_dir: Option<PathBuf> = None, SPOOL;
    /// Interval of scanning that folder
    spool_interval: Duration = Duration::from_secs(60), DURATION;
    /// OTLP/HTTP receiver for ended processes, which are forwarded as spans: a collector, or any other receiver with `/v1/traces` below
    /// this address
    otlp_endpoint: Option<Url> = None, RECEIVER;
    /// Headers to send to it, comma-separated `NAME=VALUE`, percent-encoded as in `OTEL_EXPORTER_OTLP_HEADERS`, `NAME=file:PATH` or
    /// `NAME=env:VARIABLE`
    otlp_headers: OtlpHeaders = OtlpHeaders::default(), HEADERS;
    /// Processes to forward, by conditions that must all be met, such as `root=nightly* kind!=span state={failed,lost}`; the keys are name,
    /// kind, state, root, program and host [default: all]
    otlp_filter: OtlpFilter = OtlpFilter::default(), FILTER;
    /// File with alert rules and channels, checked every second [default: `alerts.toml` beside the settings file]
    alerts_file: Option<PathBuf> = None, FILE;
    /// Start an agent that runs batch tasks on this machine: `on`, `off`, or `auto` to start it if only this machine can reach the server
    agent: StartAgent = StartAgent::Auto, AGENT;
    /// Time for running requests to finish when the server stops
    stop_timeout: Duration = Duration::from_secs(10), DURATION;
}

/// Fields of settings that few servers need to change.
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

/// Access through loopback for recording and reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// Everyone on this machine.
    Open,
    /// Callers with a token or a login.
    Token,
}

/// Tools for coding assistants at `/mcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mcp {
    /// No tools.
    Off,
    /// Tools that change nothing.
    Read,
    /// All tools.
    Operate,
}

/// Condition under which a server starts an agent on its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAgent {
    /// Starts the agent if only this machine can reach the server.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Config {
    /// Default address to listen on.
    pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 60010);

    /// Returns the limits on the size of events.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            name_bytes: self.max_name_bytes,
            text_bytes: self.max_text_bytes,
            fields_bytes: self.max_fields_bytes,
            event_bytes: self.max_event_bytes,
        }
    }

    /// True if this is the address of a proxy whose `X-Forwarded-For` is trusted.
    pub(crate) fn trusts_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// Returns the path of the file with alert rules and channels: `alerts-file`, or `alerts.toml` in the data folder.
    pub fn alerts_path(&self) -> PathBuf {
        self.alerts_file.clone().unwrap_or_else(|| self.data.join("alerts.toml"))
    }

    /// Returns the path of the copy of that file in its last valid state.
    pub fn alerts_copy(&self) -> PathBuf {
        self.data.join("alerts.last-good.toml")
    }

    /// True if other machines can reach the server.
    pub fn is_open(&self) -> bool {
        let is_public = |url: &Url| !url.host_str().is_some_and(monitor_wire::is_loopback);
        !self.listen.ip().to_canonical().is_loopback() || self.public_url.as_ref().is_some_and(is_public)
    }

    /// True if the server starts an agent on its machine.
    pub fn starts_agent(&self) -> bool {
        match self.agent {
            StartAgent::Auto => !self.is_open(),
            StartAgent::On => true,
            StartAgent::Off => false,
        }
    }

    /// Default number of first and of last lines kept of a process's log.
    pub const LOGS_KEPT: usize = monitor_store::LOGS_KEPT;

    /// Returns the retention rules.
    pub fn keeps(&self) -> Retention {
        let (age, failed_age) = (self.retention_age, self.retention_failed_age);
        Retention::new(self.retention.clone(), age, failed_age, self.retention_count, self.retention_size)
    }

    /// Returns the limits on the log of events.
    pub(crate) fn keeps_events(&self) -> KeepEvents {
        let most = self.retention_size.map_or(u64::MAX, |size| size / 4);
        KeepEvents { bytes: self.stream_keep_bytes.unwrap_or(KeepEvents::DEFAULT.bytes).min(most), age: self.stream_keep }
    }

    /// Creates the settings for a server on the folder `data`, with defaults for everything else.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }
}

/// Row of the table of settings.
#[derive(Debug)]
pub struct Setting {
    field: &'static str,
    /// Description for `--help`.
    pub help: &'static str,
    /// Placeholder of the value in `--help`.
    pub placeholder: &'static str,
    /// Type of the value in the settings file.
    pub form: Form,
    set: fn(&mut Config, &str) -> Result<(), String>,
    show: fn(&Config) -> String,
}

impl Setting {
    /// Returns the name of the flag and the key.
    pub fn key(&self) -> String {
        self.field.replace('_', "-")
    }

    /// Returns the name of the environment variable.
    pub fn variable(&self) -> String {
        format!("MONITOR_{}", self.field.to_uppercase())
    }

    /// True if few servers need to change the setting. `--help` lists such settings in a separate section.
    pub fn is_advanced(&self) -> bool {
        ADVANCED.contains(&self.field)
    }

    /// Parses and sets the value.
    ///
    /// # Errors
    /// Describes the expected value if the text is invalid.
    pub fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        (self.set)(config, text)
    }

    /// Formats the value as in the settings file. `None` if it is unset.
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
