//! What workers that are online say of their queues.

use std::sync::Arc;
use std::time::Duration;

use monitor_wire::{CommandRequest, CommandStatus, QueueOfWorker, QueuesAnswer, WorkerId};

use super::ask::Each;
use super::single::Plan;
use super::{Caller, CommandError, Commands};

/// A worker may tell of so many queues.
const MOST_QUEUES: usize = 1_000;

impl Commands {
    /// Asks the workers that know their queues, and returns each queue by its name as each of them knows it.
    pub(crate) async fn queues(self: &Arc<Self>, by: &str, timeout_ms: u64) -> Result<Vec<(String, QueueOfWorker)>, CommandError> {
        let request = CommandRequest { method: "queues".to_owned(), timeout_ms: Some(timeout_ms), ..CommandRequest::default() };
        let targets = self.targets(&request).await?;
        let targets: Vec<_> = {
            let hub = self.hub();
            let knows = |worker: &WorkerId| hub.channels.get(worker).is_some_and(|channel| channel.does("queues"));
            targets.into_iter().filter(|target| target.worker.as_ref().is_some_and(|known| knows(&known.id))).collect()
        };
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let (caller, plan) = (Caller::server(by.to_owned(), None), Plan { targets, each: Each::new() });
        let timeout = Duration::from_millis(timeout_ms);
        let id = self.begin(&caller, request, plan, timeout, [0; 32]).await?;
        let mut told = Vec::new();
        for line in self.wait(id, timeout).await?.lines.into_iter().filter(|line| line.status == CommandStatus::OK) {
            // A worker may answer anything.
            let answer = line.value.and_then(|value| serde_json::from_value::<QueuesAnswer>(value).ok()).unwrap_or_default();
            for queue in answer.queues.into_iter().take(MOST_QUEUES) {
                let of_worker = QueueOfWorker {
                    worker: line.name.clone(),
                    worker_id: line.worker_id,
                    waiting: queue.waiting,
                    consumers: queue.consumers,
                    reserved: queue.reserved,
                    active: queue.active,
                };
                told.push((queue.name, of_worker));
            }
        }
        Ok(told)
    }
}
