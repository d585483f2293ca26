//! `monitor host`

mod ansible;
mod csv;
mod import;
mod list;
mod ssh_config;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use clap::Subcommand;
use monitor_wire::{HostDefinition, HostsChanged, HostsPut, ManagedHost};

use crate::client::{Connection, print_json};
use crate::exit::{self, NotThere};
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor host add web-1 --ip 10.0.0.7 --tag env=prod --tag canary --group web
  monitor host list
  monitor host tag web-1 env=test --remove canary
  ansible-inventory --list > hosts.json && monitor host import hosts.json
  monitor host import ~/.ssh/config

A host with a connected agent is in the list without `add`: its name is the name of the agent's token.";

/// Manage the hosts that jobs run on
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a host, or change the settings of a known host
    Add(Add),
    /// List all hosts, with their connection, address, groups and tags
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Show the settings and the state of a host
    Show(Which),
    /// Set and remove tags of a host
    Tag {
        /// Name or number of the host
        host: String,
        /// Tags to set, such as env=prod or canary
        #[arg(value_name = "TAG[=VALUE]", value_parser = read_tag, required_unless_present = "remove")]
        tags: Vec<(String, String)>,
        /// Tag to remove; can be repeated
        #[arg(long, value_name = "TAG")]
        remove: Vec<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Remove a host; its jobs stay recorded
    Remove(Which),
    /// Add the hosts of a CSV file, an Ansible inventory or an ssh configuration
    Import(import::Args),
    /// Replace the key that the server signs orders with; the former key signs for another day
    RotateKey {
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Name or number of the host
    host: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Name of the host, and of the token of its agent
    #[arg(value_parser = read_name)]
    name: String,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ipv6: Option<Ipv6Addr>,
    /// Number of the network that the address belongs to, if several networks use the same addresses [default: 0]
    #[arg(long, value_name = "NUMBER")]
    cloud_id: Option<u64>,
    /// Tag, such as env=prod or canary; can be repeated
    #[arg(long = "tag", value_name = "TAG[=VALUE]", value_parser = read_tag)]
    tags: Vec<(String, String)>,
    /// Group that the host belongs to; can be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Account that jobs can name on the host; can be repeated [default: those that its agent permits]
    #[arg(long = "account", value_name = "ACCOUNT")]
    accounts: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Add(add) => {
            let new = HostDefinition {
                name: add.name.clone(),
                ip: add.ip.map(|ip| ip.to_string()),
                ipv6: add.ipv6.map(|ip| ip.to_string()),
                cloud_id: add.cloud_id.unwrap_or_default(),
                tags: add.tags.iter().cloned().collect(),
                groups: add.groups.clone(),
                accounts: add.accounts.clone(),
                ..HostDefinition::default()
            };
            put(&add.connection, vec![new], add.cloud_id.is_some())
        }
        Command::List { connection } => connection.show(connection.client()?.hosts(), |all| list::list(&all)),
        Command::Show(Which { host, connection }) => {
            let host = find(connection, host)?;
            if connection.json { print_json(&serde_json::to_value(&host)?) } else { list::show(&host) }
        }
        Command::Tag { host, tags, remove, connection } => tag(connection, host, tags, remove),
        Command::Remove(Which { host, connection }) => {
            let host = find(connection, host)?;
            connection.ask(connection.client()?.remove_host(host.id))?;
            Ok(writeln!(anstream::stdout(), "removed {}", visible(&host.definition.name))?)
        }
        Command::Import(args) => import::run(args),
        Command::RotateKey { connection } => connection.show(connection.client()?.rotate_job_key(), |keys| {
            let mut out = anstream::stdout().lock();
            for (key, state) in keys.keys.iter().zip(["new", "former"]) {
                writeln!(out, "{state:<8}{}", visible(key))?;
            }
            Ok(writeln!(out, "run `monitor agent trust` on each host within a day: until then, orders are signed with the former key")?)
        }),
    }
}

fn tag(connection: &Connection, host: &str, tags: &[(String, String)], remove: &[String]) -> anyhow::Result<()> {
    let mut definition = find(connection, host)?.definition;
    for name in remove {
        if definition.tags.remove(name).is_none() {
            return Err(NotThere(format!("{:?} has no tag {name:?}: `monitor host show` lists its tags", definition.name)).into());
        }
    }
    definition.tags.extend(tags.iter().cloned());
    let call = connection.client()?.put_hosts(&HostsPut { hosts: vec![definition] });
    connection.show(call, |changed| list::changed(&changed))
}

