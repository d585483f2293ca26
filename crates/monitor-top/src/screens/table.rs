//! Draws a list as a table.

use monitor_text::{duration, exact_moment, fit, glyph, moment, one_line, thousands, visible, width};
use monitor_wire::State;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::timeline::{Range, draw_bar};
use crate::data::Model;
use crate::list::{Cell, List, Row, Shown};
use crate::theme::{Theme, faint, selected};

/// Gap between columns.
const GAP: u16 = 2;
/// Maximum depth of indentation.
const DEEPEST: u32 = 20;

/// A column of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    width: Width,
    is_right: bool,
    /// Minimum width of the terminal for this column.
    from: u16,
    /// True if the column shows the tree structure.
    has_branches: bool,
}

#[derive(Debug, Clone, Copy)]
enum Width {
    Fixed(u16),
    /// Weight with which the remaining width is shared.
    Share(u16),
}

impl Column {
    const fn new(title: &'static str, width: Width) -> Self {
        Self { title, width, is_right: false, from: 0, has_branches: false }
    }

    pub(super) const fn fixed(title: &'static str, columns: u16) -> Self {
        Self::new(title, Width::Fixed(columns))
    }

    pub(super) const fn right(title: &'static str, columns: u16) -> Self {
        Self { is_right: true, ..Self::new(title, Width::Fixed(columns)) }
    }

    pub(super) const fn share(title: &'static str, parts: u16) -> Self {
        Self::new(title, Width::Share(parts))
    }

    pub(super) const fn branches(title: &'static str, parts: u16) -> Self {
        Self { has_branches: true, ..Self::new(title, Width::Share(parts)) }
    }

    pub(super) const fn hidden() -> Self {
        Self::fixed("", 0).from(u16::MAX)
    }

    pub(super) const fn from(self, columns: u16) -> Self {
        Self { from: columns, ..self }
    }
}

/// Returns index, position and width of the visible columns.
fn places(columns: &[Column], area: Rect) -> Vec<(usize, u16, u16)> {
    let shown: Vec<_> = columns.iter().enumerate().filter(|(_, column)| column.from <= area.width).collect();
    let gaps = GAP * (shown.len().saturating_sub(1)) as u16;
    let taken = |column: &Column| if let Width::Fixed(columns) = column.width { columns } else { 0 };
    let part = |column: &Column| if let Width::Share(parts) = column.width { parts } else { 0 };
    let mut left = area.width.saturating_sub(gaps + shown.iter().map(|(_, column)| taken(column)).sum::<u16>());
    let mut parts = shown.iter().map(|(_, column)| part(column)).sum::<u16>();
    let mut x = area.x;
    let mut places = Vec::with_capacity(shown.len());
    for (index, column) in shown {
        let columns = match column.width {
            Width::Fixed(columns) => columns,
            Width::Share(share) => {
                let columns = (u32::from(left) * u32::from(share) / u32::from(parts.max(1))) as u16;
                (left, parts) = (left - columns, parts - share);
                columns
            }
        };
        let columns = columns.min(area.right().saturating_sub(x));
        places.push((index, x, columns));
        x = (x + columns + GAP).min(area.right());
    }
    places
}

/// Draws a list with its header. Returns true if a running duration is visible, so that it must be drawn again a second later.
pub(super) fn draw(list: &mut List, columns: &[Column], buffer: &mut Buffer, area: Rect, theme: Theme, now_us: u64) -> bool {
    let places = places(columns, area);
    let range = Range::of(list.all(), now_us);
    let sort = list.sort();
    for (index, x, columns_taken) in &places {
        let column = columns[*index];
        let mark = sort.filter(|sort| sort.column == *index).map_or("", |sort| if sort.is_descending { "▼" } else { "▲" });
        let title = if column.title.is_empty() && *columns_taken > 20 { range.title() } else { column.title.to_owned() };
        // In a narrow column, the title is cut, not the mark.
        let title = fit(&title, usize::from(*columns_taken).saturating_sub(width(mark)));
        put(buffer, (*x, area.y, *columns_taken), &format!("{title}{mark}"), faint(), column.is_right);
    }
    let lines = area.height.saturating_sub(1);
    let mut goes_on = false;
    for (shown, y) in list.window(usize::from(lines)).into_iter().zip(area.y + 1..area.bottom()) {
        let Shown { row, is_selected, is_open } = shown;
        for (index, x, columns_taken) in &places {
            let Some(cell) = row.cells.get(*index) else { continue };
            let place = (*x, y, *columns_taken);
            let column = columns[*index];
            if let Cell::Bar(from_us, to_us) = cell {
                let line = Rect { x: *x, y, width: *columns_taken, height: 1 };
                draw_bar(buffer, line, range, row, (*from_us, *to_us), tone(row, theme));
                goes_on |= to_us.is_none();
                continue;
            }
            goes_on |= matches!(cell, Cell::Since(_));
            let branches = if column.has_branches { branches(row, is_open) } else { String::new() };
            let text = branches + &text(cell, *columns_taken, now_us);
            put(buffer, place, &text, style(cell, row, theme), column.is_right);
        }
        if is_selected {
            buffer.set_style(Rect { y, height: 1, ..area }, selected());
        }
    }
    goes_on
}

