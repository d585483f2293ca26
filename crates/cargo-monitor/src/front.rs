//! `cargo monitor build`, `run`, `test` and `bench`: run cargo with this program as the compiler wrapper.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::SystemTime;

use anyhow::{Context, bail};
use monitor_spool::settings;

use crate::conclusion::{self, Conclusion};
use crate::config::{Config, Rule};
use crate::launch::Launched;
use crate::plan::{self, Plan};
use crate::project::{CargoArguments, Project};
use crate::report::Report;
use crate::source::{absolute, read_crate};
use crate::weave::{Limit, rule_for};
use crate::{launch, runtime};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments for cargo
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    cargo: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    conclusion: conclusion::Options,
    #[command(flatten)]
    args: Args,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Show the calls within every test. Without -p, cargo tests the whole workspace then, as by its own --all
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    args: RunArgs,
}

/// Subcommand of cargo that is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Build,
    Run,
    Test,
    Bench,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
            Self::Test => "test",
            Self::Bench => "bench",
        }
    }
}

pub(crate) fn build(config: Option<&Path>, Args { cargo }: &Args) -> anyhow::Result<ExitCode> {
    run_with(Verb::Build, config, None, &with_separator(cargo, std::env::args_os()), Launched::Program)
}

pub(crate) fn run(verb: Verb, config: Option<&Path>, RunArgs { conclusion, args }: &RunArgs) -> anyhow::Result<ExitCode> {
    run_with(verb, config, Some(conclusion), &with_separator(&args.cargo, std::env::args_os()), Launched::Program)
}

pub(crate) fn run_tests(config: Option<&Path>, TestArgs { all, args }: &TestArgs) -> anyhow::Result<ExitCode> {
    let (cargo_args, has_all) = of_tests(*all, with_separator(&args.args.cargo, std::env::args_os()));
    run_with(Verb::Test, config, Some(&args.conclusion), &cargo_args, if has_all { Launched::TestsInFull } else { Launched::Tests })
}

/// Returns cargo's arguments, and true if `--all` is given. cargo treats `--all` as `--workspace` and then ignores `-p`, so `--all` is not
/// passed on together with `-p`.
fn of_tests(is_first: bool, mut args: Vec<OsString>) -> (Vec<OsString>, bool) {
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let behind = args.split_off(end);
    let count = args.len();
    args.retain(|arg| arg != "--all");
    let has_all = is_first || args.len() < count;
    let names_package = args.iter().any(|arg| {
        let arg = arg.to_string_lossy();
        arg.starts_with("-p") || arg == "--package" || arg.starts_with("--package=")
    });
    args.extend((has_all && !names_package).then(|| "--all".into()));
    args.extend(behind);
    (args, has_all)
}

