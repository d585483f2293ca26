//! Shared parts of `monitor inspect`, `monitor control` and similar commands: the choice of workers, the output, and the exit code.

mod answers;

use std::io::Write as _;
use std::time::Duration;

use monitor_wire::{Command, CommandRequest, CommandStatus, CommandTo, Fields, SINGLE_METHODS};
use serde_json::Value;

pub(crate) use self::answers::render;
use crate::client::{Connection, print_json, read};
use crate::exit::Unanswered;
use crate::text::{Line, terminal_width, visible, width};

/// Maximum time-out. The server accepts up to 60 s, and its answer must arrive before the connection times out.
const LONGEST: Duration = Duration::from_secs(50);

/// The workers to send a request to, and the time to wait for their answers.
#[derive(Debug, clap::Args)]
pub(crate) struct Whom {
    /// Workers, separated by commas: ids, names such as `worker@host` (with `:pid` if several have this name), or patterns such as
    /// `worker@build-*` [default: all]
    #[arg(short, long, value_name = "WORKERS", value_delimiter = ',')]
    destination: Vec<String>,
    /// Time to wait for answers
    #[arg(short, long, default_value = "1s", value_parser = read_timeout)]
    timeout: Duration,
    /// List the workers that would be asked, without asking them
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

pub(crate) fn read_timeout(text: &str) -> Result<Duration, String> {
    let wanted = || format!("expected a duration from 10ms to {}s, such as 500ms or 3s", LONGEST.as_secs());
    let timeout = monitor_duration::read(text).map_err(|_| wanted())?;
    (Duration::from_millis(10)..=LONGEST).contains(&timeout).then_some(timeout).ok_or_else(wanted)
}

/// Sends a method to workers and shows their answers.
pub(crate) fn ask(whom: &Whom, method: &str, arguments: Fields) -> anyhow::Result<()> {
    let (answer, command) = whom.command(&whom.request(method, arguments))?;
    show_lines(whom, &answer, &command)
}

/// Shows a line for each worker. Fails if a worker did not do it.
pub(crate) fn show_lines(whom: &Whom, answer: &Value, command: &Command) -> anyhow::Result<()> {
    if whom.connection.json {
        print_json(answer)?;
    } else {
        let mut out = anstream::stdout().lock();
        out.write_all(render(&command.lines, terminal_width()).as_bytes())?;
        out.flush()?;
    }
    if whom.dry_run { Ok(()) } else { judge(command) }
}

impl Whom {
    /// The request for the chosen workers.
    pub(crate) fn request(&self, method: &str, arguments: Fields) -> CommandRequest {
        CommandRequest {
            method: method.to_owned(),
            arguments,
            to: destination(&self.destination),
            timeout_ms: Some(monitor_duration::milliseconds(self.timeout)),
            dry_run: self.dry_run,
            ..CommandRequest::default()
        }
    }

    /// Sends a request. Returns the answer as JSON and as a command. If no worker offers a method for a single worker, the command has no
    /// lines.
    pub(crate) fn command(&self, request: &CommandRequest) -> anyhow::Result<(Value, Command)> {
        let is_single = SINGLE_METHODS.contains(&request.method.as_str());
        // Sent once: a repetition after a lost answer would be a second command.
        let answer = self.connection.wait(self.connection.client()?.command(request).json()).map_err(|error| {
            match error.problem().filter(|problem| is_single && problem.status == 409) {
                Some(problem) => Unanswered::NobodyDoes(problem.detail.clone()).into(),
                None => anyhow::Error::from(error),
            }
        })?;
        Ok((answer.clone(), read(answer)?))
    }
}

/// Lists the methods with the scope `read` or `operate`, and the workers that support them now.
pub(crate) fn list(connection: &Connection, scope: &str) -> anyhow::Result<()> {
    connection.show(connection.client()?.command_methods(), |methods| {
        let methods: Vec<_> = methods.methods.iter().filter(|method| method.scope == scope).collect();
        let columns = methods.iter().map(|method| width(&method.method)).max().unwrap_or(0);
        let mut text = String::new();
        for method in methods {
            let names: Vec<_> = method.workers.iter().map(|name| visible(name)).collect();
            let more = method.count.saturating_sub(names.len() as u64);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let who = if names.is_empty() { "nobody now".to_owned() } else { format!("{}{more}", names.join(", ")) };
            let mut line = Line::default();
            line.text(&visible(&method.method)).column(columns + 2).text(&who);
            text.push_str(&line.finish(terminal_width()));
        }
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    })
}

/// Parses the values of `-d`: patterns, and ids or names.
fn destination(words: &[String]) -> CommandTo {
    let (globs, workers): (Vec<&String>, Vec<&String>) =
        words.iter().filter(|word| !word.is_empty()).partition(|word| word.contains(['*', '?', '[', '{']));
    let glob = match globs[..] {
        [] => None,
        [one] => Some(one.clone()),
        _ => Some(format!("{{{}}}", globs.into_iter().cloned().collect::<Vec<_>>().join(","))),
    };
    CommandTo { workers: workers.into_iter().cloned().collect(), glob }
}

/// Returns an error unless all addressed workers did it.
pub(crate) fn judge(command: &Command) -> anyhow::Result<()> {
    let asked = command.lines.len();
    let count = |status: &CommandStatus| command.lines.iter().filter(|line| line.status == *status).count();
    let silent = [CommandStatus::UNANSWERED, CommandStatus::GONE, CommandStatus::EXPIRED, CommandStatus::WAITING];
    match count(&CommandStatus::OK) {
        0 if asked == 0 => Err(Unanswered::NobodyMeant.into()),
        0 if silent.iter().map(count).sum::<usize>() == asked => Err(Unanswered::Nobody { asked }.into()),
        done if done == asked => Ok(()),
        done => Err(Unanswered::NotAll { done, asked }.into()),
    }
}

#[cfg(test)]
mod tests {
    use monitor_wire::CommandLine;
    use serde_json::json;

    use super::*;

    fn line(status: &str) -> CommandLine {
        serde_json::from_value(json!({"worker_id": null, "name": "a@h", "status": status})).unwrap()
    }

    fn command(lines: Vec<CommandLine>) -> Command {
        let fields = json!({"id": null, "method": "ping", "arguments": {}, "created_us": 1, "by": "loopback", "timeout_ms": 1, "done": true, "counts": {}});
        Command { lines, ..serde_json::from_value(fields).unwrap() }
    }

    #[test]
    fn the_exit_code_shows_if_all_workers_succeeded() {
        for (statuses, expected) in [
            (&["ok", "ok"][..], None),
            (&[], Some("no worker matches")),
            (&["unanswered", "gone"], Some("no reply: 2")),
            (&["ok", "unanswered"], Some("1 of 2")),
            (&["refused"], Some("0 of 1")),
            (&["ok", "unsupported"], Some("1 of 2")),
        ] {
            let lines = statuses.iter().map(|status| line(status)).collect();
            let judged = judge(&command(lines)).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(judged, Ok(())),
                Some(words) => assert!(judged.as_ref().is_err_and(|error| error.contains(words)), "{statuses:?}: {judged:?}"),
            }
        }
    }

    #[test]
    fn a_destination_consists_of_names_and_patterns() {
        let to = |words: &[&str]| destination(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(to(&["a@h", "", "b@*", "c@?"]), CommandTo { workers: vec!["a@h".to_owned()], glob: Some("{b@*,c@?}".to_owned()) });
        assert_eq!(to(&["x*"]).glob.as_deref(), Some("x*"));
        assert!(read_timeout("3s").is_ok() && read_timeout("2m").is_err() && read_timeout("soon").is_err());
    }
}
