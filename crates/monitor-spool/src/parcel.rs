//! Events as stored: consecutively numbered, and encoded once for all attempts to send them.

use crate::events::{self, Known};
use crate::wire::RootId;

/// Maximum length of a block in a frame.
const BLOCK: usize = 128 << 10;

/// Consecutively numbered events as a compressed JSON array: a gzip member or a zstd frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    first: u64,
    count: u64,
    frame: Vec<u8>,
}

/// An event that the server rejects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejected {
    /// Type of the event.
    pub event_type: String,
    /// Tree of the event, if it has one.
    pub root_id: Option<RootId>,
}

impl Parcel {
    /// Creates a parcel of `count` events from the JSON array, without compressing it. The shipper can compress it later.
    pub fn plain(first: u64, count: u64, json: &[u8]) -> Self {
        Self { first, count, frame: frame(json) }
    }

    /// Creates a parcel from stored data.
    pub(crate) fn kept(first: u64, count: u64, frame: Vec<u8>) -> Self {
        Self { first, count, frame }
    }

    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Returns the number of the first event.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number of events.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of the last event.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.count).saturating_sub(1)
    }

    /// Returns the number of stored bytes.
    pub fn bytes(&self) -> usize {
        self.frame.len()
    }

    /// Returns type and tree of each event.
    pub fn kinds(&self) -> Vec<Rejected> {
        let json = self.json().unwrap_or_default();
        events::split(&json).unwrap_or_default().into_iter().map(|event| Known::of(event).rejected()).collect()
    }

    /// Returns the JSON array of the events. Without a decompressor, only frames of raw blocks can be read. A program without the feature
    /// `read` writes no others.
    #[cfg(not(feature = "read"))]
    pub(crate) fn json(&self) -> Option<Vec<u8>> {
        content(&self.frame)
    }
}

/// Creates a zstd frame of raw blocks (RFC 8878, 3.1.1).
pub(crate) fn frame(content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(content.len() + 16);
    frame.extend_from_slice(&0xfd2f_b528_u32.to_le_bytes());
    // A single segment with an 8-byte size, which makes the window descriptor unnecessary.
    frame.push(0b1110_0000);
    frame.extend_from_slice(&(content.len() as u64).to_le_bytes());
    let mut blocks = content.chunks(BLOCK).peekable();
    if blocks.peek().is_none() {
        frame.extend_from_slice(&[1, 0, 0]);
    }
    while let Some(block) = blocks.next() {
        let header = (block.len() as u32) << 3 | u32::from(blocks.peek().is_none());
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

/// Returns the content of a frame of raw blocks.
#[cfg(any(test, not(feature = "read")))]
fn content(frame: &[u8]) -> Option<Vec<u8>> {
    let mut rest = frame.get(13..)?;
    let mut content = Vec::with_capacity(rest.len());
    loop {
        let header = u32::from_le_bytes([*rest.first()?, *rest.get(1)?, *rest.get(2)?, 0]);
        let block = rest.get(3..3 + (header >> 3) as usize).filter(|_| header & 0b110 == 0)?;
        content.extend_from_slice(block);
        if header & 1 == 1 {
            return Some(content);
        }
        rest = &rest[3 + block.len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_raw_blocks_is_read() {
        for length in [0, 1, 1_000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let content: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let parcel = Parcel::plain(1, 1, &content);
            assert_eq!(crate::encoding::decompress(parcel.frame(), u64::MAX).unwrap(), content, "{length}");
            assert_eq!(super::content(parcel.frame()).unwrap(), content, "{length}");
            for cut in 0..parcel.frame().len().min(1_000) {
                assert_eq!(super::content(&parcel.frame()[..cut]), None, "{length} {cut}");
            }
        }
    }
}
