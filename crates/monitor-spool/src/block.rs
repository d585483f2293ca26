//! Format of all appended data: a header with a checksum of its own and a checksum of the payload. Damage to any byte is detected and
//! affects only one block.
//!
//! ```text
//! 0 magic u32 · 4 payload length u32 · 8 number u64 · 16 a u64 · 24 b u64 · 32 payload crc u32 · 36 header crc u32 · 40 payload
//! ```
//! Words are little-endian, and a block starts at a multiple of 8 bytes. Both checksums include the worker's id, so that a block of another
//! program, or a block embedded in recorded text, is not accepted.

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
/// Maximum length of a payload.
pub(crate) const LONGEST: usize = 64 << 20;

/// Type of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Magic {
    Site = u32::from_le_bytes(*b"MSit"),
    Record = u32::from_le_bytes(*b"MRec"),
    Sent = u32::from_le_bytes(*b"MSnt"),
    Failed = u32::from_le_bytes(*b"MFld"),
}

/// Returns the size of a block with a payload of this length.
pub(crate) const fn size(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(8)
}

/// Calculates the checksum of `bytes` for a worker.
pub(crate) fn checksum(worker: WorkerId, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&worker.get().to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Creates the header of a payload.
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

/// Creates a complete block with padding.
pub(crate) fn block(worker: WorkerId, magic: Magic, number: u64, a: u64, b: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size(payload.len()));
    bytes.extend_from_slice(&header(worker, magic, number, a, b, payload));
    bytes.extend_from_slice(payload);
    bytes.resize(size(payload.len()), 0);
    bytes
}
