//! Propagation of ids to another operating-system process: in messages, headers and the environment.

use std::borrow::Cow;
use std::process::Command;

use monitor_core::Context;
use monitor_wire::{ProcessId, RootId, Traceparent};
use serde::{Deserialize, Serialize};

use crate::carrier::Carrier;
use crate::foreign::{self, State};
use crate::remote::remote;

/// Ids of the sender of a message. Add it to any message with `#[serde(flatten)]`.
///
/// Both ids are `None` if nothing is monitored. The receiver's `#[cross_process]` function accepts them unchanged.
///
/// # Examples
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
    /// Id of the run, as 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_id: Option<String>,
    /// Id of the process that sent the message, as 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
}

impl Propagation {
    /// Returns the ids of the current process. Empty if no process is current.
    ///
    /// # Examples
    ///
    /// ```
    /// let from = monitor_client::Propagation::current();
    /// assert_eq!(from.root_id, None); // nothing is monitored
    /// ```
    pub fn current() -> Self {
        Context::current().map_or_else(Self::default, Self::from)
    }
}

/// Adds the ids of the current process to headers, a message or any other [`Carrier`]. Does nothing if no process is current.
///
/// # Examples
///
/// ```
/// let mut message = serde_json::json!({"number": 7});
/// monitor_client::inject(&mut message);
/// assert_eq!(message["number"], 7);
/// ```
pub fn inject<C: Carrier + ?Sized>(message: &mut C) {
    if let Some(context) = Context::current() {
        context.inject(message);
    }
}

/// Reads the ids that [`inject`] added to a message, for a `#[cross_process]` function. A missing value, or one that is not a string, is
/// `None`; an invalid id is returned unchanged. To get a [`Context`], use `Context::extract`.
///
/// # Examples
///
/// ```
/// let message = serde_json::json!({"root_id": "0199a3ce929d0e0e47360199a3ce929d", "parent_id": 12});
/// let from = monitor_client::extract(&message);
/// assert_eq!(from.root_id.as_deref(), Some("0199a3ce929d0e0e47360199a3ce929d"));
/// assert_eq!(from.parent_id, None);
/// ```
pub fn extract<C: Carrier + ?Sized>(message: &C) -> Propagation {
    if let Some(Header { parsed, state }) = read_header(message) {
        keep(parsed.root_id, state);
        return Propagation { root_id: Some(parsed.root_id.to_string()), parent_id: Some(parsed.process_id.to_string()) };
    }
    let text = |key| message.get(key).map(Cow::into_owned);
    Propagation { root_id: text("root_id"), parent_id: text("parent_id") }
}

/// Methods to put a process's ids into any [`Carrier`] and read them from it.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use monitor_client::{Context, ContextExt, Process};
///
/// fn send(headers: &mut HashMap<String, String>) {
///     if let Some(context) = Context::current() {
///         context.inject(headers);
///     }
/// }
///
/// fn receive(headers: &HashMap<String, String>) {
///     let context = Context::extract(headers);
///     let _current = context.map(Context::enter);
///     let _work = Process::builder("work").enter(); // a child of the sender
/// }
/// # let mut headers = HashMap::new(); send(&mut headers); receive(&headers);
/// ```
pub trait ContextExt: Sized {
    /// Adds the ids to a carrier as `traceparent`, and in messages also as `root_id` and `parent_id`. If the run began in another system,
    /// that system's `tracestate` is passed on unchanged, and so is a cleared sampled flag.
    fn inject<C: Carrier + ?Sized>(self, carrier: &mut C);

    /// Reads the sender's ids from a carrier. `None` if there are no ids, or they can't be parsed. Ids that can't be parsed are counted:
    /// see [`broken_callers`](crate::broken_callers).
    fn extract<C: Carrier + ?Sized>(carrier: &C) -> Option<Self>;
}

impl ContextExt for Context {
    fn inject<C: Carrier + ?Sized>(self, carrier: &mut C) {
        let Some((root_id, process_id)) = ids_of(self) else { return };
        let State { is_sampled, tracestate } = foreign::of(self.root());
        carrier.set("traceparent", header_of(root_id, process_id, is_sampled));
        if let Some(tracestate) = tracestate {
            carrier.set("tracestate", tracestate);
        }
        if carrier.is_message() {
            carrier.set("root_id", root_id.to_string());
            carrier.set("parent_id", process_id.to_string());
        }
    }

    fn extract<C: Carrier + ?Sized>(carrier: &C) -> Option<Self> {
        if let Some(Header { parsed, state }) = read_header(carrier) {
            keep(parsed.root_id, state);
            return Context::new(parsed.root_id.get(), parsed.process_id.get());
        }
        let ids = |key| if carrier.is_message() { carrier.get(key) } else { None };
        context_of(ids("root_id").as_deref(), ids("parent_id").as_deref())
    }
}

