//! Tests of the table `linked`, which finds links by their target process.

use monitor_store::Queries;
use rusqlite::Connection;

use super::super::folder;
use super::super::house::DropTrees;
use super::open;
use super::support::script::parse;
use super::support::{process, root};

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
fn a_link_to_another_process_with_the_same_hash_is_not_returned() {
    let (folder, store) = open();
    store.append(&parse(SCRIPT), 0).unwrap();
    let database = Connection::open(folder::database(folder.path()).unwrap()).unwrap();
    database.execute("INSERT INTO linked SELECT hash, root, (SELECT max(id) FROM process WHERE root = 2) FROM linked", []).unwrap();
    let found = store.linked_from(root(1), process(1), 9).unwrap();
    assert_eq!((found.count, found.links.len(), found.links[0].id), (1, 1, process(1)));
}
