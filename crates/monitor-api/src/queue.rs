//! The calls for tasks of queues.

use std::time::Duration;

use monitor_wire::{
    Command, Process, QueueCallRequest, QueueCalled, QueueRetried, QueueRetryRequest, QueueRevokeRequest, QueueTaskResult, QueueTasksPage,
    QueueTypes, Queues,
};
use reqwest::Method;

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

    /// `GET /api/v1/queues`, with what workers that are online say of their queues. Waits so long for their answers.
    pub fn queues_asked(&self, timeout: Duration) -> Call<Queues> {
        self.queues().parameter("timeout", &timeout.as_millis()).patience(timeout + Duration::from_secs(30))
    }

    /// `POST /api/v1/queue-tasks`: starts a task by its name. Asked twice, it is two tasks, unless both have the same `Idempotency-Key`.
    pub fn call_queue_task(&self, request: &QueueCallRequest) -> Call<QueueCalled> {
        self.v1(Method::POST, &["queue-tasks"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `POST /api/v1/queue-tasks/revoke`
    pub fn revoke_queue_tasks(&self, request: &QueueRevokeRequest) -> Call<Command> {
        self.v1(Method::POST, &["queue-tasks", "revoke"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `POST /api/v1/queue-tasks/retry`: has tasks that have ended run again.
    pub fn retry_queue_tasks(&self, request: &QueueRetryRequest) -> Call<QueueRetried> {
        self.v1(Method::POST, &["queue-tasks", "retry"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }
}

pages!(QueueTasksPage);
