//! `monitor control`: a subcommand for each method in [`Method::ALL`] that changes something and has no command of its own.
//!
//! The options of all methods are also hidden options of `monitor control` itself, so that they can precede the method. An option that a
//! method doesn't have is an error that names the methods with this option. Other words are sent as a program's own method.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use monitor_tasks::reading::did_you_mean;
use monitor_wire::{Argument, ArgumentKind, CHANGING_METHODS, Fields, Method, MethodScope, check_arguments};
use serde_json::Value;

use super::asking::{self, Whom, ask};
use super::queue;
use crate::exit::{self, Misused};

const EXAMPLES: &str = "\
Examples:
  monitor control rate-limit render 10/s       Start at most 10 a second
  monitor control time-limit render 10s 30s    Warn after 10 s, end after 30 s
  monitor control revoke 8a1c7f0e              Never run this task
  monitor control revoke 8a1c7f0e --terminate  Also end it if it is running
  monitor control pause --for 5m -d 'worker@build-*'
  monitor control resume
  monitor control pool-grow 2                  Work on two more tasks at once
  monitor control autoscale 2 8 --for 1h
  monitor control add-consumer video           Take tasks from another queue
  monitor control shutdown -d worker@build-7   Exit after the running tasks
  monitor control restart                      Restart the program
  monitor control disable-events --kind span --for 1h
  monitor control enable-events roots          Send only runs and failures
  monitor control log-level warn --for 10m     Send only warnings and errors
  monitor control cache-clear name=films       Call a method of the program
  monitor control --list                       List all methods and workers

The first six or more digits of an id are enough if the server knows the task. A program accepts the methods that its \
`MONITOR_COMMANDS` allows: `all`, or a list such as `read,pause,resume`.";

/// A program's own method, and its arguments.
const OWN_METHOD: &str = "method";
const OWN_ARGUMENTS: &str = "arguments";
const LIST: &str = "list";

