//! Process ids of processes that have an id in another system.

use monitor_wire::ProcessId;
use sha2::{Digest as _, Sha256};

/// Returns the id of the process that `source` knows as `native_id`: the first 8 bytes of SHA-256(source ‖ native id).
pub fn process_id(source: &str, native_id: &str) -> ProcessId {
    let hash = Sha256::new().chain_update(source).chain_update(native_id).finalize();
    let first = hash.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
    ProcessId::new(first.max(1)).expect("not zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected value is the output of `printf qn-1 | sha256sum`.
    #[test]
    fn an_id_follows_from_source_and_native_id() {
        assert_eq!(process_id("q", "n-1"), ProcessId::new(0x208f_e506_3c6a_9d7d).unwrap());
        assert_ne!(process_id("q", "n-1"), process_id("p", "n-1"));
    }
}
