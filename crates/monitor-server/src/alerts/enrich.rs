//! Adds stored context to signs and messages: the processes above the failed one, the owner of its task, its last log lines, and a link to
//! the page.

use std::collections::BTreeMap;

use monitor_alerts::{Alert, Cause, Facts, GoodRun, Message, MessageKind, PublishedChange, Sign, Subject, SubjectKind, What};
use monitor_store::{BatchRunsQuery, LogsQuery, PAST, RootKey, Store, StoreError, diff, is_alert, owners, shape, usual_ns};
use monitor_wire::{BatchRun, ProcessId, RootId, State};

/// Maximum number of ancestors to add.
const MOST_ANCESTORS: usize = 32;
/// Maximum number of failures per subject whose ancestors are looked up at a time.
const MOST_LOOKED_UP: usize = 20;
/// Maximum time that a notification waits until its run is known, in microseconds.
const PATIENCE_US: u64 = 5_000_000;
/// Number of last log lines to add.
const LINES: usize = 10;
/// Maximum length of a log line, in characters.
const LONGEST_LINE: usize = 500;
/// Maximum number of lines of the difference between two definitions.
const CHANGES: usize = 10;
/// Maximum length of such a line, in characters.
const LONGEST_CHANGE: usize = 120;
/// Number of a task's last failed runs that are searched for the same error.
const FAILED: usize = 20;

/// Adds the ancestors to signs of failures, and the originating run to notifications. Data that can't be read is omitted.
///
/// The program that notifies may be faster than its run's launcher. A notification of an unknown run therefore waits for up to
/// [`PATIENCE_US`], and so do the signs after it, because signs are processed in order. The waiting signs are removed from `signs`. Returns
/// true if there are any.
pub(super) fn signs(store: &dyn Store, signs: &mut Vec<Sign>, now_us: u64) -> bool {
    let mut counts = BTreeMap::<Subject, usize>::new();
    for sign in signs.iter_mut().filter(|sign| matches!(sign.what, What::Cause(Cause::Failed | Cause::Lost | Cause::Timeout))) {
        // If a subject has many failures, only the first [`MOST_LOOKED_UP`] are looked up. The others are counted together with these.
        let count = counts.entry(sign.subject.clone()).or_default();
        *count += 1;
        if *count > MOST_LOOKED_UP {
            continue;
        }
        let Some((root, mut id)) = place(sign.root.as_deref(), sign.process.as_deref()) else { continue };
        while let Ok(Some(process)) = store.process(RootKey::Id(root), id)
            && let Some(parent) = process.parent_id
            && sign.ancestors.len() < MOST_ANCESTORS
        {
            sign.ancestors.push(parent.to_string());
            id = parent;
        }
    }
    for number in 0..signs.len() {
        let sign = &mut signs[number];
        if sign.what != What::Cause(Cause::Notified) {
            continue;
        }
        let Some((root, _)) = place(sign.root.as_deref(), sign.process.as_deref()) else { continue };
        let run = store.tree(RootKey::Id(root), 1, None).ok().flatten().and_then(|page| page.processes.into_iter().next());
        let Some(run) = run.filter(|run| !run.name.is_empty()) else {
            // The absolute difference is used so that a clock that is set back does not block the signs.
            if now_us.abs_diff(sign.time_us) < PATIENCE_US {
                signs.truncate(number);
                return true;
            }
            continue;
        };
        let text = |key: &str| run.fields.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        sign.facts.trigger = text("task.by").filter(|by| is_alert(by)).map(|_| "alert".to_owned());
        let Some(Ok(Some(task))) = text("task.name").map(|task| store.batch_task(&task)) else { continue };
        (sign.facts.owner, sign.facts.owners) = owners(&task.definition);
        (sign.facts.run, sign.facts.machine) = (run.native_id.clone().or_else(|| text("task.run")), text("task.agent"));
        sign.facts.path = vec![task.name];
    }
    false
}

/// Adds context to messages for their recipients.
pub(super) fn messages(store: &dyn Store, page_url: &str, messages: &mut [Message]) {
    let mut last: Option<(u64, Facts)> = None;
    for message in messages {
        // All recipients of an alert get the same context.
        if let Some((_, facts)) = last.as_ref().filter(|(alert, _)| *alert == message.alert && *alert > 0) {
            message.facts = facts.clone();
            continue;
        }
        let is_over = message.kind == MessageKind::Resolved;
        facts_of(store, page_url, &message.subject, is_over, &mut message.facts);
        last = Some((message.alert, message.facts.clone()));
    }
}

/// Adds the same context to an alert as to its messages.
pub(crate) fn alert(store: &dyn Store, page_url: &str, alert: &mut Alert) {
    facts_of(store, page_url, &alert.subject, false, &mut alert.facts);
}

