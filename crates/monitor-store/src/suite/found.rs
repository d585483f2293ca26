//! Tests that searches find everything that a row of the root list shows, and that the list has the requested order.

use monitor_wire::{Batch, RootsPage};
use serde_json::json;

use super::{Place, Say as _, any, joined};
use crate::support::script::parse;
use crate::support::{batch, process, root};
use crate::{CausesQuery, Intake as _, ProcessesQuery, Queries as _, RootKey, RootSort, RootsQuery, Store};

const HOUR: u64 = 3_600_000_000;

const DAY: u64 = 24 * HOUR;

/// Returns a batch in which a root starts and fails. `links` are the error message and its causes.
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

fn numbers(page: &RootsPage) -> Vec<u64> {
    page.roots.iter().map(|root| root.number).collect()
}

fn found(store: &impl Store, text: &str) -> Vec<u64> {
    numbers(&store.roots(&RootsQuery { text: Some(text.to_owned()), ..any() }).unwrap())
}

pub fn errors_are_found_by_cause_by_message_and_by_their_whole_line<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[failed(1, 1, ("count", 10, 20), &["can't write report", "disk busy", "No such file (os error 2)"])], 0).unwrap();
    store.say(&[failed(3, 2, ("count", 30, 40), &["can't write report"])], 0).unwrap();
    for (text, expected) in [
        ("No such file", &[1][..]),
        ("no SUCH file", &[1]),
        ("disk", &[1]),
        ("report: disk BUSY: No such file", &[1]),
        ("can't write report", &[2, 1]),
        ("(o", &[1]),
        ("at LINE 9", &[2, 1]),
        ("error 3", &[]),
    ] {
        assert_eq!(found(&store, text), expected, "{text}");
    }
    // An error that was corrected is no longer found.
    let other = failed(5, 1, ("count", 10, 15), &["can't read", "Permission denied"]);
    store.say(&[Batch { events: other.events[1..].to_vec(), ..other }], 0).unwrap();
    assert_eq!((found(&store, "No such file"), found(&store, "denied")), (vec![], vec![1]));
    place.check(&store);
}

pub fn numbers_titles_and_the_beginnings_of_ids_are_found<P: Place>() {
    let place = P::new();
    let store = place.open();
    let ids = ["0199a3ce929d0e0e47360199a3ce929d", "0199a3ce000000000000000000000001", "feed0000000000000000000000000001"];
    for (sequence, id) in (1..).zip(ids) {
        let event = json!({"type": "process-started", "root_id": id, "id": "a3ce929d0e0e4736", "time_us": sequence, "kind": "root",
            "name": "nightly build", "batch": "batch001"});
        store.say(&[batch('A', sequence, vec![serde_json::from_value(event).unwrap()])], 0).unwrap();
    }
    for (text, expected) in [
        ("2", &[2][..]),
        ("#2", &[2]),
        ("<batch001:3>", &[3]),
        ("nightly build <batch001:1>", &[1]),
        ("0199a3ce", &[2, 1]),
        ("0199A3CE9", &[1]),
        ("0199a3ce929d0e0e47360199a3ce929d", &[1]),
        ("feed", &[3]),
        ("fee", &[]),
        ("99", &[]),
        ("99999999999999999999999", &[]),
        ("0199a3ce929d0e0e47360199a3ce929d0", &[]),
        ("<>", &[]),
    ] {
        assert_eq!(found(&store, text), expected, "{text}");
    }
    let of_ids = |first: u64, last: u64| {
        let ids = (monitor_wire::ProcessId::new(first).unwrap(), monitor_wire::ProcessId::new(last).unwrap());
        store.processes_of_ids(ids, 2).unwrap().processes.len()
    };
    assert_eq!(of_ids(0xa3ce_9200_0000_0000, 0xa3ce_92ff_ffff_ffff), 2, "as many as are wanted");
    assert_eq!(of_ids(0xa3ce_9300_0000_0000, u64::MAX), 0);
}

