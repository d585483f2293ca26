//! Tests of lists of queue tasks.

use std::time::Duration;

use monitor_wire::{Batch, Phase, Process, ProcessId, QueueTasksPage, State, WorkerTasks};
use serde_json::{Value, json};

use super::{Place, Say as _};
use crate::queue::{QueueCount, QueueQueries as _, QueueSort, QueueTasksQuery, Search};
use crate::support::{batch, process, root, worker};
use crate::{Intake as _, Queries as _, Store, StoreError};

/// Returns a batch of worker A with one event about process `of`.
fn told(number: u64, of: u64, event: &Value) -> Batch {
    let mut all =
        json!({"time_us": 10 * number, "root_id": root(1).to_string(), "id": process(of).to_string(), "native_id": format!("task-{of}")});
    all.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
    batch('A', number, vec![serde_json::from_value(all).unwrap()])
}

/// Adds five tasks and a process that is no task. Task 1 is running, 2 succeeded, 3 failed, 4 was only sent, 5 will be retried.
fn fill(store: &impl Store) {
    let message = |what: &str, name: &str, queue: &str| json!({"type": what, "name": name, "queue": queue});
    let events = [
        (1, message("task-received", "render", "video")),
        (1, json!({"type": "task-started"})),
        (2, json!({"type": "task-received", "name": "cut", "queue": "video", "kwargs": {"size": "4k"}})),
        (2, json!({"type": "task-started"})),
        (2, json!({"type": "task-succeeded", "runtime_ns": 900, "result": "seven"})),
        (3, message("task-received", "render", "audio")),
        (3, json!({"type": "task-started"})),
        (3, json!({"type": "task-failed", "exception": "no disk"})),
        (4, json!({"type": "task-sent", "name": "a mix"})),
        (5, message("task-received", "cut", "audio")),
        (5, json!({"type": "task-started"})),
        (5, json!({"type": "task-retried", "exception": "no net"})),
        (9, json!({"type": "process-started", "kind": "normal", "name": "render"})),
    ];
    for (number, (of, event)) in (1..).zip(&events) {
        store.say(&[told(number, *of, event)], 5).unwrap();
    }
}

fn all(sort: QueueSort) -> QueueTasksQuery {
    QueueTasksQuery { sort, limit: 50, ..QueueTasksQuery::default() }
}

fn names(page: &QueueTasksPage) -> Vec<u64> {
    let number = |id: &Option<String>| id.as_deref().unwrap()["task-".len()..].parse().unwrap();
    page.tasks.iter().map(|task| number(&task.native_id)).collect()
}

pub fn a_list_of_tasks_has_its_order<P: Place>() {
    let place = P::new();
    let store = place.open();
    fill(&store);
    for (sort, expected) in
        [(QueueSort::Received, vec![4, 1, 2, 3, 5]), (QueueSort::Name, vec![4, 2, 5, 1, 3]), (QueueSort::State, vec![3, 4, 5, 1, 2])]
    {
        assert_eq!(names(&store.queue_tasks(&all(sort)).unwrap()), expected, "{sort:?}");
        let reverse = store.queue_tasks(&QueueTasksQuery { is_descending: true, ..all(sort) }).unwrap();
        assert_eq!(names(&reverse), expected.into_iter().rev().collect::<Vec<_>>(), "{sort:?}");
    }
    let by = |sort| names(&store.queue_tasks(&QueueTasksQuery { is_descending: true, ..all(sort) }).unwrap());
    assert_eq!(by(QueueSort::Runtime)[0], 3, "10 µs of its own against 900 ns");
    assert_eq!(by(QueueSort::Started)[0], 5);
    let page = store.queue_tasks(&all(QueueSort::Received)).unwrap();
    assert!(page.tasks.iter().all(|task| task.attempts.is_empty() && task.root_id == root(1)));
    assert_eq!(page.tasks[2].task.as_ref().unwrap().result, Some(json!("seven")));
}

