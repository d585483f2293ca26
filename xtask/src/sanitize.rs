//! The unsafe parts under `AddressSanitizer`. It comes with the stable compiler, which wants to be told that it is meant.

use anyhow::Result;

use crate::run::{cargo, command, step, target};

/// What has unsafe code of its own, and what is wanted of it.
const PACKAGES: &[(&str, &str)] = &[("monitor-core", "record"), ("monitor-client", "record"), ("monitor-spool", "default")];

pub(crate) fn sanitize() -> Result<()> {
    let version = command("rustc", &["-vV"]).output()?;
    let version = String::from_utf8_lossy(&version.stdout);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("x86_64-unknown-linux-gnu");
    for (package, features) in PACKAGES {
        // With a target of its own, so that build scripts and macros are built without.
        let mut tests = cargo(&["test", "--package", package, "--features", features, "--target", host, "--lib", "--tests"]);
        tests.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address").env("CARGO_TARGET_DIR", target().join("sanitize"));
        // What lives as long as the program is leaked on purpose, and told to nobody. What was freed is watched for a while, and
        // counts as memory of the program, which some tests measure.
        step(&format!("{package} with AddressSanitizer"), tests.env("ASAN_OPTIONS", "detect_leaks=0:quarantine_size_mb=16"))?;
    }
    Ok(())
}
