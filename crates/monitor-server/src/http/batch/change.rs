//! Changes of batch tasks. A change is checked against all other tasks and then executed by the writer thread.

use jiff::tz::TimeZone;
use monitor_store::{Definition as Json, Refused, TaskChange};
use monitor_tasks::definition::check_book;
use monitor_tasks::policy::PAST_RULE;
use monitor_tasks::{Definition, Mistake, Policy};
use monitor_wire::{BatchStatus, BatchTask};
use serde_json::Value;

use super::super::App;
use super::super::problem::ApiError;
use super::dues::timestamp;
use super::no_task;
use crate::access::Principal;

/// Names that are parts of the API's paths and not allowed as names of tasks.
const RESERVED: [&str; 4] = ["apply", "rehearse", "rules", "runs"];

/// Returns the caller's name as recorded in versions and events.
pub(in super::super) fn who(principal: Option<Principal>) -> String {
    principal.map_or_else(String::new, |principal| principal.name.unwrap_or_else(|| principal.how.as_str().to_owned()))
}

/// Parses a definition. The error lists all mistakes.
pub(super) fn read(json: &Json) -> Result<Definition, ApiError> {
    let definition =
        Definition::from_json(Value::Object(json.clone())).map_err(|mistakes| wrong(mistakes.iter().map(Mistake::to_string)))?;
    if RESERVED.contains(&definition.name.as_str()) {
        return Err(wrong([format!("name: {} is part of the API's paths: choose another name", definition.name)]));
    }
    Ok(definition)
}

fn wrong(mistakes: impl IntoIterator<Item = String>) -> ApiError {
    ApiError::Body { detail: mistakes.into_iter().collect::<Vec<_>>().join("\n") }
}

/// Returns an error if the changes introduce a conflict between tasks, or a rule that lies completely in the past. `None` as the definition
/// means that the task is deleted.
pub(super) fn check_together(tasks: &[BatchTask], changed: &[(&str, Option<&Definition>)], now_us: u64) -> Result<(), ApiError> {
    let there = tasks.iter().filter(|task| task.status != BatchStatus::DELETED);
    let before: Vec<Definition> = there.filter_map(|task| Definition::from_json(Value::Object(task.definition.clone())).ok()).collect();
    let others = before.iter().filter(|task| !changed.iter().any(|(name, _)| *name == task.name)).cloned();
    let after: Vec<Definition> = others.chain(changed.iter().filter_map(|(_, definition)| (*definition).cloned())).collect();
    let told = |book: &[Definition]| {
        let mistakes = check_book(book).into_iter();
        let text = |(index, path, message): (usize, String, String)| {
            format!("{}: {}: {message}", book[index].name, path.trim_start_matches('/').replace('/', "."))
        };
        mistakes.map(text).collect::<Vec<_>>()
    };
    // Mistakes that existed before do not prevent a change.
    let known = told(&before);
    let now = timestamp(now_us).unwrap_or_default();
    let past = |definition: &Definition| {
        let past = Policy::new(definition, &TimeZone::system()).map(|policy| policy.past_rules(now)).unwrap_or_default();
        past.into_iter().map(|index| (index, definition.rules[index].clone())).collect::<Vec<_>>()
    };
    let new_past = changed.iter().filter_map(|(name, definition)| Some((name, (*definition)?))).flat_map(|(name, definition)| {
        // A task whose only due times have passed can still be changed in other respects.
        let had = before.iter().find(|task| task.name == *name).map(|task| task.rules.clone()).unwrap_or_default();
        let new = past(definition).into_iter().filter(move |(_, rule)| !had.contains(rule));
        new.map(move |(index, _)| format!("{name}: rules.{index}: {PAST_RULE}"))
    });
    let together = told(&after).into_iter().filter(|mistake| !known.contains(mistake));
    let new: Vec<String> = together.chain(new_past).collect();
    if new.is_empty() { Ok(()) } else { Err(wrong(new)) }
}

impl App {
    /// Returns all tasks, including deleted tasks.
    pub(super) async fn all_tasks(&self) -> Result<Vec<BatchTask>, ApiError> {
        Ok(self.ask(|store| store.batch_changes(0)).await?.into_iter().map(|(_, task)| task).collect())
    }

    /// Executes all changes or none. Returns the new versions of the tasks.
    pub(super) async fn change_tasks(&self, changes: Vec<TaskChange>) -> Result<Vec<u64>, ApiError> {
        let clock = self.clock.clone();
        let versions = self.ingest.change(move |store| store.change_tasks(&changes, clock.wall_us())).await?;
        self.books.send_replace(());
        versions.map_err(|(name, refused)| match refused {
            Refused::Missing => no_task(&name),
            Refused::Exists => ApiError::Conflict { detail: format!("there is a batch task {name:?} already: change that one, or choose another name") },
            Refused::Version(version) => ApiError::Stale {
                detail: format!("batch task {name:?} has version {version} by now: read it again, and send `If-Match` with its version"),
            },
            Refused::OfHeartbeat => ApiError::Conflict {
                detail: format!("there is a heartbeat {name:?}, and runs of both would be told as one's: choose another name"),
            },
            Refused::OfAgent(agent) => ApiError::Conflict {
                detail: format!(
                    "batch task {name:?} is defined by a file of the agent {agent:?}: change that file; once that agent is not connected any \
                     more, `DELETE` removes the task"
                ),
            },
        })
    }
}