struct Header {
    parsed: Traceparent,
    state: State,
}

/// Reads the `traceparent` of a carrier. `None` if there is none, or it can't be parsed. The latter is counted.
fn read_header<C: Carrier + ?Sized>(carrier: &C) -> Option<Header> {
    let text = carrier.get("traceparent").filter(|text| !text.trim().is_empty())?;
    let Ok(parsed) = text.parse() else {
        foreign::count_broken();
        return None;
    };
    Some(Header { parsed, state: State::read(&text, carrier.get("tracestate").as_deref()) })
}

fn keep(root: RootId, state: State) {
    if crate::enabled() {
        foreign::remember(root.get(), state);
    }
}

/// Parses ids. If the parent is missing or invalid, the process that began the tree is used.
fn context_of(root: Option<&str>, parent: Option<&str>) -> Option<Context> {
    let found = remote(&root, &parent);
    let root = found.root.and_then(RootId::new)?;
    let parent = found.parent.and_then(ProcessId::new).or_else(|| root.own_process())?;
    Context::new(root.get(), parent.get())
}

fn header_of(root_id: RootId, process_id: ProcessId, is_sampled: bool) -> String {
    let mut header = Traceparent { root_id, process_id }.to_string();
    if !is_sampled {
        header.replace_range(header.len() - 2.., "00");
    }
    header
}

/// Returns the W3C `traceparent` header of the current process. `None` if no process is current.
///
/// The receiver parses it with [`Propagation::from_traceparent`].
///
/// # Examples
///
/// ```
/// let mut headers = vec![("accept".to_owned(), "text/plain".to_owned())];
/// headers.extend(monitor_client::traceparent().map(|header| ("traceparent".to_owned(), header)));
/// assert_eq!(headers.len(), 1); // nothing is monitored
/// ```
pub fn traceparent() -> Option<String> {
    ids().map(|(root_id, process_id)| header_of(root_id, process_id, foreign::of(root_id.get()).is_sampled))
}

/// Returns the W3C `traceparent` header of a process.
pub(crate) fn traceparent_of(context: Context) -> Option<String> {
    let (root_id, process_id) = ids_of(context)?;
    Some(header_of(root_id, process_id, foreign::of(context.root()).is_sampled))
}

/// Parses a `traceparent` header. A header that can't be parsed is counted.
pub(crate) fn context_of_traceparent(header: &str) -> Option<Context> {
    let Ok(parsed) = header.parse::<Traceparent>() else {
        foreign::count_broken();
        return None;
    };
    Context::new(parsed.root_id.get(), parsed.process_id.get())
}

impl From<Context> for Propagation {
    fn from(context: Context) -> Self {
        ids_of(context)
            .map_or_else(Self::default, |(root, process)| Self { root_id: Some(root.to_string()), parent_id: Some(process.to_string()) })
    }
}

impl Propagation {
    /// Returns the process that the ids identify. `None` if they are empty or invalid. Without a parent, this
    /// is the process that began the run.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Context, Propagation};
    ///
    /// let sender = Context::new(7, 8).unwrap();
    /// assert_eq!(Propagation::from(sender).context(), Some(sender));
    /// assert_eq!(Propagation::default().context(), None);
    /// ```
    pub fn context(&self) -> Option<Context> {
        context_of(self.root_id.as_deref(), self.parent_id.as_deref())
    }

    /// Parses the ids in a `traceparent` header. Empty if the header is invalid.
    ///
    /// # Examples
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

/// Passes the current process to a command, so that a monitored program becomes its child.
///
/// # Examples
///
/// ```
/// use monitor_client::CommandExt;
///
/// let mut command = std::process::Command::new("worker");
/// command.arg("--once").with_current_process();
/// ```
pub trait CommandExt {
    /// Sets `MONITOR_ROOT_ID` and `MONITOR_PARENT_ID` to the ids of the current process. Removes both variables if no process is current.
    ///
    /// # Examples
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

#[cfg(feature = "tokio-process")]
impl CommandExt for tokio::process::Command {
    fn with_current_process(&mut self) -> &mut Self {
        self.as_std_mut().with_current_process();
        self
    }
}

fn ids() -> Option<(RootId, ProcessId)> {
    ids_of(Context::current()?)
}

fn ids_of(context: Context) -> Option<(RootId, ProcessId)> {
    Some((RootId::new(context.root())?, ProcessId::new(context.process())?))
}
