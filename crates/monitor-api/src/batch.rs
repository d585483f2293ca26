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
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for task in client.batch_tasks().await?.tasks {
    ///     println!("{}: next run at {:?}", task.name, task.next_us.first());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_tasks(&self) -> Call<BatchTasksPage> {
        self.get(&["batch-tasks"])
    }

    /// `GET /api/v1/batch-tasks/{name}`: returns a task.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let task = client.batch_task("import-prices").await?;
    /// println!("version {}", task.version);
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_task(&self, name: &str) -> Call<BatchTask> {
        self.get(&["batch-tasks", name])
    }

    /// `POST /api/v1/batch-tasks`: adds a task with this definition.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let definition = serde_json::json!({
    ///     "name": "import-prices",
    ///     "command": ["./import", "--prices"],
    ///     "rules": ["30 2 * * *"],
    /// });
    /// let definition = definition.as_object().expect("an object");
    /// println!("version {}", client.add_batch_task(definition).await?.version);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_batch_task(&self, definition: &Map<String, Value>) -> Call<BatchTask> {
        self.v1(Method::POST, &["batch-tasks"]).json_body(body(definition))
    }

    /// `PUT /api/v1/batch-tasks/{name}`: replaces the definition of a task, if the task still has this version.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut task = client.batch_task("import-prices").await?;
    /// task.definition.insert("owner".to_owned(), "ada".into());
    /// client.change_batch_task(&task.name, task.version, &task.definition).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_batch_task(&self, name: &str, version: u64, definition: &Map<String, Value>) -> Call<BatchTask> {
        self.v1(Method::PUT, &["batch-tasks", name]).header("if-match", &format!("\"{version}\"")).json_body(body(definition))
    }

    /// `DELETE /api/v1/batch-tasks/{name}`: deletes a task.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.delete_batch_task("import-prices").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete_batch_task(&self, name: &str) -> Call<()> {
        self.v1(Method::DELETE, &["batch-tasks", name])
    }

    /// `POST /api/v1/batch-tasks/{name}/pause`: pauses the task's schedules until this time, or until it is resumed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let task = client.pause_batch_task("import-prices", None).await?;
    /// println!("paused by {:?}", task.paused_by);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pause_batch_task(&self, name: &str, until_us: Option<u64>) -> Call<BatchTask> {
        self.v1(Method::POST, &["batch-tasks", name, "pause"]).json_body(body(&BatchPause { until_us }))
    }

    /// `POST /api/v1/batch-tasks/{name}/resume`: resumes the task's schedules.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.resume_batch_task("import-prices").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume_batch_task(&self, name: &str) -> Call<BatchTask> {
        self.v1(Method::POST, &["batch-tasks", name, "resume"])
    }

    /// `GET /api/v1/agents`: lists the agents.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for agent in client.batch_agents().await?.agents {
    ///     println!("{}", agent.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_agents(&self) -> Call<BatchAgents> {
        self.get(&["agents"])
    }

    /// `POST /api/v1/agents/{name}/pause`: pauses the schedules of an agent until this time, or until it is resumed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.pause_agent("build-1", None).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn pause_agent(&self, name: &str, until_us: Option<u64>) -> Call<Command> {
        self.v1(Method::POST, &["agents", name, "pause"]).json_body(body(&BatchPause { until_us }))
    }

    /// `POST /api/v1/agents/{name}/resume`: resumes the schedules of an agent.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.resume_agent("build-1").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume_agent(&self, name: &str) -> Call<Command> {
        self.v1(Method::POST, &["agents", name, "resume"])
    }

    /// `POST /api/v1/batch-tasks/{name}/run`: requests the task's agents to run it now. Sending the same request twice starts two runs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::BatchRunRequest;
    ///
    /// let request = BatchRunRequest { args: vec!["--full".to_owned()] };
    /// client.run_batch_task("import-prices", &request).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_batch_task(&self, name: &str, request: &BatchRunRequest) -> Call<Command> {
        self.v1(Method::POST, &["batch-tasks", name, "run"]).json_body(body(request))
    }

    /// `POST /api/v1/batch-tasks/{name}/kill`: requests the task's agents to end its runs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::BatchKillRequest;
    ///
    /// client.kill_batch_task("import-prices", &BatchKillRequest::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn kill_batch_task(&self, name: &str, request: &BatchKillRequest) -> Call<Command> {
        self.v1(Method::POST, &["batch-tasks", name, "kill"]).json_body(body(request))
    }

    /// `GET /api/v1/batch-tasks/{name}/versions`: lists the versions of a task.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for version in client.batch_versions("import-prices").await?.versions {
    ///     println!("{} by {:?}", version.version, version.who);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_versions(&self, name: &str) -> Call<BatchVersions> {
        self.get(&["batch-tasks", name, "versions"])
    }

    /// `GET /api/v1/batch-tasks/{name}/explain`: returns each due time, and if it was run or skipped and why.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for due in client.explain_batch_task("import-prices").await?.due {
    ///     println!("{}: {} {:?}", due.due_us, due.decision, due.reason);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain_batch_task(&self, name: &str) -> Call<BatchExplanation> {
        self.get(&["batch-tasks", name, "explain"])
    }

    /// `GET /api/v1/batch-tasks/{name}/publications`: lists the publications of a task's runs, and the runs that have left files. Returns
    /// up to `limit` per agent.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for publication in client.batch_publications("import-prices", 10).await?.publications {
    ///     println!("{} to {}", publication.number, publication.target);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_publications(&self, name: &str, limit: u32) -> Call<BatchPublications> {
        self.get(&["batch-tasks", name, "publications"]).parameter("limit", &limit)
    }

    /// `GET /api/v1/batch-tasks/{name}/publications/{publication}`: lists the files of a publication. The publication is a
    /// number, or a run that has left files.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for file in client.batch_publication("import-prices", "12").await?.files {
    ///     println!("{} {}", file.size_bytes, file.path);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_publication(&self, name: &str, publication: &str) -> Call<BatchFiles> {
        self.get(&["batch-tasks", name, "publications", publication])
    }

    /// `GET /api/v1/batch-tasks/{name}/publications/{publication}/compare`: returns the differences to another publication.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for change in client.compare_batch_publications("import-prices", "12", "11").await?.changes {
    ///     println!("{} {}", change.what, change.path);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn compare_batch_publications(&self, name: &str, publication: &str, with: &str) -> Call<BatchComparison> {
        self.get(&["batch-tasks", name, "publications", publication, "compare"]).parameter("with", with)
    }

    /// `POST /api/v1/batch-tasks/{name}/publications/{publication}/restore`: requests the agent to publish it again.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.restore_batch_publication("import-prices", "11").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn restore_batch_publication(&self, name: &str, publication: &str) -> Call<Command> {
        self.v1(Method::POST, &["batch-tasks", name, "publications", publication, "restore"]).json_body(body(&BatchRestore::default()))
    }

    /// `POST /api/v1/batch-tasks/apply`: changes the tasks to the given definitions, either all or none of them.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::BatchApply;
    ///
    /// let task = client.batch_task("import-prices").await?;
    /// let apply = BatchApply { tasks: vec![task.definition], dry_run: true, ..BatchApply::default() };
    /// for step in client.apply_batch_tasks(&apply).await?.steps {
    ///     println!("{}: {}", step.name, step.what);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply_batch_tasks(&self, apply: &BatchApply) -> Call<BatchApplied> {
        self.v1(Method::POST, &["batch-tasks", "apply"]).json_body(body(apply))
    }

    /// `POST /api/v1/batch-tasks/rehearse`: simulates a definition that is not in effect, with the durations of
    /// past runs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let task = client.batch_task("import-prices").await?;
    /// println!("{:#}", client.rehearse_batch_task(&task.definition).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn rehearse_batch_task(&self, definition: &Map<String, Value>) -> Call<Value> {
        self.v1(Method::POST, &["batch-tasks", "rehearse"]).json_body(body(definition))
    }

    /// `GET /api/v1/batch-tasks/runs`: lists runs, latest due time first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for run in client.batch_runs().task("import-prices").limit(10).await?.runs {
    ///     println!("{} {}", run.run, run.outcome);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch_runs(&self) -> Call<BatchRunsPage> {
        self.get(&["batch-tasks", "runs"])
    }

    /// `GET /api/v1/batch-tasks/rules/next`: returns the next due times of rules.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for due in client.rules_next(&["30 2 * * *"]).await?.due {
    ///     println!("{}", due.local);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn rules_next(&self, rules: &[&str]) -> Call<NextDues> {
        self.get(&["batch-tasks", "rules", "next"]).parameter("rules", &rules.join(";"))
    }
}

