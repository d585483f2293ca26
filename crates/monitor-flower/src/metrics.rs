//! `/metrics` with the names of Flower.

use monitor_wire::Worker;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::answer::Content;
use crate::read::{is_online, nodes};
use crate::{Answer, Ask, Counts};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWorker {
    worker: String,
}

/// Returns the counts of events, and the states of the nodes.
pub(crate) async fn answer(api: &impl Ask, counts: &Counts) -> Result<Answer, Answer> {
    let nodes = nodes(api).await?;
    let mut registry = Registry::with_prefix("flower");
    let mut gauge = |name: &str, help: &str, value: fn(&Worker) -> u64| {
        let family = Family::<OfWorker, Gauge>::default();
        for (name, worker) in &nodes {
            family.get_or_create(&OfWorker { worker: name.clone() }).set(i64::try_from(value(worker)).unwrap_or(i64::MAX));
        }
        registry.register(name, help, family);
    };
    gauge("worker_online", "Worker online status", |worker| is_online(worker).into());
    let help = "Number of tasks currently executing at a worker";
    gauge("worker_number_of_currently_executing_tasks", help, |worker| worker.active.unwrap_or(worker.running));
    let mut text = String::new();
    let written =
        counts.write(&mut text).and_then(|()| text::encode_registry(&mut text, &registry)).and_then(|()| text::encode_eof(&mut text));
    written.expect("a string takes all");
    Ok(Answer { status: 200, content: Content::Metrics(text) })
}
