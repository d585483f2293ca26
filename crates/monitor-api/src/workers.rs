//! API calls for workers, commands, statistics and events.

use monitor_wire::{
    Accepted, Batch, CausesPage, Command, CommandMethods, CommandRequest, ErrorsPage, StatsPage, StatsSeries, Worker, WorkerId, WorkersPage,
};
use reqwest::Method;
use serde_json::Value;

use crate::call::Call;
use crate::calls::{narrowed, pages};
use crate::client::Client;

/// Workers, commands and statistics.
impl Client {
    /// `POST /api/v1/commands`: sends a command to workers. The answer contains a line for every addressed worker. Sending the same
    /// request twice creates two commands.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::{CommandRequest, CommandTo};
    ///
    /// let request = CommandRequest {
    ///     method: "ping".to_owned(),
    ///     to: CommandTo { glob: Some("render@*".to_owned()), ..CommandTo::default() },
    ///     ..CommandRequest::default()
    /// };
    /// for line in client.command(&request).await?.lines {
    ///     println!("{}: {:?}", line.name, line.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn command(&self, request: &CommandRequest) -> Call<Command> {
        self.v1(Method::POST, &["commands"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `GET /api/v1/commands/methods`: lists the methods that workers can execute, and the workers that offer them now.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for method in client.command_methods().await?.methods {
    ///     println!("{} on {} workers", method.method, method.count);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn command_methods(&self) -> Call<CommandMethods> {
        self.get(&["commands", "methods"])
    }

    /// `GET /api/v1/workers`: lists the workers, newest first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for worker in client.workers().await?.workers {
    ///     println!("{}@{}:{}", worker.program, worker.hostname, worker.pid);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn workers(&self) -> Call<WorkersPage> {
        self.get(&["workers"])
    }

    /// `GET /api/v1/workers/{id}`: returns a worker.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let id = "0199a3ce929d0e0e47360199a3ce929d".parse().expect("32 hex digits");
    /// println!("{} processes are running", client.worker(id).await?.running);
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker(&self, id: WorkerId) -> Call<Worker> {
        self.get(&["workers", &id.to_string()])
    }

    /// `GET /api/v1/stats`: returns the outcomes of processes by name.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for name in client.stats().await?.stats {
    ///     println!("{}: {} of {} failed", name.name, name.failed, name.count);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> Call<StatsPage> {
        self.get(&["stats"]).parameter("by", "name")
    }

    /// `GET /api/v1/stats/series`: returns the outcomes of processes over time.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for step in client.stats_series().name("compile").await?.series {
    ///     println!("{}: {} failed", step.from_us, step.failed);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats_series(&self) -> Call<StatsSeries> {
        self.get(&["stats", "series"])
    }

    /// `GET /api/v1/stats/errors`: groups similar failures, most frequent first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for error in client.stats_errors().await?.errors {
    ///     println!("{} times: {}", error.count, error.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats_errors(&self) -> Call<ErrorsPage> {
        self.get(&["stats", "errors"])
    }

    /// `GET /api/v1/stats/causes`: groups runs that failed in the same way.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for cause in client.stats_causes().await?.causes {
    ///     println!("{}: {}", cause.message, cause.names.join(", "));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats_causes(&self) -> Call<CausesPage> {
        self.get(&["stats", "causes"])
    }
}

/// Events from programs without a client of ours.
impl Client {
    /// `POST /api/v1/events`: sends a batch of events. A batch can be sent again, because the server counts each event once.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::{Batch, WorkerRef};
    ///
    /// let worker = WorkerRef {
    ///     id: "0199a3ce929d0e0e47360199a3ce929d".parse().expect("32 hex digits"),
    ///     hostname: "build-1".to_owned(),
    ///     pid: std::process::id(),
    ///     program: "importer".to_owned(),
    /// };
    /// let batch = Batch { version: 1, worker, sequence: 1, sent_us: 0, dropped: Vec::new(), lost: false, events: Vec::new() };
    /// let accepted = client.events(&batch).await?;
    /// println!("{} events are stored", accepted.accepted);
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self, batch: &Batch) -> Call<Accepted> {
        self.v1(Method::POST, &["events"]).json_body(serde_json::to_vec(batch).expect("a batch is JSON"))
    }

    /// `POST /v1/traces`: sends spans as OTLP JSON.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let spans = std::fs::read("spans.json").expect("a readable file");
    /// client.traces(spans).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn traces(&self, json: impl Into<Vec<u8>>) -> Call<Value> {
        self.call(Method::POST, &["v1", "traces"]).json_body(json)
    }
}

narrowed!(StatsPage {
    /// Selects processes with exactly this name.
    name("name": &str) => r#"client.stats().name("compile")"#;
    /// Selects processes that ended at this time or later, in Unix µs.
    from_us("from": u64) => "client.stats().from_us(1_790_000_000_000_000)";
    /// Selects processes that ended before this time, in Unix µs.
    to_us("to": u64) => "client.stats().to_us(1_790_000_000_000_000)";
});

narrowed!(StatsSeries {
    /// Selects processes with exactly this name.
    name("name": &str) => r#"client.stats_series().name("compile")"#;
    /// Sets the start of the period, in Unix µs.
    from_us("from": u64) => "client.stats_series().from_us(1_790_000_000_000_000)";
    /// Sets the end of the period, in Unix µs.
    to_us("to": u64) => "client.stats_series().to_us(1_790_000_000_000_000)";
});

narrowed!(ErrorsPage {
    /// Selects failures of processes with exactly this name.
    name("name": &str) => r#"client.stats_errors().name("compile")"#;
    /// Selects processes that ended at this time or later, in Unix µs.
    from_us("from": u64) => "client.stats_errors().from_us(1_790_000_000_000_000)";
    /// Selects processes that ended before this time, in Unix µs.
    to_us("to": u64) => "client.stats_errors().to_us(1_790_000_000_000_000)";
});

narrowed!(CausesPage {
    /// Selects runs that ended at this time or later, in Unix µs.
    from_us("from": u64) => "client.stats_causes().from_us(1_790_000_000_000_000)";
    /// Selects runs that ended before this time, in Unix µs.
    to_us("to": u64) => "client.stats_causes().to_us(1_790_000_000_000_000)";
});

pages!(StatsPage WorkersPage);
