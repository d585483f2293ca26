//! The table of methods for programs and workers of queues.
//!
//! [`Method::ALL`] is the only list. The lists of names below, `monitor inspect` and `monitor control` with their help and completion, the description
//! of `POST /api/v1/commands` and the page's `app/src/api/methods.ts` are derived from it.
//!
//! A new method touches two files: `method.rs`, with a row, and `order.rs` (`program_order.rs` for a [`MethodGroup::Switch`]), with a variant and its
//! arguments. Then the tests fail until these are there as well:
//! - the generated files, which `UPDATE_EXPECT=1 cargo test -p monitor-server --test http openapi` and `npm run types` write
//! - a line in docs/guides/control.md
//! - the page's translations `worker.method.NAME`, `worker.effect.NAME` and `worker.argument.NAME` in `app/src/locales/parts/worker.*.ts`

use std::fmt;

use crate::program_order::{EVENT_LEVELS, LOG_LEVELS};

/// A method that programs or workers may know. A program may have other methods of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// The code that executes it.
    pub group: MethodGroup,
    /// Scope that a client needs to send it.
    pub scope: MethodScope,
    /// True if exactly one of the addressed workers executes it, because a task would be started more than once otherwise.
    pub is_single: bool,
    /// Its arguments, in the order of the command line.
    pub arguments: &'static [Argument],
    /// Its effect, in the imperative, for the help of the command line.
    pub help: &'static str,
}

/// Code that executes a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodGroup {
    /// The client library, in every program.
    Core,
    /// The client library, in every program, as a [`ProgramOrder`](crate::ProgramOrder).
    Switch,
    /// A worker of a queue, as an [`Order`](crate::Order).
    Queue,
}

/// Scope that a client needs to send a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodScope {
    /// For methods that change nothing.
    Read,
    /// For methods that change processes or workers.
    Operate,
    /// For all methods.
    Admin,
}

/// An argument of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// Its key in a command's arguments.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: ArgumentKind,
    /// True if a command without it is an error.
    pub is_required: bool,
    /// The option of `monitor control` that sets it, without `--`. `None` for arguments that the command line takes by position.
    pub option: Option<&'static str>,
    /// Its meaning, for the help of the command line.
    pub help: &'static str,
}

/// Kind of an argument's value, which determines the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A text.
    Text,
    /// The name of a queue task.
    TaskName,
    /// A pattern of names with `*` and `?`.
    Glob,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A [`Rate`](crate::Rate).
    Rate,
    /// A whole number.
    Count,
    /// A duration in milliseconds.
    Duration,
    /// A time in Unix microseconds.
    Time,
    /// A list of ids of queue tasks.
    TaskIds,
    /// A list of texts.
    Texts,
    /// A list of any values.
    List,
    /// An object.
    Object,
    /// True or false.
    Switch,
}

/// Levels of `enable-events`. The level `off` is the method `disable-events`.
const ENABLED_LEVELS: [&str; 3] = [EVENT_LEVELS[0], EVENT_LEVELS[1], EVENT_LEVELS[3]];

const NAME: Argument = required("name", ArgumentKind::TaskName, "Name of the tasks");
const IDS: Argument =
    required("ids", ArgumentKind::TaskIds, "Ids of tasks in their queue, or the first six or more digits of the id of a known task");
const QUEUE: Argument = required("queue", ArgumentKind::Text, "Name of the queue");
const FOR: Argument = option("for_ms", ArgumentKind::Duration, "for", "Return to the earlier state after this time");
const KIND: Argument = option("kind", ArgumentKind::Text, "kind", "Only for processes of this kind");
const PATTERN: Argument =
    option("name", ArgumentKind::Glob, "name", "Only for processes with a name like this, where `*` is anything and `?` one character");

