//! The screens: columns of each list, conversion of models to rows, and drawing.

mod counts;
mod errors;
mod frame;
mod help;
mod log;
mod panel;
mod processes;
mod roots;
mod table;
mod timeline;
mod workers;

use monitor_text::error_line;
use monitor_wire::State;

pub(crate) use self::frame::draw;
use self::table::Column;
use crate::data::{Key, Model};
use crate::list::{Cell, Row};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Screen {
    Roots,
    Tree,
    Timeline,
    Errors,
    Workers,
    Types,
    Queues,
    /// Queue tasks with one name or in one queue.
    Tasks,
    Log,
    Help,
}

impl Screen {
    pub(crate) const ALL: [Self; 10] = [
        Self::Roots,
        Self::Tree,
        Self::Timeline,
        Self::Errors,
        Self::Workers,
        Self::Types,
        Self::Queues,
        Self::Tasks,
        Self::Log,
        Self::Help,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Roots => "runs",
            Self::Tree => "tree",
            Self::Timeline => "timeline",
            Self::Errors => "errors",
            Self::Workers => "workers",
            Self::Types => "types",
            Self::Queues => "queues",
            Self::Tasks => "tasks",
            Self::Log => "log",
            Self::Help => "help",
        }
    }

    /// Returns the number key of the screen.
    pub(crate) fn number(self) -> Option<char> {
        let numbered = Self::ALL.into_iter().filter(|screen| *screen != Self::Tasks);
        numbered.zip('1'..='9').find(|(screen, _)| *screen == self).map(|(_, digit)| digit)
    }

    /// Returns the screen that owns the list. Tree and timeline share a list.
    pub(crate) fn list(self) -> Self {
        if self == Self::Timeline { Self::Tree } else { self }
    }

    pub(crate) fn is_tree(self) -> bool {
        self.list() == Self::Tree
    }

    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Roots => &roots::COLUMNS,
            Self::Tree => &processes::TREE,
            Self::Timeline => &timeline::COLUMNS,
            Self::Errors => &errors::COLUMNS,
            Self::Workers => &workers::COLUMNS,
            Self::Types | Self::Queues => &counts::COLUMNS,
            Self::Tasks => &processes::TASKS,
            Self::Log => &log::COLUMNS,
            Self::Help => &[],
        }
    }

    /// Converts a model to a row of this screen.
    pub(crate) fn row(self, model: Model) -> Row {
        let cells = match &model {
            Model::Root(root) => roots::cells(root),
            Model::Process(process) if self == Self::Tasks => processes::task_cells(process),
            Model::Process(process) => processes::tree_cells(process),
            Model::Worker(worker) => workers::cells(worker),
            Model::Error(error) => errors::cells(error),
            Model::Counts(counts) => counts::cells(counts),
            Model::Line(line) => log::cells(line),
        };
        let depth = if let Model::Process(process) = &model { process.depth.unwrap_or(0) } else { 0 };
        Row { key: model.key(), cells, model, depth }
    }

    /// Returns true if a row matches the filter. Only lists that the server does not filter are checked.
    pub(crate) fn keeps(self, row: &Row, filter: &str) -> bool {
        if !matches!(self, Self::Errors | Self::Workers | Self::Types | Self::Queues) {
            return true;
        }
        let text = row.cells.iter().map(|cell| match cell {
            Cell::Text(text) | Cell::Faint(text) | Cell::Error(text) => text.to_lowercase(),
            Cell::State(state) => state.as_str().to_owned(),
            _ => String::new(),
        });
        let text = text.collect::<Vec<_>>().join("\n");
        filter.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// Returns the row with the latest activity: the newest tree, the last started process, or the last log line.
    pub(crate) fn newest(self, rows: &[Row]) -> Option<Key> {
        let latest = |time: fn(&Model) -> Option<u64>| rows.iter().filter_map(|row| Some((time(&row.model)?, row))).max_by_key(|row| row.0);
        let row = match self {
            Self::Roots => latest(|model| if let Model::Root(root) = model { root.started_us.or(root.begun_us) } else { None })?.1,
            Self::Log => rows.last()?,
            Self::Errors => latest(|model| if let Model::Error(error) = model { Some(error.last_us) } else { None })?.1,
            Self::Tree | Self::Timeline | Self::Tasks => {
                latest(|model| if let Model::Process(process) = model { process.started_us } else { None })?.1
            }
            _ => return None,
        };
        Some(row.key.clone())
    }
}

/// Returns the duration, or the start if the process is still running.
fn elapsed(state: &State, elapsed_ns: Option<u64>, started_us: Option<u64>) -> Cell {
    let goes_on = [State::RUNNING, State::RETRYING].contains(state);
    elapsed_ns.map(Cell::Took).or(started_us.filter(|_| goes_on).map(Cell::Since)).unwrap_or(Cell::Empty)
}

fn at(time_us: Option<u64>) -> Cell {
    time_us.map_or(Cell::Empty, Cell::At)
}

/// Returns a number cell, empty for zero.
fn some(number: u64) -> Cell {
    if number == 0 { Cell::Empty } else { Cell::Number(number) }
}

fn error(error: Option<&monitor_wire::Error>) -> Cell {
    error.map_or(Cell::Empty, |error| Cell::Error(error_line(error)))
}

#[cfg(test)]
mod tests;
