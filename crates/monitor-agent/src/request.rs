//! Requests to an agent from programs of its machine, and the answers to requests and orders.

use monitor_wire::AgentOrder;
use serde::{Deserialize, Serialize};

/// A request in the agent's database, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", expecting = "expected an order for an agent, or stop")]
pub enum Request {
    /// End the agent. Its runs continue.
    Stop,
    /// Do the same as for an order of the server.
    #[serde(untagged)]
    Order(AgentOrder),
}

/// The agent's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The agent has accepted it.
    Done {
        /// Ids of the runs that will start or end.
        runs: Vec<String>,
    },
    /// The agent has rejected it.
    Refused {
        /// The reason.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_other_versions_of_the_command_line_are_understood() {
        let pause = |until: &str| AgentOrder::Pause { task: Some("gold".to_owned()), until: Some(until.to_owned()) };
        for (text, request) in [
            (r#"{"do":"stop"}"#, Request::Stop),
            (r#"{"do":"ping"}"#, Request::Order(AgentOrder::Ping)),
            (r#"{"do":"run","task":"gold","args":["a"]}"#, Request::Order(AgentOrder::Run { task: "gold".into(), args: vec!["a".into()] })),
            (r#"{"do":"pause","task":"gold","until":"2026-11-21T02:30:00Z"}"#, Request::Order(pause("2026-11-21T02:30:00Z"))),
            (r#"{"do":"resume"}"#, Request::Order(AgentOrder::Resume { task: None })),
            (r#"{"do":"kill","what":"gold","now":false}"#, Request::Order(AgentOrder::Kill { what: "gold".into(), now: false })),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        }
        let older = r#"{"do":"resume","task":null}"#;
        assert_eq!(serde_json::from_str::<Request>(older).unwrap(), Request::Order(AgentOrder::Resume { task: None }));
        for unknown in [r#"{"do":"dance"}"#, r#"{"do":"run"}"#, "{}"] {
            assert!(serde_json::from_str::<Request>(unknown).unwrap_err().to_string().contains("expected an order"), "{unknown}");
        }
    }
}
