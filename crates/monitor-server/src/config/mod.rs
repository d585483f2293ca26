//! Settings of a server. One table defines the fields, their defaults, flags, environment variables and keys in the file.

mod celery;
mod file;
mod job_callbacks;
mod job_rules;
mod kinds;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use monitor_jobs::JobRule;
use monitor_store::KeepEvents;
use monitor_store::packed::Limits;
use monitor_store::retention::{Retention, Rule};
use url::Url;

use crate::commands::AllowedCommands;
use crate::forward::{OtlpFilter, OtlpHeaders};

pub use self::celery::CeleryCluster;
pub use self::file::{File, FileError};
pub use self::kinds::Form;
use self::kinds::{
    ADDRESS, AGENT, BYTES, CELERY, CLAIM, CLIENT, COMMANDS, COUNT, DURATION, FILE, FILTER, FOLDER, FREE_BYTES, HEADERS, ISSUER,
    JOB_CALLBACKS, JOB_RULES, LOOPBACK, MCP, NETWORKS, ORIGIN, RECEIVER, ROLES, RULES, SCOPES, SOME_ADDRESS, SOME_BYTES, SOME_COUNT,
    SOME_DURATION, SPOOL, SWITCH,
};
use crate::jobs::CallbackTarget;
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
    /// Folder of the database, created if missing [default: monitor in the user's data folder, usually ~/.local/share]
    data: PathBuf = PathBuf::new(), FOLDER;
    /// URL of the server for others, if it differs from the listen address; clients then need a token or a login
    public_url: Option<Url> = None, ORIGIN;
    /// Addresses and networks of proxies in front of the server, separated by commas; the client is the last address in `X-Forwarded-For`
    /// that is not one of them
    trusted_proxies: Vec<IpNet> = Vec::new(), NETWORKS;
    /// Access from this machine: `open` lets all its users record and read; `token` requires a token or a login
    loopback: Loopback = Loopback::Open, LOOPBACK;
    /// Unix socket to create, through which its owner and the members of its group get links for the page by `monitor open`, as viewer or
    /// operator
    open_socket: Option<PathBuf> = None, FILE;
    /// Allow everyone who can reach the server to record and read without a token
    insecure: bool = false, SWITCH;
    /// Maximum size of a batch, compressed and decompressed
    max_body_bytes: usize = 32 << 20, BYTES;
    /// Maximum number of events in a batch
    max_batch_events: usize = 100_000, COUNT;
    /// Maximum size of an event after its texts are cut; larger events are refused individually
    max_event_bytes: usize = Limits::DEFAULT.event_bytes, BYTES;
    /// Maximum size of a name, batch mark, thread, file or foreign id; longer texts are cut and marked
    max_name_bytes: usize = Limits::DEFAULT.name_bytes, BYTES;
    /// Maximum size of an error, of its causes together, of a reason, and of a log line; longer texts are cut and marked
    max_text_bytes: usize = Limits::DEFAULT.text_bytes, BYTES;
    /// Maximum size of the fields of an event; further fields are dropped and counted
    max_fields_bytes: usize = Limits::DEFAULT.fields_bytes, BYTES;
    /// Maximum size of all request bodies in memory; further requests must be repeated later
    max_pending_bytes: usize = 512 << 20, BYTES;
    /// Maximum size of all trees in memory that are being sent to readers; further readers wait, or must retry later
    max_answer_bytes: usize = 256 << 20, BYTES;
    /// Maximum size of all decoded batches that wait for the disk; further batches must be sent again later
    max_queue_bytes: usize = crate::ingest::DEFAULT_QUEUE_BYTES, BYTES;
    /// Maximum number of open connections; a new connection replaces an idle one, or waits
    max_connections: usize = 16_384, COUNT;
    /// Maximum number of open connections of one client
    max_connections_per_client: usize = 8_192, COUNT;
    /// Maximum number of readers of the event stream
    max_subscribers: usize = 2_000, COUNT;
    /// Maximum number of workers that are connected for commands; at most half of `max-connections` and of `max-connections-per-client`
    max_channels: usize = 4_096, COUNT;
    /// Commands to pass on to programs: `all`; `read` for those that change nothing; a list that adds methods, such as `read,cancel,pause`;
    /// or `off`
    commands: AllowedCommands = AllowedCommands::All, COMMANDS;
    /// Tools for coding assistants at `/mcp`: `read` for those that change nothing; `operate` to add those that run, pause, cancel,
    /// acknowledge and retry, for callers with the scope `operate`; or `off`
    mcp: Mcp = Mcp::Read, MCP;
    /// Number of log lines to keep from the start of each process, and the same number from the end; lines in between are only counted
    logs_kept: usize = Config::LOGS_KEPT, COUNT;
    /// Size of the output to keep of each run of a job on a host, half from the start and half from the end; the bytes in between are only
    /// counted
    job_output_bytes: usize = 10 << 20, BYTES;
    /// Rules for dangerous commands in jobs on hosts, such as `[{ pattern = "rm -rf /", action = "refuse" }]`: `refuse` the job, `confirm`
    /// it by a user before it begins, or `warn`
    job_rule: Vec<JobRule> = Vec::new(), JOB_RULES;
    /// Addresses that callbacks of jobs may be sent to, with all paths below, such as `[{ url = "https://hooks.example.com/jobs" }]`;
    /// `private = true` permits addresses of this machine and of private networks
    job_callback: Vec<CallbackTarget> = Vec::new(), JOB_CALLBACKS;
    /// File with the hosts and saved targets of jobs, read again when it changes [default: `hosts.toml` next to the settings file]
    hosts_file: Option<PathBuf> = None, FILE;
    /// Clusters of Celery whose tasks and workers are recorded: the address of a broker, such as `redis://host/0`, or tables such as
    /// `[{ name = "orders", broker = "amqp://host" }]`
    celery: Vec<CeleryCluster> = Vec::new(), CELERY;
    /// Address of the HTTP API of Flower, for programs that were written for it, such as 127.0.0.1:5555; at most one cluster of Celery may
    /// be recorded
    flower_listen: Option<SocketAddr> = None, SOME_ADDRESS;
    /// Maximum number of processes to keep of a run; events of further processes are dropped and counted
    max_processes_per_root: usize = 10_000_000, COUNT;
    /// Maximum depth of a tree; deeper processes are attached to the root and counted
    max_depth: usize = 10_000, COUNT;
    /// Time to keep a run after its end, or `off` to keep runs forever [default: off]
    retention_age: Option<Duration> = None, SOME_DURATION;
    /// Time to keep a run that failed or was lost [default: as for other runs]
    retention_failed_age: Option<Duration> = None, SOME_DURATION;
    /// Number of newest runs to keep of each name, or `off` for all [default: off]
    retention_count: Option<u64> = None, SOME_COUNT;
    /// Maximum size of the database, above which the oldest runs are deleted, or `off` for no limit [default: off]
    retention_size: Option<u64> = None, SOME_BYTES;
    /// Rules for runs with certain names, batch marks and outcomes, such as `[{ name = "nightly*", state = ["failed"], age = "90d", count =
    /// 100 }, { batch = "orders", age = "7d" }]`; the first rule that matches replaces the other settings except `retention-size`, and a
    /// rule without limits keeps runs forever
    retention: Vec<Rule> = Vec::new(), RULES;
    /// Disk space to keep free in the data folder: with less, batches are refused, while reading and deleting still work; `off` for no
    /// limit [default: 256MiB, or a tenth of the disk if that is less]
    min_free_bytes: Option<u64> = None, FREE_BYTES;
    /// Keep a copy of the database in the data folder for at least a week when a new version migrates it [default: true]
    migration_copy: bool = true, SWITCH;
    /// Maximum number of names with separate metrics at `/metrics`, those with the most runs; all other names share theirs
    metrics_names: usize = 100, COUNT;
    /// Maximum number of requests per second of one client; further requests must be repeated later
    max_requests_per_second: usize = 10_000, COUNT;
    /// Lifetime of a login
    session_lifetime: Duration = Duration::from_secs(7 * 24 * 3_600), DURATION;
    /// Issuer of the OpenID Connect provider for logins, exactly as the provider states it; users with passwords can log in as well
    oidc_issuer: Option<String> = None, ISSUER;
    /// Client id of this server at the OpenID Connect provider
    oidc_client_id: Option<String> = None, CLIENT;
    /// File with the client secret, read at each login; unset for a client without a secret
    oidc_client_secret_file: Option<PathBuf> = None, FILE;
    /// Scopes to request at a login, separated by spaces
    oidc_scopes: Vec<String> = ["openid", "profile", "email"].map(str::to_owned).to_vec(), SCOPES;
    /// Claim with the groups of a user; `realm_access.roles` is a nested claim
    oidc_groups_claim: String = "groups".to_owned(), CLAIM;
    /// Groups that may log in, separated by commas: `GROUP=ROLE` with the role `viewer`, `operator` or `admin`; a user gets the highest
    /// role; `*` matches all users of the provider; commas and percent signs in names are percent-encoded
    oidc_roles: RolesOfGroups = RolesOfGroups::default(), ROLES;
    /// Size of the past events in memory, from which the event stream resumes without reading the database
    stream_buffer_bytes: usize = 16 << 20, BYTES;
    /// Size of the past events in the database, from which the event stream can resume, at most a quarter of `retention-size`; `off` for
    /// none
    stream_keep_bytes: Option<u64> = Some(KeepEvents::DEFAULT.bytes), FREE_BYTES;
    /// Time to keep past events for the event stream
    stream_keep: Duration = KeepEvents::DEFAULT.age, DURATION;
    /// Interval of heartbeats on an event stream without events
    stream_heartbeat: Duration = Duration::from_secs(10), DURATION;
    /// Maximum time to receive the head of a request
    header_timeout: Duration = Duration::from_secs(8), DURATION;
    /// Maximum idle time of a connection between requests
    idle_timeout: Duration = Duration::from_secs(75), DURATION;
    /// Maximum pause while a request body is received or an answer is sent
    stall_timeout: Duration = Duration::from_secs(15), DURATION;
    /// Minimum number of bytes per second of a request body, apart from pauses of one `stall-timeout` in total
    min_body_rate_bytes: usize = 1 << 10, BYTES;
    /// Certificate of the server and its intermediate certificates, as PEM; the server then accepts only https
    tls_cert: Option<PathBuf> = None, FILE;
    /// Private key of the certificate, as PEM
    tls_key: Option<PathBuf> = None, FILE;
    /// Interval at which the files of certificate and key are checked for changes
    tls_interval: Duration = Duration::from_secs(10), DURATION;
    /// Send `Strict-Transport-Security`: browsers then use only https for a year, on all ports of this host name [default: false]
    hsts: bool = false, SWITCH;
    /// Folder where killed programs of this machine leave their records, which the server imports; `off` to import none [default:
    /// monitor/spool in the user's state folder, as for programs]
    spool_dir: Option<PathBuf> = None, SPOOL;
    /// Interval at which the spool folder is checked
    spool_interval: Duration = Duration::from_secs(60), DURATION;
    /// URL to send ended processes to as OTLP spans over HTTP: a collector, or any receiver with `/v1/traces` below this URL
    otlp_endpoint: Option<Url> = None, RECEIVER;
    /// Headers to send to the OTLP receiver, separated by commas: `NAME=VALUE`, percent-encoded as in `OTEL_EXPORTER_OTLP_HEADERS`,
    /// `NAME=file:PATH` or `NAME=env:VARIABLE`
    otlp_headers: OtlpHeaders = OtlpHeaders::default(), HEADERS;
    /// Processes to send by OTLP: conditions that must all be met, such as `root=nightly* kind!=span state={failed,lost}`; the keys are
    /// name, kind, state, root, program and host [default: all]
    otlp_filter: OtlpFilter = OtlpFilter::default(), FILTER;
    /// File with the rules and channels of alerts, read again when it changes [default: `alerts.toml` next to the settings file]
    alerts_file: Option<PathBuf> = None, FILE;
    /// Start an agent that runs batch tasks on this machine: `on`, `off`, or `auto` for on if only this machine can reach the server
    agent: StartAgent = StartAgent::Auto, AGENT;
    /// Maximum time for requests in progress to finish after a stop signal
    stop_timeout: Duration = Duration::from_secs(10), DURATION;
}

