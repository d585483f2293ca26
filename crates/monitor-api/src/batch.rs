//! API calls for batch tasks.

use monitor_wire::{
    BatchAgents, BatchApplied, BatchApply, BatchComparison, BatchExplanation, BatchFiles, BatchKillRequest, BatchPause, BatchPublications,
    BatchRestore, BatchRunRequest, BatchRunsPage, BatchTask, BatchTasksPage, BatchVersions, Command, NextDues,
};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::calls::{narrowed, pages};
use crate::client::Client;

/// Batch tasks and their runs.
impl Client {
    /// `GET /api/v1/batch-tasks`: lists tasks by name.
    pub fn batch_tasks(&self) -> Call<BatchTasksPage> {
        self.get(&["batch-tasks"])
    }

    /// `GET /api/v1/batch-tasks/{name}`: returns a task.
    pub fn batch_task(&self, name: &str) -> Call<BatchTask> {
        self.get(&["batch-tasks", name])
    }

    /// `POST /api/v1/batch-tasks`: adds a task with this definition.
    pub fn add_batch_task(&self, definition: &Map<String, Value>) -> Call<BatchTask> {
        self.v1(Method::POST, &["batch-tasks"]).json_body(body(definition))
    }

    /// `PUT /api/v1/batch-tasks/{name}`: replaces the definition of a task, if the task still has this version.
    pub fn change_batch_task(&self, name: &str, version: u64, definition: &Map<String, Value>) -> Call<BatchTask> {
        self.v1(Method::PUT, &["batch-tasks", name]).header("if-match", &format!("\"{version}\"")).json_body(body(definition))
    }

    /// `DELETE /api/v1/batch-tasks/{name}`: deletes a task.
    pub fn delete_batch_task(&self, name: &str) -> Call<()> {
        self.v1(Method::DELETE, &["batch-tasks", name])
    }

    /// `POST /api/v1/batch-tasks/{name}/pause`: pauses the task's schedules until this time, or until it is resumed.
    pub fn pause_batch_task(&self, name: &str, until_us: Option<u64>) -> Call<BatchTask> {
        self.v1(Method::POST, &["batch-tasks", name, "pause"]).json_body(body(&BatchPause { until_us }))
    }

    /// `POST /api/v1/batch-tasks/{name}/resume`: resumes the task's schedules.
    pub fn resume_batch_task(&self, name: &str) -> Call<BatchTask> {
        self.v1(Method::POST, &["batch-tasks", name, "resume"])
    }

    /// `GET /api/v1/agents`: lists the agents.
    pub fn batch_agents(&self) -> Call<BatchAgents> {
        self.get(&["agents"])
    }

    /// `POST /api/v1/agents/{name}/pause`: pauses the schedules of an agent until this time, or until it is resumed.
    pub fn pause_agent(&self, name: &str, until_us: Option<u64>) -> Call<Command> {
        self.v1(Method::POST, &["agents", name, "pause"]).json_body(body(&BatchPause { until_us }))
    }

    /// `POST /api/v1/agents/{name}/resume`: resumes the schedules of an agent.
    pub fn resume_agent(&self, name: &str) -> Call<Command> {
        self.v1(Method::POST, &["agents", name, "resume"])
    }

    /// `POST /api/v1/batch-tasks/{name}/run`: requests the task's agents to run it now. Two requests start two runs.
    pub fn run_batch_task(&self, name: &str, request: &BatchRunRequest) -> Call<Command> {
        self.v1(Method::POST, &["batch-tasks", name, "run"]).json_body(body(request))
    }

    /// `POST /api/v1/batch-tasks/{name}/kill`: requests the task's agents to end its runs.
    pub fn kill_batch_task(&self, name: &str, request: &BatchKillRequest) -> Call<Command> {
        self.v1(Method::POST, &["batch-tasks", name, "kill"]).json_body(body(request))
    }

