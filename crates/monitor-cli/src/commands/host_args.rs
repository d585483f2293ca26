//! Options that select hosts.

use std::net::IpAddr;

use monitor_wire::{IpTarget, Targets};

/// Hosts that a job runs on.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct HostArgs {
    /// Conditions on tags that all must be satisfied, such as env=prod,!canary
    #[arg(short, long)]
    tags: Option<String>,
    /// Name or number of a host, or a pattern such as "web-*"; can be repeated
    #[arg(long = "host", value_name = "HOST")]
    names: Vec<String>,
    /// Group of hosts; can be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Address of a host, or NETWORK:ADDRESS such as 3:10.0.0.7; can be repeated
    #[arg(long = "ip", value_name = "ADDRESS", value_parser = read_ip)]
    ips: Vec<IpTarget>,
}

impl HostArgs {
    pub(super) fn targets(&self) -> Targets {
        let Self { tags, names, groups, ips } = self;
        Targets { hosts: names.clone(), ips: ips.clone(), groups: groups.clone(), tags: tags.clone(), saved: Vec::new() }
    }
}

fn read_ip(text: &str) -> Result<IpTarget, String> {
    let target = |cloud_id, ip: IpAddr| IpTarget { ip: ip.to_string(), cloud_id };
    // The beginning of an IPv6 address can look like the number of a network, so the whole text is tried first.
    if let Ok(ip) = text.parse() {
        return Ok(target(0, ip));
    }
    let of_network = text.split_once(':').and_then(|(network, ip)| Some((network.parse().ok()?, ip.parse().ok()?)));
    of_network.map(|(network, ip)| target(network, ip)).ok_or_else(|| "expected an address, or NETWORK:ADDRESS".to_owned())
}
