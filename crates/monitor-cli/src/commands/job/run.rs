//! `monitor job run`

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Context as _;
use monitor_api::Error;
use monitor_wire::JobStarted;

use super::EXIT_CODES;
use super::follow::{Limit, follow};
use super::request::What;
use crate::client::{Connection, print_json};
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor job run -t env=prod --account app --timeout 10m ./check.sh -- --all
  monitor job run --host web-1 --host db-1 ./uptime.sh
  echo 'df -h /' | monitor job run --group web -
  monitor job run -t env=prod --rolling \"1 10% +10\" --stop-after-failures 5% ./deploy.sh
  monitor job run -t env=prod --secret DB=file:/etc/app/db.password ./dump.sh

The command follows the job: on a terminal with a line of counts, otherwise with a line for each host that has ended. Ctrl-C ends the \
command, and the job continues.";

/// Number of times that a start is sent again if its answer is lost.
const RETRIES: u32 = 5;

/// Run a script on hosts, and follow it until all hosts have ended
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Start the job and don't follow it
    #[arg(long, conflicts_with = "wait")]
    detach: bool,
    /// Maximum time to follow the job [default: until it ends]
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read_positive)]
    wait: Option<Duration>,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let connection = &args.connection;
    let started = start(args)?;
    if args.detach && connection.json {
        return print_json(&serde_json::to_value(&started)?);
    }
    let id = started.job_id;
    for warning in &started.warnings {
        writeln!(anstream::stderr(), "monitor: {}", visible(warning))?;
    }
    if !connection.json {
        let mut out = anstream::stdout().lock();
        writeln!(
            out,
            "{}",
            if started.is_repeated { format!("job {id} was started before by this request") } else { format!("job {id} started") }
        )?;
        if args.detach {
            writeln!(out, "follow it with `monitor job wait {id}`, end it with `monitor job stop {id}`")?;
        }
        out.flush()?;
    }
    if args.detach { Ok(()) } else { follow(connection, id, args.wait.map_or(Limit::None, Limit::Time)) }
}

/// Starts the job. The request has an id, so that it can be sent again after a lost answer and starts one job.
fn start(args: &Args) -> anyhow::Result<JobStarted> {
    let mut request = args.what.request()?;
    if request.request_id.is_none() {
        request.request_id = Some(random_id()?);
    }
    let call = args.connection.client()?.start_job(&request);
    let mut tries = 0;
    let started = call.send_again(|error, pause| {
        tries += 1;
        // A server that can't be reached at all has not received the request, and may not exist.
        if tries > RETRIES || matches!(error, Error::Unreachable { .. }) && tries == 1 {
            return ControlFlow::Break(());
        }
        let _ = writeln!(anstream::stderr(), "monitor: trying again in {pause:.1?}: {}", visible(&error.to_string()));
        ControlFlow::Continue(())
    });
    Ok(args.connection.wait(started)?)
}

fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).context("could not create the id of the request")?;
    Ok(bytes.iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    }))
}
