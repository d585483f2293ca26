//! The calls of the API, one for each route, and what each may be narrowed by.

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

/// A copy of the database is made before its first byte comes, which may take as long as a disk takes to copy all of it.
const BACKUP_PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// The form of an exported tree: `docs/export.md` has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExportFormat {
    /// One JSON object per line.
    #[default]
    Ndjson,
    /// One JSON object.
    Json,
    /// For Perfetto and Chrome.
    Perfetto,
    /// OTLP's JSON.
    Otlp,
    /// One HTML file that opens anywhere. It takes the parameters `compare`, `redact` and `bytes`.
    Html,
    /// Test results as JUnit's XML.
    Junit,
}

impl ExportFormat {
    /// The word that the API has for it.
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

/// The order of lines of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first line first.
    Oldest,
    /// The last line first.
    Newest,
}

/// A tree by its number, as in `name <batch001:2106>`, or by its id, or as somebody typed either.
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

/// What the server is, and who asks.
impl Client {
    /// `GET /api/v1/status`: the server at a glance.
    pub fn status(&self) -> Call<Status> {
        self.get(&["status"])
    }

    /// `GET /api/v1/me`: who asks, and what they may do.
    pub fn me(&self) -> Call<Me> {
        self.get(&["me"])
    }

    /// `GET /api/v1/audit`: what was changed, newest first.
    pub fn audit(&self) -> Call<AuditPage> {
        self.get(&["audit"])
    }

    /// `GET /api/v1/tokens`: all tokens, by name.
    pub fn tokens(&self) -> Call<Tokens> {
        self.get(&["tokens"])
    }

    /// `GET /api/v1/alerts`: alerts, the newest first.
    pub fn alerts(&self) -> Call<AlertsPage> {
        self.get(&["alerts"])
    }

    /// `GET /api/v1/alerts/{alert}`: an alert with all that was decided and sent.
    pub fn alert(&self, alert: u64) -> Call<AlertDetail> {
        self.get(&["alerts", &alert.to_string()])
    }

    /// `GET /api/v1/alerts/explain`: who was told of what happened in a tree, and why.
    pub fn explain_alerts(&self, root: impl Into<RootKey>) -> Call<AlertExplanation> {
        self.get(&["alerts", "explain"]).parameter("root", &root.into().0)
    }

    /// `POST /api/v1/alerts/{alert}/ack`
    pub fn acknowledge_alert(&self, alert: u64) -> Call<Alert> {
        self.v1(Method::POST, &["alerts", &alert.to_string(), "ack"])
    }

    /// `POST /api/v1/alerts/{alert}/resolve`
    pub fn resolve_alert(&self, alert: u64) -> Call<Alert> {
        self.v1(Method::POST, &["alerts", &alert.to_string(), "resolve"])
    }

    /// `GET /api/v1/alerts/rules`: rules and channels as they hold.
    pub fn alert_rules(&self) -> Call<AlertRules> {
        self.get(&["alerts", "rules"])
    }

    /// `GET /api/v1/alerts/try`: what a rule would have made of the past days.
    pub fn try_alert_rule(&self, rule: &str) -> Call<AlertTrial> {
        self.get(&["alerts", "try"]).parameter("rule", rule)
    }

    /// `POST /api/v1/alerts/trials`: what rules that don't hold yet would have made of the past days.
    pub fn try_alert_draft(&self, draft: &RuleDraft) -> Call<AlertTrials> {
        self.v1(Method::POST, &["alerts", "trials"]).json_body(serde_json::to_vec(draft).expect("a draft is JSON"))
    }

    /// `POST /api/v1/alerts/channels/{channel}/preview`: the last alert as a channel would tell it.
    pub fn preview_alert_channel(&self, channel: &str) -> Call<AlertPreview> {
        self.v1(Method::POST, &["alerts", "channels", channel, "preview"])
    }

