//! The processes of spans that have closed lately: somebody may still follow from them.

use std::sync::Mutex;

use monitor_core::Context;

use super::spans::patiently;

/// Tables, by id, so that threads seldom meet at one.
const TABLES: usize = 64;
/// Spans that each of them remembers.
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

    /// Remembers the process of a span, in place of the one that closed longest ago.
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

    /// The process of a span that closed lately.
    pub(super) fn find(&self, id: u64) -> Option<Context> {
        let table = patiently(self.table(id))?;
        table.spans.iter().find(|(known, _)| *known == id).map(|(_, context)| *context)
    }

    fn table(&self, id: u64) -> &Mutex<Table> {
        &self.0[id as usize % TABLES]
    }
}
