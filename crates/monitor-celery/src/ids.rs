//! Ids of the wire format that are derived from ids of Celery.

use monitor_wire::{ProcessId, RootId, WorkerId};
use sha2::{Digest, Sha256};

/// Source of native ids, as the wire format defines it: a process id is the beginning of SHA-256(source ‖ native id).
pub(crate) const SOURCE: &str = "celery";
/// Longest id of a task that is accepted, in bytes. Celery's own are UUIDs of 36 bytes.
pub(crate) const LONGEST_ID: usize = 255;

fn digest(native_id: &str) -> [u8; 32] {
    Sha256::new().chain_update(SOURCE).chain_update(native_id).finalize().into()
}

/// Id of a task's process.
pub(crate) fn process_id(task: &str) -> ProcessId {
    let bytes = digest(task);
    ProcessId::new(first_u64(&bytes)).unwrap_or(ProcessId::new(1).expect("not zero"))
}

/// Id of the run that begins with a task: its UUID without dashes. For an id that is no UUID, it is derived from the id.
pub(crate) fn root_id(task: &str) -> RootId {
    uuid(task).unwrap_or_else(|| {
        let bytes = digest(task);
        RootId::new(u128::from_be_bytes(*bytes.first_chunk().expect("32 bytes"))).unwrap_or(RootId::new(1).expect("not zero"))
    })
}

/// Reads a UUID, with or without dashes, in upper or lower case.
fn uuid(text: &str) -> Option<RootId> {
    let digits = match text.len() {
        32 => text.to_ascii_lowercase(),
        36 if [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-') => text.replace('-', "").to_ascii_lowercase(),
        _ => return None,
    };
    digits.parse().ok()
}

/// Id of a task's parent. A text of 16 hex digits is the id of a process that is no task of Celery: a program passed it to `apply_async`.
pub(crate) fn parent_id(parent: &str) -> ProcessId {
    parent.parse().unwrap_or_else(|_| process_id(parent))
}

/// Id of a worker: the same for the same node and process in this cluster, also after a restart of the bridge.
pub(crate) fn worker_id(cluster: &str, node: &str, pid: u32) -> WorkerId {
    let bytes: [u8; 32] = Sha256::new()
        .chain_update(SOURCE)
        .chain_update([0])
        .chain_update(cluster)
        .chain_update([0])
        .chain_update(node)
        .chain_update(pid.to_be_bytes())
        .finalize()
        .into();
    WorkerId::new(u128::from_be_bytes(*bytes.first_chunk().expect("32 bytes"))).unwrap_or(WorkerId::new(1).expect("not zero"))
}

fn first_u64(bytes: &[u8; 32]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("32 bytes"))
}

/// Returns random bytes of the system.
///
/// # Panics
/// If the system has no random numbers.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

/// Returns 32 random hex digits.
pub(crate) fn random_hex() -> String {
    format!("{:032x}", u128::from_be_bytes(random()))
}

/// Returns a random UUID (version 4), as Celery writes it.
pub(crate) fn new_uuid() -> String {
    let mut bytes = random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_the_id_of_its_run() {
        let root = "fc5608e853924d9380328 9c86b319e91".replace(' ', "");
        for text in ["fc5608e8-5392-4d93-8032-89c86b319e91", "FC5608E8-5392-4D93-8032-89C86B319E91", &root] {
            assert_eq!(root_id(text).to_string(), root, "{text}");
        }
        let zero = "00000000-0000-0000-0000-000000000000";
        for text in ["u1", "", "视频", zero, "fc5608e8-5392-4d93-8032089c86b319e91", &"x".repeat(4_096)] {
            // SHA-256, computed by `printf celeryu1 | sha256sum`.
            let id = root_id(text);
            assert!(text != "u1" || id.to_string().starts_with(&process_id(text).to_string()), "{text}");
        }
    }

    #[test]
    fn a_process_id_is_the_beginning_of_the_digest_that_the_wire_format_defines() {
        // `printf celeryu1 | sha256sum`
        assert_eq!(process_id("u1").to_string(), "e41976c237e272df");
        assert_eq!(parent_id("a3ce929d0e0e4736").to_string(), "a3ce929d0e0e4736");
        assert_eq!(parent_id("u1"), process_id("u1"));
    }

    #[test]
    fn new_uuids_are_of_version_4_and_differ() {
        let (a, b) = (new_uuid(), new_uuid());
        assert!(a != b && a.len() == 36 && a.as_bytes()[14] == b'4' && matches!(a.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{a}");
        assert!(uuid(&a).is_some());
    }

    #[test]
    fn a_worker_is_the_same_after_a_restart_of_the_bridge() {
        let id = worker_id("orders", "w1@h2", 7);
        assert_eq!(id, worker_id("orders", "w1@h2", 7));
        for (cluster, node, pid) in [("other", "w1@h2", 7), ("orders", "w2@h2", 7), ("orders", "w1@h2", 8)] {
            assert_ne!(id, worker_id(cluster, node, pid));
        }
    }
}
