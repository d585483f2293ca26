//! Housekeeping. One step drops all trees that are due for the same reason, or deletes everything else that is too old.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use monitor_state::WorkerStatus;
use monitor_wire::{State as ProcessState, WorkerId};

use super::logs::Log;
use super::{MemoryStore, State};
use crate::{Backup, Budget, Changes, Chore, Housekeeping, Rules, StoreError, Tidied, Turn};

impl Housekeeping for MemoryStore {
    fn tidy(&self, chore: Chore, rules: &Rules<'_>, budget: Budget) -> Result<Tidied, StoreError> {
        let mut tidied = Tidied { changes: Changes::none(), more: None, dropped: 0, left: 0 };
        if budget.turn == Turn::Look {
            tidied.more = Some(Turn::Change);
            return Ok(tidied);
        }
        let mut state = self.state();
        match chore {
            Chore::Trees => {
                // Each step handles one reason.
                if let Some((reason, numbers)) = due(&state, rules).first() {
                    (tidied.dropped, tidied.more) = (numbers.len(), Some(Turn::Change));
                    tidied.changes = self.drop_trees(&mut state, numbers, reason, rules.now_us);
                }
            }
            Chore::Rest => {
                self.trim(&mut state, rules.aged_us);
                state.forget_workers(rules.forget_before_us());
                state.alerts.forget_old(rules.aged_us.saturating_sub(crate::alerts::KEPT_US));
            }
        }
        Ok(tidied)
    }

    fn backup(&self) -> Result<Backup, StoreError> {
        let facts = format!("{:?}", self.state().facts).into_bytes();
        Ok(Backup { bytes: facts.len() as u64, media_type: "text/plain", read: Box::new(Cursor::new(facts)) })
    }
}

impl State {
    /// Removes the workers that were last seen before `before_us`, that may not come back, and that no process, log line or count of
    /// dropped events of a tree refers to.
    fn forget_workers(&mut self, before_us: u64) {
        let mut used: BTreeSet<WorkerId> = self.all().flat_map(|shown| shown.processes).filter_map(|process| process.worker_id).collect();
        used.extend(self.trees.values().flat_map(|tree| tree.logs.values().flat_map(Log::lines)).map(|line| line.worker_id));
        let (facts, numbers) = (&mut self.facts, &self.numbers);
        self.workers.retain(|seen| {
            let may_come_back = facts.workers().any(|(id, of)| {
                let is_awaited = of.online().is_none() || of.heartbeat_interval_ms().is_some();
                id == seen.id && of.status() == WorkerStatus::Online && is_awaited
            });
            let is_missed = seen.dropped.keys().any(|(.., root)| root.is_some_and(|root| numbers.contains_key(&root)));
            let is_kept = used.contains(&seen.id) || may_come_back || is_missed || seen.last_seen_us >= before_us;
            if !is_kept {
                facts.forget_worker(seen.id);
            }
            is_kept
        });
    }
}

/// Returns the numbers of the trees that the rules no longer keep, by reason. Reasons without trees are left out.
fn due(state: &State, rules: &Rules<'_>) -> Vec<(&'static str, Vec<u64>)> {
    let (mut old, mut kept) = (Vec::new(), BTreeMap::<(usize, String), u64>::new());
    let mut surplus = Vec::new();
    // Newest first, by number: count limits keep the newest trees.
    for number in state.trees.keys().rev() {
        let (tree, Some(shown)) = (&state.trees[number], state.show(*number)) else { continue };
        let is_open = [ProcessState::RUNNING, ProcessState::PENDING, ProcessState::RETRYING].contains(&shown.root.state);
        let is_running = shown.root.counts.running + shown.root.counts.pending > 0 || (is_open && !shown.processes.is_empty());
        if tree.is_pinned || is_running {
            continue;
        }
        let Some(place) = rules.retention.rule_of(&shown.root.name, shown.root.batch.as_deref(), &shown.root.state) else { continue };
        let rule = &rules.retention.rules[place];
        let kept = kept.entry((place, shown.root.name)).or_default();
        *kept += 1;
        if rule.age.is_some_and(|age| tree.heard_us <= rules.aged_us.saturating_sub(age.as_micros() as u64)) {
            old.push(*number);
        } else if rule.count.is_some_and(|count| *kept > count) {
            surplus.push(*number);
        }
    }
    [("age", old), ("count", surplus)].into_iter().filter(|(_, numbers)| !numbers.is_empty()).collect()
}
