//! Collects the records of a receiver, and asserts their order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

use monitor_core::queue;
use monitor_core::record::{Ended, Folded, Origin, Outcome, Record, Started};

pub(crate) fn name_of(origin: &Origin) -> String {
    match origin {
        Origin::Site(site) => site.name.to_owned(),
        Origin::Named(named) => named.name.clone(),
    }
}

/// All received records.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) starts: HashMap<u64, Started>,
    pub(crate) ends: HashMap<u64, Ended>,
    /// Processes with records other than start and end.
    pub(crate) updated: HashSet<u64>,
    pub(crate) folds: HashMap<u64, Folded>,
    /// Folds that are over.
    pub(crate) over: HashSet<u64>,
    /// Parents that were not reported before their children, with the first of these children: they must be running, and not be folds.
    awaited: HashMap<u64, String>,
}

impl Told {
    pub(crate) fn add(&mut self, record: Record) {
        match record {
            Record::Started(started) => {
                self.note_parent(started.parent, &started);
                assert!(self.starts.insert(started.id, started).is_none(), "started twice");
            }
            Record::Ended(ended) => assert!(self.ends.insert(ended.id, ended).is_none(), "ended twice"),
            Record::Folded(folded) => {
                self.note_parent(folded.parent, &folded);
                assert!(!self.awaited.contains_key(&folded.mark), "told after what hangs below it: {folded:?}");
                assert!(!self.over.contains(&folded.mark), "nothing comes after the last: {folded:?}");
                if folded.is_last {
                    self.over.insert(folded.mark);
                    let counted: u64 = folded.histogram.iter().map(|(_, count)| count).sum();
                    assert_eq!((folded.running, folded.count), (0, counted), "{folded:?}");
                }
                if let Some(before) = self.folds.insert(folded.mark, *folded) {
                    assert!(before.revision < self.folds[&before.mark].revision);
                }
            }
            Record::Updated(updated) => {
                assert!(self.starts.contains_key(&updated.id), "told before its start: {updated:?}");
                self.updated.insert(updated.id);
            }
            Record::Progressed(progressed) => assert!(self.starts.contains_key(&progressed.id), "told before its start: {progressed:?}"),
            Record::Task(tasked) => panic!("nobody sends tasks here: {tasked:?}"),
            Record::Logged(logged) => assert!(self.starts.contains_key(&logged.id), "told before its start: {logged:?}"),
        }
    }

    fn note_parent(&mut self, parent: u64, child: &impl Debug) {
        if parent != 0 && !self.starts.contains_key(&parent) && !self.folds.contains_key(&parent) {
            self.awaited.entry(parent).or_insert_with(|| format!("{child:?}"));
        }
    }

    pub(crate) fn drain(&mut self, receiver: &mut queue::Receiver) {
        while let Some(entry) = receiver.try_recv() {
            receiver.release(entry.bytes);
            self.add(entry.record);
        }
        for (parent, child) in self.awaited.drain() {
            assert!(self.starts.contains_key(&parent), "nobody has told of the parent {parent:x} of {child}");
        }
    }

    pub(crate) fn look(&mut self, receiver: &mut queue::Receiver) {
        receiver.look(Duration::from_millis(5));
        while let Some(entry) = receiver.take() {
            receiver.release(entry.bytes);
            self.add(entry.record);
        }
    }

    /// Names from the top down to a process or fold.
    pub(crate) fn path(&self, parent: u64, name: &str) -> String {
        if let Some(fold) = self.folds.get(&parent) {
            return format!("{}/{name}", self.path(fold.parent, &name_of(&fold.origin)));
        }
        match self.starts.get(&parent) {
            Some(started) => format!("{}/{name}", self.path(started.parent, &name_of(&started.origin))),
            None => name.to_owned(),
        }
    }

    /// Returns the number of calls by path and outcome: reported individually, and counted.
    pub(crate) fn counts(&self) -> BTreeMap<(String, &'static str), [u64; 2]> {
        let mut counts = BTreeMap::<_, [u64; 2]>::new();
        for (id, started) in &self.starts {
            let outcome = match self.ends.get(id).map(|ended| &ended.outcome) {
                None => "running",
                Some(Outcome::Succeeded) => "succeeded",
                Some(Outcome::Cancelled) => "cancelled",
                Some(Outcome::Failed(_)) => "failed",
            };
            counts.entry((self.path(started.parent, &name_of(&started.origin)), outcome)).or_default()[0] += 1;
        }
        for folded in self.folds.values() {
            let path = self.path(folded.parent, &name_of(&folded.origin));
            let succeeded = folded.count - folded.running - folded.failed - folded.cancelled;
            let all = [("running", folded.running), ("succeeded", succeeded), ("failed", folded.failed), ("cancelled", folded.cancelled)];
            for (outcome, count) in all {
                if count > 0 {
                    counts.entry((path.clone(), outcome)).or_default()[1] += count;
                }
            }
        }
        counts
    }

    pub(crate) fn of(&self, path: &str, outcome: &'static str) -> [u64; 2] {
        self.counts().get(&(path.to_owned(), outcome)).copied().unwrap_or_default()
    }
}
