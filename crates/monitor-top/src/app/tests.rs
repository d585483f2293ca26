//! Tests of state transitions by keys and answers, without drawing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use monitor_wire::Cancelled;
use serde_json::json;

use super::*;
use crate::data::Model;
use crate::support::{at, counts, error, process, process_id, root, root_id, roots, tree, worker};

fn app() -> App {
    let setting = Setting { page: Some("http://h/tasks".to_owned()), source: "http://h".to_owned(), is_readonly: false };
    let mut app = App::new(setting, None, at(60));
    answer(&mut app, roots());
    app
}

fn answer(app: &mut App, facts: Facts) {
    let question = app.question().unwrap();
    app.take(&question, facts);
}

/// Presses keys, each a character or the name of a key.
fn press(app: &mut App, keys: &str) -> Option<Effect> {
    let mut effect = None;
    for word in keys.split(' ') {
        let code = match word {
            "Enter" => KeyCode::Enter,
            "Esc" => KeyCode::Esc,
            "Down" => KeyCode::Down,
            "Back" => KeyCode::Backspace,
            "Ctrl-C" | "Ctrl-Z" => {
                let letter = word.chars().last().unwrap().to_ascii_lowercase();
                effect = app.key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL));
                continue;
            }
            letters => {
                for letter in letters.chars() {
                    effect = app.key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE));
                }
                continue;
            }
        };
        effect = app.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    effect
}

fn selected(app: &mut App) -> Key {
    app.list().selected().unwrap().key.clone()
}

fn of_tree(number: u64) -> Key {
    Key::Process(root_id(1), process_id(number))
}

#[test]
fn keys_go_down_and_up_and_to_the_ends() {
    let mut app = app();
    assert_eq!(selected(&mut app), Key::Root(root_id(9)));
    press(&mut app, "jj");
    assert_eq!(selected(&mut app), Key::Root(root_id(5)));
    press(&mut app, "k Down");
    assert_eq!(selected(&mut app), Key::Root(root_id(5)));
    press(&mut app, "G");
    assert_eq!(selected(&mut app), Key::Root(root_id(1)));
    press(&mut app, "jjj g k");
    assert_eq!(selected(&mut app), Key::Root(root_id(9)));
}

#[test]
fn a_tree_is_opened_and_left_again() {
    let mut app = app();
    press(&mut app, "G Enter");
    assert_eq!(app.question(), Some(Question::Tree { root: root_id(1).to_string(), limit: FIRST_PROCESSES }));
    assert!(!app.is_answered() && app.list().is_empty());
    answer(&mut app, tree());
    assert!(app.is_answered());
    assert_eq!(selected(&mut app), of_tree(1));
    press(&mut app, "jj h");
    assert_eq!((app.list().len(), selected(&mut app)), (4, of_tree(3)));
    press(&mut app, "l l");
    assert_eq!((app.list().len(), selected(&mut app)), (6, of_tree(4)));
    // Timeline and tree share a list.
    press(&mut app, "3");
    assert_eq!((app.screen, selected(&mut app)), (Screen::Timeline, of_tree(4)));
    press(&mut app, "Esc Esc");
    assert_eq!(app.screen, Screen::Roots);
    // The numbers open screens of the selected tree.
    answer(&mut app, roots());
    press(&mut app, "g 2");
    assert_eq!(app.question(), Some(Question::Tree { root: root_id(9).to_string(), limit: FIRST_PROCESSES }));
    assert!(app.list().is_empty());
}

#[test]
fn new_rows_do_not_move_the_selection() {
    let mut app = app();
    press(&mut app, "j");
    let mut facts = roots();
    facts.models.insert(0, Model::Root(root(11, "newer", "running", json!({})).into()));
    answer(&mut app, facts);
    assert_eq!(selected(&mut app), Key::Root(root_id(8)));
    // In follow mode, the newest row is selected.
    press(&mut app, "f");
    let mut facts = roots();
    facts.models.push(Model::Root(root(12, "newest", "running", json!({})).into()));
    answer(&mut app, facts);
    assert_eq!(selected(&mut app), Key::Root(root_id(12)));
}

#[test]
fn an_answer_to_an_abandoned_question_is_dropped() {
    let mut app = app();
    let question = app.question().unwrap();
    press(&mut app, "5");
    app.take(&question, roots());
    assert!(app.list().is_empty() && !app.is_answered());
    app.refuse(&question, "late".to_owned(), false);
    assert_eq!(app.refusal, None);
}

