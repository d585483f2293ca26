//! `monitor task next`

use std::io::Write as _;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use monitor_tasks::Rule;
use monitor_tasks::rule::{dst, next_of};
use serde_json::json;

use super::{EXIT_CODES, Wrong};
use crate::client::print_json;
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor task next \"30 2 * * 1-5\" --zone Europe/Berlin  Show five due times
  monitor task next \"H 4 * * *\" --name gold -n 2         H depends on the name
  monitor task next @hourly \"0 12 * * 6#1\" --json        Combine several rules

A rule has 5 fields (minute hour day month weekday), 6 (with a second before them) or 7 (with a year after them), or is @daily, @every \
90s, @boot, or a time such as 2026-12-24T18:00.";

/// Show when schedule rules are due next
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Rules, such as "30 2 * * 1-5"
    #[arg(required = true, value_name = "RULE")]
    rules: Vec<String>,
    /// Time zone of the rules, such as Europe/Berlin [default: this machine's time zone]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Number of due times to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Name of the task, which determines the values of `H`
    #[arg(long, value_name = "TASK", default_value = "task")]
    name: String,
    /// Only due times after this time, such as 2026-03-29T00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let read = |text: &String| Rule::parse(text, &args.name).map_err(|error| Wrong(format!("rule {text:?}: {error}")));
    let rules = args.rules.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let here = TimeZone::system();
    let zone = match &args.zone {
        Some(name) => monitor_tasks::zone::find(name).map_err(|error| Wrong(format!("--zone: {error}")))?,
        None => here.clone(),
    };
    let mut at = args.after.unwrap_or_else(Timestamp::now);
    let mut due = Vec::new();
    while due.len() < usize::from(args.count) {
        let Some(next) = next_of(&rules, at, &zone) else { break };
        due.push(next);
        at = next;
    }
    let is_boot = rules.iter().any(Rule::is_boot);
    if args.json {
        let due = due.iter().map(|at| {
            json!({
                "due_us": at.as_microsecond(),
                "local": at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
                "here": at.to_zoned(here.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
                "note": note(&rules, *at, &zone),
            })
        });
        return print_json(&json!({ "zone": name_of(&zone), "due": due.collect::<Vec<_>>(), "at_boot": is_boot }));
    }
    let mut out = anstream::stdout().lock();
    for at in &due {
        let shown = |zone: &TimeZone| text(&at.to_zoned(zone.clone()));
        let also = if zone == here { String::new() } else { format!("   here {}", shown(&here)) };
        let note = note(&rules, *at, &zone).map(|note| format!("   {note}")).unwrap_or_default();
        writeln!(out, "{}", visible(&format!("{}{also}{note}", shown(&zone))))?;
    }
    if is_boot {
        writeln!(out, "and whenever the machine has started")?;
    } else if due.is_empty() {
        writeln!(out, "never again")?;
    }
    Ok(out.flush()?)
}

fn text(at: &Zoned) -> String {
    at.strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string()
}

fn name_of(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("local")
}

/// The effect of a clock change on a due time.
fn note(rules: &[Rule], due: Timestamp, zone: &TimeZone) -> Option<String> {
    if let Some(named) = rules.iter().find_map(|rule| rule.moved_from(due, zone)) {
        return Some(format!("the clock skips {}: due at the first instant after", named.strftime("%H:%M:%S")));
    }
    let pass = dst::pass(due, zone)?;
    Some(format!("the clock shows this time twice: this is the {} one", if pass == 1 { "first" } else { "second" }))
}
