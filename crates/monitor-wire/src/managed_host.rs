//! Hosts that jobs run on, in the API. Times are Unix microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::job::Targets;

/// How the server reaches a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HostReach {
    /// An agent on the host, which connects to the server.
    #[default]
    Agent,
}

/// The settings of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HostDefinition {
    /// Name of the host, and of its agent. No other host has it. 1 to 64 letters, digits and `.`, `-`, `_`, `@`.
    #[cfg_attr(feature = "openapi", schema(example = "web-1"))]
    pub name: String,
    /// IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "10.0.0.7"))]
    pub ip: Option<String>,
    /// IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
    /// Number of the network that the address belongs to. Two hosts may have the same address in different networks.
    #[serde(default)]
    pub cloud_id: u64,
    /// Tags: names with a value, which may be empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Groups that the host belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Accounts that jobs can name on the host. If there are none, only its agent decides. Jobs without an account run as the agent's own user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// How the server reaches the host.
    #[serde(default)]
    pub how: HostReach,
}

/// A host and its current state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ManagedHost {
    /// Number of the host.
    pub id: u64,
    /// Settings of the host.
    #[serde(flatten)]
    pub definition: HostDefinition,
    /// True if the server's file of hosts contains the host, which can only be changed there.
    pub is_from_file: bool,
    /// True if the host's agent has ever connected.
    pub has_agent: bool,
    /// True if the host's agent is connected.
    pub is_online: bool,
    /// Time of the last contact with the host's agent since the start of the server; none if there was no contact.
    pub last_contact_us: Option<u64>,
    /// Time at which the host was added.
    pub created_us: u64,
}

/// Answer of `GET /api/v1/hosts`: all hosts, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ManagedHosts {
    /// The hosts.
    pub hosts: Vec<ManagedHost>,
    /// Reason why the server's file of hosts is not in effect, such as its mistakes.
    pub file_problem: Option<String>,
}

/// Body of `PUT /api/v1/hosts`: adds each host, or changes the settings of the host with its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HostsPut {
    /// The hosts.
    pub hosts: Vec<HostDefinition>,
}

/// Answer of `PUT /api/v1/hosts`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostsChanged {
    /// Names of hosts that were added.
    pub added: Vec<String>,
    /// Names of hosts whose settings were changed.
    pub changed: Vec<String>,
}

/// Targets with a name, which jobs select by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SavedTargets {
    /// Name of the targets. 1 to 64 letters, digits and `.`, `-`, `_`, `@`.
    #[cfg_attr(feature = "openapi", schema(example = "web-prod"))]
    pub name: String,
    /// The targets.
    pub targets: Targets,
    /// True if the server's file of hosts contains them. Then they can only be changed there.
    pub is_from_file: bool,
    /// Number of targets that they select now. Unknown hosts count too, because a job reports them.
    pub selected: u64,
    /// Reason why a job with these targets can't start now.
    pub problem: Option<String>,
}

/// Answer of `GET /api/v1/targets`: all saved targets, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AllSavedTargets {
    /// The saved targets.
    pub targets: Vec<SavedTargets>,
}
