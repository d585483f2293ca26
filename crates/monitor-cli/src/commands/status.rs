//! `monitor status`

use std::fmt::Write as _;
use std::io::Write as _;

use monitor_wire::{Counts, Status};

use crate::client::Connection;
use crate::exit;
use crate::text::{STATES, bytes, moment, now_us, style, thousands, visible};

const EXAMPLES: &str = "\
Examples:
  monitor status
  monitor status --json | jq .workers
  monitor status --server http://build-7:60010";

/// Show the server's version, workers and size
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    args.connection.show(args.connection.client()?.status(), |status| {
        let text = render(&status, args.connection.server().as_str());
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    })
}

fn render(status: &Status, server: &str) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<11}{value}");
    };
    row("server", &format!("{server}  version {}, since {}", visible(&status.version), moment(status.started_us)));
    let workers = status.workers;
    row("workers", &format!("{} online, {} offline, {} lost", workers.online, workers.offline, workers.lost));
    row("runs", &counts(status.roots));
    row("processes", &counts(status.processes));
    row("events", &format!("{}, {} per second", thousands(status.events), thousands(status.events_per_second.round() as u64)));
    let free = if status.free_bytes > 0 { format!(", {} of them free", bytes(status.free_bytes)) } else { String::new() };
    row("on disk", &format!("{}{free}, and {} of its log", bytes(status.database_bytes), bytes(status.wal_bytes)));
    if let Some(free) = status.disk_free_bytes {
        let least = status.min_free_bytes.unwrap_or(0);
        row("disk", &format!("{} free, batches are refused below {}", bytes(free), bytes(least)));
    }
    if let Some(trouble) = &status.trouble {
        row("TROUBLE", &format!("batches are refused: {}", visible(trouble)));
    }
    for mistake in &status.alert_mistakes {
        row("ALERTS", &visible(mistake));
    }
    if !status.can_tell {
        row(
            "ALERTS",
            "alerts are not sent: alerts.toml has no channel, and the server's own agent has no sendmail (docs/start/first-alert.md)",
        );
    }
    for agent in &status.hindered_agents {
        if let Some(until) = agent.pause_at(now_us()) {
            let until = until.map(|until| format!(" until {}", moment(until))).unwrap_or_default();
            row("AGENT", &visible(&format!("{} is paused{until}: nothing starts there by time", agent.name)));
        }
        for mistake in &agent.mistakes {
            row("AGENT", &visible(&format!("{}: {mistake}", agent.name)));
        }
    }
    if let Some(jump) = status.clock_jump {
        row("CLOCK", &super::clock::jump_words(jump));
    }
    if status.refused_batches > 0 {
        row("refused", &format!("{} batches had to come again", thousands(status.refused_batches)));
    }
    if status.queue_bytes > 0 {
        row("waiting", &bytes(status.queue_bytes));
    }
    if !status.retention.is_empty() {
        row("keeps", &visible(&status.retention));
    }
    if status.waiting_events > 0 {
        row("waiting", &format!("{} events that don't say their run", thousands(status.waiting_events)));
    }
    for (event_type, count) in &status.unknown_events {
        row("unknown", &format!("{} events of type {}", thousands(*count), visible(event_type)));
    }
    for dropped in &status.dropped {
        row("dropped", &format!("{} {} ({})", thousands(dropped.count), visible(&dropped.event_type), visible(&dropped.reason)));
    }
    text
}

fn counts(mut counts: Counts) -> String {
    let mut text = thousands(counts.total());
    let mut separator = ":  ";
    for state in STATES {
        let count = *counts.of(&state);
        if count > 0 {
            let style = style(&state);
            let _ = write!(text, "{separator}{style}{} {state}{style:#}", thousands(count));
            separator = ", ";
        }
    }
    if counts.other > 0 {
        let _ = write!(text, "{separator}{} in other states", thousands(counts.other));
    }
    text
}
