//! The sender of a task.

use std::time::SystemTime;

use monitor_core::record::{TaskMessage, TaskStep};
use monitor_core::task::{self as core, TaskIds};
use serde::Serialize;

use super::{Ticket, json};
use crate::propagation::traceparent_of;

/// Begins the description of a task to send. Its parent is the current process.
///
/// # Examples
///
/// ```
/// use monitor_client::task;
///
/// let ticket = task::send("render").queue("video").begin();
/// assert_eq!(ticket.name.as_deref(), Some("render"));
/// ```
pub fn send(name: impl Into<String>) -> MessageBuilder {
    let message = TaskMessage { name: name.into(), ..TaskMessage::default() };
    MessageBuilder { is_recorded: crate::enabled(), message, uuid: None, retries: 0 }
}

/// Builder of a task to send. Created by [`send`].
///
/// # Examples
///
/// ```
/// use monitor_client::task;
///
/// let ticket = task::send("render").queue("video").args(&("a.mov", 1080)).begin();
/// assert_eq!(ticket.name.as_deref(), Some("render"));
/// ```
#[derive(Debug)]
#[must_use = "nothing is recorded until `begin` is called"]
pub struct MessageBuilder {
    is_recorded: bool,
    message: TaskMessage,
    uuid: Option<String>,
    retries: u32,
}

impl MessageBuilder {
    /// Sets the queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").queue("video").begin();
    /// assert_eq!(ticket.queue.as_deref(), Some("video"));
    /// ```
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.message.queue = Some(queue.into());
        self
    }

    /// Sets the exchange that the message is sent to, for queues with exchanges.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").exchange("films").begin();
    /// assert_eq!(ticket.name.as_deref(), Some("render"));
    /// ```
    pub fn exchange(mut self, exchange: impl Into<String>) -> Self {
        self.message.exchange = Some(exchange.into());
        self
    }

    /// Sets the routing key.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").exchange("films").routing_key("video.hd").begin();
    /// assert_eq!(ticket.name.as_deref(), Some("render"));
    /// ```
    pub fn routing_key(mut self, key: impl Into<String>) -> Self {
        self.message.routing_key = Some(key.into());
        self
    }

    /// Sets the id of the task in the queue. By default, the task gets a new id.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").uuid("5f0c1d6e").begin();
    /// assert_eq!(ticket.uuid.as_deref(), Some("5f0c1d6e"));
    /// ```
    pub fn uuid(mut self, uuid: impl Into<String>) -> Self {
        self.uuid = Some(uuid.into());
        self
    }

    /// Records the positional arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").args(&("a.mov", 1080)).begin();
    /// assert_eq!(ticket.name.as_deref(), Some("render"));
    /// ```
    pub fn args<T: Serialize + ?Sized>(mut self, args: &T) -> Self {
        self.message.args = json(self.is_recorded, args);
        self
    }

    /// Records the named arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").kwargs(&serde_json::json!({ "width": 1080 })).begin();
    /// assert_eq!(ticket.name.as_deref(), Some("render"));
    /// ```
    pub fn kwargs<T: Serialize + ?Sized>(mut self, kwargs: &T) -> Self {
        self.message.kwargs = json(self.is_recorded, kwargs);
        self
    }

    /// Sets the time before which the task must not start.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").eta(std::time::SystemTime::now() + std::time::Duration::from_secs(60)).begin();
    /// assert_eq!(ticket.name.as_deref(), Some("render"));
    /// ```
    pub fn eta(mut self, eta: SystemTime) -> Self {
        self.message.eta = Some(eta);
        self
    }

    /// Sets the time after which the task must not start.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").expires(std::time::SystemTime::now() + std::time::Duration::from_secs(3_600)).begin();
    /// assert_eq!(ticket.name.as_deref(), Some("render"));
    /// ```
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.message.expires = Some(expires);
        self
    }

    /// Reports the task as sent and returns its ticket for the message.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let ticket = task::send("render").queue("video").begin();
    /// let message = serde_json::json!({ "film": "a.mov", "ticket": ticket });
    /// println!("{message}"); // send it
    /// ```
    pub fn begin(self) -> Ticket {
        let MessageBuilder { is_recorded: _, message, uuid, retries } = self;
        let mut ticket = Ticket { uuid, name: Some(message.name.clone()), queue: message.queue.clone(), retries, ..Ticket::default() };
        if let Some((context, parent)) = core::new_ids(&message.name) {
            ticket.traceparent = traceparent_of(context);
            let native_id = ticket.uuid.get_or_insert_with(core::new_native_id).clone();
            core::tell(&TaskIds { context, native_id, attempt: 1 }, TaskStep::Sent(TaskMessage { parent, ..message }));
        }
        ticket
    }
}
