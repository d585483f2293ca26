//! Replay of a file: speed, and the same answers as from a server.

use std::io::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::data::{Model, TasksOf};
use crate::support::{at, failed, line, process, process_id, root, root_id, worker};

/// Creates a line for an event `seconds` after noon.
fn event(number: u64, seconds: u64, more: &Value) -> String {
    let event =
        json!({"type": "process-started", "root_id": root_id(1), "id": process_id(1), "time_us": at(seconds), "name": "p", "kind": "root"});
    let mut data = json!({"event": event, "root": null, "process": null, "worker": null, "log": null, "as_of": number});
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("{}\n", json!({"id": number, "event": "process-started", "data": data}))
}

fn file(lines: &[String]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.concat().as_bytes()).unwrap();
    file
}

fn lines() -> Vec<String> {
    let child = |number: u64, parent: u64, more: Value| {
        let mut process = process(number, 0, "child", "failed", more);
        process.parent_id = Some(process_id(parent));
        json!({"process": process})
    };
    let task = json!({"kind": "task", "task": {
        "phase": "received", "queue": "video", "exchange": null, "routing_key": null, "args": null, "kwargs": null, "result": null, "traceback": null,
        "eta_us": null, "expires_us": null, "sent_us": null, "sent_by": null, "received_us": null, "received_by": null, "pid": null,
    }});
    vec![
        event(
            1,
            0,
            &json!({"root": root(1, "pipeline", "running", json!({})), "process": process(1, 0, "pipeline", "running", json!({}))}),
        ),
        event(2, 1, &child(3, 2, failed("no film", 1, 3))),
        event(3, 2, &child(2, 1, failed("no film", 1, 2))),
        // An unknown parent.
        event(4, 3, &child(4, 99, task)),
        event(5, 4, &json!({"worker": worker(1, "render", "online", json!({}))})),
        event(6, 5, &json!({"log": line(1, "error", "oh")})),
    ]
}

fn played(speed: f64, lines: &[String]) -> Player {
    let file = file(lines);
    let mut player = Player::open(&Replay { path: file.path().to_owned(), speed }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { while !matches!(player.changed().await, Change::Link(Link::Ended(_))) {} });
    player
}

fn rows(player: &Player, question: &Question) -> Vec<String> {
    let word = |model: &Model| match model {
        Model::Root(root) => root.title.clone(),
        Model::Process(process) => format!("{}{}", "  ".repeat(process.depth.unwrap_or(0) as usize), process.id.get()),
        Model::Worker(worker) => worker.program.clone(),
        Model::Error(error) => format!("{} ×{}", error.message, error.count),
        Model::Counts(counts) => format!("{} {:?}", counts.name, counts.states),
        Model::Line(line) => line.message.clone(),
    };
    player.ask(question).models.iter().map(word).collect()
}

#[test]
fn a_file_answers_each_question() {
    let player = played(f64::INFINITY, &lines());
    assert_eq!(player.now_us(), at(5));
    let root = || "1".to_owned();
    for (question, expected) in [
        (Question::Roots { filter: "state:running pipe".to_owned() }, &["pipeline <1>"][..]),
        (Question::Roots { filter: "state:failed".to_owned() }, &[]),
        (Question::Tree { root: root(), limit: 10 }, &["1", "  2", "    3", "  4"]),
        (Question::Tree { root: root_id(1).to_string(), limit: 2 }, &["1", "  2"]),
        (Question::Tree { root: "2".to_owned(), limit: 2 }, &[]),
        (Question::Found { root: root(), filter: "no film".to_owned() }, &["3", "2"]),
        (Question::Errors { filter: String::new() }, &["no film ×2"]),
        (Question::Workers { filter: String::new() }, &["render"]),
        (Question::Types { filter: String::new() }, &["child {\"failed\": 1}"]),
        (Question::Queues { filter: String::new() }, &["video {\"failed\": 1}"]),
        (Question::Tasks { of: TasksOf::Queue("video".to_owned()), filter: String::new() }, &["4"]),
        (Question::Log { root: root(), process: None, filter: "level:error".to_owned() }, &["oh"]),
        (Question::Log { root: root(), process: Some(process_id(9)), filter: String::new() }, &[]),
    ] {
        assert_eq!(rows(&player, &question), expected, "{question:?}");
    }
    assert!(player.ask(&Question::Tree { root: root(), limit: 2 }).has_more);
}

#[test]
fn time_passes_at_the_chosen_speed() {
    let begun = Instant::now();
    let player = played(50.0, &lines());
    assert!(begun.elapsed() >= Duration::from_millis(100), "5 seconds at 50 of them a second");
    assert_eq!(player.now_us(), at(5));
}

#[test]
fn parents_in_a_circle_are_walked_once() {
    let circle = |number: u64, parent: u64| {
        let mut process = process(number, 0, "p", "running", json!({}));
        process.parent_id = Some(process_id(parent));
        json!({"process": process, "root": root(1, "pipeline", "running", json!({}))})
    };
    let player = played(f64::INFINITY, &[event(1, 0, &circle(2, 3)), event(2, 0, &circle(3, 2))]);
    assert_eq!(rows(&player, &Question::Tree { root: "1".to_owned(), limit: 10 }), ["2", "  3"]);
}

#[test]
fn an_invalid_file_of_events_is_refused_with_its_line() {
    let open = |lines: &[String]| {
        let file = file(lines);
        Player::open(&Replay { path: file.path().to_owned(), speed: 1.0 }).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(open(&["{\"roots\": []}\n".to_owned()]).unwrap_err().starts_with("line 1 is no event"));
    assert!(open(&["\u{0}\u{1}".to_owned()]).unwrap_err().starts_with("line 1 is no event"));
    assert_eq!(open(&[]), Ok(()));
    // If the writing command was killed, the last line may be incomplete.
    let mut lines = lines();
    lines[2].truncate(40);
    let file = file(&lines[..3]);
    let mut player = Player::open(&Replay { path: file.path().to_owned(), speed: f64::INFINITY }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ended = runtime.block_on(async {
        loop {
            if let Change::Link(Link::Ended(why)) = player.changed().await {
                return why;
            }
        }
    });
    assert!(ended.unwrap().starts_with("line 3 is no event"));
    assert_eq!(rows(&player, &Question::Tree { root: "1".to_owned(), limit: 10 }), ["1", "  3"]);
}
