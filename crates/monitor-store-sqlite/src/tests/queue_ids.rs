//! Tests of the index on the ids of queue tasks.

use monitor_store::queue::{QueueQueries as _, QueueTasksQuery, Search};
use rusqlite::Connection;
use serde_json::json;

use super::super::folder;
use super::open;
use super::support::{batch, process, root};

#[test]
fn tasks_are_found_by_the_beginning_of_their_ids() {
    let (data, store) = open();
    let ids = [
        "8A1C-1",
        "ÉTÉ-ΑΣ-0123456789-0123456789",
        "plain text that is longer than the index",
        "",
        "0B7A3D7E-61f7-4f0a-9c2e-0d6f5f1f5a11",
        "0b7a3d7e-61f7-zzzz-9c2e",
    ];
    let event = |(number, id): (u64, &str)| {
        let mut event = json!({"type": "task-sent", "name": "a", "time_us": number, "root_id": root(1).to_string(),
            "id": process(number).to_string()});
        if !id.is_empty() {
            event["native_id"] = id.into();
        }
        serde_json::from_value(event).unwrap()
    };
    store.append(&[batch('A', 1, (1..).zip(ids).map(event).collect())], 5).unwrap();
    let database = Connection::open(folder::database(data.path()).unwrap()).unwrap();
    let mut statement = database.prepare("SELECT native FROM queue_task ORDER BY key").unwrap();
    let indexed: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(indexed, ["8a1c-1", "été-ας-012345678", "plain text that ", "", "0b7a3d7e", "0b7a3d7e-61f7-zz"]);
    for (search, found) in [
        ("id:8a1", 1),
        ("id:été-ας", 1),
        ("id:plain", 1),
        ("id:planes", 0),
        ("id:\"plain text that is longer than\"", 1),
        ("id:0b7a", 2),
        ("id:0b7a3d7e", 2),
        ("id:0b7a3d7e-61f", 2),
        ("id:0b7a3d7e-61f7-4f0a", 1),
        ("id:0b7a3d7e-61f7-4f0a-9c2e-0d6f5f1f5a11", 1),
        ("id:0b7a3d7e-61f7-zzz", 1),
        ("id:0b7a3d7f", 0),
    ] {
        let query = QueueTasksQuery { limit: 9, search: Some(Search::read(search).unwrap()), ..QueueTasksQuery::default() };
        assert_eq!(store.queue_tasks(&query).unwrap().tasks.len(), found, "{search}");
    }
    assert_eq!(store.problems(), Vec::<String>::new());
}
