//! A map with a maximum number of values.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Counter of changes. A later change has a greater number.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn(u64);

impl Turn {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    /// Returns the number of the latest change.
    pub(super) fn now(&self) -> u64 {
        self.0
    }
}

/// Values by key. If there are too many, the value that changed longest ago is removed. Ended values are removed before open ones.
#[derive(Debug, Clone)]
pub(super) struct Kept<K, V> {
    most: usize,
    values: HashMap<K, Slot<V>>,
    /// Keys by the number of their last change, for ended and for open values.
    ended: BTreeMap<u64, K>,
    open: BTreeMap<u64, K>,
    forgotten: u64,
}

#[derive(Debug, Clone)]
struct Slot<V> {
    value: V,
    turn: u64,
    is_ended: bool,
}

impl<K: Copy + Eq + Hash, V> Kept<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, values: HashMap::new(), ended: BTreeMap::new(), open: BTreeMap::new(), forgotten: 0 }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|slot| &slot.value)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.values.values().map(|slot| &slot.value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.values.values_mut().map(|slot| &mut slot.value)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        self.values.iter().map(|(key, slot)| (key, &slot.value))
    }

    /// Returns all values, most recently changed first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &V> {
        self.newest_first_since(0)
    }

    /// Returns the values that changed after `turn`, most recently changed first.
    pub(super) fn newest_first_since(&self, turn: u64) -> impl Iterator<Item = &V> {
        let mut ended = self.ended.range(turn + 1..).rev().peekable();
        let mut open = self.open.range(turn + 1..).rev().peekable();
        std::iter::from_fn(move || {
            let is_ended = match (ended.peek(), open.peek()) {
                (Some((ended, _)), Some((open, _))) => ended > open,
                (ended, _) => ended.is_some(),
            };
            let (_, key) = if is_ended { ended.next() } else { open.next() }?;
            self.get(key)
        })
    }

    /// Returns the number of values removed because there were too many.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Sets a value.
    pub(super) fn put(&mut self, key: K, value: V, is_ended: bool, turn: &mut Turn) {
        let turn = turn.next();
        self.take(&key);
        self.values.insert(key, Slot { value, turn, is_ended });
        self.order(is_ended).insert(turn, key);
        while self.values.len() > self.most
            && let Some((_, oldest)) = self.ended.pop_first().or_else(|| self.open.pop_first())
        {
            self.values.remove(&oldest);
            self.forgotten += 1;
        }
    }

    pub(super) fn clear_ended(&mut self) {
        for key in std::mem::take(&mut self.ended).values() {
            self.values.remove(key);
        }
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.ended.clear();
        self.open.clear();
    }

    /// Removes and returns a value.
    pub(super) fn take(&mut self, key: &K) -> Option<V> {
        let slot = self.values.remove(key)?;
        self.order(slot.is_ended).remove(&slot.turn);
        Some(slot.value)
    }

    fn order(&mut self, is_ended: bool) -> &mut BTreeMap<u64, K> {
        if is_ended { &mut self.ended } else { &mut self.open }
    }
}
