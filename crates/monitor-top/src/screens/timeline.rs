//! Timeline: the processes of a tree as bars.

use monitor_text::{DURATION_COLUMNS, duration};
use monitor_wire::State;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::table::Column;
use crate::data::Model;
use crate::list::{Cell, Row};

pub(super) const COLUMNS: [Column; 8] = [
    Column::fixed("", 1),
    Column::branches("process", 2),
    Column::hidden(),
    Column::hidden(),
    Column::hidden(),
    Column::right("took", DURATION_COLUMNS as u16),
    Column::hidden(),
    Column::share("", 4),
];

/// Displayed period, in Unix µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    from_us: u64,
    to_us: u64,
}

impl Range {
    /// Creates the range from the first start to the last end, or to now if a process is running.
    pub(super) fn of(rows: &[Row], now_us: u64) -> Self {
        let bars =
            || rows.iter().filter_map(|row| if let Some(Cell::Bar(from, to)) = row.cells.last() { Some((row, *from, *to)) } else { None });
        let from_us = bars().map(|(_, from, _)| from).min().unwrap_or(0);
        let to_us = bars().map(|(row, from, to)| to.unwrap_or(if runs(row) { now_us } else { from })).max().unwrap_or(from_us);
        Self { from_us, to_us: to_us.max(from_us + 1) }
    }

    /// Returns the title above the bars.
    pub(super) fn title(self) -> String {
        format!("0 … {}", duration((self.to_us - self.from_us).saturating_mul(1_000)))
    }

    fn column(self, time_us: u64, width: u16) -> u16 {
        let part = time_us.saturating_sub(self.from_us) as f64 / (self.to_us - self.from_us) as f64;
        ((part * f64::from(width)) as u16).min(width)
    }
}

/// Returns true if the process is running, so that its bar is open-ended.
fn runs(row: &Row) -> bool {
    matches!(&row.model, Model::Process(process) if process.state == State::RUNNING)
}

pub(super) fn draw_bar(buffer: &mut Buffer, area: Rect, range: Range, row: &Row, (from_us, to_us): (u64, Option<u64>), style: Style) {
    let from = range.column(from_us, area.width).min(area.width.saturating_sub(1));
    let end = if runs(row) { area.width } else { range.column(to_us.unwrap_or(from_us), area.width) };
    let width = end.saturating_sub(from).max(1);
    let mut bar = "█".repeat(usize::from(width));
    if runs(row) {
        bar.pop();
        bar.push('▶');
    } else if width == 1 && to_us.is_none_or(|to| range.column(to, area.width) == from) {
        "▏".clone_into(&mut bar);
    }
    buffer.set_stringn(area.x + from, area.y, bar, usize::from(area.width - from), style);
}