pub fn a_list_of_tasks_is_filtered<P: Place>() {
    let place = P::new();
    let store = place.open();
    fill(&store);
    let any = || all(QueueSort::Received);
    let searched = |text| QueueTasksQuery { search: Some(Search::read(text).unwrap()), ..any() };
    for (query, expected) in [
        (QueueTasksQuery { name: Some("render".to_owned()), ..any() }, vec![1, 3]),
        (QueueTasksQuery { name: Some("render".to_owned()), ..all(QueueSort::Runtime) }, vec![1, 3]),
        (QueueTasksQuery { queue: Some("audio".to_owned()), ..any() }, vec![3, 5]),
        (QueueTasksQuery { states: vec![State::FAILED], ..any() }, vec![3]),
        (QueueTasksQuery { states: vec![State::FAILED, State::PENDING], ..any() }, vec![4, 3, 5]),
        (QueueTasksQuery { phases: vec![Phase::RETRIED], ..any() }, vec![5]),
        (QueueTasksQuery { workers: vec![worker('A')], phases: vec![Phase::SUCCEEDED], ..any() }, vec![2]),
        (QueueTasksQuery { workers: vec![worker('B'), worker('A')], phases: vec![Phase::SUCCEEDED], ..any() }, vec![2]),
        (QueueTasksQuery { workers: vec![worker('B')], ..any() }, vec![]),
        (QueueTasksQuery { received: (Some(30), Some(60)), ..any() }, vec![2]),
        (QueueTasksQuery { started: (Some(40), Some(70)), ..all(QueueSort::Name) }, vec![2]),
        (QueueTasksQuery { received: (Some(u64::MAX), None), ..any() }, vec![]),
        (QueueTasksQuery { offset: 2, limit: 2, ..any() }, vec![2, 3]),
        (QueueTasksQuery { offset: usize::MAX, ..any() }, vec![]),
        (searched("render not error:disk"), vec![1]),
        (searched("kwargs:size=4k or state:retried"), vec![2, 5]),
        (searched("id:task-4"), vec![4]),
    ] {
        assert_eq!(names(&store.queue_tasks(&query).unwrap()), expected, "{query:?}");
    }
}

pub fn pages_of_tasks_have_each_once<P: Place>() {
    let place = P::new();
    let store = place.open();
    fill(&store);
    for (sort, is_descending) in
        [(QueueSort::Received, true), (QueueSort::Name, false), (QueueSort::State, true), (QueueSort::Started, false)]
    {
        let whole = QueueTasksQuery { is_descending, ..all(sort) };
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.queue_tasks(&QueueTasksQuery { limit: 2, cursor, ..whole.clone() }).unwrap();
            found.extend(names(&page));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, names(&store.queue_tasks(&whole).unwrap()), "{sort:?}");
        assert_eq!(found.len(), 5);
    }
    for cursor in ["", "x", "[", "[1]", "[1,2,3,4]", "{}", "[null,1]"] {
        let failed = store.queue_tasks(&QueueTasksQuery { cursor: Some(cursor.to_owned()), ..all(QueueSort::Received) });
        assert!(matches!(failed, Err(StoreError::Cursor { .. })), "{cursor}: {failed:?}");
    }
}

/// Number of tasks that [`many`] adds.
const MANY: u64 = 200;

/// Returns the native id of a task that [`many`] adds.
fn uuid(of: u64) -> String {
    format!("{of:032x}")
}

/// Adds tasks of two workers with various names, queues, times and states.
pub fn many(store: &impl Store) {
    for (name, numbers) in [('A', 1..120), ('B', 120..MANY + 1)] {
        let mut events = Vec::new();
        for of in numbers {
            let mut tell = |time_us: u64, what: Value| {
                let mut event =
                    json!({"time_us": time_us, "root_id": root(1).to_string(), "id": process(of).to_string(), "native_id": uuid(of)});
                event.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
                events.push(serde_json::from_value(event).unwrap());
            };
            let begun = 1_000_000 + of * 7_919 % 211 * 1_000;
            let what = if of % 9 == 0 { "task-sent" } else { "task-received" };
            let queue = ["video", "audio", "mail"][of as usize % 3];
            tell(begun, json!({"type": what, "name": format!("task {}", of % 5), "queue": queue}));
            if of % 9 > 1 {
                tell(begun + of, json!({"type": "task-started"}));
            }
            match of % 9 {
                3 => tell(begun + 900, json!({"type": "task-failed", "exception": "no disk"})),
                4 => tell(begun + 900, json!({"type": "task-retried", "exception": "no net"})),
                5 => tell(begun + 900, json!({"type": "task-revoked"})),
                6.. => tell(begun + 900, json!({"type": "task-succeeded", "runtime_ns": of * 31 % 97 + 1})),
                _ => {}
            }
        }
        store.say(&[batch(name, 1, events)], 5).unwrap();
    }
}

