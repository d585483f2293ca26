//! The table by which links are found from the processes that they lead to.

use rusqlite::Connection;

use super::super::folder;
use super::super::house::DropTrees;
use super::open;
use super::support::script::parse;
use super::support::{process, root};
use crate::store::{Queries, SqliteStore};

const SCRIPT: &str = "started 1 root=1\nstarted 1 root=2 link=1/1/retry_of x=1\nstarted 2 root=2 parent=1 link=2/1/follows_from\n\
                      started 3 root=2 parent=1";

fn rows(folder: &tempfile::TempDir) -> i64 {
    let database = Connection::open(folder::database(folder.path()).unwrap()).unwrap();
    database.query_row("SELECT count(*) FROM linked", [], |row| row.get(0)).unwrap()
}

#[test]
fn only_links_to_other_trees_have_rows_and_they_go_with_their_tree() {
    let (folder, store) = open();
    store.append(&parse(SCRIPT), 0).unwrap();
    assert_eq!(rows(&folder), 1);
    store.drop_roots(&DropTrees { numbers: &[2], reason: "asked", may_run: true }, 0).unwrap();
    while store.sweep(1).unwrap().is_more {}
    assert_eq!(rows(&folder), 0);
    assert_eq!(store.problems(), Vec::<String>::new());
}

#[test]
fn links_of_a_database_from_before_are_found() {
    let (folder, store) = open();
    store.append(&parse(SCRIPT), 0).unwrap();
    let before = store.linked_from(root(1), process(1), 9).unwrap();
    assert_eq!((before.count, before.links.len()), (1, 1));
    drop(store);
    let database = Connection::open(folder::database(folder.path()).unwrap()).unwrap();
    let newer = "DROP TABLE linked; DROP TABLE queue_task; DROP TABLE queue_count; DROP TABLE lost_worker; DROP TABLE follow_up; DROP INDEX batch_task_paused; \
                 DROP INDEX batch_run_code; CREATE INDEX batch_run_exit ON batch_run(exit_code, due, run); \
                 ALTER TABLE batch_task DROP COLUMN pause_told; ALTER TABLE batch_agent DROP COLUMN paused_from; \
                 ALTER TABLE batch_agent DROP COLUMN paused_until; ALTER TABLE batch_agent DROP COLUMN mistakes; ALTER TABLE batch_agent DROP COLUMN files_only; PRAGMA user_version = 18";
    database.execute_batch(newer).unwrap();
    drop(database);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.opened().migrated_from, Some(18));
    assert_eq!((store.linked_from(root(1), process(1), 9).unwrap(), rows(&folder)), (before, 1));
    assert_eq!(store.problems(), Vec::<String>::new());
}

#[test]
fn a_link_with_the_same_hash_to_another_process_is_not_told() {
    let (folder, store) = open();
    store.append(&parse(SCRIPT), 0).unwrap();
    let database = Connection::open(folder::database(folder.path()).unwrap()).unwrap();
    database.execute("INSERT INTO linked SELECT hash, root, (SELECT max(id) FROM process WHERE root = 2) FROM linked", []).unwrap();
    let found = store.linked_from(root(1), process(1), 9).unwrap();
    assert_eq!((found.count, found.links.len(), found.links[0].id), (1, 1, process(1)));
}