fn run_with(
    verb: Verb,
    config: Option<&Path>,
    options: Option<&conclusion::Options>,
    cargo_args: &[OsString],
    launched: Launched,
) -> anyhow::Result<ExitCode> {
    let own = |arg: &&OsString| options.is_some() && arg.to_str().is_some_and(conclusion::is_option);
    if let Some(word) = cargo_args.iter().take_while(|arg| *arg != "--").find(own) {
        let word = word.display();
        bail!(
            "{word} is an option of cargo monitor: write it before cargo's own, as in `cargo monitor {} {word} … --release`",
            verb.name()
        );
    }
    let said = CargoArguments::read(cargo_args);
    let project = Project::find(&said)?;
    let notes = Notes { are_shown: !said.is_quiet && !project.is_quiet() };
    let config = Config::read(config, &project.root)?;
    if verb != Verb::Build {
        monitor_api::Settings::from_env()?;
    }
    let conclusion = options.map(|options| Conclusion::begin(options, |message| notes.write(message))).transpose()?.flatten();
    notes.warn_of_patterns(&project, &config);
    let mut command = Command::new(&project.cargo);
    command.arg(verb.name());
    if said.target_dir.is_none() {
        command.arg("--target-dir").arg(project.monitor_dir().join("build"));
    }
    if std::env::var_os("MONITOR_FOLD_BELOW").is_none() {
        let default = || format!("{}us", settings::FOLD_BELOW.as_micros());
        command.env("MONITOR_FOLD_BELOW", config.fold_below.clone().unwrap_or_else(default));
    }
    let begun = SystemTime::now();
    let plan = prepare(&project, &config, notes);
    match &plan {
        Ok((path, plan)) => {
            let own = std::env::current_exe()?;
            if plan.outer.is_some() {
                command.env("RUSTC_WRAPPER", &own);
            }
            command.env("RUSTC_WORKSPACE_WRAPPER", own).env(plan::VARIABLE, path);
        }
        // Continue the build without monitoring.
        Err(error) => notes.write(&format!("nothing is monitored: {error:#}")),
    }
    if plan.is_ok() && verb != Verb::Build {
        command.arg("--config").arg(runner(&project, launched.word())?);
    }
    command.args(cargo_args);
    let status = match &conclusion {
        None => command.status(),
        Some(conclusion) => {
            conclusion.prepare(&mut command);
            conclusion::run(command)
        }
    };
    let status = status.with_context(|| format!("{} can't be run", Path::new(&project.cargo).display()))?;
    if let Ok((path, plan)) = &plan {
        notes.write_report(&plan.reports, begun);
        if let Some(why) = launch::unsent(path).filter(|_| !conclusion.as_ref().is_some_and(Conclusion::has_spool)) {
            notes.write(&format!("what was recorded waits in the spool (`monitor spool list`): {why}"));
        }
    }
    let code = exit_code(status);
    if let Some(conclusion) = conclusion {
        let error = conclusion.end(&format!("cargo monitor {}", verb.name()), status, code);
        notes.write(&format!("the report was not written: the program `monitor` can't be run: {error}"));
    }
    Ok(code.into())
}

/// Returns cargo's arguments including a `--` directly after the subcommand, which clap removes.
///
/// `cargo` must be the last words of `all`, the whole command line.
fn with_separator(cargo: &[OsString], all: impl ExactSizeIterator<Item = OsString>) -> Vec<OsString> {
    let before = all.len().saturating_sub(cargo.len() + 1);
    let removed = all.skip(before).take(1).filter(|word| word == "--");
    removed.chain(cargo.iter().cloned()).collect()
}

/// Returns cargo's exit code, or 128 + the signal that ended it, as a shell does, because on Unix `cargo run` is replaced by its program.
fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    let code = status.code().or_else(|| Some(128 + signal?));
    code.map_or(1, |code| code as u8)
}

/// Writes the plan file, which the wrapper reads, and returns its path and content.
fn prepare(project: &Project, config: &Config, notes: Notes) -> anyhow::Result<(std::path::PathBuf, Plan)> {
    let folder = project.own_dir();
    let plan = Plan {
        runtime: if project.uses_client { None } else { Some(runtime::build(project, !notes.are_shown)?) },
        slices: folder.join("crates"),
        reports: folder.join("reports"),
        shadows: folder.join("woven"),
        tests: project.crates.iter().filter(|of| of.is_test()).map(|of| absolute(&of.root)).collect(),
        inner: project.inner_wrapper(),
        outer: project.outer_wrapper(),
        is_cross: project.target.is_some(),
    };
    for name in project.crates.iter().map(|of| &of.name).collect::<BTreeSet<_>>() {
        let rules: Vec<Rule> = config.rules.iter().filter_map(|rule| rule.for_crate(name)).collect();
        plan::write(&plan.slice(name), &rules)?;
    }
    // A file per target, because builds for different targets may run at the same time.
    let path = folder.join(format!("plan-{}.json", project.target.as_deref().unwrap_or("host")));
    plan::write(&path, &plan)?;
    Ok((path, plan))
}

/// Returns cargo's `runner` setting: this program, followed by the runner that was configured before.
fn runner(project: &Project, launch: &str) -> anyhow::Result<String> {
    let exe = std::env::current_exe()?.into_os_string().into_string().ok().context("the path of cargo-monitor is no text")?;
    let words = [exe, launch.to_owned()].into_iter().chain(project.runner()).chain(["--".to_owned()]);
    let words = toml::Value::Array(words.map(toml::Value::String).collect());
    Ok(format!("target.{}.runner={words}", project.target.as_ref().unwrap_or(&project.host)))
}

