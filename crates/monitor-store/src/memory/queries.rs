//! Queries. Each answer is computed from all facts.

use std::collections::BTreeMap;

use monitor_state::WorkerStatus;
use monitor_wire::{
    CausesPage, Counts, Dropped, ErrorsPage, LinkFrom, LinkedFrom, LogsPage, Process, ProcessId, ProcessesPage, Root, RootId, RootMark,
    RootName, RootNamesPage, RootsPage, State as ProcessState, StatsPage, StatsSeries, Status, TreePage, Worker, WorkerCounts, WorkerId,
    WorkersPage,
};

use super::trees::Shown;
use super::{MemoryStore, Seen, State, contains, page_of};
use crate::{
    CausesQuery, Cursor, ErrorsQuery, Logged, LogsQuery, MOST_LINKED, Models, NameTotals, Outline, ProcessesQuery, Queries, ReadTree,
    RootKey, RootSort, RootsQuery, SeriesQuery, Standing, StatsQuery, StoreError, Subject, TreeColumns,
};

/// Maximum number of roots listed per name.
const MARKS: usize = 30;

impl Queries for MemoryStore {
    fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn status(&self) -> Result<Status, StoreError> {
        let state = self.state();
        let (mut roots, mut processes, mut workers) = (Counts::default(), Counts::default(), WorkerCounts::default());
        for shown in state.all() {
            *roots.of(&shown.root.state) += 1;
            shown.processes.iter().for_each(|process| *processes.of(&process.state) += 1);
        }
        for (_, facts) in state.facts.workers() {
            let count = match facts.status() {
                WorkerStatus::Online => &mut workers.online,
                WorkerStatus::Lost => &mut workers.lost,
                WorkerStatus::Offline { .. } => &mut workers.offline,
            };
            *count += 1;
        }
        Ok(Status {
            as_of: state.seq,
            events: state.events,
            unknown_events: state.facts.unknown().clone(),
            roots,
            failing_names: state.failing_names(),
            processes,
            workers,
            dropped: state.dropped(|_| true, i64::MAX as u64),
            stream_log_bytes: state.pieces.iter().map(|piece| piece.bytes.len() as u64).sum(),
            stream_log_from: state.pieces.first().map(|piece| piece.first),
            ..Status::default()
        })
    }

    fn root(&self, root: RootKey) -> Result<Option<Root>, StoreError> {
        Ok(self.shown(root).map(|shown| shown.root))
    }

