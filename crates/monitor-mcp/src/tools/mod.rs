//! Implementation of the tools: requests to the API, and answers.

mod lists;
mod operate;
mod runs;
mod why;

use std::future::Future;
use std::pin::Pin;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::ask::{Ask, Failure, Request};
use crate::recorded::{RECORDED, clean_text};

pub(crate) use runs::newest_runs;

/// Default number of rows of a list.
const ROWS: u64 = 20;

/// Caller of a tool.
#[derive(Debug, Clone)]
pub(crate) struct Caller<A> {
    pub(crate) ask: A,
    /// Address of the page, without a slash at its end.
    pub(crate) page: String,
    /// Name of the MCP client.
    pub(crate) client: String,
}

type Answered = Result<Answer, Failure>;

/// Calls a tool.
pub(crate) fn call<'a, A: Ask>(
    name: &'a str,
    arguments: &'a Arguments,
    by: &'a Caller<A>,
) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>> {
    // Boxed, for the future of the largest tool is large.
    Box::pin(async move {
        match name {
            "list_runs" => runs::list(arguments, by).await,
            "get_run" => runs::get(arguments, by).await,
            "why_failed" => why::why_failed(arguments, by).await,
            "compare_runs" => why::compare_runs(arguments, by).await,
            "get_process" => runs::process(arguments, by).await,
            "search" => runs::search(arguments, by).await,
            "get_logs" => runs::logs(arguments, by).await,
            "statistics" => lists::statistics(arguments, by).await,
            "list_batch_tasks" => lists::batch_tasks(arguments, by).await,
            "explain_batch_task" => lists::explain(arguments, by).await,
            "list_alerts" => lists::alerts(arguments, by).await,
            "list_queue_tasks" => lists::queue_tasks(arguments, by).await,
            "list_workers" => lists::workers(arguments, by).await,
            "run_batch_task" => operate::task("run", json!({}), arguments, by).await,
            "pause_batch_task" => operate::task("pause", json!({}), arguments, by).await,
            "resume_batch_task" => operate::task("resume", Value::Null, arguments, by).await,
            "cancel_run" => operate::cancel(arguments, by).await,
            "acknowledge_alert" => operate::acknowledge(arguments, by).await,
            "retry_queue_task" => operate::retry(arguments, by).await,
            _ => unreachable!("each declared tool has a line here"),
        }
    })
}

/// Describes a request that failed. The server's words may repeat recorded text.
pub(crate) fn failed(failure: &Failure) -> Answer {
    let error = json!({"status": failure.status, RECORDED: {"detail": clean_text(&failure.detail)}});
    Answer::default().value("error", error).more("The field `detail` has the cause and what to do.")
}

impl<A: Ask> Caller<A> {
    async fn ask(&self, request: Request) -> Result<Value, Failure> {
        self.ask.ask(Request { client: self.client.clone(), ..request }).await
    }

    async fn read<T: DeserializeOwned>(&self, request: Request) -> Result<T, Failure> {
        let answer = self.ask(request).await?;
        serde_json::from_value(answer).map_err(|error| Failure {
            status: None,
            detail: format!("the server's answer can't be read ({error}): is it of another version than this program?"),
        })
    }

    fn page_of(&self, path: &[&str]) -> String {
        let Request { path, .. } = Request::get(path);
        let path = Request { path, ..Request::default() }.path_and_query();
        format!("{}/tasks{}", self.page, path.trim_start_matches("/api/v1"))
    }
}

/// Returns the rows of a list.
fn rows(page: &Value, list: &str, row: impl Fn(&Value) -> Value) -> Vec<Value> {
    page[list].as_array().map(|rows| rows.iter().map(row).collect()).unwrap_or_default()
}

impl Request {
    /// Adds the parameters of a page of a list.
    fn paged(self, arguments: &Arguments, rows: u64) -> Self {
        self.with("limit", &arguments.count("limit").unwrap_or(rows)).with_some("cursor", arguments.text("cursor"))
    }

    /// Adds parameters that are called as the arguments are.
    fn with_texts(self, arguments: &Arguments, names: &[&'static str]) -> Self {
        names.iter().fold(self, |request, name| request.with_some(name, arguments.text(name)))
    }
}
