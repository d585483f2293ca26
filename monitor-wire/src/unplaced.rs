//! Events about processes whose tree their sender doesn't know: a queue tells only its own id of a task.

use serde::de::{Deserializer, Error as _};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::{Event, ProcessEnded, ProcessProgressed, ProcessQueued, ProcessStarted, ProcessUpdated};
use crate::ids::{ProcessId, RootId};

/// An event without a tree. It names its process by `native_id` and `native_source`; the process's id follows from both, and is that of
/// the process which another event, with this `native_id`, puts into a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Unplaced {
    /// The system whose id `native_id` is, such as the address of a queue.
    pub native_source: String,
    /// The process: the first 8 bytes of SHA-256(`native_source` ‖ `native_id`). The server fills it in.
    pub id: Option<ProcessId>,
    /// The event, in a tree and of a process that mean nothing.
    event: Box<Event>,
}

/// Stands for what isn't known.
const NOWHERE: (&str, &str) = ("00000000000000000000000000000001", "0000000000000001");

impl Unplaced {
    /// Types of events that may come without a tree.
    pub const TYPES: [&str; 5] = ["process-queued", "process-started", "process-updated", "process-progressed", "process-ended"];

    /// The event, in a tree and of a process that mean nothing.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The same, to be changed.
    pub fn event_mut(&mut self) -> &mut Event {
        &mut self.event
    }

    /// The id that the other system gave the process.
    pub fn native_id(&self) -> &str {
        let native_id = match &*self.event {
            Event::ProcessQueued(of) => &of.native_id,
            Event::ProcessStarted(of) => &of.native_id,
            Event::ProcessUpdated(of) => &of.native_id,
            Event::ProcessProgressed(of) => &of.native_id,
            Event::ProcessEnded(of) => &of.native_id,
            _ => &None,
        };
        native_id.as_deref().unwrap_or_default()
    }

    /// The event in the tree to which it turned out to belong.
    pub fn place(&self, in_tree: RootId, process: ProcessId) -> Event {
        let mut event = (*self.event).clone();
        match &mut event {
            Event::ProcessQueued(ProcessQueued { root_id, id, .. })
            | Event::ProcessStarted(ProcessStarted { root_id, id, .. })
            | Event::ProcessUpdated(ProcessUpdated { root_id, id, .. })
            | Event::ProcessProgressed(ProcessProgressed { root_id, id, .. })
            | Event::ProcessEnded(ProcessEnded { root_id, id, .. }) => (*root_id, *id) = (in_tree, process),
            _ => {}
        }
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
        let event = serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)?;
        match event {
            Event::ProcessQueued(_)
            | Event::ProcessStarted(_)
            | Event::ProcessUpdated(_)
            | Event::ProcessProgressed(_)
            | Event::ProcessEnded(_) => Ok(Self { native_source, id, event: Box::new(event) }),
            _ => Err(D::Error::custom("missing field `root_id`")),
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
