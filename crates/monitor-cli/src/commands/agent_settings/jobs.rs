//! The table `[jobs]` of `agent.toml`: the owner's rules for scripts that the server sends.

use std::path::PathBuf;

use monitor_agent::JobPolicy;
use regex::Regex;
use serde::{Deserialize, Deserializer, de::Error as _};

/// The table `[jobs]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct JobRules {
    enabled: bool,
    accounts: Option<Vec<String>>,
    #[serde(deserialize_with = "scripts")]
    scripts: Option<Vec<String>>,
    #[serde(deserialize_with = "patterns")]
    refuse: Vec<Regex>,
    #[serde(deserialize_with = "max_runs")]
    max_runs: u32,
    secret_env: Vec<String>,
}

impl Default for JobRules {
    fn default() -> Self {
        Self { enabled: true, accounts: None, scripts: None, refuse: Vec::new(), max_runs: JobPolicy::MAX_RUNS, secret_env: Vec::new() }
    }
}

impl JobRules {
    /// The rules, and the file with the keys of the server.
    pub(super) fn policy(&self, keys: PathBuf) -> JobPolicy {
        let Self { enabled, accounts, scripts, refuse, max_runs, secret_env } = self.clone();
        JobPolicy { is_enabled: enabled, accounts, scripts, refuse, max_runs, secret_env, keys }
    }
}

/// Reads `"any"`, or a list of SHA-256 values.
fn scripts<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    const EXPECTED: &str = "expected \"any\", or a list of SHA-256 values of 64 hexadecimal digits";
    match toml::Value::deserialize(from)? {
        toml::Value::String(word) if word == "any" => Ok(None),
        toml::Value::Array(values) => {
            let is_sha = |text: &&str| text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
            let read = |value: &toml::Value| {
                let text = value.as_str().filter(is_sha).map(str::to_owned);
                text.ok_or_else(|| D::Error::custom(format_args!("{value}: {EXPECTED}")))
            };
            values.iter().map(read).collect::<Result<_, _>>().map(Some)
        }
        _ => Err(D::Error::custom(EXPECTED)),
    }
}

fn patterns<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Regex>, D::Error> {
    let read = |text: String| Regex::new(&text).map_err(|error| D::Error::custom(format_args!("{text:?} is no pattern: {error}")));
    Vec::<String>::deserialize(from)?.into_iter().map(read).collect()
}

fn max_runs<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    super::max_runs(from).map(|number| number.unwrap_or(JobPolicy::MAX_RUNS))
}
