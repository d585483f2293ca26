//! Selects the hosts of a job by name, pattern, number, address, group, tags and saved targets. Also checks targets before they are saved.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use globset::{GlobBuilder, GlobMatcher};
use monitor_wire::{HostDefinition, Targets};

use crate::check::MOST_NAME_BYTES;
use crate::state::Target;
use crate::tags::TagConditions;

/// Maximum number of entries in the targets of a request. A pattern, a group or tags can select more hosts.
pub const MOST_TARGETS: usize = 100_000;

type Host = (u64, HostDefinition);

/// All hosts, and all saved targets.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    hosts: Vec<Host>,
    saved: BTreeMap<String, Targets>,
    by_id: HashMap<u64, usize>,
    by_name: HashMap<String, usize>,
    by_ip: HashMap<(IpAddr, u64), Vec<usize>>,
}

impl Inventory {
    /// Creates an inventory of all hosts, with their numbers, and all saved targets.
    #[must_use]
    pub fn new(hosts: Vec<(u64, HostDefinition)>, saved: BTreeMap<String, Targets>) -> Self {
        let mut inventory = Self { saved, ..Self::default() };
        for (position, (id, definition)) in hosts.iter().enumerate() {
            inventory.by_id.insert(*id, position);
            inventory.by_name.insert(definition.name.clone(), position);
            for text in [&definition.ip, &definition.ipv6].into_iter().flatten() {
                if let Ok(ip) = text.parse() {
                    inventory.by_ip.entry((ip, definition.cloud_id)).or_default().push(position);
                }
            }
        }
        Self { hosts, ..inventory }
    }

    /// Returns the settings of a host.
    #[must_use]
    pub fn host(&self, id: u64) -> Option<&HostDefinition> {
        self.by_id.get(&id).map(|position| &self.hosts[*position].1)
    }

    /// Returns the host with this number as a target. `None` if there is none.
    #[must_use]
    pub fn target(&self, id: u64) -> Option<Target> {
        self.by_id.get(&id).map(|position| target(&self.hosts[*position]))
    }
}

