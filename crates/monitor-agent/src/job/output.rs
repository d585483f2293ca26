//! Sends the output of a run to the server, and reads the tag that its script sets.
//!
//! At most `most` bytes are kept; of longer output, the first and the last half of that amount. The last half changes as long as the script writes.
//! Therefore only the first `most / 2` bytes are sent while it runs, and the rest after its end.

use std::path::{Path, PathBuf};

use monitor_api::{Client, Error};
use monitor_runs::bounded::Part;
use monitor_runs::{Origin, Output, Run};
use monitor_wire::{Backoff, JobRunKey};
use tokio::runtime::Handle;

use super::{FIRST_PAUSE, LONGEST_PAUSE};

/// Maximum number of bytes in a request.
const AT_ONCE: u64 = 1 << 20;
/// Number of bytes at the end of the output that are searched for a tag.
const TAIL: u64 = 4_096;
/// Maximum number of characters of a tag.
const MOST_TAG: usize = 255;

/// The output of a run, and the part of it that the server has.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) agent: String,
    pub(super) key: JobRunKey,
    /// Tree of the run's job. After a restore of the server, another job can have the same number.
    pub(super) root_id: Option<String>,
    pub(super) folder: PathBuf,
    pub(super) client: Client,
    pub(super) runtime: Handle,
    /// Maximum number of bytes to keep.
    pub(super) most: u64,
    /// Number of bytes that the server has.
    pub(super) sent: u64,
}

/// Amounts of output after the end of a run, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amounts {
    /// Bytes that the server has.
    pub(super) sent: u64,
    /// Bytes that were not kept or could not be sent.
    pub(super) omitted: u64,
}

impl Sending {
    /// Sends new output of a script that still runs, up to the first half of the kept output. Returns true if there was any.
    ///
    /// # Errors
    /// If the server can't be reached, or refuses the output. The same output is sent at the next call.
    pub(super) fn send_new(&mut self) -> Result<bool, Error> {
        let Ok(mut output) = Output::open(&self.folder) else { return Ok(false) };
        let end = output.length.min(self.most / 2);
        let mut position = self.sent;
        let Ok(Part::Bytes(bytes)) = output.part(&mut position, end, AT_ONCE) else { return Ok(false) };
        if bytes.is_empty() {
            return Ok(false);
        }
        self.send(bytes)?;
        Ok(true)
    }

    /// Sends the output of a script that has ended. Tries again until the server has it or refuses it.
    pub(super) fn finish(&mut self) -> Amounts {
        let Ok(mut output) = Output::open(&self.folder) else { return Amounts { sent: self.sent, omitted: 0 } };
        let length = output.length;
        let head = if length <= self.most { length } else { self.most / 2 };
        let mut omitted = length.saturating_sub(self.most);
        let ranges = [(self.sent.min(head), head), (head + omitted, length)];
        for (mut position, end) in ranges {
            while position < end {
                match output.part(&mut position, end, AT_ONCE) {
                    Ok(Part::Missing(missing)) => omitted += missing,
                    Ok(Part::Bytes(bytes)) if bytes.is_empty() => break,
                    Ok(Part::Bytes(bytes)) if self.send_surely(&bytes) => {}
                    Ok(Part::Bytes(_)) => return Amounts { sent: self.sent, omitted: length - self.sent },
                    Err(error) => {
                        tracing::error!(run = self.key.run_id(), %error, "the output of a run can't be read");
                        return Amounts { sent: self.sent, omitted: length - self.sent };
                    }
                }
            }
        }
        Amounts { sent: self.sent, omitted }
    }

    /// Sends bytes until the server has them. Returns false if the server refuses them permanently.
    fn send_surely(&mut self, bytes: &[u8]) -> bool {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.send(bytes.to_vec()) else { return true };
            // The token may be replaced.
            let is_passing = error.is_temporary() || matches!(error.status(), Some(401 | 403));
            if !is_passing {
                tracing::warn!(run = self.key.run_id(), "the server doesn't take the output of a run: {}", error.causes());
                return false;
            }
            std::thread::sleep(backoff.next(FIRST_PAUSE, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default()));
        }
    }

    fn send(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let call = self.client.send_job_output(&self.agent, &self.key, self.root_id.as_deref(), self.sent, bytes);
        self.runtime.block_on(call.send())?;
        self.sent += length;
        Ok(())
    }
}

/// Returns the tag that the last line of standard output sets: `job_success:[TAG]` or `job_fail:[TAG]`. Only the last `TAIL` bytes are searched.
pub(super) fn tag(folder: &Path) -> Option<String> {
    let run = Run::open(folder.to_owned()).ok()?;
    let (mut position, mut tail) = (Output::open(folder).ok()?.length.saturating_sub(TAIL), Vec::new());
    while let Some(bytes) = run.output(&mut position, Some(Origin::Stdout)).ok()?.filter(|bytes| !bytes.is_empty()) {
        tail.extend(bytes);
    }
    tag_of(&String::from_utf8_lossy(&tail))
}

fn tag_of(text: &str) -> Option<String> {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let tag = line.strip_prefix("job_success:").or_else(|| line.strip_prefix("job_fail:"))?.trim();
    let tag = tag.strip_prefix('[').and_then(|tag| tag.strip_suffix(']')).unwrap_or(tag);
    (!tag.is_empty()).then(|| tag.chars().take(MOST_TAG).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_sets_the_tag() {
        for (text, expected) in [
            ("a\njob_success:[slow disk]\n", Some("slow disk")),
            ("job_fail:[x]\r\n\n \n", Some("x")),
            ("job_success:plain", Some("plain")),
            ("job_success:[x]\nmore\n", None),
            ("job_success:[]\n", None),
            ("job_success:\n", None),
            ("", None),
        ] {
            assert_eq!(tag_of(text).as_deref(), expected, "{text:?}");
        }
    }
}