/// Fields of the settings that most servers need. `--help` lists all others in a section of their own.
const COMMON: [&str; 12] = [
    "listen",
    "data",
    "public_url",
    "loopback",
    "insecure",
    "retention_age",
    "retention_failed_age",
    "retention_size",
    "tls_cert",
    "tls_key",
    "alerts_file",
    "agent",
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
        self.open_address().is_some() || self.public_url.as_ref().is_some_and(is_public)
    }

    /// Returns an address to listen on that other machines can reach.
    pub(crate) fn open_address(&self) -> Option<SocketAddr> {
        [Some(self.listen), self.flower_listen].into_iter().flatten().find(|address| !address.ip().to_canonical().is_loopback())
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
        let rules = self.retention.iter().cloned().chain(self.celery.iter().flat_map(CeleryCluster::retention)).collect();
        Retention::new(rules, age, failed_age, self.retention_count, self.retention_size)
    }

    /// Returns the settings of jobs. A job is kept as long as the runs with the longest age.
    pub(crate) fn jobs(&self) -> crate::jobs::Settings {
        let age = self.retention_age.map(|age| age.max(self.retention_failed_age.unwrap_or_default()));
        crate::jobs::Settings {
            data: self.data.clone(),
            output_bytes: self.job_output_bytes as u64,
            age,
            rules: self.job_rule.clone(),
            callbacks: self.job_callback.clone(),
            hosts_file: self.hosts_file.clone(),
        }
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
        !COMMON.contains(&self.field)
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
