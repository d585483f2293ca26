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

/// Tasks of queues.
impl Client {
    /// `GET /api/v1/queue-tasks`: lists queue tasks, last received first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for task in client.queue_tasks().limit(50).await?.tasks {
    ///     println!("{} {}", task.name, task.state);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_tasks(&self) -> Call<QueueTasksPage> {
        self.get(&["queue-tasks"])
    }

    /// `GET /api/v1/queue-tasks/types`: returns the number of tasks of each name.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for name in client.queue_types().await?.types {
    ///     println!("{}: {:?}", name.name, name.states);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_types(&self) -> Call<QueueTypes> {
        self.get(&["queue-tasks", "types"])
    }

    /// `GET /api/v1/queue-tasks/{uuid}`: returns a queue task.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let task = client.queue_task("5f0c1d6e-8a57-4a4d-9d0c-2f6f0f9c2b11").await?;
    /// println!("{} attempts", task.attempts.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_task(&self, uuid: &str) -> Call<Process> {
        self.get(&["queue-tasks", uuid])
    }

    /// `GET /api/v1/queue-tasks/{uuid}/result`: returns the result of a task. Waits up to `wait` for its end.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use std::time::Duration;
    ///
    /// let uuid = "5f0c1d6e-8a57-4a4d-9d0c-2f6f0f9c2b11";
    /// let result = client.queue_task_result(uuid, Duration::from_secs(10)).await?;
    /// if result.ended {
    ///     println!("{} {:?}", result.state, result.result);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_task_result(&self, uuid: &str, wait: Duration) -> Call<QueueTaskResult> {
        let call = self.get(&["queue-tasks", uuid, "result"]);
        call.parameter("timeout", &wait.as_millis()).patience(wait + Duration::from_secs(30))
    }

    /// `GET /api/v1/queues`: returns the number of tasks of each queue.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for queue in client.queues().await?.queues {
    ///     println!("{}: {:?}", queue.name, queue.states);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn queues(&self) -> Call<Queues> {
        self.get(&["queues"])
    }

    /// `GET /api/v1/queues`: returns the number of tasks of each queue, including the numbers that the online workers report. Waits up to
    /// `timeout` for their answers.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let queues = client.queues_asked(std::time::Duration::from_secs(1)).await?;
    /// for queue in queues.queues {
    ///     println!("{}: {} workers", queue.name, queue.workers.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn queues_asked(&self, timeout: Duration) -> Call<Queues> {
        self.queues().parameter("timeout", &timeout.as_millis()).patience(timeout + Duration::from_secs(30))
    }

    /// `POST /api/v1/queue-tasks`: starts a task by name. Sending the same request twice starts two tasks.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::QueueCallRequest;
    ///
    /// let request = QueueCallRequest { name: "render".to_owned(), args: vec!["a.mov".into()], ..QueueCallRequest::default() };
    /// println!("{}", client.call_queue_task(&request).await?.uuid);
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_queue_task(&self, request: &QueueCallRequest) -> Call<QueueCalled> {
        self.v1(Method::POST, &["queue-tasks"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `POST /api/v1/queue-tasks/revoke`: revokes tasks.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::QueueRevokeRequest;
    ///
    /// let ids = vec!["5f0c1d6e-8a57-4a4d-9d0c-2f6f0f9c2b11".to_owned()];
    /// client.revoke_queue_tasks(&QueueRevokeRequest { ids, ..QueueRevokeRequest::default() }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn revoke_queue_tasks(&self, request: &QueueRevokeRequest) -> Call<Command> {
        self.v1(Method::POST, &["queue-tasks", "revoke"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `POST /api/v1/queue-tasks/retry`: runs ended tasks again.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::QueueRetryRequest;
    ///
    /// let ids = vec!["5f0c1d6e-8a57-4a4d-9d0c-2f6f0f9c2b11".to_owned()];
    /// for task in client.retry_queue_tasks(&QueueRetryRequest { ids, ..QueueRetryRequest::default() }).await?.tasks {
    ///     println!("{}: {:?}", task.id, task.error);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry_queue_tasks(&self, request: &QueueRetryRequest) -> Call<QueueRetried> {
        self.v1(Method::POST, &["queue-tasks", "retry"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }
}

pages!(QueueTasksPage);
