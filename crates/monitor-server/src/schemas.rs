//! Schemas of the databases in a data folder.

use std::collections::BTreeMap;

use monitor_store_sqlite::{JOBS, TREES};

use crate::{access, commands};

/// Returns the number of the newest schema that this build reads and writes, for each database in the data folder.
pub fn schemas() -> BTreeMap<String, u32> {
    let all = [("monitor.db", TREES), ("jobs.db", JOBS), ("access.db", access::SCHEMA), ("commands.db", commands::SCHEMA)];
    all.map(|(file, schema)| (file.to_owned(), schema.known())).into()
}
