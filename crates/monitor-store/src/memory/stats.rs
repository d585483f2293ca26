//! Exact statistics over the stored processes.

use std::collections::BTreeMap;

use monitor_wire::{
    CauseStats, CausesPage, ErrorStats, ErrorsPage, NameStats, Process, SeriesStep, State as ProcessState, StatsPage, StatsSeries,
};

use super::{MemoryStore, State, contains};
use crate::shape::{is_bare_exit, shape};
use crate::{CausesQuery, ErrorsQuery, NameTotals, SeriesQuery, StatsQuery, StatsSort, StoreError};

/// Length of a series step if the query sets none, in microseconds: one minute.
const STEP_US: u64 = 60_000_000;

/// A cause is new if it did not occur for this long before the queried range, in microseconds: one week.
const NEW_AFTER_US: u64 = 7 * 1_440 * STEP_US;

impl State {
    /// Returns the processes that ended in a time range, and the lost processes that started in it, each with that time.
    fn ended(&self, from_us: Option<u64>, to_us: Option<u64>) -> Vec<(u64, Process)> {
        let processes = self.all().flat_map(|shown| shown.processes);
        let is_in = |at: &u64| from_us.is_none_or(|from| *at >= from) && to_us.is_none_or(|to| *at < to);
        let lost_us = |process: &Process| process.started_us.filter(|_| process.state == ProcessState::LOST);
        processes.filter_map(|process| Some((process.ended_us.or_else(|| lost_us(&process)).filter(is_in)?, process))).collect()
    }
}

impl MemoryStore {
    pub(super) fn stats_by_name(&self, query: &StatsQuery) -> Result<StatsPage, StoreError> {
        let memory = self.state();
        let mut names = BTreeMap::<String, Vec<Process>>::new();
        for (_, process) in memory.ended(query.from_us, query.to_us) {
            let is_named = query.name.as_ref().is_none_or(|name| process.name == *name);
            if is_named && query.text.as_ref().is_none_or(|text| contains(&process.name, text)) {
                names.entry(process.name.clone()).or_default().push(process);
            }
        }
        let mut found: Vec<NameStats> = names.into_iter().map(|(name, processes)| of_name(name, &processes)).collect();
        let figure = |stats: &NameStats| match query.sort {
            StatsSort::Count => stats.count,
            StatsSort::Failed => stats.failed,
            StatsSort::Total => stats.total_ns,
            StatsSort::Max => stats.max_ns.unwrap_or_default(),
            StatsSort::P50 => stats.p50_ns.unwrap_or_default(),
            StatsSort::P95 => stats.p95_ns.unwrap_or_default(),
            StatsSort::P99 => stats.p99_ns.unwrap_or_default(),
            StatsSort::Name => 0,
        };
        found.sort_by_key(|stats| std::cmp::Reverse(figure(stats)));
        let from = match query.cursor.as_deref() {
            Some(cursor) => cursor.parse().map_err(|_| StoreError::Cursor { cursor: cursor.to_owned() })?,
            None => 0,
        };
        let next_cursor = (found.len() > from + query.limit).then(|| (from + query.limit).to_string());
        let stats = found.into_iter().skip(from).take(query.limit).collect();
        let (from_us, to_us) = (query.from_us.unwrap_or(0), query.to_us.unwrap_or(0));
        Ok(StatsPage { stats, from_us, to_us, next_cursor, as_of: memory.seq })
    }

    pub(super) fn series(&self, query: &SeriesQuery) -> StatsSeries {
        let state = self.state();
        let step_us = query.step_us.unwrap_or(STEP_US).max(1);
        let mut steps = BTreeMap::<u64, Vec<Process>>::new();
        for (at, process) in state.ended(query.from_us, query.to_us) {
            if query.name.as_ref().is_none_or(|name| process.name == *name) {
                steps.entry(at / step_us * step_us).or_default().push(process);
            }
        }
        let step = |(from_us, processes): (u64, Vec<Process>)| {
            let NameStats { succeeded, failed, cancelled, lost, other, total_ns, .. } = of_name(String::new(), &processes);
            SeriesStep { from_us, succeeded, failed, cancelled, lost, other, total_ns, histogram: histogram(&processes) }
        };
        let series: Vec<_> = steps.into_iter().map(step).collect();
        let (from_us, to_us) = (query.from_us.unwrap_or(0), query.to_us.unwrap_or(0));
        StatsSeries { series, step_us, from_us, to_us, as_of: state.seq }
    }

