//! The store against the pure fold: whatever comes, both show the same.

use std::collections::BTreeMap;

use monitor_state::Facts;
use monitor_wire::{Batch, Event, State};
use proptest::prelude::*;

use super::super::roots::find_row;
use super::super::row::ProcessRow;
use super::super::shape::shape;
use super::super::write::rollups::{ALL_NAMES, LEVELS, MINUTE_US, Sums};
use super::super::{SqliteStore, ids};
use super::support::generate::{delivery, history};
use super::support::script::show;
use super::{columns, open};
use crate::store::{Change, RootKey, RootSort, RootsQuery, Store};

/// Events that the store made itself.
fn apply_server_events(facts: &mut Facts, changes: &[Change]) {
    for change in changes {
        if let event @ (Event::WorkerLost(about) | Event::WorkerFound(about)) = &change.message.event {
            facts.apply(0, about.worker_id, event);
        }
    }
}

fn assert_same(store: &SqliteStore, facts: &Facts) {
    let roots = store.roots(&RootsQuery { limit: 100, sort: RootSort::Oldest, ..RootsQuery::default() }).unwrap().roots;
    assert_eq!(roots.len(), facts.roots().count());
    let mut open = BTreeMap::<_, u64>::new();
    for root in roots {
        let (expected, processes) = facts.tree(root.root_id, root.number).unwrap();
        assert_eq!(root, expected);
        let page = store.tree(RootKey::Number(root.number), 1_000, None).unwrap().unwrap();
        assert_eq!(page.root, expected);
        for process in &page.processes {
            let read = store.read("read facts", |snapshot| {
                let (connection, dictionary) = snapshot.parts();
                let place = find_row(connection, RootKey::Number(root.number))?.expect("it was just listed").place();
                let row = ProcessRow::find(connection, place, process.id)?.expect("it was just listed");
                Ok(row.facts(connection, dictionary)?)
            });
            assert_eq!(Some(&read.unwrap()), facts.process(root.root_id, process.id));
        }
        assert_eq!(show(&page.processes), show(&processes));
        assert_eq!(page.processes, processes);
        assert_eq!(columns::tree(store, RootKey::Number(root.number)), page);
    }
    let workers = store.workers(100, None).unwrap().workers;
    assert_eq!(workers.len(), facts.workers().count());
    for worker in workers {
        let (_, expected) = facts.workers().find(|(id, _)| *id == worker.id).unwrap();
        assert_eq!((&worker.hostname, worker.pid, worker.state.clone()), (&expected.hostname, expected.pid, expected.state()));
        *open.entry(worker.state.to_string()).or_default() += 1;
    }
    let status = store.status().unwrap();
    assert_eq!(status.unknown_events, *facts.unknown());
    let counts = [status.workers.online, status.workers.offline, status.workers.lost];
    assert_eq!(counts, ["online", "offline", "lost"].map(|state| open.get(state).copied().unwrap_or(0)));
}

/// The roll-ups hold the finished processes, whatever was corrected on the way.
pub(super) fn assert_summed(store: &SqliteStore, facts: &Facts) {
    // Without a name: all names together.
    let mut expected = BTreeMap::<(usize, u64, Option<String>, String), Sums>::new();
    for root in facts.roots() {
        for process in facts.tree(root, 1).unwrap().1 {
            let known = facts.process(root, process.id).unwrap();
            let (at_us, state, elapsed_ns) = match known.finished() {
                Some((_, ended)) => (ended.stamp.time_us, ended.what.outcome.to_string(), process.elapsed_ns.unwrap()),
                None if process.state == State::LOST && known.is_defined() => (known.at_us(), "lost".to_owned(), 0),
                None => continue,
            };
            for (level, length) in LEVELS.into_iter().enumerate() {
                for name in [Some(process.name.clone()), None] {
                    expected.entry((level, at_us / MINUTE_US / length, name, state.clone())).or_default().add(elapsed_ns);
                }
            }
        }
    }
    let read = store.read("read roll-ups", |snapshot| {
        let (connection, dictionary) = snapshot.parts();
        let mut statement = connection.prepare("SELECT level, t, name, state, sums FROM rollup")?;
        let mut rows = statement.query([])?;
        let mut found = BTreeMap::<_, Sums>::new();
        let rolled: i64 = connection.query_row("SELECT rolled FROM counter", [], |row| row.get(0))?;
        while let Some(row) = rows.next()? {
            let name = match row.get(2)? {
                ALL_NAMES => None,
                name => Some(dictionary.text(connection, name)?.to_string()),
            };
            let state = ids::state(connection, dictionary, row.get(3)?)?.to_string();
            let (level, t, sums) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, Sums::read(row.get_ref(4)?.as_blob().unwrap())?);
            found.entry((level as usize, t as u64, name.clone(), state.clone())).or_default().merge(&sums);
            if level == 0 && t >= rolled {
                for (level, minutes) in LEVELS.into_iter().enumerate().skip(1) {
                    found.entry((level, t as u64 / minutes, name.clone(), state.clone())).or_default().merge(&sums);
                }
            }
        }
        Ok(found)
    });
    let found = read.unwrap();
    assert!(found.keys().eq(expected.keys()), "{found:?} {expected:?}");
    for (found, expected) in found.values().zip(expected.values()) {
        assert_eq!((found.count, found.total, &found.histogram), (expected.count, expected.total, &expected.histogram));
        assert!(found.least <= expected.least && found.most >= expected.most, "{found:?} {expected:?}");
    }
}

