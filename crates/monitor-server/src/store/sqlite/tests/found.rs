//! A database of an older schema is searched and sorted like a new one.

use monitor_wire::Batch;
use rusqlite::Connection;
use serde_json::json;

use super::super::{SqliteStore, schema};
use super::support::script::parse;
use super::support::{batch, process, root};
use super::{any, open};
use crate::store::{CausesQuery, ProcessesQuery, Queries, RootsQuery};

/// A root that began and failed, with an error and its causes.
fn failed(sequence: u64, number: u8, (name, start_us, end_us): (&str, u64, u64), links: &[&str]) -> Batch {
    let about = json!({ "root_id": root(number).to_string(), "id": process(u64::from(number)).to_string(), "links": [] });
    let event = |more: serde_json::Value| {
        let mut event = about.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    };
    let error =
        links.split_first().map(|(message, chain)| json!({ "kind": "error", "message": message, "chain": chain, "tail": "at line 9" }));
    let events = vec![
        event(json!({ "type": "process-started", "time_us": start_us, "kind": "root", "name": name, "batch": "b7" })),
        event(json!({ "type": "process-ended", "time_us": end_us, "outcome": "failed", "error": error })),
    ];
    batch('A', sequence, events)
}

fn numbers(store: &SqliteStore, text: Option<&str>) -> Vec<u64> {
    let page = store.roots(&RootsQuery { text: text.map(str::to_owned), ..any() }).unwrap();
    page.roots.iter().map(|root| root.number).collect()
}

#[test]
fn a_database_of_an_older_schema_is_searched_and_sorted_like_a_new_one() {
    let (folder, store) = open();
    store.append(&[failed(1, 1, ("count", 50, 60), &["can't write report", "No such file"])], 0).unwrap();
    store.append(&parse("B: started 1 root=2 at=10\nB: started 2 root=2 parent=1 at=11\nB: ended 2 root=2 failed error=handled at=12\nB: ended 1 root=2 ok at=13"), 0).unwrap();
    drop(store);
    let path = folder.path().join("monitor.db");
    let connection = Connection::open(&path).unwrap();
    // As schema 10 had it.
    connection
        .execute_batch(
            "DROP INDEX root_line; DROP INDEX root_begin; DROP INDEX root_name; DROP INDEX root_batch; DROP INDEX root_worker; \
             DROP INDEX root_state; DROP INDEX root_unattached; ALTER TABLE root DROP COLUMN line; ALTER TABLE root DROP COLUMN progress; \
             ALTER TABLE failure DROP COLUMN first; CREATE INDEX root_name ON root(name); CREATE INDEX root_base ON root(base); \
             CREATE INDEX root_batch ON root(batch) WHERE batch IS NOT NULL; \
             CREATE INDEX root_worker ON root(worker) WHERE worker IS NOT NULL; CREATE INDEX root_state ON root(state); \
             CREATE INDEX root_unattached ON root(number) WHERE own = 2; \
             UPDATE root SET error = (SELECT error FROM root WHERE number = 1), cause = (SELECT cause FROM root WHERE number = 1); \
             DROP TABLE native; DROP TABLE waiting; DROP TABLE event_log; DROP TABLE cursor; ALTER TABLE counter DROP COLUMN logged; DROP TABLE batch_task; \
             DROP TABLE batch_version; DROP TABLE batch_run; DROP TABLE batch_decision; DROP TABLE batch_agent; DROP TABLE sign; DROP TABLE agent_heard; DROP TABLE alert; DROP TABLE alert_note; DROP TABLE alert_entry; DROP TABLE alert_common; DROP TABLE outbox; DROP TABLE outbox_attempt; DROP TABLE rule; DROP TABLE rule_version; DROP TABLE hush; DROP TABLE lost_worker; DROP TABLE follow_up; DROP TABLE linked; DROP TABLE queue_task; DROP TABLE queue_count; PRAGMA user_version = 10",
        )
        .unwrap();
    drop(connection);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.opened().migrated_from, Some(10));
    assert_eq!(store.opened().schema, schema::KNOWN);
    assert_eq!(numbers(&store, Some("No such file")), [1], "what succeeded shows no error any more");
    assert_eq!(numbers(&store, None), [1, 2]);
    assert_eq!(store.stats_causes(&CausesQuery { limit: 9, ..CausesQuery::default() }).unwrap().causes[0].first_us, 0);
    assert_eq!(store.problems(), Vec::<String>::new());
    let processes = store.processes(&ProcessesQuery { limit: 9, ..ProcessesQuery::default() }).unwrap().processes;
    assert_eq!(processes.len(), 3);
}
