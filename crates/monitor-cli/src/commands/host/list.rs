//! Hosts as text.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use monitor_wire::{HostsChanged, ManagedHost, ManagedHosts};

use crate::text::{Line, fit, moment, terminal_width, visible, width};

/// Maximum width of the column of names.
const NAME_COLUMNS: usize = 32;

pub(super) fn list(ManagedHosts { hosts, file_problem }: &ManagedHosts) -> anyhow::Result<()> {
    if let Some(problem) = file_problem {
        problem.lines().try_for_each(|line| writeln!(anstream::stderr(), "{}", visible(line)))?;
    }
    let mut out = anstream::stdout().lock();
    if hosts.is_empty() {
        writeln!(out, "there are no hosts: `monitor host add` adds one, and an agent that connects is one")?;
    }
    write!(out, "{}", render(hosts, terminal_width()))?;
    Ok(out.flush()?)
}

fn render(hosts: &[ManagedHost], columns: Option<usize>) -> String {
    let most = columns.map_or(NAME_COLUMNS, |columns| NAME_COLUMNS.min(columns / 3));
    let names = hosts.iter().map(|host| width(&visible(&host.definition.name)).min(most)).max().unwrap_or(0);
    let numbers = hosts.iter().map(|host| host.id.to_string().len()).max().unwrap_or(0);
    let mut text = String::new();
    for host in hosts {
        let definition = &host.definition;
        let (style, state) = state(host);
        let mut line = Line::default();
        line.right(&host.id.to_string(), numbers).column(numbers + 2).text(&fit(&visible(&definition.name), most));
        line.column(numbers + 2 + names + 2).styled(style, state);
        line.column(numbers + names + 17).text(&visible(&address(host))).column(numbers + names + 34).text(&visible(&marks(host)));
        if host.is_from_file {
            line.text("  ").styled(Style::new().dimmed(), "(file)");
        }
        text.push_str(&line.finish(columns));
    }
    text
}

/// The connection of a host in one or two words.
fn state(host: &ManagedHost) -> (Style, &'static str) {
    match (host.is_online, host.has_agent) {
        (true, _) => (AnsiColor::Green.on_default(), "online"),
        (false, true) => (AnsiColor::Yellow.on_default(), "offline"),
        (false, false) => (Style::new().dimmed(), "no agent"),
    }
}

fn address(host: &ManagedHost) -> String {
    let definition = &host.definition;
    let ip = definition.ip.as_deref().or(definition.ipv6.as_deref()).unwrap_or("-");
    if definition.cloud_id == 0 { ip.to_owned() } else { format!("{}:{ip}", definition.cloud_id) }
}

/// Groups and tags of a host, between spaces.
fn marks(host: &ManagedHost) -> String {
    let groups = host.definition.groups.iter().map(|group| format!("@{group}"));
    groups.chain(tags(host)).collect::<Vec<_>>().join(" ")
}

fn tags(host: &ManagedHost) -> impl Iterator<Item = String> {
    host.definition.tags.iter().map(|(name, value)| if value.is_empty() { name.clone() } else { format!("{name}={value}") })
}

pub(super) fn show(host: &ManagedHost) -> anyhow::Result<()> {
    let definition = &host.definition;
    let (style, state) = state(host);
    let contact = host.last_contact_us.map(|at| format!(", last contact {}", moment(at))).unwrap_or_default();
    let mut out = anstream::stdout().lock();
    writeln!(out, "{} (number {})  {style}{state}{style:#}{contact}", visible(&definition.name), host.id)?;
    let addresses = [&definition.ip, &definition.ipv6].into_iter().flatten().cloned().collect::<Vec<_>>().join("  ");
    let rows = [
        ("address", addresses),
        ("network", if definition.cloud_id == 0 { String::new() } else { definition.cloud_id.to_string() }),
        ("groups", definition.groups.join(" ")),
        ("accounts", definition.accounts.join(" ")),
        ("tags", tags(host).collect::<Vec<_>>().join(" ")),
        ("added", moment(host.created_us)),
        ("file", if host.is_from_file { "the server's file of hosts contains it: change it there".to_owned() } else { String::new() }),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "{name:<10}{}", visible(value))?;
    }
    Ok(out.flush()?)
}

/// Prints the hosts that were added or changed, one per line.
pub(super) fn changed(changed: &HostsChanged) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for (verb, names) in [("added", &changed.added), ("changed", &changed.changed)] {
        for name in names {
            writeln!(out, "{verb} {}", visible(name))?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use monitor_wire::HostDefinition;

    use super::*;

    #[test]
    fn columns_align_and_narrow_terminals_keep_the_state() {
        let host = |id: u64, name: &str, is_online: bool, seen: Option<u64>| ManagedHost {
            id,
            definition: HostDefinition {
                name: name.to_owned(),
                ip: Some("10.0.0.7".to_owned()),
                cloud_id: id % 2,
                tags: [("env".to_owned(), "prod".to_owned()), ("canary".to_owned(), String::new())].into(),
                groups: vec!["web".to_owned()],
                ..HostDefinition::default()
            },
            is_from_file: id == 12,
            has_agent: seen.is_some(),
            is_online,
            last_contact_us: seen,
            created_us: 1,
        };
        let long = "a-host-with-a-name-that-is-longer-than-narrow-terminals";
        let hosts = [host(7, "web-1", true, Some(1)), host(12, "b\u{1b}[31m", false, Some(1)), host(13, long, false, None)];
        let text = anstream::adapter::strip_str(&render(&hosts, None)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        let column = |line: &str, word: &str| width(line.split_once(word).unwrap().0);
        assert_eq!(column(lines[0], "online"), column(lines[1], "offline"));
        assert!(lines[0].starts_with(" 7  web-1") && lines[0].ends_with("1:10.0.0.7       @web canary env=prod"), "{text}");
        assert!(
            lines[1].contains("offline") && lines[1].ends_with("(file)") && lines[1].contains("  10.0.0.7") && !lines[1].contains('\u{1b}'),
            "{text}"
        );
        let narrow = anstream::adapter::strip_str(&render(&hosts, Some(40))).to_string();
        assert!(narrow.lines().all(|line| width(line) <= 40) && narrow.lines().nth(2).unwrap().contains("no agent"), "{narrow}");
    }
}
