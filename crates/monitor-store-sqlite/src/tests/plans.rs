//! Tests that statements use indexes, from the query plans of SQLite.

use monitor_store::queue::{QueueQueries as _, Search};
use monitor_store::suite::queue::many;
use monitor_store::{ProcessesQuery, QueueSort, QueueTasksQuery, RootSort, RootsQuery};
use monitor_wire::{Kind, State};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::write::rollups::OVER;
use super::super::write::{DUE, drops, overdue, roots as writing, settle};
use super::super::{batch, links, logs, metrics, names, processes, queue, retention, roots, stats, status, unused};
use super::support::script::parse;
use super::support::worker;
use super::{any, open};

fn plan(connection: &Connection, sql: &str, values: Vec<Value>) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

/// Asserts that a plan scans no large table, and doesn't sort unless `may_sort`. Texts may be scanned, because each is stored once.
fn assert_indexed(what: &str, plan: &str, may_sort: bool) {
    for line in plan.lines() {
        let is_walk = line.starts_with("SCAN")
            && !["SCAN text", "SCAN matching", "SCAN wide", "SCAN side"].contains(&line)
            && !line.starts_with("SCAN text_parts VIRTUAL TABLE INDEX")
            // Rows that an inner query has found.
            && !line.starts_with("SCAN (subquery");
        assert!(!is_walk, "{what}:\n{plan}");
        assert!(may_sort || !line.contains("TEMP B-TREE FOR ORDER BY"), "{what}:\n{plan}");
    }
}

fn root_queries() -> Vec<RootsQuery> {
    let (name, text) = (Some("p1".to_owned()), Some("p".to_owned()));
    let states = vec![State::RUNNING, State::FAILED];
    vec![
        any(),
        RootsQuery { sort: RootSort::Oldest, ..any() },
        RootsQuery { cursor: Some("7.7".to_owned()), ..any() },
        RootsQuery { states: states.clone(), ..any() },
        RootsQuery { name: name.clone(), ..any() },
        RootsQuery { batch: Some("b".to_owned()), ..any() },
        RootsQuery { workers: vec![worker('A')], ..any() },
        RootsQuery { unattached: Some(true), ..any() },
        RootsQuery { unattached: Some(false), ..any() },
        RootsQuery { unattached: Some(true), states: states.clone(), ..any() },
        RootsQuery { text: text.clone(), ..any() },
        RootsQuery { text: Some("long enough".to_owned()), ..any() },
        RootsQuery { text: text.clone(), states: states.clone(), name: name.clone(), ..any() },
        RootsQuery { text, started_after: Some(1), ..any() },
        RootsQuery { name: name.clone(), states: states.clone(), started_after: Some(1), sort: RootSort::Oldest, ..any() },
        RootsQuery { states, started_after: Some(1), started_before: Some(9), cursor: Some("7.7".to_owned()), ..any() },
    ]
}

#[test]
fn no_list_of_roots_walks_or_sorts_all_roots() {
    let (_folder, store) = open();
    store.append(&parse("started 1 batch=b"), 0).unwrap();
    let by_time = RootsQuery { started_after: Some(1), ..any() };
    for (query, may_sort) in root_queries().into_iter().map(|query| (query, false)).chain([(by_time, true)]) {
        let checked = store.read("explain", |snapshot| {
            for (sql, values) in roots::statements(snapshot, &query)?.expect("all of them can match") {
                let plan = plan(snapshot, &sql, values);
                let may_sort = may_sort || query.text.is_some() || sql.contains("wide");
                assert_indexed(&format!("{query:?}\n{sql}"), &plan, may_sort);
            }
            Ok(())
        });
        checked.unwrap();
    }
}

