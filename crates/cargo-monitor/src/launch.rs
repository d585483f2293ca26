//! Launches a program unchanged, together with a background process that ships its records.

mod follow;
mod post;
#[cfg(unix)]
mod stack;
mod unsent;

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

pub(crate) use follow::follow;
pub(crate) use unsent::unsent;

/// Environment variable that marks a program of tests. Its value is the program's process id.
const TESTS: &str = "MONITOR_TESTS";

/// Names the folder in which each launched program has a file with its process id as the name. When its records were shipped, `.shipped` is
/// appended to that name.
pub(crate) const LAUNCHES: &str = "MONITOR_WEAVE_LAUNCHES";

/// Address of no server: programs can't listen on port 0. Records stay in the spool.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:0";

/// Kind of the program that is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launched {
    Program,
    /// A program of tests, without the rows below tests that passed within a second.
    Tests,
    /// A program of tests, with all rows.
    TestsInFull,
}

impl Launched {
    /// The subcommand of this program that launches it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Program => "launch",
            Self::Tests => "launch-tests",
            Self::TestsInFull => "launch-tests-in-full",
        }
    }
}

/// Argument of `follow`: omit the rows below tests that passed within a second.
const OF_TESTS: &str = "of-tests";

/// Implements `launch [RUNNER…] -- PROGRAM …`, which cargo calls as its runner; `launch-tests` and `launch-tests-in-full` are the variants
/// for test programs. On Unix, this process is replaced by the program, so signals, terminal, process id and exit code are the program's
/// own.
pub(crate) fn launch(args: impl Iterator<Item = OsString>, launched: Launched) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let split = args.iter().position(|arg| arg == "--").unwrap_or(0);
    let mut words = args[..split].iter().chain(args.iter().skip(split + 1));
    let Some(program) = words.next() else { return ExitCode::from(125) };
    let launch = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    let mut command = Command::new(program);
    command.args(words).env("MONITOR_ENABLED", "1").env("MONITOR_LAUNCH", &launch).env_remove(crate::plan::VARIABLE).env_remove(LAUNCHES);
    if launched != Launched::Program {
        command.env(TESTS, std::process::id().to_string());
    }
    if let Some(launches) = std::env::var_os(LAUNCHES) {
        let _ = std::fs::write(Path::new(&launches).join(std::process::id().to_string()), "");
        // Ends the tests together with cargo, because the report is written as soon as cargo has ended.
        #[cfg(target_os = "linux")]
        if launched != Launched::Program {
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
        }
    }
    let has_server = std::env::var_os("MONITOR_SERVER_URL").is_none_or(|url| url != NOWHERE);
    if has_server && let Err(error) = begin_to_follow(&launch, launched) {
        let _ = writeln!(io::stderr(), "cargo monitor: what is recorded waits in the spool, for nobody ships it: {error}");
    }
    #[cfg(unix)]
    stack::widen(&mut command);
    let error = exec(command);
    let _ = writeln!(io::stderr(), "cargo monitor: {} can't be run: {error}", Path::new(program).display());
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

/// Starts the process that ships the records. It detaches itself, so that the program does not find an unknown child when it waits for
/// children.
fn begin_to_follow(launch: &str, launched: Launched) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("follow").arg(launch).arg(std::process::id().to_string());
    command.args((launched == Launched::Tests).then_some(OF_TESTS));
    if let Some(dir) = std::env::var_os("MONITOR_SPOOL_DIR").filter(|dir| !dir.is_empty() && !dir.eq_ignore_ascii_case("off")) {
        command.env("MONITOR_SPOOL_DIR", std::path::absolute(dir)?);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    command.spawn()?.wait()?;
    Ok(())
}

#[cfg(unix)]
fn exec(mut command: Command) -> io::Error {
    use std::os::unix::process::CommandExt;

    command.exec()
}

#[cfg(not(unix))]
fn exec(mut command: Command) -> io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