#[test]
fn filters_are_typed_and_cleared() {
    let mut app = app();
    press(&mut app, "/state:failed");
    assert_eq!(app.question(), Some(Question::Roots { filter: String::new() }));
    press(&mut app, "Enter");
    assert_eq!(app.question(), Some(Question::Roots { filter: "state:failed".to_owned() }));
    assert!(app.list().is_empty());
    press(&mut app, "Esc");
    assert_eq!(app.filter(), "");
    press(&mut app, "/abc Esc");
    assert_eq!((app.filter(), &app.mode), ("", &Mode::List));
    press(&mut app, "/x Back Back");
    assert_eq!(app.mode, Mode::List);
    // Pasted text is inserted without control characters.
    press(&mut app, "/");
    app.paste("根\u{1b}[31m\r\n");
    press(&mut app, "Enter");
    assert_eq!(app.filter(), "根[31m");
}

#[test]
fn lists_that_the_server_does_not_filter_are_filtered_here() {
    let mut app = app();
    press(&mut app, "5 /LOST Enter");
    let workers = [worker(1, "render", "online", json!({})), worker(2, "mail", "lost", json!({}))];
    answer(&mut app, Facts::of(workers.into_iter().map(|worker| Model::Worker(worker.into()))));
    assert_eq!(app.list().len(), 1);
}

#[test]
fn errors_are_sought_through_folded_branches() {
    let mut app = app();
    press(&mut app, "e");
    assert_eq!(selected(&mut app), Key::Root(root_id(8)));
    press(&mut app, "e");
    assert_eq!(selected(&mut app), Key::Root(root_id(3)));
    press(&mut app, "E");
    assert_eq!(selected(&mut app), Key::Root(root_id(8)));
    press(&mut app, "G Enter");
    answer(&mut app, tree());
    press(&mut app, "h e");
    assert_eq!((app.list().len(), selected(&mut app)), (6, of_tree(4)));
    press(&mut app, "1");
    answer(&mut app, Facts::of([Model::Root(root(5, "backup", "succeeded", json!({})).into())]));
    press(&mut app, "e");
    assert_eq!(app.message.as_deref(), Some("nothing has failed"));
}

#[test]
fn an_error_leads_to_its_process_in_its_tree() {
    let mut app = app();
    press(&mut app, "4");
    answer(&mut app, Facts::of([Model::Error(error("write rows", "no such table", 3).into())]));
    press(&mut app, "Enter");
    // The process can be anywhere in the tree.
    assert_eq!(app.question(), Some(Question::Tree { root: root_id(1).to_string(), limit: MOST_PROCESSES }));
    answer(&mut app, tree());
    assert_eq!(selected(&mut app), of_tree(4));
}

#[test]
fn more_of_a_tree_is_requested_near_its_end() {
    let mut app = app();
    press(&mut app, "G Enter");
    let many = (1..=FIRST_PROCESSES as u64)
        .map(|number| Model::Process(process(number, u32::from(number > 1), "p", "succeeded", json!({})).into()));
    answer(&mut app, Facts { has_more: true, ..Facts::of(many) });
    press(&mut app, "j");
    assert_eq!(app.question(), Some(Question::Tree { root: root_id(1).to_string(), limit: FIRST_PROCESSES }));
    press(&mut app, "G");
    assert_eq!(app.question(), Some(Question::Tree { root: root_id(1).to_string(), limit: 2 * FIRST_PROCESSES }));
    // The rows stay visible while more are loaded.
    assert_eq!(app.list().len(), FIRST_PROCESSES);
}

#[test]
fn a_cancellation_is_previewed_and_confirmed_before_processes_end() {
    let mut app = app();
    let Some(Effect::Weigh(Deed::Cancel(target))) = press(&mut app, "c") else { panic!("it is weighed first") };
    assert_eq!(target.root, root_id(9).to_string());
    let would_end: Cancelled = serde_json::from_value(json!({
        "root_id": root_id(9), "process": null, "meant": 3, "running": 3, "still": [], "lines": [], "commands": [],
    }))
    .unwrap();
    let (deed, ended) = (Deed::Cancel(target), |running, meant| Outcome::Cancelled(Cancelled { running, meant, ..would_end.clone() }));
    app.weighed(deed.clone(), &ended(3, 3));
    assert!(matches!(&app.mode, Mode::Confirm { what, .. } if what.ends_with("3 processes on 0 workers")), "{:?}", app.mode);
    assert_eq!(press(&mut app, "n"), None);
    assert_eq!(app.message.as_deref(), Some("nothing was cancelled"));
    app.weighed(deed.clone(), &ended(3, 3));
    assert_eq!(press(&mut app, "y"), Some(Effect::Do(deed.clone())));
    app.done(&ended(1, 3));
    assert_eq!(app.message.as_deref(), Some("2 of 3 ended; 1 go on"));
    app.weighed(deed, &ended(0, 0));
    assert_eq!(app.mode, Mode::List);

    app.setting.is_readonly = true;
    assert_eq!(press(&mut app, "c"), None);
    assert!(app.message.as_deref().unwrap().contains("--readonly"));
}

