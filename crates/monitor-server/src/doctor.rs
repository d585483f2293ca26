//! Diagnosis of processes that have lost their parents: the processes that ran when they began, and the likely fix.

use monitor_store::{ProcessesQuery, Queries, RootKey, RootsQuery, StoreError};
use monitor_wire::{Attachment, Diagnosis, Finding, Fix, Likely, Loss, Process, ProcessId, Root, Worker};
use std::fmt::Write as _;

/// Number of processes of a run that are read at a time.
const CHUNK: usize = 10_000;
/// Maximum number of processes that are read. A larger run is examined in part.
const MOST_LOOKED_AT: usize = 1_000_000;
/// Maximum number of runs of a worker that are searched for a parent.
const MOST_TREES: usize = 50;
/// Maximum number of processes that are searched per run, latest start first.
const MOST_OF_TREE: usize = 200;
/// Maximum number of likely parents in a finding.
const MOST_LIKELY: usize = 5;

/// Request for a diagnosis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    /// Run to examine. `None` examines the newest runs.
    pub root: Option<RootKey>,
    /// Process of the run to examine. `None` examines all.
    pub process: Option<ProcessId>,
    /// Maximum number of findings.
    pub limit: usize,
}

/// Finds processes without parents. Returns `None` if the run or the process does not exist.
pub(crate) fn diagnose(store: &dyn Queries, question: Question) -> Result<Option<Diagnosis>, StoreError> {
    let Question { root, process, limit } = question;
    let Some(key) = root else { return newest(store, limit).map(Some) };
    let Some(root) = store.root(key)? else { return Ok(None) };
    let (mut lost, more) = match process {
        Some(id) => {
            let Some(process) = store.process(key, id)? else { return Ok(None) };
            (vec![process], false)
        }
        None => in_tree(store, key, limit)?,
    };
    lost.retain(|process| loss(process).is_some());
    let findings = lost.into_iter().map(|process| finding(store, &root, process)).collect::<Result<_, _>>()?;
    Ok(Some(Diagnosis { findings, more }))
}

/// Examines the newest runs whose root's own process began without a context.
fn newest(store: &dyn Queries, limit: usize) -> Result<Diagnosis, StoreError> {
    let page = store.roots(&RootsQuery { unattached: Some(true), limit, ..RootsQuery::default() })?;
    let mut findings = Vec::new();
    for root in &page.roots {
        let own = store.tree(RootKey::Id(root.root_id), 1, None)?.and_then(|page| page.processes.into_iter().next());
        if let Some(process) = own.filter(|process| loss(process).is_some()) {
            findings.push(finding(store, root, process)?);
        }
    }
    Ok(Diagnosis { findings, more: page.next_cursor.is_some() })
}

/// Returns processes of a run without parents, and true if there may be more.
fn in_tree(store: &dyn Queries, root: RootKey, limit: usize) -> Result<(Vec<Process>, bool), StoreError> {
    let (mut lost, mut cursor, mut looked_at) = (Vec::new(), None::<String>, 0);
    loop {
        let mut next = None;
        store.read_tree(root, CHUNK, cursor.as_deref(), &mut |page, processes| {
            next = page.next_cursor;
            for process in processes {
                looked_at += 1;
                if loss(&process).is_some() && lost.len() <= limit {
                    lost.push(process);
                }
            }
        })?;
        if lost.len() > limit {
            lost.truncate(limit);
            return Ok((lost, true));
        }
        let is_large = looked_at >= MOST_LOOKED_AT;
        if next.is_none() || is_large {
            return Ok((lost, is_large && next.is_some()));
        }
        cursor = next;
    }
}

fn loss(process: &Process) -> Option<Loss> {
    // An unattached process has no parent, or is below the calls without a run.
    if process.attachment == Attachment::UNATTACHED {
        return Some(Loss::UNATTACHED);
    }
    (process.orphan && process.parent_id.is_some()).then_some(Loss::ORPHAN)
}

fn finding(store: &dyn Queries, root: &Root, mut process: Process) -> Result<Finding, StoreError> {
    // Only lists of a tree contain the depth.
    process.depth = None;
    let loss = loss(&process).unwrap_or(Loss::ORPHAN);
    let likely = likely(store, root, &process)?;
    let worker = process.worker_id.map(|id| store.worker(id)).transpose()?.flatten();
    let (fix, line) = fix(&process, &loss, &likely);
    let words = words(&process, worker.as_ref(), &likely, (&fix, line.as_deref()));
    Ok(Finding { title: root.title.clone(), process, loss, likely, fix, line, words })
}

