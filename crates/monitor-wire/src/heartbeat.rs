//! Heartbeats in the API. A heartbeat watches a job that runs elsewhere and sends an HTTP request, a ping, when it runs.
//! Times are Unix microseconds.

use serde::{Deserialize, Serialize};

use crate::task::BatchMark;
use crate::words::HeartbeatState;

/// The settings of a heartbeat. Pings are expected by a `rule` of time or by a period (`every_ms`). One of the two must be given, and not both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeartbeatDefinition {
    /// Name of the heartbeat. No other heartbeat has it. 1 to 64 letters, digits and `.`, `-`, `_`, `@`.
    #[cfg_attr(feature = "openapi", schema(example = "nightly-backup"))]
    pub name: String,
    /// Times at which a ping is expected, as a rule of time like those of batch tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "30 2 * * *"))]
    pub rule: Option<String>,
    /// Time zone of `rule`; UTC if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "Europe/Berlin"))]
    pub zone: Option<String>,
    /// Longest time between two pings, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// Delay after which an expected ping is missing, in milliseconds.
    #[serde(default = "grace_ms")]
    #[cfg_attr(feature = "openapi", schema(example = 600_000))]
    pub grace_ms: u64,
    /// Time after which a run that has sent its start ping is overdue, in milliseconds; `grace_ms` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Agent of the machine that runs the job, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl HeartbeatDefinition {
    /// Returns a crontab rule that makes the job send pings as often as expected, or more often if a crontab can't express the period.
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

/// A heartbeat and its current state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeat {
    /// Settings of the heartbeat.
    #[serde(flatten)]
    pub definition: HeartbeatDefinition,
    /// Current state.
    pub state: HeartbeatState,
    /// Time of the last ping; none before the first one.
    pub seen_us: Option<u64>,
    /// Time at which the next ping is expected; none before the first ping.
    pub due_us: Option<u64>,
    /// Expected time of the last ping that was reported as missing; none if no ping was.
    pub missed_us: Option<u64>,
    /// Time at which the heartbeat was created.
    pub created_us: u64,
    /// User or token that created the heartbeat.
    pub who: String,
    /// Time until which the previous key is accepted as well; none if there is no previous key.
    pub old_key_until_us: Option<u64>,
    /// The newest runs of the job, as its pings report them, at most 30, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<BatchMark>,
}

/// Answer of `GET /api/v1/heartbeats`: all heartbeats, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeats {
    /// The heartbeats.
    pub heartbeats: Vec<Heartbeat>,
}

/// The key of a heartbeat. Only this answer contains it, because the server stores only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatKey {
    /// Name of the heartbeat.
    pub name: String,
    /// Key of the heartbeat.
    #[cfg_attr(feature = "openapi", schema(example = "0199a3ce-929d-0e0e-4736-0199a3ce929d"))]
    pub key: String,
    /// Path of the requests, below the server's address.
    #[cfg_attr(feature = "openapi", schema(example = "/ping/0199a3ce-929d-0e0e-4736-0199a3ce929d"))]
    pub path: String,
    /// Whole address of the requests, if the server has a `public-url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Time until which the previous key is accepted as well; none if there is no previous key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_key_until_us: Option<u64>,
    /// Crontab rule that makes the job send pings as often as expected, or more often.
    #[cfg_attr(feature = "openapi", schema(example = "*/10 * * * *"))]
    pub crontab: String,
}

/// Body of `POST /api/v1/heartbeats/{name}/roll`, which replaces the key with a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRoll {
    /// Duration that the previous key remains valid, in milliseconds. The default is one day; 0 invalidates the key at once.
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
