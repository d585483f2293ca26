//! The command `cargo monitor`: builds an unmodified Rust project with its functions monitored.
//!
//! ```text
//! cargo monitor build ─► cargo build ─► this program as compiler wrapper: source ─► weave ─► shadow ─► rustc
//! └─► runtime (once)                    │ functions that the compiler refuses are left out
//! cargo monitor run ──► cargo run ──► launch ─► the program itself, and a process that ships its spool
//! ```

mod conclusion;
mod config;
mod front;
mod init;
mod launch;
mod list;
mod pattern;
mod plan;
mod project;
mod report;
mod runtime;
mod source;
mod weave;
mod wrapper;

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use front::Verb;
use launch::Launched;

const EXAMPLES: &str = "\
Examples:
  cargo monitor run --release -- --help   Build, run, and show the run at http://127.0.0.1:60010/tasks
  cargo monitor test                      Run the tests, with the same results
  cargo monitor test --all                Show the calls within each test as well
  cargo monitor test --report tests.html  Write the runs to one HTML file, also without a server
  cargo monitor init                      Write a monitor.toml that lists the project's functions
  cargo monitor list                      Show which functions are recorded, which are not, and why

Sources, Cargo.toml, Cargo.lock and plain builds stay unchanged: all files are in target/monitor. A program that was built with `cargo monitor \
build` records if MONITOR_ENABLED=1 is set.";

/// Monitor a Rust project without changing its sources
#[derive(Debug, Parser)]
#[command(name = "cargo-monitor", bin_name = "cargo monitor", version, after_help = EXAMPLES)]
struct Cli {
    /// File that selects the functions to record [default: monitor.toml in the workspace's folder; without one, all functions]
    #[arg(long, value_name = "FILE", env = "MONITOR_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build, with the arguments of `cargo build`
    Build(front::Args),
    /// Run, with the arguments of `cargo run`
    Run(front::RunArgs),
    /// Test, with the arguments of `cargo test`; a test that passes within a second has one row
    ///
    /// The calls within a test have rows if it failed, panicked, was aborted, or took longer than a second.
    Test(front::TestArgs),
    /// Run benchmarks, with the arguments of `cargo bench`
    Bench(front::RunArgs),
    /// Write a monitor.toml with the project's own functions, module by module
    Init(init::Args),
    /// Show which functions are recorded, which are skipped and why, and patterns that match nothing
    List(list::Args),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder, which is created if it does not exist
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    if let Some(plan) = env::var_os(plan::VARIABLE)
        && is_compiler(env::args_os().nth(1))
    {
        return wrapper::run(&plan, args);
    }
    if env::var_os(runtime::VARIABLE).is_some() {
        return runtime::wrap(args);
    }
    match args.next().as_deref().and_then(|first| first.to_str()) {
        Some("launch") => return launch::launch(args, Launched::Program),
        Some("launch-tests") => return launch::launch(args, Launched::Tests),
        Some("launch-tests-in-full") => return launch::launch(args, Launched::TestsInFull),
        Some("follow") => return launch::follow(args),
        _ => {}
    }
    // cargo passes the name of the subcommand as the first argument.
    let args = env::args_os().enumerate().filter(|(at, arg)| *at != 1 || arg != "monitor").map(|(_, arg)| arg);
    let cli = Cli::parse_from(args);
    let config = cli.config.as_deref();
    let result = match &cli.command {
        Command::Build(args) => front::build(config, args),
        Command::Run(args) => front::run(Verb::Run, config, args),
        Command::Test(args) => front::run_tests(config, args),
        Command::Bench(args) => front::run(Verb::Bench, config, args),
        Command::Init(args) => init::run(config, args),
        Command::List(args) => list::run(config, args),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "cargo-monitor", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { folder } => man(folder),
    };
    result.unwrap_or_else(|error| {
        let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
        let _ = writeln!(anstream::stderr(), "cargo monitor: {}", causes.join(": "));
        ExitCode::FAILURE
    })
}

/// Returns true if cargo calls this program as a compiler wrapper: the first argument is then the path of rustc or of the next wrapper.
fn is_compiler(arg: Option<OsString>) -> bool {
    arg.is_some_and(|arg| {
        if wrapper::is_own(&arg) {
            return true;
        }
        let name = PathBuf::from(&arg);
        let name = name.file_stem().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.contains("rustc") || env::var_os("RUSTC").is_some_and(|rustc| rustc == arg))
    })
}

fn man(folder: &std::path::Path) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(folder)?;
    let mut command = Cli::command();
    command.build();
    let write = |command: &clap::Command, name: String| -> anyhow::Result<()> {
        let mut page = Vec::new();
        let file = folder.join(format!("{name}.1"));
        clap_mangen::Man::new(command.clone().name(&*String::leak(name))).render(&mut page)?;
        Ok(std::fs::write(file, page)?)
    };
    write(&command, "cargo-monitor".to_owned())?;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        write(below, format!("cargo-monitor-{}", below.get_name()))?;
    }
    Ok(ExitCode::SUCCESS)
}