pub(crate) fn body(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with text keys is JSON")
}

narrowed!(BatchTasksPage {
    /// Selects tasks with this text in their names, ignoring case.
    containing("q": &str) => r#"client.batch_tasks().containing("import")"#;
});

narrowed!(BatchRunsPage {
    /// Selects runs of this task.
    task("task": &str) => r#"client.batch_runs().task("import-prices")"#;
    /// Selects runs due at this time or later, in Unix µs.
    from_us("from": u64) => "client.batch_runs().from_us(1_790_000_000_000_000)";
    /// Selects runs due before this time, in Unix µs.
    to_us("to": u64) => "client.batch_runs().to_us(1_790_000_000_000_000)";
    /// Selects runs that ended with this exit code.
    exit_code("exit_code": i32) => "client.batch_runs().exit_code(2)";
    /// Selects runs with this outcome, such as `failed`.
    outcome("outcome": &str) => r#"client.batch_runs().outcome("failed")"#;
    /// Selects runs of this agent.
    agent("agent": &str) => r#"client.batch_runs().agent("build-1")"#;
});

narrowed!(BatchExplanation {
    /// Sets the start of the period, in Unix µs.
    from_us("from": u64) => r#"client.explain_batch_task("import-prices").from_us(1_790_000_000_000_000)"#;
    /// Sets the end of the period, in Unix µs.
    to_us("to": u64) => r#"client.explain_batch_task("import-prices").to_us(1_790_000_000_000_000)"#;
});

pages!(BatchTasksPage BatchRunsPage);
