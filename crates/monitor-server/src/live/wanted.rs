//! Filters of readers of the stream.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use globset::{GlobBuilder, GlobMatcher};
use monitor_store::StoreError;
use monitor_wire::{Kind, ProcessId, RootId, WorkerId};

use super::names::Names;
use super::part::About;

/// Filter for events. Types and runs are checked before an event is converted to JSON, the other conditions afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Only these types.
    pub types: WantedTypes,
    /// Only these runs, and events that belong to no run. Empty for all runs.
    pub roots: BTreeSet<RootId>,
    /// For runs that are not in `roots`: only the newest of the events that are sent together, with the root as its only model.
    pub each_root: bool,
    /// Only this process.
    pub process_id: Option<ProcessId>,
    /// Only events that this worker sent, and events about processes that it runs.
    pub worker: Option<WantedWorker>,
    /// Only processes with exactly this name.
    pub name: Option<String>,
    /// Only processes of these kinds. Empty for all kinds.
    pub kinds: BTreeSet<Kind>,
    /// Only the queue task with this id in its queue.
    pub task: Option<String>,
}

/// Types of events. Empty for all types.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct WantedTypes {
    words: BTreeSet<String>,
    patterns: Vec<Pattern>,
}

/// One worker, or all workers whose names match a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WantedWorker {
    /// The worker with this id.
    Id(WorkerId),
    /// Workers whose name, `program@host` or `program@host:pid`, matches.
    Named(Pattern),
}

/// Glob, such as `task-*`.
#[derive(Debug, Clone)]
pub struct Pattern(GlobMatcher);

impl Pattern {
    /// Maximum length of a pattern, in bytes.
    const LONGEST: usize = 1_000;

    /// Parses a glob.
    ///
    /// # Errors
    /// Describes the mistake.
    pub fn read(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(40).collect();
        if text.len() > Self::LONGEST {
            return Err(format!("{shown:?} … is longer than {} bytes", Self::LONGEST));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).build().map_err(|error| format!("{shown:?}: {}", error.kind()))?;
        Ok(Self(glob.compile_matcher()))
    }

    /// True if the text contains a character that makes it a glob.
    pub fn is_one(text: &str) -> bool {
        text.contains(['*', '?', '[', '{'])
    }

    /// True if the text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.glob().hash(state);
    }
}

impl WantedTypes {
    /// Maximum number of globs. The number of plain words is not limited, because they are looked up in a set.
    const MOST_PATTERNS: usize = 100;

    /// Parses types and globs.
    ///
    /// # Errors
    /// Describes the first mistake.
    pub fn read(words: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, String> {
        let mut types = Self::default();
        for word in words {
            let word = word.as_ref();
            if Pattern::is_one(word) {
                types.patterns.push(Pattern::read(word)?);
            } else {
                types.words.insert(word.to_owned());
            }
        }
        if types.patterns.len() > Self::MOST_PATTERNS {
            return Err(format!("{} globs: give at most {}", types.patterns.len(), Self::MOST_PATTERNS));
        }
        Ok(types)
    }

    /// True if all types are wanted.
    pub fn are_all(&self) -> bool {
        self.words.is_empty() && self.patterns.is_empty()
    }

    /// True if events of this type are wanted.
    pub fn has(&self, name: &str) -> bool {
        self.are_all() || self.words.contains(name) || self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// True if at least one of these types is wanted.
    pub(super) fn has_any(&self, types: &HashMap<Arc<str>, u32>) -> bool {
        // Both sets can be arbitrarily large, so the smaller one is iterated.
        if self.patterns.is_empty() && !self.words.is_empty() && self.words.len() <= types.len() {
            return self.words.iter().any(|name| types.contains_key(&**name));
        }
        types.keys().any(|name| self.has(name))
    }
}

/// Part of an event to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    All,
    /// The event and its root, if it is the newest event of its run among those sent together.
    Root,
    Nothing,
}

impl Wanted {
    /// True if an event about this subject is wanted.
    ///
    /// # Errors
    /// Returns an error if the name of a worker can't be looked up.
    pub(super) fn is_about(&self, about: &About, names: &Names) -> Result<bool, StoreError> {
        let is_wanted = self.process_id.is_none_or(|id| about.process_id == Some(id))
            && self.name.as_deref().is_none_or(|name| about.name.as_deref() == Some(name))
            && (self.kinds.is_empty() || about.kind.as_ref().is_some_and(|kind| self.kinds.contains(kind)))
            && self.task.as_deref().is_none_or(|id| about.kind == Some(Kind::TASK) && about.native_id.as_deref() == Some(id));
        let mut workers = [about.worker_id, about.sender].into_iter().flatten();
        match &self.worker {
            _ if !is_wanted => Ok(false),
            None => Ok(true),
            Some(WantedWorker::Id(id)) => Ok(workers.any(|worker| worker == *id)),
            Some(WantedWorker::Named(pattern)) => workers.try_fold(false, |is_like, worker| Ok(is_like || names.is_like(worker, pattern)?)),
        }
    }

    /// Returns the part of an event to send, by its run.
    pub(super) fn extent(&self, root_id: impl FnOnce() -> Option<RootId>) -> Extent {
        if self.roots.is_empty() && !self.each_root {
            return Extent::All;
        }
        match root_id() {
            Some(root) if !self.roots.contains(&root) => {
                if self.each_root {
                    Extent::Root
                } else {
                    Extent::Nothing
                }
            }
            _ => Extent::All,
        }
    }

    /// Returns the positions of the changes that are the newest of their run, for runs that are sent as roots only. Skips the runs in
    /// `seen`, and adds the others to it.
    pub(super) fn newest_of_trees(
        &self,
        seen: &mut HashSet<RootId>,
        count: usize,
        is_of_type: impl Fn(usize) -> bool,
        root_of: impl Fn(usize) -> Option<RootId>,
    ) -> HashSet<usize> {
        let (mut places, mut last) = (HashSet::default(), None);
        if !self.each_root {
            return places;
        }
        for place in (0..count).rev().filter(|place| is_of_type(*place)) {
            let root = root_of(place);
            // Events of the same run are usually adjacent.
            if root != last && root.is_some_and(|root| !self.roots.contains(&root) && seen.insert(root)) {
                places.insert(place);
            }
            last = root;
        }
        places
    }

    /// True if the filter needs the index of a part.
    pub(super) fn needs_index(&self) -> bool {
        !self.types.are_all() || (!self.roots.is_empty() && !self.each_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_words_and_globs() {
        let has = |words: &[&str], name: &str| WantedTypes::read(words).unwrap().has(name);
        assert!(has(&[], "task-sent"));
        assert!(has(&["task-*"], "task-sent") && !has(&["task-*"], "worker-online"));
        assert!(has(&["worker-online", "task-?ent"], "worker-online") && has(&["*-{failed,lost}"], "worker-lost"));
        assert!(!has(&["task"], "task-sent"), "a word is the whole type");
        for words in [vec!["task-["], vec!["{task"], vec!["*"; 101]] {
            assert!(WantedTypes::read(&words).is_err(), "{words:?}");
        }
        assert!(WantedTypes::read([format!("*{}", "x".repeat(1_000))]).unwrap_err().contains("longer than 1000 bytes"));
    }

    #[test]
    fn readers_of_the_same_types_want_the_same() {
        let wanted = |words: &[&str]| Wanted { types: WantedTypes::read(words).unwrap(), ..Wanted::default() };
        assert_eq!(wanted(&["task-*", "a", "b"]), wanted(&["b", "task-*", "a"]));
        assert_ne!(wanted(&["task-*"]), wanted(&["task-?"]));
    }
}
