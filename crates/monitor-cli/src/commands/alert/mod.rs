//! `monitor alert`

mod show;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use monitor_api::Error;
use monitor_wire::{HushRequest, RuleDraft};

use crate::client::Connection;
use crate::exit;
use crate::text::{counted, visible};

const EXAMPLES: &str = "\
Examples:
  monitor alert list                   List firing alerts
  monitor alert show 12                Show the history and messages of an alert
  monitor alert explain 2106           Explain the notifications of a run
  monitor alert ack 12                 Acknowledge an alert
  monitor alert snooze 12 --for 2h     Send none of its messages for two hours
  monitor alert try imports --days 7   Show what a rule would have raised
  monitor alert try --file draft.toml  Try rules before adding them
  monitor alert test ops               Send a test message
  monitor alert preview ops            Show the last alert as a message
  monitor alert maintenance add \"agent:db-*\" --for 1h --why \"new disks\"

Rules and channels are defined in alerts.toml next to the server's settings file.";

/// Show and handle alerts
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List firing alerts, newest first
    List {
        /// Also list alerts that have ended
        #[arg(long)]
        all: bool,
        /// Only alerts with this subject, such as task:gold
        #[arg(long)]
        subject: Option<String>,
        /// Maximum number of alerts
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show an alert with its history and its messages
    Show(Which),
    /// Explain which alerts a run raised, who was notified, who was not, and why
    Explain {
        /// Number or id of the run
        #[arg(value_name = "RUN")]
        root: String,
        /// Only this process: its id (16 hex digits)
        #[arg(long)]
        process: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Acknowledge an alert: no reminders or escalations are sent
    Ack(Which),
    /// Send no messages of an alert for some time
    Snooze {
        /// Number of the alert
        alert: u64,
        /// Duration, such as 90m or 2h
        #[arg(long = "for", value_name = "DURATION")]
        length: String,
        /// Reason, shown with the snooze
        #[arg(long)]
        why: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// End an alert now
    Resolve(Which),
    /// Show the alerts that rules would have raised in the past days
    Try {
        /// Name of a rule in alerts.toml
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        rule: Option<String>,
        /// File with rules to try, written as in alerts.toml; `-` reads standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Number of past days
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=90))]
        days: u16,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the active rules and channels
    Rules {
        #[command(flatten)]
        connection: Connection,
    },
    /// Send a test message through a channel
    Test {
        /// Name of the channel
        channel: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show the last alert as a channel would format it, without sending it
    Preview {
        /// Name of the channel
        channel: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Manage maintenance windows, which suspend messages
    Maintenance {
        #[command(subcommand)]
        command: Maintenance,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Number of the alert
    alert: u64,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Maintenance {
    /// Start maintenance now
    Add {
        /// Scope: `*`, `agent:NAME`, `task:NAME` or `rule:NAME`; NAME can contain * and ?
        scope: String,
        /// Duration, such as 90m or 2h
        #[arg(long = "for", value_name = "DURATION")]
        length: String,
        /// Reason, shown with the maintenance
        #[arg(long)]
        why: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List current maintenance and snoozes
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// End maintenance or a snooze now
    End {
        /// Number in `monitor alert maintenance list`
        hush: u64,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List { all, subject, limit, connection } => {
            let mut call = connection.client()?.alerts().parameter("limit", limit);
            if !all {
                call = call.parameter("state", "firing");
            }
            if let Some(subject) = subject {
                call = call.parameter("subject", subject);
            }
            connection.show(call, |page| show::page(&page))
        }
        Command::Show(Which { alert, connection }) => connection.show(connection.client()?.alert(*alert), |alert| show::detail(&alert)),
        Command::Explain { root, process, connection } => {
            let mut call = connection.client()?.explain_alerts(root.as_str());
            if let Some(process) = process {
                call = call.parameter("process", process);
            }
            connection.show(call, |explained| show::explanation(&explained))
        }
        Command::Ack(Which { alert, connection }) => {
            connection.show(connection.client()?.acknowledge_alert(*alert), |alert| show::done("acknowledged", &alert))
        }
        Command::Resolve(Which { alert, connection }) => {
            connection.show(connection.client()?.resolve_alert(*alert), |alert| show::done("resolved", &alert))
        }
        Command::Snooze { alert, length, why, connection } => hush(connection, format!("alert:{alert}"), length, why.clone(), false),
        Command::Try { rule, file: None, days, connection } => {
            let call = connection.client()?.try_alert_rule(rule.as_deref().unwrap_or_default()).parameter("days", days);
            connection.show(call, |trial| show::trial(&trial))
        }
        Command::Try { file: Some(file), days, connection, .. } => {
            let draft = RuleDraft { toml: read(file)?, days: Some(u32::from(*days)) };
            let tried = connection.show(connection.client()?.try_alert_draft(&draft), |trials| show::trials(&trials));
            tried.map_err(|error| mistakes(error, file))
        }
        Command::Rules { connection } => connection.show(connection.client()?.alert_rules(), |rules| show::rules(&rules)),
        Command::Test { channel, connection } => {
            let call = connection.client()?.test_alert_channel(channel);
            connection.show(call, |message| {
                let answer = message.answer.unwrap_or_default();
                anyhow::ensure!(message.state == "sent", "{} did not take it: {}", visible(channel), visible(&answer));
                Ok(writeln!(anstream::stdout(), "{} took it: {}", visible(channel), visible(&answer))?)
            })
        }
        Command::Preview { channel, connection } => {
            connection.show(connection.client()?.preview_alert_channel(channel), |preview| show::preview(&preview))
        }
        Command::Maintenance { command: Maintenance::Add { scope, length, why, connection } } => {
            hush(connection, scope.clone(), length, why.clone(), true)
        }
        Command::Maintenance { command: Maintenance::List { connection } } => {
            connection.show(connection.client()?.hushes(), |hushes| show::hushes(&hushes))
        }
        Command::Maintenance { command: Maintenance::End { hush, connection } } => {
            connection.ask(connection.client()?.end_hush(*hush))?;
            Ok(writeln!(anstream::stdout(), "it is over")?)
        }
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let read = if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    read.with_context(|| format!("could not read the rules of {}", file.display()))
}

/// Prints the mistakes that the server found in a file to stderr, one per line.
fn mistakes(error: anyhow::Error, file: &Path) -> anyhow::Error {
    let is_placed = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
    let problem = error.downcast_ref::<Error>().and_then(Error::problem).filter(|problem| problem.status == 400);
    let found: Vec<&str> = problem.into_iter().flat_map(|problem| problem.detail.lines()).filter(is_placed).collect();
    if found.is_empty() {
        return error;
    }
    for mistake in &found {
        let _ = writeln!(anstream::stderr(), "{}", visible(&format!("{}:{mistake}", file.display())));
    }
    exit::Misused(counted(found.len() as u64, "mistake")).into()
}

fn hush(connection: &Connection, scope: String, length: &str, why: Option<String>, maintenance: bool) -> anyhow::Result<()> {
    let request = HushRequest { scope, from_us: None, length: length.to_owned(), why, maintenance };
    connection.show(connection.client()?.hush(&request), |hushes| show::hushes(&hushes))
}