    fn newest_us(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.state().trees.values().next_back().map(|tree| tree.heard_us))
    }

    fn is_dropped(&self, number: u64) -> Result<bool, StoreError> {
        let state = self.state();
        Ok((1..=state.last_number).contains(&number) && !state.trees.contains_key(&number))
    }

    fn roots(&self, query: &RootsQuery) -> Result<RootsPage, StoreError> {
        let state = self.state();
        let at = |root: &Root| [state.begun_us(root), root.number];
        let mut all: Vec<Root> = state.all().map(|shown| shown.root).filter(|root| is_wanted(root, query)).collect();
        all.sort_by_key(at);
        let is_newest = query.sort == RootSort::Newest;
        if is_newest {
            all.reverse();
        }
        let is_behind = |place, from| if is_newest { place < from } else { place > from };
        let (mut roots, _) = page_of(all, usize::MAX, query.cursor.as_deref(), at, is_behind)?;
        roots.drain(..query.offset.min(roots.len()));
        let (roots, next_cursor) = page_of(roots, query.limit, None, at, is_behind)?;
        Ok(RootsPage { roots, next_cursor, as_of: state.seq })
    }

    fn root_names(&self, text: Option<&str>, limit: usize, cursor: Option<&str>) -> Result<RootNamesPage, StoreError> {
        let state = self.state();
        let at = |root: &Root| [state.begun_us(root), root.number];
        let mut roots: Vec<Root> = state.all().map(|shown| shown.root).collect();
        roots.retain(|root| text.is_none_or(|text| contains(&root.name, text)));
        roots.sort_by_key(|root| std::cmp::Reverse(at(root)));
        let mut names: Vec<([u64; 2], RootName)> = Vec::new();
        for root in roots {
            let place = names.iter().position(|(_, name)| name.name == root.name).unwrap_or_else(|| {
                names.push((at(&root), RootName { name: root.name.clone(), counts: Counts::default(), roots: Vec::new() }));
                names.len() - 1
            });
            let name = &mut names[place].1;
            *name.counts.of(&root.state) += 1;
            let Root { root_id, number, state, started_us, elapsed_ns, .. } = root;
            name.roots.push(RootMark { root_id, number, state, started_us, elapsed_ns });
            name.roots.truncate(MARKS);
        }
        let (names, next_cursor) = page_of(names, limit, cursor, |(place, _)| *place, |place, from| place < from)?;
        Ok(RootNamesPage { names: names.into_iter().map(|(_, name)| name).collect(), next_cursor, as_of: state.seq })
    }

    fn read_tree(&self, root: RootKey, limit: usize, cursor: Option<&str>, read: ReadTree<'_>) -> Result<bool, StoreError> {
        let state = self.state();
        let Some(Shown { root, processes, order, .. }) = state.number(root).and_then(|number| state.show(number)) else { return Ok(false) };
        let begin = match cursor {
            None => 0,
            Some(cursor) => {
                let place = cursor.parse().ok().and_then(|last| processes.iter().position(|process| process.id == last));
                place.ok_or_else(|| StoreError::Cursor { cursor: cursor.to_owned() })? + 1
            }
        };
        let shown: Vec<Process> = processes[begin..].iter().take(limit).cloned().collect();
        let head = TreePage {
            processes: Vec::new(),
            ignored_parents: order.ignored_parents as u64,
            deep_parents: order.deep_parents as u64,
            dropped: state.dropped(|of| of == Some(root.root_id), u64::MAX),
            next_cursor: shown.last().filter(|_| begin + shown.len() < processes.len()).map(|last| last.id.to_string()),
            as_of: state.seq,
            root,
        };
        read(head, &mut shown.into_iter());
        Ok(true)
    }

    fn tree_columns(&self, root: RootKey) -> Result<Option<TreeColumns>, StoreError> {
        let state = self.state();
        let shown = state.number(root).and_then(|number| state.show(number));
        Ok(shown.map(|shown| {
            let dropped = state.dropped(|of| of == Some(shown.root.root_id), u64::MAX);
            shown.columns(dropped, state.seq)
        }))
    }

    fn outline(&self, root: RootKey) -> Result<Option<Outline>, StoreError> {
        Ok(self.shown(root).map(|shown| {
            let standing = shown.order.placed.iter().map(|place| {
                let node = shown.nodes[place.index as usize];
                Standing { id: node.id, at_us: node.at_us, depth: place.depth, is_orphan: place.is_orphan }
            });
            Outline { standing: standing.collect(), root: shown.root }
        }))
    }

    fn some_processes(&self, root: RootKey, ids: &[ProcessId]) -> Result<Vec<(usize, Process)>, StoreError> {
        let mut found = Vec::new();
        for (place, id) in ids.iter().enumerate() {
            let process = self.process(root, *id)?;
            found.extend(process.map(|process| (place, Process { orphan: false, ..process })));
        }
        Ok(found)
    }

    fn process(&self, root: RootKey, id: ProcessId) -> Result<Option<Process>, StoreError> {
        let found = self.shown(root).and_then(|shown| shown.processes.into_iter().find(|process| process.id == id));
        Ok(found.map(|process| Process { depth: None, ..process }))
    }

    fn linked_from(&self, root: RootId, id: ProcessId, limit: usize) -> Result<LinkedFrom, StoreError> {
        let state = self.state();
        let mut found = LinkedFrom::default();
        for (_, process) in state.listed() {
            let mut links = process.links.iter().filter(|link| (link.root_id, link.id) == (root, id)).peekable();
            if process.root_id == root || links.peek().is_none() || found.count == MOST_LINKED as u64 {
                continue;
            }
            found.count += 1;
            if found.count <= limit as u64 {
                let title = state.number(RootKey::Id(process.root_id)).and_then(|number| state.show(number)).map(|shown| shown.root.title);
                found.links.extend(links.map(|link| LinkFrom {
                    root_id: process.root_id,
                    title: title.clone().unwrap_or_default(),
                    id: process.id,
                    name: process.name.clone(),
                    state: process.state.clone(),
                    relation: link.relation.clone(),
                }));
            }
        }
        Ok(found)
    }

    fn processes_of_ids(&self, ids: (ProcessId, ProcessId), limit: usize) -> Result<ProcessesPage, StoreError> {
        let state = self.state();
        let mut processes: Vec<Process> = state.listed().into_iter().map(|(_, process)| process).collect();
        processes.retain(|process| (ids.0.get()..=ids.1.get()).contains(&process.id.get()));
        processes.truncate(limit);
        Ok(ProcessesPage { processes, next_cursor: None, as_of: state.seq })
    }

    fn processes(&self, query: &ProcessesQuery) -> Result<ProcessesPage, StoreError> {
        let state = self.state();
        let of = query.root.map(|root| state.number(root).unwrap_or_default());
        let mut listed = state.listed();
        listed.retain(|([number, at_us, _], process)| {
            of.is_none_or(|of| of == *number)
                && query.native_id.as_ref().is_none_or(|id| process.native_id.as_ref() == Some(id))
                && query.kind.as_ref().is_none_or(|kind| process.kind == *kind)
                && query.name.as_ref().is_none_or(|name| process.name == *name)
                && query.worker.is_none_or(|worker| process.worker_id == Some(worker))
                && (query.states.is_empty() || query.states.contains(&process.state))
                && query.started_after.is_none_or(|after| *at_us >= after)
                && query.started_before.is_none_or(|before| *at_us < before)
                && query.text.as_ref().is_none_or(|text| {
                    let batch = state.facts.process(process.root_id, process.id).and_then(|facts| facts.batch());
                    let error = process.error.as_ref().map(|error| &*error.message);
                    [Some(&*process.name), batch, error].into_iter().flatten().any(|of| contains(of, text))
                })
        });
        let (listed, next_cursor) = page_of(listed, query.limit, query.cursor.as_deref(), |(place, _)| *place, |place, from| place < from)?;
        Ok(ProcessesPage { processes: listed.into_iter().map(|(_, process)| process).collect(), next_cursor, as_of: state.seq })
    }

    fn logs(&self, root: RootKey, query: &LogsQuery) -> Result<Option<LogsPage>, StoreError> {
        self.logs_page(root, query)
    }

    fn workers(&self, limit: usize, cursor: Option<&str>) -> Result<WorkersPage, StoreError> {
        let state = self.state();
        let mut all: Vec<_> = (1..).zip(&state.workers).filter_map(|(place, seen)| Some((place, state.worker(seen)?))).collect();
        all.reverse();
        let (workers, next_cursor) = page_of(all, limit, cursor, |(place, _)| [*place], |place, from| place < from)?;
        Ok(WorkersPage { workers: workers.into_iter().map(|(_, worker)| worker).collect(), next_cursor, as_of: state.seq })
    }

    fn online(&self) -> Result<Vec<(WorkerId, u64)>, StoreError> {
        let state = self.state();
        let is_watched = |seen: &&Seen| {
            let facts = state.facts.workers().find(|(id, _)| *id == seen.id).map(|(_, facts)| facts);
            facts.is_some_and(|facts| facts.status() == WorkerStatus::Online && facts.heartbeat_interval_ms().is_some())
        };
        Ok(state.workers.iter().filter(is_watched).map(|seen| (seen.id, seen.last_seen_us)).collect())
    }

    fn running_in(&self, root: RootKey, workers: &[WorkerId]) -> Result<Vec<WorkerId>, StoreError> {
        let state = self.state();
        let Some(number) = state.number(root) else { return Ok(Vec::new()) };
        let is_open = |process: &Process| [monitor_wire::State::RUNNING, monitor_wire::State::PENDING].contains(&process.state);
        let open = state.listed().into_iter().filter(|([of, ..], process)| *of == number && is_open(process));
        let open: Vec<_> = open.filter_map(|(_, process)| process.worker_id).collect();
        Ok(workers.iter().copied().filter(|worker| open.contains(worker)).collect())
    }

    fn worker(&self, id: WorkerId) -> Result<Option<Worker>, StoreError> {
        let state = self.state();
        let Some(seen) = state.workers.iter().find(|seen| seen.id == id) else { return Ok(None) };
        let facts = state.facts.workers().find(|(of, _)| *of == id).map(|(_, facts)| facts);
        let registered = facts.and_then(|facts| facts.online()).map(|announced| announced.registered.clone());
        Ok(state.worker(seen).map(|worker| Worker { registered: registered.unwrap_or_default(), events: seen.events.clone(), ..worker }))
    }

    fn stats(&self, query: &StatsQuery) -> Result<StatsPage, StoreError> {
        self.stats_by_name(query)
    }

    fn stats_series(&self, query: &SeriesQuery) -> Result<StatsSeries, StoreError> {
        Ok(self.series(query))
    }

    fn stats_errors(&self, query: &ErrorsQuery) -> Result<ErrorsPage, StoreError> {
        Ok(self.errors(query))
    }

    fn stats_causes(&self, query: &CausesQuery) -> Result<CausesPage, StoreError> {
        Ok(self.causes(query))
    }

    fn name_totals(&self, most: usize) -> Result<Vec<NameTotals>, StoreError> {
        Ok(self.totals(most))
    }

    fn logged(&self, after: u64) -> Result<Option<Logged>, StoreError> {
        let state = self.state();
        let piece = state.pieces.iter().find(|piece| (piece.first..=piece.last).contains(&(after.saturating_add(1))));
        Ok(piece.map(|piece| Logged::read(&piece.bytes, piece.first, piece.last).expect("it was written here")))
    }

    fn models(&self, of: &[Subject]) -> Result<(Vec<Models>, u64), StoreError> {
        let state = self.state();
        let model = |of: &Subject| {
            let shown = of.root_id.and_then(|id| state.show(state.number(RootKey::Id(id))?));
            let process = shown.as_ref().zip(of.process_id).and_then(|(shown, id)| shown.processes.iter().find(|process| process.id == id));
            let process = process.map(|process| Process { depth: None, ..process.clone() });
            let worker = of.worker_id.and_then(|id| state.worker(state.workers.iter().find(|seen| seen.id == id)?));
            Models { process, worker, root: shown.map(|shown| shown.root) }
        };
        Ok((of.iter().map(model).collect(), state.seq))
    }

    fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError> {
        let state = self.state();
        let oldest = state.pieces.first().map(|piece| piece.first);
        let is_behind = |seq: u64| seq < state.seq && oldest.is_none_or(|oldest| oldest > seq + 1);
        Ok(state.cursors.get(name).map(|seq| Cursor { seq: *seq, is_behind: is_behind(*seq) }))
    }
}

