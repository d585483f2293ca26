//! Compares the store with the pure fold of `monitor_state`: both must show the same for any events.

use std::collections::BTreeMap;

use monitor_state::{Facts, ProcessEvent};
use monitor_store::shape::shape;
use monitor_store::suite::model::{self, assert_told};
use monitor_store::{Change, ErrorsQuery, Intake, Queries, RootKey, RootsQuery};
use monitor_wire::{Batch, Event, State, WorkerHeartbeat};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::house::DropTrees;
use super::super::roots::find_row;
use super::super::row::ProcessRow;
use super::super::write::rollups::{ALL_NAMES, LEVELS, MINUTE_US, Sums};
use super::super::{SqliteStore, ids};
use super::open;
use super::support::generate::{delivery, unplaced_history};
use super::support::worker;

/// Asserts that the store shows the same as the facts, and that each row contains the facts of its process.
pub(super) fn assert_same(store: &SqliteStore, facts: &Facts) {
    model::assert_same(store, facts);
    for root in facts.roots() {
        let (_, processes) = facts.tree(root, 1).unwrap();
        for process in processes {
            let read = store.read("read facts", |snapshot| {
                let (connection, dictionary) = snapshot.parts();
                let place = find_row(connection, RootKey::Id(root))?.expect("it was just listed").place();
                let row = ProcessRow::find(connection, place, process.id)?.expect("it was just listed");
                Ok(row.facts(connection, dictionary)?)
            });
            assert_eq!(Some(&read.unwrap()), facts.process(root, process.id));
        }
    }
}