/// Writes text, cut to its space.
fn put(buffer: &mut Buffer, (x, y, columns): (u16, u16, u16), text: &str, style: Style, is_right: bool) {
    let text = fit(text, usize::from(columns));
    let before = if is_right { columns.saturating_sub(width(&text) as u16) } else { 0 };
    buffer.set_stringn(x + before, y, text, usize::from(columns - before), style);
}

/// Returns the indentation of a row, and a mark that shows if it is expanded.
fn branches(row: &Row, is_open: Option<bool>) -> String {
    let mark = match is_open {
        None => "  ",
        Some(true) => "▾ ",
        Some(false) => "▸ ",
    };
    "  ".repeat(row.depth.min(DEEPEST) as usize) + mark
}

fn text(cell: &Cell, columns: u16, now_us: u64) -> String {
    match cell {
        Cell::Empty | Cell::Bar(..) => String::new(),
        Cell::Text(text) | Cell::Faint(text) => visible(&clip(text)).into_owned(),
        Cell::Error(text) => one_line(text).into_owned(),
        Cell::State(state) if columns > 1 => visible(state.as_str()).into_owned(),
        Cell::State(state) => glyph(state).to_owned(),
        Cell::Number(number) => thousands(*number),
        Cell::Took(ns) => duration(*ns),
        Cell::Since(us) => duration(now_us.saturating_sub(*us).saturating_mul(1_000)),
        Cell::At(us) if columns >= 19 => moment(*us),
        Cell::At(us) if columns >= 12 => of_day(&exact_moment(*us)),
        Cell::At(us) => of_day(&moment(*us)),
    }
}

/// Cuts a text to more than the width of any terminal.
fn clip(text: &str) -> String {
    text.chars().take(1_000).collect()
}

/// Removes the date from a time.
fn of_day(moment: &str) -> String {
    moment.split_once(' ').map_or(moment, |(_, time)| time).to_owned()
}

fn style(cell: &Cell, row: &Row, theme: Theme) -> Style {
    match cell {
        Cell::State(state) => theme.state(state),
        Cell::Error(_) => tone(row, theme),
        Cell::Faint(_) | Cell::At(_) => faint(),
        _ => Style::new(),
    }
}

/// Returns the color of a row's text by its state.
fn tone(row: &Row, theme: Theme) -> Style {
    match &row.model {
        Model::Root(root) => theme.state(&root.state),
        Model::Process(process) => theme.state(&process.state),
        Model::Line(line) if line.level == "warn" => theme.state(&State::LOST),
        Model::Error(_) | Model::Line(_) => theme.state(&State::FAILED),
        Model::Worker(_) | Model::Counts(_) => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_column_keeps_the_mark_of_its_order() {
        let columns = [Column::right("ATTEMPTS", 8), Column::fixed("W", 1), Column::fixed("STATE", 4), Column::share("NAME", 1)];
        let (area, theme) = (Rect::new(0, 0, 30, 2), Theme { is_coloured: false });
        let mut list = List::default();
        let heading = |list: &mut List| {
            let mut buffer = Buffer::empty(area);
            draw(list, &columns, &mut buffer, area, theme, 0);
            (0..area.width).map(|x| buffer[(x, 0)].symbol()).collect::<String>().trim_end().to_owned()
        };
        assert_eq!(heading(&mut list), "ATTEMPTS  W  STA…  NAME");
        for expected in ["ATTEMP…▲  W  STA…  NAME", "ATTEMPTS  ▲  STA…  NAME", "ATTEMPTS  W  ST…▲  NAME", "ATTEMPTS  W  STA…  NAME▲"]
        {
            list.sort_next(columns.len(), 0);
            assert_eq!(heading(&mut list), expected);
        }
        list.flip(0);
        assert_eq!(heading(&mut list), "ATTEMPTS  W  STA…  NAME▼");
    }
}
