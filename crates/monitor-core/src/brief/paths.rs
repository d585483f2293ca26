//! Call paths: the names that lead from a root to a call, and how many calls of each path were told singly.
//!
//! A loop may make thousands of calls that are too long to be brief and as alike as those that are. So after some calls of a path
//! ([`SINGLY`]) further ones are counted as brief ones are, whichever parent of the path they have, unless they take twice as long as
//! those before them.
//!
//! A parser that calls itself has so many paths that this limits little. So the rows are limited as well ([`MOST_ROWS`]): those of a
//! part of a tree, which is what a child of the root has called. Beyond, the whole part is treated like one path. A tree of many parts has
//! fewer rows in each.

use std::collections::HashMap;

use super::MAX_KEPT;

/// Failed calls of a name that get rows in a tree.
const MAX_KEPT_OF_NAME: usize = 30;
/// The same in a part of a tree that has [`MOST_ROWS`].
const MAX_KEPT_AMONG_MANY: usize = 3;

/// Number of calls of a path that are told singly, beside those that are slow.
const SINGLY: u64 = 10;
/// Number of rows in a part of a tree, counted ones included, after which calls get rows only if they are slow.
const MOST_ROWS: u64 = 500;
/// The same for all parts together: a tree of many parts has fewer rows in each.
const MOST_ROWS_TOGETHER: u64 = 2_000;
/// However many parts there are, each has as many.
const LEAST_ROWS: u64 = 50;
/// Of more paths than this, all are forgotten and counted anew.
const MOST_PATHS: usize = 1 << 16;
/// Calls within each other that make up a path, at most: what a damaged file says may go round in circles.
const MOST_NAMES: usize = 1 << 10;

/// Durations that decide whether a call is counted, in the unit of [`Ended::elapsed`](super::Ended::elapsed).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A call that took less is brief.
    pub below: u64,
    /// The first call of a path that took as long is slow, and each that takes twice as long as the slowest before it.
    pub slow: u64,
    /// A call that took as long is always told singly.
    pub longest: u64,
}

/// A call that others may have been called by.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Its parent.
    pub parent: u64,
    /// Number of its site.
    pub site: u32,
    /// How long it took, or has run by now.
    pub elapsed: u64,
    /// Nobody knows its ids, and it has not failed.
    pub may_be_counted: bool,
}

/// The paths of the calls of a program.
#[derive(Debug, Default)]
pub struct Paths {
    /// Calls that run, by id.
    running: HashMap<u64, Link>,
    /// Calls that have ended, are not brief, and were not told by now, by id.
    ended: HashMap<u64, Link>,
    /// Paths of these calls, as far as they were asked for.
    found: HashMap<u64, Path>,
    /// Calls of each path that were told singly, by hash.
    told: HashMap<u64, Told>,
    /// Rows of each part of a tree, by hash.
    parts: HashMap<u64, Told>,
    /// Failed calls that are kept of each path, and of each name of a tree, by hash.
    kept: HashMap<u64, usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Path {
    /// Hash of all of its names.
    all: u64,
    /// Hash of its names down to the child of the root. Zero for the root.
    part: u64,
    /// That child.
    top: u64,
}

#[derive(Debug)]
struct Told {
    count: u64,
    /// A call that takes as long is told singly, whatever the count.
    slow_from: u64,
}

impl Paths {
    /// Makes a call known that has ended.
    pub fn link(&mut self, id: u64, link: Link) {
        self.ended.insert(id, link);
    }

    /// Makes a call known that runs.
    pub fn link_running(&mut self, id: u64, link: Link) {
        self.running.insert(id, link);
    }

    /// Forgets a call that has ended, and was told or counted.
    pub(crate) fn unlink(&mut self, id: u64) {
        self.ended.remove(&id);
    }

    /// Forgets which calls run. How many were told of each path stays known.
    pub(crate) fn unlink_running(&mut self) {
        self.running.clear();
        self.found.clear();
    }

    /// Returns true if it runs, or has ended and was not told by now.
    pub(crate) fn knows(&self, id: u64) -> bool {
        self.get(id).is_some()
    }

    fn get(&self, id: u64) -> Option<&Link> {
        self.ended.get(&id).or_else(|| self.running.get(&id))
    }

    /// The parent of a call that is to be counted with others of its path, as far as is known by now.
    pub(crate) fn parent_of_counted(&mut self, id: u64) -> Option<u64> {
        let link = *self.get(id).filter(|link| link.may_be_counted)?;
        self.counts(link.parent, link.site, link.elapsed).then_some(link.parent)
    }

    /// Returns true if so many calls of this site were told below parents of this path that one more, which has taken so long by now,
    /// is to be counted.
    pub(crate) fn counts(&mut self, parent: u64, site: u32, elapsed: u64) -> bool {
        let path = self.path(parent).child(parent, 0, site);
        let is_over = |told: Option<&Told>, most| told.is_some_and(|told| told.count >= most && elapsed < told.slow_from);
        is_over(self.told.get(&path.all), SINGLY) || is_over(self.parts.get(&path.part), self.most_rows())
    }

