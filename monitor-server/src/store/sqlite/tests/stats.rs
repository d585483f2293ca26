//! What is read from the sums is what became of the processes.

use std::collections::BTreeMap;

use monitor_wire::NameStats;

use super::open;
use super::support::script::parse;
use super::support::{batch, process, root, worker};
use crate::store::{ErrorsQuery, Intake, Queries, SeriesQuery, StatsQuery, StatsSort};

const MINUTE: u64 = 60_000_000;
const DAY: u64 = 1_440 * MINUTE;

fn any() -> StatsQuery {
    StatsQuery { limit: 100, ..StatsQuery::default() }
}

fn line(stats: &NameStats) -> String {
    let NameStats { name, count, succeeded, failed, cancelled, lost, total_ns, .. } = stats;
    format!("{name} {count} = {succeeded} + {failed} + {cancelled} + {lost}, {} s", total_ns / 1_000_000_000)
}

/// A process of each of three names every 7 minutes for 100 days; every tenth fails.
fn history() -> (tempfile::TempDir, super::SqliteStore, Vec<(u64, &'static str, bool)>) {
    let (folder, store) = open();
    let ended: Vec<_> = (0..100 * DAY / (7 * MINUTE))
        .flat_map(|n| ["load", "解析", "store all"].map(|name| (1_000 * DAY + n * 7 * MINUTE, name, n % 10 == 3)))
        .collect();
    let mut sequence = 1;
    for part in ended.chunks(3_000) {
        let lines = part.iter().zip(sequence..).map(|((at, name, has_failed), id)| {
            let outcome = if *has_failed { "failed" } else { "ok" };
            format!("started {id} name={} at={}\nended {id} {outcome} at={at}", name.replace(' ', "_"), at - 2_000_000)
        });
        let mut batch = super::joined(&parse(&lines.collect::<Vec<_>>().join("\n")));
        batch.sequence = 2 * sequence - 1;
        sequence += part.len() as u64;
        store.append(&[batch], part.last().unwrap().0).unwrap();
    }
    (folder, store, ended)
}

#[test]
fn any_range_holds_what_ended_in_it() {
    let (_folder, store, ended) = history();
    let begin = 1_000 * DAY;
    for (from, to) in [(0, 7), (1, 60), (61, 200), (59, 1_441), (1, 2_900), (3, 20_160), (1_439, 60_000), (700, 130_000), (0, 144_000)] {
        let (from_us, to_us) = (begin + from * MINUTE, begin + to * MINUTE + 1);
        let page = store.stats(&StatsQuery { from_us: Some(from_us), to_us: Some(to_us), ..any() }).unwrap();
        assert!(page.from_us <= from_us && page.to_us >= to_us && page.to_us - page.from_us <= to_us - from_us + 2 * DAY, "{page:?}");
        let expected = |name: &str, outcome: &dyn Fn(bool) -> bool| {
            ended.iter().filter(|(at, of, failed)| *of == name && (page.from_us..page.to_us).contains(at) && outcome(*failed)).count()
                as u64
        };
        assert_eq!(page.stats.len(), 3, "{page:?}");
        for stats in &page.stats {
            let name = stats.name.replace('_', " ");
            let counts = (expected(&name, &|_| true), expected(&name, &|failed| !failed), expected(&name, &|failed| failed));
            assert_eq!((stats.count, stats.succeeded, stats.failed), counts, "{from}..{to}");
            assert_eq!(stats.total_ns, stats.count * 2_000_000_000);
            assert_eq!((stats.min_ns, stats.p50_ns, stats.max_ns), (Some(2_000_000_000), Some(2_000_000_000), Some(2_000_000_000)));
            let one = StatsQuery { name: Some(stats.name.clone()), from_us: Some(from_us), to_us: Some(to_us), ..any() };
            assert_eq!(store.stats(&one).unwrap().stats, std::slice::from_ref(stats), "{from}..{to}");
        }
        for name in [None, Some("load".to_owned())] {
            for step in [None, Some(MINUTE), Some(61 * MINUTE), Some(DAY)] {
                let query = SeriesQuery { from_us: Some(from_us), to_us: Some(to_us), name: name.clone(), step_us: step };
                let answer = store.stats_series(&query).unwrap();
                assert!(answer.step_us >= step.unwrap_or(0) && answer.from_us <= from_us && answer.to_us >= to_us, "{answer:?}");
                assert!(answer.series.iter().all(|at| at.from_us.is_multiple_of(answer.step_us)), "{answer:?}");
                let names = if name.is_some() { 1 } else { 3 };
                let inside = |at: &u64| (answer.from_us..answer.to_us).contains(at);
                let expected = ended.iter().filter(|(at, of, _)| inside(at) && (names == 3 || *of == "load")).count() as u64;
                assert_eq!(answer.series.iter().map(|at| at.succeeded + at.failed).sum::<u64>(), expected, "{query:?}");
                let buckets = answer.series.iter().flat_map(|at| &at.histogram).map(|(_, count)| count).sum::<u64>();
                assert_eq!(buckets, expected, "{query:?}");
            }
        }
    }
    let page = store.stats(&any()).unwrap();
    assert_eq!(page.stats.iter().map(|stats| stats.count).sum::<u64>(), ended.len() as u64);
    assert_eq!(store.stats(&StatsQuery { text: Some("STORE".to_owned()), ..any() }).unwrap().stats.len(), 1);
    assert_eq!(store.stats(&StatsQuery { name: Some("nothing".to_owned()), ..any() }).unwrap().stats, []);
}

/// What a fold counts is as much as if each call had been told of, in the minute in which it was.
#[test]
fn calls_in_folds_count_when_they_are_told() {
    let (_folder, store) = open();
    let fold = |shard: u64, revision: u64, at_us: u64, counts: [u64; 4], durations: &[u64]| {
        let [count, running, failed, cancelled] = counts;
        let mut histogram = BTreeMap::<u32, u64>::new();
        for ns in durations {
            *histogram.entry(((*ns as f64).ln() / 1.04_f64.ln()) as u32).or_default() += 1;
        }
        assert_eq!(durations.len() as u64, count - running);
        serde_json::json!({
            "type": "process-folded", "root_id": root(1), "id": process(7), "time_us": at_us, "kind": "normal", "name": "each", "shard": shard,
            "revision": revision, "count": count, "running": running, "failed": failed, "cancelled": cancelled, "total_ns": durations.iter().sum::<u64>(),
            "min_ns": durations.iter().min(), "max_ns": durations.iter().max(), "histogram": histogram.into_iter().collect::<Vec<_>>()
        })
    };
    let (first, second) = (1_000 * DAY, 1_000 * DAY + 3 * MINUTE);
    let durations = [1_000, 1_000, 2_000, 3_000, 5_000, 1_000_000, 1_000_000, 2_000_000];
    let events = [
        fold(0, 0, first, [4, 1, 0, 0], &durations[..3]),
        fold(1, 0, first, [2, 0, 1, 0], &durations[3..5]),
        fold(0, 1, second, [6, 0, 1, 1], &[&durations[..3], &durations[5..]].concat()),
        // It came late, and again.
        fold(0, 0, first, [4, 1, 0, 0], &durations[..3]),
    ];
    for (sequence, event) in (1..).zip(events) {
        let event = serde_json::from_value(event).unwrap();
        store.append(&[batch('A', sequence, vec![event])], second).unwrap();
    }
    let page = store.stats(&StatsQuery { name: Some("each".to_owned()), ..any() }).unwrap();
    let [stats] = &page.stats[..] else { panic!("{page:?}") };
    assert_eq!((stats.count, stats.succeeded, stats.failed, stats.cancelled), (8, 5, 2, 1));
    assert_eq!((stats.total_ns, stats.min_ns, stats.max_ns), (durations.iter().sum(), Some(1_000), Some(2_000_000)));
    let p50 = stats.p50_ns.unwrap();
    assert!((2_900..=3_100).contains(&p50), "{p50}");
    let query = SeriesQuery { from_us: Some(first), to_us: Some(second + MINUTE), name: Some("each".to_owned()), step_us: Some(MINUTE) };
    let series = store.stats_series(&query).unwrap().series;
    let counts: Vec<_> = series.iter().filter(|at| !at.histogram.is_empty()).map(|at| (at.succeeded, at.failed, at.cancelled)).collect();
    assert_eq!(counts, [(4, 1, 0), (1, 1, 1)]);

    // Nonsense adds up to something, too.
    for (shard, sequence) in [(2, 5), (3, 6)] {
        let mut event = fold(shard, 0, second, [0; 4], &[]);
        for name in ["count", "failed", "cancelled", "total_ns", "min_ns"] {
            event[name] = u64::MAX.into();
        }
        event["histogram"] = serde_json::json!([[u32::MAX, u64::MAX], [3, u64::MAX], [3, 1]]);
        store.append(&[batch('A', sequence, vec![serde_json::from_value(event).unwrap()])], second).unwrap();
    }
    let page = store.stats(&StatsQuery { name: Some("each".to_owned()), ..any() }).unwrap();
    assert!(page.stats[0].count > 1 << 40, "{page:?}");
    store.stats_series(&query).unwrap();
}

#[test]
fn statistics_are_sorted_and_paged() {
    let (_folder, store) = open();
    let lines = "started 1 name=a at=1\nended 1 ok at=9000\nstarted 2 name=b at=1\nended 2 failed at=2\nstarted 3 name=b at=1\nended 3 ok at=3\n\
                 started 4 name=c at=1\nended 4 cancelled at=100";
    store.append(&[super::joined(&parse(lines))], 0).unwrap();
    for (sort, expected) in [
        (StatsSort::Count, "b a c"),
        (StatsSort::Failed, "b a c"),
        (StatsSort::Total, "a c b"),
        (StatsSort::Max, "a c b"),
        (StatsSort::P50, "a c b"),
        (StatsSort::P95, "a c b"),
        (StatsSort::P99, "a c b"),
        (StatsSort::Name, "a b c"),
    ] {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.stats(&StatsQuery { sort, limit: 2, cursor, ..any() }).unwrap();
            names.extend(page.stats.into_iter().map(|stats| stats.name));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names.join(" "), expected, "{sort:?}");
    }
}

