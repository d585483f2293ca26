//! A clock for a real binary that does as a test tells it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::{Server, wait_for};

/// Clocks between a program and the system, by a preloaded library (`tests/clock/shim.c`). Every wait of the program that has an end is by
/// these clocks, too.
#[derive(Debug)]
pub struct SteeredClock {
    folder: TempDir,
}

impl Default for SteeredClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SteeredClock {
    /// Clocks that go as the system's, so far.
    pub fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().expect("a folder") };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/clock/shim.c");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(clock.path("shim.so")).arg(source).status();
        assert!(made.expect("a C compiler, as the build needs one").success());
        fs::write(clock.path("told"), [0; 32]).expect("a file");
        clock
    }

    /// What a program has in its environment to go by these clocks.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        vec![("LD_PRELOAD", self.path("shim.so").into()), ("CLOCK_TOLD", self.path("told").into())]
    }

    /// Sets the time of day so much ahead, and no other clock.
    pub fn set_ahead(&self, by: Duration) {
        self.tell(0, by);
    }

    /// Sets all clocks so much ahead, as if that time had gone by.
    pub fn pass(&self, time: Duration) {
        self.tell(1, time);
    }

    /// Lets time pass in steps so short that the server doesn't take itself for one that stood still, and has looked for silent workers after
    /// each. `passed`: how far the clocks are ahead already. Returns how far they are then.
    pub fn pass_awake(&self, server: &Server, passed: Duration, time: Duration) -> Duration {
        let (end, mut at) = (passed + time, passed);
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + at;
            wait_for("a look for silent workers", || {
                let duties = server.get("/status")["duties"].as_array().expect("a list").clone();
                let looked = duties.iter().find(|duty| duty["name"] == "overdue").and_then(|duty| duty["last_us"].as_u64());
                looked.filter(|looked_us| u128::from(*looked_us) >= now.as_micros())
            });
            if at == end {
                return end;
            }
            at = end.min(at + Duration::from_secs(5));
            self.pass(at);
        }
    }

    /// Lets all clocks run so many times as fast from now on. May be called once.
    pub fn run_fast(&self, times: u32) {
        let now = nix::time::ClockId::CLOCK_MONOTONIC.now().expect("every Unix has it");
        self.tell(3, now.into());
        self.tell(2, Duration::from_nanos(times.into()));
    }

    fn tell(&self, place: u64, number: Duration) {
        let number = i64::try_from(number.as_nanos()).expect("less than three hundred years");
        let file = fs::OpenOptions::new().write(true).open(self.path("told")).expect("a file");
        file.write_all_at(&number.to_ne_bytes(), 8 * place).expect("a number");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
