//! What the end of a program has no time for.

use std::collections::HashSet;

use monitor_spool::Rejected;
use monitor_wire::{Event, ProcessId};

/// Decides which events are only counted once the end of the program may take no longer. Counting costs a fraction of encoding.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// Processes whose starts were only counted.
    counted: HashSet<ProcessId>,
}

impl Late {
    /// Returns what to count in place of the event; none if it is to be kept all the same, as what closes a process that is known and
    /// what begins a tree: so no process stays open for want of its end, and none is without its parent.
    pub(super) fn counts(&mut self, event: &Event) -> Option<Rejected> {
        let is_counted = match event {
            Event::ProcessStarted(start) => {
                start.parent_id.is_some() && {
                    self.counted.insert(start.id);
                    true
                }
            }
            Event::ProcessEnded(end) => self.counted.contains(&end.id),
            Event::ProcessFolded(fold) => fold.parent_id.is_some_and(|parent| self.counted.contains(&parent)),
            Event::ProcessLogged(_) | Event::ProcessUpdated(_) => true,
            _ => false,
        };
        is_counted.then(|| Rejected { event_type: event.type_name().to_owned(), root_id: event.root_id() })
    }
}
