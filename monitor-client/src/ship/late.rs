//! Events that are only counted because the end of the program is late.

use std::collections::HashSet;

use monitor_spool::Rejected;
use monitor_wire::{Event, ProcessId};

/// Decides which events are only counted once the program's end is late. Counting is much cheaper than encoding.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// Processes whose start events were only counted.
    counted: HashSet<ProcessId>,
}

impl Late {
    /// Returns the count entry that replaces the event, or `None` to keep the event. Ends of processes whose start was kept, and starts of
    /// trees, are kept. So no known process stays open, and no process lacks its parent.
    pub(super) fn counts(&mut self, event: &Event) -> Option<Rejected> {
        let is_counted = match event {
            Event::ProcessStarted(start) if start.parent_id.is_some() => {
                self.counted.insert(start.id);
                true
            }
            Event::ProcessEnded(end) => self.counted.contains(&end.id),
            Event::ProcessFolded(fold) => fold.parent_id.is_some_and(|parent| self.counted.contains(&parent)),
            Event::ProcessLogged(_) | Event::ProcessUpdated(_) | Event::ProcessProgressed(_) => true,
            _ => false,
        };
        is_counted.then(|| Rejected { event_type: event.type_name().to_owned(), root_id: event.root_id() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, id: u64, more: &serde_json::Value) -> Event {
        let mut event = json!({"type": kind, "root_id": "00000000000000000000000000000001", "id": format!("{id:016x}"), "time_us": 1});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn starts_of_trees_and_ends_of_known_processes_are_kept() {
        let mut late = Late::default();
        let start = |id, parent: Option<u64>| {
            event(
                "process-started",
                id,
                &json!({"name": "a", "kind": "normal", "parent_id": parent.map(|parent| format!("{parent:016x}"))}),
            )
        };
        let end = |id| event("process-ended", id, &json!({"outcome": "succeeded"}));
        let says = |id| event("process-logged", id, &json!({"level": "info", "message": "a"}));
        let mut counted = |event: Event| late.counts(&event).is_some();
        assert!(counted(start(2, Some(1))) && counted(end(2)) && counted(says(1)));
        assert!(!counted(start(3, None)) && !counted(end(3)) && !counted(end(1)));
    }
}
