//! `monitor task rehearse`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::whom::{Meant, Whom};
use super::{EXIT_CODES, Wrong, read};
use crate::client::print_json;
use crate::text::{counted, duration, moment, visible};

const EXAMPLES: &str = "\
Examples:
  monitor task rehearse gold.toml  Simulate the past 30 days
  monitor task rehearse gold.toml --days 7

Each simulated run takes as long as a real run of a task with this name, in the same order. The output shows overlaps, waits, skipped \
runs and crowded minutes. Nothing is started or saved.";

/// Default number of days.
const DAYS: u16 = 30;

/// Simulate a definition with the durations of past runs
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// File with the definition: TOML, or JSON if it is named *.json
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Number of past days to simulate; a server always uses 30 [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=366))]
    days: Option<u16>,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let task = read::read_one(&args.file)?;
    read::warn(&args.file, &task.warnings())?;
    let connection = &args.whom.connection;
    let answer = match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => super::local::rehearse(&data, &task.definition, args.days.unwrap_or(DAYS))?,
        Meant::Server => {
            if args.days.is_some_and(|days| days != DAYS) {
                return Err(Wrong(format!("--days: a server tries the past {DAYS} days")).into());
            }
            connection.wait(connection.client()?.rehearse_batch_task(&task.json).json())?
        }
    };
    if connection.json {
        return print_json(&answer);
    }
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let mut out = anstream::stdout().lock();
    let runs = answer["durations"].as_u64().map(|of| format!(", on the durations of {}", counted(of, "run"))).unwrap_or_default();
    let time = |key: &str| moment(answer[key].as_u64().unwrap_or_default());
    writeln!(out, "{} to {}{runs}", time("from_us"), time("to_us"))?;
    writeln!(out, "{} due, {}", number("due"), counted(number("starts"), "start"))?;
    writeln!(out, "{}, longest wait {}", counted(number("overlaps"), "overlap"), duration(number("longest_wait_ns")))?;
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
    Ok(out.flush()?)
}

/// Builds an answer in the form of the server's.
#[cfg(target_os = "linux")]
pub(super) fn answer(
    tried: &monitor_tasks::rehearse::Rehearsal,
    durations: usize,
    (from, to): (jiff::Timestamp, jiff::Timestamp),
) -> Value {
    let wait_ns = u64::try_from(tried.longest_wait.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "from_us": from.as_microsecond(), "to_us": tried.cut_at.unwrap_or(to).as_microsecond(), "durations": durations,
        "due": tried.due, "starts": tried.starts, "overlaps": tried.overlaps, "skipped": tried.skipped, "longest_wait_ns": wait_ns,
        "overtime": tried.overtime, "killed": tried.killed, "crowded": tried.crowded,
    })
}
