//! Random secrets and their hashes.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::AccessError;

/// Returns `bytes` random bytes as hex digits.
pub(crate) fn random(bytes: usize) -> Result<String, AccessError> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(AccessError::Random)?;
    Ok(hex(&buffer))
}

/// Formats bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Hashes a random secret. It has enough entropy that a slow hash would gain nothing.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Compares in constant time, so that the time reveals nothing about the secret.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
