//! Parameters and results of the housekeeping operations.

/// Trees to drop.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct DropTrees<'a> {
    /// Numbers of the trees.
    pub(in super::super) numbers: &'a [u64],
    /// Reason in the event that the stream sends: `age`, `count`, `size` or `asked`.
    pub(in super::super) reason: &'a str,
    /// True if running trees are also dropped.
    pub(in super::super) may_run: bool,
}

/// Result of dropping trees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Dropped {
    /// Number of trees.
    pub(in super::super) trees: usize,
    /// Number of their processes. Their rows have not been deleted yet.
    pub(in super::super) processes: u64,
}

/// Trees that the retention rules no longer keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Due {
    /// Numbers of trees that are too old.
    pub(in super::super) old: Vec<u64>,
    /// Numbers of trees beyond the maximum number for their name.
    pub(in super::super) surplus: Vec<u64>,
    /// Start of the next search; `None` if the search is complete.
    pub(in super::super) next: Option<DueCursor>,
}

/// Result of deleting rows of dropped trees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Swept {
    /// True if more rows remain.
    pub(in super::super) is_more: bool,
    /// Number of trees without remaining rows.
    pub(in super::super) trees: u64,
    /// Number of deleted rows of processes.
    pub(in super::super) processes: u64,
    /// Size of the database pages that became free.
    pub(in super::super) freed_bytes: u64,
}

/// Trees to drop so that the database shrinks to its maximum size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Beyond {
    /// Numbers of the oldest trees.
    pub(in super::super) numbers: Vec<u64>,
    /// Estimated size of these trees, in proportion to their processes.
    pub(in super::super) bytes: u64,
    /// Size of the database without free pages.
    pub(in super::super) used_bytes: u64,
}

/// Position in the search for trees to drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct DueCursor {
    pub(in super::super) begin: i64,
    pub(in super::super) number: i64,
    pub(in super::super) is_past_old: bool,
}

impl Default for DueCursor {
    fn default() -> Self {
        Self { begin: i64::MIN, number: 0, is_past_old: false }
    }
}

/// Result of returning space to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shrunk {
    /// More pages can be returned.
    More,
    /// No more pages are worth returning.
    Done,
}
