//! State derived from the events of a file, which answers the same questions as a server.

use std::collections::{BTreeMap, VecDeque};

use monitor_text::error_line;
use monitor_wire::{ErrorStats, Kind, LogEntry, Process, ProcessId, QueueCounts, Root, RootId, State, StreamMessage, Worker, WorkerId};

use crate::data::{Facts, Filter, MOST_ROWS, Model, Question, TasksOf};

/// Maximum number of processes. Beyond it, the oldest trees are dropped.
const MOST_PROCESSES: usize = 200_000;
/// Maximum number of log lines. Beyond it, the oldest are dropped.
const MOST_LINES: usize = 20_000;

#[derive(Debug, Default)]
pub(super) struct Book {
    roots: BTreeMap<RootId, Root>,
    trees: BTreeMap<RootId, BTreeMap<ProcessId, Process>>,
    processes: usize,
    workers: BTreeMap<WorkerId, Worker>,
    lines: VecDeque<(RootId, LogEntry)>,
}

impl Book {
    pub(super) fn take(&mut self, message: StreamMessage) {
        let root_id = message.event.root_id();
        if let Some(process) = message.process {
            let tree = self.trees.entry(process.root_id).or_default();
            self.processes += usize::from(tree.insert(process.id, process).is_none());
        }
        if let Some(root) = message.root {
            self.roots.insert(root.root_id, root);
        }
        if let Some(worker) = message.worker {
            self.workers.insert(worker.id, worker);
        }
        if let (Some(root_id), Some(line)) = (root_id, message.log) {
            self.lines.push_back((root_id, line));
            if self.lines.len() > MOST_LINES {
                self.lines.pop_front();
            }
        }
        while self.processes > MOST_PROCESSES && self.roots.len() > 1 {
            let oldest = self.roots.values().min_by_key(|root| root.number).map(|root| root.root_id);
            let Some(oldest) = oldest else { break };
            self.roots.remove(&oldest);
            self.processes -= self.trees.remove(&oldest).map_or(0, |tree| tree.len());
        }
    }

    pub(super) fn answer(&self, question: &Question) -> Facts {
        match question {
            Question::Roots { filter } => self.list_roots(filter),
            Question::Tree { root, limit } => {
                let Some(root) = self.root(root) else { return Facts::default() };
                let mut processes = self.in_order(root.root_id);
                let has_more = processes.len() > *limit;
                processes.truncate(*limit);
                Facts { root: Some(root.clone().into()), has_more, ..of_processes(processes) }
            }
            Question::Found { root, filter } => {
                let Some(root) = self.root(root) else { return Facts::default() };
                let filter = Filter::read(filter, &["state", "name", "kind"]);
                let mut found: Vec<_> = self.tree(root.root_id).filter(|process| keeps(&filter, process)).cloned().collect();
                found.sort_by_key(|process| std::cmp::Reverse(process.started_us));
                bounded(found, Some(root))
            }
            Question::Errors { .. } => self.errors(),
            Question::Workers { .. } => {
                let mut workers: Vec<_> = self.workers.values().collect();
                workers.sort_by_key(|worker| (worker.state.as_str() != "online", std::cmp::Reverse(worker.started_us)));
                Facts::of(workers.into_iter().take(MOST_ROWS).map(|worker| Model::Worker(worker.clone().into())))
            }
            Question::Types { .. } => self.count(|task| task.name.clone()),
            Question::Queues { .. } => self.count(queue),
            Question::Tasks { of, filter } => {
                let is_one = |task: &&Process| match of {
                    TasksOf::Type(name) => task.name == *name,
                    TasksOf::Queue(name) => queue(task) == *name,
                };
                let filter = Filter::read(filter, &["state", "name"]);
                let mut tasks: Vec<_> = self.tasks().filter(is_one).filter(|task| keeps(&filter, task)).cloned().collect();
                tasks.sort_by_key(|task| std::cmp::Reverse(task.started_us));
                bounded(tasks, None)
            }
            Question::Log { root, process, filter } => {
                let Some(root) = self.root(root) else { return Facts::default() };
                let filter = Filter::read(filter, &["level"]);
                let is_meant = |line: &LogEntry| {
                    process.is_none_or(|id| id == line.process_id)
                        && filter.word("level").is_none_or(|level| line.level == level)
                        && contains(&line.message, &filter.text)
                };
                let lines = self.lines.iter().filter(|(of, line)| *of == root.root_id && is_meant(line));
                let lines: Vec<_> = lines.map(|(_, line)| line).collect();
                let skipped = lines.len().saturating_sub(MOST_ROWS);
                let models = lines.into_iter().skip(skipped).map(|line| Model::Line(line.clone().into()));
                Facts { root: Some(root.clone().into()), has_more: skipped > 0, ..Facts::of(models) }
            }
        }
    }

    /// Finds a tree by number or id.
    fn root(&self, typed: &str) -> Option<&Root> {
        let of_id = typed.parse().ok().and_then(|id: RootId| self.roots.get(&id));
        of_id.or_else(|| self.roots.values().find(|root| root.number.to_string() == typed))
    }

