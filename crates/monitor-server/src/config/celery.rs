//! The setting `celery`: clusters whose tasks and workers the server records.

use std::path::PathBuf;
use std::time::Duration;

use monitor_store::retention::Rule;
use monitor_wire::State;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Maximum number of clusters.
const MOST: usize = 100;
/// Name of a cluster that is given by its address only.
const NAME: &str = "celery";

/// A cluster of Celery. The program that runs the server reads its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CeleryCluster {
    /// Name of the cluster.
    #[serde(default = "default_name")]
    pub name: String,
    /// Address of the broker, without a password.
    pub broker: String,
    /// File with the broker's password.
    pub password_file: Option<PathBuf>,
    /// File with the password of the Sentinels, if they have one of their own.
    pub sentinel_password_file: Option<PathBuf>,
    /// Address of the Redis server that keeps results, without a password. By default the broker, if it is one.
    pub results: Option<String>,
    /// File with the password for `results`.
    pub results_password_file: Option<PathBuf>,
    /// Exchange of events, if the application sets `event_exchange`.
    pub event_exchange: Option<String>,
    /// Prefix of the exchanges of commands, if the application sets `control_exchange`.
    pub control_exchange: Option<String>,
    /// Prefix of all keys in Redis, if the application sets `global_keyprefix`.
    pub key_prefix: Option<String>,
    /// Prefix of the channels in Redis, if the application sets `fanout_prefix`.
    pub fanout_prefix: Option<String>,
    /// Tasks whose arguments and results are recorded: `all`, `off`, or patterns of names.
    #[serde(default = "all")]
    pub arguments: String,
    /// True to turn on the events of each worker that appears.
    #[serde(default)]
    pub enable_events: bool,
    /// Time to keep the runs that tasks of this cluster have begun. By default, `retention-age` applies.
    #[serde(default, deserialize_with = "age")]
    pub keep: Option<Duration>,
    /// Time to keep those of these runs that failed or were lost. By default as long as the others.
    #[serde(default, deserialize_with = "age")]
    pub keep_failed: Option<Duration>,
}

impl CeleryCluster {
    fn new(broker: &str) -> Self {
        Self {
            name: default_name(),
            broker: broker.to_owned(),
            password_file: None,
            sentinel_password_file: None,
            results: None,
            results_password_file: None,
            event_exchange: None,
            control_exchange: None,
            key_prefix: None,
            fanout_prefix: None,
            arguments: all(),
            enable_events: false,
            keep: None,
            keep_failed: None,
        }
    }

    /// The rules for `keep` and `keep-failed`. The batch mark of a run is the name of its cluster.
    pub(super) fn retention(&self) -> impl Iterator<Item = Rule> {
        let failed = self.keep_failed.map(|age| Rule::of_batch(&self.name, vec![State::FAILED, State::LOST], age));
        failed.into_iter().chain(self.keep.map(|age| Rule::of_batch(&self.name, Vec::new(), age)))
    }
}

/// Reads a time such as `7d`.
fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    monitor_duration::read_positive(&text).map(Some).map_err(|expected| D::Error::custom(format!("{text:?}: {expected}")))
}

fn default_name() -> String {
    NAME.to_owned()
}

fn all() -> String {
    "all".to_owned()
}

/// Parses clusters like `[{ name = "orders", broker = "amqp://mq" }]`, or the address of a single one.
pub(super) fn read_celery(text: &str) -> Result<Vec<CeleryCluster>, String> {
    #[derive(Deserialize)]
    struct Written {
        clusters: Vec<CeleryCluster>,
    }
    if !text.trim_start().starts_with('[') {
        return Ok(vec![CeleryCluster::new(text.trim())]);
    }
    let expected = "expected an address like amqp://host, or clusters like [{ name = \"orders\", broker = \"amqp://host\" }]";
    let Written { clusters } = toml::from_str(&format!("clusters = {text}")).map_err(|error| format!("{}; {expected}", error.message()))?;
    if clusters.len() > MOST {
        return Err(format!("{} clusters are too many: at most {MOST} are possible", clusters.len()));
    }
    for (at, cluster) in clusters.iter().enumerate() {
        if clusters[..at].iter().any(|before| before.name == cluster.name) {
            return Err(format!("two clusters are named {:?}: give each another `name`", cluster.name));
        }
    }
    Ok(clusters)
}

/// Formats clusters in the syntax that [`read_celery`] parses.
pub(super) fn show_celery(clusters: &[CeleryCluster]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let cluster = |cluster: &CeleryCluster| {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let optional = [
            ("password-file", path(&cluster.password_file)),
            ("sentinel-password-file", path(&cluster.sentinel_password_file)),
            ("results", cluster.results.clone()),
            ("results-password-file", path(&cluster.results_password_file)),
            ("event-exchange", cluster.event_exchange.clone()),
            ("control-exchange", cluster.control_exchange.clone()),
            ("key-prefix", cluster.key_prefix.clone()),
            ("fanout-prefix", cluster.fanout_prefix.clone()),
            ("keep", cluster.keep.map(monitor_duration::write)),
            ("keep-failed", cluster.keep_failed.map(monitor_duration::write)),
        ];
        let optional: String = optional.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}, ", quoted(&value?)))).collect();
        let (name, broker, arguments) = (quoted(&cluster.name), quoted(&cluster.broker), quoted(&cluster.arguments));
        let enable_events = cluster.enable_events;
        format!("{{ name = {name}, broker = {broker}, {optional}arguments = {arguments}, enable-events = {enable_events} }}")
    };
    let clusters: Vec<_> = clusters.iter().map(cluster).collect();
    if clusters.is_empty() { String::new() } else { format!("[{}]", clusters.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_read_as_they_are_shown() {
        for text in [
            "redis://host/0",
            r#"[{ name = "orders", broker = "amqp://mq/\"a" }, { broker = 'redis://h', password-file = "/etc/a b", arguments = "shop.*", enable-events = true }]"#,
        ] {
            let shown = show_celery(&read_celery(text).unwrap());
            assert_eq!(shown, show_celery(&read_celery(&shown).unwrap()));
        }
        let all = show_celery(&read_celery(r#"[{ broker = "amqp://mq", sentinel-password-file = "/s", results = "redis://r/1", results-password-file = "/c", event-exchange = "e", control-exchange = "c", key-prefix = "p", fanout-prefix = "f{db}", keep = "7d", keep-failed = "720h" }]"#).unwrap());
        for part in [
            r#"sentinel-password-file = "/s", results = "redis://r/1", results-password-file = "/c""#,
            r#"event-exchange = "e", control-exchange = "c", key-prefix = "p", fanout-prefix = "f{db}""#,
            r#"keep = "7d", keep-failed = "30d""#,
        ] {
            assert!(all.contains(part), "{all}");
        }
        assert_eq!(read_celery("redis://host/0").unwrap()[0].name, "celery");
    }

    #[test]
    fn invalid_clusters_are_named() {
        for (text, words) in [
            ("[", "expected an address like"),
            ("[{}]", "missing field `broker`"),
            ("[{ broker = 7 }]", "expected an address like"),
            ("[{ broker = 'a', host = 'b' }]", "unknown field `host`"),
            ("[{ broker = 'a', keep = 'long' }]", "\"long\": expected a duration"),
            ("[{ broker = 'a', keep-failed = '0s' }]", "\"0s\": "),
            ("[{ broker = 'a' }, { broker = 'b' }]", "two clusters are named \"celery\""),
        ] {
            let error = read_celery(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