impl MemoryStore {
    fn shown(&self, root: RootKey) -> Option<Shown> {
        let state = self.state();
        state.show(state.number(root)?)
    }
}

impl State {
    /// Returns all processes with their positions: newest trees first, and newest processes first within a tree.
    fn listed(&self) -> Vec<([u64; 3], Process)> {
        let of = |shown: Shown| {
            let at = |process: &Process| self.facts.process(process.root_id, process.id).expect("it is shown").at_us();
            let number = shown.root.number;
            shown.processes.into_iter().map(move |process| ([number, at(&process), process.id.get()], Process { depth: None, ..process }))
        };
        let mut listed: Vec<_> = self.all().flat_map(of).collect();
        listed.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        listed
    }

    /// Number of names whose newest ended root failed or was lost.
    fn failing_names(&self) -> u64 {
        let open = [ProcessState::PENDING, ProcessState::RUNNING, ProcessState::RETRYING];
        let mut ended: Vec<_> = self.all().map(|shown| shown.root).filter(|root| !open.contains(&root.state)).collect();
        ended.sort_by_key(|root| (self.begun_us(root), root.number));
        let newest: BTreeMap<_, _> = ended.into_iter().map(|root| (root.name, root.state)).collect();
        newest.values().filter(|state| [ProcessState::FAILED, ProcessState::LOST].contains(*state)).count() as u64
    }