/// Failures are counted by the shape of their message, and roots by name and state, whatever was corrected on the way.
pub(super) fn assert_counted(store: &SqliteStore, facts: &Facts) {
    let (mut failures, mut roots) = (BTreeMap::<_, i64>::new(), BTreeMap::<_, i64>::new());
    for root in facts.roots() {
        let (face, processes) = facts.tree(root, 1).unwrap();
        *roots.entry((face.name, face.state.to_string())).or_default() += 1;
        for process in processes.into_iter().filter(|process| process.state == State::FAILED) {
            let Some((_, ended)) = facts.process(root, process.id).unwrap().finished() else { continue };
            let Some(error) = process.error else { continue };
            for (level, length) in LEVELS.into_iter().enumerate().skip(1) {
                // A span of time is made up of whole hours.
                let t = ended.stamp.time_us / MINUTE_US / LEVELS[1] * LEVELS[1] / length;
                *failures.entry((level as i64, t as i64, shape(&error.message).into_owned(), process.name.clone())).or_default() += 1;
            }
        }
    }
    let found = store.read("count", |snapshot| {
        let (connection, dictionary) = snapshot.parts();
        let mut text = |key| dictionary.text(connection, key).map(|text| text.to_string());
        let mut found_failures = BTreeMap::new();
        let mut statement = connection.prepare("SELECT level, t, shape, name, count FROM failure")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found_failures.insert((row.get(0)?, row.get(1)?, text(row.get(2)?)?, text(row.get(3)?)?), row.get(4)?);
        }
        let mut found_roots = BTreeMap::new();
        let mut statement = connection.prepare("SELECT name, state, count FROM root_count")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let state = ids::state(connection, dictionary, row.get(1)?)?.to_string();
            found_roots.insert((dictionary.text(connection, row.get(0)?)?.to_string(), state), row.get(2)?);
        }
        Ok((found_failures, found_roots))
    });
    assert_eq!(found.unwrap(), (failures, roots));
}

/// What the last change said of each process is what is read.
fn assert_told(store: &SqliteStore, changes: &[Change]) {
    for change in changes {
        let (Some(root), Some(process)) = (&change.message.root, &change.message.process) else { continue };
        let read = store.process(RootKey::Id(root.root_id), process.id).unwrap().unwrap();
        assert_eq!(read, *process);
        assert_eq!(
            store
                .roots(&RootsQuery { name: Some(root.name.clone()), limit: 9, ..RootsQuery::default() })
                .unwrap()
                .roots
                .iter()
                .find(|read| read.number == root.number),
            Some(root)
        );
    }
}

/// Each case writes a database: fewer than usual, and more where `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases / 4, ..usual }
}

#[test]
fn minutes_that_are_over_are_summed_with_their_hour_and_day_and_corrected_there_too() {
    const MINUTE: u64 = 60_000_000;
    let (folder, mut store) = open();
    let mut facts = Facts::default();
    let mut sequence = 1;
    let mut say = |store: &SqliteStore, facts: &mut Facts, lines: &str| {
        let mut said = super::joined(&super::support::script::parse(lines));
        said.sequence = sequence;
        sequence += said.events.len() as u64;
        store.append(std::slice::from_ref(&said), 0).unwrap();
        facts.apply_batch(&said);
        assert_summed(store, facts);
    };
    for (id, minute) in [(1, 100), (2, 101), (3, 105), (4, 101), (5, 3_000), (6, 104), (7, 3_001)] {
        let at = minute * MINUTE;
        say(&store, &mut facts, &format!("started {id} at={at} name=n{}\nended {id} ok at={}", id % 2, at + id));
        drop(store);
        store = SqliteStore::open(folder.path()).unwrap();
    }
    // An end that was earlier, in another hour: the one before no longer counts.
    say(&store, &mut facts, &format!("ended 7 failed at={}", 2_000 * MINUTE));
    // An end before its start.
    say(&store, &mut facts, &format!("ended 8 ok at={}", 107 * MINUTE));
    say(&store, &mut facts, &format!("started 8 at={}", 106 * MINUTE));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_store_shows_what_the_fold_shows(
        batches in history().prop_flat_map(|history| delivery(&history)),
        together in 1..4_usize,
        // Before which steps the server is restarted, and before which it looks for lost workers.
        (restarts, looks) in (any::<u8>(), any::<u8>()),
    ) {
        let (folder, mut store) = open();
        let mut facts = Facts::default();
        for (step, some) in batches.chunks(together).enumerate() {
            let some: &[Batch] = some;
            let now_us = step as u64 * 1_000;
            let is_due = |steps: u8| steps & (1 << (step % 8)) != 0;
            if is_due(restarts) {
                drop(store);
                store = SqliteStore::open(folder.path()).unwrap();
            }
            if is_due(looks) {
                let lost = store.lose_workers(now_us, 0).unwrap();
                apply_server_events(&mut facts, &lost);
                assert_told(&store, &lost);
            }
            let changes = store.append(some, now_us).unwrap();
            for batch in some {
                facts.apply_batch(batch);
            }
            apply_server_events(&mut facts, &changes);
            assert_told(&store, &changes);
            assert_same(&store, &facts);
        }
        assert_summed(&store, &facts);
        assert_counted(&store, &facts);
    }
}
