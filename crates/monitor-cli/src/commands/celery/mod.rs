//! `monitor celery`

mod bridge;
mod check;
#[cfg(target_os = "linux")]
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

/// Variables with the addresses of broker and results, and the broker's password. Other users can't read them.
const BROKER: &str = "MONITOR_CELERY_BROKER";
const RESULTS: &str = "MONITOR_CELERY_RESULTS";
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
    Check(Box<check::Args>),
    #[cfg(target_os = "linux")]
    Hook(hook::Args),
}

/// Addresses of a broker and of results, and names that an application can change.
#[derive(Debug, clap::Args)]
struct Cluster {
    /// Address of the broker, as in Celery's setting `broker_url`, without a password [default: the variable `MONITOR_CELERY_BROKER`]
    broker: Option<String>,
    /// File with the broker's password in its first line [default: the variable `MONITOR_CELERY_PASSWORD`, if it is set]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with the password of the Sentinels in its first line, if they have one of their own
    #[arg(long, value_name = "FILE")]
    sentinel_password_file: Option<PathBuf>,
    /// Address of the Redis server that keeps results, as in Celery's setting `result_backend`, without a password [default: the variable
    /// `MONITOR_CELERY_RESULTS`, or the broker if it is Redis]
    #[arg(long, value_name = "URL")]
    results: Option<String>,
    /// File with the password for `--results` in its first line
    #[arg(long, value_name = "FILE")]
    results_password_file: Option<PathBuf>,
    /// Exchange of events, if the application sets `event_exchange`
    #[arg(long, value_name = "NAME", default_value = "celeryev")]
    event_exchange: String,
    /// Prefix of the exchanges of commands, if the application sets `control_exchange`
    #[arg(long, value_name = "NAME", default_value = "celery")]
    control_exchange: String,
    /// Prefix of all keys in Redis, if the application sets `global_keyprefix`
    #[arg(long, value_name = "PREFIX", default_value = "")]
    key_prefix: String,
    /// Prefix of all channels in Redis, if the application sets `fanout_prefix`; `{db}` is the number of the database
    #[arg(long, value_name = "PREFIX", default_value = "/{db}.")]
    fanout_prefix: String,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Bridge(args) => bridge::run(*args),
        Command::Check(args) => check::run(&args),
        #[cfg(target_os = "linux")]
        Command::Hook(hook::Args) => hook::run(),
    }
}

impl Cluster {
    fn options(&self) -> Options {
        Options {
            event_exchange: self.event_exchange.clone(),
            control_exchange: self.control_exchange.clone(),
            key_prefix: self.key_prefix.clone(),
            fanout_prefix: self.fanout_prefix.clone(),
        }
    }

    fn broker(&self) -> anyhow::Result<Broker> {
        let Some(text) = self.broker.clone().or_else(|| variable(BROKER)) else {
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
            None => variable(PASSWORD),
        };
        let broker = match password {
            Some(password) => broker.with_password(password),
            None => broker,
        };
        if self.sentinel_password_file.is_some() && !broker.has_sentinels() {
            return Err(Misused("--sentinel-password-file is for addresses with sentinel://".to_owned()).into());
        }
        behind(broker, self.sentinel_password_file.as_deref())
    }

    fn results(&self, broker: &Broker) -> anyhow::Result<Option<Broker>> {
        let Some(text) = self.results.clone().or_else(|| variable(RESULTS)) else {
            return Ok(broker.is_redis().then(|| broker.clone()));
        };
        let results = read_results(&text, self.results_password_file.as_deref())?;
        if self.results.is_some() && text.parse::<Broker>().is_ok_and(|place| place.has_secret()) {
            let words = format!(
                "everybody on this machine can read a password in the list of processes: leave it out of --results and use \
                 --results-password-file, or set {RESULTS} to the whole address"
            );
            return Err(Misused(words).into());
        }
        behind(results, self.sentinel_password_file.as_deref()).map(Some)
    }
}

/// Adds the password of the Sentinels, if there are any.
fn behind(broker: Broker, password_file: Option<&Path>) -> anyhow::Result<Broker> {
    Ok(match password_file.filter(|_| broker.has_sentinels()) {
        Some(file) => broker.with_sentinel_password(first_line(file)?),
        None => broker,
    })
}

/// Reads the address of the store of results.
fn read_results(text: &str, password_file: Option<&Path>) -> anyhow::Result<Broker> {
    let results: Broker = text.parse().map_err(|error| Misused(format!("results: {error}")))?;
    if !results.is_redis() {
        return Err(Misused(format!("results: only results in Redis can be read, and {results} is RabbitMQ")).into());
    }
    Ok(match password_file {
        Some(file) => results.with_password(first_line(file)?),
        None => results,
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(super) fn first_line(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("the password file {} can't be read", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "the first line of the password file {} is empty", file.display());
    Ok(line.to_owned())
}
