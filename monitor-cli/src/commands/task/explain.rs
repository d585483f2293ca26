//! `monitor task explain`

use std::io::Write as _;

use jiff::Timestamp;
use monitor_wire::BatchExplanation;

use super::EXIT_CODES;
use super::whom::{Meant, Whom};
use crate::text::{Line, moment, terminal_width, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor task explain gold                             the past day and the next
  monitor task explain gold --from 2026-11-01 --to 2026-11-08";

/// Tells each due time of a task, what was decided on it, and why; and what will be
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Name of the task
    name: String,
    /// From this time on [default: a day ago]
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    from: Option<Timestamp>,
    /// Until this time [default: a day from now]
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    to: Option<Timestamp>,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => {
            let explanation = super::local::explain(&data, &args.name, (args.from, args.to))?;
            if connection.json {
                return crate::client::print_json(&serde_json::to_value(&explanation)?);
            }
            show(&explanation)
        }
        Meant::Server => {
            let mut call = connection.client()?.explain_batch_task(&args.name);
            for (name, value) in [("from", args.from), ("to", args.to)] {
                if let Some(value) = value {
                    call = call.parameter(name, &value.as_microsecond().max(0));
                }
            }
            connection.show(call, |explanation| show(&explanation))
        }
    }
}

fn show(explanation: &BatchExplanation) -> anyhow::Result<()> {
    let widest =
        |text: fn(&monitor_wire::BatchExplained) -> &str| explanation.due.iter().map(|due| width(&visible(text(due)))).max().unwrap_or(0);
    let decisions = 21 + widest(|due| &due.decision) + 2;
    let reasons = decisions + widest(|due| due.reason.as_deref().unwrap_or_default()) + 2;
    let mut out = anstream::stdout().lock();
    for due in &explanation.due {
        let mut line = Line::default();
        line.text(&moment(due.due_us)).column(21).text(&visible(&due.decision));
        line.column(decisions).text(&visible(due.reason.as_deref().unwrap_or_default())).column(reasons);
        if due.count > 1 {
            line.text(&format!("{} due times from then on  ", due.count));
        }
        line.text(&visible(due.run.as_deref().unwrap_or_default()));
        out.write_all(line.finish(terminal_width()).as_bytes())?;
    }
    out.flush()?;
    if explanation.due.is_empty() {
        writeln!(anstream::stderr(), "nothing is due then; by @boot a task starts when the machine does, first after it was added")?;
    } else if explanation.is_cut {
        writeln!(anstream::stderr(), "there is more: ask for a shorter time with --from and --to")?;
    }
    Ok(())
}
