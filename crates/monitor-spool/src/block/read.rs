//! Finds blocks in possibly damaged bytes.

use super::{HEADER, LONGEST, Magic, checksum, size};
use crate::wire::WorkerId;

impl Magic {
    fn of(word: u32) -> Option<Self> {
        [Self::Site, Self::Record, Self::Sent, Self::Failed].into_iter().find(|magic| *magic as u32 == word)
    }
}

/// Content of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) magic: Magic,
    pub(crate) length: usize,
    pub(crate) number: u64,
    pub(crate) a: u64,
    pub(crate) b: u64,
    payload_crc: u32,
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Reads the header at the start of `bytes`. `None` if it is not valid.
pub(crate) fn read_header(worker: WorkerId, bytes: &[u8]) -> Option<Header> {
    let magic = Magic::of(word32(bytes, 0)?)?;
    if word32(bytes, 36)? != checksum(worker, bytes.get(..36)?) {
        return None;
    }
    let length = word32(bytes, 4)? as usize;
    let header =
        Header { magic, length, number: word64(bytes, 8)?, a: word64(bytes, 16)?, b: word64(bytes, 24)?, payload_crc: word32(bytes, 32)? };
    (length <= LONGEST).then_some(header)
}

/// A part of a file of blocks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A valid block with its offset.
    Block { at: usize, header: Header, payload: &'a [u8] },
    /// A block with a valid header and a damaged payload.
    Damaged { header: Header },
    /// Bytes that belong to no block, up to the next block or the end.
    Garbage,
}

/// Iterates over blocks and skips garbage.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    worker: WorkerId,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(worker: WorkerId, bytes: &'a [u8]) -> Self {
        Self { worker, bytes, at: 0 }
    }

    fn header_at(&self, at: usize) -> Option<Header> {
        read_header(self.worker, self.bytes.get(at..)?)
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let from = self.at;
        // An unused or uncommitted block starts with zeros. That is not damage.
        let is_blank = word64(self.bytes, from)? == 0;
        let mut at = from;
        let header = loop {
            if let Some(header) = self.header_at(at) {
                break header;
            }
            at += 8;
            if at + HEADER > self.bytes.len() {
                self.at = self.bytes.len();
                return (!is_blank).then_some(Item::Garbage);
            }
        };
        if at != from {
            self.at = at;
            return Some(Item::Garbage);
        }
        let begin = at + HEADER;
        let payload = self.bytes.get(begin..begin + header.length);
        self.at = (at + size(header.length)).min(self.bytes.len());
        Some(match payload {
            Some(payload) if checksum(self.worker, payload) == header.payload_crc => Item::Block { at, header, payload },
            _ => Item::Damaged { header },
        })
    }
}

/// Reads a block that must start at the first byte.
pub(crate) fn read_one(worker: WorkerId, bytes: &[u8]) -> Option<(Header, &[u8])> {
    let header = read_header(worker, bytes)?;
    let payload = bytes.get(HEADER..HEADER + header.length)?;
    (checksum(worker, payload) == header.payload_crc).then_some((header, payload))
}