    /// Notes a call that is told singly.
    pub(crate) fn told(&mut self, parent: u64, site: u32, elapsed: u64, limits: Limits) {
        let path = self.path(parent).child(parent, 0, site);
        if elapsed >= limits.below {
            Told::add(&mut self.told, path.all, 1, elapsed, limits);
        }
        if path.part != 0 {
            Told::add(&mut self.parts, path.part, 1, elapsed, limits);
        }
    }

    /// The call below which the calls that this one has made are counted: itself, or the child of the root in a part of a tree that has
    /// many rows. A call that makes thousands of calls of one name has a row however many there are, and would have a row for each name
    /// below it.
    pub fn place_of_counts(&mut self, id: u64) -> u64 {
        let path = self.path(id);
        if self.has_many(path.part) { path.top } else { id }
    }

    /// Returns true if the part of the tree that a call belongs to has so many rows that no more than the names of the calls are told apart.
    pub fn is_among_many(&mut self, id: u64) -> bool {
        let part = self.path(id).part;
        self.has_many(part)
    }

    fn has_many(&self, part: u64) -> bool {
        self.parts.get(&part).is_some_and(|told| told.count >= self.most_rows())
    }

    /// Rows that each part has before its calls are counted.
    fn most_rows(&self) -> u64 {
        (MOST_ROWS_TOGETHER / self.parts.len().max(1) as u64).clamp(LEAST_ROWS, MOST_ROWS)
    }

    /// Notes new rows below a call that count others.
    pub fn counted(&mut self, parent: u64, rows: usize, limits: Limits) {
        let part = self.path(parent).part;
        if part != 0 {
            Told::add(&mut self.parts, part, rows as u64, 0, limits);
        }
    }

    /// Returns true if a failed call of this site below this row gets a row of its own: the first ones below each path do, up to a
    /// number for each name of the tree. A parser that calls itself has very many paths.
    pub fn keeps_failure(&mut self, parent: u64, root: u128, site: u32) -> bool {
        let above = self.path(parent);
        let has_many = self.has_many(above.part);
        let path = step(if self.knows(parent) { above.all } else { parent }, site);
        let name = step((root >> 64) as u64 ^ (root as u64).rotate_left(32), site);
        if self.kept.len() >= MOST_PATHS {
            self.kept.clear();
        }
        let limits = [(path, MAX_KEPT), (name, if has_many { MAX_KEPT_AMONG_MANY } else { MAX_KEPT_OF_NAME })];
        let is_kept = limits.iter().all(|(hash, limit)| self.kept.get(hash).is_none_or(|kept| kept < limit));
        if is_kept {
            for (hash, _) in limits {
                *self.kept.entry(hash).or_default() += 1;
            }
            if let Some(told) = self.parts.get_mut(&above.part) {
                told.count += 1;
            }
        }
        is_kept
    }

