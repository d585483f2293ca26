//! A database of schema 24.

use std::collections::BTreeMap;

use monitor_alerts::Rule;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::super::{SqliteStore, folder};
use super::open;
use super::support::{batch, process, root};
use crate::store::queue::{QueueQueries as _, QueueTasksQuery, Search};
use crate::store::{AlertQueries as _, AlertsChange, Intake as _, RuleEdit};

/// Makes a database one of schema 24 again.
const OLDER: &str = "DROP INDEX queue_task_ids; ALTER TABLE queue_task DROP COLUMN native; DROP INDEX queue_task_phase; \
                     CREATE INDEX queue_task_phase ON queue_task(phase, state, received); PRAGMA user_version = 24";

#[test]
fn ids_of_tasks_get_their_index() {
    let (data, store) = open();
    let ids = ["8A1C-1", "ÉTÉ-ΑΣ-0123456789-0123456789", "plain text that is longer than the index", ""];
    let event = |(number, id): (u64, &str)| {
        let mut event = json!({"type": "task-sent", "name": "a", "time_us": number, "root_id": root(1).to_string(),
            "id": process(number).to_string()});
        if !id.is_empty() {
            event["native_id"] = id.into();
        }
        serde_json::from_value(event).unwrap()
    };
    store.append(&[batch('A', 1, (1..).zip(ids).map(event).collect())], 5).unwrap();
    drop(store);
    let path = folder::database(data.path()).unwrap();
    let columns = || -> Vec<(i64, String)> {
        let database = Connection::open(&path).unwrap();
        let mut statement = database.prepare("SELECT key, native FROM queue_task ORDER BY key").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let written = columns();
    assert_eq!(
        written.iter().map(|(_, native)| native.as_str()).collect::<Vec<_>>(),
        ["8a1c-1", "été-ας-012345678", "plain text that ", ""]
    );
    Connection::open(&path).unwrap().execute_batch(OLDER).unwrap();
    let store = SqliteStore::open(data.path()).unwrap();
    assert_eq!((store.opened().migrated_from, columns()), (Some(24), written));
    for (search, found) in
        [("id:8a1", 1), ("id:été-ας", 1), ("id:plain", 1), ("id:planes", 0), ("id:\"plain text that is longer than\"", 1)]
    {
        let query = QueueTasksQuery { limit: 9, search: Some(Search::read(search).unwrap()), ..QueueTasksQuery::default() };
        assert_eq!(store.queue_tasks(&query).unwrap().tasks.len(), found, "{search}");
    }
    assert_eq!(store.problems(), Vec::<String>::new());
}

#[test]
fn a_rule_that_was_stored_without_to_gets_its_warning() {
    let (data, store) = open();
    let rules = [
        ("alone", json!([])),
        ("told", json!(["@owner"])),
        // A rule without addresses turns a built-in one off.
        ("late", json!([])),
    ];
    let edit = |(name, to): (&str, Value)| {
        let rule = Rule::from_json(json!({"name": name, "on": {"cause": ["failed"]}, "to": to}), &BTreeMap::new()).unwrap();
        RuleEdit { name: name.to_owned(), who: "ada".to_owned(), rule: Some(rule) }
    };
    let deleted = RuleEdit { name: "deleted by ada".to_owned(), who: "ada".to_owned(), rule: None };
    let edits = rules.into_iter().map(edit).chain([deleted]).collect();
    store.change_alerts(&AlertsChange { rules: edits, ..AlertsChange::default() }, 5).unwrap();
    drop(store);
    Connection::open(folder::database(data.path()).unwrap()).unwrap().execute_batch(OLDER).unwrap();
    let store = SqliteStore::open(data.path()).unwrap();
    let to: BTreeMap<_, _> = store.alert_rules().unwrap().into_iter().map(|rule| (rule.name, rule.definition)).collect();
    let rule = |name: &str| {
        let mut definition = to[name].clone().unwrap();
        definition.insert("name".to_owned(), name.into());
        Rule::from_json(definition.into(), &BTreeMap::new()).unwrap()
    };
    assert!(rule("alone").to.is_none() && rule("alone").warning().is_some_and(|words| words.contains("nobody is told")));
    assert!(rule("told").to.is_some() && rule("told").warning().is_none());
    assert!(rule("late").to.is_some() && rule("late").warning().is_none());
    assert_eq!(to["deleted by ada"], None);
}

#[test]
fn each_built_in_rule_can_be_turned_off() {
    let sql = include_str!("../schema_25.sql");
    assert!(monitor_alerts::builtin().iter().all(|rule| sql.contains(&format!("'{}'", rule.name))));
}