#[test]
fn a_rate_is_typed_previewed_and_confirmed_before_it_applies() {
    let mut app = app();
    assert_eq!(press(&mut app, "L"), None);
    assert_eq!(app.message.as_deref(), Some("only tasks of queues and workers can be limited"));
    press(&mut app, "6");
    answer(&mut app, Facts::of([Model::Counts(counts("video render", &json!({"pending": 7})).into())]));
    press(&mut app, "L");
    assert_eq!(app.mode, Mode::Limit(Prompt { text: "video render ".to_owned() }, None));
    assert_eq!((press(&mut app, "ten/s Enter"), &app.mode), (None, &Mode::List));
    assert!(app.message.as_deref().unwrap().contains("\"ten/s\" is no rate"), "{:?}", app.message);
    assert_eq!((press(&mut app, "L Esc"), &app.mode), (None, &Mode::List));
    press(&mut app, "L");
    app.paste("10/s");
    let limit = |rate: &str, worker| Deed::Limit(Limit { name: "video render".to_owned(), rate: rate.to_owned(), worker });
    let deed = limit("10/s", None);
    assert_eq!(press(&mut app, "Enter"), Some(Effect::Weigh(deed.clone())));

    let command = |lines: &[(&str, &str)]| {
        let line = |(name, status): &(&str, &str)| json!({"worker_id": null, "name": name, "status": status, "error": (*status == "refused").then_some("no")});
        Outcome::Commanded(serde_json::from_value(json!({
            "id": null, "method": "rate-limit", "arguments": {}, "created_us": 1, "by": "me", "timeout_ms": 10, "done": true, "counts": {},
            "lines": lines.iter().map(line).collect::<Vec<_>>(),
        })).unwrap())
    };
    app.weighed(deed.clone(), &command(&[("a@h", "waiting"), ("b@h", "waiting"), ("c@h", "unsupported")]));
    assert!(matches!(&app.mode, Mode::Confirm { what, .. } if what == "limit video render to 10/s in 2 workers"), "{:?}", app.mode);
    assert_eq!(press(&mut app, "n"), None);
    assert_eq!(app.message.as_deref(), Some("nothing was limited"));
    app.weighed(deed.clone(), &command(&[("a\u{1b}@h", "waiting")]));
    assert!(matches!(&app.mode, Mode::Confirm { what, .. } if what == "limit video render to 10/s in a␛@h"), "{:?}", app.mode);
    assert_eq!(press(&mut app, "y"), Some(Effect::Do(deed.clone())));
    app.done(&command(&[("a@h", "ok"), ("b@h", "refused")]));
    assert_eq!(app.message.as_deref(), Some("1 of 2 workers did it; b@h refused: no"));
    app.done(&command(&[("a@h", "ok")]));
    assert_eq!(app.message.as_deref(), Some("1 of 1 worker did it"));
    app.weighed(deed, &command(&[]));
    assert_eq!((&app.mode, app.message.as_deref()), (&Mode::List, Some("no worker would be told of it")));

    // For a single worker, the name is typed, too. A rate of 0 removes the limit.
    press(&mut app, "5");
    answer(&mut app, Facts::of([Model::Worker(worker(1, "render", "online", json!({})).into())]));
    let Key::Worker(id) = selected(&mut app) else { panic!("a worker is selected") };
    assert_eq!(press(&mut app, "Lfast Enter"), None);
    press(&mut app, "L");
    app.paste(" video render  0 ");
    let deed = limit("0", Some(id));
    assert_eq!(press(&mut app, "Enter"), Some(Effect::Weigh(deed.clone())));
    app.weighed(deed, &command(&[("a@h", "waiting")]));
    assert!(matches!(&app.mode, Mode::Confirm { what, .. } if what == "end the limit of video render in a@h"), "{:?}", app.mode);
    press(&mut app, "n");
    // A shutdown needs a confirmation, too.
    let Some(Effect::Weigh(deed)) = press(&mut app, "X") else { panic!("it is weighed first") };
    app.weighed(deed.clone(), &command(&[("a@h", "unsupported")]));
    assert!(app.message.as_deref().unwrap().contains("can't be told to end"), "{:?}", app.message);
    app.weighed(deed.clone(), &command(&[("a@h", "waiting")]));
    assert!(
        matches!(&app.mode, Mode::Confirm { what, .. } if what.starts_with("shut render@") && what.ends_with(" down after its work")),
        "{:?}",
        app.mode
    );
    assert_eq!(press(&mut app, "y"), Some(Effect::Do(deed)));
    app.setting.is_readonly = true;
    assert_eq!((press(&mut app, "X"), &app.mode), (None, &Mode::List));
    assert_eq!((press(&mut app, "L"), &app.mode), (None, &Mode::List));
    assert!(app.message.as_deref().unwrap().contains("--readonly"));
    app.setting.page = None;
    press(&mut app, "L");
    assert!(app.message.as_deref().unwrap().contains("replayed"));
}