pub fn each_filter_and_order_lists_all_of_its_tasks<P: Place>() {
    let place = P::new();
    let store = place.open();
    many(&store);
    let whole = |query: QueueTasksQuery| store.queue_tasks(&QueueTasksQuery { limit: 1_000, ..query }).unwrap().tasks;
    let every = whole(QueueTasksQuery::default());
    assert_eq!(every.len(), MANY as usize);
    let task = |of: &Process| of.task.clone().unwrap();
    // Sort key of a task.
    let key = |of: &Process, sort| {
        let received = task(of).received_us.unwrap_or(0);
        match sort {
            QueueSort::Name => (of.name.clone(), received),
            QueueSort::State => (of.state.as_str().to_owned(), received),
            QueueSort::Received => (String::new(), received),
            QueueSort::Started => (String::new(), of.started_us.unwrap_or(0)),
            QueueSort::Runtime => (String::new(), of.elapsed_ns.unwrap_or(0)),
        }
    };
    let search = |text: &str| Some(Search::read(text).unwrap());
    let any = QueueTasksQuery::default;
    for filter in [
        any(),
        QueueTasksQuery { name: Some("task 3".to_owned()), ..any() },
        QueueTasksQuery { name: Some("nothing".to_owned()), ..any() },
        QueueTasksQuery { queue: Some("audio".to_owned()), ..any() },
        QueueTasksQuery { workers: vec![worker('B')], ..any() },
        QueueTasksQuery { workers: vec![worker('A'), worker('B'), worker('C')], ..any() },
        QueueTasksQuery { states: vec![State::FAILED], ..any() },
        QueueTasksQuery { states: vec![State::SUCCEEDED, State::PENDING], ..any() },
        QueueTasksQuery { phases: vec![Phase::REVOKED], ..any() },
        QueueTasksQuery { phases: vec![Phase::SENT, Phase::SUCCEEDED, Phase::STARTED], ..any() },
        QueueTasksQuery { name: Some("task 1".to_owned()), states: vec![State::SUCCEEDED], ..any() },
        QueueTasksQuery { queue: Some("mail".to_owned()), phases: vec![Phase::RETRIED], workers: vec![worker('A')], ..any() },
        QueueTasksQuery { workers: vec![worker('B')], search: search("not error:disk name:2"), ..any() },
        QueueTasksQuery { received: (Some(1_050_000), Some(1_150_000)), ..any() },
        QueueTasksQuery { started: (Some(1_050_000), None), states: vec![State::SUCCEEDED], ..any() },
        QueueTasksQuery { search: search(&format!("id:{}", uuid(17))), ..any() },
        QueueTasksQuery { search: search(&format!("id:{} state:failed", uuid(21))), ..any() },
        QueueTasksQuery { search: search(&format!("id:{}", uuid(100_000))), ..any() },
    ] {
        for sort in [QueueSort::Name, QueueSort::State, QueueSort::Received, QueueSort::Started, QueueSort::Runtime] {
            for is_descending in [false, true] {
                let query = QueueTasksQuery { sort, is_descending, ..filter.clone() };
                let mut expected: Vec<_> = every.iter().filter(|task| query.is_wanted(task)).map(|task| key(task, sort)).collect();
                expected.sort_unstable();
                if is_descending {
                    expected.reverse();
                }
                let (mut found, mut next) = (Vec::new(), QueueTasksQuery { offset: 2, limit: 7, ..query.clone() });
                loop {
                    let page = store.queue_tasks(&next).unwrap();
                    assert!(page.tasks.len() == 7 || page.next_cursor.is_none(), "a page is full unless it is the last one: {next:?}");
                    found.extend(page.tasks);
                    next = QueueTasksQuery { cursor: page.next_cursor, offset: 0, ..next };
                    if next.cursor.is_none() {
                        break;
                    }
                }
                let keys: Vec<_> = found.iter().map(|task| key(task, sort)).collect();
                assert_eq!(keys, expected.iter().skip(2).cloned().collect::<Vec<_>>(), "{query:?}");
                let mut ids: Vec<_> = whole(query.clone()).iter().map(|task| task.id).collect();
                assert_eq!(ids[2.min(ids.len())..], found.iter().map(|task| task.id).collect::<Vec<_>>(), "{query:?}");
                for rest in [1, 7, 8] {
                    let offset = ids.len().saturating_sub(rest);
                    let page = store.queue_tasks(&QueueTasksQuery { offset, limit: 7, ..query.clone() }).unwrap();
                    let expected: Vec<_> = ids[offset..].iter().copied().take(7).collect();
                    assert_eq!(page.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), expected, "{offset} {query:?}");
                    assert!(page.next_cursor.is_some() || ids.len() <= offset + 7, "{offset} {query:?}");
                }
                ids.sort_unstable();
                let mut wanted: Vec<_> = every.iter().filter(|task| query.is_wanted(task)).map(|task| task.id).collect();
                wanted.sort_unstable();
                assert_eq!(ids, wanted, "{query:?}");
            }
        }
    }
}

