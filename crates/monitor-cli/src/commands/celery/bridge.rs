//! `monitor celery bridge`

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use monitor_api::{Client, Token};
use monitor_celery::{Arguments, Bridge, BridgeError};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::super::stop_signals::StopSignals;
use super::Cluster;
use crate::exit::Misused;

const EXAMPLES: &str = "\
Examples:
  monitor celery bridge amqp://localhost
  monitor celery bridge redis://cache.example.com/0 --name orders --server https://monitor.example.com --token-file /etc/monitor/token
  MONITOR_CELERY_BROKER=amqp://shop:PASSWORD@mq.example.com/orders monitor celery bridge --name orders

The bridge needs a token of the scopes `ingest` and `read`. Without `read`, it can't find out what happened while it was away. Run one bridge for each cluster; it can run anywhere. Events that wait for the server are \
files in its folder. RabbitMQ keeps events while the bridge is away, for up to a day; Redis keeps none. The log goes to stderr. `RUST_LOG` \
sets its level (default: info). Ctrl-C or SIGTERM stops the bridge.

Exit codes:
  0  stopped by a signal
  1  failure, such as refused credentials, or another bridge that uses the same folder
  2  wrong usage";

/// Maximum time for sending the last events at the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest name of a cluster, in bytes.
const LONGEST_NAME: usize = 64;

/// Record the tasks and workers of a cluster at a server, and pass commands on to its workers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    cluster: Cluster,
    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = "celery", value_parser = read_name)]
    name: String,
    /// Record arguments and results: `all`, `off`, or only of tasks with names like these, such as `shop.*,mail.send`
    #[arg(long, value_name = "WHICH", default_value = "all")]
    arguments: Arguments,
    /// Turn on the events of each worker that appears
    #[arg(long)]
    enable_events: bool,
    /// URL of the server
    #[arg(long, value_name = "URL", env = "MONITOR_SERVER_URL", default_value = "http://127.0.0.1:60010", value_parser = crate::client::read_url)]
    server: Url,
    /// File with the token for the server in its first line [default: `MONITOR_TOKEN`, or the token of a server on this machine]
    #[arg(long, value_name = "FILE", env = "MONITOR_TOKEN_FILE", value_parser = crate::client::read_token_file)]
    token_file: Option<Token>,
    /// Folder for events that wait for the server [default: monitor/celery/NAME in the user's state folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) fn read_name(text: &str) -> Result<String, String> {
    let is_name = (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let is_name = is_name && !text.starts_with('.');
    is_name.then(|| text.to_owned()).ok_or_else(|| format!("expected 1 to {LONGEST_NAME} letters, digits and `_`, `.`, `-`"))
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let broker = args.cluster.broker()?;
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env().context("RUST_LOG can't be read")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .init();
    let folder = match args.data {
        Some(data) => data,
        None => default_folder(&args.name)?,
    };
    let client = client(args.server, args.token_file)?;
    let bridge = Bridge {
        name: args.name,
        results: args.cluster.results(&broker)?,
        broker,
        options: args.cluster.options(),
        arguments: args.arguments,
        enable_events: args.enable_events,
        folder,
        patience: PATIENCE,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("could not start the runtime")?;
    runtime.block_on(async {
        let mut signals = StopSignals::watch()?;
        let stop = CancellationToken::new();
        let running = monitor_celery::run(bridge, client, stop.clone());
        tokio::pin!(running);
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = signals.next() => {
                stop.cancel();
                running.await
            }
        };
        ended.map_err(|error| match error {
            BridgeError::Broker(error) => error.into(),
            BridgeError::Folder(error) => error.into(),
        })
    })
}

fn default_folder(name: &str) -> anyhow::Result<PathBuf> {
    let folders = etcetera::base_strategy::choose_native_strategy()
        .map_err(|_| Misused("there is no home folder: name a folder by --data".to_owned()))?;
    let state = etcetera::BaseStrategy::state_dir(&folders).unwrap_or_else(|| etcetera::BaseStrategy::data_dir(&folders));
    Ok(state.join("monitor").join("celery").join(name))
}

fn client(server: Url, token_file: Option<Token>) -> anyhow::Result<Client> {
    let token = match (token_file, std::env::var("MONITOR_TOKEN")) {
        (Some(token), _) => Some(token),
        (None, Ok(token)) => Some(Token::new(&token)?),
        (None, Err(_)) => None,
    };
    let (url, token) = match token {
        Some(token) => (server, Some(token)),
        None => crate::client::local(&server)?.map_or((server, None), |(url, token)| (url, Some(token))),
    };
    let certificate = std::env::var_os("MONITOR_SERVER_CERT").map(PathBuf::from);
    Ok(Client::new(crate::client::settings_of(url, token, certificate)))
}
