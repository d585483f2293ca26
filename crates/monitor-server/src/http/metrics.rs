//! `GET /metrics`: metrics in the `OpenMetrics` format.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use monitor_store::{NameTotals, Queries, StoreError};
use monitor_wire::{Counts, DutyState, Problem, Status, Worker};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::App;
use super::clusters::{Cluster, clusters};
use super::params::{NoParams, Strict};
use super::problem::ApiError;
use crate::commands::Reply;
use crate::ingest::Figures as IngestFigures;

/// Upper bounds of the buckets for durations, in seconds. The last bucket counts everything longer.
const BOUNDS: [f64; 16] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 86_400.0, f64::INFINITY];
/// Label for the sum of all names that have no label of their own.
const OTHERS: &str = "";
/// Maximum number of workers with metrics of their own.
const MOST_WORKERS: usize = 200;

/// Returns metrics of the server and its data, for Prometheus and compatible systems.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses(
        (status = 200, description = "OpenMetrics 1.0", body = String, content_type = "application/openmetrics-text"),
        (status = 500, description = "The database failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_metrics(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Result<Response, ApiError> {
    let most = app.config.metrics_names;
    let (status, names, workers, clusters) = app
        .ask(move |store| {
            let workers = online(store)?;
            let clusters = clusters(store, &workers)?;
            Ok((store.status()?, store.name_totals(most)?, workers, clusters))
        })
        .await?;
    let stream =
        StreamFigures { subscribers: app.live.readers() as u64, unsent_bytes: app.live.unsent_bytes(), pieces: app.live.pieces_written() };
    let figures = Figures {
        status,
        names,
        workers,
        clusters,
        ingest: app.ingest.figures(),
        is_stopped: app.ingest.trouble().is_some(),
        stream,
        duties: app.board.told(),
        channels: app.commands.channels() as u64,
        commands: app.commands.figures().commands(),
        replies: Reply::ALL.map(|(reply, word)| (word, app.commands.figures().replies(reply))),
        started_us: app.started_us,
    };
    let mut registry = Registry::with_prefix("monitor");
    registry.register_collector(Box::new(figures));
    let mut body = String::new();
    text::encode(&mut body, &registry).expect("a string takes all");
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], body).into_response())
}

/// Returns up to [`MOST_WORKERS`] workers that are online.
fn online(store: &dyn Queries) -> Result<Vec<Worker>, StoreError> {
    let online = store.online()?.into_iter().take(MOST_WORKERS);
    online.filter_map(|(id, _)| store.worker(id).transpose()).collect()
}

