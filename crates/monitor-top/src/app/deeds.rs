//! Changes made by keys: cancellation, rate limit, shutdown of a worker. Each is first tried as a dry run, and its effect is shown for
//! confirmation.

use monitor_text::{counted, fit, visible};
use monitor_wire::{Cancelled, Command, CommandStatus, Fields, Order, ProcessId, WorkerId};
use serde_json::json;

use super::{App, Effect, Mode};
use crate::data::Model;
use crate::prompt::Prompt;

/// Method that limits a rate.
pub(crate) const RATE_LIMIT: &str = "rate-limit";
/// Method that shuts down a worker.
pub(crate) const SHUTDOWN: &str = "shutdown";

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    Cancel(Target),
    Limit(Limit),
    Shutdown(Ending),
}

/// Shutdown of a worker. The worker starts no further tasks and exits after its running tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) worker: WorkerId,
    pub(crate) name: String,
}

/// Target of a cancellation: a tree, or a process with its descendants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) root: String,
    pub(crate) process: Option<ProcessId>,
    pub(crate) name: String,
}

/// Rate limit for tasks with one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Name of the tasks.
    pub(crate) name: String,
    /// Rate such as `10/s`; `0` removes the limit.
    pub(crate) rate: String,
    /// Worker that the limit applies to. `None` for all workers that support limits.
    pub(crate) worker: Option<WorkerId>,
}

/// Result of a change or of its dry run.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Cancelled(Cancelled),
    Commanded(Command),
}

impl Limit {
    /// Parses the input: name of the tasks, a blank, and the rate.
    fn read(typed: &str, worker: Option<WorkerId>) -> Result<Self, String> {
        let Some((name, rate)) = typed.trim().rsplit_once(char::is_whitespace) else {
            return Err("give the tasks' name and a rate, like `video.render 10/s`; 0 for none".to_owned());
        };
        let limit = Self { name: name.trim_end().to_owned(), rate: rate.to_owned(), worker };
        Order::read(RATE_LIMIT, &limit.arguments()).map_err(|error| error.to_string())?;
        Ok(limit)
    }

    /// Returns the arguments of the command.
    pub(crate) fn arguments(&self) -> Fields {
        [("name", &self.name), ("rate", &self.rate)].map(|(name, value)| (name.to_owned(), json!(value))).into_iter().collect()
    }

    /// Describes the limit, such as `limit video.render to 10/s`.
    fn words(&self) -> String {
        let name = short(&self.name);
        if self.rate.trim_start_matches('0').starts_with('/') || self.rate.trim_start_matches('0').is_empty() {
            format!("end the limit of {name}")
        } else {
            format!("limit {name} to {}", self.rate)
        }
    }
}

impl Deed {
    fn begins(&self) -> String {
        match self {
            Self::Cancel(target) => format!("cancelling {} …", target.name),
            Self::Limit(limit) => format!("limiting {} …", limit.name),
            Self::Shutdown(ending) => format!("shutting {} down …", ending.name),
        }
    }

    fn is_left(&self) -> &'static str {
        match self {
            Self::Cancel(_) => "nothing was cancelled",
            Self::Limit(_) => "nothing was limited",
            Self::Shutdown(_) => "nothing was shut down",
        }
    }
}

impl App {
    /// Requests a dry run of cancelling the selected row.
    pub(super) fn cancel_selected(&mut self) -> Option<Effect> {
        let target = match &self.list().selected()?.model {
            Model::Root(root) => Target { root: root.root_id.to_string(), process: None, name: root.title.clone() },
            Model::Process(process) => Target { root: process.root_id.to_string(), process: Some(process.id), name: process.name.clone() },
            _ => {
                self.message = Some("only trees, processes and tasks can be cancelled".to_owned());
                return None;
            }
        };
        self.may_change().then_some(Effect::Weigh(Deed::Cancel(target)))
    }

    /// Prompts for the rate of the selected tasks, or of tasks of the selected worker.
    pub(super) fn limit_selected(&mut self) {
        let Some(model) = self.list().selected().map(|row| row.model.clone()) else { return };
        let (text, worker) = match model {
            Model::Counts(counts) if self.screen == crate::screens::Screen::Types => (format!("{} ", counts.name), None),
            Model::Process(process) if process.task.is_some() => (format!("{} ", process.name), None),
            Model::Worker(worker) => (String::new(), Some(worker.id)),
            _ => {
                self.message = Some("only tasks of queues and workers can be limited".to_owned());
                return;
            }
        };
        if self.may_change() {
            self.mode = Mode::Limit(Prompt { text }, worker);
        }
    }

