//! Everything that must hold before a change is taken.

use std::process::Command;

use anyhow::Result;

use crate::run::{cargo, command, step, target, workspace};
use crate::tools;

pub(crate) fn test() -> Result<()> {
    let path = tools::install()?;
    let cargo = |args: &[&str]| {
        let mut line = cargo(args);
        line.env("PATH", &path);
        line
    };
    step("formatting", &mut cargo(&["fmt", "--all", "--check"]))?;
    step("formatting of the benches", &mut cargo(&["fmt", "--manifest-path", "benches/Cargo.toml", "--check"]))?;
    step("formatting of the module for Python", &mut cargo(&["fmt", "--manifest-path", "tests/python/Cargo.toml", "--check"]))?;
    step("lints", &mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    step("licences, sources and banned crates", &mut cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    advisories(&cargo)?;
    step("documentation", cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    let npm_in = |folder: &str, args: &[&str]| {
        let mut line = command("npm", args);
        line.current_dir(workspace().join(folder));
        line
    };
    let npm = |args: &[&str]| npm_in("monitor-web/app", args);
    step("the page: packages", &mut npm(&["ci", "--no-audit", "--no-fund"]))?;
    step("the page: types", &mut npm(&["run", "check"]))?;
    step("the page: tests", &mut npm(&["test"]))?;
    step("the provider that tests log in by: packages", &mut npm_in("tests/oidc", &["ci", "--no-audit", "--no-fund"]))?;
    // The tests of the whole find every program beside themselves; `cargo test` alone would leave some out.
    step("build", &mut cargo(&["build", "--workspace", "--all-targets"]))?;
    // In a folder of its own, or all would be built anew each time.
    let mut model = cargo(&["test", "--release", "--package", "monitor-core", "--features", "record", "--lib", "model"]);
    step("concurrency, with loom", model.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target().join("loom")))?;
    step("compression by zstd", &mut cargo(&["test", "--package", "monitor-spool", "--features", "zstd"]))?;
    step("https of the client", &mut cargo(&["test", "--package", "monitor-client", "--features", "tls", "--test", "tls"]))?;
    step("tests", cargo(&["test", "--workspace"]).env("MONITOR_TESTS_ARE_BUILT", "1"))
}

/// Known weaknesses of what is depended on, where their database can be had: it lies on the network.
fn advisories(cargo: &dyn Fn(&[&str]) -> Command) -> Result<()> {
    if let Err(error) = step("advisories: the database", &mut cargo(&["deny", "fetch", "db"])) {
        println!("advisories were NOT checked, for their database can't be had here: {error:#}");
        return Ok(());
    }
    step("advisories", &mut cargo(&["deny", "check", "--disable-fetch", "advisories"]))
}
