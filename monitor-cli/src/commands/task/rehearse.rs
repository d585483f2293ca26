//! `monitor task rehearse`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::whom::{Meant, Whom};
use super::{EXIT_CODES, counted, read};
use crate::client::print_json;
use crate::text::{duration, moment, visible};

const EXAMPLES: &str = "\
Examples:
  monitor task rehearse gold.toml              as if it had run in the past 30 days
  monitor task rehearse gold.toml --days 7

Each run takes as long as the real ones of that name took, in their order. Nothing is started or saved.";

/// Tries a definition on the durations of past runs, before it is saved: overlaps, waits, crowded minutes
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// A file with the definition, in TOML, or in JSON if it is called so
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// For so many days, up to now
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let task = read::read_one(&args.file)?;
    let connection = &args.whom.connection;
    let answer = match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => super::local::rehearse(&data, &task.definition, args.days)?,
        Meant::Server => {
            let to_us = crate::text::now_us();
            let from_us = to_us.saturating_sub(u64::from(args.days) * 86_400_000_000);
            let body = json!({ "definition": task.json, "from_us": from_us, "to_us": to_us });
            connection.wait(connection.client()?.rehearse_batch_task(&serde_json::to_vec(&body)?).json())?
        }
    };
    if connection.json {
        return print_json(&answer);
    }
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let mut out = anstream::stdout().lock();
    let runs = answer["durations"].as_u64().map(|of| format!(", on the durations of {}", counted(of as usize, "run"))).unwrap_or_default();
    writeln!(out, "{} days{runs}", args.days)?;
    writeln!(out, "{} due, {}", number("due"), counted(number("starts") as usize, "start"))?;
    let wait = answer["longest_wait"].as_f64().unwrap_or_default();
    writeln!(out, "{}, longest wait {}", counted(number("overlaps") as usize, "overlap"), duration((wait * 1e9) as u64))?;
    for (reason, count) in answer["skipped"].as_object().into_iter().flatten() {
        writeln!(out, "{}", visible(&format!("{count} skipped: {reason}")))?;
    }
    for (key, words) in [("overtime", "longer than timeout"), ("killed", "ended because of kill-after")] {
        if number(key) > 0 {
            writeln!(out, "{} {words}", number(key))?;
        }
    }
    for crowded in answer["crowded"].as_array().into_iter().flatten() {
        writeln!(out, "{}", visible(crowded["hint"].as_str().unwrap_or_default()))?;
    }
    let cut = answer["cut_at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    if let Some(at) = cut {
        writeln!(out, "there was too much to go on after {}", moment(at.as_microsecond().max(0) as u64))?;
    }
    Ok(out.flush()?)
}

/// An answer as a value, with the number of durations that were known.
#[cfg(target_os = "linux")]
pub(super) fn answer(rehearsal: &monitor_tasks::rehearse::Rehearsal, durations: usize) -> anyhow::Result<Value> {
    let mut answer = serde_json::to_value(rehearsal)?;
    answer["durations"] = durations.into();
    Ok(answer)
}
