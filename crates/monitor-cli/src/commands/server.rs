//! `monitor server`

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use monitor_server::{Config, SETTINGS, Server};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::stop_signals::StopSignals;
use crate::settings::Settings;
use crate::text::visible;

const HELP: &str = "\
Examples:
  monitor server
  monitor server --listen 127.0.0.1:0 --data /tmp/trial    Use a free port
  monitor server --public-url https://monitor.example.com  Run behind a proxy

When the server accepts requests, it prints one line with its address and actual port:
  listening on http://127.0.0.1:60010/tasks
The log goes to stderr. `RUST_LOG` sets its level (default: info).

Ctrl-C, SIGTERM or SIGHUP stops the server: it answers the requests in progress, stores the batches it has received, and exits. A \
second signal aborts the requests in progress.

Each setting can be a flag, an environment variable, or a key of the settings file, in this order of precedence. In the file, a profile \
takes precedence over the keys at the top:
  max-connections = 1000
  [profile.production]
  stop-timeout = \"30s\"

By default, the server accepts requests only from this machine, to its loopback addresses and names. With an address of the network in \
--listen it requires tokens or logins (`monitor token create`, `monitor user add`), or --insecure. On 0.0.0.0 and [::] it accepts \
requests to any IP address. Any other host name requires --public-url.

Exit codes:
  0  stopped by a signal
  1  failure, such as an address or data folder in use, or a second stop signal
  2  wrong usage";

/// Time for the bridges to end before the server stops.
const PATIENCE: Duration = Duration::from_secs(1);
/// Number of files that the server opens besides its connections, such as database and log.
const RESERVED_FILES: usize = 128;

/// Run the server, which stores events and serves the page
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Print all settings with their values and origins, and exit
    #[arg(long)]
    print_settings: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    // The library of `/mcp` logs each request at INFO.
    let default = std::env::var_os("RUST_LOG").is_none_or(|given| given.is_empty()).then_some("info,rmcp=warn");
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into());
    let filter = default.map_or_else(|| filter.from_env(), |default| Ok(filter.parse_lossy(default))).context("RUST_LOG can't be read")?;
    // The server continues if its log can't be written.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .init();
    let (mut config, origins) = args.settings.resolve()?;
    if args.print_settings {
        return print(&config, &origins);
    }
    return_large_blocks();
    config.max_connections = config.max_connections.min(open_files().saturating_sub(RESERVED_FILES)).max(1);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("could not start the runtime")?.block_on(serve(config))
}

/// Prints a settings file with the same effect.
fn print(config: &Config, origins: &[String]) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for (setting, origin) in SETTINGS.iter().zip(origins) {
        let line = match setting.show(config) {
            Some(value) => format!("{} = {value}", setting.key()),
            None => format!("# {} is unset", setting.key()),
        };
        writeln!(out, "{line:<44}  # {}", visible(origin))?;
    }
    Ok(out.flush()?)
}

/// Raises the limit of open files to the maximum and returns it, because each connection needs one.
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

/// Returns freed heap blocks of 8 MiB or more to the system. By default, glibc keeps up to 32 MiB of them per heap, with a heap for each
/// thread. After eight reads of a tree with a million processes during ingest, 281 MB stayed allocated, and 177 MB with this setting; the
/// peaks were 387 MB and 306 MB. Smaller blocks, such as those of a usual answer, stay in the heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc has no other way to say it in a program that runs")]
fn return_large_blocks() {
    const LARGE: libc::c_int = 8 << 20;
    for (option, bytes) in [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, 2 * LARGE)] {
        // SAFETY: mallopt only takes two numbers, and may be called at any time.
        let is_set = unsafe { libc::mallopt(option, bytes) } == 1;
        tracing::debug!(option, bytes, is_set, "set the allocator");
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn return_large_blocks() {}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before the address is printed, because a reader of the address may send a signal at once.
    let mut signals = StopSignals::watch()?;
    let data = config.data.clone();
    let is_open = config.insecure && config.is_open();
    let (starts_agent, alerts, certificate) = (config.starts_agent(), config.alerts_copy(), config.tls_cert.clone());
    #[cfg(unix)]
    let bridges = super::celery::own::bridges(&config.celery, &data)?;
    #[cfg(not(unix))]
    let bridges = ();
    let server = Server::bind(config).await?;
    let mut out = io::stdout().lock();
    // The server continues if its stdout is closed.
    let _ = writeln!(out, "listening on {}", server.page_url()).and_then(|()| out.flush());
    drop(out);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %visible(&data.display().to_string()), "serving");
    if let Some(address) = server.flower_addr() {
        tracing::info!(%address, "serving the API of Flower");
    }
    if is_open {
        tracing::warn!("--insecure: every client that reaches {} can read everything and record", server.local_addr());
    }
    let ended = CancellationToken::new();
    let end_bridges = CancellationToken::new();
    let mut bridging = keep_bridges(bridges, &data, certificate.as_ref(), &end_bridges);
    let agent = if starts_agent { keep_agent(&server, data, alerts, certificate, &ended) } else { None };
    // One task waits for both signals, so that a second signal immediately after the first one counts as the second.
    let stop = CancellationToken::new();
    let second_signal = async {
        signals.next().await;
        // The bridges send their last events while the server accepts them.
        end_bridges.cancel();
        if let Some(bridging) = &mut bridging {
            let _ = tokio::time::timeout(PATIENCE, bridging).await;
        }
        stop.cancel();
        signals.next().await;
    };
    let result = tokio::select! {
        () = second_signal => Err(anyhow::anyhow!("after a second signal to stop, the server did not wait for the requests in progress")),
        result = server.run(stop.cancelled()) => result.map_err(anyhow::Error::from),
    };
    end_bridges.cancel();
    ended.cancel();
    if let Some(agent) = agent {
        agent.await.context("the one who keeps the agent broke off")?;
    }
    result
}

/// Keeps an agent of this machine running until the server has ended.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no agent")]
fn keep_agent(
    server: &Server,
    data: PathBuf,
    alerts: PathBuf,
    certificate: Option<PathBuf>,
    ended: &CancellationToken,
) -> Option<JoinHandle<()>> {
    let settings = super::own_agent::OfServer { alerts, certificate };
    Some(tokio::spawn(super::own_agent::keep(data, settings, server.duty("agent"), ended.clone())))
}

#[cfg(not(target_os = "linux"))]
fn keep_agent(_: &Server, _: PathBuf, _: PathBuf, _: Option<PathBuf>, _: &CancellationToken) -> Option<JoinHandle<()>> {
    None
}

/// Runs the bridges to clusters of Celery.
#[cfg(unix)]
fn keep_bridges(
    bridges: Vec<monitor_celery::Bridge>,
    data: &Path,
    certificate: Option<&PathBuf>,
    end: &CancellationToken,
) -> Option<JoinHandle<()>> {
    (!bridges.is_empty()).then(|| super::celery::own::keep(bridges, data.to_owned(), certificate.cloned(), end.clone()))
}

#[cfg(not(unix))]
fn keep_bridges((): (), _: &Path, _: Option<&PathBuf>, _: &CancellationToken) -> Option<JoinHandle<()>> {
    None
}