#[derive(Debug)]
pub(crate) struct Args {
    matches: ArgMatches,
    whom: Whom,
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        let own = |id: &'static str| Arg::new(id).hide(true).value_parser(StringValueParser::new());
        let mut options: Vec<Arg> = Vec::new();
        for option in methods().flat_map(|method| method.arguments).filter(|argument| argument.option.is_some()).map(arg) {
            if options.iter().all(|other| other.get_id() != option.get_id()) {
                options.push(option.hide(true).global(true));
            }
        }
        Whom::augment_args(command)
            .mut_args(|arg| arg.global(true))
            .about("Send a command to online workers, and wait for their answers")
            .override_usage("monitor control [OPTIONS] METHOD [ARGUMENT]...\n       monitor control [OPTIONS] --list")
            .after_help(format!("{EXAMPLES}\n\n{}", exit::HELP))
            .subcommand_help_heading("Methods")
            .subcommand_negates_reqs(true)
            .disable_help_subcommand(true)
            .arg(own(OWN_METHOD).value_name("METHOD").required_unless_present(LIST))
            .arg(own(OWN_ARGUMENTS).num_args(0..))
            .arg(
                Arg::new(LIST)
                    .long(LIST)
                    .action(ArgAction::SetTrue)
                    .conflicts_with(OWN_METHOD)
                    .help("List all methods, with the workers that support them now"),
            )
            .args(options)
            .subcommands(methods().map(subcommand))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of_method = matches.subcommand().map_or(matches, |(_, of_method)| of_method);
        Ok(Self { matches: matches.clone(), whom: Whom::from_arg_matches(of_method)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the methods that are subcommands.
fn methods() -> impl Iterator<Item = &'static Method> {
    Method::ALL.iter().filter(|method| method.scope != MethodScope::Read && !method.has_own_command())
}

fn subcommand(method: &'static Method) -> Command {
    let words = method.arguments.iter().filter(|argument| argument.option.is_none());
    let words = words.map(|argument| match (argument.kind, is_required(method, argument)) {
        (ArgumentKind::TaskIds, _) => format!(" {}…", value_name(argument)),
        (_, true) => format!(" {}", value_name(argument)),
        (_, false) => format!(" [{}]", value_name(argument)),
    });
    let usage = format!("monitor control {}{} [OPTIONS]", method.name, words.collect::<String>());
    let args = method.arguments.iter().map(|argument| match argument.option {
        Some(_) => arg(argument),
        None => arg(argument).required(is_required(method, argument)),
    });
    Command::new(method.name).about(method.help).override_usage(usage).after_help(exit::HELP).args(args)
}

/// Returns true if an argument by position is required, or if another one follows it.
fn is_required(method: &Method, argument: &Argument) -> bool {
    argument.is_required || method.arguments.iter().rfind(|argument| argument.option.is_none()) != Some(argument)
}

/// Returns the id of an argument. A positional argument and an option may have the same name in the table, so that their ids differ.
fn id(argument: &Argument) -> String {
    argument.option.map_or_else(|| argument.name.to_owned(), |option| format!("--{option}"))
}

fn value_name(argument: &Argument) -> String {
    match argument.kind {
        ArgumentKind::TaskIds => "ID".to_owned(),
        ArgumentKind::Glob => "GLOB".to_owned(),
        ArgumentKind::Rate => "10/s".to_owned(),
        ArgumentKind::Duration if argument.option.is_some() => "DURATION".to_owned(),
        _ => argument.name.trim_end_matches("_ms").to_uppercase(),
    }
}

fn arg(argument: &'static Argument) -> Arg {
    let arg = Arg::new(id(argument)).help(argument.help);
    let arg = if let Some(option) = argument.option { arg.long(option) } else { arg };
    if argument.kind == ArgumentKind::Switch {
        return arg.action(ArgAction::SetTrue);
    }
    let parser = match argument.kind {
        ArgumentKind::Duration if argument.option.is_some() => ValueParser::new(|text: &str| milliseconds(text).map(Value::from)),
        // A limit of 0 removes the limit.
        ArgumentKind::Duration => ValueParser::new(|text: &str| match text {
            "0" => Ok(Value::Null),
            _ => milliseconds(text).map(Value::from).map_err(|error| format!("{error}, or 0 for none")),
        }),
        ArgumentKind::Count => ValueParser::new(|text: &str| text.parse::<u64>().map(Value::from).map_err(|_| "expected a number")),
        ArgumentKind::Word(words) => ValueParser::new(Words(words)),
        _ => ValueParser::new(|text: &str| Ok::<_, std::convert::Infallible>(Value::from(text))),
    };
    let arg = arg.value_parser(parser).value_name(value_name(argument));
    if argument.kind == ArgumentKind::TaskIds { arg.num_args(1..) } else { arg }
}

fn milliseconds(text: &str) -> Result<u64, String> {
    monitor_duration::read_positive(text).map(monitor_duration::milliseconds).map_err(|error| error.to_string())
}

/// Offers words for help and completion. Any other word is passed on, because [`check_arguments`] has better errors.
#[derive(Debug, Clone)]
struct Words(&'static [&'static str]);

impl TypedValueParser for Words {
    type Value = Value;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &std::ffi::OsStr) -> Result<Value, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value).map(Value::from)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    if args.matches.get_flag(LIST) {
        if let Some(method) = args.matches.subcommand_name() {
            return Err(Misused(format!("--list takes no method, but {method:?} is one")).into());
        }
        return asking::list(connection, "operate");
    }
    let (name, mut arguments) = read(&args.matches).map_err(Misused)?;
    for argument in Method::of(&name).into_iter().flat_map(|method| method.arguments) {
        match (argument.kind, arguments.get_mut(argument.name)) {
            (ArgumentKind::TaskIds, Some(Value::Array(ids))) => {
                let words: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
                *ids = queue::full_ids(connection, &words)?.into_iter().map(Value::from).collect();
            }
            (ArgumentKind::TaskName, Some(Value::String(name))) => queue::warn_of_unknown_name(connection, name)?,
            _ => {}
        }
    }
    ask(&args.whom, &name, arguments)
}

/// Returns the method and its arguments in the form of the API.
fn read(matches: &ArgMatches) -> Result<(String, Fields), String> {
    let own = matches.get_one::<String>(OWN_METHOD);
    let (name, of_method) = match (own, matches.subcommand()) {
        (None, Some((name, of_method))) => (name, of_method),
        (Some(own), None) => (own.as_str(), matches),
        (Some(own), Some((name, _))) => return Err(not_a_pair(own, name)),
        (None, None) => return Err("which method? `monitor control --help` lists them".to_owned()),
    };
    let method = Method::of(name);
    match method.filter(|_| own.is_some()) {
        Some(method) if method.scope == MethodScope::Read => return Err(format!("say `monitor inspect {name}`")),
        Some(method) if method.is_single => return Err(format!("say `monitor {name}`: one worker does it")),
        Some(_) => return Err("say `monitor cancel ID`, which tells each worker what it runs of it".to_owned()),
        None => {}
    }
    let arguments = method.map_or(&[][..], |method| method.arguments);
    check_options(of_method, arguments)?;
    let mut fields = Fields::new();
    for argument in arguments {
        if let Some(value) = value(of_method, argument) {
            fields.insert(argument.name.to_owned(), value);
        }
    }
    for word in of_method.try_get_many::<String>(OWN_ARGUMENTS).ok().flatten().into_iter().flatten() {
        let (key, value) = word.split_once('=').ok_or_else(|| not_a_pair(name, word))?;
        fields.insert(key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
    }
    check_arguments(name, &fields).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), fields))
}

