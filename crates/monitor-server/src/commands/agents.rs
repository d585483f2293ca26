//! The rules for commands to agents. An agent starts commands, so `POST /api/v1/commands` sends it only `ping`. The server itself sends all
//! other orders ([`monitor_wire::AgentOrder`]), from routes that have their own scopes.

use monitor_wire::{AgentMethod, CHANGING_METHODS, CommandRequest, MethodScope};

use super::names::Target;
use super::{CommandError, is_reading};

/// Origin of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client of `POST /api/v1/commands`.
    Client,
    /// The server itself: a route with its own scope, or an alert.
    Server,
}

impl Origin {
    /// False for reads that the server itself makes: these and their results would fill the book of commands.
    pub(super) fn is_recorded(self, request: &CommandRequest) -> bool {
        let is_read = || AgentMethod::of(&request.method).is_some_and(|of| of.is_internal() && of.scope == MethodScope::Read);
        self == Self::Client || request.until_us.is_some() || !is_read()
    }

    /// Checks that a command may be sent to its targets. A method that programs support as well (`pause`, `stats`) isn't sent to agents: a
    /// command for all workers leaves them out, and those that a pattern matches are marked as refused. Any other command for an agent is
    /// refused as a whole.
    pub(super) fn check(self, request: &CommandRequest, targets: &mut Vec<Target>) -> Result<(), CommandError> {
        if self == Self::Server || request.method == "ping" || !targets.iter().any(Target::is_agent) {
            return Ok(());
        }
        let method = request.method.as_str();
        let is_shared = is_reading(method) || CHANGING_METHODS.contains(&method);
        let are_others_meant = request.to.workers.is_empty() && targets.iter().any(|target| !target.is_agent());
        let route = AgentMethod::of(method).and_then(|of| of.route);
        if route.is_some() && !(is_shared && are_others_meant) {
            return Err(CommandError::NotForAgents { method: method.to_owned(), route });
        }
        if request.to.glob.is_none() && are_others_meant {
            targets.retain(|target| !target.is_agent());
        }
        for target in targets.iter_mut().filter(|target| target.is_agent()) {
            target.refusal = Some(refusal(method, route));
        }
        Ok(())
    }
}

pub(super) fn refusal(method: &str, route: Option<&str>) -> String {
    let shown: String = method.chars().take(64).collect();
    let remedy = route.map(|route| format!("; use {route}")).unwrap_or_default();
    format!("`POST /api/v1/commands` sends agents only ping, and not {shown:?}{remedy}")
}
