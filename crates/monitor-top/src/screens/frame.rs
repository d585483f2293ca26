//! The whole screen: header, footer, and panels over the list.

use monitor_text::{fit, thousands, visible, width};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Screen, help, panel, table};
use crate::app::{App, Mode, Panel};
use crate::data::{Link, TasksOf};
use crate::theme::{Theme, faint, selected, strong};

/// Minimum size of the terminal. On smaller terminals, only a notice is drawn.
const LEAST: (u16, u16) = (80, 24);
/// Number of lines above and below the list.
const HEAD: u16 = 2;
const FOOT: u16 = 1;

/// Draws the screen. Returns true if it shows a running duration and must be drawn again a second later.
pub(crate) fn draw(app: &mut App, frame: &mut Frame<'_>, theme: Theme) -> bool {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        too_small(buffer, area);
        return false;
    }
    let line = |y: u16| Rect { y, height: 1, ..area };
    head(app, buffer, line(area.y), theme);
    tabs(app, buffer, line(area.y + 1));
    let middle = Rect { y: area.y + HEAD, height: area.height - HEAD - FOOT, ..area };
    let goes_on = body(app, buffer, middle, theme);
    let cursor = foot(app, buffer, line(area.bottom() - 1), theme);
    if let Some(x) = cursor {
        frame.set_cursor_position((x, area.bottom() - 1));
    }
    goes_on
}

fn too_small(buffer: &mut Buffer, area: Rect) {
    let words = format!("{}×{} is too small: {}×{} at least", area.width, area.height, LEAST.0, LEAST.1);
    put(buffer, area, &words, strong());
}

/// Writes text at the left of the area's first line. Returns the number of columns used.
fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) -> u16 {
    if area.height == 0 {
        return 0;
    }
    let text = fit(text, usize::from(area.width));
    buffer.set_stringn(area.x, area.y, &text, usize::from(area.width), style);
    width(&text) as u16
}

fn put_right(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    let text = fit(text, usize::from(area.width));
    let before = area.width.saturating_sub(width(&text) as u16);
    put(buffer, right_of(area, before), &text, style);
}

/// Returns the part of an area to the left of a right-aligned text.
fn left_of(area: Rect, text: &str) -> Rect {
    Rect { width: area.width.saturating_sub(width(text) as u16 + 2), ..area }
}

fn right_of(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width);
    Rect { x: area.x + columns, width: area.width - columns, ..area }
}

/// Draws the header: screen, subject, state of the list, and state of the connection.
fn head(app: &mut App, buffer: &mut Buffer, area: Rect, theme: Theme) {
    let (text, style) = match &app.link {
        Link::Live => ("● live".to_owned(), theme.state(&monitor_wire::State::SUCCEEDED)),
        Link::Connecting => ("○ connecting".to_owned(), faint()),
        Link::Ended(_) => ("■ the file has no more".to_owned(), faint()),
        Link::Away(_) => ("✗ away, trying again".to_owned(), theme.warning()),
    };
    put_right(buffer, area, &text, style);
    let area = left_of(area, &text);
    let marks = fit(&marks(app), usize::from(area.width / 2)).into_owned();
    put_right(buffer, area, &marks, theme.warning());
    let area = left_of(area, &marks);
    let taken = put(buffer, area, "monitor top", strong()) + 2;
    put(buffer, right_of(area, taken), &visible(&about(app)), Style::new());
}

/// Describes the state of the list: filter, frozen or following, and position of the selection.
fn marks(app: &mut App) -> String {
    let filter = app.filter().to_owned();
    let list = app.list();
    let mut marks = Vec::new();
    if !filter.is_empty() {
        marks.push(format!("/{}", visible(&filter)));
    }
    marks.extend(list.is_frozen().then(|| "frozen".to_owned()));
    marks.extend(list.follows.then(|| "follows".to_owned()));
    if !list.is_empty() {
        let more = if list.has_more { "+" } else { "" };
        marks.push(format!("{}/{}{more}", thousands(list.place() as u64 + 1), thousands(list.len() as u64)));
    }
    marks.join("  ")
}

/// Describes the subject of the screen: the server, a tree, or a selection of queue tasks.
fn about(app: &App) -> String {
    match app.screen {
        Screen::Tree | Screen::Timeline | Screen::Log => {
            let title = app.opened.as_ref().map_or_else(|| app.setting.source.clone(), |root| root.title.clone());
            match app.log_of().filter(|_| app.screen == Screen::Log) {
                Some(id) => format!("{title}, process {id}"),
                None => title,
            }
        }
        Screen::Tasks => match app.tasks_of() {
            Some(TasksOf::Type(name)) => format!("tasks {name}"),
            Some(TasksOf::Queue(name)) => format!("tasks of the queue {name}"),
            None => String::new(),
        },
        _ => app.setting.source.clone(),
    }
}

