//! `monitor task list` and `show`

use std::io::Write as _;

use monitor_wire::{BatchAgent, BatchStatus, BatchTask};

use super::EXIT_CODES;
use super::read::to_toml;
use super::whom::{Meant, Whom};
use crate::text::{Line, glyph, moment, now_us, style, terminal_width, visible, width};

/// Number of a task's newest runs that are shown in a list.
const MARKS: usize = 10;

/// List tasks with their next due times and newest runs
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct List {
    /// Only tasks with this text in the name
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Maximum number of tasks
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn list(args: &List) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => super::local::list(&data, args.q.as_deref(), args.limit.into(), connection.json),
        Meant::Server => {
            let mut call = connection.client()?.batch_tasks().limit(args.limit.into());
            if let Some(text) = &args.q {
                call = call.containing(text);
            }
            connection.show(call, |page| {
                let mut out = anstream::stdout().lock();
                out.write_all(render(&page.tasks, terminal_width()).as_bytes())?;
                out.flush()?;
                if page.tasks.is_empty() {
                    writeln!(anstream::stderr(), "no tasks here: `monitor task add --help` tells how to add one")?;
                } else if page.next_cursor.is_some() {
                    writeln!(anstream::stderr(), "there are more: see them with --q")?;
                }
                let agents = connection.ask(connection.client()?.batch_agents())?.agents;
                agents.iter().try_for_each(|agent| tell_agent(agent, now_us()))
            })
        }
    }
}

/// Prints the problems that keep an agent from doing its work.
fn tell_agent(agent: &BatchAgent, now_us: u64) -> anyhow::Result<()> {
    if let Some(until) = agent.pause_at(now_us) {
        let until = until.map(|until| format!(" until {}", moment(until))).unwrap_or_default();
        writeln!(anstream::stderr(), "{}", visible(&format!("the agent {} is paused{until}: nothing starts there by time", agent.name)))?;
    }
    for mistake in &agent.mistakes {
        writeln!(anstream::stderr(), "{}", visible(&format!("{}: {mistake}", agent.name)))?;
    }
    Ok(())
}

fn render(tasks: &[BatchTask], columns: Option<usize>) -> String {
    let names = tasks.iter().map(|task| width(&visible(&task.name))).max().unwrap_or(0);
    let mut text = String::new();
    for task in tasks {
        let mut line = Line::default();
        line.text(&visible(&task.name)).column(names + 2).text(&next(task)).column(names + 32);
        for mark in task.runs.iter().rev().take(MARKS).rev() {
            line.styled(style(&mark.outcome), glyph(&mark.outcome));
        }
        line.column(names + 32 + MARKS + 2).text(&visible(&agents(task)));
        let owner = task.definition.get("owner");
        let several = owner.and_then(serde_json::Value::as_array).into_iter().flatten();
        let owners: Vec<_> = owner.into_iter().chain(several).filter_map(serde_json::Value::as_str).collect();
        if !owners.is_empty() {
            line.text("  ").text(&visible(&owners.join(", ")));
        }
        text.push_str(&line.finish(columns));
    }
    text
}

/// The next due time of a task, or the reason why it has none.
fn next(task: &BatchTask) -> String {
    match (&task.status, task.until_us, task.next_us.first()) {
        _ if task.paused_by.as_deref() == Some("refused") => "refused: only files".to_owned(),
        (status, Some(until), _) if *status == BatchStatus::PAUSED => format!("paused to {}", moment(until)),
        (status, ..) if *status == BatchStatus::PAUSED => "paused".to_owned(),
        _ if task.paused_by.is_some() && task.next_us.is_empty() => {
            format!("paused by its {}", visible(task.paused_by.as_deref().unwrap_or_default()))
        }
        (_, _, Some(next)) => format!("next {}", moment(*next)),
        _ => "not by time".to_owned(),
    }
}

fn agents(task: &BatchTask) -> String {
    if let Some(agent) = &task.agent {
        return format!("{agent} (file)");
    }
    let on = task.definition.get("on").and_then(serde_json::Value::as_array);
    on.into_iter().flatten().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(",")
}

/// Show the definition, due times and newest runs of a task
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Show {
    /// Name of the task
    name: String,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn show(args: &Show) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => super::local::show(&data, &args.name, connection.json),
        Meant::Server => connection.show(connection.client()?.batch_task(&args.name), |task| {
            let mut out = anstream::stdout().lock();
            let by = task.who.as_deref().filter(|who| !who.is_empty()).map(|who| format!(" by {who}")).unwrap_or_default();
            let head = format!("# version {}, {}, changed {}{by}", task.version, task.status, moment(task.changed_us));
            writeln!(out, "{}", visible(&head))?;
            for line in to_toml(&task.definition)?.lines() {
                writeln!(out, "{}", visible(line))?;
            }
            if let Some(warned) = task.last_warning_us {
                writeln!(out, "# warned of {}", moment(warned))?;
            }
            for due in &task.next_us {
                writeln!(out, "# due {}", moment(*due))?;
            }
            for mark in task.runs.iter().rev().take(MARKS) {
                let style = style(&mark.outcome);
                let (glyph, outcome) = (glyph(&mark.outcome), visible(mark.outcome.as_str()));
                writeln!(out, "# {style}{glyph} {outcome:<10}{style:#} {}", visible(&mark.run))?;
            }
            Ok(out.flush()?)
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_names_are_escaped() {
        let task = |name: &str, status: &str, on: serde_json::Value, outcomes: &[&str]| {
            let mark = |outcome: &&str| json!({"run": "r", "root_id": "00000000000000000000000000000001", "due_us": 1, "outcome": outcome});
            let runs: Vec<_> = outcomes.iter().map(mark).collect();
            let task = json!({"name": name, "version": 1, "status": status, "until_us": null, "agent": null, "changed_us": 1, "who": "ada",
                "definition": {"on": on, "owner": "ada"}, "next_us": [], "runs": runs, "failed_in_a_row": 0});
            serde_json::from_value::<BatchTask>(task).unwrap()
        };
        let tasks = [task("gold", "paused", json!(["db-1", "db-2"]), &["succeeded"; 30]), task("a\u{1b}[31m", "active", json!([]), &[])];
        let text = anstream::adapter::strip_str(&render(&tasks, None)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("gold") && lines[0].contains("paused") && lines[0].ends_with("db-1,db-2  ada"), "{text}");
        assert_eq!(lines[0].matches(glyph(&monitor_wire::State::SUCCEEDED)).count(), MARKS, "{text}");
        assert!(lines[1].contains("not by time") && !text.contains('\u{1b}'), "{text}");
    }
}