pub fn tasks_are_found_by_the_beginning_of_their_ids<P: Place>() {
    let place = P::new();
    let store = place.open();
    // Every eighth id begins with `A`. All ids are longer than the indexed prefix, and some contain letters beyond ASCII.
    let id = |of: u64| format!("{:X}{}-{of:018}-End", 3 + of % 8, ["É", "\u{10ffff}", "b"][of as usize % 3]);
    let mut events = Vec::new();
    for of in 1..=MANY {
        let own = ProcessId::new(of << 56 | of).unwrap();
        let event = json!({"type": "task-sent", "name": "a", "time_us": 1_000 - of, "root_id": root(1).to_string(), "id": own.to_string(),
            "native_id": id(of)});
        events.push(serde_json::from_value(event).unwrap());
    }
    store.say(&[batch('A', 1, events)], 5).unwrap();
    // The event with the earliest time decides the id, and this one arrives last.
    let renamed = json!({"type": "task-sent", "name": "a", "time_us": 1, "root_id": root(1).to_string(), "id": ProcessId::new(7 << 56 | 7).unwrap().to_string(),
        "native_id": "Renamed-7"});
    store.say(&[batch('A', MANY + 1, vec![serde_json::from_value(renamed).unwrap()])], 5).unwrap();
    let every = store.queue_tasks(&QueueTasksQuery { limit: 1_000, ..QueueTasksQuery::default() }).unwrap().tasks;
    assert_eq!(every.len(), MANY as usize);
    let mut counts = Vec::new();
    for (text, expected) in [
        ("id:a", 38),
        ("id:Aé", 8),
        ("id:4é", 8),
        ("id:4É-0000000000000009-end", 0),
        ("id:4É-000000000000000009-end", 1),
        ("id:5\u{10ffff}", 8),
        ("id:\u{10ffff}", 0),
        ("id:renamed", 1),
        ("id:renamed-7", 1),
        ("id:a\u{10ffff}-000000000000000007", 0),
        ("id:1", 16),
        ("id:1100000000000011", 1),
        ("id:11000000000000110", 0),
        ("id:1100000000000012", 0),
        ("id:b", 16),
        ("id:40 name:a", 1),
        ("id:4 id:4é-0000000000000000", 4),
        ("not id:a", MANY - 38),
        ("id:a or id:1", 52),
        ("id:zz", 0),
        ("id:%", 0),
        ("id:4_", 0),
    ] {
        let search = Some(Search::read(text).unwrap());
        for (sort, is_descending) in [(QueueSort::Received, true), (QueueSort::Runtime, false), (QueueSort::Name, true)] {
            let query = QueueTasksQuery { sort, is_descending, search: search.clone(), limit: 7, ..QueueTasksQuery::default() };
            let mut wanted: Vec<_> = every.iter().filter(|task| query.is_wanted(task)).map(|task| task.id).collect();
            let (mut found, mut next) = (Vec::new(), query.clone());
            loop {
                let page = store.queue_tasks(&next).unwrap();
                found.extend(page.tasks.iter().map(|task| task.id));
                next = QueueTasksQuery { cursor: page.next_cursor, ..next };
                if next.cursor.is_none() {
                    break;
                }
            }
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{query:?}");
            counts.push((text, found.len() as u64, expected));
        }
    }
    assert!(counts.iter().all(|(_, found, expected)| found == expected), "{counts:?}");
    place.check(&store);
}

