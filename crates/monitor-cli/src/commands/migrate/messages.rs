//! `monitor migrate` between two brokers of Celery: moves messages.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use monitor_celery::{Broker, Migration, Moved, Options};
use serde_json::json;

use super::super::celery::first_line;
use crate::exit::{Misused, NotThere};
use crate::text::{Line, counted, print_json, terminal_width, thousands, visible, width};

/// Options for brokers.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Between brokers")]
pub(super) struct BrokerOptions {
    /// Queues, between commas [default: those that the workers of FROM read, and `celery`]
    #[arg(short = 'Q', long, value_name = "NAMES", value_delimiter = ',')]
    queues: Vec<String>,
    /// Names of the tasks to move, between commas; others stay [default: all]
    #[arg(short = 'T', long, value_name = "NAMES", value_delimiter = ',')]
    tasks: Vec<String>,
    /// Move at most this number of messages
    #[arg(short = 'n', long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// File with the password for FROM in its first line
    #[arg(long, value_name = "FILE")]
    from_password_file: Option<PathBuf>,
    /// File with the password for TO in its first line
    #[arg(long, value_name = "FILE")]
    to_password_file: Option<PathBuf>,
    /// Prefix of all keys in the Redis of FROM, if its application sets `global_keyprefix`
    #[arg(long, value_name = "PREFIX")]
    from_key_prefix: Option<String>,
    /// Prefix of all keys in the Redis of TO, if its application sets `global_keyprefix`
    #[arg(long, value_name = "PREFIX")]
    to_key_prefix: Option<String>,
}

impl BrokerOptions {
    /// Returns an error if an option is set.
    pub(super) fn expect_none(&self) -> Result<(), Misused> {
        let Self { queues, tasks, limit, from_password_file, to_password_file, from_key_prefix, to_key_prefix } = self;
        let set = [
            ("--queues", !queues.is_empty()),
            ("--tasks", !tasks.is_empty()),
            ("--limit", limit.is_some()),
            ("--from-password-file", from_password_file.is_some()),
            ("--to-password-file", to_password_file.is_some()),
            ("--from-key-prefix", from_key_prefix.is_some()),
            ("--to-key-prefix", to_key_prefix.is_some()),
        ];
        let set = set.iter().find(|(_, is_set)| *is_set);
        set.map_or(Ok(()), |(name, _)| Err(Misused(format!("{name} is for brokers, and FROM and TO are servers"))))
    }
}

pub(super) fn run(from: &str, to: &str, args: BrokerOptions, is_trial: bool, in_json: bool) -> anyhow::Result<()> {
    let broker = |name: &str, text: &str, file: Option<&Path>| {
        let broker: Broker = text.parse().map_err(|error| Misused(format!("{name}: {error}")))?;
        if broker.has_secret() {
            let words = format!(
                "everybody on this machine can read a password in the list of processes: leave it out of {name} and use \
                 --{}-password-file",
                name.to_lowercase()
            );
            return Err(Misused(words).into());
        }
        anyhow::Ok(match file {
            Some(file) => broker.with_password(first_line(file)?),
            None => broker,
        })
    };
    let prefixed = |key_prefix: Option<String>| Options { key_prefix: key_prefix.unwrap_or_default(), ..Options::default() };
    let migration = Migration {
        from: broker("FROM", from, args.from_password_file.as_deref())?,
        from_options: prefixed(args.from_key_prefix),
        to: broker("TO", to, args.to_password_file.as_deref())?,
        to_options: prefixed(args.to_key_prefix),
        queues: args.queues.into_iter().collect(),
        tasks: args.tasks.into_iter().collect(),
        limit: args.limit,
        is_trial,
    };
    if migration.from.to_string() == migration.to.to_string() && migration.from_options == migration.to_options {
        return Err(Misused("FROM and TO are the same broker: name another one".to_owned()).into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut queues = BTreeMap::new();
    let result = runtime.block_on(monitor_celery::migrate(&migration, |all| {
        show_progress(all);
        queues.clone_from(all);
    }));
    if in_json {
        print_json(&json!({"dry_run": is_trial, "queues": queues}))?;
    } else {
        write!(anstream::stdout(), "{}", render(&queues, is_trial, terminal_width()))?;
    }
    result?;
    let missing: BTreeSet<&str> = queues.iter().filter(|(_, moved)| moved.is_missing).map(|(name, _)| name.as_str()).collect();
    match migration.queues.iter().find(|name| missing.contains(name.as_str())) {
        Some(name) => Err(NotThere(format!("there is no queue {name} at FROM")).into()),
        None => Ok(()),
    }
}

fn show_progress(queues: &BTreeMap<String, Moved>) {
    let moved: u64 = queues.values().map(|queue| queue.moved).sum();
    if moved.is_multiple_of(100) && std::io::stderr().is_terminal() {
        // If stderr is closed, the progress is lost.
        let _ = write!(anstream::stderr(), "\r{}\r", counted(moved, "message"));
    }
}

fn render(queues: &BTreeMap<String, Moved>, is_trial: bool, columns: Option<usize>) -> String {
    let first = queues.keys().map(|name| width(&visible(name))).max().unwrap_or_default() + 2;
    let mut text = String::new();
    let mut line = |name: &str, words: &str| {
        let mut line = Line::default();
        line.text(&visible(name)).column(first).text(&visible(words));
        text.push_str(&line.finish(columns));
    };
    for (name, queue) in queues {
        let Moved { moved, doubtful, left, unreadable, is_missing } = queue;
        if *is_missing {
            line(name, "there is no such queue");
            continue;
        }
        let done = if is_trial { "would be moved" } else { "moved" };
        let rest = if *left > 0 { format!(", {} left", thousands(*left)) } else { String::new() };
        line(name, &format!("{} {done}{rest}", thousands(*moved)));
        if *doubtful > 0 {
            let words = "taken before: by a worker that ended, or by a migration that was killed, and then it may be twice at TO";
            line("", &format!("{} of them {words}", thousands(*doubtful)));
        }
        for why in unreadable {
            line("", &format!("a message is left because {why}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_has_a_line_and_what_is_doubtful_another() {
        let queue = |moved, doubtful, left| Moved { moved, doubtful, left, ..Moved::default() };
        let mut queues = BTreeMap::from([("celery".to_owned(), queue(1_200, 1, 0)), ("mail".to_owned(), queue(0, 0, 3))]);
        queues.insert("video".to_owned(), Moved { is_missing: true, ..Moved::default() });
        queues.get_mut("mail").unwrap().unreadable.push("it is no message of kombu".to_owned());
        assert_eq!(
            render(&queues, false, None),
            "celery  1,200 moved\n        1 of them taken before: by a worker that ended, or by a migration that was killed, and then it may be \
             twice at TO\nmail    0 moved, 3 left\n        a message is left because it is no message of kombu\nvideo   there is no such \
             queue\n"
        );
        assert!(render(&queues, true, None).contains("1,200 would be moved"));
    }
}
