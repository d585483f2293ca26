//! Hosts in the output of `ansible-inventory --list`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use monitor_wire::HostDefinition;
use serde::Deserialize;
use serde_json::Value;

use super::import::{Content, set_address};

/// Built-in groups of Ansible, which contain no information about a host.
const OWN_GROUPS: [&str; 2] = ["all", "ungrouped"];

#[derive(Debug, Default, Deserialize)]
struct Group {
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    children: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(default)]
    hostvars: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Inventory {
    #[serde(default, rename = "_meta")]
    meta: Meta,
    #[serde(flatten)]
    groups: BTreeMap<String, Group>,
}

pub(super) fn read(text: &str) -> Content {
    let mut content = Content::default();
    let inventory: Inventory = match serde_json::from_str(text) {
        Ok(inventory) => inventory,
        Err(error) => {
            let line = error.line().max(1) as u64;
            content.mistake(line, format!("this is not the JSON of `ansible-inventory --list`: {error}"));
            return content;
        }
    };
    let listed = inventory.groups.values().flat_map(|group| &group.hosts);
    let names: BTreeSet<&String> = inventory.meta.hostvars.keys().chain(listed).collect();
    let mut groups_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in inventory.groups.keys().filter(|name| !OWN_GROUPS.contains(&name.as_str())) {
        for host in members(&inventory.groups, name) {
            groups_of.entry(host).or_default().push(name.clone());
        }
    }
    for name in names {
        let groups = groups_of.remove(name.as_str()).unwrap_or_default();
        let mut definition = HostDefinition { name: name.clone(), groups, ..HostDefinition::default() };
        let address = inventory.meta.hostvars.get(name).and_then(|variables| variables.get("ansible_host")).and_then(Value::as_str);
        // A host without `ansible_host` is reached by its name, which can be an address.
        if let Ok(ip) = address.unwrap_or(name).parse::<IpAddr>() {
            set_address(&mut definition, ip);
        }
        content.host(line_of(text, name), definition);
    }
    content
}

/// Returns the hosts of a group and of the groups below it.
fn members<'a>(groups: &'a BTreeMap<String, Group>, name: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![name];
    let mut hosts = BTreeSet::new();
    while let Some(name) = open.pop() {
        // Groups can contain each other.
        let Some(group) = groups.get(name).filter(|_| seen.insert(name)) else { continue };
        hosts.extend(group.hosts.iter().map(String::as_str));
        open.extend(group.children.iter().map(String::as_str));
    }
    hosts
}

/// Returns the number of the first line that contains the name as a JSON text.
fn line_of(text: &str, name: &str) -> u64 {
    let quoted = serde_json::to_string(name).expect("a text is JSON");
    text.lines().position(|line| line.contains(&quoted)).map_or(1, |at| at as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVENTORY: &str = r#"{
  "_meta": {"hostvars": {
    "web-1": {"ansible_host": "10.0.0.7", "ansible_password": "hush"},
    "10.0.0.9": {},
    "db-1": {"ansible_host": "db.example.com"}
  }},
  "all": {"children": ["ungrouped", "eu", "db"]},
  "ungrouped": {"hosts": ["10.0.0.9"]},
  "eu": {"children": ["web"]},
  "web": {"hosts": ["web-1", "web-2"], "children": ["eu"]},
  "db": {"hosts": ["db-1"]}
}"#;

    #[test]
    fn groups_contain_the_hosts_of_the_groups_below_them() {
        let content = read(INVENTORY);
        assert!(content.mistakes.is_empty(), "{content:?}");
        let found: Vec<_> = content
            .hosts
            .iter()
            .map(|host| (&*host.definition.name, host.definition.ip.as_deref(), host.definition.groups.join(" "), host.line))
            .collect();
        assert_eq!(
            found,
            [
                ("10.0.0.9", Some("10.0.0.9"), String::new(), 4),
                ("db-1", None, "db".to_owned(), 5),
                ("web-1", Some("10.0.0.7"), "eu web".to_owned(), 3),
                ("web-2", None, "eu web".to_owned(), 10),
            ]
        );
        assert!(!format!("{content:?}").contains("hush"));
    }

    #[test]
    fn broken_json_and_bad_names_are_mistakes_with_lines() {
        let content = read("{\n  \"web\": {\"hosts\": 7}\n}");
        assert_eq!(content.mistakes.len(), 1, "{content:?}");
        assert!(content.mistakes[0].text.contains("ansible-inventory --list"), "{content:?}");
        assert_eq!(read("{\n\n\"web\": [").mistakes[0].line, 3);
        let content = read("{\"web\": {\"hosts\": [\n\"a\",\n\"b c\"]}}");
        assert!(content.mistakes[0].line == 3 && content.mistakes[0].text.contains("\"b c\""), "{content:?}");
    }
}
