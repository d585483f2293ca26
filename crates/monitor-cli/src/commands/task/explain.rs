//! `monitor task explain`

use std::io::Write as _;

use jiff::Timestamp;
use monitor_wire::{BatchExplained, BatchExplanation};

use super::EXIT_CODES;
use super::whom::{Meant, Whom};
use crate::text::{Line, moment, terminal_width, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor task explain gold  Cover the past and the next day
  monitor task explain gold --from 2026-11-01 --to 2026-11-08";

/// From this number on, consecutive runs that started for the same reason share a line.
const MANY: usize = 20;

/// Explain for each due time whether a run started, and why
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Name of the task
    name: String,
    /// Start of the period [default: a day ago]
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    from: Option<Timestamp>,
    /// End of the period [default: a day from now]
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

/// Combines consecutive due times with the same answer. Started runs keep separate lines, unless there are many.
fn grouped(due: &[BatchExplained]) -> Vec<BatchExplained> {
    let is_start = |of: &BatchExplained| of.decision == "started";
    let is_same = |one: &BatchExplained, next: &BatchExplained| {
        (&one.decision, &one.reason, &one.agent) == (&next.decision, &next.reason, &next.agent) && (is_start(one) || one.run == next.run)
    };
    let group = |group: &[BatchExplained]| {
        if group.len() == 1 || is_start(&group[0]) && group.len() < MANY {
            return group.to_vec();
        }
        let run = group[0].run.clone().filter(|_| !is_start(&group[0]));
        vec![BatchExplained { count: group.iter().map(|of| of.count).sum(), run, ..group[0].clone() }]
    };
    due.chunk_by(is_same).flat_map(group).collect()
}

fn show(explanation: &BatchExplanation) -> anyhow::Result<()> {
    let all = grouped(&explanation.due);
    let widest = |text: fn(&BatchExplained) -> &str| all.iter().map(|due| width(&visible(text(due)))).max().unwrap_or(0);
    let decisions = 21 + widest(|due| &due.decision) + 2;
    let reasons = decisions + widest(|due| due.reason.as_deref().unwrap_or_default()) + 2;
    let mut out = anstream::stdout().lock();
    for due in &all {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_explanations_are_grouped() {
        let of = |due_us: u64, decision: &str, run: Option<&str>| BatchExplained {
            due_us,
            count: 1,
            decision: decision.to_owned(),
            reason: None,
            agent: None,
            version: None,
            run: run.map(str::to_owned),
        };
        let runs = |count: u64| (0..count).map(|second| of(second, "started", Some(&format!("run-{second}")))).collect::<Vec<_>>();
        assert_eq!(grouped(&runs(MANY as u64 - 1)).len(), MANY - 1, "each run may be asked for");
        let mut due = runs(28_800);
        due.extend((0..3).map(|second| of(30_000 + second, "skipped", Some("run-7"))));
        due.extend((0..2).map(|second| of(40_000 + second, "skipped", Some("run-8"))));
        due.push(of(50_000, "will-start", None));
        let told: Vec<_> = grouped(&due).into_iter().map(|of| (of.due_us, of.count, of.run)).collect();
        let run = |run: &str| Some(run.to_owned());
        assert_eq!(told, [(0, 28_800, None), (30_000, 3, run("run-7")), (40_000, 2, run("run-8")), (50_000, 1, None)]);
    }
}
