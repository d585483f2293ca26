//! `monitor job`

mod callbacks;
mod failures;
mod follow;
mod list;
mod operate;
mod output;
mod preview;
mod request;
mod result;
mod run;
mod script;
mod text;
mod wait;

use std::time::Duration;

use clap::Subcommand;
use monitor_api::Client;
use monitor_wire::{JobHost, JobHostsPage, JobOperation};

use crate::exit::{self, NotThere};

const EXAMPLES: &str = "\
Examples:
  monitor job preview -t env=prod ./check.sh           Show which hosts can run a script
  monitor job run -t env=prod --timeout 10m ./check.sh Run a script on hosts, and follow it
  monitor job run --host \"web-*\" --rolling \"1 10%\" ./restart.sh -- --fast
  monitor job hosts 7 --status failed                  List the hosts that did not succeed
  monitor job output 7 web-1                           Show the output of a host
  monitor job script 7                                 Show the script of a job
  monitor job result 7                                 Group the hosts by their output
  monitor job callbacks 7                              List the callbacks of a job and their deliveries
  monitor job retry 7 --failed                         Start the failed hosts again
  monitor job stop 7                                   End the scripts of a job

`monitor host list` lists the hosts. docs/guides/host-jobs.md describes jobs.";

/// Exit codes of commands that wait for the end of a job.
const EXIT_CODES: &str = exit::codes!(
    "3  server not reached",
    "4  not found",
    "6  the job has ended, and some hosts did not succeed",
    "124  the time to wait is over",
    "130  interrupted; the job continues"
);

/// Maximum number of hosts in a page.
const PAGE: u32 = 500;

/// Run scripts on many hosts
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Preview(Box<preview::Args>),
    List(list::List),
    Show(list::Show),
    Script(script::Args),
    Hosts(list::Hosts),
    Output(output::Args),
    Result(result::Args),
    Callbacks(callbacks::Args),
    Wait(wait::Args),
    /// End the scripts that run, and start no others
    Stop(operate::Plain),
    Retry(operate::Retry),
    /// Skip a step that waits for a user or has failed
    Skip(operate::OfStep),
    /// Continue with the next batch, or with the next step after failures
    Continue(operate::OfStep),
    /// Ignore the failed hosts of a step
    Ignore(operate::OfStep),
    /// Confirm a step that waits for a user
    Confirm(operate::OfStep),
    /// Refuse a step that waits for a user
    Refuse(operate::OfStep),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Run(args) => run::run(args),
        Command::Preview(args) => preview::run(args),
        Command::List(args) => list::list(args),
        Command::Show(args) => list::show(args),
        Command::Script(args) => script::run(args),
        Command::Hosts(args) => list::hosts(args),
        Command::Output(args) => output::run(args),
        Command::Result(args) => result::run(args),
        Command::Callbacks(args) => callbacks::run(args),
        Command::Wait(args) => wait::run(args),
        Command::Stop(args) => operate::stop(args),
        Command::Retry(args) => operate::retry(args),
        Command::Skip(args) => operate::of_step(args, JobOperation::Skip),
        Command::Continue(args) => operate::of_step(args, JobOperation::Continue),
        Command::Ignore(args) => operate::of_step(args, JobOperation::Ignore),
        Command::Confirm(args) => operate::of_step(args, JobOperation::Confirm),
        Command::Refuse(args) => operate::of_step(args, JobOperation::Refuse),
    }
}

/// Requests all hosts of a job, page by page.
async fn all_hosts(client: &Client, job: u64, step: Option<u64>) -> Result<Vec<JobHost>, monitor_api::Error> {
    let (mut hosts, mut after) = (Vec::new(), None);
    loop {
        let page = hosts_page(client, job, step, after).await?;
        hosts.extend(page.hosts);
        if page.next.is_none() || page.next == after {
            return Ok(hosts);
        }
        after = page.next;
    }
}

/// Requests the hosts of a job after a position. Repeats the request while the server restarts.
async fn hosts_page(client: &Client, job: u64, step: Option<u64>, after: Option<u64>) -> Result<JobHostsPage, monitor_api::Error> {
    let mut call = client.job_hosts(job).at_most(PAGE);
    if let Some(step) = step {
        call = call.step(step);
    }
    if let Some(after) = after {
        call = call.after(after);
    }
    call.send_again(follow::while_away()).await
}

/// Returns true if this is the name or the number of a host.
fn is_meant(host: &JobHost, text: &str) -> bool {
    host.name == text || (host.host_id.is_some() && host.host_id == text.parse().ok())
}

/// Error for a host that a job doesn't have.
fn no_such_host(job: u64, host: &str) -> NotThere {
    NotThere(format!("job {job} has no host {host:?}: `monitor job hosts {job}` lists its hosts"))
}

/// Formats a duration as it is typed: `1m30s`.
fn typed(duration: Duration) -> String {
    monitor_duration::write(duration)
}
