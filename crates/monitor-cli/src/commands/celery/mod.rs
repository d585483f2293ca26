//! `monitor celery`

mod bridge;
mod check;
mod hook;
pub(crate) mod own;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use monitor_celery::{Broker, Options};

use crate::exit::Misused;

const EXAMPLES: &str = "\
Examples:
  monitor celery check redis://localhost/0   Show whether a cluster can be monitored
  monitor celery bridge redis://localhost/0  Record the cluster at the server on this machine

The workers of Celery need no change except that they send events: start them with `celery worker -E`. Their tasks are then queue tasks, \
and `monitor queue`, `monitor inspect` and `monitor control` work with them.";

/// Variables with the broker's address and its password, which other users can't read.
const BROKER: &str = "MONITOR_CELERY_BROKER";
const PASSWORD: &str = "MONITOR_CELERY_PASSWORD";

/// Record and control the workers of Celery
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bridge(Box<bridge::Args>),
    Check(check::Args),
    Hook(hook::Args),
}

/// Address of a broker, and names that an application can change.
#[derive(Debug, clap::Args)]
struct Cluster {
    /// Address of the broker, as in Celery's setting `broker_url`, without a password [default: the variable `MONITOR_CELERY_BROKER`]
    broker: Option<String>,
    /// File with the broker's password in its first line [default: the variable `MONITOR_CELERY_PASSWORD`, if it is set]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Exchange of events, if the application sets `event_exchange`
    #[arg(long, value_name = "NAME", default_value = "celeryev")]
    event_exchange: String,
    /// Prefix of the exchanges of commands, if the application sets `control_exchange`
    #[arg(long, value_name = "NAME", default_value = "celery")]
    control_exchange: String,
    /// Prefix of all keys in Redis, if the application sets `global_keyprefix`
    #[arg(long, value_name = "PREFIX", default_value = "")]
    key_prefix: String,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Bridge(args) => bridge::run(*args),
        Command::Check(args) => check::run(&args),
        Command::Hook(hook::Args) => hook::run(),
    }
}

impl Cluster {
    fn options(&self) -> Options {
        let Self { event_exchange, control_exchange, key_prefix, .. } = self;
        Options { event_exchange: event_exchange.clone(), control_exchange: control_exchange.clone(), key_prefix: key_prefix.clone() }
    }

    fn broker(&self) -> anyhow::Result<Broker> {
        let of_environment = || std::env::var(BROKER).ok().filter(|broker| !broker.is_empty());
        let Some(text) = self.broker.clone().or_else(of_environment) else {
            return Err(Misused(format!("name a broker, such as amqp://localhost or redis://localhost/0, or set {BROKER}")).into());
        };
        let broker: Broker = text.parse().map_err(|error| Misused(format!("{error}")))?;
        if self.broker.is_some() && broker.has_secret() {
            let words = format!(
                "everybody on this machine can read a password in the list of processes: leave it out of the address and use --password-file or \
                 {PASSWORD}, or set {BROKER} to the whole address"
            );
            return Err(Misused(words).into());
        }
        let password = match &self.password_file {
            Some(file) => Some(first_line(file)?),
            None => std::env::var(PASSWORD).ok().filter(|password| !password.is_empty()),
        };
        Ok(match password {
            Some(password) => broker.with_password(password),
            None => broker,
        })
    }
}

fn first_line(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("the password file {} can't be read", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "the first line of the password file {} is empty", file.display());
    Ok(line.to_owned())
}
