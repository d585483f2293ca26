//! A program of tests that `cargo monitor test` has started: one tree for all that its harness runs.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use monitor_core::record::Record;
use monitor_core::{Exit, Process, home};

/// Names the process that was started to run tests: those that a test starts inherit the variable, and are none.
const VARIABLE: &str = "MONITOR_TESTS";

/// The process of the program.
static PROGRAM: Mutex<Option<Process>> = Mutex::new(None);
/// Its id; 0 if this is no program of tests.
static PROGRAM_ID: AtomicU64 = AtomicU64::new(0);

/// Returns true if this program was started for its tests. To be called before recording begins: then all tests wait for [`begin`].
pub(crate) fn expect() -> bool {
    let is_meant = std::env::var(VARIABLE).is_ok_and(|pid| pid == std::process::id().to_string());
    if is_meant {
        home::expect();
    }
    is_meant
}

/// Begins the tree of the program.
pub(crate) fn begin() {
    let program = Process::builder(format!("tests of {}", name())).root().begin();
    PROGRAM_ID.store(program.context().map_or(0, |context| context.process()), Ordering::Release);
    home::set(program.context());
    if let Ok(mut own) = PROGRAM.try_lock() {
        *own = Some(program);
    }
}

/// Ends it with the program, by its exit code: the harness ends with another one than 0 if a test has failed. Without a code the
/// process is left to the worker's goodbye, as all is that runs then.
pub(crate) fn end(code: Option<i32>) {
    let Some(program) = PROGRAM.try_lock().ok().and_then(|mut own| own.take()) else { return };
    let Some(code) = code else { return std::mem::forget(program) };
    let message = (code != 0).then(|| format!("exit code {code}"));
    program.exited(Exit { code: Some(code), message, ..Exit::default() });
}

/// The records about tests, in contrast to those about calls within them.
#[derive(Debug, Default)]
pub(crate) struct TestRecords {
    running: HashSet<u64>,
}

impl TestRecords {
    /// Returns true if this is about a test or the program itself; false for all records of other programs.
    pub(crate) fn contains(&mut self, record: &Record) -> bool {
        let program = PROGRAM_ID.load(Ordering::Acquire);
        match record {
            _ if program == 0 => false,
            Record::Started(started) if started.parent == program => {
                self.running.insert(started.id);
                true
            }
            Record::Started(started) => started.id == program,
            Record::Folded(folded) => folded.parent == program,
            Record::Ended(ended) => ended.id == program || self.running.remove(&ended.id),
            _ => false,
        }
    }
}

/// The crate, of whose file's name cargo's hash is no part.
fn name() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let stem = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name.to_owned(),
        // As rustdoc calls what it makes of an example.
        _ if stem == "rust_out" => "documentation".to_owned(),
        _ => stem,
    }
}
