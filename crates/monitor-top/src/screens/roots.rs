//! Columns of trees.

use monitor_text::DURATION_COLUMNS;
use monitor_wire::Root;

use super::table::Column;
use super::{at, elapsed, error, some};
use crate::list::Cell;

pub(super) const COLUMNS: [Column; 8] = [
    Column::fixed("", 1),
    Column::share("root", 3),
    Column::fixed("state", 9).from(110),
    Column::fixed("started", 8),
    Column::right("took", DURATION_COLUMNS as u16),
    Column::right("processes", 9),
    Column::right("failed", 6),
    Column::share("error", 3),
];

pub(super) fn cells(root: &Root) -> Vec<Cell> {
    vec![
        Cell::State(root.state.clone()),
        Cell::Text(root.title.clone()),
        Cell::State(root.state.clone()),
        at(root.started_us.or(root.begun_us)),
        elapsed(&root.state, root.elapsed_ns, root.started_us),
        Cell::Number(root.counts.total()),
        some(root.counts.failed + root.counts.lost),
        error(root.error.as_ref()),
    ]
}
