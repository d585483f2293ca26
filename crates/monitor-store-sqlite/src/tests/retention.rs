//! Tests that the rules keep exactly the right trees, and that dropped trees leave nothing but sums.

use std::collections::BTreeSet;
use std::time::Duration;

use monitor_store::retention::{Retention, read_rules};
use monitor_store::{Intake, Queries, RootKey, RootSort, RootsQuery, StatsQuery};
use monitor_wire::State;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use super::super::house::{DropTrees, DueCursor, Shrunk};
use super::super::{SqliteStore, invariants};
use super::open;
use super::support::script::parse;
use super::support::{root, worker};

const SECOND: u64 = 1_000_000;
/// Time at which the rules are applied, in microseconds.
const NOW: u64 = 10_000 * SECOND;

impl SqliteStore {
    /// Returns all inconsistencies of the database.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.read("check", |snapshot| Ok(invariants::problems(snapshot)?)).unwrap()
    }
}

/// Applies the rules as the server does.
fn keep(store: &SqliteStore, retention: &Retention, limit: usize) {
    let mut place = DueCursor::default();
    loop {
        let due = store.due(retention, NOW, place, limit).unwrap();
        for numbers in [&due.old, &due.surplus] {
            let (dropped, _) = store.drop_roots(&DropTrees { numbers, reason: "age", may_run: false }, NOW).unwrap();
            assert_eq!(dropped.trees, numbers.len(), "what is due may go");
        }
        let Some(next) = due.next else { break };
        place = next;
    }
    while store.sweep(7).unwrap().is_more {}
}

fn numbers(store: &SqliteStore) -> Vec<u64> {
    let query = RootsQuery { limit: 1_000, sort: RootSort::Oldest, ..RootsQuery::default() };
    store.roots(&query).unwrap().roots.iter().map(|root| root.number).collect()
}

/// The `state` of a [`Tree`] that has log lines only.
const LOGS_ALONE: &str = "logs";

/// Description of a tree for a test.
#[derive(Debug, Clone)]
struct Tree {
    name: &'static str,
    batch: &'static str,
    state: &'static str,
    /// Seconds since the end of its root.
    age: u64,
    /// Lag of its worker's clock, in seconds.
    clock_is_behind: u64,
    is_pinned: bool,
    child_runs: bool,
}

fn store_of(trees: &[Tree]) -> (tempfile::TempDir, SqliteStore) {
    let (folder, store) = open();
    let mut lines = vec![(1, "online A".to_owned()), (1, "B: online worker=B".to_owned())];
    for (tree, id) in trees.iter().zip(1..) {
        let by = if tree.state == "lost" { "B: " } else { "" };
        let (came, at) = (NOW - tree.age * SECOND, NOW - tree.age * SECOND - tree.clock_is_behind * SECOND);
        let mut say = |line: String| lines.push((came, line));
        if tree.state == LOGS_ALONE {
            say(format!("logged {} root={id} at={}", id * 10, at - 5));
            say(format!("logged {} root={id} at={at}", id * 10));
            continue;
        }
        say(format!("{by}started {} root={id} name={} batch={} at={}", id * 10, tree.name, tree.batch, at - 2));
        say(format!("started {} root={id} parent={} at={}", id * 10 + 1, id * 10, at - 1));
        if !tree.child_runs {
            say(format!("ended {} root={id} failed error=child_{id} at={at}", id * 10 + 1));
        }
        if !matches!(tree.state, "lost" | "running") {
            say(format!("ended {} root={id} {} at={at}", id * 10, tree.state));
        }
    }
    let text: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
    let sent: Vec<_> = lines.iter().map(|(came, _)| *came).zip(parse(&text.join("\n"))).collect();
    for of in sent.chunk_by(|(a, _), (b, _)| a == b) {
        let batches: Vec<_> = of.iter().map(|(_, batch)| batch.clone()).collect();
        store.append(&batches, of[0].0).unwrap();
    }
    // A sends a heartbeat and stays online. B does not and is lost.
    let mut heartbeat = parse("heartbeat A");
    heartbeat[0].sequence = 100_000;
    store.append(&heartbeat, NOW).unwrap();
    store.lose_workers(NOW, 0).unwrap();
    for (tree, id) in trees.iter().zip(1..) {
        if tree.is_pinned {
            store.pin(RootKey::Id(root(id as u8)), true, NOW).unwrap().unwrap();
        }
    }
    (folder, store)
}