    /// `POST /api/v1/alerts/channels/{channel}/test`: sends a message at once.
    pub fn test_alert_channel(&self, channel: &str) -> Call<AlertMessage> {
        self.v1(Method::POST, &["alerts", "channels", channel, "test"])
    }

    /// `GET /api/v1/alerts/hushes`: snoozes and maintenance that are not over.
    pub fn hushes(&self) -> Call<Hushes> {
        self.get(&["alerts", "hushes"])
    }

    /// `POST /api/v1/alerts/hushes`
    pub fn hush(&self, request: &HushRequest) -> Call<Hushes> {
        self.v1(Method::POST, &["alerts", "hushes"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `DELETE /api/v1/alerts/hushes/{hush}`
    pub fn end_hush(&self, hush: u64) -> Call<()> {
        self.v1(Method::DELETE, &["alerts", "hushes", &hush.to_string()])
    }

    /// `GET /api/v1/heartbeats`: all heartbeats, by name.
    pub fn heartbeats(&self) -> Call<Heartbeats> {
        self.get(&["heartbeats"])
    }

    /// `POST /api/v1/heartbeats`: adds a heartbeat, and tells its key.
    pub fn add_heartbeat(&self, definition: &HeartbeatDefinition) -> Call<HeartbeatKey> {
        self.v1(Method::POST, &["heartbeats"]).json_body(serde_json::to_vec(definition).expect("a definition is JSON"))
    }

    /// `POST /api/v1/heartbeats/{name}/roll`: gives a heartbeat another key, and tells it.
    pub fn roll_heartbeat(&self, name: &str, roll: &HeartbeatRoll) -> Call<HeartbeatKey> {
        self.v1(Method::POST, &["heartbeats", name, "roll"]).json_body(serde_json::to_vec(roll).expect("a request is JSON"))
    }

    /// `DELETE /api/v1/heartbeats/{name}`: deletes a heartbeat.
    pub fn delete_heartbeat(&self, name: &str) -> Call<()> {
        self.v1(Method::DELETE, &["heartbeats", name])
    }

    /// `POST /api/v1/clock/confirm`: says that the server's clock is right after it jumped ahead.
    pub fn confirm_clock(&self) -> Call<Confirmed> {
        self.v1(Method::POST, &["clock", "confirm"])
    }

    /// `POST /api/v1/backup`: a copy of the database.
    pub fn backup(&self) -> Call<Download> {
        self.v1(Method::POST, &["backup"]).patience(BACKUP_PATIENCE)
    }
}

/// Trees and their processes. A tree is named by its number or its id.
impl Client {
    /// `GET /api/v1/roots`: trees, those that began last first.
    pub fn roots(&self) -> Call<RootsPage> {
        self.get(&["roots"])
    }

    /// `GET /api/v1/roots/names`: the names of trees, that of the newest tree first.
    pub fn root_names(&self) -> Call<RootNamesPage> {
        self.get(&["roots", "names"])
    }

    /// `GET /api/v1/roots/{root}`
    pub fn root(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.get(&["roots", &root.into().0])
    }

    /// `GET /api/v1/roots/{root}/tree`: its processes in pre-order. The root is in every page.
    pub fn tree(&self, root: impl Into<RootKey>) -> Call<TreePage> {
        self.get(&["roots", &root.into().0, "tree"])
    }

    /// `GET /api/v1/roots/{root}/processes/{id}`
    pub fn process(&self, root: impl Into<RootKey>, id: ProcessId) -> Call<Process> {
        self.get(&["roots", &root.into().0, "processes", &id.to_string()])
    }

    /// `GET /api/v1/processes/{id}`: processes of this id, in whatever trees.
    pub fn find_process(&self, id: ProcessId) -> Call<ProcessesPage> {
        self.get(&["processes", &id.to_string()])
    }

    /// `GET /api/v1/processes`: processes of all trees. Of those that are functions it wants a tree, a time, or an id of another system.
    pub fn processes(&self) -> Call<ProcessesPage> {
        self.get(&["processes"])
    }

    /// `GET /api/v1/doctor`: processes that lost their parents, and what is likely the reason; of the newest trees unless one is named.
    pub fn doctor(&self) -> Call<Diagnosis> {
        self.get(&["doctor"])
    }

    /// `GET /api/v1/roots/{root}/logs`: what its processes said.
    pub fn logs(&self, root: impl Into<RootKey>) -> Call<LogsPage> {
        self.get(&["roots", &root.into().0, "logs"])
    }

    /// `GET /api/v1/roots/{root}/processes/{id}/logs`: what one process said.
    pub fn process_logs(&self, root: impl Into<RootKey>, id: ProcessId) -> Call<LogsPage> {
        self.get(&["roots", &root.into().0, "processes", &id.to_string(), "logs"])
    }

    /// `GET /api/v1/roots/{root}/export`: the whole tree with its workers and logs.
    pub fn export(&self, root: impl Into<RootKey>, format: ExportFormat) -> Call<Download> {
        self.get(&["roots", &root.into().0, "export"]).parameter("format", format.as_str())
    }

    /// `POST /api/v1/roots/{root}/pin`: keeps a tree until it is unpinned.
    pub fn pin(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.v1(Method::POST, &["roots", &root.into().0, "pin"])
    }

    /// `DELETE /api/v1/roots/{root}/pin`
    pub fn unpin(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.v1(Method::DELETE, &["roots", &root.into().0, "pin"])
    }

    /// `DELETE /api/v1/roots/{root}`: deletes a tree that is not pinned, and doesn't run.
    pub fn delete(&self, root: impl Into<RootKey>) -> Call<()> {
        self.v1(Method::DELETE, &["roots", &root.into().0])
    }

    /// Like [`Client::delete`], although it runs.
    pub fn delete_running(&self, root: impl Into<RootKey>) -> Call<()> {
        self.delete(root).parameter("running", &true)
    }
}

/// Workers and statistics.
impl Client {
    /// `POST /api/v1/commands`: a word to workers, answered when every one that is meant has its line. Asked twice, it is two commands.
    pub fn command(&self, request: &CommandRequest) -> Call<Command> {
        self.v1(Method::POST, &["commands"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `GET /api/v1/commands/methods`: what workers may be asked, and who does it now.
    pub fn command_methods(&self) -> Call<CommandMethods> {
        self.get(&["commands", "methods"])
    }

    /// `POST /api/v1/roots/{root}/cancel`: has a process end and all below it, or a whole tree, and waits until they have.
    pub fn cancel(&self, root: impl Into<RootKey>, request: &CancelRequest) -> Call<Cancelled> {
        let call = self.v1(Method::POST, &["roots", &root.into().0, "cancel"]);
        call.json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `GET /api/v1/workers`: the programs that report, newest first.
    pub fn workers(&self) -> Call<WorkersPage> {
        self.get(&["workers"])
    }

    /// `GET /api/v1/workers/{id}`
    pub fn worker(&self, id: WorkerId) -> Call<Worker> {
        self.get(&["workers", &id.to_string()])
    }

    /// `GET /api/v1/stats`: what became of processes, by name.
    pub fn stats(&self) -> Call<StatsPage> {
        self.get(&["stats"]).parameter("by", "name")
    }

    /// `GET /api/v1/stats/series`: what became of processes, over time.
    pub fn stats_series(&self) -> Call<StatsSeries> {
        self.get(&["stats", "series"])
    }

    /// `GET /api/v1/stats/errors`: failures that are alike, the most frequent first.
    pub fn stats_errors(&self) -> Call<ErrorsPage> {
        self.get(&["stats", "errors"])
    }

    /// `GET /api/v1/stats/causes`: trees that failed alike.
    pub fn stats_causes(&self) -> Call<CausesPage> {
        self.get(&["stats", "causes"])
    }
}

/// Events.
impl Client {
    /// `POST /api/v1/events`: what happened. A batch may be sent again: each event counts once.
    pub fn events(&self, batch: &Batch) -> Call<Accepted> {
        self.v1(Method::POST, &["events"]).json_body(serde_json::to_vec(batch).expect("a batch is JSON"))
    }

    /// `POST /v1/traces`: spans as OTLP's JSON.
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

/// Methods that narrow an answer by a parameter of the query, each with a value of this type.
macro_rules! narrowed {
    ($answer:ty { $($(#[$doc:meta])* $method:ident($parameter:literal: $value:ty);)* }) => {
        impl $crate::call::Call<$answer> {
            $($(#[$doc])* pub fn $method(self, value: $value) -> Self { self.parameter($parameter, &value) })*
        }
    };
}

narrowed!(RootsPage {
    /// Of exactly this name.
    name("name": &str);
    /// Of exactly this batch mark.
    batch("batch": &str);
    /// Trees in which this worker runs something.
    worker("worker": WorkerId);
    /// Only those that began because a call had no context, or none of these.
    unattached("unattached": bool);
    /// With this text, in any case, in name, batch mark, error or its causes; or of this number, or beginning of an id.
    containing("q": &str);
    /// Started at this time or later, Unix µs.
    started_after_us("started_after": u64);
    /// Started before this time, Unix µs.
    started_before_us("started_before": u64);
});

impl Call<RootsPage> {
    /// In one of these states.
    pub fn states(self, states: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.parameter("state", &joined(states))
    }
}

narrowed!(ProcessesPage {
    /// With this id of another system, such as a queue's.
    native_id("native_id": &str);
    /// Of this tree: its number or its id.
    root("root": &str);
    /// Of this kind.
    kind("kind": &str);
    /// Of exactly this name.
    name("name": &str);
    /// Run by this worker.
    worker("worker": WorkerId);
    /// With this text, in any case.
    containing("q": &str);
    /// Started at this time or later, Unix µs.
    started_after_us("started_after": u64);
    /// Started before this time, Unix µs.
    started_before_us("started_before": u64);
});

impl Call<ProcessesPage> {
    /// In one of these states.
    pub fn states(self, states: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.parameter("state", &joined(states))
    }
}

narrowed!(Diagnosis {
    /// Of this tree: its number or its id.
    root("root": &str);
    /// Of this process of the tree alone.
    process("process": ProcessId);
    /// At most so many.
    limit("limit": usize);
});

narrowed!(LogsPage {
    /// Of this level, `error`, `warn`, `info`, `debug` or `trace`, and more severe ones.
    level("level": &str);
    /// With this text, in any case, in message, target or fields.
    containing("q": &str);
});

impl Call<LogsPage> {
    /// In this order.
    pub fn order(self, order: Order) -> Self {
        self.parameter("order", if order == Order::Oldest { "oldest" } else { "newest" })
    }
}

narrowed!(StatsPage {
    /// Of exactly this name.
    name("name": &str);
    /// Of what ended at this time or later, Unix µs.
    from_us("from": u64);
    /// Of what ended before this time, Unix µs.
    to_us("to": u64);
});

narrowed!(StatsSeries {
    /// Of exactly this name.
    name("name": &str);
    /// From this time on, Unix µs.
    from_us("from": u64);
    /// Up to this time, Unix µs.
    to_us("to": u64);
});

narrowed!(ErrorsPage {
    /// Of exactly this name.
    name("name": &str);
    /// Of what ended at this time or later, Unix µs.
    from_us("from": u64);
    /// Of what ended before this time, Unix µs.
    to_us("to": u64);
});

narrowed!(CausesPage {
    /// Of what ended at this time or later, Unix µs.
    from_us("from": u64);
    /// Of what ended before this time, Unix µs.
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