/// The few roots of several workers are found by an index and then sorted.
#[test]
fn roots_of_several_workers_are_found_by_worker() {
    let (_folder, store) = open();
    store.append(&parse("A: started 1\nB: started 1 root=2"), 0).unwrap();
    for states in [vec![], vec![State::RUNNING, State::FAILED]] {
        let query = RootsQuery { workers: vec![worker('A'), worker('B')], states, ..any() };
        let checked = store.read("explain", |snapshot| {
            for (sql, values) in roots::statements(snapshot, &query)?.expect("all of them can match") {
                let plan = plan(snapshot, &sql, values);
                assert!(plan.contains("SEARCH root USING INDEX root_worker (worker=?"), "{sql}\n{plan}");
            }
            Ok(())
        });
        checked.unwrap();
    }
}

/// Returns queries with filters that indexes support in every order.
fn queue_filters() -> Vec<QueueTasksQuery> {
    let any = || QueueTasksQuery { limit: 9, ..QueueTasksQuery::default() };
    vec![
        any(),
        QueueTasksQuery { name: Some("task 1".to_owned()), ..any() },
        QueueTasksQuery { queue: Some("mail".to_owned()), ..any() },
        QueueTasksQuery { workers: vec![worker('A'), worker('B')], ..any() },
        QueueTasksQuery { states: vec![State::FAILED], ..any() },
        QueueTasksQuery { states: vec![State::FAILED, State::SUCCEEDED], ..any() },
        QueueTasksQuery { phases: vec![monitor_wire::Phase::RETRIED], ..any() },
        QueueTasksQuery { received: (Some(1), Some(9)), ..any() },
        QueueTasksQuery { started: (Some(1), Some(9)), ..any() },
    ]
}

