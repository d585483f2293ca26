//! Runs the tests of crates with unsafe code under `AddressSanitizer`. The stable compiler includes it; `RUSTC_BOOTSTRAP` enables the
//! unstable option.

use anyhow::Result;

use crate::run::{cargo, command, step, target};

/// Packages with unsafe code, and the features with which they are tested.
const PACKAGES: &[(&str, &str)] = &[("monitor-core", "record"), ("monitor-client", "record"), ("monitor-spool", "default")];

pub(crate) fn sanitize() -> Result<()> {
    let version = command("rustc", &["-vV"]).output()?;
    let version = String::from_utf8_lossy(&version.stdout);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("x86_64-unknown-linux-gnu");
    for (package, features) in PACKAGES {
        // An explicit target, so that build scripts and macros are built without the sanitizer.
        let mut tests = cargo(&["test", "--package", package, "--features", features, "--target", host, "--lib", "--tests"]);
        tests.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address").env("CARGO_TARGET_DIR", target().join("sanitize"));
        // No leak detection, because data that lives as long as the program is leaked on purpose. A small quarantine, because quarantined
        // memory counts as memory of the program, which some tests measure.
        step(&format!("{package} with AddressSanitizer"), tests.env("ASAN_OPTIONS", "detect_leaks=0:quarantine_size_mb=16"))?;
    }
    Ok(())
}
