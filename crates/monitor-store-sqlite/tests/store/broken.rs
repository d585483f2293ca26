//! Compares a store whose statements fail with the fold in memory: failed transactions change nothing, and stored events stay.

use std::path::Path;
use std::sync::Arc;

use monitor_state::Facts;
use monitor_store::packed::Packed;
use monitor_store::{Intake, Queries, RootKey, RootSort, RootsQuery};
use monitor_store_sqlite::SqliteStore;
use monitor_wire::{Event, Process, Root};
use rusqlite::Connection;

use crate::support::chosen;

/// Stores the events encoded in `bytes` while statements fail, also as encoded there. Returns the number of failed transactions.
pub(crate) fn check(bytes: &[u8]) -> u32 {
    let Some((plan, events)) = bytes.split_first_chunk::<8>() else { return 0 };
    let mut failed = 0;
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let fuse = Fuse::put_into(folder.path());
    let mut facts = Facts::default();
    let mut batches = chosen::delivered(events);
    // The server decides about losses itself.
    batches.retain(|batch| !batch.events.iter().any(|event| matches!(event, Event::WorkerLost(_) | Event::WorkerFound(_))));
    for (step, some) in batches.chunks(1 + usize::from(plan[0] % 8)).enumerate() {
        let what = plan[1 + step % 7];
        let packed: Vec<_> = some.iter().map(|batch| Arc::new(Packed::from(batch.clone()))).collect();
        // Each attempt fails later than the previous one, until the transaction completes.
        for left in (u32::from(what % 16)..).step_by(1 + usize::from(plan[0] / 32)) {
            fuse.set(left, what & 64 != 0);
            let before = store.status().unwrap();
            let told = store.append(&packed, step as u64);
            fuse.remove();
            let status = store.status().unwrap();
            if let Ok(changes) = told {
                assert_eq!(status.as_of, before.as_of + changes.count() as u64);
                break;
            }
            failed += 1;
            assert_eq!((status.as_of, status.events, &status.roots), (before.as_of, before.events, &before.roots));
            check_same(&store, &facts);
        }
        for batch in some {
            facts.apply_batch(batch);
        }
        check_same(&store, &facts);
        if what & 128 != 0 {
            drop(store);
            store = SqliteStore::open(folder.path()).unwrap();
            check_same(&store, &facts);
        }
    }
    fuse.take_out();
    drop(store);
    assert_eq!(monitor_store_sqlite::check(folder.path()).unwrap().problems, Vec::<String>::new());
    failed
}

fn check_same(store: &SqliteStore, facts: &Facts) {
    let mut roots = store.roots(&RootsQuery { limit: 100, sort: RootSort::Oldest, ..RootsQuery::default() }).unwrap().roots;
    // Lists are sorted by start.
    roots.sort_by_key(|root| root.number);
    assert_eq!(roots.len(), facts.roots().count());
    for (number, root) in (1..).zip(roots) {
        assert_eq!(root.number, number, "no number is used up by what failed");
        let page = store.tree(RootKey::Id(root.root_id), 1_000, None).unwrap().unwrap();
        let (expected, processes) = facts.tree(root.root_id, number).unwrap();
        assert_eq!((&page.root, root_of_facts(page.root.clone())), (&root, expected));
        assert_eq!(page.processes.into_iter().map(of_facts).collect::<Vec<_>>(), processes);
    }
    let workers = store.workers(100, None).unwrap().workers;
    assert_eq!(workers.len(), facts.workers().count());
    for worker in workers {
        let (_, expected) = facts.workers().find(|(id, _)| *id == worker.id).unwrap();
        assert_eq!((&*worker.hostname, worker.pid, worker.state), (expected.hostname(), expected.pid(), facts.worker_state(worker.id)));
    }
}

/// Clears the fields that are not in the facts, because only the server knows them.
fn root_of_facts(root: Root) -> Root {
    Root { overdue: false, expected_ns: None, expected_p95_ns: None, ..root }
}

fn of_facts(process: Process) -> Process {
    Process { overdue: false, expected_ns: None, expected_p95_ns: None, ..process }
}

/// Triggers that make a row change fail after a set number of row changes, in any table.
struct Fuse(Connection);

impl Fuse {
    fn put_into(folder: &Path) -> Self {
        let connection = Connection::open(folder.join("monitor.db")).unwrap();
        // Leaves out the tables of the full-text index, which change only as part of statements on other tables.
        let tables = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'";
        let tables = Self::names(&connection, tables);
        let begin = "PRAGMA synchronous=OFF; BEGIN; CREATE TABLE fuse (remaining, is_rollback); INSERT INTO fuse VALUES (NULL, 0)";
        connection.execute_batch(begin).unwrap();
        for table in tables {
            for change in ["INSERT", "UPDATE", "DELETE"] {
                // A failing disk usually rolls back the whole transaction, like ROLLBACK, and not only the statement.
                let trigger = format!(
                    "CREATE TRIGGER fuse_{table}_{change} BEFORE {change} ON {table} WHEN (SELECT remaining FROM fuse) IS NOT NULL BEGIN
                         UPDATE fuse SET remaining = remaining - 1;
                         SELECT RAISE(ROLLBACK, 'the fuse') FROM fuse WHERE remaining < 0 AND is_rollback;
                         SELECT RAISE(ABORT, 'the fuse') FROM fuse WHERE remaining < 0;
                     END"
                );
                connection.execute_batch(&trigger).unwrap();
            }
        }
        connection.execute_batch("COMMIT").unwrap();
        Self(connection)
    }

    fn names(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn set(&self, remaining: u32, is_rollback: bool) {
        self.0.execute("UPDATE fuse SET remaining = ?1, is_rollback = ?2", (remaining, is_rollback)).unwrap();
    }

    fn remove(&self) {
        self.0.execute("UPDATE fuse SET remaining = NULL", ()).unwrap();
    }

    fn take_out(self) {
        let triggers = Self::names(&self.0, "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'fuse%'");
        for name in triggers {
            self.0.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        self.0.execute_batch("DROP TABLE fuse").unwrap();
    }
}
