//! The command `monitor`.

mod client;
mod commands;
#[cfg(all(test, target_os = "linux"))]
mod documented;
mod exit;
mod settings;
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod static_glibc;
mod summary;
mod text;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use monitor_server::alerts::template;

const EXAMPLES: &str = "\
Examples:
  monitor server                  Run the server; the page is at http://127.0.0.1:60010/tasks
  monitor run -- make -j8         Run a command and record it, without a change to it
  monitor list --state failed     List the runs that failed
  monitor show 2106               Show why a run failed, and its slowest steps
  monitor logs 2106 -f            Follow the logs of a run

`monitor help COMMAND` and `monitor COMMAND --help` describe a command, its examples and its exit codes.";

/// Record multi-step work, and watch it live as a tree
#[derive(Debug, Parser)]
#[command(name = "monitor", version, disable_help_subcommand = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Server(commands::server::Args),
    #[cfg(target_os = "linux")]
    Agent(Box<commands::agent::Args>),
    #[cfg(target_os = "linux")]
    Run(Box<commands::run::Args>),
    #[cfg(target_os = "linux")]
    Detached(commands::detached::Args),
    Status(commands::status::Args),
    #[command(visible_alias = "roots", alias = "runs")]
    List(commands::list::Args),
    Tree(commands::tree::Args),
    Show(commands::show::Args),
    Logs(commands::logs::Args),
    Top(commands::top::Args),
    Events(Box<commands::events::Args>),
    Workers(commands::workers::Args),
    Inspect(commands::inspect::Args),
    Control(commands::control::Args),
    Cancel(commands::cancel::Args),
    Call(Box<commands::queue::CallArgs>),
    Retry(commands::queue::RetryArgs),
    Purge(commands::queue::PurgeArgs),
    Queue(commands::queue::Args),
    Result(commands::queue::ResultArgs),
    #[cfg(unix)]
    Celery(commands::celery::Args),
    Export(commands::export::Args),
    #[cfg(target_os = "linux")]
    Report(commands::report::Args),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    AfterRun(Box<commands::after_run::Args>),
    Import(commands::import::Args),
    Migrate(Box<commands::migrate::Args>),
    Pin(commands::pin::Pin),
    Unpin(commands::pin::Unpin),
    Delete(commands::delete::Args),
    Task(commands::task::Args),
    #[cfg(target_os = "linux")]
    Publish(commands::publish::Args),
    Notify(commands::notify::Notify),
    Progress(commands::notify::Progress),
    Alert(commands::alert::Args),
    Heartbeat(Box<commands::heartbeat::Args>),
    Job(commands::job::Args),
    Host(Box<commands::host::Args>),
    Target(commands::target::Args),
    Spool(commands::spool::Args),
    Backup(commands::backup::Args),
    Restore(commands::restore::Args),
    Salvage(commands::salvage::Args),
    Check(commands::check::Args),
    #[cfg(target_os = "linux")]
    CheckAlive(commands::task::CheckAlive),
    Token(commands::token::Args),
    User(commands::user::Args),
    Open(commands::open::Args),
    Doctor(commands::doctor::Args),
    Mcp(commands::mcp::Args),
    Audit(commands::audit::Args),
    Clock(commands::clock::Args),
    Shell(commands::shell::Args),
    Completions(commands::completions::Completions),
    Man(commands::completions::Man),
    Version(commands::version::Args),
    Help(commands::help::Args),
}

