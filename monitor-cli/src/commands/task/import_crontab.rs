//! `monitor task import-crontab`

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use monitor_tasks::crontab::{Form, read};

use super::{EXIT_CODES, Wrong};
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  crontab -l | monitor task import-crontab - --print      your own crontab
  monitor task import-crontab /etc/crontab --print        with users
  monitor task import-crontab FILE --system --print       a file as those of /etc/cron.d

What cron does by itself becomes keys of the definition: CRON_TZ the zone, MAILTO the owner, the text after % the input.";

/// Most bytes of a file that are read: a crontab has at most 1 MiB.
const MOST: u64 = (1 << 20) + 1;

/// Reads a crontab as definitions of tasks
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// The crontab; - for the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Prints the definitions and changes nothing
    #[arg(long)]
    print: bool,
    /// A user stands before each command [default: only in /etc/crontab and folders called cron.d]
    #[arg(long)]
    system: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if !args.print {
        return Err(Wrong("--print is missing: definitions are printed, to be saved and checked".to_owned()).into());
    }
    let (file, is_stdin) = (&args.file, args.file == Path::new("-"));
    let mut bytes = Vec::new();
    if is_stdin {
        std::io::stdin().lock().take(MOST).read_to_end(&mut bytes).context("the standard input could not be read")?;
    } else {
        let opened = std::fs::File::open(file).and_then(|opened| opened.take(MOST).read_to_end(&mut bytes));
        opened.with_context(|| format!("{} could not be read", file.display()))?;
    }
    let text = String::from_utf8_lossy(&bytes);
    let is_in_cron_d = file.parent().and_then(Path::file_name).is_some_and(|folder| folder == "cron.d");
    let form = if args.system || is_in_cron_d || file == Path::new("/etc/crontab") { Form::System } else { Form::User };
    let imported = read(&text, form, &BTreeSet::new());
    let shown = if is_stdin { "stdin".to_owned() } else { file.display().to_string() };
    let mut out = anstream::stdout().lock();
    for (index, (line, task)) in imported.tasks.iter().enumerate() {
        let gap = if index > 0 { "\n" } else { "" };
        writeln!(out, "{gap}# {}:{line}, to be saved as {}.toml", visible(&shown), task.name)?;
        write!(out, "{}", task.to_toml())?;
    }
    out.flush()?;
    for (line, message) in &imported.mistakes {
        writeln!(anstream::stderr(), "{}", visible(&format!("{shown}:{line}: {message}")))?;
    }
    match imported.mistakes.len() {
        0 => Ok(()),
        1 => Err(Wrong("1 line is no task".to_owned()).into()),
        count => Err(Wrong(format!("{count} lines are no tasks")).into()),
    }
}
