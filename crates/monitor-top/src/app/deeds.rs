//! What keys change: a cancellation, a limit, the end of a worker. What it would do is counted first, and asked for.

use monitor_text::{counted, fit, visible};
use monitor_wire::{Cancelled, Command, CommandStatus, Fields, Order, ProcessId, WorkerId};
use serde_json::json;

use super::{App, Effect, Mode};
use crate::data::Model;
use crate::prompt::Prompt;

/// The method that limits a rate.
pub(crate) const RATE_LIMIT: &str = "rate-limit";
/// The method that ends a worker.
pub(crate) const SHUTDOWN: &str = "shutdown";

/// Something that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    Cancel(Target),
    Limit(Limit),
    Shutdown(Ending),
}

/// A worker that is to end: it begins nothing more, and ends when it has done what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) worker: WorkerId,
    pub(crate) name: String,
}

/// What is to be cancelled: a tree, or a process of it with all below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) root: String,
    pub(crate) process: Option<ProcessId>,
    pub(crate) name: String,
}

/// How often tasks of a name are to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// The tasks' name.
    pub(crate) name: String,
    /// `10/s`; `0` for no limit.
    pub(crate) rate: String,
    /// In this worker alone, or in all that do it.
    pub(crate) worker: Option<WorkerId>,
}

/// What a deed would do, or what became of it.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Cancelled(Cancelled),
    Commanded(Command),
}

impl Limit {
    /// Reads what was typed: the tasks' name, a blank and the rate.
    fn read(typed: &str, worker: Option<WorkerId>) -> Result<Self, String> {
        let Some((name, rate)) = typed.trim().rsplit_once(char::is_whitespace) else {
            return Err("give the tasks' name and a rate, like `video.render 10/s`; 0 for none".to_owned());
        };
        let limit = Self { name: name.trim_end().to_owned(), rate: rate.to_owned(), worker };
        Order::read(RATE_LIMIT, &limit.arguments()).map_err(|error| error.to_string())?;
        Ok(limit)
    }

    /// The arguments of the command.
    pub(crate) fn arguments(&self) -> Fields {
        [("name", &self.name), ("rate", &self.rate)].map(|(name, value)| (name.to_owned(), json!(value))).into_iter().collect()
    }

    /// `limit video.render to 10/s`
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
    /// Has the cancellation of the selected row weighed.
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

    /// Asks for the rate of the selected tasks, or for that of tasks of the selected worker.
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

    /// Takes a limit as it was typed.
    pub(super) fn limit(&mut self, typed: &str, worker: Option<WorkerId>) -> Option<Effect> {
        match Limit::read(typed, worker) {
            Ok(limit) => Some(Effect::Weigh(Deed::Limit(limit))),
            Err(words) => {
                self.message = Some(words);
                None
            }
        }
    }

    /// Has the end of the selected worker weighed.
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

    /// Takes the answer to a question: yes, or anything else.
    pub(super) fn answer(&mut self, deed: Deed, is_yes: bool) -> Option<Effect> {
        self.mode = Mode::List;
        self.message = Some(if is_yes { deed.begins() } else { deed.is_left().to_owned() });
        is_yes.then_some(Effect::Do(deed))
    }

    /// Takes what a deed would do, and asks.
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

    /// Takes what became of a deed.
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

/// Names of the workers whose lines stand so.
fn told<'a>(command: &'a Command, status: &CommandStatus) -> Vec<&'a str> {
    command.lines.iter().filter(|line| line.status == *status).map(|line| line.name.as_str()).collect()
}

/// A name within a question.
fn short(name: &str) -> String {
    fit(&visible(name), 30).into_owned()
}
