//! Call paths: the names from a root to a call, and the number of calls of each path that were reported individually.
//!
//! A loop may make thousands of similar calls that are too long to be brief. After [`SINGLY`] calls of a path, further calls are therefore
//! counted like brief calls, regardless of their parent in the path, unless they take twice as long as those before them.
//!
//! A recursive parser has very many paths, so this limit has little effect there. The number of rows is therefore limited too
//! ([`MOST_ROWS`]) for each part of a tree. A part is a child of the root with everything that it calls. Beyond the limit, the whole part
//! is treated like a single path. In a tree with many parts, each part has fewer rows.

use std::collections::HashMap;

use super::MAX_KEPT;

/// Maximum number of failed calls per name in a tree that get rows.
const MAX_KEPT_OF_NAME: usize = 30;
/// Maximum number of failed calls per name that get rows, in a part of a tree that has reached [`MOST_ROWS`].
const MAX_KEPT_AMONG_MANY: usize = 3;

/// Number of calls of a path that are reported individually, in addition to slow calls.
const SINGLY: u64 = 10;
/// Number of rows in a part of a tree, including rows with counts, after which only slow calls get rows.
const MOST_ROWS: u64 = 500;
/// Maximum number of rows of all parts together, which is distributed over the parts.
const MOST_ROWS_TOGETHER: u64 = 2_000;
/// Minimum number of rows per part, for any number of parts.
const LEAST_ROWS: u64 = 50;
/// Maximum number of paths. Beyond it, all are removed and counted again.
const MOST_PATHS: usize = 1 << 16;
/// Maximum length of a path. A damaged file may contain circular parents.
const MOST_NAMES: usize = 1 << 10;

/// Durations that decide whether a call is counted, in the unit of [`Ended::elapsed`](super::Ended::elapsed).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A shorter call is brief.
    pub below: u64,
    /// The first call of a path with this duration is slow, and each that takes twice as long as the slowest before it.
    pub slow: u64,
    /// A call with this duration is always reported individually.
    pub longest: u64,
}

/// A call that may be the parent of other calls.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Id of the parent.
    pub parent: u64,
    /// Number of its site.
    pub site: u32,
    /// Duration of the call, or its run time so far.
    pub elapsed: u64,
    /// True if the program doesn't know the ids of the call and it has not failed.
    pub may_be_counted: bool,
}

/// The paths of the calls of a program.
#[derive(Debug, Default)]
pub struct Paths {
    /// Running calls, by id.
    running: HashMap<u64, Link>,
    /// Ended calls that are not brief and were not reported yet, by id.
    ended: HashMap<u64, Link>,
    /// Paths of these calls that were computed.
    found: HashMap<u64, Path>,
    /// Number of individually reported calls of each path, by hash.
    told: HashMap<u64, Told>,
    /// Number of rows in each part of a tree, by hash.
    parts: HashMap<u64, Told>,
    /// Number of kept failed calls of each path, and of each name in a tree, by hash.
    kept: HashMap<u64, usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Path {
    /// Hash of all names of the path.
    all: u64,
    /// Hash of the names down to the child of the root. Zero for the root.
    part: u64,
    /// Id of that child.
    top: u64,
}

#[derive(Debug)]
struct Told {
    count: u64,
    /// Minimum duration of a call that is reported individually, regardless of the count.
    slow_from: u64,
}

impl Paths {
    /// Adds a call that has ended.
    pub fn link(&mut self, id: u64, link: Link) {
        self.ended.insert(id, link);
    }

    /// Adds a running call.
    pub fn link_running(&mut self, id: u64, link: Link) {
        self.running.insert(id, link);
    }

    /// Removes an ended call that was reported or counted.
    pub(crate) fn unlink(&mut self, id: u64) {
        self.ended.remove(&id);
    }

    /// Removes the running calls. The numbers of reported calls of each path are kept.
    pub(crate) fn unlink_running(&mut self) {
        self.running.clear();
        self.found.clear();
    }