fn not_a_pair(method: &str, word: &str) -> String {
    let near = did_you_mean(method, CHANGING_METHODS);
    format!("{word:?}: expected NAME=VALUE, as {method:?} is a method of the program's own{near}")
}

/// Refuses options that a method doesn't have.
fn check_options(given: &ArgMatches, arguments: &[Argument]) -> Result<(), String> {
    for argument in methods().flat_map(|method| method.arguments) {
        let Some(option) = argument.option else { continue };
        let is_given = given.value_source(&id(argument)) == Some(ValueSource::CommandLine);
        if is_given && arguments.iter().all(|known| known.option != Some(option)) {
            let takers = methods().filter(|method| method.arguments.iter().any(|known| known.option == Some(option)));
            return Err(format!("--{option} is for {}", takers.map(|method| method.name).collect::<Vec<_>>().join(", ")));
        }
    }
    Ok(())
}

/// Returns the value of an argument, or `None` if it is not given.
fn value(given: &ArgMatches, argument: &Argument) -> Option<Value> {
    let id = id(argument);
    match argument.kind {
        ArgumentKind::Switch => given.get_flag(&id).then_some(true.into()),
        ArgumentKind::TaskIds => given.get_many::<Value>(&id).map(|ids| ids.cloned().collect()),
        _ => given.get_one::<Value>(&id).filter(|value| !value.is_null()).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn arguments(line: &str) -> Result<Value, String> {
        let cli = Cli::try_parse_from(std::iter::once("control").chain(line.split(' '))).map_err(|error| error.to_string())?;
        read(&cli.args.matches).map(|(_, fields)| json!(fields))
    }

    #[test]
    fn plain_words_are_the_arguments_of_a_method() {
        for (line, expected) in [
            ("rate-limit render 10/m --for 10m", json!({"name": "render", "rate": "10/m", "for_ms": 600_000})),
            ("rate-limit render 0", json!({"name": "render", "rate": "0"})),
            ("time-limit render 10s 30s", json!({"name": "render", "soft_ms": 10_000, "hard_ms": 30_000})),
            ("time-limit render 0 30s", json!({"name": "render", "hard_ms": 30_000})),
            ("time-limit render 500ms", json!({"name": "render", "soft_ms": 500})),
            ("revoke a b --terminate", json!({"ids": ["a", "b"], "terminate": true})),
            ("pause --for 5m -d a@h", json!({"for_ms": 300_000})),
            ("-d a@h --for 5m pause", json!({"for_ms": 300_000})),
            ("-d a@h cache-clear name=films --json", json!({"name": "films"})),
            ("--kind job disable-events", json!({"kind": "job"})),
            ("resume", json!({})),
            ("pool-grow 2", json!({"n": 2})),
            ("autoscale 2 8", json!({"min": 2, "max": 8})),
            ("add-consumer 视频", json!({"queue": "视频"})),
            ("shutdown --now", json!({"now": true})),
            ("restart", json!({})),
            ("heartbeat", json!({})),
            ("enable-events", json!({})),
            (
                "enable-events roots --kind span --name GET* --for 1m",
                json!({"level": "roots", "kind": "span", "name": "GET*", "for_ms": 60_000}),
            ),
            ("disable-events --kind job", json!({"kind": "job"})),
            ("log-level warn", json!({"level": "warn"})),
            ("cache-clear name=films n=7 deep=true", json!({"name": "films", "n": 7, "deep": true})),
        ] {
            assert_eq!(arguments(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn invalid_commands_are_refused_before_a_request_is_sent() {
        for (line, words) in [
            ("rate-limit render", "monitor control rate-limit NAME 10/s"),
            ("rate-limit render ten", "\"ten\" is no rate"),
            ("rate-limt render 10/s", "did you mean rate-limit?"),
            ("time-limit render soon", "invalid value 'soon' for '<SOFT>'"),
            ("time-limit render 30s 10s", "`soft_ms`"),
            ("revoke", "revoke ID…"),
            ("pool-grow two", "expected a number"),
            ("pool-grow 0", "`n`"),
            ("autoscale 8 2", "`min`"),
            ("resume --for 1m", "--for is for"),
            ("pause --now", "--now is for shutdown"),
            ("pause now", "monitor control pause"),
            ("cancel 2106", "monitor cancel"),
            ("enable-events loud", "expected one of all"),
            ("disable-events roots", "monitor control disable-events"),
            ("log-level", "monitor control log-level LEVEL"),
            ("log-level loud", "expected one of off"),
            ("pause --kind span", "--kind is for"),
            ("heartbeat --for 1m", "--for is for"),
            ("ping", "monitor inspect ping"),
            ("call render", "monitor call"),
        ] {
            let error = arguments(line).expect_err(line);
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
