//! Bridges in the server, for the clusters of its setting `celery`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use monitor_api::{Client, Token};
use monitor_celery::{Bridge, Broker, Options};
use monitor_server::CeleryCluster;
use monitor_server::access::Local;
use tokio::task::{JoinHandle, LocalSet};
use tokio_util::sync::CancellationToken;

use super::bridge::read_name;
use super::{behind, first_line, read_results};
use crate::exit::Misused;

/// Folder of the bridges in the server's data folder.
const FOLDER: &str = "celery";
/// Pause before a bridge that can't start is started again.
const PAUSE: Duration = Duration::from_secs(30);
/// Time for a bridge to send its last events while the server stops. The next start sends the rest.
const PATIENCE: Duration = Duration::from_millis(500);

/// Checks the setting, so that a mistake prevents the start of the server.
///
/// # Errors
/// If a name, an address, a pattern or a password file can't be used.
pub(crate) fn bridges(clusters: &[CeleryCluster], data: &Path) -> anyhow::Result<Vec<Bridge>> {
    let bridge = |cluster: &CeleryCluster| {
        let wrong = |why: String| Misused(format!("celery: cluster {:?}: {why}", cluster.name));
        let name = read_name(&cluster.name).map_err(|why| wrong(format!("name: {why}")))?;
        let broker: Broker = cluster.broker.parse().map_err(|error| wrong(format!("{error}")))?;
        if broker.has_secret() {
            return Err(wrong("leave the password out of `broker`, and name a file with it in `password-file`".to_owned()).into());
        }
        let broker = match &cluster.password_file {
            Some(file) => broker.with_password(first_line(file).with_context(|| format!("celery: cluster {name:?}"))?),
            None => broker,
        };
        if cluster.sentinel_password_file.is_some() && !broker.has_sentinels() {
            return Err(wrong("sentinel-password-file is for addresses with sentinel://".to_owned()).into());
        }
        let of_sentinels =
            |broker| behind(broker, cluster.sentinel_password_file.as_deref()).with_context(|| format!("celery: cluster {name:?}"));
        let broker = of_sentinels(broker)?;
        let arguments = cluster.arguments.parse().map_err(|why| wrong(format!("arguments: {why}")))?;
        let results = match &cluster.results {
            Some(text) => {
                let results = read_results(text, cluster.results_password_file.as_deref()).map_err(|error| wrong(format!("{error:#}")))?;
                if text.parse::<Broker>().is_ok_and(|place| place.has_secret()) {
                    let words = "leave the password out of `results`, and name a file with it in `results-password-file`";
                    return Err(wrong(words.to_owned()).into());
                }
                Some(of_sentinels(results)?)
            }
            None => broker.is_redis().then(|| broker.clone()),
        };
        let or = |value: &Option<String>, default: String| value.clone().unwrap_or(default);
        let usual = Options::default();
        Ok(Bridge {
            folder: data.join(FOLDER).join(&name),
            name,
            broker,
            results,
            options: Options {
                event_exchange: or(&cluster.event_exchange, usual.event_exchange),
                control_exchange: or(&cluster.control_exchange, usual.control_exchange),
                key_prefix: or(&cluster.key_prefix, usual.key_prefix),
                fanout_prefix: or(&cluster.fanout_prefix, usual.fanout_prefix),
            },
            arguments,
            enable_events: cluster.enable_events,
            patience: PATIENCE,
        })
    };
    clusters.iter().map(bridge).collect()
}

/// Runs the bridges on a thread of their own until `stop` is cancelled. They use the server as bridges elsewhere do, by its own token.
pub(crate) fn keep(bridges: Vec<Bridge>, data: PathBuf, certificate: Option<PathBuf>, stop: CancellationToken) -> JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        let Some((local, token)) = Local::find(&data).and_then(|local| Some((local.url.clone(), Token::new(&local.token).ok()?))) else {
            tracing::error!("no cluster of Celery is recorded, because the server could not write its own token");
            return;
        };
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let client = Client::new(crate::client::settings_of(local, Some(token), certificate));
        let running = LocalSet::new();
        for bridge in bridges {
            running.spawn_local(keep_one(bridge, client.clone(), stop.clone()));
        }
        runtime.block_on(running);
    })
}

async fn keep_one(bridge: Bridge, client: Client, stop: CancellationToken) {
    while let Err(error) = Box::pin(monitor_celery::run(bridge.clone(), client.clone(), stop.clone())).await {
        tracing::error!(cluster = bridge.name, "a cluster of Celery is not recorded: {error}");
        if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}
