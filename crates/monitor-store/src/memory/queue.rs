//! Queue tasks.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use monitor_wire::{Process, QueueTasksPage};

use super::MemoryStore;
use crate::StoreError;
use crate::queue::{PageFill, QueueCount, QueueQueries, QueueSort, QueueTasksQuery};

impl QueueQueries for MemoryStore {
    fn queue_tasks(&self, query: &QueueTasksQuery) -> Result<QueueTasksPage, StoreError> {
        let state = self.state();
        let mut tasks: Vec<Process> = state.all().flat_map(|shown| shown.processes).filter(|process| process.task.is_some()).collect();
        tasks.sort_by(|a, b| {
            let order = compare(a, b, query.sort);
            if query.is_descending { order.reverse() } else { order }
        });
        let (first, offset) = query.cursor.as_deref().map_or(Ok((0, 0)), read_cursor)?;
        let mut fill = PageFill::new(query, offset);
        let mut next_cursor = None;
        for (number, task) in tasks.into_iter().enumerate().skip(first) {
            if !fill.examine(Some(Process { attempts: Vec::new(), ..task })) {
                next_cursor = Some(format!("{number} {}", fill.offset));
                break;
            }
        }
        Ok(QueueTasksPage { tasks: fill.tasks, next_cursor, examined: fill.examined, as_of: state.seq })
    }

    fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError> {
        let mut counts: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        for process in self.state().all().flat_map(|shown| shown.processes) {
            if let Some(task) = &process.task {
                let key = (task.queue.clone().unwrap_or_default(), process.name.clone(), process.state.as_str().to_owned());
                *counts.entry(key).or_default() += 1;
            }
        }
        Ok(counts.into_iter().map(|((queue, name, state), count)| QueueCount { queue, name, state, count }).collect())
    }
}

/// Parses a cursor: the index of the page's first task, and the remaining offset.
fn read_cursor(cursor: &str) -> Result<(usize, usize), StoreError> {
    let numbers = cursor.split_once(' ').and_then(|(first, offset)| Some((first.parse().ok()?, offset.parse().ok()?)));
    numbers.ok_or_else(|| StoreError::Cursor { cursor: cursor.to_owned() })
}

fn compare(a: &Process, b: &Process, sort: QueueSort) -> Ordering {
    let received = |process: &Process| process.task.as_ref().and_then(|task| task.received_us);
    match sort {
        QueueSort::Name => (&a.name, received(a)).cmp(&(&b.name, received(b))),
        QueueSort::State => (a.state.as_str(), received(a)).cmp(&(b.state.as_str(), received(b))),
        QueueSort::Received => received(a).cmp(&received(b)),
        QueueSort::Started => a.started_us.cmp(&b.started_us),
        QueueSort::Runtime => a.elapsed_ns.cmp(&b.elapsed_ns),
    }
}