/// Asserts that the roll-ups are the sums of the finished processes, also after corrections.
pub(super) fn assert_summed(store: &SqliteStore, facts: &Facts) {
    // Entries without a name are the sums of all names.
    let mut expected = BTreeMap::<(usize, u64, Option<String>, String), Sums>::new();
    // The facts don't keep the minutes and names under which folds were counted, so only the totals of folds are compared.
    let mut folds = Sums::default();
    for root in facts.roots() {
        for process in facts.tree(root, 1).unwrap().1 {
            let known = facts.process(root, process.id).unwrap();
            if let Some((fold, _)) = known.counted() {
                let histogram = fold.histogram.iter().map(|(bucket, count)| (*bucket as u16, *count)).filter(|(_, count)| *count > 0);
                folds.merge(&Sums {
                    count: fold.count - fold.running,
                    total: fold.total_ns.into(),
                    histogram: histogram.collect(),
                    ..Sums::default()
                });
            }
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
    let mut more = BTreeMap::<_, (u64, u128, BTreeMap<u16, i64>)>::new();
    for (key, found) in &found {
        let expected = expected.remove(key).unwrap_or_default();
        assert!(expected.count == 0 || (found.least <= expected.least && found.most >= expected.most), "{found:?} {expected:?}");
        let more = more.entry((key.0, key.2.is_some())).or_default();
        (more.0, more.1) = (more.0 + found.count - expected.count, more.1 + found.total - expected.total);
        for (buckets, sign) in [(&found.histogram, 1), (&expected.histogram, -1)] {
            for (bucket, count) in buckets {
                *more.2.entry(*bucket).or_default() += sign * *count as i64;
            }
        }
    }
    assert_eq!(expected, BTreeMap::new());
    for (of, (count, total, mut histogram)) in more {
        histogram.retain(|_, count| *count != 0);
        let wanted: BTreeMap<u16, i64> = folds.histogram.iter().map(|(bucket, count)| (*bucket, *count as i64)).collect();
        assert_eq!((count, total, histogram), (folds.count, folds.total, wanted), "{of:?}");
    }
}

/// Asserts the counts of failures by shape and name, and of roots by name and state, also after corrections.
pub(super) fn assert_counted(store: &SqliteStore, facts: &Facts) {
    let (mut failures, mut roots) = (BTreeMap::<_, i64>::new(), BTreeMap::<_, i64>::new());
    for root in facts.roots() {
        let (face, processes) = facts.tree(root, 1).unwrap();
        *roots.entry((face.name, face.state.to_string())).or_default() += 1;
        for process in processes.into_iter().filter(|process| process.state == State::FAILED) {
            let Some((_, ended)) = facts.process(root, process.id).unwrap().finished() else { continue };
            let Some(error) = process.error else { continue };
            for (level, length) in LEVELS.into_iter().enumerate().skip(1) {
                // Longer levels are sums of whole hours.
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

/// Asserts that the example of each error is a process that failed with its message at its time.
fn assert_examples(store: &SqliteStore, facts: &Facts) {
    let page = store.stats_errors(&ErrorsQuery { limit: 1_000, ..ErrorsQuery::default() }).unwrap();
    for error in page.errors {
        let Some(root) = error.root_id else { continue };
        let Some(known) = facts.process(root, error.id) else { panic!("it is not there: {error:?}") };
        let (_, ended) = known.finished().expect("it ended");
        let message = ended.what.error.as_ref().map(|error| error.message.as_str());
        let found = (ended.what.outcome.as_str(), message, ended.stamp.time_us);
        assert_eq!(found, ("failed", Some(error.message.as_str()), error.last_us), "{error:?}");
    }
}

/// Returns a sixteenth of the default number of cases, because each writes a database. `PROPTEST_CASES` replaces the number.
pub(super) fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases / 16, ..usual }
}

#[test]
fn past_minutes_are_summed_and_corrected_with_their_hour_and_day() {
    const MINUTE: u64 = 60_000_000;
    let (folder, mut store) = open();
    let mut facts = Facts::default();
    let mut sequence = 1;
    let mut say = |store: &SqliteStore, facts: &mut Facts, lines: &str| {
        let mut said = super::joined(&super::support::script::parse(lines));
        said.sequence = sequence;
        sequence += said.events.len() as u64;
        store.append(std::slice::from_ref(&said), 3_001 * MINUTE).unwrap();
        facts.apply_batch(&said);
        assert_summed(store, facts);
    };
    for (id, minute) in [(1, 100), (2, 101), (3, 105), (4, 101), (5, 3_000), (6, 104), (7, 3_001)] {
        let at = minute * MINUTE;
        say(&store, &mut facts, &format!("started {id} at={at} name=n{}\nended {id} ok at={}", id % 2, at + id));
        drop(store);
        store = SqliteStore::open(folder.path()).unwrap();
    }
    // An earlier end, in another hour, replaces the previous end.
    say(&store, &mut facts, &format!("ended 7 failed at={}", 2_000 * MINUTE));
    // An end that arrives before its start.
    say(&store, &mut facts, &format!("ended 8 ok at={}", 107 * MINUTE));
    say(&store, &mut facts, &format!("started 8 at={}", 106 * MINUTE));
}

/// Events of a process `ID` that give short rows, long rows, running processes, and processes without a start.
const SHAPES: [&str; 7] = [
    "started ID parent=1\nended ID ok",
    "started ID parent=1 batch=b kind=root\nended ID failed error=boom",
    "started ID parent=1",
    "started ID parent=1 x=1\nended ID ok",
    "ended ID failed error=boom",
    "started ID root=2 kind=root\nended ID ok root=2",
    "started ID kind=root\nended ID ok",
];

/// All events of a test, so that those of dropped trees can be removed from the expected facts.
#[derive(Default)]
struct Said {
    batches: Vec<Batch>,
    by_server: Vec<Event>,
}

impl Said {
    fn facts(&self) -> Facts {
        let mut facts = Facts::of(&self.batches);
        for event in &self.by_server {
            if let Event::WorkerLost(about) | Event::WorkerFound(about) = event {
                facts.apply(0, about.worker_id, event);
            }
        }
        facts
    }

    fn apply(&mut self, changes: &[Change]) {
        let events = changes.iter().map(|change| &change.message.event);
        self.by_server.extend(events.filter(|event| model::is_of_server(event, &self.batches)).cloned());
    }

    /// Replaces events about processes by heartbeats of their workers, because all trees were dropped. Events that wait for a tree stay.
    fn forget(&mut self) {
        let facts = self.facts();
        for event in self.batches.iter_mut().flat_map(|batch| &mut batch.events) {
            let about = match &*event {
                Event::Unplaced(unplaced) if facts.is_waiting(unplaced) => continue,
                Event::Unplaced(unplaced) => ProcessEvent::of(unplaced.event()),
                event => ProcessEvent::of(event),
            };
            if let Some(about) = about {
                *event = Event::WorkerHeartbeat(WorkerHeartbeat {
                    // Time 0, so that the heartbeat is not a return of the worker.
                    time_us: 0,
                    worker: about.worker.cloned(),
                    ..WorkerHeartbeat::default()
                });
            }
        }
    }
}

/// Returns a batch as if its sender's clock were two centuries ahead.
fn shifted(batch: &Batch) -> Batch {
    const CENTURIES: u64 = 200 * 365 * 86_400 * 1_000_000;
    let mut shifted = serde_json::to_value(batch).unwrap();
    for event in shifted["events"].as_array_mut().unwrap() {
        event["time_us"] = (event["time_us"].as_u64().unwrap() + CENTURIES).into();
    }
    Batch { lost: batch.lost, ..Batch::from_json(shifted.to_string().as_bytes()).unwrap() }
}

/// Adds the tree to each line of a script.
fn of_tree(lines: &str, root: u64) -> String {
    lines.lines().map(|line| format!("{line} root={root}")).collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rows_written_together_are_each_correct(
        shapes in prop::collection::vec((1..120_u64, select(SHAPES.to_vec())), 40..120),
        // Number of shapes per transaction, and true to reopen the store after each.
        (length, is_restarted) in (1..80_usize, any::<bool>()),
        roots in select(vec![1, 1, 7, 60_u64]),
    ) {
        let (folder, mut store) = open();
        let mut facts = Facts::default();
        let mut sequence = 1;
        for some in shapes.chunks(length) {
            let lines: Vec<_> = some.iter().map(|(id, shape)| of_tree(&shape.replace("ID", &id.to_string()), id % roots + 1)).collect();
            let mut said = super::joined(&super::support::script::parse(&lines.join("\n")));
            said.sequence = sequence;
            sequence += said.events.len() as u64;
            store.append(std::slice::from_ref(&said), 0).unwrap();
            facts.apply_batch(&said);
            if is_restarted {
                drop(store);
                store = SqliteStore::open(folder.path()).unwrap();
            }
        }
        assert_same(&store, &facts);
        assert_summed(&store, &facts);
        assert_counted(&store, &facts);
        assert_eq!(store.problems(), Vec::<String>::new());
    }

    #[test]
    fn the_store_shows_the_same_as_the_fold(
        batches in unplaced_history().prop_flat_map(|history| delivery(&history)),
        together in 1..4_usize,
        // Bit masks: steps before which the store is reopened, and steps before which lost workers and overdue processes are detected.
        (restarts, looks) in (any::<u8>(), any::<u8>()),
        // Bit masks: batches that are in both are marked `lost`.
        (losses, more_losses) in (any::<u16>(), any::<u16>()),
        ahead in select(vec![None, None, Some('C')]),
        // Step before which all trees are dropped.
        drop_at in option::of(0..8_usize),
        // Bit mask: steps before which the search for unused rows continues.
        searches in any::<u8>(),
    ) {
        let (folder, mut store) = open();
        let mut search = None;
        let mut said = Said::default();
        let sent = batches.into_iter().enumerate().map(|(index, batch)| {
            let lost = losses & more_losses & (1 << (index % 16)) != 0;
            let batch = Batch { lost, ..batch };
            if ahead.is_some_and(|letter| batch.worker.id == worker(letter)) { shifted(&batch) } else { batch }
        });
        let mut is_dropped = false;
        for (step, some) in sent.collect::<Vec<_>>().chunks(together).enumerate() {
            // Later than all relayed events.
            let now_us = (step as u64 + 1) * 2_000;
            let is_due = |steps: u8| steps & (1 << (step % 8)) != 0;
            if is_due(restarts) {
                drop(store);
                store = SqliteStore::open(folder.path()).unwrap();
            }
            if drop_at == Some(step) {
                let roots = store.roots(&RootsQuery { limit: 100, ..RootsQuery::default() }).unwrap().roots;
                let numbers: Vec<_> = roots.iter().map(|root| root.number).collect();
                let (dropped, _) = store.drop_roots(&DropTrees { numbers: &numbers, reason: "asked", may_run: true }, now_us).unwrap();
                assert_eq!(dropped.trees, numbers.len());
                is_dropped |= dropped.trees > 0;
                said.forget();
            }
            if is_dropped {
                store.sweep(3).unwrap();
            }
            if is_due(searches) {
                search = match search.take() {
                    None => Some((store.begin_unused().unwrap(), true)),
                    Some((mut unused, true)) => {
                        let is_more = store.find_unused(&mut unused).unwrap();
                        Some((unused, is_more))
                    }
                    Some((mut unused, false)) => store.drop_unused(&mut unused, 0).unwrap().then_some((unused, false)),
                };
            }
            if is_due(looks) {
                let lost = store.lose_workers(now_us, 0).unwrap();
                said.apply(&lost);
                assert_told(&store, &lost);
                assert_told(&store, &store.find_overdue(now_us).unwrap());
            }
            let changes = store.append(some, now_us).unwrap();
            said.batches.extend(some.iter().cloned());
            said.apply(&changes);
            assert_told(&store, &changes);
            assert_same(&store, &said.facts());
        }
        let facts = said.facts();
        if !is_dropped {
            // After trees are dropped, their sums stay, but the facts no longer contain them.
            assert_summed(&store, &facts);
            assert_counted(&store, &facts);
        }
        assert_examples(&store, &facts);
        assert_eq!(store.problems(), Vec::<String>::new());
    }
}
