//! `monitor purge`

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use monitor_wire::{CommandRequest, CommandTo, Fields, Order, PurgeAnswer};
use serde_json::{Value, json};

use crate::client::print_json;
use crate::commands::asking::{Whom, judge, show_lines};
use crate::exit::{self, Misused};
use crate::text::{Line, terminal_width, thousands, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor purge                  Count the waiting tasks in all queues, and ask
  monitor purge -Q video,sound   Purge only these queues
  monitor purge -X mail --force  Purge all other queues, without asking
  monitor purge --dry-run        Only count the tasks
  monitor control --list         List workers that support `purge`

One worker that supports `purge` executes it, if possible one that takes tasks from these queues. Running tasks continue. Deleted tasks \
can't be restored.";

/// Delete the tasks that wait in queues
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
#[command(mut_arg("dry_run", |arg| arg.help("Count the waiting tasks, without deleting them")))]
pub(crate) struct PurgeArgs {
    /// Only these queues, separated by commas [default: all queues that the worker knows]
    #[arg(short = 'Q', long, value_delimiter = ',', value_name = "QUEUES")]
    queues: Vec<String>,
    /// Except these queues, separated by commas
    #[arg(short = 'X', long, value_delimiter = ',', value_name = "QUEUES")]
    exclude: Vec<String>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    whom: Whom,
}

pub(crate) fn purge(args: &PurgeArgs) -> anyhow::Result<()> {
    let arguments = |queues: &[String], count_only: bool| -> Fields {
        let names = [("queues", queues), ("exclude", &args.exclude[..])];
        let names = names.into_iter().filter(|(_, names)| !names.is_empty()).map(|(name, names)| (name.to_owned(), json!(names)));
        names.chain(count_only.then(|| ("count_only".to_owned(), Value::Bool(true)))).collect()
    };
    let count = arguments(&args.queues, true);
    Order::read("purge", &count).map_err(|error| Misused(error.to_string()))?;
    let (answer, command) = args.whom.command(&CommandRequest { dry_run: false, ..args.whom.request("purge", count) })?;
    let Some((line, counted)) = super::first_answer::<PurgeAnswer>(&command) else {
        show_lines(&args.whom, &answer, &command)?;
        judge(&command)?;
        anyhow::bail!("the worker's answer contains no count of waiting tasks: nothing was thrown away");
    };
    let is_over = args.whom.dry_run || counted.count == 0;
    // With --json, only the last answer is printed.
    if args.whom.connection.json && is_over {
        return print_json(&answer);
    }
    if !args.whom.connection.json {
        print(&line.name, &counted, if args.force && !is_over { "to be thrown away" } else { "waiting" })?;
    }
    if is_over {
        return Ok(());
    }
    if !args.force {
        confirm(counted.count)?;
    }
    // Purge the queues that were counted, with the worker that counted them.
    let queues: Vec<String> = counted.queues.iter().filter(|queue| queue.count > 0).map(|queue| queue.name.clone()).collect();
    let worker = line.worker_id.map_or_else(|| line.name.clone(), |id| id.to_string());
    let to = CommandTo { workers: vec![worker], glob: None };
    let (answer, command) = args.whom.command(&CommandRequest { to, ..args.whom.request("purge", arguments(&queues, false)) })?;
    match super::first_answer::<PurgeAnswer>(&command) {
        Some((line, purged)) if !args.whom.connection.json => print(&line.name, &purged, "thrown away"),
        _ => show_lines(&args.whom, &answer, &command),
    }
}

fn confirm(count: u64) -> anyhow::Result<()> {
    let tasks = if count == 1 { "1 task".to_owned() } else { format!("{} tasks", thousands(count)) };
    if !std::io::stdin().is_terminal() {
        return Err(Misused(format!("nothing was thrown away: say --force where nobody can be asked, for {tasks}")).into());
    }
    let mut err = anstream::stderr();
    write!(err, "Throw {tasks} away, for good? [y/N] ")?;
    err.flush()?;
    let mut reply = String::new();
    std::io::stdin().lock().read_line(&mut reply)?;
    anyhow::ensure!(matches!(reply.trim().to_lowercase().as_str(), "y" | "yes"), "nothing was thrown away");
    Ok(())
}

fn print(worker: &str, counts: &PurgeAnswer, what: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(render(worker, counts, what, terminal_width()).as_bytes())?;
    Ok(out.flush()?)
}

fn render(worker: &str, counts: &PurgeAnswer, what: &str, columns: Option<usize>) -> String {
    let names: Vec<_> = counts.queues.iter().map(|queue| visible(&queue.name)).collect();
    let name_columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let mut text = String::new();
    for (queue, name) in counts.queues.iter().zip(&names) {
        let mut line = Line::default();
        line.text(name).column(name_columns + 2).right(&thousands(queue.count), 9);
        text.push_str(&line.finish(columns));
    }
    let mut line = Line::default();
    line.text(&format!("{} {what} in {}, by {}", thousands(counts.count), queues(counts.queues.len()), visible(worker)));
    text.push_str(&line.finish(columns));
    text
}

fn queues(count: usize) -> String {
    if count == 1 { "1 queue".to_owned() } else { format!("{count} queues") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_aligned_in_columns_and_their_names_are_escaped() {
        let counts = PurgeAnswer::of([("视频\u{1b}[31m".to_owned(), 1_200), ("a".to_owned(), 0)].into());
        let text = render("w@h", &counts, "waiting", None);
        assert_eq!(text, "a                  0\n视频␛[31m      1,200\n1,200 waiting in 2 queues, by w@h\n");
    }
}
