//! Tests that statistics agree with the processes that ended.

use monitor_wire::NameStats;

use super::{Place, Say as _, joined};
use crate::support::script::parse;
use crate::support::worker;
use crate::{ErrorsQuery, Intake as _, Queries as _, SeriesQuery, StatsQuery, StatsSort};

const MINUTE: u64 = 60_000_000;
const DAY: u64 = 1_440 * MINUTE;

fn any() -> StatsQuery {
    StatsQuery { limit: 100, ..StatsQuery::default() }
}

fn line(stats: &NameStats) -> String {
    let NameStats { name, count, succeeded, failed, cancelled, lost, total_ns, .. } = stats;
    format!("{name} {count} = {succeeded} + {failed} + {cancelled} + {lost}, {} s", total_ns / 1_000_000_000)
}

/// End time and name of each process, and true if it failed.
type Ended = Vec<(u64, &'static str, bool)>;

/// Creates a store in which a process of each of three names ends every 7 minutes for a day, then every 97 minutes for 99 days. Every
/// tenth fails.
fn history<P: Place>() -> (P, P::Store, Ended) {
    let place = P::new();
    let store = place.open();
    let often = (0..DAY).step_by(7 * MINUTE as usize);
    let seldom = (DAY..100 * DAY).step_by(97 * MINUTE as usize);
    let ended: Ended = (0..)
        .zip(often.chain(seldom))
        .flat_map(|(n, after)| ["load", "解析", "store all"].map(|name| (1_000 * DAY + after, name, n % 10 == 3)))
        .collect();
    let mut sequence = 1;
    for part in ended.chunks(1_000) {
        let lines = part.iter().zip(sequence..).map(|((at, name, has_failed), id)| {
            let outcome = if *has_failed { "failed" } else { "ok" };
            format!("started {id} name={} at={}\nended {id} {outcome} at={at}", name.replace(' ', "_"), at - 2_000_000)
        });
        let mut batch = joined(&parse(&lines.collect::<Vec<_>>().join("\n")));
        batch.sequence = 2 * sequence - 1;
        sequence += part.len() as u64;
        store.say(&[batch], part.last().unwrap().0).unwrap();
    }
    (place, store, ended)
}

pub fn any_range_contains_the_processes_that_ended_in_it<P: Place>() {
    let (_place, store, ended) = history::<P>();
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

pub fn statistics_are_sorted_and_paged<P: Place>() {
    let place = P::new();
    let store = place.open();
    let lines = "started 1 name=a at=1\nended 1 ok at=9000\nstarted 2 name=b at=1\nended 2 failed at=2\nstarted 3 name=b at=1\nended 3 ok at=3\n\
                 started 4 name=c at=1\nended 4 cancelled at=100";
    store.say(&[joined(&parse(lines))], 0).unwrap();
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

pub fn a_process_counts_as_lost_until_its_late_end<P: Place>() {
    let place = P::new();
    let store = place.open();
    let mut batches = parse("online A\nstarted 1 name=a at=1\nstarted 2 name=a at=1");
    store.say(&batches, 0).unwrap();
    store.lose_workers(u64::MAX / 4, 0).unwrap();
    let shown = || store.stats(&any()).unwrap().stats.iter().map(line).collect::<Vec<_>>().join("; ");
    assert_eq!(shown(), "a 2 = 0 + 0 + 0 + 2, 0 s");
    let mut end = batches.pop().unwrap();
    end.events = parse("ended 1 ok at=5000001")[0].events.clone();
    end.sequence += 1;
    assert_eq!(end.worker.id, worker('A'));
    store.say(&[end], 1).unwrap();
    // The late event shows that the worker is alive, so process 2 counts as running again.
    assert_eq!(shown(), "a 1 = 1 + 0 + 0 + 0, 5 s");
}

pub fn similar_errors_are_grouped_with_the_newest_as_example<P: Place>() {
    let place = P::new();
    let store = place.open();
    let lines = "started 1 name=a at=1\nended 1 failed at=10 error=order_4711_is_gone\nstarted 2 name=a at=1\nended 2 failed at=30 error=order_12_is_gone\n\
                 started 3 name=a at=1\nended 3 failed at=20 error=order_9_is_gone\nstarted 4 name=b at=1\nended 4 failed at=20 error=no_disk";
    store.say(&[joined(&parse(lines))], 0).unwrap();
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