    /// A call's path, which begins at the first parent that isn't known.
    fn path(&mut self, id: u64) -> Path {
        let (mut names, mut at) = (Vec::new(), id);
        let above = loop {
            if let Some(path) = self.found.get(&at) {
                break *path;
            }
            let Some(link) = self.get(at).filter(|_| names.len() < MOST_NAMES) else { break Path::default() };
            names.push((at, *link));
            at = link.parent;
        };
        names.into_iter().rev().fold(above, |above, (id, link)| {
            let path = above.child(link.parent, id, link.site);
            self.found.insert(id, path);
            path
        })
    }
}

impl Path {
    /// The path of a call that has this one above it. `parent` is zero for a root.
    fn child(self, parent: u64, id: u64, site: u32) -> Self {
        let all = step(self.all, site);
        let (part, top) = if self.part == 0 && parent != 0 { (all, id) } else { (self.part, self.top) };
        Self { all, part, top }
    }
}

impl Told {
    fn add(all: &mut HashMap<u64, Self>, hash: u64, count: u64, elapsed: u64, limits: Limits) {
        if all.len() >= MOST_PATHS && !all.contains_key(&hash) {
            all.clear();
        }
        let told = all.entry(hash).or_insert(Told { count: 0, slow_from: limits.slow.max(limits.below) });
        told.count += count;
        if elapsed >= told.slow_from {
            told.slow_from = elapsed.saturating_mul(2);
        }
        told.slow_from = told.slow_from.min(limits.longest);
    }
}

/// The hash of a path that is longer by one name.
fn step(above: u64, site: u32) -> u64 {
    (above ^ (u64::from(site) + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { below: 100, slow: 1_000, longest: 1_000_000 };

    fn linked(paths: &mut Paths, id: u64, parent: u64, site: u32) {
        paths.link(id, Link { parent, site, elapsed: 500, may_be_counted: true });
    }

    #[test]
    fn after_some_calls_of_a_path_further_ones_are_counted_below_whichever_parent() {
        let mut paths = Paths::default();
        for parent in 1..=SINGLY {
            linked(&mut paths, parent, 1_000, 1);
            assert!(!paths.counts(parent, 7, 500));
            paths.told(parent, 7, 500, LIMITS);
        }
        linked(&mut paths, 50, 1_000, 1);
        linked(&mut paths, 51, 1_000, 2);
        assert!(paths.counts(50, 7, 500), "another parent of the same path");
        assert!(!paths.counts(51, 7, 500), "a parent of another name");
        assert!(!paths.counts(50, 8, 500), "a call of another name");
        paths.unlink(50);
        paths.unlink_running();
        assert!(!paths.counts(50, 7, 500), "nothing is known of it");
        linked(&mut paths, 60, 1_000, 1);
        assert!(paths.counts(60, 7, 500), "what was told is known for good");
        linked(&mut paths, 70, 60, 7);
        assert_eq!((paths.parent_of_counted(70), paths.parent_of_counted(60)), (Some(60), None));
    }

    #[test]
    fn slow_calls_are_told_each_twice_as_slow_as_the_one_before() {
        let mut paths = Paths::default();
        (0..SINGLY).for_each(|_| paths.told(1, 7, 500, LIMITS));
        let mut told = Vec::new();
        for elapsed in [999, 1_000, 1_500, 1_999, 2_000, 3_999, 900_000, 999_999, 1_000_000, 1_000_000] {
            if !paths.counts(1, 7, elapsed) {
                paths.told(1, 7, elapsed, LIMITS);
                told.push(elapsed);
            }
        }
        assert_eq!(told, [1_000, 2_000, 900_000, 1_000_000, 1_000_000]);
    }

    #[test]
    fn a_part_of_a_tree_with_many_rows_is_treated_like_one_path() {
        let mut paths = Paths::default();
        // 1 is the root. Each of the parts 2 and 3 has a row for its call, which is below it.
        for id in [1, 2, 3] {
            linked(&mut paths, id, u64::from(id > 1), id as u32);
        }
        let rows = |paths: &mut Paths, part, elapsed| {
            let counts = (0..2 * MOST_ROWS as u32).map(|site| {
                let is_told = !paths.counts(part, 10 + site, elapsed);
                if is_told {
                    paths.told(part, 10 + site, elapsed, LIMITS);
                    paths.counted(part, 1, LIMITS);
                }
                2 * u64::from(is_told)
            });
            counts.sum::<u64>()
        };
        assert_eq!(rows(&mut paths, 2, 500), MOST_ROWS);
        assert_eq!(rows(&mut paths, 2, 1_500), 2, "a slow one, and no second one that is no slower");
        assert_eq!(rows(&mut paths, 3, 500), MOST_ROWS, "another part");
        assert!(!paths.counts(1, 4, 500), "a new part");
        linked(&mut paths, 20, 2, 5);
        linked(&mut paths, 40, 1, 4);
        assert_eq!([20, 2, 40, 1].map(|id| paths.place_of_counts(id)), [2, 2, 40, 1]);
        assert!(!paths.counts(2, 7, 1_000_000), "a call that is always told singly");
    }

    #[test]
    fn a_tree_of_many_parts_has_fewer_rows_in_each() {
        let mut paths = Paths::default();
        linked(&mut paths, 1, 0, 1);
        let mut rows = |part: u64| {
            linked(&mut paths, part, 1, part as u32);
            paths.told(1, part as u32, 500, LIMITS);
            let is_told = |site: &u32| {
                let is_told = !paths.counts(part, *site, 500);
                if is_told {
                    paths.told(part, *site, 500, LIMITS);
                }
                is_told
            };
            (1_000..2_000).filter(is_told).count() as u64 + 1
        };
        let of_parts: Vec<u64> = (2..102).map(&mut rows).collect();
        assert_eq!((of_parts[0], of_parts[3], of_parts[9], of_parts[99]), (MOST_ROWS, MOST_ROWS, MOST_ROWS_TOGETHER / 10, LEAST_ROWS));
    }

    #[test]
    fn the_first_failures_of_each_path_are_kept_and_some_of_each_name() {
        let mut paths = Paths::default();
        let mut kept = |root, site| (100..110).map(|parent| (0..20).filter(|_| paths.keeps_failure(parent, root, site)).count()).collect();
        let of_path: Vec<usize> = kept(1, 7);
        assert_eq!(of_path, [10, 10, 10, 0, 0, 0, 0, 0, 0, 0]);
        let others: [Vec<usize>; 2] = [kept(1, 8), kept(2, 9)];
        assert!(others.iter().all(|kept| kept.iter().sum::<usize>() == MAX_KEPT_OF_NAME), "another name, another tree: {others:?}");
    }

    #[test]
    fn parents_that_go_round_in_circles_have_a_path_as_well() {
        let mut paths = Paths::default();
        linked(&mut paths, 1, 2, 1);
        linked(&mut paths, 2, 1, 1);
        paths.told(1, 7, 500, LIMITS);
        assert!(!paths.counts(2, 7, 500));
    }
}