impl Method {
    /// All methods in the order of lists: first the methods that read, then the methods that change something.
    pub const ALL: &[Self] = {
        use ArgumentKind::{Count, Duration, List, Object, Rate, Switch as Flag, Text, Texts, Time, Word};
        use MethodGroup::{Core, Queue, Switch};
        &[
            read("ping", Core, &[], "Check that they answer"),
            read("stats", Core, &[], "Show memory, processor time, the pool, and the number of records that wait to be sent"),
            read("active", Core, &[], "List the processes that run"),
            read("registered", Core, &[], "List the functions that are monitored"),
            read("scheduled", Queue, &[], "List tasks that wait for their time"),
            read("reserved", Queue, &[], "List tasks that wait for their turn"),
            read("revoked", Queue, &[], "List the ids of revoked tasks"),
            read("active-queues", Queue, &[], "List the queues that they take tasks from"),
            read("queues", Queue, &[], "List the queues that they know, with the number of waiting tasks"),
            read("query", Queue, &[IDS], "Show the state of these tasks"),
            read("conf", Core, &[], "Show their settings, with secrets masked"),
            change(
                "cancel",
                Core,
                &[
                    required("root_id", Text, "Id of the tree"),
                    optional("process", Text, "Only this process, with all processes below it"),
                    optional("processes", Texts, "Only these processes of the worker"),
                ],
                "Cancel processes of a tree",
            ),
            change("pause", Queue, &[FOR], "Start no more tasks. Running tasks continue"),
            change("resume", Queue, &[], "End a pause"),
            change("pool-grow", Queue, &[required("n", Count, "Number of tasks")], "Work on more tasks at once"),
            change("pool-shrink", Queue, &[required("n", Count, "Number of tasks")], "Work on fewer tasks at once, at least on one"),
            change(
                "autoscale",
                Queue,
                &[required("min", Count, "Smallest number of tasks"), required("max", Count, "Largest number of tasks"), FOR],
                "Work on as many tasks at once as there are, within these limits",
            ),
            change(
                "rate-limit",
                Queue,
                &[NAME, required("rate", Rate, "Such as 10/s, 10/m or 10/h, or 0 for no limit"), FOR],
                "Start tasks of a name no more often than this in each worker",
            ),
            change(
                "time-limit",
                Queue,
                &[
                    NAME,
                    optional("soft_ms", Duration, "Time after which a task can read that it is late, or 0 for none"),
                    optional("hard_ms", Duration, "Time after which a task is ended, or 0 for none"),
                    FOR,
                ],
                "Limit the running time of tasks of a name that start from now on",
            ),
            change("add-consumer", Queue, &[QUEUE], "Take tasks from a queue"),
            change("cancel-consumer", Queue, &[QUEUE], "Take no more tasks from a queue"),
            change(
                "revoke",
                Queue,
                &[IDS, option("terminate", Flag, "terminate", "Also end those of the tasks that run")],
                "Do not run these tasks, in these workers and in workers that start later",
            ),
            single(
                "call",
                &[
                    required("name", Text, "Name of the task"),
                    optional("args", List, "Arguments by position"),
                    optional("kwargs", Object, "Arguments by name"),
                    optional("queue", Text, "The queue"),
                    optional("eta_us", Time, "Earliest start"),
                    optional("countdown_ms", Duration, "Time until the earliest start, in place of `eta_us`"),
                    optional("expires_us", Time, "Latest start"),
                ],
                "Start a task by its name",
            ),
            single(
                "purge",
                &[
                    optional("queues", Texts, "Only these queues, in place of all"),
                    optional("exclude", Texts, "Not these queues"),
                    optional("count_only", Flag, "Count the tasks, and keep them"),
                ],
                "Delete the tasks that wait in queues",
            ),
            single("retry", &[IDS], "Run tasks again that have ended"),
            change("shutdown", Queue, &[option("now", Flag, "now", "Also end the running tasks")], "Finish the running tasks and exit"),
            change("restart", Queue, &[], "Restart the program"),
            change("pool-restart", Queue, &[], "Restart the pool of a program that continues"),
            change(
                "enable-events",
                Switch,
                &[
                    optional("level", Word(&ENABLED_LEVELS), "Send all processes, only roots, or only watched ones; all if omitted"),
                    KIND,
                    PATTERN,
                    FOR,
                ],
                "Send events of processes that start from now on",
            ),
            change("disable-events", Switch, &[KIND, PATTERN, FOR], "Send no events of processes that start from now on"),
            change(
                "log-level",
                Switch,
                &[required("level", Word(&LOG_LEVELS), "Lowest level, or off"), FOR],
                "Send only log lines of a level and of higher ones",
            ),
            change("heartbeat", Switch, &[], "Send a heartbeat now"),
        ]
    };

