//! API calls for workers, commands, statistics and events.

use monitor_wire::{
    Accepted, Batch, CausesPage, Command, CommandMethods, CommandRequest, ErrorsPage, StatsPage, StatsSeries, Worker, WorkerId, WorkersPage,
};
use reqwest::Method;
use serde_json::Value;

use crate::call::Call;
use crate::calls::{narrowed, pages};
use crate::client::Client;

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

pages!(StatsPage WorkersPage);