/// Adds context to the facts about a subject. Data that can't be read is omitted.
fn facts_of(store: &dyn Store, page_url: &str, subject: &Subject, is_over: bool, facts: &mut Facts) {
    if subject.kind == SubjectKind::Task && !is_over {
        let _ = past(store, &subject.name, facts);
    }
    let Some((root, id)) = place(facts.root_id.as_deref(), facts.process_id.as_deref()) else {
        facts.link = Some(page_url.to_owned());
        return;
    };
    let page = page_url.trim_end_matches('/');
    facts.link = Some(match facts.job {
        Some(job) => format!("{page}/jobs?job={job}"),
        None => format!("{page}/{root}"),
    });
    let mut names = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next.filter(|_| names.len() < MOST_ANCESTORS) {
        let Ok(Some(process)) = store.process(RootKey::Id(root), id) else { break };
        names.push(process.name);
        next = process.parent_id;
    }
    names.reverse();
    facts.path = names;
    let query = LogsQuery { process: Some(id), without_levels: &[], text: None, is_newest_first: true, limit: LINES, cursor: None };
    if let Ok(Some(page)) = store.logs(RootKey::Id(root), &query) {
        let lines = page.logs.into_iter().rev().map(|entry| entry.message.chars().take(LONGEST_LINE).collect());
        facts.lines = lines.collect();
    }
}

/// Adds the history of a run's task to its facts: the usual duration, the changes since the last successful run, and if the error is new.
fn past(store: &dyn Store, task: &str, facts: &mut Facts) -> Result<(), StoreError> {
    let (Some(run), Some(due_us)) = (&facts.run, facts.due_us) else { return Ok(()) };
    let before = |outcome: State, limit: usize| {
        let (task, to_us) = (Some(task.to_owned()), Some(due_us.saturating_add(1)));
        let runs = store.batch_runs(&BatchRunsQuery { task, to_us, outcome: Some(outcome), limit, ..BatchRunsQuery::default() })?.runs;
        Ok::<Vec<BatchRun>, StoreError>(runs.into_iter().filter(|of| of.run != *run).collect())
    };
    let good = before(State::SUCCEEDED, PAST)?;
    facts.usual_ns = facts.usual_ns.or_else(|| usual_ns(good.iter().filter_map(|run| run.elapsed_ns).collect()));
    let Some(last) = good.into_iter().next() else { return Ok(()) };
    if let Some(shape_now) = &facts.shape {
        let failed = before(State::FAILED, FAILED)?;
        let seen = failed.into_iter().find(|run| run.error.as_deref().is_some_and(|error| shape(error) == **shape_now));
        facts.is_new_error = seen.is_none();
        facts.error_seen_us = seen.map(|run| run.ended_us.unwrap_or(run.due_us));
    }
    let is_over = facts.ended_us.is_some();
    if let Some((root, id)) = place(facts.root_id.as_deref(), facts.process_id.as_deref()).filter(|_| is_over) {
        let is = published(store, root, id)?;
        let was = published(store, last.root_id, last.process_id)?.into_iter();
        let changed = was.filter(|(target, was)| is.get(target) != Some(was));
        let changed = changed.map(|(target, was)| PublishedChange { is: is.get(&target).copied(), target, was });
        facts.published = changed.take(CHANGES).collect();
    }
    let version = facts.version.filter(|version| *version != last.version);
    facts.good = Some(GoodRun { run: last.run, version: last.version, ended_us: last.ended_us, elapsed_ns: last.elapsed_ns });
    if let Some(version) = version {
        let versions = store.batch_versions(task)?;
        let of = |version: u64| versions.iter().find(|of| of.version == version).map(|of| &of.definition);
        if let Some((was, is)) = of(last.version).zip(of(version)) {
            // Environment variables may contain secrets, so only the fact that they changed is added.
            let lines = diff(Some(was), is).into_iter().map(|line| match line.split_once(" = ") {
                Some((name, _)) if name.ends_with(" env") => format!("{name} = …"),
                _ => line.chars().take(LONGEST_CHANGE).collect(),
            });
            facts.changes = lines.take(CHANGES).collect();
        }
    }
    Ok(())
}

/// Returns the number of files that a run has published to each target. `monitor publish` records it in the fields of the run's process.
fn published(store: &dyn Store, root: RootId, id: ProcessId) -> Result<BTreeMap<String, u64>, StoreError> {
    let fields = store.process(RootKey::Id(root), id)?.map(|process| process.fields).unwrap_or_default();
    let count = |words: &str| words.split_once(" file")?.0.parse().ok();
    let published = fields.iter().filter_map(|(name, words)| {
        let target: String = name.strip_prefix("publish.")?.chars().take(LONGEST_CHANGE).collect();
        Some((target, count(words.as_str()?)?))
    });
    Ok(published.collect())
}

fn place(root: Option<&str>, process: Option<&str>) -> Option<(RootId, ProcessId)> {
    Some((root?.parse().ok()?, process?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor_store_sqlite::SqliteStore;

    #[test]
    fn a_notification_of_an_unknown_tree_waits_a_while_also_if_the_clock_is_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let sign = |time_us: u64| Sign {
            seq: 1,
            time_us,
            what: What::Cause(Cause::Notified),
            subject: Subject::new(SubjectKind::Key, "prices"),
            root: Some("019f0000000000000000000000000001".to_owned()),
            process: Some("0000000000000001".to_owned()),
            agent: None,
            ancestors: Vec::new(),
            facts: Facts::default(),
        };
        let (now_us, hour) = (1_795_000_000_000_000, 3_600_000_000);
        for (time_us, is_held) in [(now_us, true), (now_us - PATIENCE_US + 1, true), (now_us - PATIENCE_US, false), (now_us + hour, false)]
        {
            let mut both = vec![sign(time_us), sign(time_us)];
            assert_eq!(signs(&store, &mut both, now_us), is_held, "{time_us}");
            assert_eq!(both.len(), if is_held { 0 } else { 2 }, "those behind it wait as well");
        }
    }
}