/// Returns the numbers of the trees that must be kept. This is written from the documentation, independently of the store.
fn kept(trees: &[Tree], retention: &Retention, number_of: impl Fn(usize) -> u64) -> BTreeSet<u64> {
    let runs = |tree: &Tree| tree.state != LOGS_ALONE && (tree.child_runs || tree.state == "running");
    let may_go = |tree: &Tree| !tree.is_pinned && !runs(tree);
    let state_of = |tree: &Tree| match tree.state {
        "ok" => State::SUCCEEDED,
        LOGS_ALONE => State::PENDING,
        state => State::from(state),
    };
    // A tree without a process has no name.
    let name_of = |tree: &Tree| if tree.state == LOGS_ALONE { "" } else { tree.name };
    let batch_of = |tree: &Tree| (tree.state != LOGS_ALONE).then_some(tree.batch);
    let rule_of = |tree: &Tree| retention.rule_of(name_of(tree), batch_of(tree), &state_of(tree));
    let mut kept: BTreeSet<usize> = (0..trees.len()).collect();
    kept.retain(|index| {
        let tree = &trees[*index];
        let age = rule_of(tree).and_then(|rule| retention.rules[rule].age);
        !may_go(tree) || age.is_none_or(|age| Duration::from_secs(tree.age) < age)
    });
    let of_age = kept.clone();
    kept.retain(|index| {
        let tree = &trees[*index];
        let rule = rule_of(tree);
        let Some(count) = rule.and_then(|rule| retention.rules[rule].count) else { return true };
        let newer = of_age.iter().filter(|other| {
            let other_tree = &trees[**other];
            may_go(other_tree)
                && name_of(other_tree) == name_of(tree)
                && rule_of(other_tree) == rule
                && number_of(**other) > number_of(*index)
        });
        !may_go(tree) || (newer.count() as u64) < count
    });
    kept.into_iter().map(number_of).collect()
}

fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let name = select(vec!["nightly", "nightly_2", "import", "x"]);
    let state = select(vec!["ok", "ok", "failed", "cancelled", "lost", "running", "skipped", LOGS_ALONE]);
    let name = (name, select(vec!["night", "day"]));
    let tree = (name, state, 1..50_u64, select(vec![0, 0, 0, 4_000]), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let tree = tree.prop_map(|((name, batch), state, age, clock_is_behind, is_pinned, child_runs)| Tree {
        name,
        batch,
        state,
        age: age * 100,
        clock_is_behind,
        is_pinned,
        child_runs,
    });
    prop::collection::vec(tree, 1..40)
}

fn retention() -> impl Strategy<Value = Retention> {
    let seconds = || prop::option::of((1..50_u64).prop_map(|age| Duration::from_secs(age * 100)));
    let rules = select(vec![
        "[]",
        r#"[{ name = "nightly*", state = ["failed", "lost"], age = "4000s", count = 2 }, { name = "nightly", age = "1000s" }]"#,
        r#"[{ name = "x" }, { state = ["skipped"], count = 0 }]"#,
        r#"[{ name = "{import,nightly}", count = 3 }]"#,
        r#"[{ batch = "n*", state = ["failed"], age = "3000s" }, { batch = "night", age = "500s" }, { count = 1 }]"#,
    ]);
    (rules, seconds(), seconds(), prop::option::of(0..4_u64))
        .prop_map(|(rules, age, failed_age, count)| Retention::new(read_rules(rules).unwrap(), age, failed_age, count, None))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 32, ..ProptestConfig::default() })]

    #[test]
    fn retention_keeps_exactly_the_trees_of_its_rules(trees in trees(), retention in retention(), limit in 1..5_usize) {
        let (_folder, store) = store_of(&trees);
        prop_assert_eq!(store.problems(), Vec::<String>::new());
        let number = |index: usize| store.root(RootKey::Id(root(index as u8 + 1))).unwrap().unwrap().number;
        let number_of: Vec<u64> = (0..trees.len()).map(number).collect();
        let expected = kept(&trees, &retention, |index| number_of[index]);
        let sums = store.stats(&StatsQuery { limit: 1_000, ..StatsQuery::default() }).unwrap().stats;
        keep(&store, &retention, limit);
        prop_assert_eq!(numbers(&store).into_iter().collect::<BTreeSet<_>>(), expected.clone());
        prop_assert_eq!(store.problems(), Vec::<String>::new());
        prop_assert_eq!(store.stats(&StatsQuery { limit: 1_000, ..StatsQuery::default() }).unwrap().stats, sums, "sums outlive the trees");
        for number in number_of {
            prop_assert_eq!(store.is_dropped(number).unwrap(), !expected.contains(&number));
        }
    }
}