    /// `GET /api/v1/batch-tasks/{name}/versions`: lists the versions of a task.
    pub fn batch_versions(&self, name: &str) -> Call<BatchVersions> {
        self.get(&["batch-tasks", name, "versions"])
    }

    /// `GET /api/v1/batch-tasks/{name}/explain`: returns each due time and the decision about it.
    pub fn explain_batch_task(&self, name: &str) -> Call<BatchExplanation> {
        self.get(&["batch-tasks", name, "explain"])
    }

    /// `GET /api/v1/batch-tasks/{name}/publications`: lists the publications of a task's runs, and the runs that have left files. Returns
    /// up to `limit` per agent.
    pub fn batch_publications(&self, name: &str, limit: u32) -> Call<BatchPublications> {
        self.get(&["batch-tasks", name, "publications"]).parameter("limit", &limit)
    }

    /// `GET /api/v1/batch-tasks/{name}/publications/{publication}`: lists the files of a publication. The publication is a
    /// number, or a run that has left files.
    pub fn batch_publication(&self, name: &str, publication: &str) -> Call<BatchFiles> {
        self.get(&["batch-tasks", name, "publications", publication])
    }

    /// `GET /api/v1/batch-tasks/{name}/publications/{publication}/compare`: returns the differences to another publication.
    pub fn compare_batch_publications(&self, name: &str, publication: &str, with: &str) -> Call<BatchComparison> {
        self.get(&["batch-tasks", name, "publications", publication, "compare"]).parameter("with", with)
    }

    /// `POST /api/v1/batch-tasks/{name}/publications/{publication}/restore`: requests the agent to publish it again.
    pub fn restore_batch_publication(&self, name: &str, publication: &str) -> Call<Command> {
        self.v1(Method::POST, &["batch-tasks", name, "publications", publication, "restore"]).json_body(body(&BatchRestore::default()))
    }

    /// `POST /api/v1/batch-tasks/apply`: changes the tasks to the given definitions, either all or none of them.
    pub fn apply_batch_tasks(&self, apply: &BatchApply) -> Call<BatchApplied> {
        self.v1(Method::POST, &["batch-tasks", "apply"]).json_body(body(apply))
    }

    /// `POST /api/v1/batch-tasks/rehearse`: simulates a definition with the durations of past runs.
    pub fn rehearse_batch_task(&self, definition: &Map<String, Value>) -> Call<Value> {
        self.v1(Method::POST, &["batch-tasks", "rehearse"]).json_body(body(definition))
    }

    /// `GET /api/v1/batch-tasks/runs`: lists runs, latest due time first.
    pub fn batch_runs(&self) -> Call<BatchRunsPage> {
        self.get(&["batch-tasks", "runs"])
    }

    /// `GET /api/v1/batch-tasks/rules/next`: returns the next due times of rules.
    pub fn rules_next(&self, rules: &[&str]) -> Call<NextDues> {
        self.get(&["batch-tasks", "rules", "next"]).parameter("rules", &rules.join(";"))
    }
}

fn body(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with text keys is JSON")
}

narrowed!(BatchTasksPage {
    /// Selects tasks with this text in their names, ignoring case.
    containing("q": &str);
});

narrowed!(BatchRunsPage {
    /// Selects runs of this task.
    task("task": &str);
    /// Selects runs due at this time or later, in Unix µs.
    from_us("from": u64);
    /// Selects runs due before this time, in Unix µs.
    to_us("to": u64);
    /// Selects runs that ended with this exit code.
    exit_code("exit_code": i32);
    /// Selects runs with this outcome, such as `failed`.
    outcome("outcome": &str);
    /// Selects runs of this agent.
    agent("agent": &str);
});

narrowed!(BatchExplanation {
    /// Sets the start of the period, in Unix µs.
    from_us("from": u64);
    /// Sets the end of the period, in Unix µs.
    to_us("to": u64);
});

pages!(BatchTasksPage BatchRunsPage);
