//! Records a program of tests started by `cargo monitor test`: one tree for everything that its harness runs.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monitor_core::record::Record;

use monitor_core::{Context, Exit, Process, home};

/// Contains the pid of the process that runs the tests. Programs started by a test inherit the variable, but have other pids.
const VARIABLE: &str = "MONITOR_TESTS";

/// Time after which a running test counts as slow. Slightly longer than the second within which a passed test has no rows below it.
const SLOW: Duration = Duration::from_millis(1_050);

/// Process that represents the program.
static PROGRAM: Mutex<Option<Process>> = Mutex::new(None);
/// Id of that process; 0 if this is not a program of tests.
static PROGRAM_ID: AtomicU64 = AtomicU64::new(0);

/// Returns true if this program was started for its tests. Must be called before recording begins. From then on, all tests wait for
/// [`begin`].
pub(crate) fn expect() -> bool {
    let is_meant = std::env::var(VARIABLE).is_ok_and(|pid| pid == std::process::id().to_string());
    if is_meant {
        home::expect();
    }
    is_meant
}

/// Starts the tree of the program.
pub(crate) fn begin() {
    let program = Process::builder(format!("tests of {}", name())).root().begin();
    PROGRAM_ID.store(program.context().map_or(0, Context::process), Ordering::Release);
    home::set(program.context());
    if let Ok(mut own) = PROGRAM.try_lock() {
        *own = Some(program);
    }
}

/// Ends the process of the program with the exit code. The harness exits with a nonzero code if a test has failed. Without a code, the
/// process stays open and is ended by the worker's goodbye, like all running processes.
pub(crate) fn end(code: Option<i32>) {
    let Some(program) = PROGRAM.try_lock().ok().and_then(|mut own| own.take()) else { return };
    let Some(code) = code else { return std::mem::forget(program) };
    let message = (code != 0).then(|| format!("exit code {code}"));
    program.exited(Exit { code: Some(code), message, ..Exit::default() });
}

/// Separates records about tests from records about calls within them.
#[derive(Debug, Default)]
pub(crate) struct TestRecords {
    /// Running tests with their start in Unix microseconds. `None` once the test is known to be slow.
    running: HashMap<u64, Option<u64>>,
}

impl TestRecords {
    /// Returns true if the record is about a test or the program itself. Always false in other programs.
    pub(crate) fn contains(&mut self, record: &Record) -> bool {
        let program = PROGRAM_ID.load(Ordering::Acquire);
        match record {
            _ if program == 0 => false,
            Record::Started(started) if started.parent == program => {
                self.running.insert(started.id, Some(started.time_us));
                true
            }
            Record::Started(started) => started.id == program,
            Record::Folded(folded) => folded.parent == program,
            Record::Ended(ended) => ended.id == program || self.running.remove(&ended.id).is_some(),
            _ => false,
        }
    }

    /// Returns the time until the first running test may be slow.
    pub(crate) fn next_slow(&self, now_us: u64) -> Option<Duration> {
        let starts = self.running.values().flatten();
        let first = starts.min()?;
        Some(SLOW.saturating_sub(Duration::from_micros(now_us.saturating_sub(*first))))
    }

    /// Returns tests that have become slow, each once. A test that is not in `running` may have ended without its end being read.
    pub(crate) fn slow(&mut self, now_us: u64, running: &HashSet<u64>) -> Vec<u64> {
        let mut slow = Vec::new();
        for (id, start) in &mut self.running {
            let is_slow = start.is_some_and(|start| now_us.saturating_sub(start) >= SLOW.as_micros() as u64);
            if is_slow && running.contains(id) {
                *start = None;
                slow.push(*id);
            }
        }
        slow
    }
}

/// Returns the name of the crate: the file name without cargo's hash.
fn name() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let stem = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name.to_owned(),
        // File name that rustdoc uses for documentation tests.
        _ if stem == "rust_out" => "documentation".to_owned(),
        _ => stem,
    }
}

#[cfg(test)]
mod unit {
    use monitor_core::record::{Attachment, Ended, Named, Origin, Outcome, Started};

    use super::*;

    fn started(id: u64, parent: u64, time_us: u64) -> Record {
        let named = Named { name: "a".to_owned(), kind: "normal".into(), place: None };
        let origin = Origin::Named(Box::new(named));
        Record::Started(Started { root: 1, id, parent, origin, time_us, thread: "a".into(), attachment: Attachment::Explicit, extra: None })
    }

    fn ended(id: u64) -> Record {
        Record::Ended(Ended { root: 1, id, time_us: 0, elapsed_ns: None, outcome: Outcome::Succeeded, extra: None })
    }

    #[test]
    fn tests_are_distinguished_from_calls_and_slow_tests_reported_once() {
        let mut records = TestRecords::default();
        assert!(!records.contains(&started(2, 1, 0)), "this is no program of tests");
        PROGRAM_ID.store(1, Ordering::Release);
        let all =
            [started(1, 0, 0), started(2, 1, 1_000), started(3, 2, 0), started(4, 1, 3_000), started(5, 1, 4_000), ended(3), ended(5)];
        assert_eq!(all.map(|record| records.contains(&record)), [true, true, false, true, true, false, true]);
        assert_eq!(records.next_slow(1_000), Some(SLOW));
        assert_eq!(records.next_slow(1_051_000), Some(Duration::ZERO));
        // One of them may have ended.
        assert_eq!(records.slow(1_060_000, &HashSet::from([1, 2, 3])), [2]);
        assert_eq!(records.next_slow(1_060_000), Some(Duration::ZERO));
        assert_eq!(records.slow(1_060_000, &HashSet::from([1, 2, 4])), [4]);
        assert_eq!(records.next_slow(2_000_000), None);
        assert_eq!([ended(2), ended(4), ended(4), ended(1)].map(|record| records.contains(&record)), [true, true, false, true]);
        PROGRAM_ID.store(0, Ordering::Release);
    }
}