    /// Returns true if the call is running, or has ended and was not reported yet.
    pub(crate) fn knows(&self, id: u64) -> bool {
        self.get(id).is_some()
    }

    fn get(&self, id: u64) -> Option<&Link> {
        self.ended.get(&id).or_else(|| self.running.get(&id))
    }

    /// Returns the parent of a call that will be counted with other calls of its path, according to the current state.
    pub(crate) fn parent_of_counted(&mut self, id: u64) -> Option<u64> {
        let link = *self.get(id).filter(|link| link.may_be_counted)?;
        self.counts(link.parent, link.site, link.elapsed).then_some(link.parent)
    }

    /// Returns true if a further call of this site below parents of this path, with this run time so far, must be counted because the limit
    /// of its path or part is reached.
    pub(crate) fn counts(&mut self, parent: u64, site: u32, elapsed: u64) -> bool {
        let path = self.path(parent).child(parent, 0, site);
        let is_over = |told: Option<&Told>, most| told.is_some_and(|told| told.count >= most && elapsed < told.slow_from);
        is_over(self.told.get(&path.all), SINGLY) || is_over(self.parts.get(&path.part), self.most_rows())
    }

    /// Records a call that is reported individually.
    pub(crate) fn told(&mut self, parent: u64, site: u32, elapsed: u64, limits: Limits) {
        let path = self.path(parent).child(parent, 0, site);
        if elapsed >= limits.below {
            Told::add(&mut self.told, path.all, 1, elapsed, limits);
        }
        if path.part != 0 {
            Told::add(&mut self.parts, path.part, 1, elapsed, limits);
        }
    }

    /// Returns the call below which the calls made by this call are counted: the call itself, or the child of the root in a part of a tree
    /// with many rows. A call that makes thousands of calls of the same name always has a row, and without this rule it would also get a
    /// row for each name below it.
    pub fn place_of_counts(&mut self, id: u64) -> u64 {
        let path = self.path(id);
        if self.has_many(path.part) { path.top } else { id }
    }

    /// Returns true if the part of the tree that a call belongs to has too many rows, so that calls are distinguished by name only.
    pub fn is_among_many(&mut self, id: u64) -> bool {
        let part = self.path(id).part;
        self.has_many(part)
    }

    fn has_many(&self, part: u64) -> bool {
        self.parts.get(&part).is_some_and(|told| told.count >= self.most_rows())
    }

    /// Returns the number of rows that each part may have before its calls are counted.
    fn most_rows(&self) -> u64 {
        (MOST_ROWS_TOGETHER / self.parts.len().max(1) as u64).clamp(LEAST_ROWS, MOST_ROWS)
    }

    /// Records new rows with counts below a call.
    pub fn counted(&mut self, parent: u64, rows: usize, limits: Limits) {
        let part = self.path(parent).part;
        if part != 0 {
            Told::add(&mut self.parts, part, rows as u64, 0, limits);
        }
    }

    /// Returns true if a failed call of this site below this row gets a row of its own. The first failures below each path do, up to a
    /// limit for each name in the tree, because a recursive parser has very many paths.
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

    /// Returns the path of a call, which begins below the first unknown parent.
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
    /// Returns the path of a call made by a call with this path. `parent` is zero for a root.
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

/// Returns the hash of a path extended by one name.
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
    fn after_some_calls_of_a_path_the_others_are_counted_below_any_parent() {
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
    fn slow_calls_are_reported_if_they_double_the_slowest_time_so_far() {
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
    fn parents_in_a_cycle_have_a_path() {
        let mut paths = Paths::default();
        linked(&mut paths, 1, 2, 1);
        linked(&mut paths, 2, 1, 1);
        paths.told(1, 7, 500, LIMITS);
        assert!(!paths.counts(2, 7, 500));
    }
}
