//! Events about processes whose runs the sender does not know. For example, a queue only knows its own id of a task.

use serde::de::{Deserializer, Error as _};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::Event;
use crate::ids::{ProcessId, RootId};

/// An event without a run. `native_id` and `native_source` identify its process. The process id is derived from both, and equals the id of the
/// process that another event with this `native_id` places in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Unplaced {
    /// The system that issued `native_id`, such as the address of a queue.
    pub native_source: String,
    /// Id of the process: the first 8 bytes of SHA-256(`native_source` ‖ `native_id`). The server sets it.
    pub id: Option<ProcessId>,
    /// The event, with placeholders for the ids of the run and the process.
    event: Box<Event>,
}

/// Evaluates an expression for an event whose type may omit the run. Returns `None` for other types.
macro_rules! of_any {
    ($event:expr, $of:ident => $value:expr) => {
        match $event {
            Event::ProcessQueued($of) => Some($value),
            Event::ProcessStarted($of) => Some($value),
            Event::ProcessUpdated($of) => Some($value),
            Event::ProcessProgressed($of) => Some($value),
            Event::ProcessEnded($of) => Some($value),
            Event::TaskSent($of) => Some($value),
            Event::TaskReceived($of) => Some($value),
            Event::TaskStarted($of) => Some($value),
            Event::TaskSucceeded($of) => Some($value),
            Event::TaskFailed($of) => Some($value),
            Event::TaskRejected($of) => Some($value),
            Event::TaskRevoked($of) => Some($value),
            Event::TaskRetried($of) => Some($value),
            _ => None,
        }
    };
}

/// Placeholders for the ids of the run and the process.
const NOWHERE: (&str, &str) = ("00000000000000000000000000000001", "0000000000000001");

impl Unplaced {
    /// Types of events that may omit the run.
    pub const TYPES: [&str; 13] = [
        "process-queued",
        "process-started",
        "process-updated",
        "process-progressed",
        "process-ended",
        "task-sent",
        "task-received",
        "task-started",
        "task-succeeded",
        "task-failed",
        "task-rejected",
        "task-revoked",
        "task-retried",
    ];

    /// Creates an event without a run. The ids of the run and the process in `event` are ignored, and its `native_id` must be set. Returns `None` for
    /// types of events that can't omit the run.
    pub fn new(native_source: String, event: Event) -> Option<Self> {
        of_any!(&event, _of => ())?;
        Some(Self { native_source, id: None, event: Box::new(event) })
    }

    /// Returns the event, with placeholders for the ids of the run and the process.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Returns the event for modification.
    pub fn event_mut(&mut self) -> &mut Event {
        &mut self.event
    }

    /// Returns the id that the external system gave the process.
    pub fn native_id(&self) -> &str {
        let native_id = of_any!(&*self.event, of => of.native_id.as_deref());
        native_id.flatten().unwrap_or_default()
    }

    /// Returns a copy of the event with the ids of its run and process.
    pub fn place(&self, in_tree: RootId, process: ProcessId) -> Event {
        let mut event = (*self.event).clone();
        let placed = of_any!(&mut event, of => (of.root_id, of.id) = (in_tree, process));
        debug_assert!(placed.is_some(), "only these types are made");
        event
    }
}

impl<'de> Deserialize<'de> for Unplaced {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let mut text = |key: &'static str| match fields.remove(key) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(D::Error::custom(format!("`{key}` is no text"))),
            None => Err(D::Error::custom(format!("missing field `{key}`: an event without `root_id` needs it"))),
        };
        let (native_source, native_id) = (text("native_source")?, text("native_id")?);
        let id = match fields.remove("id") {
            None | Some(Value::Null) => None,
            Some(id) => Some(ProcessId::deserialize(id).map_err(D::Error::custom)?),
        };
        fields.insert("native_id".to_owned(), native_id.into());
        fields.insert("root_id".to_owned(), NOWHERE.0.into());
        fields.insert("id".to_owned(), NOWHERE.1.into());
        let event: Event = serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)?;
        match of_any!(&event, _of => ()) {
            Some(()) => Ok(Self { native_source, id, event: Box::new(event) }),
            None => Err(D::Error::custom("missing field `root_id`")),
        }
    }
}

impl Serialize for Unplaced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serde_json::to_value(&self.event).map_err(S::Error::custom)?;
        if let Some(fields) = event.as_object_mut() {
            fields.remove("root_id");
            fields.remove("id");
            fields.insert("native_source".to_owned(), self.native_source.clone().into());
            if let Some(id) = self.id {
                fields.insert("id".to_owned(), id.to_string().into());
            }
        }
        event.serialize(serializer)
    }
}