#[test]
fn only_the_sums_of_a_dropped_tree_are_left() {
    let (folder, store) = open();
    let lines = "online A\nstarted 1 kind=root\nlogged 1 message=a\nstarted 2 parent=1 kind=odd\nlogged 2 message=b\nended 2 failed error=e\n\
                 started 3 parent=1 x=1\nstarted 4 parent=1 at=2\nended 4 skipped at=9\nended 1 ok";
    for batch in parse(lines) {
        store.append(&[batch], 1).unwrap();
    }
    store.lose_workers(u64::MAX / 4, 0).unwrap();
    assert_eq!(store.worker(worker('A')).unwrap().unwrap().running, 0, "it is lost");
    let drop = DropTrees { numbers: &[1, 2, 99], reason: "asked", may_run: false };
    let (dropped, changes) = store.drop_roots(&drop, 7).unwrap();
    assert_eq!((dropped.trees, changes.len()), (1, 1));
    let told = serde_json::to_value(&*changes[0].message).unwrap();
    assert_eq!(told["event"], serde_json::json!({"type": "roots-dropped", "numbers": [1], "reason": "asked", "time_us": 7}));
    assert_eq!(store.problems(), Vec::<String>::new(), "also half-way");
    // The worker is found while rows of its processes still exist.
    let mut late = parse("heartbeat A");
    late[0].sequence = 1_000;
    store.append(&late, 1).unwrap();
    let mut steps = 1;
    while store.sweep(1).unwrap().is_more {
        steps += 1;
        assert_eq!(store.problems(), Vec::<String>::new(), "after {steps} steps");
    }
    assert!(steps > 5, "one row at a time: {steps}");
    let connection = Connection::open(folder.path().join("monitor.db")).unwrap();
    for table in ["root", "process", "failed", "rare", "open", "log", "log_kept", "overdue", "leaving", "root_count", "wide"] {
        let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    let status = store.status().unwrap();
    assert_eq!((status.roots.total(), status.processes.total()), (0, 0));
    assert!(store.stats(&StatsQuery { limit: 9, ..StatsQuery::default() }).unwrap().stats.iter().any(|stats| stats.failed == 1));
    assert!(store.is_dropped(1).unwrap() && !store.is_dropped(2).unwrap() && !store.is_dropped(0).unwrap());
    // A late event about a dropped tree creates a new tree.
    let mut late = parse("updated 1 name=again");
    late[0].sequence = 2_000;
    store.append(&late, 1).unwrap();
    assert_eq!(numbers(&store), [2]);
    assert_eq!(store.problems(), Vec::<String>::new());
}

#[test]
fn the_oldest_trees_are_removed_until_the_file_shrinks_to_its_limit() {
    let (folder, store) = open();
    let empty = store.status().unwrap().database_bytes;
    let mut sequence = 1;
    for tree in 0..200_u64 {
        let lines: Vec<_> = (1..=250)
            .map(|n| {
                format!(
                    "started {} root=1 at={tree} name=n{}\nended {} root=1 ok at={}",
                    tree * 1_000 + n,
                    n % 7,
                    tree * 1_000 + n,
                    tree + n
                )
            })
            .collect();
        let mut batch = super::joined(&parse(&lines.join("\n")));
        batch.sequence = sequence;
        sequence += batch.events.len() as u64;
        let of = monitor_wire::RootId::new(u128::from(tree + 1) << 64).unwrap();
        for event in &mut batch.events {
            match event {
                monitor_wire::Event::ProcessStarted(event) => event.root_id = of,
                monitor_wire::Event::ProcessEnded(event) => event.root_id = of,
                _ => unreachable!(),
            }
        }
        store.append(&[batch], 1).unwrap();
    }
    store.pin(RootKey::Number(3), true, 1).unwrap().unwrap();
    let file = || std::fs::metadata(folder.path().join("monitor.db")).unwrap().len();
    while store.shrink().unwrap() == Shrunk::More {}
    let bytes = store.status().unwrap().database_bytes;
    let limit = empty + (bytes - empty) / 2;
    loop {
        let due = store.oldest_beyond(limit, 50).unwrap().numbers;
        if due.is_empty() {
            break;
        }
        assert!(store.drop_roots(&DropTrees { numbers: &due, reason: "size", may_run: false }, 1).unwrap().0.trees > 0);
        while store.sweep(1_000).unwrap().is_more {}
    }
    let left = numbers(&store);
    assert!(left.len() > 30 && left.len() < 160 && left.contains(&3) && left.contains(&200) && !left.contains(&1), "{left:?}");
    while store.shrink().unwrap() == Shrunk::More {}
    assert!(file() <= limit + limit / 10, "{} of {bytes}, at most {limit}", file());
    assert_eq!(store.problems(), Vec::<String>::new());
}

#[test]
fn sums_of_minutes_are_removed_first_and_queries_then_use_hours() {
    const DAY: u64 = 86_400 * SECOND;
    let (_folder, store) = open();
    let lines: Vec<_> =
        (1..=500_u64).map(|day| format!("started {day} name=a at={}\nended {day} ok at={}", day * DAY, day * DAY + 90 * SECOND)).collect();
    store.append(&[super::joined(&parse(&lines.join("\n")))], 501 * DAY).unwrap();
    let count = |from: u64, to: u64| {
        let query = StatsQuery { from_us: Some(from), to_us: Some(to), limit: 9, ..StatsQuery::default() };
        let page = store.stats(&query).unwrap();
        (page.stats.iter().map(|stats| stats.count).sum::<u64>(), page.to_us - page.from_us)
    };
    let minutes = 90 * SECOND..120 * SECOND;
    let all = |store: &SqliteStore| store.stats(&StatsQuery { limit: 9, ..StatsQuery::default() }).unwrap().stats;
    let before = all(&store);
    assert_eq!(count(300 * DAY + minutes.start, 300 * DAY + minutes.end), (1, 60 * SECOND));
    while store.trim_sums(500 * DAY).unwrap() {}
    assert_eq!(count(499 * DAY + minutes.start, 499 * DAY + minutes.end), (1, 60 * SECOND), "a week ago there are still minutes");
    assert_eq!(count(300 * DAY + minutes.start, 300 * DAY + minutes.end), (1, 3_600 * SECOND), "then hours");
    assert_eq!(count(10 * DAY + minutes.start, 10 * DAY + minutes.end), (1, DAY), "then days");
    assert_eq!(all(&store), before);
    assert_eq!(store.problems(), Vec::<String>::new());
}

#[test]
fn the_age_of_a_tree_is_measured_by_the_clock_of_the_server() {
    const DAY: u64 = 86_400 * SECOND;
    let (now, far) = (20_000 * DAY, 80_000 * DAY);
    let (_folder, store) = open();
    let retention = Retention::new(Vec::new(), Some(Duration::from_secs(30 * 86_400)), None, None, None);
    for (batch, came) in
        parse(&format!("ended 1 root=1 ok at=5\nended 2 root=2 ok at={now}\nended 3 root=3 ok at={far}")).into_iter().zip(0..)
    {
        store.append(&[batch], now + came).unwrap();
    }
    let old = |at: u64| {
        let (mut old, mut place) = (Vec::new(), Some(DueCursor::default()));
        while let Some(from) = place.filter(|place| !place.is_past_old) {
            let due = store.due(&retention, at, from, 1).unwrap();
            old.extend(due.old);
            place = due.next;
        }
        old
    };
    assert_eq!(old(now + 29 * DAY), Vec::<u64>::new(), "whatever their clocks said, they came a month ago at most");
    assert_eq!(old(now + 31 * DAY), [1, 2, 3]);
}