/// Checks targets that are to be saved. They may select hosts that are added later.
///
/// # Errors
/// Lists all mistakes, each with its place: malformed patterns, addresses and conditions, names of other saved targets, and targets without any entry.
pub fn check_saved(targets: &Targets) -> Result<(), Vec<String>> {
    let mut mistakes = malformed(targets);
    if !targets.saved.is_empty() {
        mistakes.push("saved: saved targets can't contain other saved targets".to_owned());
    }
    if *targets == Targets::default() {
        mistakes.push("they select no host: give `hosts`, `ips`, `groups` or `tags`".to_owned());
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// Selects each host once, in the order of the request. A name, number, address, group or name of saved targets that isn't known becomes a target
/// without a number, so that the job reports it. Tags select among all hosts or, if other targets are given, among those; they remove no
/// unknown target.
///
/// # Errors
/// Lists all mistakes: malformed patterns, addresses and conditions, a pattern that matches no host, and a selection without any host.
pub fn select(targets: &Targets, inventory: &Inventory) -> Result<Vec<Target>, Vec<String>> {
    let mistakes = malformed(targets).iter().map(|mistake| format!("targets.{mistake}")).collect();
    let mut selection = Selection { inventory, selected: Vec::new(), known: HashSet::new(), unknown: HashSet::new(), mistakes };
    for (index, text) in targets.hosts.iter().enumerate() {
        selection.host(&format!("targets.hosts[{index}]"), text.trim());
    }
    for target in &targets.ips {
        selection.ip(target.ip.trim(), target.cloud_id);
    }
    targets.groups.iter().for_each(|group| selection.group(group.trim()));
    for (index, name) in targets.saved.iter().enumerate() {
        let name = name.trim();
        match inventory.saved.get(name).map(|saved| select(saved, inventory)) {
            Some(Ok(found)) => found.into_iter().for_each(|target| selection.add_target(target)),
            Some(Err(why)) => selection.mistakes.extend(why.iter().map(|why| format!("targets.saved[{index}]: `{name}`: {why}"))),
            None => selection.add_unknown(name, None, 0),
        }
    }
    let has_others = *targets != Targets { tags: targets.tags.clone(), ..Targets::default() };
    let Selection { mut selected, mut mistakes, .. } = selection;
    if let Some(conditions) = targets.tags.as_ref().and_then(|tags| tags.parse::<TagConditions>().ok()) {
        if !has_others {
            selected = inventory.hosts.iter().map(target).collect();
        }
        let satisfies = |id| inventory.host(id).is_some_and(|host| conditions.are_satisfied_by(host));
        selected.retain(|target| target.host_id.is_none_or(satisfies));
    }
    if mistakes.is_empty() && selected.is_empty() {
        mistakes.push(if has_others || targets.tags.is_some() {
            "targets: no host satisfies the conditions on tags".to_owned()
        } else {
            "targets: no host is selected: give `hosts`, `ips`, `groups`, `tags` or `saved`".to_owned()
        });
    }
    if mistakes.is_empty() { Ok(selected) } else { Err(mistakes) }
}

/// Returns the mistakes of targets that don't depend on the known hosts, each with its place.
fn malformed(targets: &Targets) -> Vec<String> {
    let Targets { hosts, ips, groups, tags, saved } = targets;
    let count = hosts.len() + ips.len() + groups.len() + saved.len();
    if count > MOST_TARGETS {
        return vec![format!("hosts: {count} targets are too many: at most {MOST_TARGETS} are possible")];
    }
    let mut mistakes = Vec::new();
    for (key, names, what) in [("hosts", hosts, "a host"), ("groups", groups, "a group"), ("saved", saved, "saved targets")] {
        for (index, name) in names.iter().enumerate() {
            let name = name.trim();
            if name.is_empty() {
                mistakes.push(format!("{key}[{index}]: it is empty: name {what}"));
            } else if name.len() > MOST_NAME_BYTES {
                mistakes.push(format!("{key}[{index}]: it has {} bytes: at most {MOST_NAME_BYTES} are possible", name.len()));
            } else if name.contains(char::is_control) {
                mistakes.push(format!("{key}[{index}]: it contains a control character"));
            } else if key == "hosts" && is_pattern(name) && matcher(name).is_none() {
                mistakes.push(format!("{key}[{index}]: `{name}` is not a pattern: use names with `*` and `?`"));
            }
        }
    }
    for (index, target) in ips.iter().enumerate().filter(|(_, target)| target.ip.trim().parse::<IpAddr>().is_err()) {
        let shown: String = target.ip.chars().take(80).collect();
        mistakes.push(format!("ips[{index}]: {shown:?} is not an IP address"));
    }
    if let Some(Err(mistake)) = tags.as_ref().map(|tags| tags.parse::<TagConditions>()) {
        mistakes.push(format!("tags: {mistake}"));
    }
    mistakes
}

struct Selection<'a> {
    inventory: &'a Inventory,
    selected: Vec<Target>,
    known: HashSet<u64>,
    unknown: HashSet<(String, u64)>,
    mistakes: Vec<String>,
}

impl Selection<'_> {
    /// Selects by number, name or pattern.
    fn host(&mut self, place: &str, text: &str) {
        let Inventory { hosts, by_id, by_name, .. } = self.inventory;
        if let Some(position) = text.parse().ok().and_then(|id: u64| by_id.get(&id)).or_else(|| by_name.get(text)) {
            self.add(*position);
        } else if is_pattern(text) {
            let Some(pattern) = matcher(text) else { return };
            let matching: Vec<usize> = (0..hosts.len()).filter(|host| pattern.is_match(&hosts[*host].1.name)).collect();
            if matching.is_empty() {
                self.mistakes.push(format!("{place}: no host's name matches `{text}`"));
            }
            self.add_all(matching);
        } else {
            self.add_unknown(text, None, 0);
        }
    }

    fn ip(&mut self, text: &str, cloud_id: u64) {
        let Ok(ip) = text.parse::<IpAddr>() else { return };
        match self.inventory.by_ip.get(&(ip, cloud_id)) {
            Some(matching) => matching.iter().for_each(|host| self.add(*host)),
            None => self.add_unknown(&ip.to_string(), Some(ip), cloud_id),
        }
    }

    fn group(&mut self, group: &str) {
        let hosts = &self.inventory.hosts;
        let matching: Vec<usize> = (0..hosts.len()).filter(|host| hosts[*host].1.groups.iter().any(|name| name == group)).collect();
        if matching.is_empty() {
            self.add_unknown(group, None, 0);
        }
        self.add_all(matching);
    }

    fn add_all(&mut self, positions: Vec<usize>) {
        for position in positions {
            self.add(position);
        }
    }

    fn add(&mut self, position: usize) {
        self.add_target(target(&self.inventory.hosts[position]));
    }

    fn add_target(&mut self, target: Target) {
        let is_new = match target.host_id {
            Some(id) => self.known.insert(id),
            None => self.unknown.insert((target.name.clone(), target.cloud_id)),
        };
        if is_new {
            self.selected.push(target);
        }
    }

    fn add_unknown(&mut self, name: &str, ip: Option<IpAddr>, cloud_id: u64) {
        self.add_target(Target { host_id: None, name: name.to_owned(), ip: ip.map(|ip| ip.to_string()), cloud_id });
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
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
