//! `monitor task pause` and `resume`

use jiff::Timestamp;

use super::change::tell;
use super::orders::order;
use super::whom::{Meant, Whom};
use super::{EXIT_CODES, Wrong};

const EXAMPLES: &str = "\
Examples:
  monitor task pause gold --until 2h
  monitor task pause gold --until 2026-12-24T18:00Z
  monitor task pause --all         Pause the agent of this machine
  monitor task pause --agent db-1  Pause another agent, through the server";

/// Pause a task or an agent; due times are skipped
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Pause {
    #[command(flatten)]
    what: What,
    /// End of the pause: a duration such as 2h, or a time such as 2026-12-24T18:00Z [default: until `monitor task resume`]
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<Timestamp>,
    #[command(flatten)]
    whom: Whom,
}

/// Resume a paused task or agent
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Resume {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    whom: Whom,
}

/// The task or agent to pause or resume.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Name of the task
    task: Option<String>,
    /// All tasks of the agent on this machine
    #[arg(long)]
    all: bool,
    /// All tasks of this agent, through the server
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
}

pub(super) fn pause(args: &Pause) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    let until_us = args.until.map(|until| until.as_microsecond().max(0) as u64);
    if let Some(agent) = &args.what.agent {
        return order(connection, connection.client()?.pause_agent(agent, until_us));
    }
    match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => super::local::pause(&data, args.what.task.as_deref(), args.until),
        Meant::Server => {
            let task = args.what.of_server()?;
            connection.show(connection.client()?.pause_batch_task(task, until_us), |task| tell("paused", &task))
        }
    }
}

pub(super) fn resume(args: &Resume) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    if let Some(agent) = &args.what.agent {
        return order(connection, connection.client()?.resume_agent(agent));
    }
    match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => super::local::resume(&data, args.what.task.as_deref()),
        Meant::Server => {
            let task = args.what.of_server()?;
            connection.show(connection.client()?.resume_batch_task(task), |task| tell("resumed", &task))
        }
    }
}

impl What {
    fn of_server(&self) -> Result<&str, Wrong> {
        self.task
            .as_deref()
            .ok_or_else(|| Wrong("--all is the agent of this machine: a server has several, so say --agent NAME".to_owned()))
    }
}

/// Parses a duration from now, such as `2h`, or a time.
fn when(text: &str) -> Result<Timestamp, String> {
    let after = monitor_duration::read(text).ok().and_then(|after| jiff::SignedDuration::try_from(after).ok());
    let until = after.and_then(|after| Timestamp::now().checked_add(after).ok());
    let until = until.map_or_else(|| super::time(text), Ok);
    let until = until.map_err(|_| "expected a duration such as 2h, or a time such as 2026-12-24T18:00Z".to_owned())?;
    if until > Timestamp::now() { Ok(until) } else { Err("this time is past: expected one to come, or a duration such as 2h".to_owned()) }
}