pub fn the_list_is_sorted_by_start_in_any_order_of_arrival<P: Place>() {
    let place = P::new();
    let store = place.open();
    let now = 1_000 * DAY;
    // Starts out of order, as from a spool: now, six days ago, two hours ago, yesterday. Root 5 has been queued for an hour.
    let script = format!(
        "started 1 root=1 at={now} name=a\nstarted 1 root=2 at={} name=a\nstarted 1 root=3 at={} name=b\nstarted 1 root=4 at={} name=a\n\
         queued 1 root=5 at={} name=a\nended 1 root=4 failed at={now}\nended 1 root=2 failed at={now}",
        now - 6 * DAY,
        now - 2 * HOUR,
        now - DAY,
        now - HOUR
    );
    store.say(&parse(&script), 0).unwrap();
    let list = |query: RootsQuery| numbers(&store.roots(&query).unwrap());
    assert_eq!(list(any()), [1, 5, 3, 4, 2]);
    assert_eq!(list(RootsQuery { sort: RootSort::Oldest, ..any() }), [2, 4, 3, 5, 1]);
    assert_eq!(list(RootsQuery { name: Some("a".into()), ..any() }), [1, 5, 4, 2]);
    assert_eq!(list(RootsQuery { states: vec!["failed".into(), "pending".into()], ..any() }), [5, 4, 2]);
    assert_eq!(list(RootsQuery { text: Some("a".into()), ..any() }), [1, 5, 4, 2]);
    assert_eq!(list(RootsQuery { offset: 2, limit: 2, ..any() }), [3, 4]);
    assert_eq!(list(RootsQuery { offset: 1, limit: 1, states: vec!["failed".into(), "pending".into()], ..any() }), [4]);
    assert_eq!(list(RootsQuery { offset: 9, ..any() }), [0; 0]);
    let waits = store.root(RootKey::Number(5)).unwrap().unwrap();
    assert_eq!((waits.started_us, waits.begun_us), (None, Some(now - HOUR)));
    let names = store.root_names(None, 9, None).unwrap().names;
    assert_eq!(names.iter().map(|name| &*name.name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(names[0].roots.iter().map(|root| root.number).collect::<Vec<_>>(), [1, 5, 4, 2]);
    let first = store.root_names(None, 1, None).unwrap();
    assert_eq!(store.root_names(None, 1, first.next_cursor.as_deref()).unwrap().names[0].name, "b");
}

pub fn pages_neither_repeat_nor_omit_a_root_while_others_arrive_late<P: Place>() {
    let place = P::new();
    let store = place.open();
    let started = |root: u64, at: u64| format!("started 1 root={root} at={at}");
    let lines: Vec<_> = (1..=20).map(|root| started(root, 1_000 - root % 5)).collect();
    store.say(&[joined(&parse(&lines.join("\n")))], 0).unwrap();
    let (mut seen, mut cursor, mut sequence) = (Vec::new(), None, 21);
    loop {
        let page = store.roots(&RootsQuery { limit: 3, cursor, ..any() }).unwrap();
        seen.extend(page.roots.iter().map(|root| root.number).filter(|number| *number <= 20));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        // Late starts: before and after the roots read so far, and at the same time as one of them.
        let late: Vec<_> = [2_000, 998, 1].into_iter().zip(sequence..).map(|(at, root)| started(root, at)).collect();
        let late = joined(&parse(&late.join("\n")));
        store.say(&[Batch { sequence, ..late }], 0).unwrap();
        sequence += 3;
        if sequence > 30 {
            sequence = u64::from(u8::MAX);
        }
        if sequence > 100 {
            break;
        }
    }
    let mut rest = cursor;
    while let Some(cursor) = rest {
        let page = store.roots(&RootsQuery { limit: 3, cursor: Some(cursor), ..any() }).unwrap();
        seen.extend(page.roots.iter().map(|root| root.number).filter(|number| *number <= 20));
        rest = page.next_cursor;
    }
    let mut expected: Vec<u64> = (1..=20).collect();
    expected.sort_by_key(|number| std::cmp::Reverse((1_000 - number % 5, *number)));
    assert_eq!(seen, expected);
    for cursor in ["7", "1.x", "a.1", "1.2.3", "."] {
        store.roots(&RootsQuery { cursor: Some(cursor.to_owned()), ..any() }).unwrap_err();
    }
}

pub fn a_root_shows_the_progress_of_its_own_process<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&parse("started 1\nstarted 2 parent=1\nprogressed 2 done=3\nprogressed 1 done=7"), 0).unwrap();
    let progress = |store: &P::Store| store.root(RootKey::Number(1)).unwrap().unwrap().progress.map(|progress| progress.done);
    assert_eq!(progress(&store), Some(7.0));
    let more = parse("progressed 1 done=9 at=90");
    let changes = store.say(&[Batch { sequence: 5, ..more[0].clone() }], 0).unwrap();
    let told = changes.iter().filter_map(|change| change.message.root.as_ref()?.progress.clone()).map(|progress| progress.done);
    assert_eq!(told.collect::<Vec<_>>(), [9.0], "the stream tells it, too");
    drop(store);
    assert_eq!(progress(&place.open()), Some(9.0));
}