    /// Sums the dropped events of all workers by event type and reason, for the trees that `is_of` selects. Sums are limited to `most`.
    fn dropped(&self, is_of: impl Fn(Option<RootId>) -> bool, most: u64) -> Vec<Dropped> {
        let mut sums = BTreeMap::<(String, String), (Option<RootId>, u64)>::new();
        for ((event_type, reason, root), count) in self.workers.iter().flat_map(|seen| &seen.dropped).filter(|((.., root), _)| is_of(*root))
        {
            let sum = sums.entry((event_type.clone(), reason.clone())).or_default();
            *sum = (if most == u64::MAX { *root } else { None }, sum.1.saturating_add(*count).min(most));
        }
        let dropped = |((event_type, reason), (root_id, count))| Dropped { event_type, reason, root_id, count };
        sums.into_iter().map(dropped).collect()
    }
}

/// Returns true if a root matches all filters of a query.
fn is_wanted(root: &Root, query: &RootsQuery) -> bool {
    (query.states.is_empty() || query.states.contains(&root.state))
        && query.name.as_ref().is_none_or(|name| root.name == *name)
        && query.batch.as_ref().is_none_or(|batch| root.batch.as_ref() == Some(batch))
        && (query.workers.is_empty() || root.worker_id.is_some_and(|worker| query.workers.contains(&worker)))
        && query.unattached.is_none_or(|unattached| root.unattached == unattached)
        && query.started_after.is_none_or(|after| root.started_us.is_some_and(|started| started >= after))
        && query.started_before.is_none_or(|before| root.started_us.is_some_and(|started| started < before))
        && query.text.as_ref().is_none_or(|text| shows(root, text))
}

/// Returns true if the name, batch mark or error of a root contains `text`, or if `text` is its title, the mark in its title, its number
/// or at least the first four characters of its id.
fn shows(root: &Root, text: &str) -> bool {
    let line = root.error.as_ref().map(|error| format!("{}\n{}", error.links().join(": "), error.tail.as_deref().unwrap_or_default()));
    let is_id = text.len() >= 4 && root.root_id.to_string().starts_with(&text.to_lowercase());
    let is_number = text.strip_prefix('#').unwrap_or(text).parse() == Ok(root.number);
    let mark = root.title.rsplit_once('<').map(|(_, mark)| format!("<{mark}")).unwrap_or_default();
    let has = |of: &str| contains(of, text);
    has(&root.name)
        || root.batch.as_deref().is_some_and(has)
        || line.as_deref().is_some_and(has)
        || is_number
        || is_id
        || text.eq_ignore_ascii_case(&mark)
        || text == root.title
}
