//! `monitor heartbeat`

mod snippets;

use std::io::Write as _;
use std::time::Duration;

use clap::Subcommand;
use monitor_duration::milliseconds;
use monitor_wire::{Heartbeat, HeartbeatDefinition, HeartbeatKey, HeartbeatRoll, Heartbeats};

use self::snippets::Snippet;
use super::access_folder::when;
use crate::client::Connection;
use crate::exit;
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor heartbeat add nightly-backup --rule \"30 2 * * *\" --zone Europe/Berlin
  monitor heartbeat add poller --every 5m --snippet python
  monitor heartbeat list
  monitor heartbeat roll poller --overlap 7d  Replace the address
  monitor heartbeat delete poller

A job that runs elsewhere requests its address, /ping/KEY, after each run. It can also request /ping/KEY/start before the run, and \
/ping/KEY/fail or /ping/KEY/EXIT-CODE after a failure. A ping that does not arrive in time is shown as a missed run.";

/// Watch jobs that run elsewhere through the pings that they send
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a heartbeat and print its address, which is not shown again
    Add(Add),
    /// List all heartbeats with their states
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Replace the address of a heartbeat and print the new one, which is not shown again
    Roll {
        /// Name of the heartbeat
        name: String,
        /// Time for which the old address stays valid, such as 12h or 7d; 0s ends it at once
        #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = monitor_duration::read)]
        overlap: Duration,
        /// Print code that pings the address, in this form
        #[arg(long, value_enum)]
        snippet: Option<Snippet>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a heartbeat; its runs are kept
    Delete {
        /// Name of the heartbeat
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("expected").required(true).args(["rule", "every"])))]
struct Add {
    /// Unique name of the heartbeat
    name: String,
    /// Cron rule for expected pings, such as "30 2 * * *"
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Time zone of the rule, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "rule")]
    zone: Option<String>,
    /// Interval between pings, such as 5m or 1d
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read)]
    every: Option<Duration>,
    /// Maximum delay of a ping
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = monitor_duration::read)]
    grace: Duration,
    /// Maximum time between the ping `start` and the end of a run [default: as --grace]
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read)]
    timeout: Option<Duration>,
    /// Agent of the machine where the job runs, if it has one
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Print code that pings the address, in this form
    #[arg(long, value_enum, default_value = "sh")]
    snippet: Snippet,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Add(add) => self::add(add),
        Command::List { connection } => connection.show(connection.client()?.heartbeats(), |all| list(&all)),
        Command::Roll { name, overlap, snippet, connection } => {
            let roll = HeartbeatRoll { overlap_ms: Some(milliseconds(overlap)) };
            let call = connection.client()?.roll_heartbeat(&name, &roll);
            connection.show(call, |key| told(&key, &connection, snippet))
        }
        Command::Delete { name, connection } => {
            connection.ask(connection.client()?.delete_heartbeat(&name))?;
            Ok(writeln!(anstream::stdout(), "deleted {}", visible(&name))?)
        }
    }
}

fn add(args: Add) -> anyhow::Result<()> {
    let Add { name, rule, zone, every, grace, timeout, agent, snippet, connection } = args;
    let definition = HeartbeatDefinition {
        name,
        rule,
        zone,
        every_ms: every.map(milliseconds),
        grace_ms: milliseconds(grace),
        timeout_ms: timeout.map(milliseconds),
        agent,
    };
    let call = connection.client()?.add_heartbeat(&definition);
    connection.show(call, |key| told(&key, &connection, Some(snippet)))
}

/// Prints the address of a heartbeat, and the code that pings it.
fn told(key: &HeartbeatKey, connection: &Connection, snippet: Option<Snippet>) -> anyhow::Result<()> {
    let below = || format!("{}{}", connection.server().as_str().trim_end_matches('/'), key.path);
    let url = key.url.clone().unwrap_or_else(below);
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", visible(&url))?;
    if let Some(until_us) = key.old_key_until_us {
        writeln!(out, "the old address is taken until {}", when(Some(until_us)))?;
    }
    if let Some(snippet) = snippet {
        write!(out, "\n{}", snippet.text(&visible(&key.name), &url, &visible(&key.crontab)))?;
    }
    Ok(out.flush()?)
}

fn list(all: &Heartbeats) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for Heartbeat { definition, state, seen_us, due_us, .. } in &all.heartbeats {
        let (name, state) = (visible(&definition.name), visible(state.as_str()));
        let expected = match (&definition.rule, definition.every_ms) {
            (Some(rule), _) => format!("{rule} {}", definition.zone.as_deref().unwrap_or("UTC")),
            (None, every) => format!("every {}", monitor_duration::write(Duration::from_millis(every.unwrap_or_default()))),
        };
        let (seen, due) = (when(*seen_us), due_us.map_or_else(|| "after the first ping".to_owned(), |due| when(Some(due))));
        writeln!(out, "{name:<24}{state:<8}{:<34}last {seen}  next {due}", visible(&expected))?;
    }
    Ok(out.flush()?)
}
