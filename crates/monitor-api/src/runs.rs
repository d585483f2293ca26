//! API calls for runs, their processes and their logs.

use monitor_wire::{
    CancelRequest, Cancelled, Diagnosis, LogsPage, Process, ProcessId, ProcessesPage, Root, RootNamesPage, RootsPage, TreePage, WorkerId,
};
use reqwest::Method;

use crate::call::{Call, Download};
use crate::calls::{RootKey, joined, narrowed, pages};
use crate::client::Client;

/// Format of an exported tree. `docs/export.md` describes all formats.
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

    /// `POST /api/v1/roots/{root}/cancel`: cancels a process with its descendants, or a whole tree, and waits until they have ended.
    pub fn cancel(&self, root: impl Into<RootKey>, request: &CancelRequest) -> Call<Cancelled> {
        let call = self.v1(Method::POST, &["roots", &root.into().0, "cancel"]);
        call.json_body(serde_json::to_vec(request).expect("a request is JSON"))
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

pages!(LogsPage ProcessesPage RootNamesPage RootsPage TreePage);
