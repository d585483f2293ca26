//! Selects the hosts of a job.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use globset::{GlobBuilder, GlobMatcher};
use monitor_wire::{HostDefinition, Targets};

use crate::state::Target;
use crate::tags::TagConditions;

type Host = (u64, HostDefinition);

/// Selects each host once, in the order of the request. A name, number, address or group that isn't known becomes a target without a number, so
/// that the job reports it. Tags select among all hosts or, if other targets are given, among those.
///
/// # Errors
/// Lists all mistakes: malformed patterns, addresses and conditions, a pattern that matches no host, and a selection without any host.
pub fn select(targets: &Targets, hosts: &[(u64, HostDefinition)]) -> Result<Vec<Target>, Vec<String>> {
    let mut selection = Selection::new(hosts);
    for (index, text) in targets.hosts.iter().enumerate() {
        selection.host(&format!("targets.hosts[{index}]"), text.trim());
    }
    for (index, target) in targets.ips.iter().enumerate() {
        let Ok(ip) = target.ip.trim().parse::<IpAddr>() else {
            selection.mistakes.push(format!("targets.ips[{index}]: `{}` is not an IP address", target.ip));
            continue;
        };
        match selection.by_ip.get(&(ip, target.cloud_id)).cloned() {
            Some(matching) => matching.into_iter().for_each(|host| selection.add(host)),
            None => selection.add_unknown(&ip.to_string(), Some(ip), target.cloud_id),
        }
    }
    for (index, group) in targets.groups.iter().enumerate() {
        if group.trim().is_empty() {
            selection.mistakes.push(format!("targets.groups[{index}]: it is empty: name a group"));
            continue;
        }
        let matching: Vec<usize> = (0..hosts.len()).filter(|host| hosts[*host].1.groups.iter().any(|name| name == group.trim())).collect();
        if matching.is_empty() {
            selection.add_unknown(group.trim(), None, 0);
        }
        for host in matching {
            selection.add(host);
        }
    }
    let has_others = !(targets.hosts.is_empty() && targets.ips.is_empty() && targets.groups.is_empty());
    let Selection { mut selected, mut mistakes, .. } = selection;
    if let Some(tags) = &targets.tags {
        match tags.parse::<TagConditions>() {
            Ok(conditions) => {
                if !has_others {
                    selected = hosts.iter().map(target).collect();
                }
                let by_id: HashMap<u64, &HostDefinition> = hosts.iter().map(|(id, definition)| (*id, definition)).collect();
                let satisfies = |id: u64| conditions.are_satisfied_by(by_id[&id]);
                selected.retain(|target| target.host_id.is_none_or(satisfies));
            }
            Err(mistake) => mistakes.push(format!("targets.tags: {mistake}")),
        }
    }
    if mistakes.is_empty() && selected.is_empty() {
        mistakes.push(if has_others || targets.tags.is_some() {
            "targets: no host satisfies the conditions on tags".to_owned()
        } else {
            "targets: no host is selected: give `hosts`, `ips`, `groups` or `tags`".to_owned()
        });
    }
    if mistakes.is_empty() { Ok(selected) } else { Err(mistakes) }
}

struct Selection<'a> {
    hosts: &'a [Host],
    by_id: HashMap<u64, usize>,
    by_name: HashMap<&'a str, usize>,
    by_ip: HashMap<(IpAddr, u64), Vec<usize>>,
    selected: Vec<Target>,
    known: HashSet<u64>,
    unknown: HashSet<(String, u64)>,
    mistakes: Vec<String>,
}

impl<'a> Selection<'a> {
    fn new(hosts: &'a [Host]) -> Self {
        let mut by_ip: HashMap<_, Vec<usize>> = HashMap::new();
        for (position, (_, definition)) in hosts.iter().enumerate() {
            for text in [&definition.ip, &definition.ipv6].into_iter().flatten() {
                if let Ok(ip) = text.parse() {
                    by_ip.entry((ip, definition.cloud_id)).or_default().push(position);
                }
            }
        }
        Self {
            hosts,
            by_id: hosts.iter().enumerate().map(|(position, (id, _))| (*id, position)).collect(),
            by_name: hosts.iter().enumerate().map(|(position, (_, definition))| (definition.name.as_str(), position)).collect(),
            by_ip,
            selected: Vec::new(),
            known: HashSet::new(),
            unknown: HashSet::new(),
            mistakes: Vec::new(),
        }
    }

    /// Selects by number, name or pattern.
    fn host(&mut self, place: &str, text: &str) {
        let by_id = text.parse::<u64>().ok().and_then(|id| self.by_id.get(&id));
        if let Some(position) = by_id.or_else(|| self.by_name.get(text)) {
            self.add(*position);
        } else if text.is_empty() {
            self.mistakes.push(format!("{place}: it is empty: name a host"));
        } else if text.contains(['*', '?']) {
            let Some(pattern) = matcher(text) else {
                self.mistakes.push(format!("{place}: `{text}` is not a pattern: use names with `*` and `?`"));
                return;
            };
            let matching: Vec<usize> = (0..self.hosts.len()).filter(|host| pattern.is_match(&self.hosts[*host].1.name)).collect();
            if matching.is_empty() {
                self.mistakes.push(format!("{place}: no host's name matches `{text}`"));
            }
            for host in matching {
                self.add(host);
            }
        } else {
            self.add_unknown(text, None, 0);
        }
    }

    fn add(&mut self, position: usize) {
        let host = &self.hosts[position];
        if self.known.insert(host.0) {
            self.selected.push(target(host));
        }
    }

    fn add_unknown(&mut self, name: &str, ip: Option<IpAddr>, cloud_id: u64) {
        if self.unknown.insert((name.to_owned(), cloud_id)) {
            self.selected.push(Target { host_id: None, name: name.to_owned(), ip: ip.map(|ip| ip.to_string()), cloud_id });
        }
    }
}

/// Only `*` and `?` are special in a pattern.
fn matcher(text: &str) -> Option<GlobMatcher> {
    let escaped: String = text.chars().flat_map(|char| "[]{}\\!".contains(char).then_some('\\').into_iter().chain([char])).collect();
    Some(GlobBuilder::new(&escaped).backslash_escape(true).build().ok()?.compile_matcher())
}

fn target((id, definition): &Host) -> Target {
    let HostDefinition { name, ip, ipv6, cloud_id, .. } = definition;
    Target { host_id: Some(*id), name: name.clone(), ip: ip.clone().or_else(|| ipv6.clone()), cloud_id: *cloud_id }
}
