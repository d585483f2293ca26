//! `monitor host import`: reads hosts from the files of other programs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use monitor_wire::HostDefinition;

use super::{ansible, csv, read_name, ssh_config};
use crate::client::Connection;
use crate::exit::Misused;
use crate::text::{counted, visible};

const EXAMPLES: &str = "\
A CSV file begins with a row of column names: name, ip, ipv6, cloud_id, groups (web;eu), accounts (app;db) and tags (env=prod;canary). Only `name` is \
required. From an inventory, the names, groups and addresses (ansible_host) are read; variables are not, because they can contain \
passwords. From an ssh configuration, each `Host` without a pattern is read. A known host keeps its other settings.

Examples:
  monitor host import hosts.csv
  ansible-inventory --list | monitor host import -
  monitor host import ~/.ssh/config";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", crate::exit::SERVER))]
pub(super) struct Args {
    /// File to read; `-` reads standard input
    file: PathBuf,
    /// Format of the file [default: by its content]
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Rows with commas, the first one with the names of the columns
    Csv,
    /// Output of `ansible-inventory --list`
    Ansible,
    /// Configuration of ssh, such as ~/.ssh/config
    SshConfig,
}

/// A host in a file, and the number of its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Imported {
    pub(super) line: u64,
    pub(super) definition: HostDefinition,
}

/// A mistake in a file, and the number of its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: u64,
    pub(super) text: String,
}

/// Hosts and mistakes that a file contains.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) hosts: Vec<Imported>,
    pub(super) mistakes: Vec<Mistake>,
    /// Parts of the file that can't be imported and don't prevent the import of the others.
    pub(super) warnings: Vec<Mistake>,
    /// True if the file sets numbers of networks.
    pub(super) has_cloud_ids: bool,
}

impl Content {
    pub(super) fn mistake(&mut self, line: u64, text: impl Into<String>) {
        self.mistakes.push(Mistake { line, text: text.into() });
    }

    /// Adds a host if its name is valid and no other line of the file has it.
    pub(super) fn host(&mut self, line: u64, definition: HostDefinition) {
        match read_name(&definition.name) {
            Ok(_) => self.hosts.push(Imported { line, definition }),
            Err(text) => self.mistake(line, text),
        }
    }

    /// Turns hosts with the same name into mistakes.
    fn refuse_repeats(&mut self) {
        let mut first = BTreeMap::new();
        for host in &self.hosts {
            let earlier = *first.entry(&host.definition.name).or_insert(host.line);
            if earlier != host.line {
                let text = format!("line {earlier} contains the host {:?} already", host.definition.name);
                self.mistakes.push(Mistake { line: host.line, text });
            }
        }
        self.mistakes.sort_by_key(|mistake| mistake.line);
    }
}

/// Sets the address of a host.
pub(super) fn set_address(definition: &mut HostDefinition, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => definition.ip = Some(ip.to_string()),
        IpAddr::V6(ip) => definition.ipv6 = Some(ip.to_string()),
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let is_stdin = args.file == Path::new("-");
    let bytes = if is_stdin { read_stdin() } else { std::fs::read(&args.file) };
    let shown = if is_stdin { "standard input".to_owned() } else { args.file.display().to_string() };
    let bytes = bytes.with_context(|| format!("could not read {shown}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        Misused(format!("{shown}:{}: the text is not UTF-8", 1 + String::from_utf8_lossy(good).matches('\n').count()))
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let Some(format) = args.format.or_else(|| guess(text)) else {
        let formats = "a row of column names with `name`, the JSON of `ansible-inventory --list`, or lines `Host NAME`";
        return Err(Misused(format!("{shown}:1: the format is unknown: expected {formats}; --format sets the format")).into());
    };
    let content = read(text, format);
    for mistake in content.warnings.iter().chain(&content.mistakes) {
        let _ = writeln!(anstream::stderr(), "{}", visible(&format!("{shown}:{}: {}", mistake.line, mistake.text)));
    }
    if !content.mistakes.is_empty() {
        return Err(Misused(format!("{}, so no host was imported", counted(content.mistakes.len() as u64, "mistake"))).into());
    }
    anyhow::ensure!(!content.hosts.is_empty(), "{shown} contains no hosts");
    let definitions = content.hosts.into_iter().map(|host| host.definition).collect();
    super::put(&args.connection, definitions, content.has_cloud_ids)
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)?;
    Ok(bytes)
}

fn read(text: &str, format: Format) -> Content {
    let mut content = match format {
        Format::Csv => csv::read(text),
        Format::Ansible => ansible::read(text),
        Format::SshConfig => ssh_config::read(text),
    };
    content.refuse_repeats();
    content
}

/// Returns the format of a text by its first lines.
fn guess(text: &str) -> Option<Format> {
    if text.trim_start().starts_with('{') {
        return Some(Format::Ansible);
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let has_column = |line: &str| line.split(',').any(|column| column.trim().trim_matches('"').eq_ignore_ascii_case("name"));
    if lines().next().is_some_and(has_column) {
        return Some(Format::Csv);
    }
    lines().any(|line| ssh_config::words(line).is_some_and(|(key, _)| key == "host")).then_some(Format::SshConfig)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides_the_format() {
        for (text, format) in [
            ("name,ip\nweb-1,10.0.0.7\n", Some(Format::Csv)),
            ("# our hosts\n\"ip\",\"Name\"\n", Some(Format::Csv)),
            ("  {\"_meta\": {}}", Some(Format::Ansible)),
            ("# mine\nForwardAgent no\nHost web-1\n", Some(Format::SshConfig)),
            ("host = web-1\n", Some(Format::SshConfig)),
            ("web-1\nweb-2\n", None),
            ("", None),
        ] {
            assert_eq!(guess(text), format, "{text}");
        }
    }

    #[test]
    fn a_repeated_host_is_a_mistake_that_names_both_lines() {
        let content = read("name,ip\na,10.0.0.1\nb,\na,10.0.0.2\n", Format::Csv);
        assert_eq!(content.mistakes, [Mistake { line: 4, text: "line 2 contains the host \"a\" already".into() }]);
    }
}
