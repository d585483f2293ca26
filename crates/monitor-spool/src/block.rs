//! The frame of everything that is appended: a header with a checksum of its own and one of its payload, so that damage to
//! any byte is noticed and costs one block.
//!
//! ```text
//! 0 magic u32 · 4 payload length u32 · 8 number u64 · 16 a u64 · 24 b u64 · 32 payload crc u32 · 36 header crc u32 · 40 payload
//! ```
//! Words are little-endian; a block begins at a multiple of 8 bytes. Both checksums begin with the worker's id, so that the
//! block of another program, or one that stands in somebody's text, is no block here.

mod read;

#[cfg(feature = "read")]
use crc32fast::Hasher;

#[cfg(not(feature = "read"))]
use crate::crc::Hasher;
use crate::wire::WorkerId;

pub(crate) use read::read_one;
#[cfg(feature = "read")]
pub(crate) use read::{Blocks, Item};

pub(crate) const HEADER: usize = 40;
/// A longer payload is no payload.
pub(crate) const LONGEST: usize = 64 << 20;

/// What kind of block it is, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Magic {
    Site = u32::from_le_bytes(*b"MSit"),
    Record = u32::from_le_bytes(*b"MRec"),
    Sent = u32::from_le_bytes(*b"MSnt"),
    Failed = u32::from_le_bytes(*b"MFld"),
}

/// Bytes of a block with a payload of this length.
pub(crate) const fn size(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(8)
}

/// The checksum of some parts one after another.
pub(crate) fn checksum(worker: WorkerId, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&worker.get().to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// The header of a payload.
pub(crate) fn header(worker: WorkerId, magic: Magic, number: u64, a: u64, b: u64, payload: &[u8]) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0..4].copy_from_slice(&(magic as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..24].copy_from_slice(&a.to_le_bytes());
    bytes[24..32].copy_from_slice(&b.to_le_bytes());
    bytes[32..36].copy_from_slice(&checksum(worker, payload).to_le_bytes());
    let crc = checksum(worker, &bytes[..36]);
    bytes[36..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// A whole block, padded.
pub(crate) fn block(worker: WorkerId, magic: Magic, number: u64, a: u64, b: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size(payload.len()));
    bytes.extend_from_slice(&header(worker, magic, number, a, b, payload));
    bytes.extend_from_slice(payload);
    bytes.resize(size(payload.len()), 0);
    bytes
}