    /// Returns the method with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|method| method.name == name)
    }

    /// Returns true for `cancel` and for methods that only one worker executes. They have their own commands and routes.
    #[must_use]
    pub fn has_own_command(&self) -> bool {
        self.is_single || self.name == "cancel"
    }
}

const fn read(name: &'static str, group: MethodGroup, arguments: &'static [Argument], help: &'static str) -> Method {
    Method { name, group, scope: MethodScope::Read, is_single: false, arguments, help }
}

const fn change(name: &'static str, group: MethodGroup, arguments: &'static [Argument], help: &'static str) -> Method {
    Method { name, group, scope: MethodScope::Operate, is_single: false, arguments, help }
}

const fn single(name: &'static str, arguments: &'static [Argument], help: &'static str) -> Method {
    Method { name, group: MethodGroup::Queue, scope: MethodScope::Operate, is_single: true, arguments, help }
}

const fn required(name: &'static str, kind: ArgumentKind, help: &'static str) -> Argument {
    Argument { name, kind, is_required: true, option: None, help }
}

const fn optional(name: &'static str, kind: ArgumentKind, help: &'static str) -> Argument {
    Argument { name, kind, is_required: false, option: None, help }
}

const fn option(name: &'static str, kind: ArgumentKind, option: &'static str, help: &'static str) -> Argument {
    Argument { name, kind, is_required: false, option: Some(option), help }
}

/// Names of the methods that change nothing.
pub const READING_METHODS: [&str; Names::Reading.count()] = Names::Reading.select();
/// Names of the methods that change something.
pub const CHANGING_METHODS: [&str; Names::Changing.count()] = Names::Changing.select();
/// Names of the methods that only one of the addressed workers executes.
pub const SINGLE_METHODS: [&str; Names::Single.count()] = Names::Single.select();

/// A selection of methods.
#[derive(Clone, Copy)]
pub(crate) enum Names {
    Reading,
    Changing,
    Single,
    Switch,
    Queue,
}

impl Names {
    const fn has(self, method: &Method) -> bool {
        match self {
            Self::Reading => matches!(method.scope, MethodScope::Read),
            Self::Changing => !matches!(method.scope, MethodScope::Read),
            Self::Single => method.is_single,
            Self::Switch => matches!(method.group, MethodGroup::Switch),
            Self::Queue => matches!(method.group, MethodGroup::Queue),
        }
    }

    pub(crate) const fn count(self) -> usize {
        let (mut at, mut count) = (0, 0);
        while at < Method::ALL.len() {
            if self.has(&Method::ALL[at]) {
                count += 1;
            }
            at += 1;
        }
        count
    }

    /// Returns the names of the selected methods. `N` is their number.
    pub(crate) const fn select<const N: usize>(self) -> [&'static str; N] {
        let mut names = [""; N];
        let (mut at, mut found) = (0, 0);
        while at < Method::ALL.len() {
            if self.has(&Method::ALL[at]) {
                names[found] = Method::ALL[at].name;
                found += 1;
            }
            at += 1;
        }
        names
    }
}

