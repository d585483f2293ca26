//! Heartbeats as the API shows and takes them: jobs that run elsewhere and tell by HTTP requests that they ran. Times are Unix microseconds.

use serde::{Deserialize, Serialize};

use crate::words::HeartbeatState;

/// A heartbeat as it is to be. It is expected by a `rule` of time or by a period (`every_ms`): one of them, never both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeartbeatDefinition {
    /// Its name, like no other heartbeat's: 1 to 64 letters, digits and `.`, `-`, `_`, `@`.
    #[cfg_attr(feature = "openapi", schema(example = "nightly-backup"))]
    pub name: String,
    /// A rule of time, as those of batch tasks: when a ping is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "30 2 * * *"))]
    pub rule: Option<String>,
    /// The time zone of `rule`; UTC if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "Europe/Berlin"))]
    pub zone: Option<String>,
    /// A ping is expected so long after the one before it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// A ping may be so late, in milliseconds.
    #[serde(default = "grace_ms")]
    #[cfg_attr(feature = "openapi", schema(example = 600_000))]
    pub grace_ms: u64,
    /// A run that was told to have started is overdue after so long, in milliseconds; after `grace_ms` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The agent of the machine on which the job runs, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl HeartbeatDefinition {
    /// The rule of a crontab by which the job pings as it is expected, or more often: a crontab has whole minutes.
    pub fn crontab(&self) -> String {
        if let Some(rule) = &self.rule {
            return rule.clone();
        }
        let minutes = self.every_ms.unwrap_or_default() / 60_000;
        let divisor = |of: u64, most: u64| (1..=most.clamp(1, of)).rev().find(|step| of.is_multiple_of(*step)).unwrap_or(1);
        match minutes {
            0..=1 => "* * * * *".to_owned(),
            2..60 => format!("*/{} * * * *", divisor(60, minutes)),
            60..120 => "0 * * * *".to_owned(),
            120..1440 => format!("0 */{} * * *", divisor(24, minutes / 60)),
            _ => "0 0 * * *".to_owned(),
        }
    }
}

/// Ten minutes.
fn grace_ms() -> u64 {
    600_000
}

/// A heartbeat as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeat {
    /// What it is to be.
    #[serde(flatten)]
    pub definition: HeartbeatDefinition,
    /// How it stands.
    pub state: HeartbeatState,
    /// When its last ping came; none if none ever came.
    pub seen_us: Option<u64>,
    /// When the next ping is expected; none before the first one.
    pub due_us: Option<u64>,
    /// When the ping was expected that was last told to be missing.
    pub missed_us: Option<u64>,
    /// When it was made.
    pub created_us: u64,
    /// Who made it.
    pub who: String,
    /// Until when the key before the last roll is taken as well; none if there is none.
    pub old_key_until_us: Option<u64>,
}

/// `GET /api/v1/heartbeats`: all heartbeats, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeats {
    /// The heartbeats.
    pub heartbeats: Vec<Heartbeat>,
}

/// The key of a heartbeat. It is told this once: the server keeps only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatKey {
    /// The heartbeat.
    pub name: String,
    /// Its key.
    #[cfg_attr(feature = "openapi", schema(example = "0199a3ce-929d-0e0e-4736-0199a3ce929d"))]
    pub key: String,
    /// The path to ask, below the server's address.
    #[cfg_attr(feature = "openapi", schema(example = "/ping/0199a3ce-929d-0e0e-4736-0199a3ce929d"))]
    pub path: String,
    /// The whole address, if the server has been told its own (`public-url`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Until when the key before this one is taken as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_key_until_us: Option<u64>,
    /// The rule of a crontab by which the job pings as it is expected, or more often.
    #[cfg_attr(feature = "openapi", schema(example = "*/10 * * * *"))]
    pub crontab: String,
}

/// `POST /api/v1/heartbeats/{name}/roll`: a new key is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRoll {
    /// The key so far is taken for so long, in milliseconds: 0 ends it at once; a day if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crontab_runs_at_least_as_often_as_a_ping_is_expected() {
        let of = |rule: Option<&str>, every_ms| HeartbeatDefinition {
            name: "poller".to_owned(),
            rule: rule.map(str::to_owned),
            zone: None,
            every_ms,
            grace_ms: grace_ms(),
            timeout_ms: None,
            agent: None,
        };
        assert_eq!(of(Some("30 2 * * *"), None).crontab(), "30 2 * * *");
        for (minutes, expected) in [
            (0, "* * * * *"),
            (1, "* * * * *"),
            (10, "*/10 * * * *"),
            (7, "*/6 * * * *"),
            (59, "*/30 * * * *"),
            (60, "0 * * * *"),
            (90, "0 * * * *"),
            (5 * 60, "0 */4 * * *"),
            (12 * 60, "0 */12 * * *"),
            (24 * 60, "0 0 * * *"),
            (30 * 24 * 60, "0 0 * * *"),
        ] {
            assert_eq!(of(None, Some(minutes * 60_000)).crontab(), expected, "{minutes}");
        }
    }
}
