//! What retention asks of a store, and hears from it.

/// Which trees to drop, and why.
#[derive(Debug, Clone, Copy)]
pub struct Drop<'a> {
    /// Their numbers.
    pub numbers: &'a [u64],
    /// As the stream tells it: `age`, `count`, `size`, `asked`.
    pub reason: &'a str,
    /// Also those that run.
    pub may_run: bool,
}

/// What was dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many trees.
    pub trees: usize,
    /// How many processes they have, whose rows are still there.
    pub processes: u64,
}

/// Trees that are due to be dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Numbers of those that are too old.
    pub old: Vec<u64>,
    /// Of those that are too many.
    pub surplus: Vec<u64>,
    /// Where to look on, if that may not be all.
    pub next: Option<Place>,
}

/// What was deleted of dropped trees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// There is more of them.
    pub is_more: bool,
    /// How many of them nothing is left of.
    pub trees: u64,
    /// How many rows of processes went.
    pub processes: u64,
    /// How much of the database is free for that.
    pub freed_bytes: u64,
}

/// What would have to go for the database to be as small as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Numbers of the oldest trees.
    pub numbers: Vec<u64>,
    /// How much of the database they take, if all of it belongs to trees.
    pub bytes: u64,
    /// How much of it is not free.
    pub used_bytes: u64,
}

/// How far what is due was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub(crate) begin: i64,
    pub(crate) number: i64,
    pub(crate) is_past_old: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { begin: i64::MIN, number: 0, is_past_old: false }
    }
}

/// Whether space was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrunk {
    /// Some, and there is more.
    More,
    /// All that is worth it.
    Done,
}