    pub(super) fn errors(&self, query: &ErrorsQuery) -> ErrorsPage {
        let state = self.state();
        let mut errors = BTreeMap::<(String, String), ErrorStats>::new();
        for (at, process) in state.ended(query.from_us, query.to_us) {
            let is_wanted = process.state == ProcessState::FAILED && query.name.as_ref().is_none_or(|name| process.name == *name);
            let Some(error) = process.error.filter(|_| is_wanted) else { continue };
            let shape = shape(&error.message).into_owned();
            let entry = errors.entry((shape.clone(), process.name.clone())).or_insert_with(|| ErrorStats {
                shape,
                message: String::new(),
                name: process.name,
                count: 0,
                last_us: 0,
                root_id: None,
                id: process.id,
            });
            entry.count += 1;
            if at >= entry.last_us {
                (entry.last_us, entry.message, entry.root_id, entry.id) = (at, error.message, Some(process.root_id), process.id);
            }
        }
        let mut errors: Vec<_> = errors.into_values().collect();
        errors.sort_by_key(|error| std::cmp::Reverse((error.count, error.last_us)));
        errors.truncate(query.limit);
        let (from_us, to_us) = (query.from_us.unwrap_or(0), query.to_us.unwrap_or(0));
        ErrorsPage { errors, from_us, to_us, as_of: state.seq }
    }

    pub(super) fn causes(&self, query: &CausesQuery) -> CausesPage {
        let state = self.state();
        let mut failed: Vec<_> = state.all().map(|shown| shown.root).filter(|root| root.state == ProcessState::FAILED).collect();
        failed.sort_by_key(|root| root.ended_us);
        let (mut causes, mut before) = (BTreeMap::<(String, Option<String>), CauseStats>::new(), Vec::new());
        for root in failed {
            let (Some(at), Some(error)) = (root.ended_us, root.error) else { continue };
            let shape = shape(&error.message).into_owned();
            let key = (shape.clone(), Some(root.name.clone()).filter(|_| is_bare_exit(&shape)));
            if let Some(from) = query.from_us.filter(|from| at < *from) {
                if at >= from.saturating_sub(NEW_AFTER_US) {
                    before.push(key);
                }
                continue;
            }
            if query.to_us.is_some_and(|to| at >= to) {
                continue;
            }
            let cause = causes.entry(key.clone()).or_insert_with(|| CauseStats {
                new: !before.contains(&key),
                shape,
                message: String::new(),
                count: 0,
                names: Vec::new(),
                name_count: 0,
                first_us: at,
                last_us: at,
                root_id: None,
            });
            (cause.count, cause.last_us, cause.message, cause.root_id) = (cause.count + 1, at, error.message, Some(root.root_id));
            if !cause.names.contains(&root.name) {
                cause.names.push(root.name);
                cause.names.sort_unstable();
                cause.name_count += 1;
            }
        }
        let mut causes: Vec<_> = causes.into_values().collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.last_us));
        causes.truncate(query.limit);
        let (from_us, to_us) = (query.from_us.unwrap_or(0), query.to_us.unwrap_or(0));
        CausesPage { causes, from_us, to_us, as_of: state.seq }
    }

    pub(super) fn totals(&self, most: usize) -> Vec<NameTotals> {
        let mut names = BTreeMap::<String, Vec<Process>>::new();
        for (_, process) in self.state().ended(None, None) {
            names.entry(process.name.clone()).or_default().push(process);
        }
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_key(|(_, processes)| std::cmp::Reverse(processes.len()));
        let others: Vec<Process> = names.drain(most.min(names.len())..).flat_map(|(_, processes)| processes).collect();
        let mut totals: Vec<_> = names.into_iter().map(|(name, processes)| total(Some(name), &processes)).collect();
        if !others.is_empty() {
            totals.push(total(None, &others));
        }
        totals
    }
}

fn total(name: Option<String>, processes: &[Process]) -> NameTotals {
    let mut states = BTreeMap::new();
    for process in processes {
        *states.entry(process.state.to_string()).or_default() += 1;
    }
    let total_ns = processes.iter().filter_map(|process| process.elapsed_ns).map(u128::from).sum();
    NameTotals { name, states, total_ns, histogram: histogram(processes) }
}

fn histogram(processes: &[Process]) -> Vec<(u32, u64)> {
    let mut histogram = BTreeMap::<u32, u64>::new();
    for elapsed_ns in processes.iter().filter_map(|process| process.elapsed_ns) {
        *histogram.entry((elapsed_ns.max(1) as f64).log(1.04) as u32).or_default() += 1;
    }
    histogram.into_iter().collect()
}

fn of_name(name: String, processes: &[Process]) -> NameStats {
    let mut counts = monitor_wire::Counts::default();
    for process in processes {
        *counts.of(&process.state) += 1;
    }
    let mut lengths: Vec<u64> = processes.iter().filter_map(|process| process.elapsed_ns).collect();
    lengths.sort_unstable();
    let quantile = |part: f64| lengths.get(((lengths.len() as f64 * part) as usize).min(lengths.len().saturating_sub(1))).copied();
    NameStats {
        name,
        count: processes.len() as u64,
        succeeded: counts.succeeded,
        failed: counts.failed,
        cancelled: counts.cancelled,
        lost: counts.lost,
        other: counts.other,
        total_ns: lengths.iter().sum(),
        min_ns: lengths.first().copied(),
        max_ns: lengths.last().copied(),
        p50_ns: quantile(0.5),
        p95_ns: quantile(0.95),
        p99_ns: quantile(0.99),
    }
}
