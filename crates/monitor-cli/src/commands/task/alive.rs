//! `monitor check-alive`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use monitor_agent::Database;
use monitor_wire::AgentOrder;
use url::Url;

use super::local::{ask, tell_mistakes};
use crate::commands::agent::data;

const HELP: &str = "\
Examples:
  monitor check-alive
  monitor check-alive --ping https://monitor.example.org/ping/KEY

If cron runs the second command every minute, the server that receives the heartbeat raises an alert when the agent or the machine stops.

Exit codes:
  0  the agent works, and the ping, if any, succeeded
  1  failure
  2  wrong usage";
/// Maximum time for an answer to the ping.
const PATIENCE: Duration = Duration::from_secs(10);

/// Check that an agent of this machine runs and makes decisions
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct CheckAlive {
    /// Folder of the agent [default: monitor/agent in the user's state folder, usually ~/.local/state]
    #[arg(value_name = "DIR", env = "MONITOR_AGENT_DATA")]
    data: Option<PathBuf>,
    /// URL to request if the agent works, such as the address of a heartbeat
    #[arg(long, value_name = "URL", value_parser = address)]
    ping: Option<Url>,
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| "an address that begins with http:// or https:// is expected".to_owned())
}

pub(crate) fn check_alive(args: &CheckAlive) -> anyhow::Result<()> {
    let data = data(args.data.clone())?;
    ask(&data, AgentOrder::Ping)?;
    tell_mistakes(&Database::existing(&data)?)?;
    args.ping.as_ref().map_or(Ok(()), ping)
}

/// Requests the URL. Errors contain only its host, because its path may contain a key.
fn ping(url: &Url) -> anyhow::Result<()> {
    let host = url.host_str().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start the runtime")?;
    let client = reqwest::Client::builder().timeout(PATIENCE).resolve_to_addrs("localhost", &monitor_http::LOCALHOST);
    let roots = monitor_http::built_in_roots().filter_map(|root| reqwest::Certificate::from_der(root).ok());
    let client = client.tls_certs_merge(roots).build().context("could not make a client of HTTP")?;
    let answer = runtime.block_on(async { client.get(url.clone()).send().await }).map_err(reqwest::Error::without_url);
    let status = answer.with_context(|| format!("the agent works, but {host} was not reached by the ping"))?.status();
    if !status.is_success() {
        bail!("the agent works, but {host} answered the ping with {status}");
    }
    Ok(())
}
