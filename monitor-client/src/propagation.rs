//! Ids on their way to another operating-system process: in messages, headers and the environment.

use std::process::Command;

use monitor_core::Context;
use monitor_wire::{ProcessId, RootId, Traceparent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a message was sent from: put it into any message with `#[serde(flatten)]`.
///
/// Both ids are empty when nothing is monitored; the receiver's `#[cross_process]` function takes them as they are.
///
/// ```
/// use monitor_client::{Propagation, cross_process};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Order {
///     number: u32,
///     #[serde(flatten)]
///     from: Propagation,
/// }
///
/// #[cross_process("take order")]
/// fn take(number: u32, root_id: Option<String>, parent_id: Option<String>) -> u32 {
///     number
/// }
///
/// let text = serde_json::to_string(&Order { number: 7, from: Propagation::current() }).unwrap();
/// let order: Order = serde_json::from_str(&text).unwrap();
/// assert_eq!(take(order.number, order.from.root_id, order.from.parent_id), 7);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Propagation {
    /// The tree, as 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_id: Option<String>,
    /// The process that sent the message, as 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
}

impl Propagation {
    /// The ids of what runs here and now; empty when nothing is monitored.
    pub fn current() -> Self {
        ids().map_or_else(Self::default, |(root, process)| Self { root_id: Some(root.to_string()), parent_id: Some(process.to_string()) })
    }
}

/// Puts `root_id` and `parent_id` into a JSON object. Nothing happens when nothing is monitored, or when `message` is no object.
///
/// ```
/// let mut message = serde_json::json!({"number": 7});
/// monitor_client::inject(&mut message);
/// assert_eq!(message["number"], 7);
/// ```
pub fn inject(message: &mut Value) {
    if let (Some(object), Some((root, process))) = (message.as_object_mut(), ids()) {
        object.insert("root_id".to_owned(), Value::String(root.to_string()));
        object.insert("parent_id".to_owned(), Value::String(process.to_string()));
    }
}

/// Takes what [`inject`] has put into a message; what is not there, or no text, is left empty.
///
/// ```
/// let message = serde_json::json!({"root_id": "0199a3ce929d0e0e47360199a3ce929d", "parent_id": 12});
/// let from = monitor_client::extract(&message);
/// assert_eq!(from.root_id.as_deref(), Some("0199a3ce929d0e0e47360199a3ce929d"));
/// assert_eq!(from.parent_id, None);
/// ```
pub fn extract(message: &Value) -> Propagation {
    let text = |key| message.get(key).and_then(Value::as_str).map(str::to_owned);
    Propagation { root_id: text("root_id"), parent_id: text("parent_id") }
}

/// The W3C `traceparent` header of what runs here and now; none when nothing is monitored.
///
/// On the other side, [`Propagation::from_traceparent`] takes it apart.
pub fn traceparent() -> Option<String> {
    ids().map(|(root_id, process_id)| Traceparent { root_id, process_id }.to_string())
}

impl Propagation {
    /// The ids of a `traceparent` header; empty when it is none.
    ///
    /// ```
    /// let from = monitor_client::Propagation::from_traceparent("00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-01");
    /// assert_eq!(from.parent_id.as_deref(), Some("a3ce929d0e0e4736"));
    /// ```
    pub fn from_traceparent(header: &str) -> Self {
        header.parse::<Traceparent>().map_or_else(
            |_| Self::default(),
            |found| Self { root_id: Some(found.root_id.to_string()), parent_id: Some(found.process_id.to_string()) },
        )
    }
}

/// Lets a command know whose child it is: a monitored program reads it at its start.
pub trait CommandExt {
    /// Sets `MONITOR_ROOT_ID` and `MONITOR_PARENT_ID` to what runs here and now; removes them when nothing is monitored.
    ///
    /// ```no_run
    /// use monitor_client::CommandExt;
    /// std::process::Command::new("worker").with_current_process().status()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn with_current_process(&mut self) -> &mut Self;
}

impl CommandExt for Command {
    fn with_current_process(&mut self) -> &mut Self {
        match ids() {
            Some((root, process)) => self.env("MONITOR_ROOT_ID", root.to_string()).env("MONITOR_PARENT_ID", process.to_string()),
            None => self.env_remove("MONITOR_ROOT_ID").env_remove("MONITOR_PARENT_ID"),
        }
    }
}

fn ids() -> Option<(RootId, ProcessId)> {
    let context = Context::current()?;
    Some((RootId::new(context.root())?, ProcessId::new(context.process())?))
}
