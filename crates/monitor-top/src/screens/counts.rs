//! Screens of queue task counts, by name or by queue.

use monitor_wire::QueueCounts;

use super::some;
use super::table::Column;
use crate::list::Cell;

pub(super) const COLUMNS: [Column; 8] = [
    Column::share("name", 1),
    Column::right("tasks", 9),
    Column::right("waiting", 9),
    Column::right("running", 9),
    Column::right("succeeded", 9),
    Column::right("failed", 7),
    Column::right("cancelled", 9).from(100),
    Column::right("lost", 7).from(100),
];

pub(super) fn cells(counts: &QueueCounts) -> Vec<Cell> {
    let of = |state: &str| some(counts.states.get(state).copied().unwrap_or(0));
    let name = if counts.name.is_empty() { "(unknown)".to_owned() } else { counts.name.clone() };
    let all = Cell::Number(counts.states.values().sum());
    vec![Cell::Text(name), all, of("pending"), of("running"), of("succeeded"), of("failed"), of("cancelled"), of("lost")]
}
