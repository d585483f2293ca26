//! The calls of the API, one per route, and their query parameters.

use std::time::Duration;

use monitor_wire::{
    Accepted, Alert, AlertDetail, AlertExplanation, AlertMessage, AlertPreview, AlertRules, AlertTrial, AlertTrials, AlertsPage, AuditPage,
    Batch, CancelRequest, Cancelled, CausesPage, Command, CommandMethods, CommandRequest, Confirmed, Diagnosis, ErrorsPage,
    HeartbeatDefinition, HeartbeatKey, HeartbeatRoll, Heartbeats, HushRequest, Hushes, LogsPage, Me, Process, ProcessId, ProcessesPage,
    Root, RootId, RootNamesPage, RootsPage, RuleDraft, StatsPage, StatsSeries, Status, Tokens, TreePage, Worker, WorkerId, WorkersPage,
};
use reqwest::Method;
use serde_json::Value;

use crate::call::{Call, Download};
use crate::client::Client;

/// Maximum wait for the first byte of a backup. The server copies the database before it sends it, which takes as long as the disk needs.
const BACKUP_PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// Format of an exported tree. `docs/guides/export.md` describes all formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExportFormat {
    /// One JSON object per line.
    #[default]
    Ndjson,
    /// One JSON object.
    Json,
    /// Trace events for Perfetto and Chrome.
    Perfetto,
    /// Spans as OTLP JSON.
    Otlp,
    /// A single self-contained HTML file. Accepts the parameters `compare`, `redact` and `bytes`.
    Html,
    /// Test results as JUnit XML.
    Junit,
}

impl ExportFormat {
    /// Returns the name of the format in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Perfetto => "perfetto",
            Self::Otlp => "otlp",
            Self::Html => "html",
            Self::Junit => "junit",
        }
    }
}

/// Order of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest line first.
    Oldest,
    /// Newest line first.
    Newest,
}

/// Key of a tree: its number, as in `name <batch001:2106>`, or its id. It can be created from user input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKey(pub(crate) String);

impl From<u64> for RootKey {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<RootId> for RootKey {
    fn from(id: RootId) -> Self {
        Self(id.to_string())
    }
}

impl From<&str> for RootKey {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&String> for RootKey {
    fn from(text: &String) -> Self {
        Self(text.clone())
    }
}

/// The server, access, alerts and heartbeats.
impl Client {
    /// `GET /api/v1/status`: returns an overview of the server.
    pub fn status(&self) -> Call<Status> {
        self.get(&["status"])
    }

    /// `GET /api/v1/me`: returns the identity and the rights of the caller.
    pub fn me(&self) -> Call<Me> {
        self.get(&["me"])
    }

    /// `GET /api/v1/audit`: lists changes, newest first.
    pub fn audit(&self) -> Call<AuditPage> {
        self.get(&["audit"])
    }

    /// `GET /api/v1/tokens`: lists all tokens by name.
    pub fn tokens(&self) -> Call<Tokens> {
        self.get(&["tokens"])
    }

    /// `GET /api/v1/alerts`: lists alerts, newest first.
    pub fn alerts(&self) -> Call<AlertsPage> {
        self.get(&["alerts"])
    }

    /// `GET /api/v1/alerts/{alert}`: returns an alert with its decisions and messages.
    pub fn alert(&self, alert: u64) -> Call<AlertDetail> {
        self.get(&["alerts", &alert.to_string()])
    }

    /// `GET /api/v1/alerts/explain`: explains who was notified of events in a tree, and why.
    pub fn explain_alerts(&self, root: impl Into<RootKey>) -> Call<AlertExplanation> {
        self.get(&["alerts", "explain"]).parameter("root", &root.into().0)
    }

    /// `POST /api/v1/alerts/{alert}/ack`: acknowledges an alert.
    pub fn acknowledge_alert(&self, alert: u64) -> Call<Alert> {
        self.v1(Method::POST, &["alerts", &alert.to_string(), "ack"])
    }

    /// `POST /api/v1/alerts/{alert}/resolve`: resolves an alert.
    pub fn resolve_alert(&self, alert: u64) -> Call<Alert> {
        self.v1(Method::POST, &["alerts", &alert.to_string(), "resolve"])
    }

    /// `GET /api/v1/alerts/rules`: returns the rules and channels in effect.
    pub fn alert_rules(&self) -> Call<AlertRules> {
        self.get(&["alerts", "rules"])
    }

    /// `GET /api/v1/alerts/try`: simulates a rule on the past days.
    pub fn try_alert_rule(&self, rule: &str) -> Call<AlertTrial> {
        self.get(&["alerts", "try"]).parameter("rule", rule)
    }

