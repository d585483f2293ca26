//! Random words, and what is kept of them.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::AccessError;

/// So many random bytes as hex digits.
pub(crate) fn random(bytes: usize) -> Result<String, AccessError> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(AccessError::Random)?;
    Ok(hex(&buffer))
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What is kept of a random word. It can't be guessed, so that a slow hash would gain nothing.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// In a time that doesn't tell how much of it is right.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
