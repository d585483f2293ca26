//! Tests of databases that a former build has written.

use monitor_store::queue::{QueueQueries as _, QueueTasksQuery};
use monitor_store::suite::queue::many;
use monitor_store::{ProcessesQuery, Queries as _};
use monitor_wire::Kind;
use rusqlite::{Connection, params};

use super::super::schema::{Schema, TREES};
use super::super::{SqliteStore, folder};
use super::open;

/// Tables that `schema` 27 has changed.
const CHANGED: [&str; 2] = ["queue_task", "queue_count"];

/// Creates a database of schema 26 with the rows of `of`.
fn as_of_schema_26(of: &Connection, path: &std::path::Path) {
    let former = Schema { steps: &TREES.steps[..1], ..TREES };
    former.migrate(&mut Connection::open(path).unwrap(), path).unwrap();
    of.execute("ATTACH ?1 AS former", [path.to_str().unwrap()]).unwrap();
    let sql = "SELECT name FROM former.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'text_parts%'";
    let tables: Vec<String> = of.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for table in tables.iter().filter(|table| !CHANGED.contains(&table.as_str())) {
        let columns: String = of
            .query_row("SELECT group_concat(format('\"%w\"', name)) FROM pragma_table_info(?1, 'former')", [table], |row| row.get(0))
            .unwrap();
        of.execute_batch(&format!("DELETE FROM former.{table}; INSERT INTO former.{table} SELECT {columns} FROM main.{table}")).unwrap();
    }
    of.execute_batch("INSERT INTO former.text_parts(rowid, value) SELECT id, value FROM text WHERE found <> 0").unwrap();
}

#[test]
fn tasks_of_queues_keep_their_rows_when_these_become_smaller() {
    let ((data, store), former) = (open(), tempfile::tempdir().unwrap());
    many(&store);
    let all = QueueTasksQuery { limit: 1_000, ..QueueTasksQuery::default() };
    let (tasks, counts) = (store.queue_tasks(&all).unwrap().tasks, store.queue_counts().unwrap());
    assert!(tasks.len() >= 200, "{} tasks", tasks.len());
    drop(store);
    let connection = Connection::open(folder::database(data.path()).unwrap()).unwrap();
    as_of_schema_26(&connection, &former.path().join("monitor.db"));
    for task in &tasks {
        let words = task.task.as_ref().unwrap();
        let worker = monitor_store::queue::worker_of(task).map(|worker| worker.to_string()).unwrap_or_default();
        let sql = "INSERT INTO former.queue_task SELECT key, root, id, name, ?2, ?3, queue, ?4, received, started, runtime, '{}', native \
            FROM main.queue_task WHERE id = ?1";
        let id = super::super::ids::process_key(task.id);
        let done = connection.execute(sql, params![id, task.state.as_str(), words.phase.as_str(), worker]).unwrap();
        assert_eq!(done, 1);
    }
    let of_tasks = "INSERT INTO former.rare SELECT text.id, root, queue_task.id FROM main.queue_task JOIN text ON value = 'task'";
    assert_eq!(connection.execute(of_tasks, []).unwrap(), tasks.len());
    let rows = |connection: &Connection, table: &str| -> Vec<String> {
        let sql = format!(
            "SELECT concat_ws('|', key, root, id, name, state, phase, queue, worker, received, started, runtime, native) FROM {table} ORDER BY key"
        );
        connection.prepare(&sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let expected = rows(&connection, "main.queue_task");
    assert_ne!(rows(&connection, "former.queue_task"), expected);
    drop(connection);
    let store = SqliteStore::open(former.path()).unwrap();
    assert_eq!(store.opened().migrated_from, Some(26));
    let migrated = Connection::open(former.path().join("monitor.db")).unwrap();
    assert_eq!(rows(&migrated, "queue_task"), expected);
    assert_eq!(migrated.query_row("SELECT count(*) FROM rare", [], |row| row.get(0)), Ok(0));
    let of_kind = ProcessesQuery { kind: Some(Kind::TASK), limit: 1_000, ..ProcessesQuery::default() };
    assert_eq!(store.processes(&of_kind).unwrap().processes.len(), tasks.len());
    assert_eq!((store.queue_tasks(&all).unwrap().tasks, store.queue_counts().unwrap()), (tasks, counts));
    assert_eq!(store.problems(), Vec::<String>::new());
}