#[test]
fn who_is_lost_counts_until_its_end_comes_after_all() {
    let (_folder, store) = open();
    let mut batches = parse("online A\nstarted 1 name=a at=1\nstarted 2 name=a at=1");
    store.append(&batches, 0).unwrap();
    store.lose_workers(u64::MAX / 4, 0).unwrap();
    let shown = || store.stats(&any()).unwrap().stats.iter().map(line).collect::<Vec<_>>().join("; ");
    assert_eq!(shown(), "a 2 = 0 + 0 + 0 + 2, 0 s");
    let mut end = batches.pop().unwrap();
    end.events = parse("ended 1 ok at=5000001")[0].events.clone();
    end.sequence += 1;
    assert_eq!(end.worker.id, worker('A'));
    store.append(&[end], 1).unwrap();
    // The worker is found by its word: the other one runs again.
    assert_eq!(shown(), "a 1 = 1 + 0 + 0 + 0, 5 s");
}

#[test]
fn like_errors_are_one_with_the_newest_for_an_example() {
    let (_folder, store) = open();
    let lines = "started 1 name=a at=1\nended 1 failed at=10 error=order_4711_is_gone\nstarted 2 name=a at=1\nended 2 failed at=30 error=order_12_is_gone\n\
                 started 3 name=a at=1\nended 3 failed at=20 error=order_9_is_gone\nstarted 4 name=b at=1\nended 4 failed at=20 error=no_disk";
    store.append(&[super::joined(&parse(lines))], 0).unwrap();
    let read = |name: Option<&str>| {
        let page = store.stats_errors(&ErrorsQuery { limit: 9, name: name.map(str::to_owned), ..ErrorsQuery::default() }).unwrap();
        let line = |error: &monitor_wire::ErrorStats| {
            format!("{} × {} in {}: {} at {} by {}", error.count, error.shape, error.name, error.message, error.last_us, error.id)
        };
        page.errors.iter().map(line).collect::<Vec<_>>()
    };
    let [first, second] = &read(None)[..] else { panic!("{:?}", read(None)) };
    assert!(first.starts_with("3 × order_…_is_gone in a: order_12_is_gone at 30"), "{first}");
    assert!(second.starts_with("1 × no_disk in b: no_disk at 20"), "{second}");
    assert_eq!(read(Some("b")).len(), 1);
    assert_eq!(read(Some("c")), Vec::<String>::new());
}

#[test]
fn what_did_not_fail_after_all_is_no_example_of_an_error() {
    let (_folder, store) = open();
    store
        .append(
            &parse("started 1 name=a at=1\nended 1 failed error=boom at=9\nstarted 2 name=a at=1\nended 2 failed error=boom at=8"),
            MINUTE,
        )
        .unwrap();
    let example = || {
        let errors = store.stats_errors(&ErrorsQuery { limit: 9, ..ErrorsQuery::default() }).unwrap().errors;
        (errors[0].count, errors[0].root_id.is_some(), errors[0].id.get())
    };
    assert_eq!(example(), (2, true, 1));
    let mut earlier = parse("ended 1 ok at=5").remove(0);
    earlier.sequence = 5;
    store.append(&[earlier], MINUTE).unwrap();
    assert_eq!((example().0, example().1), (1, false), "another one is not known");
    let mut later = parse("started 3 name=a at=1\nended 3 failed error=boom at=7");
    later[0].sequence = 6;
    later[1].sequence = 7;
    store.append(&later, MINUTE).unwrap();
    assert_eq!(example(), (2, true, 3));
}
