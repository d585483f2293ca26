//! `monitor shell`

mod complete;
mod history;
mod line;
mod prompt;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;
use reedline::{
    ColumnarMenu, Emacs, KeyCode, KeyModifiers, MenuBuilder as _, Reedline, ReedlineEvent, ReedlineMenu, Signal, default_emacs_keybindings,
};

use self::complete::Completions;
use self::line::{Line, Runner};
use self::prompt::Prompt;
use crate::client::Connection;
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  monitor shell                Type commands without `monitor`, until `exit`
  monitor shell --server http://db-1:60010
  monitor shell < morning.txt  Run a script with one command per line

Tab completes commands, options, runs, workers and tasks. The arrow keys and Ctrl-R search the history. In a script, # starts a \
comment. The script stops at the first command that fails, and exits with its exit code.";

const MENU: &str = "completions";

/// Run commands at a prompt, or from a script on standard input
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// In a script, continue after a command that fails, and exit with the exit code of the first failed command
    #[arg(short, long)]
    keep_going: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the shell. `command` is the whole command line, for completion.
pub(crate) fn run(args: Args, command: Command) -> anyhow::Result<ExitCode> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        converse(args.connection, command)
    } else {
        follow(&Runner::new(&args.connection, false)?, args.keep_going)
    }
}

/// Runs the lines of a script.
fn follow(runner: &Runner, keeps_going: bool) -> anyhow::Result<ExitCode> {
    let mut first = 0;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("the script can't be read")?;
        let code = match Line::read(&line) {
            Line::Empty => continue,
            Line::Exit => break,
            Line::Command(words) => runner.run(&words)?,
            Line::Wrong(why) => {
                writeln!(anstream::stderr(), "monitor: {why}")?;
                2
            }
        };
        if code != 0 && first == 0 {
            first = code;
        }
        if code != 0 && !keeps_going {
            writeln!(anstream::stderr(), "monitor: line {} ended with exit code {code}, and the script with it", number + 1)?;
            break;
        }
    }
    Ok(ExitCode::from(first))
}

/// Runs commands at a prompt.
fn converse(connection: Connection, command: Command) -> anyhow::Result<ExitCode> {
    let runner = Runner::new(&connection, true)?;
    let mut editor = editor(connection, command);
    let mut prompt = Prompt::default();
    loop {
        match editor.read_line(&prompt).context("the terminal can't be read")? {
            Signal::Success(line) => match Line::read(&line) {
                Line::Empty => {}
                Line::Exit => break,
                Line::Command(words) => prompt.code = runner.run(&words)?,
                Line::Wrong(why) => {
                    writeln!(anstream::stderr(), "monitor: {why}")?;
                    prompt.code = 2;
                }
            },
            Signal::CtrlD => break,
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn editor(connection: Connection, command: Command) -> Reedline {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    let menu = ColumnarMenu::default().with_name(MENU);
    let editor = Reedline::create()
        .with_completer(Box::new(Completions::new(connection, command)))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_ansi_colors(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    match history::open() {
        Some(history) => editor.with_history(history),
        None => editor,
    }
}
