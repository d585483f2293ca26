//! Which events a reader wants.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use globset::{GlobBuilder, GlobMatcher};
use monitor_store::StoreError;
use monitor_wire::{Kind, ProcessId, RootId, WorkerId};

use super::names::Names;
use super::part::About;

/// Which events a reader wants. Types and trees are known before anything is written as JSON; the others are looked at afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Of these types.
    pub types: WantedTypes,
    /// Of these trees, or of no tree; of any tree if there are none.
    pub roots: BTreeSet<RootId>,
    /// Of all trees that are not among `roots` the newest of the events that are told at once, with the tree's root alone.
    pub each_root: bool,
    /// Of this process.
    pub process_id: Option<ProcessId>,
    /// That this worker told, and those about the processes that it runs.
    pub worker: Option<WantedWorker>,
    /// Of processes of exactly this name.
    pub name: Option<String>,
    /// Of processes of these kinds; of any if there are none.
    pub kinds: BTreeSet<Kind>,
    /// Of the task with this id in its queue.
    pub task: Option<String>,
}

/// Types of events; all types if it names none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct WantedTypes {
    words: BTreeSet<String>,
    patterns: Vec<Pattern>,
}

/// One worker, or those whose names are alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WantedWorker {
    /// The worker with this id.
    Id(WorkerId),
    /// Workers whose name, `program@host` or `program@host:pid`, is like this.
    Named(Pattern),
}

/// A glob, such as `task-*`.
#[derive(Debug, Clone)]
pub struct Pattern(GlobMatcher);

impl Pattern {
    /// The longest pattern, in bytes.
    const LONGEST: usize = 1_000;

    /// Reads a glob.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(40).collect();
        if text.len() > Self::LONGEST {
            return Err(format!("{shown:?} … is longer than {} bytes", Self::LONGEST));
        }
        let glob = GlobBuilder::new(text).literal_separator(false).build().map_err(|error| format!("{shown:?}: {}", error.kind()))?;
        Ok(Self(glob.compile_matcher()))
    }

    /// Returns true if the text has a character that makes it a glob.
    pub fn is_one(text: &str) -> bool {
        text.contains(['*', '?', '[', '{'])
    }

    /// Returns true if the text is like this.
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
    /// The most globs. What is no glob is looked up, however many there are.
    const MOST_PATTERNS: usize = 100;

    /// Reads types and globs.
    ///
    /// # Errors
    /// Which one is wrong, and how.
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

    /// Returns true if all types are wanted.
    pub fn are_all(&self) -> bool {
        self.words.is_empty() && self.patterns.is_empty()
    }

    /// Returns true if events of this type are wanted.
    pub fn has(&self, name: &str) -> bool {
        self.are_all() || self.words.contains(name) || self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Returns true if one of these types is wanted.
    pub(super) fn has_any(&self, types: &HashMap<Arc<str>, u32>) -> bool {
        // Both may be as many as somebody likes.
        if self.patterns.is_empty() && !self.words.is_empty() && self.words.len() <= types.len() {
            return self.words.iter().any(|name| types.contains_key(&**name));
        }
        types.keys().any(|name| self.has(name))
    }
}

/// How much of an event is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    All,
    /// The event and the root of its tree, if it is the tree's newest of those that are told at once.
    Root,
    Nothing,
}

impl Wanted {
    /// Returns true if an event about this is wanted.
    ///
    /// # Errors
    /// When the name of a worker can't be looked up.
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

    /// Returns how much is told of an event, by its tree.
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

    /// Returns which of some changes are the newest of their tree, for the trees of which only the root is told and that are not among
    /// those `seen`, which they join.
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
            // Events of one tree mostly stand together.
            if root != last && root.is_some_and(|root| !self.roots.contains(&root) && seen.insert(root)) {
                places.insert(place);
            }
            last = root;
        }
        places
    }

    /// Returns true if it takes the index of a part to tell what is wanted of it.
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