pub fn similar_failures_are_listed_once_and_new_failures_are_marked<P: Place>() {
    let place = P::new();
    let store = place.open();
    let now = 1_000 * DAY;
    let say = |sequence: u64, number: u8, name: &str, end_us: u64, message: &str| {
        store.say(&[failed(sequence, number, (name, end_us - HOUR, end_us), &[message])], end_us).unwrap();
    };
    say(1, 1, "load", now - 9 * DAY, "order 5 not found");
    say(3, 2, "load", now - 3 * DAY, "no route to \"db\"");
    say(5, 3, "load", now - 5 * HOUR, "order 7 not found");
    say(7, 4, "store", now - 4 * HOUR, "order 8 not found");
    say(9, 5, "load", now - 3 * HOUR, "order 9 not found");
    say(11, 6, "load", now - HOUR, "no route to \"cache\"");
    // The failed step of a run that succeeded is not counted, because causes are those of failed roots.
    store.say(&parse("B: started 9 root=7 at=5\nB: ended 9 root=7 ok at=6"), 0).unwrap();
    let step = format!("C: started 8 root=7 parent=9 name=step at={}\nC: ended 8 root=7 failed error=odd at={}", now - HOUR, now - HOUR);
    store.say(&parse(&step), now).unwrap();
    let causes = |from_us, to_us, limit| {
        let page = store.stats_causes(&CausesQuery { from_us, to_us, limit }).unwrap();
        let line = |cause: monitor_wire::CauseStats| {
            let hours = |us: u64| (now - us) / HOUR;
            let (new, root) = (if cause.new { " new" } else { "" }, cause.root_id.unwrap().get() >> 64);
            let span = format!("{}..{} h ago", hours(cause.first_us), hours(cause.last_us));
            format!("{} × {} ({}) {span}, in {root:x}{new}", cause.count, cause.shape, cause.names.join(" "))
        };
        page.causes.into_iter().map(line).collect::<Vec<_>>()
    };
    let of = |number: u8| format!("{:x}", root(number).get() >> 64);
    let day = causes(Some(now - DAY), None, 9);
    assert_eq!(
        day,
        [
            format!("1 × no route to \"…\" (load) 1..1 h ago, in {}", of(6)),
            format!("3 × order … not found (load store) 5..3 h ago, in {} new", of(5))
        ]
    );
    assert_eq!(causes(Some(now - DAY), None, 1).len(), 1);
    assert_eq!(causes(Some(now - 10 * DAY), None, 9).len(), 2);
    assert_eq!(causes(Some(now + DAY), None, 9), [""; 0]);
    // Exit codes alone are no common cause of different programs.
    say(13, 8, "make", now - HOUR / 2, "exit code 2");
    say(15, 9, "sh", now - HOUR / 3, "exit code 3");
    say(17, 10, "sh", now - HOUR / 4, "exit code 4");
    let day = causes(Some(now - DAY), None, 9);
    let expected = [
        format!("2 × exit code … (sh) 0..0 h ago, in {} new", of(10)),
        format!("1 × exit code … (make) 0..0 h ago, in {} new", of(8)),
        format!("1 × no route to \"…\" (load) 1..1 h ago, in {}", of(6)),
    ];
    assert_eq!(day[..3], expected);
}