/// Returns a message for each rule whose pattern matches no function.
pub(crate) fn unmatched(project: &Project, config: &Config) -> Vec<String> {
    let crates = project.crates.iter().filter(|of| of.why_not.is_none());
    let functions: Vec<_> = crates.flat_map(|of| read_crate(&of.root, &of.name, of.is_test()).0).flat_map(|file| file.functions).collect();
    let matched: BTreeSet<usize> =
        functions.iter().filter_map(|function| rule_for(&config.rules, function)).map(|rule| rule.index).collect();
    let paths: Vec<&str> = functions.iter().map(|function| function.path.as_str()).collect();
    let is_matched = |rule: &&Rule| matched.contains(&rule.index) || functions.iter().any(|function| rule.matches(function));
    config.rules.iter().filter(|rule| !is_matched(rule)).map(|rule| config.matches_nothing(rule, &paths)).collect()
}

/// The lines that this program itself writes to stderr.
#[derive(Debug, Clone, Copy)]
struct Notes {
    /// False with cargo's `--quiet`.
    are_shown: bool,
}

impl Notes {
    fn write(self, message: &str) {
        if self.are_shown {
            let _ = writeln!(anstream::stderr(), "cargo monitor: {message}");
        }
    }

    /// Prints patterns that match nothing. The build continues, because the other patterns may be sufficient.
    fn warn_of_patterns(self, project: &Project, config: &Config) {
        if self.are_shown && config.file.is_some() {
            for message in unmatched(project, config) {
                self.write(&message);
            }
        }
    }

    /// Reports the functions that this build has woven, and the crates that it could not weave.
    fn write_report(self, reports: &Path, begun: SystemTime) {
        let mut by_crate = BTreeMap::<String, Report>::new();
        for entry in fs::read_dir(reports).into_iter().flatten().flatten() {
            let is_new = entry.metadata().and_then(|data| data.modified()).is_ok_and(|modified| modified >= begun);
            if let Some(report) = plan::read::<Report>(&entry.path()).ok().flatten().filter(|_| is_new) {
                let known = by_crate.entry(report.crate_name.clone()).or_default();
                if report.woven >= known.woven {
                    *known = report;
                }
            }
        }
        let woven: usize = by_crate.values().map(|report| report.woven).sum();
        let refused = by_crate.values().flat_map(|report| report.refused.values()).filter(|refusal| refusal.limit == Limit::Out).count();
        if woven > 0 {
            let less = if refused > 0 { format!(", {refused} left out (see the warnings)") } else { String::new() };
            let crates = by_crate.values().filter(|report| report.woven > 0).count();
            let many = |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
            self.write(&format!("{} woven in {}{less}", many(woven, "function"), many(crates, "crate")));
        }
        for report in by_crate.values() {
            if let Some(why) = &report.unmonitored {
                self.write(&format!("`{}` is not monitored: {why}", report.crate_name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_requested_by_an_argument_that_cargo_also_has() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for (is_first, line, expected, has_all) in [
            (false, "--lib", "--lib", false),
            (true, "", "--all", true),
            (false, "-q --all --lib", "-q --lib --all", true),
            (true, "-- --all", "--all -- --all", true),
            (false, "-- --all", "-- --all", false),
            (true, "-p one", "-p one", true),
            (false, "--package=one --all -- x", "--package=one -- x", true),
        ] {
            assert_eq!(of_tests(is_first, words(line)), (words(expected), has_all), "{line}");
        }
    }

    #[test]
    fn a_separator_after_the_subcommand_is_passed_to_cargo() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for (all, parsed, expected) in [
            ("cargo-monitor monitor run -- --version", "--version", "-- --version"),
            ("cargo-monitor --config x test -- --list", "--list", "-- --list"),
            ("cargo-monitor monitor run --", "", "--"),
            ("cargo-monitor monitor run -q -- --version", "-q -- --version", "-q -- --version"),
            ("cargo-monitor monitor run", "", ""),
        ] {
            assert_eq!(with_separator(&words(parsed), words(all).into_iter()), words(expected), "{all}");
        }
    }
}
