//! `monitor task runs`

use std::io::Write as _;

use jiff::Timestamp;
use monitor_wire::{BatchRun, BatchRunsPage};
use serde_json::Value;

use super::EXIT_CODES;
use super::whom::{Meant, Whom};
use crate::client::{print_json, read};
use crate::text::{DURATION_COLUMNS, Line, elapsed, glyph, moment, now_us, one_line, style, terminal_width, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor task runs gold
  monitor task runs --outcome failed --from 2026-11-21
  monitor task runs --exit-code 75 --json | jq -r '.runs[].run'";

/// Outcomes of the server, and outcomes that an agent records.
const OUTCOMES: [&str; 10] = ["pending", "running", "succeeded", "failed", "cancelled", "lost", "ok", "warn", "idle", "fail"];

/// List runs of batch tasks, most recently due first
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Only runs of this task
    task: Option<String>,
    /// Only runs due at this time or later, such as 2026-11-21 or 2026-11-21T08:00Z
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    from: Option<Timestamp>,
    /// Only runs due before this time
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    to: Option<Timestamp>,
    /// Only runs with this exit code: that of the command, or one assigned by the agent, such as 91
    #[arg(long, value_name = "CODE", allow_negative_numbers = true)]
    exit_code: Option<i32>,
    /// Only runs with this outcome; for a server, `ok`, `warn` and `idle` mean `succeeded`
    #[arg(long, value_parser = OUTCOMES)]
    outcome: Option<String>,
    /// Only runs of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Maximum number of runs; a server returns at most 1,000
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    #[cfg(target_os = "linux")]
    if let Meant::Agent(data) = args.whom.meant()? {
        let wanted = super::local::Wanted {
            task: args.task.as_deref(),
            from: args.from,
            to: args.to,
            exit_code: args.exit_code,
            outcome: args.outcome.as_deref(),
            limit: args.limit.into(),
        };
        return super::local::runs(&data, &wanted, connection.json);
    }
    let Meant::Server = args.whom.meant()? else { return Ok(()) };
    let mut call = connection.client()?.batch_runs().limit(usize::from(args.limit).min(1_000));
    let outcome = match args.outcome.as_deref() {
        Some("ok" | "warn" | "idle") => Some("succeeded".to_owned()),
        Some("fail") => Some("failed".to_owned()),
        outcome => outcome.map(str::to_owned),
    };
    for (name, value) in [("task", &args.task), ("outcome", &outcome), ("agent", &args.agent)] {
        if let Some(value) = value {
            call = call.parameter(name, value);
        }
    }
    for (name, value) in [("from", args.from), ("to", args.to)] {
        if let Some(value) = value {
            call = call.parameter(name, &value.as_microsecond().max(0));
        }
    }
    if let Some(exit_code) = args.exit_code {
        call = call.exit_code(exit_code);
    }
    let answer: Value = connection.wait(call.json())?;
    let page: BatchRunsPage = read(answer.clone())?;
    if let Some(task) = args.task.as_ref().filter(|_| page.runs.is_empty()) {
        // Returns an error if the task doesn't exist.
        connection.ask(connection.client()?.batch_task(task))?;
    }
    if connection.json {
        return print_json(&answer);
    }
    let mut out = anstream::stdout().lock();
    out.write_all(render(&page.runs, terminal_width(), now_us()).as_bytes())?;
    out.flush()?;
    if page.runs.is_empty() {
        writeln!(anstream::stderr(), "no runs here")?;
    } else if page.next_cursor.is_some() {
        writeln!(anstream::stderr(), "there are more: see them with --limit, up to 1000, or with a filter")?;
    }
    Ok(())
}

fn render(runs: &[BatchRun], columns: Option<usize>, now_us: u64) -> String {
    let widest = |text: fn(&BatchRun) -> &str| runs.iter().map(|run| width(&visible(text(run)))).max().unwrap_or(0);
    let (ids, outcomes) = (widest(|run| &run.run), widest(|run| run.outcome.as_str()));
    let agents = widest(|run| run.agent.as_deref().unwrap_or_default());
    let mut text = String::new();
    for run in runs {
        let style = style(&run.outcome);
        let mut line = Line::default();
        line.styled(style, glyph(&run.outcome)).text(" ").text(&visible(&run.run));
        line.column(ids + 4).styled(style, &visible(run.outcome.as_str()));
        line.column(ids + outcomes + 6).text(&run.started_us.map(moment).unwrap_or_default());
        line.column(ids + outcomes + 27).right(&elapsed(&run.outcome, run.elapsed_ns, run.started_us, now_us), DURATION_COLUMNS);
        line.column(ids + outcomes + 29 + DURATION_COLUMNS).text(&visible(run.agent.as_deref().unwrap_or_default()));
        line.column(ids + outcomes + 31 + DURATION_COLUMNS + agents).text(&visible(&run.trigger));
        if let Some(code) = run.result_code.or(run.exit_code.map(i64::from)).filter(|code| *code != 0) {
            line.text("  ").text(&format!("exit {code}"));
        }
        if let Some(error) = &run.error {
            line.text("  ").styled(style, &one_line(error));
        }
        text.push_str(&line.finish(columns));
    }
    text
}
