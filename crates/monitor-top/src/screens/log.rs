//! Screen of the log lines of a tree.

use monitor_wire::LogEntry;

use super::table::Column;
use crate::list::Cell;

pub(super) const COLUMNS: [Column; 4] =
    [Column::fixed("time", 12), Column::fixed("level", 6), Column::fixed("from", 20).from(110), Column::share("message", 1)];

pub(super) fn cells(line: &LogEntry) -> Vec<Cell> {
    let is_bad = ["error", "warn"].contains(&line.level.as_str());
    let level = if is_bad { Cell::Error(line.level.clone()) } else { Cell::Faint(line.level.clone()) };
    let from = line.target.clone().or(line.stream.clone()).unwrap_or_else(|| line.process_id.to_string());
    vec![Cell::At(line.time_us), level, Cell::Faint(from), Cell::Text(line.message.clone())]
}
