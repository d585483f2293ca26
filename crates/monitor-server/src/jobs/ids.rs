//! Ids of a job's processes. They are derived from numbers, so that an order can contain them before the processes are recorded.

use monitor_jobs::{JobState, Target};
use monitor_wire::{ProcessId, RootId};
use sha2::{Digest as _, Sha256};

/// Returns the id of a job's tree. The time makes it unique among servers, because each numbers its jobs from 1.
pub(super) fn root(job: u64, created_us: u64) -> RootId {
    let digest = Sha256::digest(format!("job {job} {created_us}"));
    let (id, _) = digest.split_first_chunk::<16>().expect("16 of 32 bytes");
    RootId::new(u128::from_be_bytes(*id)).expect("a digest of zeros is not found")
}

/// Returns the id of the job's own process.
pub(super) fn job(root: RootId) -> ProcessId {
    root.own_process().expect("a digest of zeros is not found")
}

/// Returns the id of the process of a step.
pub(super) fn step(root: RootId, step: u64) -> ProcessId {
    process(&format!("{root} {step}"))
}

/// Returns the id of the process of a host in a step.
pub(super) fn host(root: RootId, step: u64, target: &Target) -> ProcessId {
    match target.host_id {
        Some(id) => process(&format!("{root} {step} {id}")),
        None => process(&format!("{root} {step} unknown {} {}", target.cloud_id, target.name)),
    }
}

fn process(text: &str) -> ProcessId {
    let digest = Sha256::digest(text);
    let (id, _) = digest.split_first_chunk::<8>().expect("8 of 32 bytes");
    ProcessId::new(u64::from_be_bytes(*id)).expect("a digest of zeros is not found")
}

/// Returns the id of a job's tree.
pub(super) fn root_of(state: &JobState) -> RootId {
    root(state.id, state.created_us)
}
