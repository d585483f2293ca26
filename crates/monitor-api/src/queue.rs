//! API calls for queue tasks.

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
    /// `GET /api/v1/queue-tasks`: lists queue tasks, last received first.
    pub fn queue_tasks(&self) -> Call<QueueTasksPage> {
        self.get(&["queue-tasks"])
    }

    /// `GET /api/v1/queue-tasks/types`: returns the number of tasks of each name.
    pub fn queue_types(&self) -> Call<QueueTypes> {
        self.get(&["queue-tasks", "types"])
    }

    /// `GET /api/v1/queue-tasks/{uuid}`: returns a queue task.
    pub fn queue_task(&self, uuid: &str) -> Call<Process> {
        self.get(&["queue-tasks", uuid])
    }

    /// `GET /api/v1/queue-tasks/{uuid}/result`: returns the result of a task. Waits up to `wait` for its end.
    pub fn queue_task_result(&self, uuid: &str, wait: Duration) -> Call<QueueTaskResult> {
        let call = self.get(&["queue-tasks", uuid, "result"]);
        call.parameter("timeout", &wait.as_millis()).patience(wait + Duration::from_secs(30))
    }

    /// `GET /api/v1/queues`: returns the number of tasks of each queue.
    pub fn queues(&self) -> Call<Queues> {
        self.get(&["queues"])
    }

    /// `GET /api/v1/queues`, with the numbers reported by the workers that are online. Waits up to `timeout` for their answers.
    pub fn queues_asked(&self, timeout: Duration) -> Call<Queues> {
        self.queues().parameter("timeout", &timeout.as_millis()).patience(timeout + Duration::from_secs(30))
    }

    /// `POST /api/v1/queue-tasks`: starts a task by name. Two requests start two tasks, unless they have the same `Idempotency-Key`.
    pub fn call_queue_task(&self, request: &QueueCallRequest) -> Call<QueueCalled> {
        self.v1(Method::POST, &["queue-tasks"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `POST /api/v1/queue-tasks/revoke`: revokes tasks.
    pub fn revoke_queue_tasks(&self, request: &QueueRevokeRequest) -> Call<Command> {
        self.v1(Method::POST, &["queue-tasks", "revoke"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `POST /api/v1/queue-tasks/retry`: runs ended tasks again.
    pub fn retry_queue_tasks(&self, request: &QueueRetryRequest) -> Call<QueueRetried> {
        self.v1(Method::POST, &["queue-tasks", "retry"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }
}

pages!(QueueTasksPage);