pub fn a_name_fails_until_a_newer_run_of_it_succeeds<P: Place>() {
    let place = P::new();
    let store = place.open();
    let check = |script: &str, expected: u64| {
        store.say(&[joined(&parse(script))], 0).unwrap();
        assert_eq!(store.status().unwrap().failing_names, expected, "{script}");
    };
    check(
        "started 1 root=1 at=10 name=load\nended 1 root=1 failed error=no at=11\nstarted 1 root=2 at=10 name=mail\nended 1 root=2 ok at=11",
        1,
    );
    check("B: started 1 root=3 at=20 name=load\nB: started 1 root=4 at=20 name=mail\nB: ended 1 root=4 failed error=no at=21", 2);
    check("C: ended 1 root=3 ok at=22", 1);
    // An older run that is reported late changes nothing.
    check("D: started 1 root=5 at=5 name=load\nD: ended 1 root=5 failed error=no at=6", 1);
    place.check(&store);
}

/// An id is found in all trees that contain it, newest first, but not in dropped trees. This holds for trees with few and with many
/// processes, which a store may search differently.
pub fn an_id_is_found_in_all_trees_that_have_it<P: Place>() {
    let place = P::new();
    let store = place.open();
    let trees: Vec<_> =
        (1..=9).map(|root| format!("started 1 root={root}\nended 1 root={root} ok\nstarted {} root={root}", 10 + root)).collect();
    store.say(&parse(&trees.join("\n")), 1).unwrap();
    let trees_of = |id: u64, limit: usize| {
        let page = store.processes_of_ids((process(id), process(id)), limit).unwrap();
        page.processes.iter().map(|process| process.root_id).collect::<Vec<_>>()
    };
    let check = || {
        assert_eq!((trees_of(1, 100), trees_of(1, 2)), ([9, 8, 7, 6, 5, 4, 2, 1].map(root).to_vec(), [9, 8].map(root).to_vec()));
        assert_eq!((trees_of(15, 9), trees_of(13, 9), trees_of(30, 9)), (vec![root(5)], vec![], vec![]));
    };
    store.drop_root(RootKey::Number(3), true, 2).unwrap().unwrap();
    check();
    let many: Vec<_> = (100..300).map(|id| format!("A: started {id} root=9")).collect();
    let mut many = joined(&parse(&many.join("\n")));
    many.sequence = 1_000;
    store.say(&[many], 3).unwrap();
    check();
}

pub fn a_fold_is_found_by_the_error_texts_of_all_its_shards<P: Place>() {
    let place = P::new();
    let store = place.open();
    let folded = |shard: u64, revision: u64, errors: serde_json::Value| {
        serde_json::from_value(json!({
            "type": "process-folded", "root_id": root(1).to_string(), "id": process(9).to_string(), "parent_id": process(1).to_string(),
            "time_us": 20, "kind": "normal", "name": "parse", "shard": shard, "revision": revision, "count": 9, "running": 0, "failed": 5,
            "cancelled": 0, "total_ns": 90, "links": [], "errors": errors,
        }))
        .unwrap()
    };
    let text = |text: &str, count: u64, first_us: u64, last_us: u64| json!({ "text": text, "count": count, "first_us": first_us, "last_us": last_us });
    let mut start = joined(&parse("started 1 root=1 at=10"));
    start.events.extend([
        folded(1, 2, json!([text("unknown unit '…'", 2, 30, 40), text("expected a number", 1, 25, 25)])),
        folded(1, 1, json!([text("unknown unit '…'", 1, 30, 30)])),
        folded(2, 1, json!([text("unknown unit '…'", 3, 20, 35)])),
    ]);
    store.say(&[start], 0).unwrap();
    let page = |text: &str| {
        store
            .processes(&ProcessesQuery {
                root: Some(RootKey::Number(1)),
                text: Some(text.to_owned()),
                limit: 9,
                ..ProcessesQuery::default()
            })
            .unwrap()
    };
    assert!(page("divided").processes.is_empty());
    for searched in ["UNKNOWN unit", "a number"] {
        let [found] = &page(searched).processes[..] else { panic!("{searched} is not found once") };
        assert_eq!(found.error.as_ref().unwrap().message, "unknown unit '…'\nexpected a number");
        let errors = &found.fold.as_ref().unwrap().errors;
        let errors: Vec<_> = errors.iter().map(|error| (&*error.text, error.count, error.first_us, error.last_us)).collect();
        assert_eq!(errors, [("unknown unit '…'", 5, 20, 40), ("expected a number", 1, 25, 25)]);
    }
}
