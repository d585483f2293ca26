//! `monitor help`, and the overview that `monitor --help` prints.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::Command;
use clap::builder::StyledStr;
use clap::builder::styling::Styles;

/// Show the help of a command, or list all commands
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List all commands, grouped by purpose
    #[arg(short, long, conflicts_with = "command")]
    all: bool,
    /// The command, for example `run` or `task list`
    command: Vec<String>,
}

/// Commands that most users need, in the order of a first day.
const COMMON: [&str; 10] = ["server", "run", "list", "tree", "show", "logs", "top", "task", "alert", "status"];

/// All commands by their purpose.
const GROUPS: [(&str, &[&str]); 8] = [
    ("Run and watch", &["run", "detached", "list", "tree", "show", "logs", "top", "events", "cancel", "progress", "doctor"]),
    ("Keep and share", &["export", "report", "import", "pin", "unpin", "delete", "migrate"]),
    ("Batch tasks", &["task", "agent", "publish", "check-alive"]),
    ("Jobs on hosts", &["job", "host", "target"]),
    ("Alerts", &["alert", "heartbeat", "notify"]),
    ("Queues and workers", &["queue", "call", "result", "retry", "purge", "workers", "inspect", "control", "celery"]),
    ("Server and data", &["server", "status", "spool", "backup", "restore", "salvage", "check", "clock", "audit"]),
    ("Setup", &["open", "token", "user", "mcp", "shell", "completions", "man", "version", "help"]),
];

/// Template of `monitor --help`. The lists are in `before-help`, because clap can't group commands.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}Options:\n{options}{after-help}";

/// Replaces the flat list of all commands in the help of `monitor` by the most used ones and the groups.
pub(crate) fn with_overview(command: Command) -> Command {
    let mut text = String::new();
    section(&mut text, "Common commands", &command, &COMMON);
    let _ = writeln!(text, "{}", heading("All commands, described by `monitor help --all`"));
    for (name, commands) in GROUPS {
        let known: Vec<_> = commands.iter().filter(|name| command.find_subcommand(name).is_some()).copied().collect();
        let _ = writeln!(text, "  {name:<19} {}", known.join(", "));
    }
    command.before_help(StyledStr::from(text)).help_template(TEMPLATE)
}

pub(crate) fn run(args: &Args, command: Command) -> anyhow::Result<()> {
    if args.all {
        let mut text = String::new();
        for (name, commands) in GROUPS {
            section(&mut text, name, &command, commands);
        }
        return Ok(write!(anstream::stdout(), "{}", text.trim_end_matches('\n').to_owned() + "\n")?);
    }
    let words = ["monitor"].into_iter().chain(args.command.iter().map(String::as_str)).chain(["--help"]);
    match command.try_get_matches_from(words) {
        Err(help) => help.exit(),
        Ok(_) => Ok(()),
    }
}

/// Appends a heading, and a line for each command that this system has.
fn section(text: &mut String, name: &str, command: &Command, commands: &[&str]) {
    let _ = writeln!(text, "{}", heading(name));
    for command in commands.iter().filter_map(|name| command.find_subcommand(name)) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "  {:<12} {about}", command.get_name());
    }
    text.push('\n');
}

fn heading(text: &str) -> String {
    let style = Styles::styled();
    let header = style.get_header();
    format!("{header}{text}:{header:#}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn each_command_is_in_one_group() {
        let command = crate::Cli::command();
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            let groups = GROUPS.iter().filter(|(_, commands)| commands.contains(&below.get_name())).count();
            assert_eq!(groups, 1, "{}", below.get_name());
        }
        assert!(COMMON.iter().all(|name| command.find_subcommand(name).is_some()));
    }
}
