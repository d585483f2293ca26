//! `monitor job list`, `show` and `hosts`

use std::io::Write as _;

use monitor_wire::{HostStatus, JobHost, JobHostsPage};

use super::{all_hosts, text};
use crate::client::{Connection, print_json};
use crate::commands::task;
use crate::exit;
use crate::text::{counted, now_us, terminal_width};

/// List jobs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  monitor job list --state open\n  monitor job list --host web-1 --from \"2h ago\"\n\n{}", exit::SERVER))]
pub(super) struct List {
    /// Only jobs that run or wait (open), or that have ended
    #[arg(long, value_parser = ["open", "ended"])]
    state: Option<String>,
    /// Only jobs with this status number, such as 4 for failed
    #[arg(long, value_name = "NUMBER")]
    status: Option<u8>,
    /// Only jobs with this host
    #[arg(long)]
    host: Option<String>,
    /// Only jobs with this text in their name
    #[arg(long)]
    name: Option<String>,
    /// Only jobs that were started at this time or later, such as 2026-11-21 or "2h ago"
    #[arg(long, value_name = "TIME", value_parser = task::time)]
    from: Option<jiff::Timestamp>,
    /// Only jobs with a lower number
    #[arg(long, value_name = "JOB")]
    before: Option<u64>,
    /// Maximum number of jobs
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn list(args: &List) -> anyhow::Result<()> {
    let mut call = args.connection.client()?.jobs().at_most(args.limit.into());
    for (name, value) in [("state", &args.state), ("host", &args.host), ("name", &args.name)] {
        if let Some(value) = value {
            call = call.parameter(name, value);
        }
    }
    if let Some(status) = args.status {
        call = call.status(status);
    }
    if let Some(from) = args.from {
        call = call.from_us(u64::try_from(from.as_microsecond()).unwrap_or_default());
    }
    if let Some(before) = args.before {
        call = call.before(before);
    }
    args.connection.show(call, |page| {
        let mut out = anstream::stdout().lock();
        write!(out, "{}", text::jobs(&page.jobs, terminal_width(), now_us()))?;
        out.flush()?;
        // On stderr, so that stdout contains only the list.
        match page.next {
            Some(next) => writeln!(anstream::stderr(), "there are more: `--before {next}` lists older jobs")?,
            None if page.jobs.is_empty() => writeln!(anstream::stderr(), "no jobs here")?,
            None => {}
        }
        Ok(())
    })
}

/// Show a job, its steps, and the number of hosts with each status
#[derive(Debug, clap::Args)]
#[command(after_help = exit::SERVER)]
pub(super) struct Show {
    /// Number of the job
    job: u64,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn show(args: &Show) -> anyhow::Result<()> {
    args.connection.show(args.connection.client()?.job(args.job), |job| {
        let mut out = anstream::stdout().lock();
        write!(out, "{}", text::job(&job, terminal_width(), now_us()))?;
        Ok(out.flush()?)
    })
}

/// List the hosts of a job with their outcomes
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  monitor job hosts 7\n  monitor job hosts 7 --status failed\n  monitor job hosts 7 --status 310\n\n{}", exit::SERVER))]
pub(super) struct Hosts {
    /// Number of the job
    job: u64,
    /// Only hosts with this status: a number such as 104, or waiting, running, succeeded or failed
    #[arg(long, value_parser = read_wanted)]
    status: Option<Wanted>,
    /// Only hosts whose script has set this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only hosts of this step
    #[arg(long, value_name = "NUMBER")]
    step: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// Statuses of hosts that a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Succeeded,
    Failed,
    Number(HostStatus),
}

impl Wanted {
    fn contains(self, status: HostStatus) -> bool {
        match self {
            Self::Succeeded => status.is_success(),
            Self::Failed => !status.is_open() && !status.is_success(),
            Self::Number(number) => status == number,
        }
    }
}

fn read_wanted(text: &str) -> Result<Wanted, String> {
    match text {
        "waiting" => Ok(Wanted::Number(HostStatus::WAITING)),
        "running" => Ok(Wanted::Number(HostStatus::RUNNING)),
        "succeeded" => Ok(Wanted::Succeeded),
        "failed" => Ok(Wanted::Failed),
        _ => {
            let number = text.parse().map_err(|_| "expected waiting, running, succeeded, failed, or a number such as 104".to_owned())?;
            Ok(Wanted::Number(HostStatus(number)))
        }
    }
}

pub(super) fn hosts(args: &Hosts) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let mut hosts = args.connection.wait(all_hosts(client, args.job, args.step))?;
    let all = hosts.len();
    let is_wanted = |host: &JobHost| {
        args.status.is_none_or(|wanted| wanted.contains(host.status)) && args.tag.as_ref().is_none_or(|tag| host.tag.as_ref() == Some(tag))
    };
    hosts.retain(is_wanted);
    if args.connection.json {
        return print_json(&serde_json::to_value(JobHostsPage { hosts, next: None })?);
    }
    let mut out = anstream::stdout().lock();
    write!(out, "{}", text::hosts(&hosts.iter().collect::<Vec<_>>(), terminal_width(), now_us()))?;
    out.flush()?;
    if hosts.len() < all {
        writeln!(anstream::stderr(), "{} of {}", hosts.len(), counted(all as u64, "host"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_select_statuses() {
        let failed = read_wanted("failed").unwrap();
        for status in HostStatus::KNOWN {
            let kinds = ["waiting", "running", "succeeded", "failed"].map(|word| read_wanted(word).unwrap().contains(*status));
            assert_eq!(kinds.iter().filter(|is_one| **is_one).count(), 1, "{status:?}");
        }
        assert!(failed.contains(HostStatus::UNREACHABLE) && failed.contains(HostStatus(777)));
        assert_eq!(read_wanted("104"), Ok(Wanted::Number(HostStatus::EXIT_CODE)));
        assert!(read_wanted("bad").unwrap_err().contains("104"));
    }
}
