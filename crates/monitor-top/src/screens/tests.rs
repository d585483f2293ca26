//! Snapshots of the screens in four sizes.

use expect_test::expect_file;
use monitor_text::moment;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::json;

use super::*;
use crate::app::{App, Deed, Mode, Outcome, Panel, Setting, Target};
use crate::data::{Facts, Link, TasksOf};
use crate::support::{at, counts, error, line, process, root, root_id, roots, tree, worker};
use crate::theme::Theme;

const SIZES: [(u16, u16); 4] = [(80, 24), (100, 30), (140, 40), (60, 20)];

fn app(screen: Screen, facts: Facts) -> App {
    let setting = Setting { page: Some("http://h/tasks".to_owned()), source: "http://127.0.0.1:60010".to_owned(), is_readonly: false };
    let mut app = App::new(setting, Some("1".to_owned()), at(60));
    app.link = Link::Live;
    app.show(screen);
    if let Some(question) = app.question() {
        app.take(&question, facts);
    }
    app
}

fn drawn(app: &mut App, (width, height): (u16, u16), is_coloured: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| _ = draw(app, frame, Theme { is_coloured })).unwrap();
    terminal
}

/// Returns the screen as text, with times in UTC.
fn text(app: &mut App, size: (u16, u16)) -> String {
    let terminal = drawn(app, size, true);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..size.1 {
        let mut skipped = 0;
        let mut line = String::new();
        for x in 0..size.0 {
            // The cell after a wide character contains no character of its own.
            if skipped == 0 {
                let symbol = buffer[(x, y)].symbol();
                line.push_str(symbol);
                skipped = monitor_text::width(symbol).saturating_sub(1);
            } else {
                skipped -= 1;
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for seconds in 0..100 {
        let here = moment(at(seconds));
        let (_, of_day) = here.split_once(' ').unwrap();
        let there = format!("12:{:02}:{:02}", seconds / 60, seconds % 60);
        text = text.replace(&here, &format!("2026-11-23 {there}")).replace(of_day, &there);
    }
    text
}

/// Compares the screen with `snapshots/NAME-WIDTHxHEIGHT.txt`.
fn check(name: &str, app: &mut App, sizes: &[(u16, u16)]) {
    for (width, height) in sizes {
        let text = text(app, (*width, *height));
        let file = format!("{}/src/screens/snapshots/{name}-{width}x{height}.txt", env!("CARGO_MANIFEST_DIR"));
        expect_file![file].assert_eq(&text);
    }
}

#[test]
fn trees_at_four_sizes() {
    check("roots", &mut app(Screen::Roots, roots()), &SIZES);
}

#[test]
fn a_tree_at_four_sizes() {
    check("tree", &mut app(Screen::Tree, tree()), &SIZES);
}

#[test]
fn a_timeline_at_four_sizes() {
    check("timeline", &mut app(Screen::Timeline, tree()), &SIZES);
}

#[test]
fn lists_of_all_kinds() {
    let errors = [error("write rows", "no such table", 1_200), error("根任务", "could not\nreach the host", 3)];
    check("errors", &mut app(Screen::Errors, Facts::of(errors.map(|error| Model::Error(error.into())))), &SIZES[..1]);
    let workers = [
        worker(1, "render", "online", json!({"active": 3, "processed": 12_345, "loadavg": [0.5, 0.25, 0.125]})),
        worker(2, "渲染", "lost", json!({"role": "agent"})),
    ];
    check("workers", &mut app(Screen::Workers, Facts::of(workers.map(|worker| Model::Worker(worker.into())))), &SIZES[..1]);
    let types = [counts("video.render", &json!({"running": 2, "failed": 1, "succeeded": 12_345})), counts("", &json!({"pending": 7}))];
    check("types", &mut app(Screen::Types, Facts::of(types.map(|counts| Model::Counts(counts.into())))), &SIZES[..1]);
    let lines = [line(1, "info", "begins\u{1b}[2J"), line(2, "error", "下载失败"), line(3, "warn", "again\nand again")];
    check("log", &mut app(Screen::Log, Facts::of(lines.map(|line| Model::Line(line.into())))), &SIZES[..1]);
    check("help", &mut app(Screen::Help, Facts::default()), &SIZES[..1]);
}

#[test]
fn help_names_every_screen_and_is_whole_on_a_small_terminal() {
    let numbered: Vec<_> = Screen::ALL.into_iter().filter(|screen| screen.number().is_some()).map(Screen::name).collect();
    assert_eq!(help::KEYS[0].1, numbered.join(", "));
    let text = text(&mut app(Screen::Help, Facts::default()), (80, 24));
    assert!(help::KEYS.iter().all(|(keys, what)| text.contains(format!("  {keys:<14}{what}").trim_end())), "{text}");
}

#[test]
fn tasks_of_a_queue() {
    let mut app = app(Screen::Queues, Facts::of([Model::Counts(counts("video", &json!({"failed": 1})).into())]));
    app.key(crossterm::event::KeyCode::Enter.into());
    assert_eq!(app.tasks_of(), Some(&TasksOf::Queue("video".to_owned())));
    let task = process(4, 0, "render", "failed", crate::support::failed("no film", 2, 4));
    let question = app.question().unwrap();
    app.take(&question, Facts::of([Model::Process(task.into())]));
    check("tasks", &mut app, &SIZES[..1]);
}

#[test]
fn panels_and_dialogs_over_a_list() {
    let mut over = app(Screen::Tree, tree());
    over.key(crossterm::event::KeyCode::Char('e').into());
    over.mode = Mode::Panel(Panel::Traceback, 0);
    check("traceback", &mut over, &SIZES[..1]);
    over.mode = Mode::Panel(Panel::Info, 1_000);
    check("info", &mut over, &SIZES[..1]);
    // Scrolling stops at the end.
    assert!(matches!(over.mode, Mode::Panel(Panel::Info, top) if top < 10));
    let target = Target { root: "1".to_owned(), process: None, name: "evil\u{1b}[31m".to_owned() };
    let line = json!({"worker_id": null, "name": "p@h", "status": "waiting"});
    let would_end =
        json!({"root_id": root_id(1), "process": null, "meant": 12, "running": 12, "still": [], "lines": [line], "commands": []});
    over.weighed(Deed::Cancel(target), &Outcome::Cancelled(serde_json::from_value(would_end).unwrap()));
    let text = text(&mut over, (80, 24));
    assert!(text.ends_with("cancel evil␛[31m: 12 processes on 1 worker? y, or any other key\n"), "{text}");
}

#[test]
fn states_of_the_connection_and_of_the_list_are_shown() {
    let mut empty = app(Screen::Roots, Facts::default());
    assert!(text(&mut empty, (80, 24)).contains("nothing here yet"));
    empty.link = Link::Away("the server at http://h was not reached".to_owned());
    let away = text(&mut empty, (80, 24));
    assert!(away.contains("✗ away, trying again") && away.contains("was not reached"), "{away}");
    empty.show(Screen::Workers);
    empty.link = Link::Connecting;
    assert!(text(&mut empty, (80, 24)).contains("reading …"));
    let question = empty.question().unwrap();
    empty.refuse(&question, "a token\u{1b} is wanted".to_owned(), false);
    assert!(text(&mut empty, (80, 24)).contains("a token␛ is wanted"));
}

#[test]
fn without_colours_no_cell_is_coloured() {
    let colours = |is_coloured| {
        let terminal = drawn(&mut app(Screen::Roots, roots()), (80, 24), is_coloured);
        terminal.backend().buffer().content().iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 0);
}

#[test]
fn hostile_names_neither_move_the_cursor_nor_the_columns() {
    let long = "根\u{1b}]0;x\u{7}".repeat(700);
    let all = [root(9, &long, "running", json!({})), root(8, "plain", "succeeded", json!({}))];
    let mut app = app(Screen::Roots, Facts::of(all.map(|root| Model::Root(root.into()))));
    for size in SIZES {
        let text = text(&mut app, size);
        assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
        assert!(text.lines().all(|line| monitor_text::width(line) <= usize::from(size.0)), "{text}");
    }
    let text = text(&mut app, (80, 24));
    let column =
        |needle: &str| text.lines().filter_map(|line| line.find(needle).map(|at| monitor_text::width(&line[..at]))).collect::<Vec<_>>();
    assert_eq!(column("12:00:09"), column("12:00:08"), "{text}");
}

#[test]
fn any_size_is_drawn() {
    for width in [1, 2, 79, 80, 81, 300] {
        for height in [1, 2, 23, 24, 25, 100] {
            for screen in Screen::ALL {
                for facts in [Facts::default, roots, tree] {
                    let mut app = app(screen, facts());
                    drawn(&mut app, (width, height), true);
                    app.mode = Mode::Panel(Panel::Info, 3);
                    drawn(&mut app, (width, height), true);
                }
            }
        }
    }
}
