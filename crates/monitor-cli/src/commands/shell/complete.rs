//! Completes a word: commands, options, their values, and names from the server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clap::builder::PossibleValue;
use clap::{Arg, Command};
use reedline::{Completer, Span, Suggestion};

use crate::client::Connection;
use crate::text::visible;

/// Maximum time to wait for the server; after it, nothing is completed.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time for which answers of the server are cached.
const FRESH: Duration = Duration::from_secs(5);
/// Maximum number of candidates from the server.
const MOST: usize = 100;

/// Things that the server can list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Things {
    Trees,
    Workers,
    BatchTasks,
    Queues,
    QueueTaskNames,
    QueueTasks,
}

/// Candidates for a place: value and description.
type Candidates = Vec<(String, Option<String>)>;

pub(super) struct Completions {
    connection: Connection,
    command: Command,
    known: HashMap<Things, (Instant, Candidates)>,
}

impl Completions {
    pub(super) fn new(connection: Connection, mut command: Command) -> Self {
        command.build();
        Self { connection, command, known: HashMap::new() }
    }

    /// Candidates for the word after `words`.
    fn candidates(&mut self, words: &[String], begun: &str) -> Candidates {
        let place = Place::find(&self.command, words, begun);
        match place {
            Place::Words(words) => words,
            Place::Things(things) => self.things(things),
        }
    }

    fn things(&mut self, things: Things) -> Candidates {
        if let Some((asked, known)) = self.known.get(&things)
            && asked.elapsed() < FRESH
        {
            return known.clone();
        }
        let found = ask(&self.connection, things).unwrap_or_default();
        self.known.insert(things, (Instant::now(), found.clone()));
        found
    }
}

impl Completer for Completions {
    fn complete(&mut self, line: &str, pos: usize) -> Vec<Suggestion> {
        let Some(before) = line.get(..pos) else { return Vec::new() };
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
        let Some(mut words) = shlex::split(&before[..start]) else { return Vec::new() };
        if words.first().is_some_and(|word| word == "monitor") {
            words.remove(0);
        }
        let begun = &before[start..];
        let span = Span::new(start, pos);
        let candidates = self.candidates(&words, begun).into_iter().filter(|(value, _)| value.starts_with(begun));
        candidates
            .filter_map(|(value, description)| {
                let display_override = Some(visible(&value).into_owned());
                let value = shlex::try_quote(&value).ok()?.into_owned();
                Some(Suggestion { value, display_override, description, span, append_whitespace: true, ..Suggestion::default() })
            })
            .collect()
    }
}

/// Completions that are possible at the end of a line.
enum Place {
    Words(Candidates),
    Things(Things),
}

impl Place {
    fn find(command: &Command, words: &[String], begun: &str) -> Self {
        let (mut command, mut arguments, mut value_of) = (command, 0, None);
        for word in words {
            if value_of.take().is_some() {
                continue;
            }
            if word.starts_with('-') {
                value_of = option(command, word);
            } else if let Some(below) = command.find_subcommand(word) {
                (command, arguments) = (below, 0);
            } else {
                arguments += 1;
            }
        }
        if let Some(argument) = value_of {
            return Self::values(command, argument);
        }
        if begun.starts_with('-') {
            let options = command.get_arguments().filter(|argument| !argument.is_hide_set());
            let named = options.filter_map(|argument| Some((format!("--{}", argument.get_long()?), help(argument.get_help()))));
            return Self::Words(named.collect());
        }
        let mut below = command.get_subcommands().filter(|below| !below.is_hide_set()).peekable();
        if arguments == 0 && below.peek().is_some() {
            return Self::Words(below.map(|below| (below.get_name().to_owned(), help(below.get_about()))).collect());
        }
        // The last argument may be repeatable.
        let positionals: Vec<_> = command.get_positionals().collect();
        match positionals.get(arguments).or_else(|| positionals.last()) {
            Some(argument) => Self::values(command, argument),
            None => Self::Words(Vec::new()),
        }
    }

