//! The setting `celery`: clusters whose tasks and workers the server records.

use std::path::PathBuf;

use serde::Deserialize;

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
    /// Tasks whose arguments and results are recorded: `all`, `off`, or patterns of names.
    #[serde(default = "all")]
    pub arguments: String,
    /// True to turn on the events of each worker that appears.
    #[serde(default)]
    pub enable_events: bool,
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
        let broker = text.trim().to_owned();
        return Ok(vec![CeleryCluster { name: default_name(), broker, password_file: None, arguments: all(), enable_events: false }]);
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
        let CeleryCluster { name, broker, password_file, arguments, enable_events } = cluster;
        let file = password_file.as_ref().map(|file| format!(", password-file = {}", quoted(&file.to_string_lossy()))).unwrap_or_default();
        let (name, broker, arguments) = (quoted(name), quoted(broker), quoted(arguments));
        format!("{{ name = {name}, broker = {broker}{file}, arguments = {arguments}, enable-events = {enable_events} }}")
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
        assert_eq!(read_celery("redis://host/0").unwrap()[0].name, "celery");
    }

    #[test]
    fn invalid_clusters_are_named() {
        for (text, words) in [
            ("[", "expected an address like"),
            ("[{}]", "missing field `broker`"),
            ("[{ broker = 7 }]", "expected an address like"),
            ("[{ broker = 'a', host = 'b' }]", "unknown field `host`"),
            ("[{ broker = 'a' }, { broker = 'b' }]", "two clusters are named \"celery\""),
        ] {
            let error = read_celery(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
