//! Hosts in a configuration of ssh.

use std::collections::BTreeMap;
use std::net::IpAddr;

use monitor_wire::HostDefinition;

use super::import::{Content, Mistake, set_address};

/// Reads the hosts that `Host` lines name. Patterns apply to many hosts, so they are none.
pub(super) fn read(text: &str) -> Content {
    let mut content = Content::default();
    // Hosts of the current `Host` line.
    let mut current: Vec<String> = Vec::new();
    let mut found: BTreeMap<String, (u64, HostDefinition)> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some((key, values)) = words(line) else { continue };
        match key.as_str() {
            "host" if values.is_empty() => content.mistake(number, "`Host` without a name"),
            "host" => {
                current = values.into_iter().filter(|name| !name.contains(['*', '?', '!'])).collect();
                for name in &current {
                    let new = HostDefinition { name: name.clone(), ..HostDefinition::default() };
                    found.entry(name.clone()).or_insert((number, new));
                }
            }
            "match" => current.clear(),
            "hostname" => {
                let Some(ip) = values.first().and_then(|value| value.trim_matches(['[', ']']).parse::<IpAddr>().ok()) else { continue };
                for name in &current {
                    // ssh uses the first address that it finds.
                    if let Some((_, definition)) = found.get_mut(name)
                        && definition.ip.is_none()
                        && definition.ipv6.is_none()
                    {
                        set_address(definition, ip);
                    }
                }
            }
            "include" => {
                content.warnings.push(Mistake { line: number, text: "included files are not read: import them as well".to_owned() });
            }
            _ => {}
        }
    }
    for (_, (line, mut definition)) in found {
        if let Ok(ip) = definition.name.parse::<IpAddr>()
            && definition.ip.is_none()
            && definition.ipv6.is_none()
        {
            set_address(&mut definition, ip);
        }
        content.host(line, definition);
    }
    content.hosts.sort_by_key(|host| host.line);
    content
}

/// Returns the keyword of a line, in small letters, and its values. `None` for an empty line or a comment.
pub(super) fn words(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let values = shlex::split(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
    Some((key.to_ascii_lowercase(), values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_named_host_is_read_with_its_first_address() {
        let text = "# mine\nUser ada\nHost web-1 web-2 # the shop\n  HostName 10.0.0.7\n  HostName 10.0.0.8\n\nhost = \"db-1\"\n\
                    hostname=db.example.com\nHost *\n  HostName 10.0.0.1\nHost !bad web-?\n HostName 10.0.0.2\nMatch host db-1\n  HostName 10.0.0.3\n\
                    Host web-1 v6\n  HostName fd00::9\nHost 10.0.0.20\n";
        let content = read(text);
        assert!(content.mistakes.is_empty(), "{content:?}");
        let found: Vec<_> = content
            .hosts
            .iter()
            .map(|host| (host.line, &*host.definition.name, host.definition.ip.as_deref().or(host.definition.ipv6.as_deref())))
            .collect();
        assert_eq!(
            found,
            [
                (3, "web-1", Some("10.0.0.7")),
                (3, "web-2", Some("10.0.0.7")),
                (7, "db-1", None),
                (15, "v6", Some("fd00::9")),
                (17, "10.0.0.20", Some("10.0.0.20"))
            ]
        );
    }

    #[test]
    fn lines_that_would_lose_hosts_are_reported() {
        let content = read("Host\nInclude hosts.d/*\nHost a/b\n");
        assert!(content.mistakes.iter().map(|mistake| mistake.line).eq([1, 3]), "{content:?}");
        assert!(content.warnings[0].line == 2 && content.warnings[0].text.contains("not read"), "{content:?}");
    }
}