pub fn a_page_that_takes_too_long_is_continued_by_its_cursor<P: Place>() {
    let place = P::new();
    let store = place.open();
    fill(&store);
    let search = Search::read("name:render or name:cut").unwrap();
    for query in [
        QueueTasksQuery { is_descending: true, ..all(QueueSort::Runtime) },
        QueueTasksQuery { search: Some(search.clone()), ..all(QueueSort::State) },
        QueueTasksQuery { search: Some(search), offset: 2, ..all(QueueSort::Name) },
        QueueTasksQuery { states: vec![State::FAILED, State::RUNNING], offset: 1, ..all(QueueSort::Received) },
    ] {
        // The time allows one row per page.
        let mut short = QueueTasksQuery { max_time: Some(Duration::ZERO), ..query.clone() };
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = store.queue_tasks(&short).unwrap();
            assert_eq!(page.examined, 1, "{short:?}");
            found.extend(names(&page));
            pages += 1;
            // The cursor contains the rest of the offset.
            short = QueueTasksQuery { cursor: page.next_cursor, offset: 0, ..short };
            if short.cursor.is_none() {
                break;
            }
        }
        let whole = store.queue_tasks(&query).unwrap();
        assert_eq!((found, pages), (names(&whole), whole.examined), "{query:?}");
    }
}

pub fn a_full_page_does_not_search_all_tasks_for_another<P: Place>() {
    let place = P::new();
    let store = place.open();
    let sent = |of: u64| {
        let name = if of == 1 { "rare" } else { "common" };
        json!({"type": "task-sent", "name": name, "time_us": 10 * of, "root_id": root(1).to_string(), "id": process(of).to_string(),
            "native_id": format!("task-{of}")})
    };
    let events = (1..=2_500).map(|of| serde_json::from_value(sent(of)).unwrap()).collect();
    store.say(&[batch('A', 1, events)], 5).unwrap();
    let query = QueueTasksQuery { search: Some(Search::read("name:rare").unwrap()), limit: 1, ..all(QueueSort::Started) };
    let page = store.queue_tasks(&query).unwrap();
    assert_eq!(names(&page), [1]);
    assert!(page.examined < 2_000 && page.next_cursor.is_some(), "{page:?}");
    let rest = store.queue_tasks(&QueueTasksQuery { cursor: page.next_cursor, ..query }).unwrap();
    assert_eq!((names(&rest), rest.next_cursor), (vec![], None));
    assert_eq!(page.examined + rest.examined, 2_500, "each is examined once");
}

pub fn tasks_are_counted_by_the_worker_that_had_them<P: Place>() {
    let place = P::new();
    let store = place.open();
    fill(&store);
    let tasks = |of: char| store.worker(worker(of)).unwrap().unwrap().tasks;
    let own = WorkerTasks { succeeded: 1, failed: 1, retried: 1 };
    assert_eq!(tasks('A'), own);
    // A relayed event counts for the worker that it is about, and an event that arrives again counts once.
    let relayed = json!({"id": worker('C').to_string(), "hostname": "h", "program": "relayed"});
    let end = told(14, 1, &json!({"type": "task-succeeded", "worker": relayed}));
    for _ in 0..2 {
        let changes = store.say(std::slice::from_ref(&end), 5).unwrap();
        for change in changes.iter() {
            let shown = change.message.worker.as_ref().map(|worker| worker.tasks);
            assert_eq!(shown, Some(WorkerTasks { succeeded: 1, ..WorkerTasks::default() }), "as the stream has it");
        }
    }
    drop(store);
    let store = place.open();
    let listed = store.workers(9, None).unwrap().workers;
    let of = |id: char| listed.iter().find(|shown| shown.id == worker(id)).unwrap().tasks;
    assert_eq!((of('A'), of('C')), (own, WorkerTasks { succeeded: 1, ..WorkerTasks::default() }));
    place.check(&store);
}

pub fn tasks_are_counted_by_queue_name_and_state<P: Place>() {
    let place = P::new();
    let store = place.open();
    assert_eq!(store.queue_counts().unwrap(), []);
    fill(&store);
    let count = |queue: &str, name: &str, state: &str| QueueCount { queue: queue.into(), name: name.into(), state: state.into(), count: 1 };
    let expected = [
        count("", "a mix", "pending"),
        count("audio", "cut", "pending"),
        count("audio", "render", "failed"),
        count("video", "cut", "succeeded"),
        count("video", "render", "running"),
    ];
    assert_eq!(store.queue_counts().unwrap(), expected);
    place.check(&store);
    store.lose_workers(u64::MAX / 4, 0).unwrap();
    let states: Vec<_> = store.queue_counts().unwrap().into_iter().map(|count| count.state).collect();
    let shown: Vec<_> =
        store.queue_tasks(&all(QueueSort::State)).unwrap().tasks.iter().map(|task| task.state.as_str().to_owned()).collect();
    let mut sorted = states.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, shown, "what is counted is what is listed");
}