    /// Candidates for the value of an argument.
    fn values(command: &Command, argument: &Arg) -> Self {
        let values = argument.get_possible_values();
        if !values.is_empty() {
            let shown = values.iter().filter(|value| !value.is_hide_set());
            return Self::Words(shown.map(|value: &PossibleValue| (value.get_name().to_owned(), help(value.get_help()))).collect());
        }
        let is_task = |command: &Command| command.get_bin_name().is_some_and(|name| name.contains(" task "));
        match argument.get_id().as_str() {
            "root" | "id" => Self::Things(Things::Trees),
            "destination" | "worker" => Self::Things(Things::Workers),
            "task" => Self::Things(Things::BatchTasks),
            "queue" | "queues" | "exclude" => Self::Things(Things::Queues),
            "task_name" => Self::Things(Things::QueueTaskNames),
            "task_ids" => Self::Things(Things::QueueTasks),
            "name" | "names" if is_task(command) => Self::Things(Things::BatchTasks),
            _ => Self::Words(Vec::new()),
        }
    }
}

/// The option that this word is, if its value is the next word.
fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let is_meant = |argument: &&Arg| {
        let long = word.strip_prefix("--").is_some_and(|long| argument.get_long() == Some(long));
        let short = word.strip_prefix('-').is_some_and(|short| argument.get_short().is_some_and(|is| short.chars().eq([is])));
        long || short
    };
    command.get_arguments().find(is_meant).filter(|argument| argument.get_action().takes_values())
}

fn help(text: Option<&clap::builder::StyledStr>) -> Option<String> {
    text.map(ToString::to_string)
}

fn ask(connection: &Connection, things: Things) -> anyhow::Result<Candidates> {
    let client = connection.client()?;
    Ok(match things {
        Things::Trees => {
            let page = connection.ask(client.roots().limit(MOST).patience(PATIENCE))?;
            page.roots.iter().map(|root| (root.number.to_string(), Some(visible(&root.title).into_owned()))).collect()
        }
        Things::Workers => {
            let page = connection.ask(client.workers().limit(MOST).patience(PATIENCE))?;
            let names = page.workers.iter().map(|worker| (format!("{}@{}", worker.program, worker.hostname), None));
            let mut names: Candidates = names.collect();
            names.sort_unstable();
            names.dedup();
            names
        }
        Things::BatchTasks => {
            let page = connection.ask(client.batch_tasks().limit(MOST).patience(PATIENCE))?;
            page.tasks.into_iter().map(|task| (task.name, None)).collect()
        }
        Things::Queues => {
            let queues = connection.ask(client.queues().patience(PATIENCE))?.queues;
            queues.into_iter().filter(|queue| !queue.name.is_empty()).take(MOST).map(|queue| (queue.name, None)).collect()
        }
        Things::QueueTaskNames => {
            let types = connection.ask(client.queue_types().patience(PATIENCE))?.types;
            types.into_iter().take(MOST).map(|of| (of.name, None)).collect()
        }
        Things::QueueTasks => {
            let page = connection.ask(client.queue_tasks().limit(MOST).patience(PATIENCE))?;
            let words = |task: &monitor_wire::Process| Some(format!("{} {}", visible(task.state.as_str()), visible(&task.name)));
            page.tasks.into_iter().filter_map(|task| Some((task.native_id.clone()?, words(&task)))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The candidates for a line, without a request to a server.
    fn offered(line: &str) -> Vec<String> {
        let mut command = crate::Cli::command();
        command.build();
        let start = line.rfind(' ').map_or(0, |at| at + 1);
        let words = shlex::split(&line[..start]).unwrap();
        match Place::find(&command, &words, &line[start..]) {
            Place::Words(words) => words.into_iter().map(|(word, _)| word).filter(|word| word.starts_with(&line[start..])).collect(),
            Place::Things(things) => vec![format!("{things:?}")],
        }
    }

    #[test]
    fn completions_are_derived_from_the_command_line_definition() {
        for (line, expected) in [
            ("sta", &["status"][..]),
            ("task resu", &["resume"]),
            ("task resume ", &["BatchTasks"]),
            ("tree ", &["Trees"]),
            ("export 21 --form", &["--format"]),
            ("export 21 --format p", &["perfetto"]),
            ("inspect ping -d ", &["Workers"]),
            ("inspect ping --destination ", &["Workers"]),
            ("events --worker ", &["Workers"]),
            ("pur", &["purge"]),
            ("purge -Q ", &["Queues"]),
            ("purge --exclude ", &["Queues"]),
            ("call ", &["QueueTaskNames"]),
            ("call render --queue ", &["Queues"]),
            ("call render -d ", &["Workers"]),
            ("retry a ", &["QueueTasks"]),
            ("queue tasks --queue ", &["Queues"]),
            ("nonsense ", &[]),
            ("roots --name ", &[]),
        ] {
            assert_eq!(offered(line), expected, "{line:?}");
        }
    }
}
