//! Queues as reported by the online workers.

use std::sync::Arc;
use std::time::Duration;

use monitor_wire::{CommandRequest, CommandStatus, QueueOfWorker, QueuesAnswer, WorkerId};

use super::ask::Each;
use super::single::Plan;
use super::{Caller, CommandError, Commands};

/// Maximum number of queues that a worker may report.
const MOST_QUEUES: usize = 1_000;

impl Commands {
    /// Queries the workers that support it, and returns the name of each queue with one worker's figures.
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
            // The reply of a worker can be any JSON.
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
