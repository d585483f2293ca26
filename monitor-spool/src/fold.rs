//! Ids of folds: they follow from parent and name, so that those of several threads and programs are the same.

use monitor_wire::ProcessId;
use sha2::{Digest, Sha256};

/// The first 8 bytes of SHA-256 of the parent as 16 hex digits, a NUL and the name.
pub fn fold_id(parent: ProcessId, name: &str) -> ProcessId {
    let digest = Sha256::new().chain_update(parent.to_string()).chain_update([0]).chain_update(name).finalize();
    let first: u64 = digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
    // Zero is no id.
    ProcessId::new(first.max(1)).expect("not zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_parent_and_name() {
        // printf 'a3ce929d0e0e4736\0load row' | sha256sum
        assert_eq!(fold_id("a3ce929d0e0e4736".parse().unwrap(), "load row").to_string(), "3706ffeb56d14582");
    }
}
