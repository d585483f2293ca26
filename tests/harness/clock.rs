//! A steered clock for a real binary.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::{Server, wait_for};

/// Steered clocks of a program, by a preloaded library (`tests/clock/shim.c`). The timeouts of the program also use these clocks.
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
    /// Clocks that are equal to the system's clocks.
    pub fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().expect("a folder") };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/clock/shim.c");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(clock.path("shim.so")).arg(source).status();
        assert!(made.expect("a C compiler, as the build needs one").success());
        fs::write(clock.path("told"), [0; 32]).expect("a file");
        clock
    }

    /// Environment variables for a program that uses these clocks.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        vec![("LD_PRELOAD", self.path("shim.so").into()), ("CLOCK_TOLD", self.path("told").into())]
    }

    /// Sets only the system time ahead by this duration, and no other clock.
    pub fn set_ahead(&self, by: Duration) {
        self.tell(0, by);
    }

    /// Sets all clocks ahead by this duration, as if the time had passed.
    pub fn pass(&self, time: Duration) {
        self.tell(1, time);
    }

    /// Lets time pass in steps. Each step is so short that the server does not assume that it was suspended itself, and ends after the
    /// server has checked for silent workers. `passed` is the current offset of the clocks. Returns their new offset.
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

    /// Makes all clocks run faster by this factor. May be called once.
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