/// Values in a response.
#[derive(Debug)]
struct Figures {
    status: Status,
    names: Vec<NameTotals>,
    /// Workers that are online.
    workers: Vec<Worker>,
    /// Clusters of Celery by their names.
    clusters: BTreeMap<String, Cluster>,
    ingest: IngestFigures,
    is_stopped: bool,
    stream: StreamFigures,
    duties: Vec<DutyState>,
    channels: u64,
    commands: u64,
    replies: [(&'static str, u64); 4],
    started_us: u64,
}

#[derive(Debug)]
struct StreamFigures {
    subscribers: u64,
    unsent_bytes: u64,
    pieces: u64,
}

type Encoded = Result<(), std::fmt::Error>;

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Encoded {
        let to = &mut encoder;
        let Self { status, ingest, .. } = self;
        counter(to, "events", "Events stored since the database began", status.events)?;
        counter(to, "ingest_batches", "Batches stored since the server began", ingest.batches)?;
        counter(
            to,
            "ingest_refused_batches",
            "Batches that had to come again: too much waited, or the disk failed or was full",
            ingest.refused,
        )?;
        gauge(to, "ingest_queue", "Batches that wait to be stored", None, ingest.waiting)?;
        gauge(to, "ingest_queue", "What waits to be stored, decoded", Some(&Unit::Bytes), ingest.waiting_bytes)?;
        gauge(to, "waiting_events", "Events that wait until another says in which run their process is", None, status.waiting_events)?;
        gauge(to, "database", "The database on disk", Some(&Unit::Bytes), status.database_bytes)?;
        gauge(to, "stream_log", "The log of past events in the database", Some(&Unit::Bytes), status.stream_log_bytes)?;
        // In an empty log, the oldest event is the next one to arrive.
        let oldest = status.stream_log_from.unwrap_or(status.as_of + 1);
        gauge(to, "stream_log_oldest", "Number of the oldest event in the log", None, oldest)?;
        gauge(to, "stream_newest", "Number of the newest event", None, status.as_of)?;
        gauge(to, "database_log", "What is written into the database from time to time", Some(&Unit::Bytes), status.wal_bytes)?;
        for (name, help, value) in [
            ("disk_free", "Free space on the disk of the data folder", status.disk_free_bytes),
            ("disk_free_least", "Batches are refused while less is free", status.min_free_bytes),
        ] {
            value.map_or(Ok(()), |value| gauge(to, name, help, Some(&Unit::Bytes), value))?;
        }
        gauge(to, "ingest_stopped", "1 while batches can't be stored", None, u64::from(self.is_stopped))?;
        gauge(to, "stream_subscribers", "Readers of the event stream", None, self.stream.subscribers)?;
        let help = "Pieces of the stream that readers have not yet taken, or that are kept for others";
        gauge(to, "stream_unsent", help, Some(&Unit::Bytes), self.stream.unsent_bytes)?;
        counter(to, "stream_pieces", "Pieces of the stream written since the server began, each for all that want it", self.stream.pieces)?;
        gauge(to, "start_time", "When the server began", Some(&Unit::Seconds), self.started_us / 1_000_000)?;
        family(to, ("roots", "Trees by state", None, MetricType::Gauge), by_state(status.roots), |to, count| to.encode_gauge(&count))?;
        family(to, ("processes", "Processes by state", None, MetricType::Gauge), by_state(status.processes), |to, count| {
            to.encode_gauge(&count)
        })?;
        let workers = [("online", status.workers.online), ("offline", status.workers.offline), ("lost", status.workers.lost)];
        let workers = workers.map(|(state, count)| ([("state", state)], count));
        family(to, ("workers", "Workers by state", None, MetricType::Gauge), workers, |to, count| to.encode_gauge(&count))?;
        let dropped = status.dropped.iter().map(|of| ([("type", of.event_type.as_str()), ("reason", of.reason.as_str())], of.count));
        let about = ("dropped_events", "Events that workers could not keep or send", None, MetricType::Counter);
        family(to, about, dropped, |to, count| to.encode_counter::<NoLabelSet, u64, u64>(&count, None))?;
        by_worker(to, &self.workers)?;
        by_cluster(to, &self.clusters)?;
        duties(to, &self.duties)?;
        gauge(to, "channels", "Workers that hold a channel for commands", None, self.channels)?;
        counter(to, "commands", "Commands asked since the server began", self.commands)?;
        let replies = self.replies.map(|(kind, count)| ([("kind", kind)], count));
        let about = ("command_replies", "Replies of workers: awaited ones, late ones, double ones, and garbage", None, MetricType::Counter);
        family(to, about, replies, |to, count| to.encode_counter::<NoLabelSet, u64, u64>(&count, None))?;

        let ended = self.names.iter().flat_map(|of| {
            let name = of.name.as_deref().unwrap_or(OTHERS);
            of.states.iter().map(move |(state, count)| ([("name", name), ("state", state.as_str())], *count))
        });
        let about = ("process_ended", "Processes that ended, by name and state", None, MetricType::Counter);
        family(to, about, ended, |to, count| to.encode_counter::<NoLabelSet, u64, u64>(&count, None))?;
        let took = self.names.iter().map(|of| ([("name", of.name.as_deref().unwrap_or(OTHERS))], of));
        let about = ("process_duration", "How long processes took, by name", Some(Unit::Seconds), MetricType::Histogram);
        family(to, about, took, |to, of| {
            let buckets = buckets(of);
            let count = buckets.iter().map(|(_, count)| count).sum();
            to.encode_histogram::<NoLabelSet>(of.total_ns as f64 / 1e9, count, &buckets, None)
        })
    }
}

/// Encodes the metrics of single workers.
fn by_worker(to: &mut DescriptorEncoder<'_>, workers: &[Worker]) -> Encoded {
    let title = |worker: &Worker| format!("{}@{}:{}", worker.program, worker.hostname, worker.pid);
    let of = |worker: &Worker| [("worker", title(worker)), ("id", worker.id.to_string())];
    let running = workers.iter().map(|worker| (of(worker), worker.running));
    let about = ("worker_running", "Processes that run, by worker that is online", None, MetricType::Gauge);
    family(to, about, running, |to, count| to.encode_gauge(&count))?;
    let seen = workers.iter().map(|worker| (of(worker), worker.last_seen_us as f64 / 1e6));
    let about = ("worker_last_seen", "When a worker that is online was last heard of", Some(Unit::Seconds), MetricType::Gauge);
    family(to, about, seen, |to, time| to.encode_gauge(&time))?;
    let events = workers.iter().flat_map(|worker| {
        let labels = |event: &String| [("worker", title(worker)), ("id", worker.id.to_string()), ("type", event.clone())];
        worker.events.iter().map(move |(event, count)| (labels(event), *count))
    });
    let about = ("worker_events", "Events stored of a worker that is online, by type", None, MetricType::Counter);
    family(to, about, events, |to, count| to.encode_counter::<NoLabelSet, u64, u64>(&count, None))
}

/// Encodes the metrics of the clusters of Celery.
fn by_cluster(to: &mut DescriptorEncoder<'_>, clusters: &BTreeMap<String, Cluster>) -> Encoded {
    let connected = clusters.iter().map(|(name, of)| ([("cluster", name.as_str())], u64::from(of.is_connected)));
    let about = ("celery_connected", "1 while the bridge of a cluster of Celery reads its broker", None, MetricType::Gauge);
    family(to, about, connected, |to, is_connected| to.encode_gauge(&is_connected))?;
    let taken = clusters.iter().filter_map(|(name, of)| Some(([("cluster", name.as_str())], of.unacknowledged?)));
    let about = ("celery_unacknowledged", "Messages that workers have taken and not acknowledged (Redis)", None, MetricType::Gauge);
    family(to, about, taken, |to, count| to.encode_gauge(&count))?;
    let queues = || {
        clusters
            .iter()
            .flat_map(|(name, of)| of.queues.iter().map(move |queue| ([("cluster", name.as_str()), ("queue", queue.name.as_str())], queue)))
    };
    let about = ("celery_queue_waiting", "Tasks in a queue that no worker has taken", None, MetricType::Gauge);
    family(to, about, queues(), |to, queue| to.encode_gauge(&queue.waiting))?;
    let consumers = queues().filter_map(|(labels, queue)| Some((labels, queue.consumers?)));
    let about = ("celery_queue_consumers", "Workers that read a queue", None, MetricType::Gauge);
    family(to, about, consumers, |to, count| to.encode_gauge(&count))?;
    let oldest = queues().filter_map(|(labels, queue)| Some((labels, queue.oldest_us? as f64 / 1e6)));
    let about = ("celery_queue_oldest_sent", "When the oldest waiting task of a queue was sent", Some(Unit::Seconds), MetricType::Gauge);
    family(to, about, oldest, |to, time| to.encode_gauge(&time))?;
    let sent = queues().filter_map(|(labels, queue)| Some((labels, queue.sent_per_minute?)));
    let about = ("celery_queue_sent_per_minute", "Tasks sent to a queue in the last minute", None, MetricType::Gauge);
    family(to, about, sent, |to, count| to.encode_gauge(&count))?;
    let ended = queues().filter_map(|(labels, queue)| Some((labels, queue.ended_per_minute?)));
    let about = ("celery_queue_ended_per_minute", "Attempts of a queue's tasks that ended in the last minute", None, MetricType::Gauge);
    family(to, about, ended, |to, count| to.encode_gauge(&count))
}

/// Encodes the metrics of the background duties.
fn duties(to: &mut DescriptorEncoder<'_>, duties: &[DutyState]) -> Encoded {
    let of = |duty: &DutyState| [("duty", duty.name.clone())];
    let last = duties.iter().filter_map(|duty| Some((of(duty), duty.last_us? as f64 / 1e6)));
    let about = ("duty_last_run", "When a duty of the server last ended a run", Some(Unit::Seconds), MetricType::Gauge);
    family(to, about, last, |to, time| to.encode_gauge(&time))?;
    let lag = duties.iter().map(|duty| (of(duty), duty.lag_ns as f64 / 1e9));
    let about = ("duty_lag", "For how long a duty's next run is overdue", Some(Unit::Seconds), MetricType::Gauge);
    family(to, about, lag, |to, lag| to.encode_gauge(&lag))?;
    let failing = duties.iter().map(|duty| (of(duty), u64::from(duty.error.is_some())));
    let about = ("duty_failing", "1 while a duty's last run failed, or it broke off", None, MetricType::Gauge);
    family(to, about, failing, |to, failing| to.encode_gauge(&failing))?;
    let restarts = duties.iter().map(|duty| (of(duty), duty.restarts));
    let about = ("duty_restarts", "Times that a duty broke off and began anew", None, MetricType::Counter);
    family(to, about, restarts, |to, count| to.encode_counter::<NoLabelSet, u64, u64>(&count, None))
}

type About<'a> = (&'a str, &'a str, Option<Unit>, MetricType);

fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Encoded {
    to.encode_descriptor(name, help, None, MetricType::Counter)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> Encoded {
    to.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
}

fn family<L: EncodeLabelSet, V>(
    to: &mut DescriptorEncoder<'_>,
    (name, help, unit, kind): About<'_>,
    values: impl IntoIterator<Item = (L, V)>,
    encode: impl Fn(&mut MetricEncoder<'_>, V) -> Encoded,
) -> Encoded {
    let mut metric = to.encode_descriptor(name, help, unit.as_ref(), kind)?;
    values.into_iter().try_for_each(|(labels, value)| encode(&mut metric.encode_family(&labels)?, value))
}

fn by_state(mut counts: Counts) -> Vec<([(&'static str, &'static str); 1], u64)> {
    let states = ["pending", "running", "succeeded", "failed", "cancelled", "lost", "other"];
    states.map(|state| ([("state", state)], *counts.of(&state.into()))).to_vec()
}

/// Counts per bucket: durations up to its bound and above the previous bound. If a bucket of the stored histogram spans a bound, it counts
/// for the upper bucket.
fn buckets(of: &NameTotals) -> Vec<(f64, u64)> {
    let mut buckets = BOUNDS.map(|bound| (bound, 0));
    for (bucket, count) in &of.histogram {
        let seconds = 1.04_f64.powi(*bucket as i32 + 1) / 1e9;
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len() - 1);
        buckets[place].1 += count;
    }
    buckets.to_vec()
}
