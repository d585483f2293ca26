//! API calls for runs, their processes and their logs.

use monitor_wire::{
    CancelRequest, Cancelled, Diagnosis, LogsPage, Process, ProcessId, ProcessesPage, Root, RootNamesPage, RootsPage, TreePage, WorkerId,
};
use reqwest::Method;

use crate::call::{Call, Download};
use crate::calls::{RootKey, joined, narrowed, pages};
use crate::client::Client;

/// Format of an exported run, for [`Client::export`]. The documentation of exports describes each format.
///
/// # Examples
///
/// ```
/// use monitor_api::ExportFormat;
///
/// assert_eq!(ExportFormat::default().as_str(), "ndjson");
/// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::ExportFormat;
    ///
    /// assert_eq!(ExportFormat::Perfetto.as_str(), "perfetto");
    /// ```
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

/// Order of log lines, for [`Call::order`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// use monitor_api::Order;
///
/// let page = client.logs(2106).order(Order::Oldest).await?;
/// for line in &page.logs {
///     println!("{} {}", line.level, line.message);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest line first.
    Oldest,
    /// Newest line first.
    Newest,
}

/// Runs and their processes. A run is identified by its number or its id: see [`RootKey`].
impl Client {
    /// `GET /api/v1/roots`: lists runs, latest start first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let page = client.roots().states(["running"]).limit(20).await?;
    /// for run in &page.roots {
    ///     println!("{} {}", run.title, run.state);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn roots(&self) -> Call<RootsPage> {
        self.get(&["roots"])
    }

    /// `GET /api/v1/roots/names`: lists the names of runs. The name of the newest run is first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for name in client.root_names().await?.names {
    ///     println!("{}: {} failed", name.name, name.counts.failed);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn root_names(&self) -> Call<RootNamesPage> {
        self.get(&["roots", "names"])
    }

    /// `GET /api/v1/roots/{root}`: returns a run.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let run = client.root(2106).await?;
    /// println!("{} {}", run.title, run.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn root(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.get(&["roots", &root.into().0])
    }

    /// `GET /api/v1/roots/{root}/tree`: lists the processes of a run in pre-order: each process is followed by its
    /// descendants. Every page contains the run itself.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut pages = client.tree(2106).pages();
    /// while let Some(page) = pages.next().await? {
    ///     for process in page.processes {
    ///         let depth = process.depth.unwrap_or(0) as usize;
    ///         println!("{}{} {}", "  ".repeat(depth), process.name, process.state);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn tree(&self, root: impl Into<RootKey>) -> Call<TreePage> {
        self.get(&["roots", &root.into().0, "tree"])
    }

    /// `GET /api/v1/roots/{root}/processes/{id}`: returns a process.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let run = client.root("2106").await?;
    /// let page = client.tree(run.root_id).limit(1).await?;
    /// for process in page.processes {
    ///     let process = client.process(run.root_id, process.id).await?;
    ///     println!("{:?}", process.error);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn process(&self, root: impl Into<RootKey>, id: ProcessId) -> Call<Process> {
        self.get(&["roots", &root.into().0, "processes", &id.to_string()])
    }

    /// `GET /api/v1/processes/{id}`: lists the processes with this id in all runs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let id = "a3ce929d0e0e4736".parse().expect("16 hex digits");
    /// for process in client.find_process(id).await?.processes {
    ///     println!("{} in {}", process.name, process.root_id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_process(&self, id: ProcessId) -> Call<ProcessesPage> {
        self.get(&["processes", &id.to_string()])
    }

    /// `GET /api/v1/processes`: lists processes of all runs.
    ///
    /// To list processes that are functions, set a run, a time, or an id of another system. Without any of these, the server refuses the
    /// request.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let page = client.processes().root("2106").states(["failed"]).await?;
    /// for process in page.processes {
    ///     println!("{}", process.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn processes(&self) -> Call<ProcessesPage> {
        self.get(&["processes"])
    }

    /// `GET /api/v1/doctor`: lists processes that lost their parents, with the likely reason. Covers the newest runs unless a run is set.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let diagnosis = client.doctor().root("2106").await?;
    /// for finding in diagnosis.findings {
    ///     println!("{}: {}", finding.process.name, finding.words);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn doctor(&self) -> Call<Diagnosis> {
        self.get(&["doctor"])
    }

    /// `GET /api/v1/roots/{root}/logs`: lists the log lines of a run.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let page = client.logs(2106).level("warn").limit(100).await?;
    /// for line in page.logs {
    ///     println!("{}", line.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn logs(&self, root: impl Into<RootKey>) -> Call<LogsPage> {
        self.get(&["roots", &root.into().0, "logs"])
    }

    /// `GET /api/v1/roots/{root}/processes/{id}/logs`: lists the log lines of a process.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let id = "a3ce929d0e0e4736".parse().expect("16 hex digits");
    /// for line in client.process_logs(2106, id).await?.logs {
    ///     println!("{}", line.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn process_logs(&self, root: impl Into<RootKey>, id: ProcessId) -> Call<LogsPage> {
        self.get(&["roots", &root.into().0, "processes", &id.to_string(), "logs"])
    }

    /// `GET /api/v1/roots/{root}/export`: downloads a whole run with its workers and logs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::ExportFormat;
    ///
    /// let mut export = client.export(2106, ExportFormat::Html).open().await?;
    /// let mut file = Vec::new();
    /// while let Some(chunk) = export.chunk().await? {
    ///     file.extend_from_slice(chunk.as_ref());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn export(&self, root: impl Into<RootKey>, format: ExportFormat) -> Call<Download> {
        self.get(&["roots", &root.into().0, "export"]).parameter("format", format.as_str())
    }

    /// `POST /api/v1/roots/{root}/cancel`: cancels a process with its descendants, or a whole run, and waits until they have ended.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::CancelRequest;
    ///
    /// let cancelled = client.cancel(2106, &CancelRequest::default()).await?;
    /// println!("{} processes are still running", cancelled.still.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self, root: impl Into<RootKey>, request: &CancelRequest) -> Call<Cancelled> {
        let call = self.v1(Method::POST, &["roots", &root.into().0, "cancel"]);
        call.json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `POST /api/v1/roots/{root}/pin`: pins a run, so that retention does not delete it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let run = client.pin(2106).await?;
    /// assert!(run.pinned);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pin(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.v1(Method::POST, &["roots", &root.into().0, "pin"])
    }

    /// `DELETE /api/v1/roots/{root}/pin`: unpins a run, so that retention can delete it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let run = client.unpin(2106).await?;
    /// assert!(!run.pinned);
    /// # Ok(())
    /// # }
    /// ```
    pub fn unpin(&self, root: impl Into<RootKey>) -> Call<Root> {
        self.v1(Method::DELETE, &["roots", &root.into().0, "pin"])
    }

    /// `DELETE /api/v1/roots/{root}`: deletes a run that is neither pinned nor running.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.delete(2106).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete(&self, root: impl Into<RootKey>) -> Call<()> {
        self.v1(Method::DELETE, &["roots", &root.into().0])
    }

    /// Deletes a run as [`Client::delete`] does, even if it is running.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.delete_running(2106).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete_running(&self, root: impl Into<RootKey>) -> Call<()> {
        self.delete(root).parameter("running", &true)
    }
}

