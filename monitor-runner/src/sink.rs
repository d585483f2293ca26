//! Where a stream goes besides its reader: to logs, to a file, and its end to the error of the process.

use std::sync::Arc;

use crate::lines::Lines;
use crate::record::Record;
use crate::tail::Tails;
use crate::why::Stream;

/// Takes what one stream says.
#[derive(Debug)]
pub(crate) struct Sink {
    stream: &'static str,
    record: Arc<Record>,
    lines: Lines,
    tails: Arc<Tails>,
    end: Stream,
}

impl Sink {
    pub(crate) fn new(stream: &'static str, record: Arc<Record>, tails: Arc<Tails>, end: Stream) -> Self {
        Self { stream, record, lines: Lines::new(), tails, end }
    }

    /// Takes what was written.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.record.count_output(bytes.len() as u64);
        self.record.to_file(bytes);
        self.tails.of(self.end).push(bytes);
        let cut = self.lines.feed(bytes, &mut |line| self.record.log(self.stream, line));
        self.record.count_cut(cut);
    }

    /// Whether nothing would be done with what comes next, so that nobody needs to look at it.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.end == Stream::Output && self.record.is_file_idle() && self.lines.is_idle()
    }

    /// So many bytes went by unseen.
    pub(crate) fn pass(&mut self, bytes: u64) {
        self.record.count_output(bytes);
        self.record.skip_in_file(bytes);
        self.tails.of(self.end).skip();
        self.record.count_cut(self.lines.skip(bytes));
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self) {
        let cut = self.lines.finish(&mut |line| self.record.log(self.stream, line));
        self.record.count_cut(cut);
    }
}
