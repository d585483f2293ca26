//! The processes of recently closed spans, which other spans may still follow from.

use std::sync::Mutex;

use monitor_core::Context;

use super::spans::patiently;

/// Number of tables. Spans are distributed by id to reduce lock contention between threads.
const TABLES: usize = 64;
/// Number of spans in each table.
const EACH: usize = 64;

#[derive(Debug)]
pub(super) struct Closed(Vec<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    spans: Vec<(u64, Context)>,
    next: usize,
}

impl Closed {
    pub(super) fn new() -> Self {
        Closed((0..TABLES).map(|_| Mutex::default()).collect())
    }

    /// Stores the process of a span in place of the oldest entry.
    pub(super) fn add(&self, id: u64, context: Context) {
        if let Some(mut table) = patiently(self.table(id)) {
            let next = table.next;
            match table.spans.get_mut(next) {
                Some(oldest) => *oldest = (id, context),
                None => table.spans.push((id, context)),
            }
            table.next = (next + 1) % EACH;
        }
    }

    /// Returns the process of a recently closed span.
    pub(super) fn find(&self, id: u64) -> Option<Context> {
        let table = patiently(self.table(id))?;
        table.spans.iter().find(|(known, _)| *known == id).map(|(_, context)| *context)
    }

    fn table(&self, id: u64) -> &Mutex<Table> {
        &self.0[id as usize % TABLES]
    }
}
