//! Tests of the sums over folds and over corrected ends.

use std::collections::BTreeMap;

use monitor_store::{ErrorsQuery, Queries, SeriesQuery, StatsQuery};

use super::open;
use super::support::script::parse;
use super::support::{batch, process, root};

const MINUTE: u64 = 60_000_000;
const DAY: u64 = 1_440 * MINUTE;

/// The calls in a fold add to the sums as if each had been sent as a process, in the minute of the event that first counted it.
#[test]
fn calls_in_folds_count_when_they_are_reported() {
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
        // An older revision that arrives again counts nothing.
        fold(0, 0, first, [4, 1, 0, 0], &durations[..3]),
    ];
    for (sequence, event) in (1..).zip(events) {
        let event = serde_json::from_value(event).unwrap();
        store.append(&[batch('A', sequence, vec![event])], second).unwrap();
    }
    let page = store.stats(&StatsQuery { name: Some("each".to_owned()), limit: 9, ..StatsQuery::default() }).unwrap();
    let [stats] = &page.stats[..] else { panic!("{page:?}") };
    assert_eq!((stats.count, stats.succeeded, stats.failed, stats.cancelled), (8, 5, 2, 1));
    assert_eq!((stats.total_ns, stats.min_ns, stats.max_ns), (durations.iter().sum(), Some(1_000), Some(2_000_000)));
    let p50 = stats.p50_ns.unwrap();
    assert!((2_900..=3_100).contains(&p50), "{p50}");
    let query = SeriesQuery { from_us: Some(first), to_us: Some(second + MINUTE), name: Some("each".to_owned()), step_us: Some(MINUTE) };
    let series = store.stats_series(&query).unwrap().series;
    let counts: Vec<_> = series.iter().filter(|at| !at.histogram.is_empty()).map(|at| (at.succeeded, at.failed, at.cancelled)).collect();
    assert_eq!(counts, [(4, 1, 0), (1, 1, 1)]);

    // Absurd counts don't overflow.
    for (shard, sequence) in [(2, 5), (3, 6)] {
        let mut event = fold(shard, 0, second, [0; 4], &[]);
        for name in ["count", "failed", "cancelled", "total_ns", "min_ns"] {
            event[name] = u64::MAX.into();
        }
        event["histogram"] = serde_json::json!([[u32::MAX, u64::MAX], [3, u64::MAX], [3, 1]]);
        store.append(&[batch('A', sequence, vec![serde_json::from_value(event).unwrap()])], second).unwrap();
    }
    let page = store.stats(&StatsQuery { name: Some("each".to_owned()), limit: 9, ..StatsQuery::default() }).unwrap();
    assert!(page.stats[0].count > 1 << 40, "{page:?}");
    store.stats_series(&query).unwrap();
}

#[test]
fn a_corrected_failure_is_no_example_of_an_error() {
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