/// Adds hosts. Settings of a known host that a definition doesn't mention are kept; without `has_cloud_id`, so is the number of its network.
fn put(connection: &Connection, new: Vec<HostDefinition>, has_cloud_id: bool) -> anyhow::Result<()> {
    let known = connection.ask(connection.client()?.hosts())?.hosts;
    let known: BTreeMap<String, HostDefinition> = known.into_iter().map(|host| (host.definition.name.clone(), host.definition)).collect();
    let count = new.len();
    let merge = |new: HostDefinition| match known.get(&new.name) {
        Some(known) => Some(merged(known.clone(), new, has_cloud_id)).filter(|merged| merged != known),
        None => Some(new),
    };
    let hosts: Vec<HostDefinition> = new.into_iter().filter_map(merge).collect();
    let unchanged = count - hosts.len();
    let call = connection.client()?.put_hosts(&HostsPut { hosts });
    connection.show(call, |changed: HostsChanged| {
        list::changed(&changed)?;
        if unchanged > 0 {
            writeln!(anstream::stdout(), "unchanged: {unchanged}")?;
        }
        Ok(())
    })
}

/// Returns the settings of a known host, with those of a new definition added to them.
fn merged(mut known: HostDefinition, new: HostDefinition, has_cloud_id: bool) -> HostDefinition {
    known.ip = new.ip.or(known.ip);
    known.ipv6 = new.ipv6.or(known.ipv6);
    if has_cloud_id {
        known.cloud_id = new.cloud_id;
    }
    known.tags.extend(new.tags);
    add_missing(&mut known.groups, new.groups);
    add_missing(&mut known.accounts, new.accounts);
    known
}

fn add_missing(known: &mut Vec<String>, new: Vec<String>) {
    for name in new {
        if !known.contains(&name) {
            known.push(name);
        }
    }
}

/// Returns the host with this name or number. A name has precedence.
fn find(connection: &Connection, host: &str) -> anyhow::Result<ManagedHost> {
    let all = connection.ask(connection.client()?.hosts())?.hosts;
    let by_name = all.iter().position(|known| known.definition.name == host);
    let number = host.parse().ok();
    let at = by_name.or_else(|| all.iter().position(|known| Some(known.id) == number));
    match at {
        Some(at) => Ok(all[at].clone()),
        None => Err(NotThere(format!("there is no host {host:?}: `monitor host list` lists all hosts")).into()),
    }
}

/// Checks the name of a host.
fn read_name(name: &str) -> Result<String, String> {
    let is_plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@'));
    if is_plain && (1..=64).contains(&name.chars().count()) {
        return Ok(name.to_owned());
    }
    Err(format!("{name:?} can't be the name of a host: expected 1 to 64 letters, digits, `.`, `-`, `_` and `@`"))
}

/// Reads a tag, whose value may be missing.
fn read_tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let name = name.trim();
    if name.is_empty() || name.starts_with('!') || name.contains(',') || value.contains(',') {
        return Err(format!("{text:?} can't be a tag: expected NAME or NAME=VALUE, without a comma and without `!` at the beginning"));
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_adds_to_the_settings_of_a_known_host() {
        let tags = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let known = HostDefinition {
            name: "web-1".into(),
            ip: Some("10.0.0.7".into()),
            cloud_id: 3,
            tags: tags(&[("env", "test"), ("canary", "")]),
            groups: vec!["web".into()],
            accounts: vec!["app".into()],
            ..HostDefinition::default()
        };
        let new = HostDefinition {
            name: "web-1".into(),
            ipv6: Some("fd00::7".into()),
            tags: tags(&[("env", "prod")]),
            groups: vec!["web".into(), "eu".into()],
            accounts: vec!["db".into()],
            ..HostDefinition::default()
        };
        let all = merged(known.clone(), new.clone(), false);
        assert_eq!((all.ip.as_deref(), all.ipv6.as_deref(), all.cloud_id), (Some("10.0.0.7"), Some("fd00::7"), 3));
        assert_eq!((all.tags, all.groups), (tags(&[("env", "prod"), ("canary", "")]), vec!["web".to_owned(), "eu".to_owned()]));
        assert_eq!(all.accounts, ["app", "db"]);
        assert_eq!(merged(known, new, true).cloud_id, 0);
    }

    #[test]
    fn names_and_tags_that_no_host_can_have_are_refused() {
        assert!(["web-1", "a.b_c", "é@db", &"a".repeat(64)].iter().all(|name| read_name(name).is_ok()));
        assert!(["", "a b", "a/b", "*", &"a".repeat(65)].iter().all(|name| read_name(name).is_err()));
        assert_eq!(read_tag("env=a=b").unwrap(), ("env".to_owned(), "a=b".to_owned()));
        assert_eq!(read_tag("canary").unwrap(), ("canary".to_owned(), String::new()));
        assert!(["", "=a", "!a", "a,b", "a=b,c"].iter().all(|tag| read_tag(tag).is_err()));
    }
}
