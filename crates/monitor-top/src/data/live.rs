//! Reads from a server: lists by requests, and changes by the event stream.
//!
//! The stream is filtered to roots, has a bounded backlog, and is read in bursts. The server merges events in between, so the processing
//! time here is bounded at any event rate. An event only indicates that the displayed list is stale; the list is then requested again.

use std::time::Duration;

use monitor_api::{Call, Client, Error, EventStream, Method, Order, StreamItem};
use monitor_wire::{Process, ProcessesPage, Queue, QueueCounts, WorkerState};
use tokio::time::{Instant, sleep_until};

use super::{Change, Facts, Filter, Link, MOST_ROWS, Model, Question, TasksOf};

/// Maximum number of events that are read within [`BURST`].
const MOST_OF_BURST: u32 = 50;
const BURST: Duration = Duration::from_millis(200);
/// Maximum backlog of the stream. Beyond it, the server sends a single notice instead of the events.
const MOST_BEHIND: u64 = 2_000;
/// Pause before the stream is reopened after a refusal.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Period covered by the list of errors.
const ERRORS_RANGE: Duration = Duration::from_secs(24 * 3_600);

/// The event stream.
pub(crate) struct Live {
    client: Client,
    stream: EventStream,
    burst: u32,
    burst_since: Instant,
    resume_at: Option<Instant>,
}

impl Live {
    pub(crate) fn new(client: Client) -> Self {
        let stream = open(&client);
        Self { client, stream, burst: 0, burst_since: Instant::now(), resume_at: None }
    }

    /// Waits for the next change. Cancel-safe.
    pub(crate) async fn changed(&mut self) -> Change {
        if let Some(at) = self.resume_at {
            sleep_until(at).await;
            self.resume_at = None;
            self.stream = open(&self.client);
        }
        if self.burst >= MOST_OF_BURST {
            sleep_until(self.burst_since + BURST).await;
        }
        if self.burst_since.elapsed() >= BURST {
            (self.burst, self.burst_since) = (0, Instant::now());
        }
        match self.stream.next().await {
            Ok(StreamItem::Connected { .. }) => Change::Link(Link::Live),
            Ok(StreamItem::Interrupted { error, .. }) => Change::Link(Link::Away(error.causes())),
            Err(error) if !matches!(error, Error::Unreadable { .. }) => {
                self.resume_at = Some(Instant::now() + REFUSED_PAUSE);
                Change::Link(Link::Away(error.causes()))
            }
            _ => {
                self.burst += 1;
                Change::Happened
            }
        }
    }
}

fn open(client: &Client) -> EventStream {
    client.stream().roots_only().within(MOST_BEHIND).open()
}

/// Requests the answer to a question.
pub(crate) async fn ask(client: Client, question: Question, now_us: u64) -> Result<Facts, Error> {
    Ok(match question {
        Question::Roots { filter } => {
            let filter = Filter::read(&filter, &["state", "name", "batch"]);
            let mut call = client.roots().limit(MOST_ROWS);
            for (name, word) in [("state", "state"), ("name", "name"), ("batch", "batch")] {
                call = filter.word(word).into_iter().fold(call, |call, value| call.parameter(name, value));
            }
            if !filter.text.is_empty() {
                call = call.containing(&filter.text);
            }
            let page = call.await?;
            let models = page.roots.into_iter().map(|root| Model::Root(root.into()));
            Facts { has_more: page.next_cursor.is_some(), ..Facts::of(models) }
        }
        Question::Tree { root, limit } => {
            let page = client.tree(&root).limit(limit).await?;
            let models = page.processes.into_iter().map(|process| Model::Process(process.into()));
            Facts { has_more: page.next_cursor.is_some(), root: Some(page.root.into()), ..Facts::of(models) }
        }
        Question::Found { root, filter } => {
            let known = client.root(&root).await?;
            let filter = Filter::read(&filter, &["state", "name", "kind"]);
            let mut call = client.processes().root(&root).limit(MOST_ROWS);
            for (name, word) in [("state", "state"), ("name", "name"), ("kind", "kind")] {
                call = filter.word(word).into_iter().fold(call, |call, value| call.parameter(name, value));
            }
            if !filter.text.is_empty() {
                call = call.containing(&filter.text);
            }
            let page = call.await?;
            // Search results are not arranged as a tree.
            let models = page.processes.into_iter().map(|process| Model::Process(Process { depth: None, ..process }.into()));
            Facts { has_more: page.next_cursor.is_some(), root: Some(known.into()), ..Facts::of(models) }
        }
        Question::Errors { .. } => {
            let from_us = now_us.saturating_sub(ERRORS_RANGE.as_micros() as u64);
            let page = client.stats_errors().from_us(from_us).parameter("limit", &MOST_ROWS).await?;
            Facts::of(page.errors.into_iter().map(|error| Model::Error(error.into())))
        }
        Question::Workers { .. } => {
            let page = client.workers().limit(MOST_ROWS).await?;
            let mut workers = page.workers;
            workers.sort_by_key(|worker| worker.state != WorkerState::ONLINE);
            Facts { has_more: page.next_cursor.is_some(), ..Facts::of(workers.into_iter().map(|worker| Model::Worker(worker.into()))) }
        }
        Question::Types { .. } => Facts::of(client.queue_types().await?.types.into_iter().map(|counts| Model::Counts(counts.into()))),
        Question::Queues { .. } => {
            let counts = |queue: Queue| Model::Counts(QueueCounts { name: queue.name, states: queue.states }.into());
            Facts::of(client.queues().await?.queues.into_iter().map(counts))
        }
        Question::Tasks { of, filter } => {
            let call = client.queue_tasks().limit(MOST_ROWS);
            let call = match &of {
                TasksOf::Type(name) => call.parameter("type", name),
                TasksOf::Queue(name) => call.parameter("queue", name),
            };
            let page = if filter.is_empty() { call } else { call.parameter("q", &filter) }.await?;
            let models = page.tasks.into_iter().map(|task| Model::Process(task.into()));
            Facts { has_more: page.next_cursor.is_some(), ..Facts::of(models) }
        }
        Question::Log { root, process, filter } => {
            let filter = Filter::read(&filter, &["level"]);
            let mut call = match process {
                Some(id) => client.process_logs(&root, id),
                None => client.logs(&root),
            };
            call = filter.word("level").into_iter().fold(call, Call::level);
            if !filter.text.is_empty() {
                call = call.containing(&filter.text);
            }
            let page = call.order(Order::Newest).limit(MOST_ROWS).await?;
            let known = client.root(&root).await?;
            let models = page.logs.into_iter().rev().map(|line| Model::Line(line.into()));
            Facts { has_more: page.next_cursor.is_some(), root: Some(known.into()), ..Facts::of(models) }
        }
    })
}

/// Finds processes by a prefix of their id.
pub(crate) async fn find(client: Client, id: String) -> Result<Vec<Process>, Error> {
    let page: ProcessesPage = client.call(Method::GET, &["api", "v1", "processes", &id]).await?;
    Ok(page.processes)
}
