//! The parts of keeping house, one for each step.

/// Which trees to drop, and why.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct DropTrees<'a> {
    /// Their numbers.
    pub(in super::super) numbers: &'a [u64],
    /// As the stream tells it: `age`, `count`, `size`, `asked`.
    pub(in super::super) reason: &'a str,
    /// Also those that run.
    pub(in super::super) may_run: bool,
}

/// What was dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Dropped {
    /// How many trees.
    pub(in super::super) trees: usize,
    /// How many processes they have, whose rows are still there.
    pub(in super::super) processes: u64,
}

/// Trees that are due to be dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Due {
    /// Numbers of those that are too old.
    pub(in super::super) old: Vec<u64>,
    /// Of those that are too many.
    pub(in super::super) surplus: Vec<u64>,
    /// Where to look on, if that may not be all.
    pub(in super::super) next: Option<DueCursor>,
}

/// What was deleted of dropped trees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Swept {
    /// There is more of them.
    pub(in super::super) is_more: bool,
    /// How many of them nothing is left of.
    pub(in super::super) trees: u64,
    /// How many rows of processes went.
    pub(in super::super) processes: u64,
    /// How much of the database is free for that.
    pub(in super::super) freed_bytes: u64,
}

/// What would have to go for the database to be as small as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Beyond {
    /// Numbers of the oldest trees.
    pub(in super::super) numbers: Vec<u64>,
    /// How much of the database they take, if all of it belongs to trees.
    pub(in super::super) bytes: u64,
    /// How much of it is not free.
    pub(in super::super) used_bytes: u64,
}

/// How far what is due was looked for.
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

/// The result of a step that gives space back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shrunk {
    /// Some, and there is more.
    More,
    /// All that is worth it.
    Done,
}
