//! Columns of workers.

use monitor_wire::{State, Worker};

use super::table::Column;
use super::{at, some};
use crate::list::Cell;

pub(super) const COLUMNS: [Column; 9] = [
    Column::fixed("", 1),
    Column::share("worker", 3),
    Column::fixed("state", 8),
    Column::fixed("role", 8).from(120),
    Column::right("running", 7),
    Column::right("active", 7),
    Column::right("done", 9),
    Column::right("load", 5),
    Column::fixed("heard of", 8),
];

pub(super) fn cells(worker: &Worker) -> Vec<Cell> {
    let load = worker.loadavg.map_or(Cell::Empty, |[now, ..]| Cell::Text(format!("{now:.2}")));
    vec![
        // An online worker is shown with the color of running processes.
        Cell::State(if worker.state.as_str() == "online" { State::RUNNING } else { State::from(worker.state.as_str()) }),
        Cell::Text(format!("{}@{}:{}", worker.program, worker.hostname, worker.pid)),
        Cell::Text(worker.state.as_str().to_owned()),
        worker.role.as_ref().map_or(Cell::Empty, |role| Cell::Faint(role.as_str().to_owned())),
        some(worker.running),
        worker.active.map_or(Cell::Empty, Cell::Number),
        worker.processed.map_or(Cell::Empty, Cell::Number),
        load,
        at(Some(worker.last_seen_us)),
    ]
}
