//! Columns of processes in a tree, and of queue tasks.

use monitor_text::DURATION_COLUMNS;
use monitor_wire::Process;

use super::table::Column;
use super::{at, elapsed, error};
use crate::list::Cell;

pub(super) const TREE: [Column; 7] = [
    Column::fixed("", 1),
    Column::branches("process", 3),
    Column::fixed("state", 9).from(110),
    Column::fixed("kind", 12).from(140),
    Column::fixed("started", 8).from(100),
    Column::right("took", DURATION_COLUMNS as u16),
    Column::share("error", 2),
];

/// Returns the cells of a process in a tree. The last cell is its bar on the timeline.
pub(super) fn tree_cells(process: &Process) -> Vec<Cell> {
    let name = match &process.fold {
        Some(fold) => format!("{} ×{}", process.name, monitor_text::thousands(fold.count)),
        None if process.name.is_empty() => "(not started yet)".to_owned(),
        None if process.attempt > 1 => format!("{} (attempt {})", process.name, process.attempt),
        None => process.name.clone(),
    };
    vec![
        Cell::State(process.state.clone()),
        Cell::Text(name),
        Cell::State(process.state.clone()),
        Cell::Faint(process.kind.as_str().to_owned()),
        at(process.started_us),
        elapsed(&process.state, process.elapsed_ns.or(process.fold.as_ref().map(|fold| fold.total_ns)), process.started_us),
        error(process.error.as_ref()),
        process.started_us.map_or(Cell::Empty, |started| Cell::Bar(started, process.ended_us)),
    ]
}

pub(super) const TASKS: [Column; 8] = [
    Column::fixed("", 1),
    Column::share("task", 3),
    Column::fixed("phase", 9),
    Column::fixed("queue", 12).from(110),
    Column::fixed("received", 8),
    Column::right("took", DURATION_COLUMNS as u16),
    Column::share("id", 2).from(120),
    Column::share("error", 2),
];

pub(super) fn task_cells(process: &Process) -> Vec<Cell> {
    let task = process.task.as_deref();
    let phase = task.map_or(process.state.as_str(), |task| task.phase.as_str());
    vec![
        Cell::State(process.state.clone()),
        Cell::Text(process.name.clone()),
        Cell::Text(phase.to_owned()),
        task.and_then(|task| task.queue.clone()).map_or(Cell::Empty, Cell::Faint),
        at(task.and_then(|task| task.received_us.or(task.sent_us)).or(process.started_us)),
        elapsed(&process.state, process.elapsed_ns, process.started_us),
        process.native_id.clone().map_or(Cell::Empty, Cell::Faint),
        error(process.error.as_ref()),
    ]
}
