//! Expected durations of running processes, from past processes of the same name.

use std::time::Duration;

use monitor_wire::{Process, Root, quantile_ns};
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::dictionary::Dictionary;
use super::ids::code;
use super::write::rollups::{LEVELS, Sums};

/// Time until cached durations are read again.
pub(super) const VALID: Duration = Duration::from_secs(60);
/// Minimum number of past processes for an expected duration.
const MIN_RUNS: u64 = 5;
/// Minimum number of past processes for a limit after which a process is overdue.
const MIN_RUNS_TO_JUDGE: u64 = 20;
/// Number of minutes after minute `rolled` whose sums are read, because longer spans don't include them yet.
const MAX_MINUTES: i64 = 5;
/// Level of the longest spans.
const LONGEST: i64 = 3;

/// Durations of the successful processes of a name in the current and in the previous span of 32 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    runs: u64,
    pub p50_ns: u64,
    pub p95_ns: u64,
    p99_ns: u64,
}

impl Expected {
    /// Reads the durations from the sums of a name. Returns `None` if there are too few processes.
    pub(super) fn of(connection: &Connection, name: i64) -> Result<Option<Self>> {
        // The server's clock selects the spans, so that a sender with a wrong clock doesn't hide the processes of all others.
        let rolled: i64 = connection.prepare_cached("SELECT rolled FROM counter")?.query_row([], |row| row.get(0))?;
        let mut total = Sums::default();
        let mut add = |level: i64, t: i64| -> Result<()> {
            let sql = "SELECT sums FROM rollup WHERE level = ?1 AND t = ?2 AND name = ?3 AND state = ?4";
            let read = |row: &rusqlite::Row<'_>| Sums::read(row.get_ref(0)?.as_blob()?);
            let found = connection.prepare_cached(sql)?.query_row(params![level, t, name, code::SUCCEEDED], read).optional()?;
            total.merge(&found.unwrap_or_default());
            Ok(())
        };
        let longest = rolled / LEVELS[LONGEST as usize] as i64;
        add(LONGEST, longest)?;
        add(LONGEST, longest - 1)?;
        for t in rolled..=rolled + MAX_MINUTES {
            add(0, t)?;
        }
        let histogram = total.histogram.iter().map(|(bucket, count)| (u32::from(*bucket), *count));
        let quantile = |part| quantile_ns(histogram.clone(), (total.least, total.most), part);
        let found = || Some(Self { runs: total.count, p50_ns: quantile(0.5)?, p95_ns: quantile(0.95)?, p99_ns: quantile(0.99)? });
        Ok(if total.count < MIN_RUNS { None } else { found() })
    }

    /// Returns the duration after which a process is overdue.
    pub(super) fn limit_ns(&self) -> Option<u64> {
        (self.runs >= MIN_RUNS_TO_JUDGE).then(|| self.p99_ns.saturating_mul(3))
    }
}

/// Expectations for a running process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outlook {
    pub expected: Option<Expected>,
    pub is_overdue: bool,
}

impl Outlook {
    /// Reads the expectations for a running process of this name.
    pub(super) fn of(connection: &Connection, dictionary: &mut Dictionary, name: i64, (root, id): (i64, i64)) -> Result<Self> {
        Ok(Self { expected: dictionary.expected(connection, name)?, is_overdue: is_overdue(connection, root, id)? })
    }

    /// Sets the expectations of a root.
    pub(super) fn tell_root(self, root: &mut Root) {
        root.expected_ns = self.expected.map(|expected| expected.p50_ns);
        root.expected_p95_ns = self.expected.map(|expected| expected.p95_ns);
        root.overdue = self.is_overdue;
    }

    /// Sets the expectations of a process.
    pub(super) fn tell(self, process: &mut Process) {
        process.expected_ns = self.expected.map(|expected| expected.p50_ns);
        process.expected_p95_ns = self.expected.map(|expected| expected.p95_ns);
        process.overdue = self.is_overdue;
    }
}

/// Returns true if a process has been recorded as overdue.
pub(super) fn is_overdue(connection: &Connection, root: i64, id: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM overdue WHERE root = ?1 AND id = ?2";
    Ok(connection.prepare_cached(sql)?.query_row([root, id], |_| Ok(())).optional()?.is_some())
}
