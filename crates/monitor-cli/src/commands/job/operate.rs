//! `monitor job stop`, `retry`, `skip`, `continue`, `ignore`, `confirm` and `refuse`

use std::io::Write as _;

use monitor_wire::{JobOperate, JobOperation};

use super::text::summary;
use super::{all_hosts, is_meant, no_such_host};
use crate::client::Connection;
use crate::exit::{self, Misused};
use crate::text::now_us;

#[derive(Debug, clap::Args)]
#[command(after_help = exit::SERVER)]
pub(super) struct Plain {
    /// Number of the job
    job: u64,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
#[command(after_help = exit::SERVER)]
pub(super) struct OfStep {
    /// Number of the job
    job: u64,
    /// Number of the step [default: the step that runs or has failed]
    #[arg(long, value_name = "NUMBER")]
    step: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// Start hosts of a job again, as a new attempt
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{RETRY_EXAMPLES}\n\n{}", exit::SERVER))]
pub(super) struct Retry {
    /// Number of the job
    job: u64,
    /// Start the hosts again that did not succeed; this is the default
    #[arg(long, conflicts_with_all = ["not_started", "all"])]
    failed: bool,
    /// Start the hosts again that have not accepted the script, so that nothing runs twice
    #[arg(long, conflicts_with = "all")]
    not_started: bool,
    /// Start all hosts again
    #[arg(long)]
    all: bool,
    /// Only this host, by name or number; can be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Number of the step [default: the step that has failed]
    #[arg(long, value_name = "NUMBER")]
    step: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

const RETRY_EXAMPLES: &str = "\
Examples:
  monitor job retry 7                 Start the failed hosts again
  monitor job retry 7 --not-started   Only hosts that could not be reached
  monitor job retry 7 --all --host web-1 && monitor job wait 7";

pub(super) fn stop(args: &Plain) -> anyhow::Result<()> {
    operate(&args.connection, args.job, &JobOperate { operation: JobOperation::Stop, step_id: None, hosts: Vec::new() })
}

pub(super) fn of_step(args: &OfStep, operation: JobOperation) -> anyhow::Result<()> {
    operate(&args.connection, args.job, &JobOperate { operation, step_id: args.step, hosts: Vec::new() })
}

pub(super) fn retry(args: &Retry) -> anyhow::Result<()> {
    let operation = match (args.all, args.not_started) {
        (true, _) => JobOperation::RetryAll,
        (false, true) => JobOperation::RetryNotStarted,
        (false, false) => JobOperation::RetryFailed,
    };
    let hosts = host_numbers(args)?;
    operate(&args.connection, args.job, &JobOperate { operation, step_id: args.step, hosts })
}

/// Returns the numbers of the hosts that the command names.
fn host_numbers(args: &Retry) -> anyhow::Result<Vec<u64>> {
    if args.hosts.is_empty() {
        return Ok(Vec::new());
    }
    let client = args.connection.client()?;
    let hosts = args.connection.wait(all_hosts(client, args.job, args.step))?;
    let mut numbers = Vec::new();
    for name in &args.hosts {
        let host = hosts.iter().find(|host| is_meant(host, name)).ok_or_else(|| no_such_host(args.job, name))?;
        let unknown =
            || Misused(format!("{name:?} can't be retried: it is no known host; add it with `monitor host add`, and start a new job"));
        numbers.push(host.host_id.ok_or_else(unknown)?);
    }
    Ok(numbers)
}

fn operate(connection: &Connection, job: u64, operate: &JobOperate) -> anyhow::Result<()> {
    connection.show(connection.client()?.operate_job(job, operate), |job| Ok(writeln!(anstream::stdout(), "{}", summary(&job, now_us()))?))
}