#[test]
fn rows_have_links() {
    let mut app = app();
    assert_eq!(press(&mut app, "y"), Some(Effect::Copy(format!("http://h/tasks/{}", root_id(9)))));
    press(&mut app, "G Enter");
    answer(&mut app, tree());
    assert_eq!(press(&mut app, "jo"), Some(Effect::Open(format!("http://h/tasks/{}?process={}", root_id(1), process_id(2)))));
    app.setting.page = None;
    assert_eq!(press(&mut app, "y"), None);
}

#[test]
fn commands_open_any_screen_tree_or_process() {
    let mut app = app();
    assert_eq!(press(&mut app, ":work Enter"), None);
    assert_eq!(app.screen, Screen::Workers);
    press(&mut app, ":2106 Enter");
    assert_eq!(app.question(), Some(Question::Tree { root: "2106".to_owned(), limit: FIRST_PROCESSES }));
    assert_eq!(press(&mut app, ":a3ce92 Enter"), Some(Effect::Find("a3ce92".to_owned())));
    app.found("a3ce92", &[]);
    assert!(app.message.as_deref().unwrap().contains("a3ce92"));
    app.found("0000", &[process(4, 0, "write rows", "failed", json!({}))]);
    answer(&mut app, tree());
    assert_eq!(selected(&mut app), of_tree(4));
    press(&mut app, ":nowhere Enter");
    assert!(app.message.is_some());
    assert_eq!(press(&mut app, ":q Enter"), Some(Effect::Quit));
}

#[test]
fn panels_open_turn_into_each_other_and_close() {
    let mut app = app();
    press(&mut app, "i");
    assert_eq!(app.mode, Mode::Panel(Panel::Info, 0));
    press(&mut app, "jjk");
    assert_eq!(app.mode, Mode::Panel(Panel::Info, 1));
    press(&mut app, "t");
    assert_eq!(app.mode, Mode::Panel(Panel::Traceback, 0));
    press(&mut app, "t");
    assert_eq!(app.mode, Mode::List);
    press(&mut app, "r Esc");
    assert_eq!((&app.mode, app.screen), (&Mode::List, Screen::Roots));
}

#[test]
fn the_usual_keys_quit_and_suspend_the_program() {
    let mut app = app();
    assert_eq!(press(&mut app, "/abc Ctrl-C"), Some(Effect::Quit));
    assert_eq!(press(&mut app, "Ctrl-Z"), Some(Effect::Suspend));
    press(&mut app, "Esc");
    assert_eq!(press(&mut app, "q"), Some(Effect::Quit));
}

#[test]
fn an_unreachable_server_leaves_the_last_data_on_the_screen() {
    let mut app = app();
    let question = app.question().unwrap();
    app.refuse(&question, "not reached".to_owned(), true);
    assert_eq!((app.list().len(), &app.link), (5, &Link::Away("not reached".to_owned())));
    app.refuse(&question, "no such tree".to_owned(), false);
    assert_eq!(app.refusal.as_deref(), Some("no such tree"));
    answer(&mut app, roots());
    assert_eq!(app.refusal, None);
}

#[test]
fn no_key_on_no_screen_ends_in_a_panic() {
    let keys: Vec<_> = " abcdefghijklmnoprstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/:?".chars().map(KeyCode::Char).collect();
    let others =
        [KeyCode::Enter, KeyCode::Esc, KeyCode::Up, KeyCode::Left, KeyCode::Right, KeyCode::PageDown, KeyCode::Backspace, KeyCode::F(1)];
    let keys: Vec<_> = keys.into_iter().chain(others).collect();
    for facts in [Facts::default, roots, tree] {
        let mut app = app();
        // Each key after each other key, with answers of any kind in between.
        for (index, key) in keys.iter().cycle().take(keys.len() * 40).enumerate() {
            let other = keys[(index * 7 + index / keys.len()) % keys.len()];
            app.key(KeyEvent::new(*key, KeyModifiers::NONE));
            app.key(KeyEvent::new(other, KeyModifiers::NONE));
            if let Some(question) = app.question() {
                app.take(&question, facts());
            }
            app.list().window(10);
        }
    }
}