    /// `POST /api/v1/alerts/trials`: simulates rules that are not in effect on the past days.
    pub fn try_alert_draft(&self, draft: &RuleDraft) -> Call<AlertTrials> {
        self.v1(Method::POST, &["alerts", "trials"]).json_body(serde_json::to_vec(draft).expect("a draft is JSON"))
    }

    /// `POST /api/v1/alerts/channels/{channel}/preview`: renders the last alert as a message of a channel.
    pub fn preview_alert_channel(&self, channel: &str) -> Call<AlertPreview> {
        self.v1(Method::POST, &["alerts", "channels", channel, "preview"])
    }

    /// `POST /api/v1/alerts/channels/{channel}/test`: sends a test message immediately.
    pub fn test_alert_channel(&self, channel: &str) -> Call<AlertMessage> {
        self.v1(Method::POST, &["alerts", "channels", channel, "test"])
    }

    /// `GET /api/v1/alerts/hushes`: lists active and future snoozes and maintenance periods.
    pub fn hushes(&self) -> Call<Hushes> {
        self.get(&["alerts", "hushes"])
    }

    /// `POST /api/v1/alerts/hushes`: adds a snooze or maintenance period.
    pub fn hush(&self, request: &HushRequest) -> Call<Hushes> {
        self.v1(Method::POST, &["alerts", "hushes"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `DELETE /api/v1/alerts/hushes/{hush}`: ends a snooze or maintenance period.
    pub fn end_hush(&self, hush: u64) -> Call<()> {
        self.v1(Method::DELETE, &["alerts", "hushes", &hush.to_string()])
    }

    /// `GET /api/v1/heartbeats`: lists all heartbeats by name.
    pub fn heartbeats(&self) -> Call<Heartbeats> {
        self.get(&["heartbeats"])
    }

    /// `POST /api/v1/heartbeats`: adds a heartbeat and returns its key.
    pub fn add_heartbeat(&self, definition: &HeartbeatDefinition) -> Call<HeartbeatKey> {
        self.v1(Method::POST, &["heartbeats"]).json_body(serde_json::to_vec(definition).expect("a definition is JSON"))
    }

    /// `POST /api/v1/heartbeats/{name}/roll`: replaces the key of a heartbeat and returns the new key.
    pub fn roll_heartbeat(&self, name: &str, roll: &HeartbeatRoll) -> Call<HeartbeatKey> {
        self.v1(Method::POST, &["heartbeats", name, "roll"]).json_body(serde_json::to_vec(roll).expect("a request is JSON"))
    }

    /// `DELETE /api/v1/heartbeats/{name}`: deletes a heartbeat.
    pub fn delete_heartbeat(&self, name: &str) -> Call<()> {
        self.v1(Method::DELETE, &["heartbeats", name])
    }

    /// `POST /api/v1/clock/confirm`: confirms that the server's clock is correct after a forward jump.
    pub fn confirm_clock(&self) -> Call<Confirmed> {
        self.v1(Method::POST, &["clock", "confirm"])
    }

    /// `POST /api/v1/backup`: downloads a copy of the database.
    pub fn backup(&self) -> Call<Download> {
        self.v1(Method::POST, &["backup"]).patience(BACKUP_PATIENCE)
    }
}

/// Trees and their processes. A tree is identified by its number or its id.
impl Client {
    /// `GET /api/v1/roots`: lists trees, latest start first.
    pub fn roots(&self) -> Call<RootsPage> {
        self.get(&["roots"])
    }

    /// `GET /api/v1/roots/names`: lists the names of trees, with the name of the newest tree first.
    pub fn root_names(&self) -> Call<RootNamesPage> {
        self.get(&["roots", "names"])
    }

    /// `GET /api/v1/roots/{root}`: returns the root of a tree.
    pub fn root(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.get(&["roots", &root.into().0])
    }

    /// `GET /api/v1/roots/{root}/tree`: lists the processes of a tree in pre-order. Every page contains the root.
    pub fn tree(&self, root: impl Into<RootKey>) -> Call<TreePage> {
        self.get(&["roots", &root.into().0, "tree"])
    }

    /// `GET /api/v1/roots/{root}/processes/{id}`: returns a process.
    pub fn process(&self, root: impl Into<RootKey>, id: ProcessId) -> Call<Process> {
        self.get(&["roots", &root.into().0, "processes", &id.to_string()])
    }

    /// `GET /api/v1/processes/{id}`: lists the processes with this id in all trees.
    pub fn find_process(&self, id: ProcessId) -> Call<ProcessesPage> {
        self.get(&["processes", &id.to_string()])
    }

    /// `GET /api/v1/processes`: lists processes of all trees. To list processes that are functions, a tree, a time, or
    /// an id of another system must be set.
    pub fn processes(&self) -> Call<ProcessesPage> {
        self.get(&["processes"])
    }

    /// `GET /api/v1/doctor`: lists processes that lost their parents, with the likely reason. Covers the newest trees unless a tree is set.
    pub fn doctor(&self) -> Call<Diagnosis> {
        self.get(&["doctor"])
    }

    /// `GET /api/v1/roots/{root}/logs`: lists the log lines of a tree.
    pub fn logs(&self, root: impl Into<RootKey>) -> Call<LogsPage> {
        self.get(&["roots", &root.into().0, "logs"])
    }

    /// `GET /api/v1/roots/{root}/processes/{id}/logs`: lists the log lines of a process.
    pub fn process_logs(&self, root: impl Into<RootKey>, id: ProcessId) -> Call<LogsPage> {
        self.get(&["roots", &root.into().0, "processes", &id.to_string(), "logs"])
    }

    /// `GET /api/v1/roots/{root}/export`: downloads the whole tree with its workers and logs.
    pub fn export(&self, root: impl Into<RootKey>, format: ExportFormat) -> Call<Download> {
        self.get(&["roots", &root.into().0, "export"]).parameter("format", format.as_str())
    }

    /// `POST /api/v1/roots/{root}/pin`: protects a tree from retention until it is unpinned.
    pub fn pin(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.v1(Method::POST, &["roots", &root.into().0, "pin"])
    }

    /// `DELETE /api/v1/roots/{root}/pin`: unpins a tree.
    pub fn unpin(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.v1(Method::DELETE, &["roots", &root.into().0, "pin"])
    }

    /// `DELETE /api/v1/roots/{root}`: deletes a tree that is neither pinned nor running.
    pub fn delete(&self, root: impl Into<RootKey>) -> Call<()> {
        self.v1(Method::DELETE, &["roots", &root.into().0])
    }

    /// Deletes a tree like [`Client::delete`], even if it is running.
    pub fn delete_running(&self, root: impl Into<RootKey>) -> Call<()> {
        self.delete(root).parameter("running", &true)
    }
}

/// Workers and statistics.
impl Client {
    /// `POST /api/v1/commands`: sends a command to workers. The answer contains a line for every addressed
    /// worker. Two requests are two commands.
    pub fn command(&self, request: &CommandRequest) -> Call<Command> {
        self.v1(Method::POST, &["commands"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `GET /api/v1/commands/methods`: lists the methods that workers can execute, and the workers that offer them now.
    pub fn command_methods(&self) -> Call<CommandMethods> {
        self.get(&["commands", "methods"])
    }

    /// `POST /api/v1/roots/{root}/cancel`: cancels a process with its descendants, or a whole tree, and waits until they have ended.
    pub fn cancel(&self, root: impl Into<RootKey>, request: &CancelRequest) -> Call<Cancelled> {
        let call = self.v1(Method::POST, &["roots", &root.into().0, "cancel"]);
        call.json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `GET /api/v1/workers`: lists the workers, newest first.
    pub fn workers(&self) -> Call<WorkersPage> {
        self.get(&["workers"])
    }

    /// `GET /api/v1/workers/{id}`: returns a worker.
    pub fn worker(&self, id: WorkerId) -> Call<Worker> {
        self.get(&["workers", &id.to_string()])
    }

    /// `GET /api/v1/stats`: returns the outcomes of processes by name.
    pub fn stats(&self) -> Call<StatsPage> {
        self.get(&["stats"]).parameter("by", "name")
    }

    /// `GET /api/v1/stats/series`: returns the outcomes of processes over time.
    pub fn stats_series(&self) -> Call<StatsSeries> {
        self.get(&["stats", "series"])
    }

    /// `GET /api/v1/stats/errors`: groups similar failures, most frequent first.
    pub fn stats_errors(&self) -> Call<ErrorsPage> {
        self.get(&["stats", "errors"])
    }

    /// `GET /api/v1/stats/causes`: groups trees that failed in the same way.
    pub fn stats_causes(&self) -> Call<CausesPage> {
        self.get(&["stats", "causes"])
    }
}

/// Events.
impl Client {
    /// `POST /api/v1/events`: sends a batch of events. A batch can be sent again, because the server counts each event once.
    pub fn events(&self, batch: &Batch) -> Call<Accepted> {
        self.v1(Method::POST, &["events"]).json_body(serde_json::to_vec(batch).expect("a batch is JSON"))
    }

    /// `POST /v1/traces`: sends spans as OTLP JSON.
    pub fn traces(&self, json: impl Into<Vec<u8>>) -> Call<Value> {
        self.call(Method::POST, &["v1", "traces"]).json_body(json)
    }

    pub(crate) fn get<T>(&self, path: &[&str]) -> Call<T> {
        self.v1(Method::GET, path)
    }

    pub(crate) fn v1<T>(&self, method: Method, path: &[&str]) -> Call<T> {
        self.call(method, &[&["api", "v1"], path].concat())
    }
}

fn joined(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    words.into_iter().map(|word| word.as_ref().to_owned()).collect::<Vec<_>>().join(",")
}

/// Generates methods that set query parameters of a call. Each accepts a value of the given type.
macro_rules! narrowed {
    ($answer:ty { $($(#[$doc:meta])* $method:ident($parameter:literal: $value:ty);)* }) => {
        impl $crate::call::Call<$answer> {
            $($(#[$doc])* pub fn $method(self, value: $value) -> Self { self.parameter($parameter, &value) })*
        }
    };
}

narrowed!(RootsPage {
    /// Selects trees with exactly this name.
    name("name": &str);
    /// Selects trees with exactly this batch mark.
    batch("batch": &str);
    /// Selects trees in which this worker runs a process.
    worker("worker": WorkerId);
    /// Selects trees that began because a call had no context (true), or excludes them (false).
    unattached("unattached": bool);
    /// Selects trees with this text in the name, batch mark, error or causes of the error, ignoring case, or with
    /// this number or the beginning of an id.
    containing("q": &str);
    /// Selects trees started at this time or later, in Unix µs.
    started_after_us("started_after": u64);
    /// Selects trees started before this time, in Unix µs.
    started_before_us("started_before": u64);
});

impl Call<RootsPage> {
    /// Selects trees in one of these states.
    pub fn states(self, states: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.parameter("state", &joined(states))
    }
}

narrowed!(ProcessesPage {
    /// Selects processes with this id of another system, such as a queue.
    native_id("native_id": &str);
    /// Selects processes of this tree, by its number or its id.
    root("root": &str);
    /// Selects processes of this kind.
    kind("kind": &str);
    /// Selects processes with exactly this name.
    name("name": &str);
    /// Selects processes run by this worker.
    worker("worker": WorkerId);
    /// Selects processes that contain this text, ignoring case.
    containing("q": &str);
    /// Selects processes started at this time or later, in Unix µs.
    started_after_us("started_after": u64);
    /// Selects processes started before this time, in Unix µs.
    started_before_us("started_before": u64);
});

impl Call<ProcessesPage> {
    /// Selects processes in one of these states.
    pub fn states(self, states: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.parameter("state", &joined(states))
    }
}

narrowed!(Diagnosis {
    /// Selects this tree, by its number or its id.
    root("root": &str);
    /// Selects this process of the tree.
    process("process": ProcessId);
    /// Sets the maximum number of processes.
    limit("limit": usize);
});

narrowed!(LogsPage {
    /// Sets the least severe level of the lines: `error`, `warn`, `info`, `debug` or `trace`.
    level("level": &str);
    /// Selects lines with this text in the message, target or fields, ignoring case.
    containing("q": &str);
});

impl Call<LogsPage> {
    /// Sets the order of the lines.
    pub fn order(self, order: Order) -> Self {
        self.parameter("order", if order == Order::Oldest { "oldest" } else { "newest" })
    }
}

narrowed!(StatsPage {
    /// Selects processes with exactly this name.
    name("name": &str);
    /// Selects processes that ended at this time or later, in Unix µs.
    from_us("from": u64);
    /// Selects processes that ended before this time, in Unix µs.
    to_us("to": u64);
});

narrowed!(StatsSeries {
    /// Selects processes with exactly this name.
    name("name": &str);
    /// Sets the start of the period, in Unix µs.
    from_us("from": u64);
    /// Sets the end of the period, in Unix µs.
    to_us("to": u64);
});

narrowed!(ErrorsPage {
    /// Selects failures of processes with exactly this name.
    name("name": &str);
    /// Selects processes that ended at this time or later, in Unix µs.
    from_us("from": u64);
    /// Selects processes that ended before this time, in Unix µs.
    to_us("to": u64);
});

narrowed!(CausesPage {
    /// Selects trees that ended at this time or later, in Unix µs.
    from_us("from": u64);
    /// Selects trees that ended before this time, in Unix µs.
    to_us("to": u64);
});

macro_rules! pages {
    ($($page:ty)*) => {
        $(impl $crate::call::Page for $page {
            fn next_cursor(&self) -> Option<&str> {
                self.next_cursor.as_deref()
            }
        })*
    };
}

pub(crate) use {narrowed, pages};

pages!(AuditPage LogsPage ProcessesPage RootNamesPage RootsPage StatsPage TreePage WorkersPage);
