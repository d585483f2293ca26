//! Tests of logs.

use std::collections::BTreeMap;

use monitor_wire::{Event, Fields, LogsPage, ProcessId, ProcessLogged};
use proptest::prelude::*;

use super::{Place, Say as _};
use crate::support::{batch, process, root};
use crate::{LogsQuery, RootKey, Store};

fn line(id: ProcessId, time_us: u64, message: &str) -> Event {
    Event::ProcessLogged(ProcessLogged {
        root_id: root(1),
        id,
        time_us,
        level: "info".to_owned(),
        message: message.to_owned(),
        target: None,
        stream: None,
        fields: Fields::new(),
        attempt: 1,
        worker: None,
        native_id: None,
        links: Vec::new(),
    })
}

fn read(store: &impl Store, query: &LogsQuery) -> LogsPage {
    store.logs(RootKey::Id(root(1)), query).unwrap().unwrap()
}

fn of(id: ProcessId) -> LogsQuery {
    LogsQuery { process: Some(id), limit: 1_000, ..LogsQuery::default() }
}

/// The first and the last lines of each process are kept, in whatever order they arrive: as if all lines were sorted at the end.
pub fn the_first_and_the_last_lines_are_kept_and_those_between_are_counted<P: Place>() {
    let config = ProptestConfig::with_cases(ProptestConfig::default().cases / 16);
    let lines = proptest::collection::vec((1_u64..4, 0_u64..50), 1..80);
    let cuts = proptest::collection::vec(1_usize..30, 0..8);
    proptest!(config, |(lines in lines, cuts in cuts, keep in 1_usize..6)| {
        kept_and_counted::<P>(&lines, &cuts, keep)?;
    });
}
fn kept_and_counted<P: Place>(lines: &[(u64, u64)], cuts: &[usize], keep: usize) -> Result<(), TestCaseError> {
    let place = P::new();
    let mut store = place.open_keeping(keep);
    let mut expected = BTreeMap::<u64, Vec<(u64, u64)>>::new();
    let (mut sequence, mut rest) = (1, lines);
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (now, later) = rest.split_at(cut.min(rest.len()));
        let events: Vec<_> = now.iter().map(|(id, time)| line(process(*id), *time, "said")).collect();
        store.say(&[batch('A', sequence, events)], 0).unwrap();
        for (number, (id, time)) in (sequence..).zip(now) {
            expected.entry(*id).or_default().push((*time, number));
        }
        (sequence, rest) = (sequence + now.len() as u64, later);
        drop(store);
        store = place.open_keeping(keep);
    }
    let mut missing = 0;
    for (id, mut lines) in expected {
        lines.sort_unstable();
        let cut = lines.len().saturating_sub(2 * keep);
        let gap = (cut > 0).then(|| (lines[keep - 1].0, lines[lines.len() - keep].0));
        let page = read(&store, &of(process(id)));
        let kept: Vec<_> = page.logs.iter().map(|entry| (entry.time_us, entry.number)).collect();
        prop_assert_eq!(page.missing, cut as u64);
        prop_assert_eq!(page.gap.map(|gap| (gap.after_us, gap.before_us)), gap);
        lines.drain(keep.min(lines.len())..(keep + cut).min(lines.len()));
        prop_assert_eq!(kept, lines);
        missing += cut as u64;
    }
    prop_assert_eq!(read(&store, &LogsQuery { limit: 1_000, ..LogsQuery::default() }).missing, missing);
    Ok(())
}

pub fn a_changed_limit_of_log_lines_loses_no_count<P: Place>() {
    let place = P::new();
    let mut sequence = 1;
    let mut say = |keep: usize, lines: u64| {
        let store = place.open_keeping(keep);
        let events = (sequence..sequence + lines).map(|time| line(process(1), time, "said")).collect();
        store.say(&[batch('A', sequence, events)], 0).unwrap();
        sequence += lines;
        let page = read(&store, &of(process(1)));
        assert_eq!(page.logs.len() as u64 + page.missing, sequence - 1);
        page.logs.iter().map(|entry| entry.time_us).collect::<Vec<_>>()
    };
    assert_eq!(say(2, 10), [1, 2, 9, 10]);
    assert_eq!(say(4, 1), [1, 2, 9, 10, 11], "what is gone is gone, and the tail may grow");
    assert_eq!(say(4, 2), [1, 2, 10, 11, 12, 13]);
    assert_eq!(say(1, 1), [1, 2, 14]);
}

pub fn pages_follow_each_other_both_ways_for_a_tree_and_a_process<P: Place>() {
    let place = P::new();
    let store = place.open();
    let events = (1..=40).map(|n| line(process(n % 3 + 1), n / 4, &format!("line {n}"))).collect();
    store.say(&[batch('A', 1, events)], 0).unwrap();
    for process in [None, Some(process(2))] {
        let mut ways = Vec::new();
        for is_newest_first in [false, true] {
            let mut query = LogsQuery { process, limit: 3, is_newest_first, ..LogsQuery::default() };
            let mut seen = Vec::new();
            loop {
                let page = read(&store, &query);
                seen.extend(page.logs.iter().map(|entry| (entry.time_us, entry.process_id, entry.number)));
                let Some(cursor) = page.next_cursor else { break };
                query.cursor = Some(cursor);
            }
            if is_newest_first {
                seen.reverse();
            }
            assert!(seen.is_sorted(), "{seen:?}");
            ways.push(seen);
        }
        assert_eq!(ways[0].len(), if process.is_some() { 14 } else { 40 });
        assert_eq!(ways[0], ways[1]);
    }
}

pub fn a_page_of_long_lines_is_short_and_has_a_next_page<P: Place>() {
    let place = P::new();
    let store = place.open();
    let long = "x".repeat(64 << 10);
    store.say(&[batch('A', 1, (1..=300).map(|time| line(process(1), time, &long)).collect())], 0).unwrap();
    let (mut cursor, mut sizes) = (None, Vec::new());
    loop {
        let page = read(&store, &LogsQuery { cursor, ..of(process(1)) });
        sizes.push(page.logs.len());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [128, 128, 44], "8 MiB, 8 MiB and the rest");
}
