//! Stores a stream in addition to passing it on: as logs, in files, and its last lines for the error of the process. Secrets are masked
//! first.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use crate::lines::Lines;
use crate::record::Record;
use crate::secrets::{Masker, Secrets};
use crate::streams::DetachedLog;
use crate::tail::Tails;
use crate::why::Stream;

/// Stores the output of a stream.
#[derive(Debug)]
pub(crate) struct Sink {
    stream: &'static str,
    record: Arc<Record>,
    lines: Lines,
    tails: Arc<Tails>,
    end: Stream,
    /// Output file of a detached run.
    log: Option<DetachedLog>,
    masker: Masker,
    secrets: Secrets,
}

impl Sink {
    pub(crate) fn new(stream: &'static str, record: Arc<Record>, tails: Arc<Tails>, end: Stream, log: Option<DetachedLog>) -> Self {
        let secrets = record.secrets.clone();
        Self { stream, record, lines: Lines::new(), tails, end, log, masker: secrets.masker(), secrets }
    }

    /// Stores output.
    ///
    /// # Errors
    /// If the output file of a detached run can't be written.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.record.count_output(bytes.len() as u64);
        let masked = if self.masker.is_off() { Cow::Borrowed(bytes) } else { Cow::Owned(self.masker.feed(bytes)) };
        self.keep(&masked)
    }

    /// Stores bytes after masking.
    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.log.as_ref().map_or(Ok(()), |log| log.write(bytes));
        self.record.to_file(bytes);
        self.tails.of(self.end).push(bytes);
        // Removing colors from a line can join the parts of a value, so the line is masked again.
        let cut = self.lines.feed(bytes, &mut |line| self.record.log(self.stream, self.secrets.mask(line)));
        self.record.count_cut(cut);
        written
    }

    /// Returns true if output is not stored at present, so that it need not be read.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.end == Stream::Output && self.record.is_file_idle() && self.lines.is_idle()
    }

    /// Counts bytes that were passed on without being read.
    pub(crate) fn pass(&mut self, bytes: u64) {
        self.record.count_output(bytes);
        let bytes = bytes + self.masker.skip() as u64;
        self.record.skip_in_file(bytes);
        self.tails.of(self.end).skip();
        self.record.count_cut(self.lines.skip(bytes));
    }

    /// Ends an attempt: stores the bytes that the masker held back.
    pub(crate) fn finish(&mut self) {
        let rest = self.masker.finish();
        if !rest.is_empty() {
            let _ = self.keep(&rest);
        }
        let cut = self.lines.finish(&mut |line| self.record.log(self.stream, self.secrets.mask(line)));
        self.record.count_cut(cut);
    }
}
