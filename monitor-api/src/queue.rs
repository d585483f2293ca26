//! The calls for tasks of queues.

use std::time::Duration;

use monitor_wire::{Process, QueueTaskResult, QueueTasksPage, QueueTypes, Queues};

use crate::call::Call;
use crate::calls::pages;
use crate::client::Client;

impl Client {
    /// `GET /api/v1/queue-tasks`: tasks of queues, those received last first.
    pub fn queue_tasks(&self) -> Call<QueueTasksPage> {
        self.get(&["queue-tasks"])
    }

    /// `GET /api/v1/queue-tasks/types`: how many tasks of each name there are.
    pub fn queue_types(&self) -> Call<QueueTypes> {
        self.get(&["queue-tasks", "types"])
    }

    /// `GET /api/v1/queue-tasks/{uuid}`
    pub fn queue_task(&self, uuid: &str) -> Call<Process> {
        self.get(&["queue-tasks", uuid])
    }

    /// `GET /api/v1/queue-tasks/{uuid}/result`: what a task returned. Waits so long for its end.
    pub fn queue_task_result(&self, uuid: &str, wait: Duration) -> Call<QueueTaskResult> {
        let call = self.get(&["queue-tasks", uuid, "result"]);
        call.parameter("timeout", &wait.as_millis()).patience(wait + Duration::from_secs(30))
    }

    /// `GET /api/v1/queues`: how many tasks of each queue there are.
    pub fn queues(&self) -> Call<Queues> {
        self.get(&["queues"])
    }
}

pages!(QueueTasksPage);
