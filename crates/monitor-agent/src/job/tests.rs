//! An order for the tests of this module.

use monitor_wire::{JobOrder, JobRunKey, Language};

/// Returns an order of a short script.
pub(super) fn order() -> JobOrder {
    JobOrder {
        key: JobRunKey { job: 1, step: 2, host: 3, attempt: 1 },
        agent: "db-1".to_owned(),
        name: "check".to_owned(),
        script: "true\n".to_owned(),
        language: Language::Shell,
        args: Vec::new(),
        env: [].into(),
        secrets: [].into(),
        is_param_sensitive: false,
        account: None,
        timeout_s: 60,
        output_bytes: 10 << 20,
        root_id: "0123456789abcdef0123456789abcdef".to_owned(),
        process_id: "0123456789abcdef".to_owned(),
        by: "ada".to_owned(),
        issued_us: 1,
        expires_us: u64::MAX,
    }
}
