//! Orders for agents: each method with its typed arguments, the scope of its route, and the route that sends it.
//!
//! An agent starts commands, so that `POST /api/v1/commands` sends it only `ping`. The server sends all other orders itself, from routes with a
//! scope of their own and for alerts.
//!
//! A new order is a variant of [`AgentOrder`], its name in [`AgentOrder::name`] and a row in [`AgentMethod::ALL`]. The agent executes it in
//! `link.rs`, and docs/guides/access.md lists it below "What can start a command".

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::command::{CommandRequest, CommandTo};
use crate::event::Fields;
use crate::method::MethodScope;

/// Largest number of publications, and of folders of the history, in one answer.
const MOST_LISTED: u32 = 200;
/// Key of the method in JSON that contains the method and its arguments: the format of requests in an agent's database.
const METHOD: &str = "do";

/// An order for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum AgentOrder {
    /// Reply, to show that the agent's main loop runs.
    Ping,
    /// Start a run of a batch task now.
    Run {
        /// Name of the task.
        task: String,
        /// Arguments that follow those of the task's command.
        #[serde(default)]
        args: Vec<String>,
    },
    /// Start another run of a run's task, with the run's own arguments.
    Rerun {
        /// Id of the run.
        run: String,
        /// True to repeat the run's due time with the task's version at that time. False to run the current version for the current time.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        as_it_was: bool,
    },
    /// End a run, or all runs of a task.
    Kill {
        /// Id of the run, or name of the task.
        what: String,
        /// True to kill it without SIGTERM before.
        #[serde(default)]
        now: bool,
    },
    /// Stop starting runs at their due times, for one task or for all tasks.
    Pause {
        /// Name of the task. `None` pauses the agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        /// End of the pause in RFC 3339. `None` pauses until `resume`.
        until: Option<String>,
    },
    /// End a pause.
    Resume {
        /// Name of the task. `None` resumes the agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
    },
    /// Return a part of a run's output, a [`BatchLog`](crate::BatchLog).
    Log {
        /// Id of the run.
        run: String,
        /// First byte of the part.
        #[serde(default)]
        offset: u64,
    },
    /// List a task's publications and the folders of its history, a [`BatchPublications`](crate::BatchPublications).
    Publications {
        /// Name of the task.
        task: String,
        /// Maximum number of publications and of folders.
        #[serde(default = "most_listed")]
        limit: u32,
    },
    /// List the files of a publication, a [`BatchFiles`](crate::BatchFiles).
    Publication(NamedPublication),
    /// Return the beginning of a file, a [`BatchFileText`](crate::BatchFileText).
    PublicationFile {
        /// The publication that contains the file.
        #[serde(flatten)]
        publication: NamedPublication,
        /// Path of the file in the publication's folder.
        path: String,
    },
    /// List the differences between two publications, a [`BatchComparison`](crate::BatchComparison).
    ComparePublications {
        /// The first publication.
        #[serde(flatten)]
        publication: NamedPublication,
        /// The second publication of the task, by number or run.
        with: String,
    },
    /// Publish the files of a publication again.
    RestorePublication {
        /// The publication.
        #[serde(flatten)]
        publication: NamedPublication,
        /// Target for files that a run left in the history. A publication has its own target.
        target: Option<String>,
    },
    /// Run the command of an alert channel with a message on its standard input.
    AlertCommand {
        /// Name of the channel.
        channel: String,
        /// The command, a program with its arguments.
        #[serde(default)]
        command: Vec<String>,
        /// The message, as webhooks receive it.
        message: Map<String, Value>,
    },
    /// Send a mail by the machine's `sendmail`.
    AlertMail {
        /// Recipients. If there are none, the agent's own user.
        #[serde(default)]
        to: Vec<String>,
        /// The mail with its headers.
        mail: String,
    },
}

/// A publication of a batch task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPublication {
    /// Name of the task.
    pub task: String,
    /// Number of the publication, or id of the run that left files in the history.
    pub publication: String,
}

fn most_listed() -> u32 {
    MOST_LISTED
}

impl AgentOrder {
    /// Program name of agents as workers.
    pub const PROGRAM: &str = "monitor-agent";
    /// Name of the method that sends mail. An agent offers it only if its machine has a `sendmail`.
    pub const ALERT_MAIL: &str = "alert-mail";

