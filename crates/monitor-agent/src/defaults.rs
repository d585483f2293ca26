//! Settings of the agent for all its tasks: hooks, and targets of publications.

use std::collections::BTreeMap;

use monitor_tasks::Definition;
use monitor_tasks::definition::{Hooks, Target};
use serde_json::{Map, Value, json};

/// Placeholder in a target for the name of the task.
const TASK: &str = "{task}";

/// Hooks and targets of tasks that set none of their own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    hooks: Hooks,
    publish: BTreeMap<String, Target>,
}

impl Defaults {
    /// Reads the table `[all-tasks]` of `agent.toml`.
    ///
    /// # Errors
    /// Returns all mistakes in the table, each with its key.
    pub fn read(table: &Map<String, Value>) -> Result<Self, String> {
        if let Some(key) = table.keys().find(|key| !matches!(key.as_str(), "hooks" | "publish")) {
            return Err(format!("all-tasks.{key}: hooks and publish are all that it may have"));
        }
        let mut whole = table.clone();
        whole.extend([("name".to_owned(), json!("all-tasks")), ("shell".to_owned(), json!("true"))]);
        let read = Definition::from_json(Value::Object(whole)).map_err(|mistakes| {
            let told = mistakes.iter().map(|mistake| format!("all-tasks.{mistake}"));
            told.collect::<Vec<_>>().join("; ")
        })?;
        Ok(Self { hooks: read.hooks, publish: read.publish })
    }

    /// Converts the settings to JSON that [`read`](Self::read) accepts.
    pub(crate) fn to_json(&self) -> Value {
        json!({"hooks": self.hooks, "publish": self.publish})
    }

    /// Adds the hooks if a definition has none, and each target that the definition doesn't have.
    pub(crate) fn apply(&self, definition: &mut Definition) {
        if definition.hooks == Hooks::default() {
            definition.hooks = self.hooks.clone();
        }
        for (name, target) in &self.publish {
            definition.publish.entry(name.clone()).or_insert_with(|| of_task(target, &definition.name));
        }
    }
}

/// Returns the target with the task's name in place of [`TASK`].
fn of_task(target: &Target, task: &str) -> Target {
    let named = |text: &String| text.replace(TASK, task);
    match target {
        Target::Folder { folder } => Target::Folder { folder: named(folder) },
        Target::S3(bucket) => Target::S3(monitor_tasks::definition::Bucket { s3: named(&bucket.s3), ..bucket.clone() }),
        Target::Command { command } => Target::Command { command: command.iter().map(named).collect() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value) -> Result<Defaults, String> {
        Defaults::read(value.as_object().unwrap())
    }

    #[test]
    fn settings_of_a_task_take_precedence_over_defaults_of_the_agent() {
        let of_agent = json!({
            "hooks": {"before": ["/etc/monitor/begins"]},
            "publish": {"web": {"folder": "/srv/{task}"}, "cdn": {"command": ["./upload", "{task}"]}},
        });
        let defaults = read(&of_agent).unwrap();
        assert_eq!(Defaults::read(defaults.to_json().as_object().unwrap()), Ok(defaults.clone()), "it is stored as it is read");
        let of = |more: &str| {
            let mut definition = Definition::from_toml(&format!("name = \"gold\"\nshell = \"true\"\n{more}")).unwrap();
            defaults.apply(&mut definition);
            definition
        };
        let plain = of("");
        assert_eq!(plain.hooks.before, ["/etc/monitor/begins"]);
        assert_eq!(plain.publish["web"], Target::Folder { folder: "/srv/gold".to_owned() });
        assert_eq!(plain.publish["cdn"], Target::Command { command: vec!["./upload".to_owned(), "gold".to_owned()] });
        let own = of("hooks = { after = [\"./tidy\"] }\npublish.web = { folder = \"/own\" }");
        assert!(own.hooks.before.is_empty() && own.hooks.after == ["./tidy"], "a task with hooks has no others");
        assert_eq!((&own.publish["web"], own.publish.len()), (&Target::Folder { folder: "/own".to_owned() }, 2));
    }

    #[test]
    fn mistakes_name_their_key() {
        for (value, words) in [
            (json!({"timeout": "1h"}), "all-tasks.timeout: hooks and publish are all"),
            (json!({"hooks": {"befor": ["x"]}}), "all-tasks.hooks.befor: "),
            (json!({"hooks": {"before": "x"}}), "all-tasks.hooks.before: "),
            (json!({"publish": {"web": {}}}), "all-tasks.publish.web: one of folder, s3 and command is expected"),
            (json!({"publish": 7}), "all-tasks.publish: "),
        ] {
            let mistake = read(&value).unwrap_err();
            assert!(mistake.starts_with(words), "{value}: {mistake}");
        }
    }
}