/// Returns processes of the same worker that ran when a process began. Latest starts come first, because these are the deepest. Processes
/// of other runs without a parent come last.
fn likely(store: &dyn Queries, own: &Root, lost: &Process) -> Result<Vec<Likely>, StoreError> {
    let (Some(began_us), Some(worker)) = (lost.started_us, lost.worker_id) else { return Ok(Vec::new()) };
    let started_before = Some(began_us.saturating_add(1));
    let of_worker = RootsQuery { workers: vec![worker], started_before, limit: MOST_TREES, ..RootsQuery::default() };
    let mut found = Vec::new();
    for root in store.roots(&of_worker)?.roots {
        let is_own = root.root_id == own.root_id;
        // Processes in the lost process's own run were started below it, unless the run has a parent with another name.
        if is_own && lost.attachment == Attachment::UNATTACHED || root.ended_us.is_some_and(|ended| ended < began_us) {
            continue;
        }
        let key = RootKey::Id(root.root_id);
        let began =
            ProcessesQuery { root: Some(key), worker: Some(worker), started_before, limit: MOST_OF_TREE, ..ProcessesQuery::default() };
        let mut processes = store.processes(&began)?.processes;
        if processes.len() == MOST_OF_TREE
            && let Some(first) = store.tree(key, 1, None)?
        {
            processes.extend(first.processes);
        }
        let ran = |process: &Process| {
            let has_begun = process.started_us.is_some_and(|started| started <= began_us);
            has_begun
                && process.ended_us.is_none_or(|ended| ended >= began_us)
                && (process.root_id, process.id) != (lost.root_id, lost.id)
                && process.fold.is_none()
        };
        let title = &root.title;
        let running = processes.into_iter().filter(ran).map(|process| (root.unattached, Likely { process, title: title.clone() }));
        found.extend(running);
    }
    found.sort_by_key(|(is_unattached, likely)| (*is_unattached, std::cmp::Reverse(likely.process.started_us)));
    found.dedup_by_key(|(_, likely)| (likely.process.root_id, likely.process.id));
    found.truncate(MOST_LIKELY);
    Ok(found.into_iter().map(|(_, likely)| likely).collect())
}

/// Returns the kind of fix and the line of code to write.
fn fix(lost: &Process, how: &Loss, likely: &[Likely]) -> (Fix, Option<String>) {
    let name = called(&lost.name);
    if *how == Loss::ORPHAN {
        return (Fix::TELL_PARENT, None);
    }
    let Some(parent) = likely.first() else { return (Fix::BEGIN, Some("#[monitor_client::root_task]".to_owned())) };
    let thread = lost.thread.as_deref().unwrap_or_default();
    if thread.starts_with("tokio-") {
        (Fix::TOKIO_SPAWN, Some(format!("monitor_client::tokio::spawn({name}(…))")))
    } else if lost.thread.is_some() && lost.thread == parent.process.thread {
        (Fix::IN_CURRENT, Some(format!("{name}(…).in_current()")))
    } else {
        (Fix::SPAWN_THREAD, Some(format!("monitor_client::spawn_thread(move || {name}(…))")))
    }
}

/// Returns the process's name if it can be the name of a function, for use in the line of code.
fn called(name: &str) -> &str {
    let is_path = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
    if is_path { name } else { "work" }
}

fn words(lost: &Process, worker: Option<&Worker>, likely: &[Likely], (fix, line): (&Fix, Option<&str>)) -> String {
    let of = worker.map(|worker| format!(" of {}", worker.program)).unwrap_or_default();
    let mut words = format!("`{}`{}{}{of} began without a parent. ", lost.name, place(lost), on_thread(lost));
    if *fix == Fix::TELL_PARENT {
        words = format!("`{}`{}{}{of} names a parent that the server doesn't know", lost.name, place(lost), on_thread(lost));
        words.extend(lost.parent_id.map(|parent| format!(", {parent}")));
        words.push_str(": its program has not told of it yet, had to drop it, or isn't monitored. ");
    }
    match likely.first() {
        Some(Likely { process, title }) => {
            let (place, thread) = (place(process), on_thread(process));
            let _ = write!(words, "Likely its parent is `{}`{place} in {title}, which ran then{thread}. ", process.name);
        }
        None => words.push_str("Nothing else of its program was running then, as far as the server knows. "),
    }
    let line = line.unwrap_or_default();
    let advice = match fix {
        fix if *fix == Fix::TOKIO_SPAWN => {
            format!("Where its task is started, write `{line}`; for a closure `monitor_client::spawn_blocking`.")
        }
        fix if *fix == Fix::IN_CURRENT => format!("Where its future is handed on, write `{line}`."),
        fix if *fix == Fix::SPAWN_THREAD => format!("Where its thread is started, write `{line}`."),
        fix if *fix == Fix::BEGIN => format!("If it is to begin a tree, write `{line}` on it; else give its caller an attribute."),
        _ => "Look at what its worker dropped, and whether the parent's program sends what it records.".to_owned(),
    };
    words.push_str(&advice);
    words
}

fn place(process: &Process) -> String {
    process.source.as_ref().map(|source| format!(" ({}:{})", source.file, source.line)).unwrap_or_default()
}

fn on_thread(process: &Process) -> String {
    process.thread.as_ref().map(|thread| format!(" on thread {thread}")).unwrap_or_default()
}
