//! `cargo xtask test`: all checks that must pass before a change is merged.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::run::{cargo, command, step, target, workspace};
use crate::tools;

pub(crate) fn test() -> Result<()> {
    let mut steps = Steps::default();
    let begin = Instant::now();
    let path = tools::install()?;
    steps.done.push(Step { name: "tools".to_owned(), took: begin.elapsed(), failure: None });
    let cargo = |args: &[&str]| {
        let mut line = cargo(args);
        line.env("PATH", &path);
        line
    };
    steps.run("formatting", &mut cargo(&["fmt", "--all", "--check"]));
    for manifest in ["benches/Cargo.toml", "tests/python/Cargo.toml"] {
        steps.run(&format!("formatting of {manifest}"), &mut cargo(&["fmt", "--manifest-path", manifest, "--check"]));
    }
    steps.run("licences, sources and banned crates", &mut cargo(&["deny", "check", "bans", "licenses", "sources"]));
    advisories(&mut steps, &cargo);
    steps.run("words", &mut cargo(&["xtask", "words"]));
    let npm_in = |folder: &str, args: &[&str]| {
        let mut line = command("npm", args);
        line.current_dir(workspace().join(folder));
        line
    };
    let npm = |args: &[&str]| npm_in("crates/monitor-web/app", args);
    steps.run("the page: packages", &mut npm(&["ci", "--no-audit", "--no-fund"]));
    steps.run("the page: types", &mut npm(&["run", "check"]));
    steps.run("the page: tests", &mut npm(&["test"]));
    steps.run("the login provider of the tests: packages", &mut npm_in("tests/oidc", &["ci", "--no-audit", "--no-fund"]));
    steps.run("the MCP client of the tests: packages", &mut npm_in("tests/mcp", &["ci", "--no-audit", "--no-fund"]));
    steps.run("lints", &mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]));
    // The Rust version that the client declares is also checked by clippy's `incompatible_msrv`.
    steps.run("lowest versions of the client's dependencies", &mut cargo(&["xtask", "lowest"]));
    // With the features of the lints, so that the dependencies are checked once.
    steps.run("documentation", cargo(&["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"));
    // The system tests start programs from the target folder, and `nextest` builds only those of the packages that it tests.
    steps.run("build", &mut cargo(&["build", "--workspace", "--all-targets"]));
    // In a separate target folder, because the changed RUSTFLAGS would make cargo rebuild everything.
    let mut model = cargo(&["test", "--release", "--package", "monitor-core", "--features", "record", "--lib", "model"]);
    steps.run("concurrency, with loom", model.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target().join("loom")));
    steps.run("compression by zstd", &mut cargo(&["nextest", "run", "--package", "monitor-spool", "--features", "zstd"]));
    steps.run("examples in the documentation", &mut cargo(&["test", "--workspace", "--doc", "--no-fail-fast"]));
    steps.run("tests", cargo(&["nextest", "run", "--workspace", "--profile", profile()]).env("MONITOR_TESTS_ARE_BUILT", "1"));
    steps.finish()
}

/// The profile in `.config/nextest.toml`.
fn profile() -> &'static str {
    if std::env::var_os("CI").is_some() { "ci" } else { "default" }
}

/// Checks dependencies for known weaknesses if the advisory database can be fetched.
fn advisories(steps: &mut Steps, cargo: &dyn Fn(&[&str]) -> Command) {
    if let Err(error) = step("advisories: the database", &mut cargo(&["deny", "fetch", "db"])) {
        println!("advisories were NOT checked, because their database can't be fetched here: {error:#}");
        return;
    }
    steps.run("advisories", &mut cargo(&["deny", "check", "--disable-fetch", "advisories"]));
}

/// The steps that have run. A failed step does not stop the following ones.
#[derive(Default)]
struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    failure: Option<String>,
}

impl Steps {
    fn run(&mut self, name: &str, command: &mut Command) {
        let begin = Instant::now();
        let failure = step(name, command).err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            println!("── {failure}");
        }
        self.done.push(Step { name: name.to_owned(), took: begin.elapsed(), failure });
    }

    /// Prints the table of steps.
    ///
    /// # Errors
    /// Names the steps that failed.
    fn finish(self) -> Result<()> {
        println!("\n── summary");
        for Step { name, took, failure } in &self.done {
            println!("{:>6.0} s  {}  {name}", took.as_secs_f64(), if failure.is_some() { "FAILED" } else { "passed" });
        }
        let total: Duration = self.done.iter().map(|step| step.took).sum();
        println!("{:>6.0} s  in total", total.as_secs_f64());
        let failures: Vec<String> = self.done.into_iter().filter_map(|step| step.failure).collect();
        if !failures.is_empty() {
            bail!("{} failed:\n  {}", if failures.len() == 1 { "a step" } else { "several steps" }, failures.join("\n  "));
        }
        Ok(())
    }
}
