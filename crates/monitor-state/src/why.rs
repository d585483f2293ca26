//! Why a tree failed: the failing path, and the error that a list shows for it.
//!
//! The failing path is followed from the root's own process through failed children of a failed parent. Of several such children it
//! takes the one whose error the parent carries, else one that ended as its parent did (a parent is lost with its children), else the
//! last to end. What failed below a parent that succeeded was handled, and is never on the path. The page follows the same rule
//! (`crates/monitor-web/app/src/model/failures.ts`); `cases/failing_path.txt` is what both are tested by.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use monitor_wire::{Error, ErrorKind, Process, ProcessId, State};

/// Most processes of a path, and most failed children of a parent that are looked at: those that ended last.
pub const MOST_ON_PATH: usize = 1_000;
/// See [`MOST_ON_PATH`].
pub const MOST_CHILDREN: usize = 100;

/// As much of a failed or lost process as the failing path depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Failing<'a> {
    /// The process.
    pub id: ProcessId,
    /// Where it is.
    pub state: Cow<'a, State>,
    /// When it ended; when it began, if it has not.
    pub time_us: u64,
    /// Why it failed.
    pub error: Option<Cow<'a, Error>>,
}

impl<'a> From<&'a Process> for Failing<'a> {
    fn from(process: &'a Process) -> Self {
        Self {
            id: process.id,
            state: Cow::Borrowed(&process.state),
            time_us: process.ended_us.or(process.started_us).unwrap_or(0),
            error: process.error.as_ref().map(Cow::Borrowed),
        }
    }
}

/// The child that the failing path goes on with, if there is any. Of those that end at the same time, the one of the least id.
pub fn decisive<'a>(parent: &Failing<'_>, children: impl Iterator<Item = Failing<'a>>) -> Option<Failing<'a>> {
    let rank = |child: &Failing<'_>| {
        let is_carried = parent.error.as_deref().zip(child.error.as_deref()).is_some_and(|(parent, child)| carries(parent, child));
        let is_alike = child.state == parent.state;
        (is_carried, is_alike, child.time_us, std::cmp::Reverse(child.id))
    };
    children.max_by_key(rank)
}

/// The failing path of a tree, from the root's own process on; empty unless that one failed or is lost. With each of the other failed
/// and lost processes comes the id of the one that it hangs below; what hangs below an unknown one hangs below the root's own.
pub fn failing_path<'a>(own: &'a Process, others: impl Iterator<Item = (Option<ProcessId>, &'a Process)>) -> Vec<&'a Process> {
    if !needs_attention(&own.state) {
        return Vec::new();
    }
    let mut below = HashMap::<ProcessId, Vec<&Process>>::new();
    for (parent, process) in others.filter(|(_, process)| process.id != own.id && needs_attention(&process.state)) {
        below.entry(parent.unwrap_or(own.id)).or_default().push(process);
    }
    let (mut path, mut seen) = (vec![own], HashSet::from([own.id]));
    while let Some(children) = path.last().and_then(|last| below.remove(&last.id)).filter(|_| path.len() < MOST_ON_PATH) {
        let last = Failing::from(path[path.len() - 1]);
        let Some(next) = decisive(&last, children.iter().map(|child| Failing::from(*child))) else { break };
        path.extend(children.into_iter().find(|child| child.id == next.id && seen.insert(child.id)));
    }
    path
}

/// Returns true if an error says more than that a command ended otherwise than well: `exit code 2` is no reason.
fn is_telling(error: &Error) -> bool {
    let is_of_command = [ErrorKind::EXIT, ErrorKind::SIGNAL].contains(&error.kind);
    let is_bare =
        is_of_command && !error.message.contains('\n') && ["exit code ", "killed by "].iter().any(|begin| error.message.starts_with(begin));
    let is_silent = error.message.is_empty() && error.chain.is_empty();
    !is_bare && !is_silent
}

/// The error that stands for a tree: of the errors on its failing path the first that tells a reason, else the first.
#[derive(Debug, Clone, Default)]
pub struct Why<T> {
    found: Option<T>,
    is_telling: bool,
}

impl<T> Why<T> {
    /// Takes the error of the next process on the path, and what is to be kept of it. Returns true if no later one counts.
    pub fn take(&mut self, error: Option<&Error>, kept: impl FnOnce() -> T) -> bool {
        if let Some(error) = error.filter(|_| !self.is_telling) {
            self.is_telling = is_telling(error);
            if self.is_telling || self.found.is_none() {
                self.found = Some(kept());
            }
        }
        self.is_telling
    }

    /// The one that counts.
    pub fn found(self) -> Option<T> {
        self.found
    }
}

pub(crate) fn needs_attention(state: &State) -> bool {
    *state == State::FAILED || *state == State::LOST
}

/// Returns true if the error of a parent names that of a child, as its cause or within its own words.
fn carries(parent: &Error, child: &Error) -> bool {
    let mut links = std::iter::once(&parent.message).chain(&parent.chain);
    !child.message.is_empty() && links.any(|link| link.contains(&child.message))
}