#[test]
fn parts_of_a_list_of_tasks_are_read_in_its_order() {
    let (_folder, store) = open();
    many(&store);
    for (sort, cursor) in [
        (QueueSort::Name, r#"["task 1",7,7]"#),
        (QueueSort::State, r#"["pending",7,7]"#),
        (QueueSort::Received, "[7,7]"),
        (QueueSort::Started, "[7,7]"),
        (QueueSort::Runtime, "[7,7]"),
    ] {
        for filter in queue_filters() {
            for (is_descending, cursor) in [(false, None), (true, None), (true, Some(cursor)), (false, Some(cursor))] {
                let query = QueueTasksQuery { sort, is_descending, cursor: cursor.map(str::to_owned), ..filter.clone() };
                let checked = store.read("explain", |snapshot| {
                    let from = cursor.map(|cursor| queue::read_cursor(cursor, queue::order(sort))).transpose()?;
                    let wanted = queue::Wanted::of(snapshot, &query)?;
                    let access = queue::access::Access::of(snapshot, &wanted)?;
                    let groups = access.ordered.iter().filter_map(|parts| queue::access::merged(&wanted, parts, from.as_ref()));
                    let groups: Vec<_> = groups.collect();
                    assert!(!groups.is_empty() || cursor.is_some() && sort == QueueSort::State, "no part is left: {query:?}");
                    for (sql, values) in groups {
                        let plan = plan(snapshot, &sql, values);
                        let lines: Vec<_> = plan.lines().filter(|line| line.split(' ').any(|word| word == "queue_task")).collect();
                        let is_searched = |line: &&str| line.starts_with("SEARCH queue_task USING INDEX queue_task_");
                        assert!(!lines.is_empty() && lines.iter().all(is_searched), "{query:?}\n{sql}\n{plan}");
                        assert!(!plan.contains("TEMP B-TREE"), "{query:?}\n{sql}\n{plan}");
                        // The search starts at the cursor, unless the first sort column has one value per part.
                        let is_from_cursor = |line: &&str| line.contains(['<', '>']);
                        let first = queue::order(sort)[0];
                        let is_const = |line: &&str| line.contains(&format!("{first}=?"));
                        assert!(cursor.is_none() || lines.iter().all(|line| is_from_cursor(line) || is_const(line)), "{query:?}\n{plan}");
                    }
                    Ok(())
                });
                checked.unwrap();
            }
        }
    }
}

#[test]
fn tasks_that_are_sorted_are_read_by_an_index_of_their_filter() {
    let (_folder, store) = open();
    many(&store);
    let has_index = |filter: &QueueTasksQuery| {
        filter.name.is_some() || filter.queue.is_some() || !filter.workers.is_empty() || !filter.phases.is_empty()
    };
    let mut sorted_lists = 0;
    for filter in queue_filters().into_iter().filter(has_index) {
        for sort in [QueueSort::Name, QueueSort::State, QueueSort::Received, QueueSort::Started, QueueSort::Runtime] {
            let query = QueueTasksQuery { sort, ..filter.clone() };
            let checked = store.read("explain", |snapshot| {
                let wanted = queue::Wanted::of(snapshot, &query)?;
                let access = queue::access::Access::of(snapshot, &wanted)?;
                let Some(parts) = access.sorted(snapshot, sort, u64::from(u32::MAX))? else { return Ok(()) };
                let ((sql, values), _) = queue::access::sorted(&wanted, parts, None, 0);
                let plan = plan(snapshot, &sql, values);
                let is_covered = matches!(sort, QueueSort::Received | QueueSort::State);
                let index = if is_covered { "COVERING INDEX" } else { "INDEX" };
                let is_searched = |line: &str| line.starts_with(&format!("SEARCH queue_task USING {index} queue_task_"));
                let by_key = "SEARCH queue_task USING INTEGER PRIMARY KEY (rowid=?)";
                let lines: Vec<_> = plan.lines().filter(|line| line.split(' ').any(|word| word == "queue_task")).collect();
                let is_by_index = |line: &&str| is_searched(line) || *line == by_key;
                assert!(!lines.is_empty() && lines.iter().all(is_by_index), "{query:?}\n{sql}\n{plan}");
                sorted_lists += 1;
                Ok(())
            });
            checked.unwrap();
        }
    }
    assert!(sorted_lists > 0, "no list is sorted");
}

#[test]
fn states_and_phases_are_found_in_as_many_steps_among_more_tasks() {
    let (folder, store) = open();
    many(&store);
    let database = Connection::open(super::super::folder::database(folder.path()).unwrap()).unwrap();
    let steps = |sql: &str| {
        let mut statement = database.prepare(sql).unwrap();
        let values = vec![1; statement.parameter_count()];
        let found = statement.query_map(params_from_iter(values), |row| row.get::<_, i64>(0)).unwrap().count();
        (found, statement.get_status(rusqlite::StatementStatus::VmStep))
    };
    let lists = [queue::access::PHASES, queue::access::STATES_OF_PHASE, queue::access::STATES_OF_WORKER];
    let before = lists.map(steps);
    assert!(before.iter().all(|(found, _)| *found > 0), "{before:?}");
    let sql = "INSERT INTO queue_task SELECT NULL, root + 1000, id, name, state, phase, queue, worker, received, started, runtime, native FROM queue_task";
    assert!(database.execute(sql, []).unwrap() >= 200);
    assert_eq!(lists.map(steps), before);
}

#[test]
fn a_whole_id_is_answered_by_its_index_in_every_order() {
    let (_folder, store) = open();
    many(&store);
    let search = Search::read(&format!("id:{:032X}", 0xab)).unwrap();
    for sort in [QueueSort::Name, QueueSort::State, QueueSort::Received, QueueSort::Started, QueueSort::Runtime] {
        let page =
            store.queue_tasks(&QueueTasksQuery { sort, limit: 9, search: Some(search.clone()), ..QueueTasksQuery::default() }).unwrap();
        assert_eq!((page.tasks.len(), page.examined, page.next_cursor), (1, 1, None), "{sort:?}");
    }
}

#[test]
fn the_beginning_of_an_id_is_compared_with_an_index_alone() {
    let (_folder, store) = open();
    many(&store);
    for (prefix, expected) in [
        ("task-1", "SEARCH queue_task USING COVERING INDEX queue_task_ids (native>? AND native<?)"),
        ("\u{10ffff}", "SEARCH queue_task USING COVERING INDEX queue_task_ids (native>?)"),
        ("eleven characters", "SEARCH queue_task USING COVERING INDEX queue_task_ids (native=?)"),
        (
            "8a1c0000-0000-0000",
            "COMPOUND QUERY\nLEFT-MOST SUBQUERY\nSEARCH queue_task USING COVERING INDEX queue_task_ids (native=?)\nUNION ALL\n\
             SEARCH queue_task USING COVERING INDEX queue_task_ids (native=?)",
        ),
        // A hexadecimal prefix may also begin the process id.
        (
            "8a1c",
            "COMPOUND QUERY\nLEFT-MOST SUBQUERY\nSEARCH queue_task USING COVERING INDEX queue_task_ids (native>? AND native<?)\n\
             UNION ALL\nSCAN queue_task USING COVERING INDEX sqlite_autoindex_queue_task_1",
        ),
    ] {
        let checked = store.read("explain", |snapshot| {
            let (sql, values) = queue::ids::find(prefix, 9);
            assert_eq!(plan(snapshot, &sql, values), expected, "{prefix}\n{sql}");
            Ok(())
        });
        checked.unwrap();
    }
}

#[test]
fn a_search_that_finds_few_ids_examines_only_these() {
    let (_folder, store) = open();
    many(&store);
    let of = |search: &str| QueueTasksQuery { limit: 9, search: Some(Search::read(search).unwrap()), ..QueueTasksQuery::default() };
    let own = store.queue_tasks(&QueueTasksQuery { limit: 1, ..QueueTasksQuery::default() }).unwrap().tasks.remove(0).id.to_string();
    // The index has the first characters of an id, and all native ids begin with 30 zeros: the last search examines all 200 tasks.
    for (search, found, examined) in [(format!("id:{own}"), 1, 1), ("id:task".to_owned(), 0, 0), (format!("id:{:032x}", 0xffff), 0, 200)] {
        let page = store.queue_tasks(&of(&search)).unwrap();
        assert_eq!((page.tasks.len(), page.next_cursor, page.examined), (found, None, examined), "{search}");
    }
}

#[test]
fn no_list_of_processes_walks_all_processes() {
    let (_folder, store) = open();
    store.append(&parse("started 1 kind=run"), 0).unwrap();
    let any = || ProcessesQuery { limit: 9, ..ProcessesQuery::default() };
    let queries = [
        any(),
        ProcessesQuery { name: Some("p1".to_owned()), kind: Some(Kind::from("run")), states: vec![State::RUNNING], ..any() },
        ProcessesQuery { worker: Some(worker('A')), text: Some("p".to_owned()), ..any() },
        ProcessesQuery { worker: Some(worker('A')), text: Some("pppp".to_owned()), ..any() },
    ];
    for query in queries {
        let checked = store.read("explain", |snapshot| {
            let filter = processes::Filter::of(snapshot, &query)?.expect("all of them can match");
            let values = |sql: &str| vec![Value::Integer(1); sql.split('?').skip(1).filter_map(number).max().unwrap_or(0)];
            // Within a tree, rows are searched by the primary key and may be sorted.
            let sql = filter.in_tree(9);
            let found = plan(snapshot, &sql, values(&sql));
            assert!(found.contains("SEARCH process USING PRIMARY KEY (root=?"), "{query:?}\n{sql}\n{found}");
            assert_indexed(&format!("{query:?}\n{sql}"), &found, true);
            for (list, search, is_sorted) in [
                (processes::SideTable::Rare(1), "SEARCH side USING PRIMARY KEY (kind=?", true),
                (processes::SideTable::Native(1), "SEARCH side USING PRIMARY KEY (hash=?", true),
                (processes::SideTable::Tasks(1), "SEARCH queue_task USING COVERING INDEX sqlite_autoindex_queue_task_1 (", false),
            ] {
                for (sql, may_sort) in [(filter.of_side_table(list), query.text.is_some() || !is_sorted), (list.last(), false)] {
                    let found = plan(snapshot, &sql, values(&sql));
                    assert!(found.contains(search), "{query:?}\n{sql}\n{found}");
                    assert_indexed(&format!("{query:?}\n{sql}"), &found, may_sort);
                }
            }
            Ok(())
        });
        checked.unwrap();
    }
    let checked = store.read("explain", |snapshot| {
        let found = plan(snapshot, processes::TREES_BY_TIME, vec![Value::Integer(1); 4]);
        assert!(
            found.contains("USING INDEX root_begin (<expr>>? AND <expr><?)")
                || found.contains("USING COVERING INDEX root_begin (<expr>>? AND <expr><?)"),
            "{found}"
        );
        // The table `wide`, which the statement adds, is short, so the result may be sorted.
        assert_indexed(processes::TREES_BY_TIME, &found, true);
        assert!(found.matches("TEMP B-TREE").count() <= 1, "{found}");
        let found = plan(snapshot, processes::TREES_WITH, vec![Value::Integer(1); 5]);
        assert!(found.contains("SEARCH process EXISTS USING PRIMARY KEY (root=? AND id>? AND id<?)"), "{found}");
        assert!(!found.contains("TEMP B-TREE"), "{found}");
        // Scans the processes of a range of trees until there are enough.
        let found = plan(snapshot, processes::TREES_WITH_OF_FEW, vec![Value::Integer(1); 5]);
        assert!(found.contains("SEARCH process USING PRIMARY KEY (root>? AND root<?)") && !found.contains("TEMP B-TREE"), "{found}");
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn statistics_read_only_the_requested_sums() {
    let (_folder, store) = open();
    store.append(&parse("started 1"), 0).unwrap();
    for sql in [stats::BY_TIME, stats::OF_NAME, stats::FIRST, stats::LAST, stats::NEXT, stats::FAILURES, names::NEWEST, names::OF_NAME] {
        let checked = store.read("explain", |snapshot| {
            let values = vec![Value::Integer(1); sql.split('?').skip(1).filter_map(number).max().unwrap_or(0)];
            assert_indexed(sql, &plan(snapshot, sql, values), false);
            Ok(())
        });
        checked.unwrap();
    }
    for text in [None, Some("ab"), Some("abc")] {
        let checked = store.read("explain", |snapshot| {
            let mut values = Vec::new();
            let sql = names::all(text, &mut values);
            let found = plan(snapshot, &sql, values);
            // The table has one row per name and state.
            let found: Vec<_> = found.lines().filter(|line| *line != "SCAN root_count").collect();
            assert_indexed(&sql, &found.join("\n"), false);
            Ok(())
        });
        checked.unwrap();
    }
}

#[test]
fn due_trees_are_found_by_indexes() {
    let (_folder, store) = open();
    store.append(&parse("started 1"), 0).unwrap();
    for (sql, is_walk) in [(retention::OLD, false), (retention::OF_NAME, false), (retention::OLDEST, true), (drops::NEXT, true)] {
        let checked = store.read("explain", |snapshot| {
            let values = vec![Value::Integer(1); sql.split('?').skip(1).filter_map(number).max().unwrap_or(0)];
            let found = plan(snapshot, sql, values);
            // These two scan from the oldest tree until there are enough.
            let found: Vec<_> = found.lines().filter(|line| !is_walk || !["SCAN root", "SCAN leaving"].contains(line)).collect();
            // The trees of a name are sorted by number, because no index has this order.
            assert_indexed(sql, &found.join("\n"), sql == retention::OF_NAME);
            Ok(())
        });
        checked.unwrap();
    }
}

/// Parses the number at the beginning of a text.
fn number(text: &str) -> Option<usize> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn texts_of_three_characters_are_searched_by_their_parts() {
    let (_folder, store) = open();
    for (text, is_indexed) in [("订单", false), ("ab", false), ("abc", true), ("解析订", true), ("a\0bc", false)] {
        let checked = store.read("explain", |snapshot| {
            let mut values = Vec::new();
            let sql = roots::matching(text, &mut values);
            let found = plan(snapshot, &sql, values);
            assert_eq!(found.contains("text_parts VIRTUAL TABLE INDEX"), is_indexed, "{text}:\n{found}");
            assert_eq!(found.lines().any(|line| line == "SCAN text"), !is_indexed, "{text}:\n{found}");
            Ok(())
        });
        checked.unwrap();
    }
}

#[test]
fn references_are_searched_from_a_position() {
    let (_folder, store) = open();
    for (sql, values) in unused::statements() {
        let checked = store.read("explain", |snapshot| {
            assert_indexed(&sql, &plan(snapshot, &sql, vec![Value::Integer(1); values]), false);
            Ok(())
        });
        checked.unwrap();
    }
}

/// Plan lines that scan a whole table or subquery, each with the reason why that is short.
const READ_WHOLE: [&str; 6] = [
    // The last failed processes of a tree, limited in number.
    "SCAN f",
    // Overdue processes, which are few.
    "SCAN overdue",
    // Open processes at the start of the server. The statement has a limit.
    "SCAN open",
    // One row per root name and state.
    "SCAN root_count",
    // The names among them that have failures.
    "SCAN failed",
    // One row per event type and reason.
    "SCAN dropped_sum",
];

#[test]
fn queries_of_the_writer_use_indexes_or_read_small_tables() {
    let (_folder, store) = open();
    // These search and sort within one tree, and run only when its representing process may have changed.
    let in_a_tree = [writing::OWN, writing::EARLIEST];
    let others = [
        writing::FAILED_BELOW,
        writing::FAILED_ORPHANS,
        writing::GREATEST,
        DUE,
        OVER,
        settle::LEFT,
        overdue::OPEN,
        overdue::OVERDUE,
        metrics::FROM,
        retention::NAMES,
    ];
    for sql in in_a_tree.into_iter().chain(others).chain([
        retention::NEXT_UNKNOWN,
        retention::NEWEST,
        status::DROPPED,
        stats::ROOT_NAMES,
        names::FAILING,
    ]) {
        let checked = store.read("explain", |snapshot| {
            let values = vec![Value::Integer(1); sql.split('?').skip(1).filter_map(number).max().unwrap_or(0)];
            let found = plan(snapshot, sql, values);
            let found: Vec<_> = found.lines().filter(|line| !READ_WHOLE.contains(line)).collect();
            assert_indexed(sql, &found.join("\n"), in_a_tree.contains(&sql));
            Ok(())
        });
        checked.unwrap();
    }
}

#[test]
fn decisions_about_a_task_are_read_backwards_until_a_page_is_full() {
    let (_folder, store) = open();
    for sql in [batch::DECIDED_RUNS, batch::DECIDED_WITHOUT] {
        let checked = store.read("explain", |snapshot| {
            let values = vec![Value::Integer(1); sql.split('?').skip(1).filter_map(number).max().unwrap_or(0)];
            let found = plan(snapshot, sql, values);
            assert!(found.contains("USING PRIMARY KEY (task=?)") && !found.contains("TEMP B-TREE"), "{found}");
            Ok(())
        });
        checked.unwrap();
    }
}

#[test]
fn links_are_found_from_the_process_that_they_lead_to() {
    let (_folder, store) = open();
    let checked = store.read("explain", |snapshot| {
        let found = plan(snapshot, links::FROM, vec![Value::Integer(1); 2]);
        assert!(found.contains("SEARCH linked USING PRIMARY KEY (hash=?)"), "{found}");
        assert_indexed(links::FROM, &found, false);
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn lines_of_logs_are_read_in_their_order() {
    let (_folder, store) = open();
    for (process, index) in [(Some(1), "PRIMARY KEY (root=? AND process=? AND (time,worker,number)"), (None, "INDEX log_time (root=?")] {
        for (is_newest_first, cursor) in [(false, None), (true, Some([1; 4]))] {
            let checked = store.read("explain", |snapshot| {
                let (sql, values) = logs::statement(1, process, is_newest_first, cursor);
                let found = plan(snapshot, &sql, values.into_iter().map(Value::Integer).collect());
                assert!(found.contains(index), "{sql}:\n{found}");
                assert_indexed(&sql, &found, false);
                Ok(())
            });
            checked.unwrap();
        }
    }
}