narrowed!(RootsPage {
    /// Selects runs with exactly this name.
    name("name": &str) => r#"client.roots().name("nightly build")"#;
    /// Selects runs with exactly this batch mark.
    batch("batch": &str) => r#"client.roots().batch("batch001")"#;
    /// Selects runs whose own process this worker executes: its id, its host, its name `program@host` or `program@host:pid`, or a glob for the
    /// name.
    worker("worker": &str) => r#"client.roots().worker("nightly@build-7")"#;
    /// Selects runs that began because a call had no context (`true`), or excludes them (`false`).
    unattached("unattached": bool) => "client.roots().unattached(false)";
    /// Selects runs with this text in the name, batch mark, error or causes of the error, ignoring case. A number selects the run with this
    /// number, and the beginning of an id the runs with such an id.
    containing("q": &str) => r#"client.roots().containing("no such table")"#;
    /// Selects runs started at this time or later, in Unix µs.
    started_after_us("started_after": u64) => "client.roots().started_after_us(1_790_000_000_000_000)";
    /// Selects runs started before this time, in Unix µs.
    started_before_us("started_before": u64) => "client.roots().started_before_us(1_790_000_000_000_000)";
});

impl Call<RootsPage> {
    /// Selects runs in one of these states, such as `failed`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let page = client.roots().states(["failed", "lost"]).await?;
    /// println!("{} runs", page.roots.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn states(self, states: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.parameter("state", &joined(states))
    }
}

narrowed!(ProcessesPage {
    /// Selects processes with this id of another system, such as a queue.
    native_id("native_id": &str) => r#"client.processes().native_id("5f0c1d6e")"#;
    /// Selects processes of this run, by its number or its id.
    root("root": &str) => r#"client.processes().root("2106")"#;
    /// Selects processes of this kind.
    kind("kind": &str) => r#"client.processes().kind("task")"#;
    /// Selects processes with exactly this name.
    name("name": &str) => r#"client.processes().root("2106").name("compile")"#;
    /// Selects processes that this worker executes.
    worker("worker": WorkerId) => r#"client.processes().kind("task").worker("0199a3ce929d0e0e47360199a3ce929d".parse().expect("an id"))"#;
    /// Selects processes that contain this text, ignoring case.
    containing("q": &str) => r#"client.processes().root("2106").containing("no such table")"#;
    /// Selects processes started at this time or later, in Unix µs.
    started_after_us("started_after": u64) => "client.processes().started_after_us(1_790_000_000_000_000)";
    /// Selects processes started before this time, in Unix µs.
    started_before_us("started_before": u64) => "client.processes().started_before_us(1_790_000_000_000_000)";
});

impl Call<ProcessesPage> {
    /// Selects processes in one of these states, such as `failed`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let page = client.processes().root("2106").states(["failed"]).await?;
    /// println!("{} processes", page.processes.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn states(self, states: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.parameter("state", &joined(states))
    }
}

narrowed!(Diagnosis {
    /// Selects this run, by its number or its id.
    root("root": &str) => r#"client.doctor().root("2106")"#;
    /// Selects this process of the run. Set the run, too.
    process("process": ProcessId) => r#"client.doctor().root("2106").process("a3ce929d0e0e4736".parse().expect("an id"))"#;
    /// Sets the maximum number of processes.
    limit("limit": usize) => "client.doctor().limit(10)";
});

narrowed!(LogsPage {
    /// Sets the least severe level of the lines: `error`, `warn`, `info`, `debug` or `trace`.
    level("level": &str) => r#"client.logs(2106).level("warn")"#;
    /// Selects lines with this text in the message, target or fields, ignoring case.
    containing("q": &str) => r#"client.logs(2106).containing("timeout")"#;
});

impl Call<LogsPage> {
    /// Sets the order of the lines.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::Order;
    ///
    /// let newest = client.logs(2106).order(Order::Newest).limit(1).await?;
    /// println!("{:?}", newest.logs.first());
    /// # Ok(())
    /// # }
    /// ```
    pub fn order(self, order: Order) -> Self {
        self.parameter("order", if order == Order::Oldest { "oldest" } else { "newest" })
    }
}

pages!(LogsPage ProcessesPage RootNamesPage RootsPage TreePage);