impl MethodScope {
    /// Returns the scope's name, as tokens and the API have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for MethodScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ArgumentKind {
    /// Returns the unit of numbers.
    #[must_use]
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::Duration => Some("ms"),
            Self::Time => Some("Unix µs"),
            _ => None,
        }
    }

    /// Returns the kind's name in the API description and in the page's table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text | Self::TaskName | Self::Glob | Self::Word(_) | Self::Rate => "text",
            Self::Count => "count",
            Self::Duration => "duration",
            Self::Time => "time",
            Self::TaskIds => "ids",
            Self::Texts => "texts",
            Self::List => "list",
            Self::Object => "object",
            Self::Switch => "flag",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::Fields;
    use crate::order::{Order, check_arguments};
    use crate::program_order::ProgramOrder;

    /// A valid value.
    fn sample(kind: ArgumentKind) -> Value {
        match kind {
            ArgumentKind::Text | ArgumentKind::TaskName | ArgumentKind::Glob => json!("a"),
            ArgumentKind::Word(words) => json!(words[0]),
            ArgumentKind::Rate => json!("10/s"),
            ArgumentKind::Count | ArgumentKind::Duration | ArgumentKind::Time => json!(1),
            ArgumentKind::TaskIds | ArgumentKind::Texts | ArgumentKind::List => json!(["a"]),
            ArgumentKind::Object => json!({}),
            ArgumentKind::Switch => json!(true),
        }
    }

    #[test]
    fn orders_read_exactly_the_arguments_of_the_table() {
        for method in Method::ALL.iter().filter(|method| method.group != MethodGroup::Core) {
            let name = method.name;
            let given = |is_given: &dyn Fn(&Argument) -> bool| -> Fields {
                let arguments = method.arguments.iter().filter(|argument| is_given(argument));
                arguments.map(|argument| (argument.name.to_owned(), sample(argument.kind))).collect()
            };
            let required = given(&|argument| argument.is_required);
            assert_eq!(check_arguments(name, &required), Ok(()), "{name}");
            for argument in method.arguments {
                let mut arguments = given(&|other| other.is_required && other.name != argument.name);
                assert_eq!(check_arguments(name, &arguments).is_err(), argument.is_required, "{name}: without {}", argument.name);
                arguments = required.clone();
                arguments.insert(argument.name.to_owned(), sample(argument.kind));
                assert_eq!(check_arguments(name, &arguments), Ok(()), "{name}: {}", argument.name);
            }
            let mut unknown = required;
            unknown.insert("-".to_owned(), json!(1));
            let names: Vec<_> = method.arguments.iter().map(|argument| format!("`{}`", argument.name)).collect();
            let taken = if names.is_empty() { "no arguments".to_owned() } else { names.join(", ") };
            assert_eq!(check_arguments(name, &unknown).unwrap_err().to_string(), format!("`-`: {name} takes {taken}"));
        }
    }

    #[test]
    fn each_name_is_in_the_lists_that_it_belongs_to() {
        assert_eq!(READING_METHODS.len() + CHANGING_METHODS.len(), Method::ALL.len());
        assert_eq!(READING_METHODS[..2], ["ping", "stats"]);
        assert_eq!(SINGLE_METHODS, ["call", "purge", "retry"]);
        assert_eq!(ProgramOrder::METHODS, ["enable-events", "disable-events", "log-level", "heartbeat"]);
        for method in Method::ALL {
            assert_eq!(Method::of(method.name), Some(method), "{} is listed twice", method.name);
            assert_eq!(Order::METHODS.contains(&method.name), method.group == MethodGroup::Queue);
        }
    }

    #[test]
    fn the_documentation_describes_each_method_with_its_arguments() {
        let docs = [include_str!("../../../docs/guides/control.md"), include_str!("../../../docs/guides/commands.md")];
        let lines = || docs.iter().flat_map(|page| page.lines());
        for method in Method::ALL {
            let is_named = |line: &&str| ["`", " "].iter().any(|end| line.contains(&format!("`{}{end}", method.name)));
            assert!(lines().any(|line| is_named(&line)), "no page describes {}", method.name);
            if method.scope != MethodScope::Read && method.name != "cancel" {
                let has_all = |line: &str| method.arguments.iter().all(|argument| line.contains(argument.name));
                assert!(
                    lines().any(|line| line.starts_with('|') && is_named(&line) && has_all(line)),
                    "docs/guides/control.md: {}",
                    method.name
                );
            }
        }
    }
}
