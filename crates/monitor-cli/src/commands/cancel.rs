//! `monitor cancel`

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use monitor_api::{Call, Method};
use monitor_wire::{CancelRequest, Cancelled, CommandLine, CommandStatus, Process, ProcessesPage};

use super::asking::{self, read_timeout};
use crate::client::{Connection, print_json, read};
use crate::exit::{self, NotThere, Unanswered};
use crate::text::{terminal_width, thousands, visible};

const EXAMPLES: &str = "\
Examples:
  monitor cancel 2106                Cancel a run, by its number
  monitor cancel a3ce929d0e0e4736    Cancel a process and all below it
  monitor cancel a3ce92 --dry-run    List what would be cancelled
  monitor cancel 2106 -t 50s --json  Wait longer for the processes to end

A program cancels its processes if its `MONITOR_COMMANDS` is `all` or contains `cancel`, such as `read,cancel`. Tasks of `spawn_task` \
are aborted. Other code polls `monitor_client::cancel::requested()`. `monitor run` ends its command with SIGTERM, then SIGKILL. \
Processes that continue are listed.

A server on another machine requires a token with the scope `operate`.";

/// Minimum number of digits of a process id.
const LEAST_DIGITS: usize = 6;

/// Cancel a run, or a process and everything it has started
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// Number or id of a run (32 hex digits), or the first six or more digits of a process id (16 hex digits)
    id: String,
    /// Time to wait for the processes to end
    #[arg(short, long, default_value = "10s", value_parser = read_timeout)]
    timeout: Duration,
    /// List the processes that would end and the workers that would be asked, without asking them
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (root, process) = find(&args.connection, &args.id)?;
    let timeout_ms = Some(monitor_duration::milliseconds(args.timeout));
    let request = CancelRequest { process: process.map(|process| process.id), timeout_ms, dry_run: args.dry_run };
    // Sent once: the user repeats the command if no answer arrives.
    let answer = args.connection.wait(args.connection.client()?.cancel(&root, &request).json())?;
    let cancelled: Cancelled = read(answer.clone())?;
    if args.connection.json {
        print_json(&answer)?;
    } else {
        let mut out = anstream::stdout().lock();
        out.write_all(render(&cancelled, args.dry_run, terminal_width()).as_bytes())?;
        out.flush()?;
    }
    if args.dry_run { Ok(()) } else { judge(&cancelled) }
}

/// Finds the tree, and the process in it unless the id is that of a tree.
fn find(connection: &Connection, id: &str) -> anyhow::Result<(String, Option<Process>)> {
    let is_process = (LEAST_DIGITS..=16).contains(&id.len()) && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_number = id.len() < 16 && id.bytes().all(|digit| digit.is_ascii_digit());
    if is_number || !is_process {
        match connection.ask(connection.client()?.root(id)) {
            Ok(root) => return Ok((root.root_id.to_string(), None)),
            // The first digits of a process id may all be decimal.
            Err(error) if error.status() == Some(404) && is_process => {}
            Err(error) if error.status() == Some(404) => {
                return Err(NotThere(format!("there is no run {id:?}: `monitor list` shows those that there are")).into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    let found = processes(connection, id)?;
    match &found[..] {
        [] => {
            let near = processes(connection, &id[..LEAST_DIGITS])?;
            let alike = |other: &&Process| other.id.to_string().bytes().zip(id.bytes()).take_while(|(a, b)| a == b).count();
            let near = near.iter().max_by_key(alike).map(|near| format!(" (did you mean {}, {:?}?)", near.id, visible(&near.name)));
            Err(NotThere(format!("there is no process {id}{}", near.unwrap_or_default())).into())
        }
        [process] => Ok((process.root_id.to_string(), Some(process.clone()))),
        several => {
            let named = several.iter().take(5).map(|process| format!("{} {:?}", process.id, visible(&process.name)));
            let named = named.collect::<Vec<_>>().join(", ");
            Err(NotThere(format!("{} processes have ids that begin with {id}: {named}; give more digits", several.len())).into())
        }
    }
}

fn processes(connection: &Connection, id: &str) -> anyhow::Result<Vec<Process>> {
    let call: Call<ProcessesPage> = connection.client()?.call(Method::GET, &["api", "v1", "processes", id]);
    Ok(connection.ask(call)?.processes)
}

/// Returns an error if processes continue.
fn judge(cancelled: &Cancelled) -> anyhow::Result<()> {
    let silent = [CommandStatus::UNANSWERED, CommandStatus::GONE, CommandStatus::UNSUPPORTED];
    let is_silent = |line: &CommandLine| silent.contains(&line.status);
    match cancelled.running {
        0 => Ok(()),
        _ if cancelled.lines.iter().all(is_silent) => Err(Unanswered::Nobody { asked: cancelled.lines.len() }.into()),
        running => Err(Unanswered::GoOn { running, meant: cancelled.meant }.into()),
    }
}

fn render(cancelled: &Cancelled, is_dry_run: bool, columns: Option<usize>) -> String {
    let mut text = asking::render(&cancelled.lines, columns);
    let Cancelled { meant, running, still, .. } = cancelled;
    let of = if *meant == 1 { "process" } else { "processes" };
    if is_dry_run {
        let _ = writeln!(text, "{} {of} would end:", thousands(*meant));
    } else if *meant == 0 {
        text.push_str("nothing of it runs\n");
    } else if *running == 0 {
        let _ = writeln!(text, "{} {of} ended", thousands(*meant));
    } else {
        let _ = writeln!(text, "{} of {} {of} ended; these go on:", thousands(meant.saturating_sub(*running)), thousands(*meant));
    }
    for process in still {
        let _ = writeln!(text, "  {}  {}  {}", process.id, visible(process.state.as_str()), visible(&process.name));
    }
    let more = running.saturating_sub(still.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "  and {} more", thousands(more));
    }
    text
}

#[cfg(test)]
mod tests {
    use monitor_wire::{ProcessId, RootId, State, StillRunning};

    use super::*;

    #[test]
    fn processes_that_still_run_are_listed_and_decide_the_exit_code() {
        let id = ProcessId::new(0xa3).unwrap();
        let still = StillRunning { id, name: "deaf\u{1b}".to_owned(), state: State::RUNNING, worker_id: None };
        let ended = Cancelled {
            root_id: RootId::new(1).unwrap(),
            process: None,
            meant: 3,
            running: 0,
            still: Vec::new(),
            lines: Vec::new(),
            commands: Vec::new(),
        };
        assert!(judge(&ended).is_ok() && render(&ended, false, None) == "3 processes ended\n");
        let goes_on = Cancelled { running: 2, still: vec![still], ..ended.clone() };
        let text = render(&goes_on, false, None);
        assert_eq!(text, "1 of 3 processes ended; these go on:\n  00000000000000a3  running  deaf␛\n  and 1 more\n");
        assert!(judge(&goes_on).unwrap_err().to_string().starts_with("no reply"));
        let line = |status| CommandLine {
            worker_id: None,
            name: "a@h".to_owned(),
            status,
            value: None,
            error: None,
            elapsed_ns: None,
            last_seen_us: None,
        };
        let answered = Cancelled { lines: vec![line(CommandStatus::OK), line(CommandStatus::GONE)], ..goes_on };
        assert_eq!(judge(&answered).unwrap_err().to_string(), "2 of 3 processes go on");
        assert!(render(&Cancelled { meant: 0, ..ended }, false, None).contains("nothing of it runs"));
    }
}
