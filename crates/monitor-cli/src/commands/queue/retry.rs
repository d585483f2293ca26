//! `monitor retry`

use std::collections::HashSet;
use std::io::Write as _;

use monitor_wire::{Command, CommandStatus, Fields, Order, RetryAnswer, RetryLine};
use serde_json::json;

use crate::client::print_json;
use crate::commands::asking::{self, Whom, show_lines};
use crate::exit::{self, Misused, Unanswered};
use crate::text::{Line, one_line, terminal_width, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor retry 8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b
  monitor retry 8a1c7f    Use the first digits of the id
  monitor control --list  List workers that support `retry`
  monitor queue tasks --state failed --json | jq -r '.tasks[].native_id' | xargs monitor retry

Each task is sent to one worker that supports `retry`, if possible the one that ran it last. The output shows the new id of each task.";

/// Run ended queue tasks again
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct RetryArgs {
    /// Ids of queue tasks, or their first six or more digits
    #[arg(required = true, value_name = "ID")]
    task_ids: Vec<String>,
    #[command(flatten)]
    whom: Whom,
}

pub(crate) fn retry(args: &RetryArgs) -> anyhow::Result<()> {
    let ids = super::completed_ids(&args.whom.connection, &args.task_ids)?;
    let arguments = Fields::from([("ids".to_owned(), json!(ids))]);
    Order::read("retry", &arguments).map_err(|error| Misused(error.to_string()))?;
    let (answer, command) = args.whom.command(&args.whom.request("retry", arguments))?;
    if args.whom.dry_run {
        return show_lines(&args.whom, &answer, &command);
    }
    let mut told: Vec<(&str, RetryLine)> = Vec::new();
    for line in &command.lines {
        let answer: RetryAnswer = super::answer_of(line).unwrap_or_default();
        told.extend(answer.tasks.into_iter().map(|task| (line.name.as_str(), task)));
    }
    if args.whom.connection.json {
        print_json(&answer)?;
    } else {
        let mut out = anstream::stdout().lock();
        let silent: Vec<_> = command.lines.iter().filter(|line| line.status != CommandStatus::OK).cloned().collect();
        out.write_all((render(&told, terminal_width()) + &asking::render(&silent, terminal_width())).as_bytes())?;
        out.flush()?;
    }
    judge(&ids, &command, &told)
}

/// Returns an error unless each task runs again.
fn judge(ids: &[String], command: &Command, told: &[(&str, RetryLine)]) -> anyhow::Result<()> {
    asking::judge(command)?;
    let meant = ids.iter().collect::<HashSet<_>>().len();
    let done = told.iter().filter(|(_, task)| task.uuid.is_some()).count();
    if done >= meant { Ok(()) } else { Err(Unanswered::NotAllTasks { done, meant }.into()) }
}

fn render(told: &[(&str, RetryLine)], columns: Option<usize>) -> String {
    let ids: Vec<_> = told.iter().map(|(_, task)| visible(&task.id)).collect();
    let id_columns = ids.iter().map(|id| width(id)).max().unwrap_or(0);
    let mut text = String::new();
    for ((worker, task), id) in told.iter().zip(&ids) {
        let words = match (&task.uuid, &task.error) {
            (Some(uuid), _) if *uuid == task.id => format!("runs again, by {}", visible(worker)),
            (Some(uuid), _) => format!("runs again as {}, by {}", visible(uuid), visible(worker)),
            (None, Some(error)) => format!("not run: {}", one_line(error)),
            (None, None) => "not run".to_owned(),
        };
        let mut line = Line::default();
        line.text(id).column(id_columns + 2).text(&words);
        text.push_str(&line.finish(columns));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_a_line_with_its_result() {
        let line = |id: &str, uuid: Option<&str>, error: Option<&str>| {
            ("w@h", RetryLine { id: id.to_owned(), uuid: uuid.map(str::to_owned), error: error.map(str::to_owned) })
        };
        let told = [line("a", Some("b"), None), line("视频", Some("视频"), None), line("\u{1b}", None, Some("no\nsuch"))];
        let text = render(&told, None);
        assert_eq!(text.lines().next(), Some("a     runs again as b, by w@h"));
        assert!(text.contains("视频  runs again, by w@h") && text.contains("not run: no") && !text.contains('\u{1b}'), "{text:?}");
    }
}
