//! `monitor spool list`

use std::io::Write as _;

use monitor_spool::{Found, Life};
use serde_json::json;

use super::{SpoolArgs, events, title, word};
use crate::client::print_json;
use crate::exit;
use crate::text::{Line, bytes, counted, duration, moment, now_us, terminal_width, thousands, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor spool list
  monitor spool list --json | jq '.programs[] | select(.life == \"dead\") | .worker_id'

States:
  living     the program runs, or its records are being sent
  dead       the program has ended: `monitor spool ship` sends its records
  elsewhere  the program ran on another machine, and may still be running";

/// List programs with unsent records in the spool, oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::LOCAL))]
pub(crate) struct Args {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &SpoolArgs, args: &Args) -> anyhow::Result<()> {
    let found = place.list()?;
    let (path, found) = found.map_or_else(Default::default, |(spool, found)| (Some(spool.path().to_owned()), found));
    if args.json {
        return print_json(&json!({"dir": path, "programs": found}));
    }
    let mut out = anstream::stdout().lock();
    out.write_all(render(&found, terminal_width(), now_us()).as_bytes())?;
    out.flush()?;
    if found.is_empty() {
        writeln!(anstream::stderr(), "nothing is in the spool")?;
    }
    Ok(())
}

fn render(found: &[Found], columns: Option<usize>, now_us: u64) -> String {
    let titles: Vec<String> = found.iter().map(title).collect();
    let hosts: Vec<String> = found
        .iter()
        .map(|found| found.about.as_ref().map_or_else(String::new, |about| visible(&about.worker.hostname).into_owned()))
        .collect();
    let widest = |texts: &[String]| texts.iter().map(|text| width(text)).max().unwrap_or(0);
    let (title_columns, host_columns) = (widest(&titles), widest(&hosts));
    let mut text = String::new();
    for ((found, title), host) in found.iter().zip(&titles).zip(&hosts) {
        let mut line = Line::default();
        line.text(title).column(title_columns + 2).styled(style(found.life), word(found.life));
        line.column(title_columns + 13).text(host).column(title_columns + host_columns + 15);
        let started_us = found.about.as_ref().map(|about| about.started_us);
        line.text(&started_us.map(moment).unwrap_or_default()).column(title_columns + host_columns + 36);
        let age = started_us.map(|started| duration(now_us.saturating_sub(started).saturating_mul(1_000)));
        line.right(&age.unwrap_or_default(), 7);
        line.right(&counted(events(found), "event"), 18).right(&bytes(found.bytes), 12);
        if found.damaged > 0 {
            line.text(&format!("  {} damaged", thousands(found.damaged)));
        }
        for problem in &found.problems {
            line.text("  ").text(&visible(problem));
        }
        text.push_str(&line.finish(columns));
    }
    text
}

fn style(life: Life) -> anstyle::Style {
    let color = match life {
        Life::Living => anstyle::AnsiColor::Green,
        Life::Dead => anstyle::AnsiColor::Yellow,
        Life::Elsewhere => anstyle::AnsiColor::BrightBlack,
    };
    color.on_default()
}