/// Draws the screens with their number keys.
fn tabs(app: &App, buffer: &mut Buffer, area: Rect) {
    let mut left = area;
    for screen in Screen::ALL {
        let Some(digit) = screen.number() else { continue };
        let is_here = screen == app.screen || (app.screen == Screen::Tasks && screen == Screen::Queues);
        let style = if is_here { selected() } else { faint() };
        let taken = put(buffer, left, &format!("{digit} {}", screen.name()), style);
        left = right_of(left, taken + 1);
    }
}

fn body(app: &mut App, buffer: &mut Buffer, area: Rect, theme: Theme) -> bool {
    if app.screen == Screen::Help {
        for ((keys, what), y) in help::KEYS.iter().zip(area.y..area.bottom()) {
            let line = Rect { y, height: 1, ..area };
            put(buffer, right_of(line, 2), keys, strong());
            put(buffer, right_of(line, 16), what, Style::new());
        }
        return false;
    }
    if let Some(words) = empty(app) {
        put(buffer, Rect { y: area.y + 1, height: 1, ..right_of(area, 2) }, &visible(&words), faint());
        return false;
    }
    let (now_us, columns) = (app.now_us, app.screen.columns());
    let Mode::Panel(panel, top) = app.mode else { return table::draw(app.list(), columns, buffer, area, theme, now_us) };
    let height = area.height / 2;
    let list_area = Rect { height: area.height - height, ..area };
    let goes_on = table::draw(app.list(), columns, buffer, list_area, theme, now_us);
    let top = draw_panel(app, (panel, top), buffer, Rect { y: list_area.bottom(), height, ..area });
    app.mode = Mode::Panel(panel, top);
    goes_on
}

/// Returns the text to show instead of an empty list.
fn empty(app: &mut App) -> Option<String> {
    if let Some(words) = &app.refusal {
        return Some(words.clone());
    }
    if !app.list().is_empty() {
        return None;
    }
    if app.question().is_none() {
        return Some("choose a tree on the first screen, or go to one by : and its number".to_owned());
    }
    if let Link::Away(words) = &app.link {
        return Some(words.clone());
    }
    if !app.is_answered() {
        return Some("reading …".to_owned());
    }
    let what = if app.filter().is_empty() { "nothing here yet" } else { "nothing is like this filter; Esc clears it" };
    Some(what.to_owned())
}

/// Draws a panel from line `top` on, limited so that the panel stays filled. Returns the first line.
fn draw_panel(app: &mut App, (panel, top): (Panel, usize), buffer: &mut Buffer, area: Rect) -> usize {
    let now_us = app.now_us;
    let Some(row) = app.list().selected() else { return 0 };
    let lines = panel::lines(panel, &row.model, usize::from(area.width.saturating_sub(2)), now_us);
    let title = match panel {
        Panel::Info => "information",
        Panel::Traceback => "traceback",
        Panel::Result => "result",
    };
    let room = usize::from(area.height.saturating_sub(1));
    let top = top.min(lines.len().saturating_sub(room));
    let more = lines.len().saturating_sub(top + room);
    let more = if more > 0 { format!(", {more} lines more: j k") } else { String::new() };
    let rule = format!("── {title}{more} ");
    let rest = usize::from(area.width).saturating_sub(width(&rule));
    put(buffer, area, &format!("{rule}{}", "─".repeat(rest)), faint());
    for (text, y) in lines.iter().skip(top).zip(area.y + 1..area.bottom()) {
        put(buffer, Rect { y, height: 1, ..right_of(area, 1) }, text, Style::new());
    }
    top
}

/// Draws the last line: prompt, question, message, or key hints. Returns the cursor's column if text is typed.
fn foot(app: &App, buffer: &mut Buffer, area: Rect, theme: Theme) -> Option<u16> {
    let mut typed = |mark: &str, text: &str| {
        // Show the end of the text, because typing happens there.
        let shown = visible(text);
        let room = usize::from(area.width).saturating_sub(width(mark) + 1);
        let mut start = shown.char_indices().map(|(at, _)| at).chain([shown.len()]);
        let from = start.find(|at| width(&shown[*at..]) < room).unwrap_or(0);
        let taken = put(buffer, area, &format!("{mark}{}", &shown[from..]), Style::new());
        Some(area.x + taken)
    };
    match &app.mode {
        Mode::Filter(prompt) => return typed("/", &prompt.text),
        Mode::Command(prompt) => return typed(":", &prompt.text),
        Mode::Limit(prompt, _) => return typed("name and rate: ", &prompt.text),
        Mode::Confirm { what, .. } => {
            put(buffer, area, &format!("{what}? y, or any other key"), theme.warning());
        }
        Mode::List | Mode::Panel(..) => match (&app.message, &app.link) {
            (Some(message), _) => {
                put(buffer, area, &visible(message), strong());
            }
            (None, Link::Away(words) | Link::Ended(Some(words))) => {
                put(buffer, area, &visible(words), theme.warning());
            }
            (None, _) => {
                let cancel = if app.setting.is_readonly { "" } else { "c cancel  " };
                let keys = format!("? help  / filter  : go  e error  s sort  i info  t traceback  {cancel}q quit");
                put(buffer, area, &keys, faint());
            }
        },
    }
    None
}
