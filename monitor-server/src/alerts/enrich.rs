//! What is known of a sign or a message beyond its event: processes above it, its task's owner, its last lines, where the page shows it.

use std::collections::BTreeMap;

use monitor_alerts::{Cause, Message, Sign, Subject, What};
use monitor_wire::{ProcessId, RootId};

use crate::store::{LogsQuery, RootKey, Store};

/// So many processes above one are told at most.
const MOST_ANCESTORS: usize = 32;
/// Of so many failures of one subject, taken at once, the processes above them are looked up.
const MOST_LOOKED_UP: usize = 20;
/// So many of the last lines of a log are told.
const LINES: usize = 10;
/// So long a line may be, in characters.
const LONGEST_LINE: usize = 500;

/// Adds to signs of failures the processes above them, and to notifications the task that they come from. What can't be read is left out.
pub(super) fn signs(store: &dyn Store, signs: &mut [Sign]) {
    let mut counts = BTreeMap::<Subject, usize>::new();
    for sign in signs.iter_mut().filter(|sign| matches!(sign.what, What::Cause(Cause::Failed | Cause::Lost | Cause::Timeout))) {
        // Of many failures of one subject the first ones are looked at: the others are counted with them.
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
    for sign in signs.iter_mut().filter(|sign| sign.what == What::Cause(Cause::Notified)) {
        let Some((root, _)) = place(sign.root.as_deref(), sign.process.as_deref()) else { continue };
        let run = store.tree(RootKey::Id(root), 1, None).ok().flatten().and_then(|page| page.processes.into_iter().next());
        let Some(task) = run.as_ref().and_then(|run| run.fields.get("task.name")?.as_str()) else { continue };
        let Ok(Some(task)) = store.batch_task(task) else { continue };
        sign.facts.owner = task.definition.get("owner").and_then(|owner| owner.as_str()).map(str::to_owned);
        sign.facts.path = vec![task.name];
    }
}

/// Adds to messages what helps whoever reads them.
pub(super) fn messages(store: &dyn Store, page_url: &str, messages: &mut [Message]) {
    for message in messages {
        let facts = &mut message.facts;
        let Some((root, id)) = place(facts.root_id.as_deref(), facts.process_id.as_deref()) else {
            facts.link = Some(page_url.to_owned());
            continue;
        };
        let page = page_url.trim_end_matches('/');
        facts.link = Some(format!("{page}/{root}"));
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
}

fn place(root: Option<&str>, process: Option<&str>) -> Option<(RootId, ProcessId)> {
    Some((root?.parse().ok()?, process?.parse().ok()?))
}