fn main() -> std::process::ExitCode {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    static_glibc::use_built_in_sources();
    // The server's own call: a text of an alert is made where little memory and time can be taken.
    if std::env::args_os().nth(1).is_some_and(|word| word == template::WORD) {
        return template::child(std::io::stdin().lock(), std::io::stdout().lock())
            .map_or(std::process::ExitCode::FAILURE, |()| std::process::ExitCode::SUCCESS);
    }
    // So is this: many may be started at once, and reading the command line is the work of milliseconds.
    #[cfg(target_os = "linux")]
    if let Some(folder) = commands::run::launched(std::env::args_os()) {
        return commands::run::launch(&folder);
    }
    let matches = commands::help::with_overview(Cli::command()).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            exit::misread(&error);
            #[cfg(target_os = "linux")]
            commands::run::hint_at_misread(&error);
            return std::process::ExitCode::from(error.exit_code() as u8);
        }
    };
    let result = match cli.command {
        Command::Server(args) => commands::server::run(args),
        #[cfg(target_os = "linux")]
        Command::Agent(args) => commands::agent::run(*args),
        #[cfg(target_os = "linux")]
        Command::Run(args) => return commands::run::run(*args),
        #[cfg(target_os = "linux")]
        Command::Detached(args) => return commands::detached::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::List(args) => commands::list::run(&args),
        Command::Tree(args) => commands::tree::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Logs(args) => commands::logs::run(&args),
        Command::Top(args) => return commands::top::run(&args),
        Command::Events(args) => commands::events::run(&args),
        Command::Workers(args) => commands::workers::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Control(args) => commands::control::run(&args),
        Command::Cancel(args) => commands::cancel::run(&args),
        Command::Call(args) => commands::queue::call(&args),
        Command::Retry(args) => commands::queue::retry(&args),
        Command::Purge(args) => commands::queue::purge(&args),
        Command::Queue(args) => commands::queue::run(&args),
        Command::Result(args) => commands::queue::result(&args),
        #[cfg(unix)]
        Command::Celery(args) => commands::celery::run(args),
        Command::Export(args) => commands::export::run(&args),
        #[cfg(target_os = "linux")]
        Command::Report(args) => commands::report::run(&args),
        #[cfg(target_os = "linux")]
        Command::AfterRun(args) => return commands::after_run::run(*args),
        Command::Import(args) => commands::import::run(&args),
        Command::Migrate(args) => commands::migrate::run(*args),
        Command::Pin(args) => commands::pin::pin(&args),
        Command::Unpin(args) => commands::pin::unpin(&args),
        Command::Delete(args) => commands::delete::run(&args),
        Command::Task(args) => return commands::task::run(&args),
        #[cfg(target_os = "linux")]
        Command::Publish(args) => commands::publish::run(&args),
        Command::Notify(args) => commands::notify::notify(&args),
        Command::Progress(args) => commands::notify::progress(&args),
        Command::Alert(args) => commands::alert::run(&args),
        Command::Heartbeat(args) => commands::heartbeat::run(*args),
        Command::Job(args) => commands::job::run(&args),
        Command::Host(args) => commands::host::run(&args),
        Command::Target(args) => commands::target::run(&args),
        Command::Spool(args) => commands::spool::run(&args),
        Command::Backup(args) => commands::backup::run(&args),
        Command::Restore(args) => commands::restore::run(&args),
        Command::Salvage(args) => commands::salvage::run(&args),
        Command::Check(args) => commands::check::run(&args),
        #[cfg(target_os = "linux")]
        Command::CheckAlive(args) => commands::task::check_alive(&args),
        Command::Token(args) => commands::token::run(args),
        Command::User(args) => commands::user::run(args),
        Command::Open(args) => commands::open::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Mcp(args) => commands::mcp::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
        Command::Clock(args) => commands::clock::run(&args),
        Command::Shell(args) => match commands::shell::run(args, Cli::command()) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Completions(args) => commands::completions::completions(&args, Cli::command()),
        Command::Man(args) => commands::completions::man(&args, Cli::command()),
        Command::Version(args) => commands::version::run(&args),
        Command::Help(args) => commands::help::run(&args, commands::help::with_overview(Cli::command())),
    };
    exit::report(result)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn read(line: &str, duration: &str) -> Result<Cli, String> {
        let words = line.split(' ').map(|word| if word == "DURATION" { duration } else { word });
        Cli::try_parse_from(std::iter::once("monitor").chain(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn all_options_accept_the_same_durations() {
        let long = [
            "run --timeout DURATION -- true",
            "run --warn-after DURATION -- true",
            "run --grace DURATION -- true",
            "run --cpu DURATION -- true",
            "run --backoff DURATION -- true",
            "detached clear --older DURATION",
            "events --timeout DURATION",
            "events --camera file:a --frequency DURATION",
            "control pause --for DURATION",
            "call render --countdown DURATION",
            "call render --expires DURATION",
            "token create a --scope read --expires DURATION",
            "heartbeat add a --every DURATION",
            "heartbeat add a --every 1d --grace DURATION",
            "heartbeat add a --every 1d --timeout DURATION",
            "heartbeat roll a --overlap DURATION",
            "task pause a --until DURATION",
            "job run --host a --timeout DURATION b",
            "job run --host a --wait DURATION b",
            "job wait 1 --timeout DURATION",
            "job wait 1 --polls 2 --interval DURATION",
        ];
        let brief = [
            "inspect ping --timeout DURATION",
            "cancel 1 --timeout DURATION",
            "result 1 --wait DURATION",
            "call render --wait DURATION",
            "queue list --ask DURATION",
        ];
        for line in long.iter().chain(&brief) {
            for duration in ["1.5s", "1s500ms", "1 s 500 ms"] {
                assert!(read(line, duration).is_ok(), "{line} {duration}: {}", read(line, duration).unwrap_err());
            }
            for duration in ["5", "1h30", "1M", "soon"] {
                let error = read(line, duration).expect_err(line);
                assert!(error.contains(duration) && error.contains("duration"), "{line} {duration}: {error}");
            }
        }
        for line in long {
            for duration in ["1h30m", "1.5h", "2w"] {
                assert!(read(line, duration).is_ok(), "{line} {duration}: {}", read(line, duration).unwrap_err());
            }
        }
    }
}
