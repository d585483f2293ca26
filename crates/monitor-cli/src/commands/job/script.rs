//! `monitor job script`

use std::io::Write as _;

use monitor_wire::{Job, JobRequest};

use crate::client::{Connection, print_json};
use crate::exit::{self, Misused};
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor job script 7 > check.sh
  monitor job script 7 --json       The whole request: arguments, hosts, limits

Sensitive arguments and variables are left out.";

/// Show the script of a job
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(super) struct Args {
    /// Number of the job
    job: u64,
    /// Only the script of this step [default: all steps]
    #[arg(long, value_name = "NUMBER")]
    step: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(Args { job, step, connection }: &Args) -> anyhow::Result<()> {
    let request = connection.ask(connection.client()?.job_request(*job))?;
    if connection.json {
        return print_json(&serde_json::to_value(&request)?);
    }
    let job = connection.ask(connection.client()?.job(*job))?;
    let mut out = anstream::stdout().lock();
    // A terminal must not obey a script. A file gets it as it is.
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    for line in scripts(&job, &request, *step)?.split_inclusive('\n') {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        if is_terminal { write!(out, "{}{end}", visible(text))? } else { write!(out, "{text}{end}")? }
    }
    Ok(out.flush()?)
}

/// Returns the script of a step, or the scripts of all steps with headlines if there are several.
fn scripts(job: &Job, request: &JobRequest, step: Option<u64>) -> Result<String, Misused> {
    let all: Vec<_> = job.steps.iter().zip(&request.steps).filter(|(of, _)| step.is_none_or(|step| step == of.step_id)).collect();
    match &all[..] {
        [] => {
            let steps: Vec<_> = job.steps.iter().map(|step| step.step_id.to_string()).collect();
            Err(Misused(format!("job {} has no step {}; it has {}", job.job_id, step.unwrap_or_default(), steps.join(", "))))
        }
        [(_, only)] => Ok(only.script.clone()),
        several => {
            let headline = |step: &monitor_wire::JobStep| format!("# step {}: {}\n", step.step_id, step.name);
            Ok(several.iter().map(|(of, step)| headline(of) + step.script.trim_end_matches('\n') + "\n").collect::<Vec<_>>().join("\n"))
        }
    }
}
