//! `monitor target`

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use clap::Subcommand;
use monitor_wire::{SavedTargets, Targets};

use super::host_args::HostArgs;
use crate::client::Connection;
use crate::exit;
use crate::text::{Line, fit, terminal_width, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor target save web-prod --group web -t env=prod,!canary
  monitor target list
  monitor job run --saved web-prod ./check.sh

Saved targets select hosts when a job starts, so they also contain hosts that are added later.";

/// Maximum width of the column of names.
const NAME_COLUMNS: usize = 32;

/// Manage saved targets: selections of hosts with a name
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all saved targets, with the number of hosts that each selects now
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Save targets, or replace those with this name
    Save {
        /// Name of the targets
        name: String,
        #[command(flatten)]
        hosts: HostArgs,
        #[command(flatten)]
        connection: Connection,
    },
    /// Remove saved targets; jobs that have started with them keep their hosts
    Remove {
        /// Name of the targets
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List { connection } => connection.show(connection.client()?.saved_targets(), |all| {
            let mut out = anstream::stdout().lock();
            if all.targets.is_empty() {
                writeln!(out, "there are no saved targets: `monitor target save` saves some")?;
            }
            write!(out, "{}", render(&all.targets, terminal_width()))?;
            Ok(out.flush()?)
        }),
        Command::Save { name, hosts, connection } => connection.show(connection.client()?.save_targets(name, &hosts.targets()), |saved| {
            let effect = match &saved.problem {
                Some(problem) => format!("no job can use it now: {}", visible(problem)),
                None => format!("it selects {}", hosts_of(&saved)),
            };
            Ok(writeln!(anstream::stdout(), "saved {}; {effect}", visible(&saved.name))?)
        }),
        Command::Remove { name, connection } => {
            connection.ask(connection.client()?.remove_targets(name))?;
            Ok(writeln!(anstream::stdout(), "removed {}", visible(name))?)
        }
    }
}

fn hosts_of(saved: &SavedTargets) -> String {
    crate::text::counted(saved.selected, "host")
}

fn render(all: &[SavedTargets], columns: Option<usize>) -> String {
    let most = columns.map_or(NAME_COLUMNS, |columns| NAME_COLUMNS.min(columns / 3));
    let names = all.iter().map(|saved| width(&visible(&saved.name)).min(most)).max().unwrap_or(0);
    let counts = all.iter().map(|saved| width(&hosts_of(saved))).max().unwrap_or(0);
    let mut text = String::new();
    for saved in all {
        let style = if saved.problem.is_some() { AnsiColor::Red.on_default() } else { Style::new() };
        let mut line = Line::default();
        line.text(&fit(&visible(&saved.name), most)).column(names + 2).styled(style, &hosts_of(saved));
        line.column(names + counts + 4).text(&visible(&conditions(&saved.targets)));
        if let Some(problem) = &saved.problem {
            line.text("  ").styled(style, &visible(problem));
        }
        if saved.is_from_file {
            line.text("  ").styled(Style::new().dimmed(), "(file)");
        }
        text.push_str(&line.finish(columns));
    }
    text
}

/// Returns what targets select: hosts, addresses, groups with `@`, and tags, between spaces.
fn conditions(targets: &Targets) -> String {
    let ips = targets
        .ips
        .iter()
        .map(|target| if target.cloud_id == 0 { target.ip.clone() } else { format!("{}:{}", target.cloud_id, target.ip) });
    let groups = targets.groups.iter().map(|group| format!("@{group}"));
    targets.hosts.iter().cloned().chain(ips).chain(groups).chain(targets.tags.clone()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use monitor_wire::IpTarget;

    use super::*;

    #[test]
    fn columns_align_and_problems_are_shown() {
        let targets = Targets {
            hosts: vec!["db-1".to_owned()],
            ips: vec![IpTarget { ip: "10.0.0.7".to_owned(), cloud_id: 3 }],
            groups: vec!["web".to_owned()],
            tags: Some("env=prod".to_owned()),
            saved: Vec::new(),
        };
        let saved = |name: &str, selected, problem: Option<&str>| SavedTargets {
            name: name.to_owned(),
            targets: targets.clone(),
            is_from_file: problem.is_none(),
            selected,
            problem: problem.map(str::to_owned),
        };
        let text = render(&[saved("web-prod", 12, None), saved("x\u{1b}[31m", 0, Some("no host"))], None);
        let text = anstream::adapter::strip_str(&text).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "web-prod  12 hosts  db-1 3:10.0.0.7 @web env=prod  (file)");
        assert!(lines[1].contains("0 hosts   db-1") && lines[1].ends_with("env=prod  no host") && !lines[1].contains('\u{1b}'), "{text}");
    }
}
