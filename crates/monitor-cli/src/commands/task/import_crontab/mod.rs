//! `monitor task import-crontab`

mod keeper;
mod source;
mod take_over;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use monitor_tasks::crontab::Imported;

use self::source::Source;
use super::whom::Whom;
use super::{EXIT_CODES, Wrong};
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  crontab -l | monitor task import-crontab - --print  Print the definitions
  monitor task import-crontab                         Add paused tasks
  monitor task import-crontab --take-over             Disable cron, resume tasks
  monitor task import-crontab /etc/crontab /etc/cron.d --to /etc/monitor/tasks --take-over

Settings of cron become keys of the definition: CRON_TZ the zone, MAILTO the owner, and the text after % the input.

Without --take-over, cron continues to run the lines, and the tasks stay paused (`paused = true`). With it, each line becomes a \
comment, `#monitor:NAME# …`, after its task is added, and then the task is resumed. The command keeps a copy of the old crontab and \
prints its path. It can be repeated at any time, also after an interruption, and then does only what is left.";

/// Convert crontabs to tasks, and take them over from cron
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Crontabs, and folders of crontabs such as /etc/cron.d; `-` reads standard input [default: your own crontab]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the definitions without changing anything; --to has no effect then
    #[arg(long)]
    print: bool,
    /// Disable the lines in the crontabs, and resume the tasks
    #[arg(long, conflicts_with = "print")]
    take_over: bool,
    /// Expect a user name before each command [default: only in /etc/crontab and in folders named cron.d]
    #[arg(long)]
    system: bool,
    /// Folder of the files that this machine's agent reads, to write the tasks to [default: add them to the server]
    #[arg(long, value_name = "FOLDER", env = "MONITOR_AGENT_TASKS")]
    to: Option<PathBuf>,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let sources = source::all(&args.files, args.system)?;
    if args.print {
        return print(&sources);
    }
    if sources.iter().any(|source| matches!(source, Source::Stdin { .. })) {
        return Err(Wrong("- is the standard input, which can be printed alone: say --print, or name the file".to_owned()).into());
    }
    take_over::run(args, &sources)
}

fn print(sources: &[Source]) -> anyhow::Result<()> {
    let (mut taken, mut wrong, mut is_first) = (BTreeSet::new(), 0, true);
    let mut out = anstream::stdout().lock();
    for source in sources {
        let Imported { tasks, mistakes } = monitor_tasks::crontab::read(&source.read()?, source.form(), &taken);
        for (line, task) in &tasks {
            let gap = if std::mem::take(&mut is_first) { "" } else { "\n" };
            writeln!(out, "{gap}# {}:{line}, to be saved as {}.toml", visible(&source.shown()), task.name)?;
            write!(out, "{}", task.to_toml())?;
            taken.insert(task.name.clone());
        }
        wrong += tell(source, &mistakes)?;
    }
    out.flush()?;
    no_tasks(wrong)
}

/// Prints the lines that are no tasks. Returns their number.
fn tell(source: &Source, mistakes: &[(usize, String)]) -> anyhow::Result<usize> {
    for (line, message) in mistakes {
        writeln!(anstream::stderr(), "{}", visible(&format!("{}:{line}: {message}", source.shown())))?;
    }
    Ok(mistakes.len())
}

fn no_tasks(lines: usize) -> anyhow::Result<()> {
    match lines {
        0 => Ok(()),
        1 => Err(Wrong("1 line is no task".to_owned()).into()),
        count => Err(Wrong(format!("{count} lines are no tasks")).into()),
    }
}
