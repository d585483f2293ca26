//! Where a stream goes besides its reader: to logs, to a file, and its end to the error of the process.

use std::sync::{Arc, Mutex, PoisonError};

use crate::lines::Lines;
use crate::record::Record;
use crate::tail::Tail;

/// Takes what one stream says.
#[derive(Debug)]
pub(crate) struct Sink {
    stream: &'static str,
    record: Arc<Record>,
    lines: Lines,
    tail: Option<Arc<Mutex<Tail>>>,
}

impl Sink {
    pub(crate) fn new(stream: &'static str, record: Arc<Record>, tail: Option<Arc<Mutex<Tail>>>) -> Self {
        Self { stream, record, lines: Lines::new(), tail }
    }

    /// Takes what was written.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.record.count_output(bytes.len() as u64);
        self.record.to_file(bytes);
        if let Some(tail) = &self.tail {
            tail.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
        let cut = self.lines.feed(bytes, &mut |line| self.record.log(self.stream, line));
        self.record.count_cut(cut);
    }

    /// Whether nothing would be done with what comes next, so that nobody needs to look at it.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.tail.is_none() && self.record.is_file_idle() && self.lines.is_idle()
    }

    /// So many bytes went by unseen.
    pub(crate) fn pass(&mut self, bytes: u64) {
        self.record.count_output(bytes);
        self.record.skip_in_file(bytes);
        self.record.count_cut(self.lines.skip(bytes));
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self) {
        let cut = self.lines.finish(&mut |line| self.record.log(self.stream, line));
        self.record.count_cut(cut);
    }
}