    fn tree(&self, root_id: RootId) -> impl Iterator<Item = &Process> {
        self.trees.get(&root_id).into_iter().flat_map(BTreeMap::values)
    }

    fn tasks(&self) -> impl Iterator<Item = &Process> {
        self.trees.values().flat_map(BTreeMap::values).filter(|process| process.kind == Kind::TASK)
    }

    fn list_roots(&self, filter: &str) -> Facts {
        let filter = Filter::read(filter, &["state", "name", "batch"]);
        let is_meant = |root: &&Root| {
            is_state(&filter, &root.state)
                && filter.word("name").is_none_or(|name| root.name == name)
                && filter.word("batch").is_none_or(|batch| root.batch.as_deref() == Some(batch))
                && (contains(&root.title, &filter.text)
                    || root.error.as_ref().is_some_and(|error| contains(&error_line(error), &filter.text)))
        };
        let mut roots: Vec<_> = self.roots.values().filter(is_meant).collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.number));
        let has_more = roots.len() > MOST_ROWS;
        let models = roots.into_iter().take(MOST_ROWS).map(|root| Model::Root(root.clone().into()));
        Facts { has_more, ..Facts::of(models) }
    }

    /// Returns the processes in pre-order, siblings by start time. Processes without a known parent are attached to the first process.
    fn in_order(&self, root_id: RootId) -> Vec<Process> {
        let Some(tree) = self.trees.get(&root_id) else { return Vec::new() };
        let mut all: Vec<_> = tree.values().collect();
        all.sort_by_key(|process| (process.parent_id.is_some(), process.started_us, process.id));
        let Some(top) = all.first().map(|process| process.id) else { return Vec::new() };
        let mut children: BTreeMap<ProcessId, Vec<&Process>> = BTreeMap::new();
        for process in all.iter().skip(1) {
            let parent = process.parent_id.filter(|parent| tree.contains_key(parent)).unwrap_or(top);
            children.entry(parent).or_default().push(process);
        }
        let (mut order, mut todo) = (Vec::with_capacity(all.len()), vec![(0, all[0])]);
        while let Some((depth, process)) = todo.pop() {
            order.push(Process { depth: Some(depth), ..process.clone() });
            // Removed, so that a cycle of parents is not walked twice.
            todo.extend(children.remove(&process.id).into_iter().flatten().rev().map(|child| (depth + 1, child)));
        }
        order
    }

    fn errors(&self) -> Facts {
        let mut alike: BTreeMap<(&str, &str), ErrorStats> = BTreeMap::new();
        for process in self.trees.values().flat_map(BTreeMap::values) {
            let Some(error) = process.error.as_ref().filter(|_| process.state == State::FAILED) else { continue };
            let ended_us = process.ended_us.unwrap_or(0);
            let stats = alike.entry((&process.name, &error.message)).or_insert_with(|| ErrorStats {
                shape: error.message.clone(),
                message: error.message.clone(),
                name: process.name.clone(),
                count: 0,
                last_us: 0,
                root_id: None,
                id: process.id,
            });
            stats.count += 1;
            if ended_us >= stats.last_us {
                (stats.last_us, stats.root_id, stats.id) = (ended_us, Some(process.root_id), process.id);
            }
        }
        let mut alike: Vec<_> = alike.into_values().collect();
        alike.sort_by_key(|error| std::cmp::Reverse(error.count));
        Facts::of(alike.into_iter().take(MOST_ROWS).map(|error| Model::Error(error.into())))
    }

    fn count(&self, word: impl Fn(&Process) -> String) -> Facts {
        let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for task in self.tasks() {
            *counts.entry(word(task)).or_default().entry(task.state.as_str().to_owned()).or_default() += 1;
        }
        Facts::of(counts.into_iter().map(|(name, states)| Model::Counts(QueueCounts { name, states }.into())))
    }
}

fn of_processes(processes: impl IntoIterator<Item = Process>) -> Facts {
    Facts::of(processes.into_iter().map(|process| Model::Process(process.into())))
}

fn bounded(mut processes: Vec<Process>, root: Option<&Root>) -> Facts {
    let has_more = processes.len() > MOST_ROWS;
    processes.truncate(MOST_ROWS);
    Facts { has_more, root: root.map(|root| root.clone().into()), ..of_processes(processes) }
}

fn queue(task: &Process) -> String {
    task.task.as_ref().and_then(|task| task.queue.clone()).unwrap_or_default()
}

fn is_state(filter: &Filter, state: &State) -> bool {
    filter.word("state").is_none_or(|states| states.split(',').any(|word| word == state.as_str()))
}

fn keeps(filter: &Filter, process: &Process) -> bool {
    is_state(filter, &process.state)
        && filter.word("name").is_none_or(|name| process.name == name)
        && filter.word("kind").is_none_or(|kind| process.kind.as_str() == kind)
        && (contains(&process.name, &filter.text) || process.error.as_ref().is_some_and(|error| contains(&error_line(error), &filter.text)))
}

fn contains(text: &str, wanted: &str) -> bool {
    wanted.is_empty() || text.to_lowercase().contains(&wanted.to_lowercase())
}
