//! `monitor server`

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::builder::BoolishValueParser;
use etcetera::BaseStrategy;
use monitor_server::{Config, Server};
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::text::visible;

const HELP: &str = "\
Examples:
  monitor server
  monitor server --listen 127.0.0.1:0 --data /tmp/trial     a free port, a folder of its own
  monitor server --public-url https://monitor.example.com   behind a proxy with that name

Once it accepts requests it prints one line to stdout, with the real port:
  listening on http://127.0.0.1:60010/tasks
Its log goes to stderr; RUST_LOG says how much (info by default).
It stops on Ctrl-C and on SIGTERM, after it has answered what it was asked and stored what it was
sent; a second one makes it break off requests that are still going on.

By default it answers only to this machine, under its loopback names. With --insecure it may
listen on an address of the network and answers to that one; on 0.0.0.0 or [::] it answers to
every address written in digits. Any other name needs --public-url.

Exit codes:
  0  it was stopped
  1  it failed, for example because the address or the data folder is in use, or was told twice to stop
  2  the command line is wrong";

/// Files that the server needs for itself: its database, its log.
const RESERVED_FILES: usize = 128;

/// Runs the server: takes events, keeps them, shows them on the page
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "MONITOR_LISTEN", default_value_t = Config::DEFAULT_LISTEN, value_parser = read_address)]
    listen: SocketAddr,
    /// The folder of the database [default: `monitor` in the user's data folder]
    #[arg(long, value_name = "DIR", env = "MONITOR_DATA")]
    data: Option<PathBuf>,
    /// The address that others reach the server by, if it is another
    #[arg(long, value_name = "URL", env = "MONITOR_PUBLIC_URL", value_parser = read_url)]
    public_url: Option<Url>,
    /// Where dead programs of this machine leave what they had recorded, to be taken in; `off` leaves it there [default: as the
    /// programs have it, `monitor/spool` in the user's folder for state]
    #[arg(long, value_name = "DIR", env = "MONITOR_SPOOL_DIR")]
    spool_dir: Option<OsString>,
    /// How many of the first lines of each process's log are kept, and as many of the last; those between are counted
    #[arg(long, value_name = "LINES", env = "MONITOR_LOGS_KEPT", default_value_t = Config::LOGS_KEPT, value_parser = read_lines)]
    logs_kept: usize,
    /// Listens on other addresses than loopback too, open to whoever reaches them
    #[arg(long, env = "MONITOR_INSECURE", value_parser = BoolishValueParser::new())]
    insecure: bool,
}

fn read_address(text: &str) -> Result<SocketAddr, String> {
    let digits = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = digits.as_deref().unwrap_or(text).parse();
    address.map_err(|_| "expected an address and a port, like 127.0.0.1:60010 or [::1]:60010".to_owned())
}

fn read_lines(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|lines| (1..=1_000_000).contains(lines)).ok_or_else(|| "expected a number from 1 to 1000000".to_owned())
}

fn read_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}; expected a URL like https://monitor.example.com"))?;
    let is_origin = matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" && url.query().is_none();
    if is_origin { Ok(url) } else { Err("expected a URL without a path, like https://monitor.example.com".to_owned()) }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env().context("RUST_LOG can't be read")?;
    // A log that nobody reads any more is no reason to end.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .init();
    let data = match args.data {
        Some(data) => data,
        None => default_data()?,
    };
    let mut config = Config {
        listen: args.listen,
        public_url: args.public_url,
        insecure: args.insecure,
        logs_kept: args.logs_kept,
        ..Config::new(data)
    };
    config.spool = monitor_spool::dir_of(args.spool_dir.as_deref());
    config.max_connections = config.max_connections.min(open_files().saturating_sub(RESERVED_FILES)).max(1);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("could not start the runtime")?.block_on(serve(config))
}

/// How many files may be open, after asking for as many as are allowed: every connection is one.
#[cfg(unix)]
fn open_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "could not raise the limit of open files");
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files as usize)
}

#[cfg(not(unix))]
fn open_files() -> usize {
    usize::MAX
}

fn default_data() -> anyhow::Result<PathBuf> {
    let folders =
        etcetera::base_strategy::choose_native_strategy().context("there is no home folder: say where to keep the data with --data")?;
    Ok(folders.data_dir().join("monitor"))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before anyone can know the address: whoever reads it may send a signal at once.
    let (stop, stop_at_once) = (stop_signals(1)?, stop_signals(2)?);
    let data = config.data.clone();
    let is_open = config.insecure && !config.listen.ip().is_loopback();
    let server = Server::bind(config).await?;
    let mut out = io::stdout().lock();
    // A server whose output nobody reads still serves.
    let _ = writeln!(out, "listening on {}", server.page_url()).and_then(|()| out.flush());
    drop(out);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %visible(&data.display().to_string()), "serving");
    if is_open {
        tracing::warn!("--insecure: whoever reaches {} can read and write everything", server.local_addr());
    }
    tokio::select! {
        // First who counts, so that a second signal right behind the answer to the first is not taken for the first.
        biased;
        () = stop_at_once => anyhow::bail!("told twice to stop, it did not wait for the requests that were going on"),
        result = server.run(stop) => Ok(result?),
    }
}

/// Done after so many signals to stop.
#[cfg(unix)]
fn stop_signals(count: u32) -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("could not wait for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not wait for SIGTERM")?;
    Ok(async move {
        for _ in 0..count {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    })
}

/// Done after so many signals to stop.
#[cfg(not(unix))]
fn stop_signals(count: u32) -> anyhow::Result<impl Future<Output = ()>> {
    Ok(async move {
        for _ in 0..count {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    })
}