    /// Returns the name of the method.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Run { .. } => "run",
            Self::Rerun { .. } => "rerun",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Log { .. } => "log",
            Self::Publications { .. } => "publications",
            Self::Publication(_) => "publication",
            Self::PublicationFile { .. } => "publication-file",
            Self::ComparePublications { .. } => "compare-publications",
            Self::RestorePublication { .. } => "restore-publication",
            Self::AlertCommand { .. } => "alert-command",
            Self::AlertMail { .. } => Self::ALERT_MAIL,
        }
    }

    /// Returns the scope of the route that sends the order.
    #[must_use]
    pub fn scope(&self) -> MethodScope {
        AgentMethod::of(self.name()).map_or(MethodScope::Admin, |method| method.scope)
    }

    /// Returns true if only the server itself sends the order, and no client of `POST /api/v1/commands`.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        AgentMethod::of(self.name()).is_none_or(AgentMethod::is_internal)
    }

    /// Returns the arguments as a command contains them.
    #[must_use]
    pub fn arguments(&self) -> Fields {
        let mut arguments: Fields = serde_json::to_value(self).and_then(serde_json::from_value).unwrap_or_default();
        arguments.remove(METHOD);
        arguments
    }

    /// Returns the name of an agent as a worker.
    #[must_use]
    pub fn worker(agent: &str) -> String {
        format!("{}@{agent}", Self::PROGRAM)
    }

    /// Returns the command that sends the order to agents in the name of `by`.
    #[must_use]
    pub fn request(&self, by: Option<&str>, agents: &[String]) -> CommandRequest {
        let workers = agents.iter().map(|agent| Self::worker(agent)).collect();
        let mut arguments = self.arguments();
        arguments.extend(by.map(|by| ("by".to_owned(), by.into())));
        CommandRequest { method: self.name().to_owned(), arguments, to: CommandTo { workers, glob: None }, ..CommandRequest::default() }
    }

    /// Reads a method with its arguments. Ignores arguments that it doesn't know, which a newer server may send.
    ///
    /// # Errors
    /// If the method is unknown, or an argument is missing or has another type.
    pub fn read(method: &str, arguments: &Fields) -> Result<Self, serde_json::Error> {
        let mut order: Map<String, Value> = arguments.clone().into_iter().collect();
        order.insert(METHOD.to_owned(), method.into());
        serde_json::from_value(Value::Object(order))
    }
}

/// A method of agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentMethod {
    /// Its name.
    pub name: &'static str,
    /// Scope of the route.
    pub scope: MethodScope,
    /// The route that sends it to agents. `None` for `ping`, which `POST /api/v1/commands` sends.
    pub route: Option<&'static str>,
}

impl AgentMethod {
    /// All methods of agents.
    pub const ALL: &[Self] = {
        use MethodScope::{Admin, Operate, Read};
        const ALERTS: &str = "POST /api/v1/alerts/channels/{channel}/test, and alerts themselves";
        &[
            Self { name: "ping", scope: Read, route: None },
            Self::by("run", Operate, "POST /api/v1/batch-tasks/{name}/run"),
            Self::by("rerun", Operate, "POST /api/v1/batch-tasks/runs/{id}/rerun"),
            Self::by("kill", Operate, "POST /api/v1/batch-tasks/runs/{id}/kill"),
            Self::by("pause", Operate, "POST /api/v1/agents/{name}/pause or POST /api/v1/batch-tasks/{name}/pause"),
            Self::by("resume", Operate, "POST /api/v1/agents/{name}/resume or POST /api/v1/batch-tasks/{name}/resume"),
            Self::by("log", Read, "GET /api/v1/batch-tasks/runs/{id}/log"),
            Self::by("publications", Read, "GET /api/v1/batch-tasks/{name}/publications"),
            Self::by("publication", Read, "GET /api/v1/batch-tasks/{name}/publications/{publication}"),
            Self::by("publication-file", Read, "GET /api/v1/batch-tasks/{name}/publications/{publication}/file"),
            Self::by("compare-publications", Read, "GET /api/v1/batch-tasks/{name}/publications/{publication}/compare"),
            Self::by("restore-publication", Operate, "POST /api/v1/batch-tasks/{name}/publications/{publication}/restore"),
            Self::by("alert-command", Admin, ALERTS),
            Self::by(AgentOrder::ALERT_MAIL, Admin, ALERTS),
        ]
    };

    const fn by(name: &'static str, scope: MethodScope, route: &'static str) -> Self {
        Self { name, scope, route: Some(route) }
    }