    /// Requests a dry run of the limit that was typed.
    pub(super) fn limit(&mut self, typed: &str, worker: Option<WorkerId>) -> Option<Effect> {
        match Limit::read(typed, worker) {
            Ok(limit) => Some(Effect::Weigh(Deed::Limit(limit))),
            Err(words) => {
                self.message = Some(words);
                None
            }
        }
    }

    /// Requests a dry run of shutting down the selected worker.
    pub(super) fn shut_selected_down(&mut self) -> Option<Effect> {
        let Model::Worker(worker) = &self.list().selected()?.model else {
            self.message = Some("only workers can be shut down".to_owned());
            return None;
        };
        let ending = Ending { worker: worker.id, name: format!("{}@{}:{}", worker.program, worker.hostname, worker.pid) };
        self.may_change().then_some(Effect::Weigh(Deed::Shutdown(ending)))
    }

    fn may_change(&mut self) -> bool {
        let refusal = if self.setting.page.is_none() {
            "what is replayed can't be changed"
        } else if self.setting.is_readonly {
            "nothing can be changed: it was started with --readonly"
        } else {
            return true;
        };
        self.message = Some(refusal.to_owned());
        false
    }

    /// Handles the answer to a confirmation.
    pub(super) fn answer(&mut self, deed: Deed, is_yes: bool) -> Option<Effect> {
        self.mode = Mode::List;
        self.message = Some(if is_yes { deed.begins() } else { deed.is_left().to_owned() });
        is_yes.then_some(Effect::Do(deed))
    }

    /// Shows the effect of a change and asks for confirmation.
    pub(crate) fn weighed(&mut self, deed: Deed, would: &Outcome) {
        let what = match (&deed, would) {
            (Deed::Cancel(target), Outcome::Cancelled(Cancelled { meant: 0, .. })) => Err(format!("nothing of {} runs", target.name)),
            (Deed::Cancel(target), Outcome::Cancelled(Cancelled { meant, lines, .. })) => {
                let (processes, workers) = (counted(*meant, "process"), counted(lines.len() as u64, "worker"));
                Ok(format!("cancel {}: {processes} on {workers}", short(&target.name)))
            }
            (Deed::Limit(limit), Outcome::Commanded(command)) => match told(command, &CommandStatus::WAITING).as_slice() {
                [] => Err("no worker would be told of it".to_owned()),
                [one] => Ok(format!("{} in {}", limit.words(), short(one))),
                more => Ok(format!("{} in {}", limit.words(), counted(more.len() as u64, "worker"))),
            },
            (Deed::Shutdown(ending), Outcome::Commanded(command)) => match told(command, &CommandStatus::WAITING).as_slice() {
                [] => Err(format!("{} can't be told to end: it is away, or takes no commands", short(&ending.name))),
                _ => Ok(format!("shut {} down after its work", short(&ending.name))),
            },
            _ => return,
        };
        match what {
            Ok(what) => self.mode = Mode::Confirm { deed, what },
            Err(words) => self.message = Some(words),
        }
    }

    /// Shows the result of a change.
    pub(crate) fn done(&mut self, outcome: &Outcome) {
        self.message = Some(match outcome {
            Outcome::Cancelled(Cancelled { meant, running: 0, .. }) => format!("{meant} ended"),
            Outcome::Cancelled(Cancelled { meant, running, .. }) => {
                format!("{} of {meant} ended; {running} go on", meant.saturating_sub(*running))
            }
            Outcome::Commanded(command) => {
                let done = told(command, &CommandStatus::OK).len();
                let summary = format!("{done} of {} did it", counted(command.lines.len() as u64, "worker"));
                match command.lines.iter().find(|line| line.status != CommandStatus::OK) {
                    Some(line) => {
                        let why = line.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                        format!("{summary}; {} {}{why}", line.name, line.status.as_str())
                    }
                    None => summary,
                }
            }
        });
    }
}

/// Returns the names of the workers whose line has this status.
fn told<'a>(command: &'a Command, status: &CommandStatus) -> Vec<&'a str> {
    command.lines.iter().filter(|line| line.status == *status).map(|line| line.name.as_str()).collect()
}

/// Shortens a name for a message.
fn short(name: &str) -> String {
    fit(&visible(name), 30).into_owned()
}
