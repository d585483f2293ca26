//! Screen of similar failures in the last 24 hours.

use monitor_wire::ErrorStats;

use super::table::Column;
use crate::list::Cell;

pub(super) const COLUMNS: [Column; 4] =
    [Column::right("count", 7), Column::fixed("last", 8), Column::share("process", 2), Column::share("error", 5)];

pub(super) fn cells(error: &ErrorStats) -> Vec<Cell> {
    vec![Cell::Number(error.count), Cell::At(error.last_us), Cell::Text(error.name.clone()), Cell::Error(error.message.clone())]
}