    /// Returns the method with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|method| method.name == name)
    }

    /// Returns true if only the server itself sends the method, and no client of `POST /api/v1/commands`.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.route.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_method_has_its_arguments_and_a_row() {
        let named = NamedPublication { task: "gold".to_owned(), publication: "1".to_owned() };
        let text = |text: &str| text.to_owned();
        let orders = [
            ("ping", json!({}), AgentOrder::Ping),
            ("run", json!({"task": "gold", "args": ["a"]}), AgentOrder::Run { task: text("gold"), args: vec![text("a")] }),
            ("rerun", json!({"run": "gold@1"}), AgentOrder::Rerun { run: text("gold@1"), as_it_was: false }),
            ("rerun", json!({"run": "gold@1", "as_it_was": true}), AgentOrder::Rerun { run: text("gold@1"), as_it_was: true }),
            ("kill", json!({"what": "gold", "now": false}), AgentOrder::Kill { what: text("gold"), now: false }),
            ("pause", json!({"until": null}), AgentOrder::Pause { task: None, until: None }),
            (
                "pause",
                json!({"task": "gold", "until": "2026-11-21T02:30:00Z"}),
                AgentOrder::Pause { task: Some(text("gold")), until: Some(text("2026-11-21T02:30:00Z")) },
            ),
            ("resume", json!({}), AgentOrder::Resume { task: None }),
            ("resume", json!({"task": "gold"}), AgentOrder::Resume { task: Some(text("gold")) }),
            ("log", json!({"run": "gold@1", "offset": 7}), AgentOrder::Log { run: text("gold@1"), offset: 7 }),
            ("publications", json!({"task": "gold", "limit": 50}), AgentOrder::Publications { task: text("gold"), limit: 50 }),
            ("publication", json!({"task": "gold", "publication": "1"}), AgentOrder::Publication(named.clone())),
            (
                "publication-file",
                json!({"task": "gold", "publication": "1", "path": "a"}),
                AgentOrder::PublicationFile { publication: named.clone(), path: text("a") },
            ),
            (
                "compare-publications",
                json!({"task": "gold", "publication": "1", "with": "2"}),
                AgentOrder::ComparePublications { publication: named.clone(), with: text("2") },
            ),
            (
                "restore-publication",
                json!({"task": "gold", "publication": "1", "target": null}),
                AgentOrder::RestorePublication { publication: named, target: None },
            ),
            (
                "alert-command",
                json!({"channel": "page", "command": ["page"], "message": {"id": "7.1"}}),
                AgentOrder::AlertCommand {
                    channel: text("page"),
                    command: vec![text("page")],
                    message: Map::from_iter([(text("id"), json!("7.1"))]),
                },
            ),
            ("alert-mail", json!({"to": [], "mail": "m"}), AgentOrder::AlertMail { to: Vec::new(), mail: text("m") }),
        ];
        for (method, arguments, order) in &orders {
            assert_eq!(json!(order.arguments()), *arguments, "{method}");
            let mut fields = order.request(Some("ada"), &[]).arguments;
            assert_eq!(fields.get("by"), Some(&json!("ada")));
            fields.insert(text("of a newer server"), json!(1));
            assert_eq!(AgentOrder::read(method, &fields).unwrap(), *order);
            let row = AgentMethod::of(method).unwrap();
            assert_eq!((order.name(), order.scope(), order.is_internal()), (*method, row.scope, *method != "ping"));
        }
        for method in AgentMethod::ALL {
            assert!(orders.iter().any(|(name, ..)| *name == method.name), "{}", method.name);
        }
    }

    #[test]
    fn older_servers_leave_arguments_out_and_mistakes_are_errors() {
        let read = |method: &str, arguments: Value| AgentOrder::read(method, &serde_json::from_value(arguments).unwrap());
        assert_eq!(read("pause", json!({})).unwrap(), AgentOrder::Pause { task: None, until: None });
        assert!(matches!(read("publications", json!({"task": "gold"})).unwrap(), AgentOrder::Publications { limit: 200, .. }));
        for (method, arguments, words) in [
            ("run", json!({}), "missing field `task`"),
            ("run", json!({"task": "gold", "args": "a"}), "expected a sequence"),
            ("alert-command", json!({"command": ["true"], "message": {}}), "missing field `channel`"),
            ("alert-command", json!({"channel": "c", "message": "{}"}), "expected a map"),
            ("stop", json!({}), "unknown variant `stop`"),
        ] {
            let error = read(method, arguments).unwrap_err().to_string();
            assert!(error.contains(words), "{method}: {error}");
        }
    }
}
