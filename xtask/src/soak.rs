//! The tests' long cases: the same code as in `cargo xtask test`, more often and with more data.

use anyhow::Result;

use crate::run::{cargo, step};

pub(crate) fn soak(rounds: u32) -> Result<()> {
    let mut tests = cargo(&["test", "-p", "monitor-tests", "--", "--nocapture"]);
    step("whole-system tests, long", tests.env("MONITOR_SOAK_ROUNDS", rounds.to_string()))
}
