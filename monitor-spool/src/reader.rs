//! Reads what a program left.

/// What a folder holds.
#[derive(Debug)]
pub(crate) struct Estate;

/// For the fuzz target.
pub fn fuzz(_: &[u8]) {}
